//! The policies of examples/: their suites, and the configuration that asks them all.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is how a test fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_pki::{Authority, Profile, oid};
use portcullis_tests::gate::{Gate, Setup, binary, components};
use portcullis_tests::pki::{self, Identity};
use xtask::s_client::{Presented, alert_name, knock};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").join("examples")
}

#[test]
fn every_example_passes_its_suite_which_leaves_no_code_and_no_setting_out() {
    let output = Command::new(binary())
        .arg("test")
        .arg(examples())
        .arg("--plugins")
        .arg(components().join("examples"))
        .arg("--require-coverage")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for name in ["business-hours", "combined", "issuer-ceiling", "team-of-unit"] {
        assert!(said.contains(&format!("coverage of {name}:")), "{said}");
    }
}

#[test]
fn the_office_lets_in_who_is_of_a_team_and_has_a_certificate_of_the_right_ca() {
    let root = pki::root("Office");
    let people = intermediate(&root, "People");
    let robots = intermediate(&root, "Robots");
    let gate = office(&root, &[&people, &robots]);
    let directory = gate.setup().directory();
    let clerk = client(directory, &people, "clerk", "Card Payments");
    let robot = client(directory, &robots, "robot", "Card Payments");
    let seller = client(directory, &people, "seller", "Sales");

    assert_eq!(decision(&gate, &clerk, "payments.localhost"), ("accepted".to_owned(), None));
    assert_eq!(decision(&gate, &robot, "localhost"), ("accepted".to_owned(), None));
    assert_eq!(
        decision(&gate, &robot, "payments.localhost"),
        ("attribute-not-allowed".to_owned(), Some("access_denied"))
    );
    assert_eq!(
        decision(&gate, &seller, "localhost"),
        ("unit-not-mapped".to_owned(), Some("access_denied"))
    );
    assert_eq!(
        decision(&gate, &clerk, "wiki.localhost"),
        ("server-not-listed".to_owned(), Some("access_denied"))
    );
}

/// The gate of examples/office, at a free port.
fn office(root: &Authority, issuers: &[&Authority]) -> Gate {
    let setup = Setup::new();
    let config = std::fs::read_to_string(examples().join("office/portcullis.toml")).unwrap();
    assert!(config.contains("127.0.0.1:8443"), "{config}");
    setup.write("portcullis.toml", config.replace("127.0.0.1:8443", "127.0.0.1:0"));
    let teams = std::fs::read(examples().join("office/teams.txt")).unwrap();
    setup.write("teams.txt", teams);
    setup.write("root.pem", root.certificate_pem());
    let issuers: String = issuers.iter().map(|issuer| issuer.certificate_pem()).collect();
    setup.write("issuers.pem", issuers);

    let plugins = setup.path("plugins");
    std::fs::create_dir(&plugins).unwrap();
    for folder in [components(), components().join("examples")] {
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "wasm") {
                std::fs::copy(&file, plugins.join(file.file_name().unwrap())).unwrap();
            }
        }
    }
    setup.launch(&plugins)
}

fn intermediate(root: &Authority, name: &str) -> Authority {
    root.intermediate(&Profile::authority(name, pki::valid())).expect("an intermediate")
}

fn client(directory: &Path, issuer: &Authority, name: &str, unit: &str) -> Identity {
    let mut profile = Profile::client(name, pki::valid());
    profile.subject.push((oid::ORGANIZATIONAL_UNIT.to_owned(), unit.to_owned()));
    Identity::write(directory, name, &issuer.issue(&profile).unwrap())
}

/// The code, or that the client was accepted, and the alert that it got.
fn decision(gate: &Gate, client: &Identity, server_name: &str) -> (String, Option<&'static str>) {
    let presented = Presented { chain: &client.chain, key: &client.key };
    let alert =
        knock(gate.address(), &gate.setup().ca(), Some(presented), &["-servername", server_name])
            .unwrap();
    let audit = gate.next_audit();
    let code = audit["code"].as_str().or(audit["verdict"].as_str()).unwrap_or_default();
    (code.to_owned(), alert.map(alert_name))
}
