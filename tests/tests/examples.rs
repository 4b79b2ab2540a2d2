//! The policies of examples/: their suites, and the configuration that asks them all. The manifests for Kubernetes and the
//! units for systemd: what can be said of them without either.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is how a test fails")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use portcullis_pki::{Authority, Profile, oid};
use portcullis_tests::client::{peers, script};
use portcullis_tests::gate::{Gate, Setup, binary, components};
use portcullis_tests::pki::{self, Identity};
use serde_json::Value;
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

#[test]
fn the_manifests_are_what_kubernetes_and_cert_manager_take() {
    let manifests = manifests(&resources());
    assert_eq!(checked_by_cert_manager(&manifests), 6);
    let gate = of_kind(&manifests, "Certificate", "gate");
    assert_eq!(gate["spec"]["duration"], "24h");
    assert_eq!(gate["spec"]["renewBefore"], "8h");

    // With kubectl, also what it makes of the overlay.
    for (overlay, count) in [("gate", 11), ("gate-csi", 10), ("client", 2)] {
        let folder = examples().join("kubernetes").join(overlay);
        let output = Command::new("kubectl").arg("kustomize").arg(folder).output();
        let Ok(output) = output else {
            eprintln!("without kubectl, the overlays of examples/kubernetes are not tried");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), output.stdout).unwrap();
        let rendered = self::manifests(&[file.path().to_owned()]);
        assert_eq!(rendered.len(), count, "{overlay}");
        checked_by_cert_manager(&rendered);
    }
}

#[test]
fn the_gate_of_the_manifests_is_one_that_starts_on_what_is_mounted() {
    let manifests = manifests(&resources());
    let pod = &of_kind(&manifests, "Deployment", "portcullis")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let folder = examples().join("kubernetes/gate");
    let config = std::fs::read_to_string(folder.join("portcullis.toml")).unwrap();

    // The volumes, as Kubernetes fills them.
    let setup = Setup::new();
    let root = pki::root("Clients");
    let key = std::fs::read_to_string(setup.path("server.key")).unwrap();
    let chain = std::fs::read_to_string(setup.path("server.pem")).unwrap();
    let mounted = [
        ("server", vec![("tls.crt", chain), ("tls.key", key)]),
        ("clients", vec![("ca.crt", root.certificate_pem())]),
        ("config", vec![("portcullis.toml", relocated(&config, &setup))]),
    ];
    let mut paths = Vec::new();
    for (volume, files) in mounted {
        let mounts = container["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["name"] == volume).unwrap();
        assert_eq!(mount["subPath"], Value::Null, "it would never be renewed");
        let path = mount["mountPath"].as_str().unwrap();
        std::fs::create_dir_all(setup.path(&path[1..])).unwrap();
        for (name, content) in files {
            setup.write(&format!("{}/{name}", &path[1..]), content);
        }
        paths.push(path.to_owned());
    }
    assert!(paths.iter().all(|path| path == "/etc/portcullis" || config.contains(path.as_str())));

    let arguments = container["args"].as_array().unwrap().iter().map(|one| one.as_str().unwrap());
    let arguments: Vec<String> = arguments
        .map(|one| match one {
            "run" => "check".to_owned(),
            one if one.starts_with("--plugins=") => format!("--plugins={}", components().display()),
            one => relocated(one, &setup),
        })
        .collect();
    let output = Command::new(binary()).args(&arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("listens on 0.0.0.0:8443 as CN=gate"), "{said}");
}

#[test]
fn systemd_has_no_complaint_about_the_units() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        eprintln!("without systemd-analyze, the units of examples/systemd are not tried");
        return;
    };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let version: u32 = version.split_whitespace().nth(1).unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let units = ["portcullis.service", "portcullis-renew@.service"].map(|name| {
        let unit = std::fs::read_to_string(examples().join("systemd").join(name)).unwrap();
        let mut unit = unit.replace("/usr/bin/portcullis", binary().to_str().unwrap());
        if version < 253 {
            unit = unit.replace("Type=notify-reload", "Type=notify");
        }
        let path = folder.path().join(name);
        std::fs::write(&path, unit).unwrap();
        path
    });
    let output = Command::new("systemd-analyze").arg("verify").args(&units).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let ours: Vec<_> = said.lines().filter(|line| line.contains("portcullis")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");

    // What they start is understood: it is the files that are not there.
    for (unit, missing) in [
        (&units[0], "/etc/portcullis/portcullis.toml"),
        (&units[1], "/var/lib/portcullis/pki/gate.pem"),
    ] {
        let unit = std::fs::read_to_string(unit).unwrap();
        let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let command = command.replace("${CA_URL}", "https://ca.example.org:8890");
        let mut words = command.split(' ').map(|word| word.replace("%i", "gate"));
        let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(missing), "{said}");
    }
}

/// The text with paths that begin in the test's folder.
fn relocated(text: &str, setup: &Setup) -> String {
    let folder = setup.directory().display().to_string();
    text.replace("/run/portcullis/", &format!("{folder}/run/portcullis/"))
        .replace("/etc/portcullis/", &format!("{folder}/etc/portcullis/"))
}

/// The files of resources, but for those that only change others.
fn resources() -> Vec<PathBuf> {
    let files =
        ["gate/namespace.yaml", "gate/certificates.yaml", "gate/gate.yaml", "client/client.yaml"];
    files.map(|file| examples().join("kubernetes").join(file)).to_vec()
}

/// What is in the files, checked against the schemas of Kubernetes.
fn manifests(files: &[PathBuf]) -> Vec<Value> {
    let mut python = Command::new(peers().python_mcp_2());
    python.env("PYTHONPATH", peers().kubernetes_validate());
    let output = python.arg(script("kubernetes.py")).args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How many resources of cert-manager are among them and fit its schemas.
fn checked_by_cert_manager(manifests: &[Value]) -> usize {
    let mut node = Command::new(peers().node());
    node.env("PEERS", peers().node_folder()).arg(script("cert_manager.mjs"));
    let output = fed(&mut node, &serde_json::to_vec(manifests).unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

fn fed(command: &mut Command, input: &[u8]) -> Output {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn of_kind<'a>(manifests: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found = manifests
        .iter()
        .filter(|manifest| manifest["kind"] == kind && manifest["metadata"]["name"] == name);
    found.next().unwrap()
}
