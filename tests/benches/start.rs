//! How long a gate takes to start: the first time, when it compiles its policies, and then. `cargo xtask bench start` runs
//! it.
//!
//! From the start of the process until it says that clients can connect. The rows take turns.
#![allow(clippy::expect_used, reason = "a bench that cannot be set up ends")]

use std::fs;

use portcullis_tests::bench::{Bench, Figures, Spread, Table};
use portcullis_tests::gate::{Setup, components};
use portcullis_tests::pki;
use portcullis_tests::released::Released;

/// A gate with these policies.
struct Subject {
    name: String,
    setup: Setup,
    first: Vec<f64>,
    later: Vec<f64>,
}

fn main() {
    let bench = Bench::from_arguments();
    let interpreters = ["examples/team-of-unit", "examples/business-hours"];
    let built = |name: &&str| components().join(name).with_extension("wasm").exists();
    let rust = ["ca-chain", "pin-list", "revocation", "spiffe-id"];
    let ten: Vec<&str> = rust.into_iter().cycle().take(10).collect();
    let mut subjects = vec![
        subject("one policy", &rust[..1]),
        subject("four policies", &rust),
        subject("ten policies", &ten),
    ];
    if interpreters.iter().all(built) {
        let some = [&rust[..], &interpreters].concat();
        subjects.push(subject("six policies, one in JavaScript, one in Python", &some));
    }
    for round in 0..bench.of(15, 5) {
        for subject in &mut subjects {
            if round < bench.of(3, 1) {
                let _ = fs::remove_dir_all(subject.setup.path("cache"));
                subject.first.push(starts(&subject.setup));
            }
            subject.later.push(starts(&subject.setup));
        }
    }
    let mut table = Table::new("a gate starts", &["ms", "ms the first time"]);
    for subject in subjects {
        table.row(&subject.name, [Spread::of(subject.later), Spread::of(subject.first)]);
    }
    let mut figures = Figures::new("start");
    figures.table(table);
    bench.finish(&figures);
}

fn starts(setup: &Setup) -> f64 {
    Released::start(setup, None).ready().as_secs_f64() * 1e3
}

fn subject(name: &str, policies: &[&str]) -> Subject {
    let setup = Setup::new();
    let root = pki::root("Clients");
    setup.write("anchors.pem", root.certificate_pem());
    setup.write("pins.txt", "spki-sha256 ".to_owned() + &"00".repeat(32) + "\n");
    setup.write("teams.txt", "Card Payments = payments\n");
    let (mut chain, mut sections) = (Vec::new(), String::new());
    for (number, policy) in policies.iter().enumerate() {
        let (name, path) = (format!("p{number}"), components().join(policy));
        let more = match *policy {
            "pin-list" => "assets = { pins = \"pins.txt\" }",
            "spiffe-id" => {
                "assets = { bundles = \"anchors.pem\" }\nsettings = { trust-domain = \"example.org\" }"
            }
            "examples/team-of-unit" => "assets = { teams = \"teams.txt\" }",
            "examples/business-hours" => "",
            _ => "assets = { anchors = \"anchors.pem\" }",
        };
        let component = path.with_extension("wasm");
        sections.push_str(&format!("[policies.{name}]\ncomponent = {component:?}\n{more}\n"));
        chain.push(name);
    }
    setup.write(
        "portcullis.toml",
        format!(
            "chain = {chain:?}\n[listen]\naddress = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\n\
             private-key = \"server.key\"\n{sections}"
        ),
    );
    Subject { name: name.to_owned(), setup, first: Vec::new(), later: Vec::new() }
}
