//! Policies in every language as a new user writes them: `policy new`, `build`, `inspect`, `test`, and then a gate that
//! decides by them about a real client.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is how a test fails")]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_pki::{AltName, Authority, Profile};
use portcullis_tests::client::{Tls, assert_refused, curl, peers, s_client};
use portcullis_tests::gate::{Setup, binary, target};
use portcullis_tests::pki::{self, Identity};
use serde_json::Value;
use tempfile::TempDir;
use wit_component::DecodedWasm;

#[test]
fn a_new_policy_in_rust_decides_a_handshake() {
    Newcomer::new("names-in-rust", &["--language", "rust"]).goes_all_the_way();
}

#[test]
fn a_new_policy_in_python_decides_a_handshake() {
    let newcomer = Newcomer::new("names-in-python", &["--language", "python"]);
    newcomer.installs(&peers().componentize_py(), ".venv");
    newcomer.goes_all_the_way();
    assert!(
        newcomer.project().join("bindings/wit_world/__init__.py").exists(),
        "types for editors"
    );
}

#[test]
fn a_new_policy_in_javascript_decides_a_handshake() {
    let newcomer = Newcomer::new("names-in-javascript", &["--language", "javascript"]);
    newcomer.installs(&peers().componentize_js().join("node_modules"), "node_modules");
    newcomer.goes_all_the_way();
    newcomer.has_the_version_of_its_manifest("componentize-qjs");
}

/// It is larger and slower to compile than all the others together, so it is not run here.
#[test]
fn a_new_policy_for_the_larger_javascript_engine_builds_and_gets_all_that_it_imports() {
    let options = ["--language", "javascript", "--engine", "starlingmonkey"];
    let newcomer = Newcomer::new("names-in-javascript", &options);
    newcomer.installs(&peers().componentize_js().join("node_modules"), "node_modules");
    let component = newcomer.builds();
    let imports = imports(&std::fs::read(component).unwrap());
    let has = |prefix: &str| imports.iter().any(|import| import.starts_with(prefix));
    assert!(has("portcullis:policy/handshakes"), "{imports:?}");
    // What no policy gets, and this tool chain puts in unless it is told not to.
    assert!(!has("wasi:http/") && !has("wasi:sockets/"), "{imports:?}");
    newcomer.has_the_version_of_its_manifest("@bytecodealliance/componentize-js");
}

/// Somebody who has just made a project.
struct Newcomer {
    folder: TempDir,
    name: &'static str,
}

impl Newcomer {
    fn new(name: &'static str, options: &[&str]) -> Self {
        let newcomer = Self { folder: TempDir::new().unwrap(), name };
        newcomer.portcullis(&[&["policy", "new", name][..], options].concat());
        newcomer
    }

    fn project(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    /// What pip and npm would put into the project, from where `cargo xtask test` put it.
    fn installs(&self, fetched: &Path, name: &str) {
        assert!(
            fetched.exists(),
            "{} is missing: `cargo xtask test` fetches it",
            fetched.display()
        );
        symlink(std::path::absolute(fetched).unwrap(), self.project().join(name)).unwrap();
    }

    fn builds(&self) -> PathBuf {
        let built = self.portcullis(&["policy", "build", self.name, "--format", "json"]);
        self.folder.path().join(built["component"].as_str().unwrap())
    }

    fn goes_all_the_way(&self) {
        let component = self.builds();
        let inspection = self.portcullis(&[
            "policy",
            "inspect",
            component.to_str().unwrap(),
            "--format",
            "json",
        ]);
        assert_eq!(inspection["description"]["name"], self.name);
        assert_eq!(inspection["contract"], "1.0.0");
        assert_eq!(inspection["refusal"], Value::Null, "{inspection}");
        self.portcullis(&["test", self.name, "--require-coverage"]);
        self.has_a_gate_decide(&component);
    }

    fn has_a_gate_decide(&self, component: &Path) {
        let (setup, authority) = (Setup::new(), pki::root("Clients"));
        setup.write("anchors.pem", authority.certificate_pem());
        let gate = setup.start(
            &format!("[\"ca-chain\", \"{}\"]", self.name),
            &format!(
                "[policies.ca-chain]\nassets = {{ anchors = \"anchors.pem\" }}\n\
                 [policies.{}]\ncomponent = {component:?}\ndeadline-ms = 10000\n\
                 settings = {{ dns-names = [\"agent.example.org\"] }}\n",
                self.name
            ),
        );
        let agent = client(gate.setup().directory(), &authority, "agent.example.org");
        assert_eq!(s_client(&gate, Tls::V1_3, Some(&agent)), None, "{}", gate.next_audit());
        let audit = gate.next_audit();
        assert_eq!(audit["principal"], "agent.example.org", "{audit}");

        let stranger = client(gate.setup().directory(), &authority, "stranger.example.org");
        for audit in
            assert_refused(curl, &gate, Some(&stranger), ("name-not-listed", "access_denied"))
        {
            assert_eq!(audit["policy"], self.name, "{audit}");
        }
    }

    /// What is fetched for the tests is what a new project would get.
    fn has_the_version_of_its_manifest(&self, package: &str) {
        let json = |path: PathBuf| -> Value {
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
        };
        let wanted = json(self.project().join("package.json"))["devDependencies"][package].clone();
        let fetched = json(self.project().join("node_modules").join(package).join("package.json"));
        assert_eq!(fetched["version"], wanted, "tests/peers/componentize-js.json");
    }

    /// Runs the binary, which must succeed.
    fn portcullis(&self, arguments: &[&str]) -> Value {
        let output = Command::new(binary())
            .current_dir(self.folder.path())
            .args(arguments)
            // The next run finds the SDK compiled.
            .env("CARGO_TARGET_DIR", std::path::absolute(target()).unwrap().join("wasm-projects"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {said}{shown}");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }
}

fn client(directory: &Path, authority: &Authority, name: &str) -> Identity {
    let mut profile = Profile::client(name, pki::valid());
    profile.alt_names = vec![AltName::Dns(name.to_owned())];
    Identity::write(directory, name, &authority.issue(&profile).unwrap())
}

fn imports(component: &[u8]) -> Vec<String> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component).unwrap() else {
        return Vec::new();
    };
    let imports = resolve.worlds[world].imports.keys();
    imports.map(|key| resolve.name_world_key(key)).filter(|name| name.contains(':')).collect()
}
