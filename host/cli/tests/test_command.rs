//! `portcullis test` as its users call it.
#![allow(clippy::expect_used, clippy::panic, reason = "this is how a test fails")]

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use portcullis_tests::gate::component;
use portcullis_tests::guest;
use serde_json::Value;
use tempfile::TempDir;

/// Long enough for any machine: who waits so long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A policy that rejects with the common name: one case passes, one fails, and a comment stands behind each.
const SUITE: &str = "# What the policy answers.
chain = [\"gate\"]

[policies.gate]
component = \"gate.wasm\"

[certificates.expired]

[[case]]
name = \"the common name is the code\"
present = \"expired\"
reject = \"expired\" # of course

[[case]]
name = \"another code\"
present = \"expired\"
reject = { code = \"revoked\", policy = \"gate\" } # not at all
";

/// A folder with a suite and its component.
struct Folder(TempDir);

impl Folder {
    fn new(suite: &str) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("suite.toml", suite);
        folder.write("gate.wasm", guest::policy("rejects-with-the-common-name"));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("written");
    }

    fn suite(&self) -> String {
        std::fs::read_to_string(self.path("suite.toml")).expect("the suite")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.current_dir(self.0.path()).arg("test").args(arguments).stdin(Stdio::null());
        command
    }

    fn test(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

#[track_caller]
fn assert_exit(output: &Output, code: i32) {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}\n{stderr}");
}

#[test]
fn each_case_has_a_line_and_a_failure_shows_what_was_expected_and_what_was_got() {
    let output = Folder::new(SUITE).test(&[]);
    assert_exit(&output, 1);
    let said = text(&output.stdout);
    assert!(said.contains("case the common name is the code ... ok\n"), "{said}");
    assert!(said.contains("case another code ... FAILED\n    verdict: expected rejected with `revoked` by `gate`\n"), "{said}");
    assert!(said.contains("got      rejected with `expired` by `gate`"), "{said}");
    assert!(said.contains("\n1 passed; 1 failed\n"), "{said}");
}

#[test]
fn when_all_that_were_selected_pass_it_succeeds() {
    let output = Folder::new(SUITE).test(&["--filter", "common", "--format", "json"]);
    assert_exit(&output, 0);
    let report = json(&output);
    assert_eq!((&report["passed"], &report["failed"]), (&1.into(), &0.into()));
    assert_eq!(report["suites"][0]["cases"][0]["name"], "the common name is the code");
}

#[test]
fn a_selection_of_nothing_is_a_mistake() {
    assert_exit(&Folder::new(SUITE).test(&["--filter", "no such case"]), 2);
}

#[test]
fn a_folder_without_a_suite_is_a_mistake() {
    let folder = Folder::new(SUITE);
    std::fs::remove_file(folder.path("suite.toml")).expect("removed");
    assert_exit(&folder.test(&[]), 2);
}

#[test]
fn a_bad_suite_and_a_missing_component_exit_with_2_and_point_at_the_line() {
    for (suite, line) in [
        (SUITE.replace("present", "presents"), 11),
        (SUITE.replace("gate.wasm", "absent.wasm"), 5),
        (
            SUITE.replace(
                "[certificates.expired]",
                "[policies.gate.assets]\nx = \"gate.wasm\"\n[certificates.expired]",
            ),
            4,
        ),
    ] {
        let output = Folder::new(&suite).test(&["--format", "json"]);
        assert_exit(&output, 2);
        assert_eq!(json(&output)["error"]["line"], line, "{suite}");
    }
}

#[test]
fn a_run_repeats_to_the_letter() {
    let folder = Folder::new(SUITE);
    let run = || text(&folder.test(&[]).stdout);
    assert_eq!(run(), run());
}

#[test]
fn a_policy_that_does_not_end_is_cut_by_what_it_did_and_not_by_the_clock() {
    let suite = "chain = [\"gate\"]\n[policies.gate]\ncomponent = \"gate.wasm\"\ndeadline-ms = 1\n\
                 [certificates.client]\n[[case]]\nname = \"endless\"\npresent = \"client\"\n\
                 reject = { code = \"policy-timeout\", policy = \"gate\" }\n";
    let folder = Folder::new(suite);
    folder.write("gate.wasm", guest::policy("evaluate-loops"));
    assert_exit(&folder.test(&[]), 0);
}

#[test]
fn junit_tells_failures_apart_and_is_for_tests_only() {
    let folder = Folder::new(SUITE);
    let output = folder.test(&["--format", "junit"]);
    assert_exit(&output, 1);
    let xml = text(&output.stdout);
    assert!(xml.starts_with("<?xml"), "{xml}");
    assert!(xml.contains("tests=\"2\"") && xml.contains("failures=\"1\""), "{xml}");
    assert_eq!(xml.matches("<failure ").count(), 1, "{xml}");
    let mut check = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    assert_exit(&check.args(["check", "--format", "junit"]).output().expect("it runs"), 2);
}

#[test]
fn update_writes_nothing_when_nobody_can_be_asked() {
    let folder = Folder::new(SUITE);
    assert_exit(&folder.test(&["--update"]), 2);
    assert_eq!(folder.suite(), SUITE);
}

#[test]
fn update_writes_what_was_got_and_leaves_the_rest_as_it_is() {
    let new = "\n[[case]]\nname = \"no expectation as yet\"\npresent = \"expired\"\n";
    let folder = Folder::new(&format!("{SUITE}{new}"));
    assert_exit(&folder.test(&["--update", "--yes"]), 0);
    let expected = SUITE.replace("\"revoked\"", "\"expired\"");
    let written = "reject = { code = \"expired\", policy = \"gate\" }\n";
    assert_eq!(folder.suite(), format!("{expected}{new}{written}"));
    assert_exit(&folder.test(&[]), 0);
}

#[test]
fn update_keeps_the_comments_within_and_above_an_expectation() {
    let suite = "chain = [\"gate\"] # one
[policies.gate]
component = \"gate.wasm\"
[certificates.expired]

# two
[[case]] # three
name = \"one\" # four
present = \"expired\"
[case.reject] # five
# six
code = \"revoked\" # seven
# eight
policy = \"gate\"
[[case.revocation]] # nine
certificate = \"expired\"
source = \"crl\"
status = \"good\"

[[case]]
name = \"two\"
# ten
accept = true # eleven
present = \"expired\"
";
    let folder = Folder::new(suite);
    assert_exit(&folder.test(&["--update", "--yes"]), 0);
    let updated = folder.suite();
    let expected = suite
        .replace("\"revoked\"", "\"expired\"")
        .replace("accept = true # eleven\npresent = \"expired\"\n", "present = \"expired\"\n# ten\nreject = { code = \"expired\", policy = \"gate\" } # eleven\n")
        .replace("name = \"two\"\n# ten\n", "name = \"two\"\n");
    assert_eq!(updated, expected);
}

#[test]
fn update_turns_a_rejection_into_an_acceptance_with_what_was_established() {
    let suite = "chain = [\"pin-list\"]\n[policies.pin-list]\ncomponent = \"pin-list.wasm\"\n\
                 assets = { pins = { text = \"spki-sha256 {{spki-sha256:client}} label=x\" } }\n\
                 [certificates.client]\n[[case]]\nname = \"one\"\npresent = \"client\"\nreject = \"not-pinned\"\n";
    let folder = Folder::new(suite);
    folder.write("pin-list.wasm", component("pin-list"));
    assert_exit(&folder.test(&["--update", "--yes"]), 0);
    let updated = folder.suite();
    assert!(updated.contains("accept = {") && !updated.contains("reject"), "{updated}");
    assert!(updated.contains("\"pin-list.label\" = \"x\""), "{updated}");
    assert_exit(&folder.test(&[]), 0);
}

#[test]
fn coverage_lists_what_no_case_exercised_and_fails_only_when_it_is_required() {
    let suite = "chain = [\"pin-list\"]\n[policies.pin-list]\ncomponent = \"pin-list.wasm\"\n\
                 assets = { pins = { text = \"\" } }\n[certificates.client]\n\
                 [[case]]\nname = \"one\"\npresent = \"client\"\nreject = \"not-pinned\"\n";
    let folder = Folder::new(suite);
    folder.write("pin-list.wasm", component("pin-list"));
    let output = folder.test(&["--coverage", "--format", "json"]);
    assert_exit(&output, 0);
    let coverage = &json(&output)["coverage"][0];
    assert_eq!(coverage["policy"], "pin-list");
    assert_eq!(coverage["missing_codes"], serde_json::json!(["pin-expired"]));
    assert_eq!(coverage["missing_settings"], serde_json::json!(["principal = \"label\""]));
    assert_exit(&folder.test(&["--require-coverage"]), 1);
}

#[test]
fn a_configuration_is_tested_with_what_the_suite_puts_in_its_place() {
    let config = "chain = [\"pin-list\"]\n[listen]\naddress = \"127.0.0.1:0\"\ncertificate = \"absent.pem\"\n\
                  [policies.pin-list]\ncomponent = \"pin-list.wasm\"\nsettings = { principal = \"label\" }\n\
                  assets = { pins = \"absent.pins\" }\n";
    let suite = "config = \"../portcullis.toml\"\n\
                 [policies.pin-list]\nassets = { pins = { text = \"spki-sha256 {{spki-sha256:client}} label=ann\" } }\n\
                 [variants.nobody.policies.pin-list]\nsettings = { principal = \"none\" }\n\
                 [certificates.client]\n\
                 [[case]]\nname = \"as configured\"\npresent = \"client\"\naccept = { principal = \"ann\" }\n\
                 [[case]]\nname = \"otherwise\"\npresent = \"client\"\nvariant = \"nobody\"\naccept = { principal = \"\" }\n";
    let folder = Folder::new("");
    std::fs::remove_file(folder.path("suite.toml")).expect("removed");
    std::fs::create_dir(folder.path("suites")).expect("a folder");
    folder.write("portcullis.toml", config);
    folder.write("pin-list.wasm", component("pin-list"));
    folder.write("suites/pins.suite.toml", suite);
    assert_exit(&folder.test(&[]), 0);

    // Without it, what is missing is named with its place in the configuration.
    folder.write("suites/pins.suite.toml", suite.replace("[policies.pin-list]\nassets", "[x]\nassets").replace("[x]\nassets = { pins = { text = \"spki-sha256 {{spki-sha256:client}} label=ann\" } }\n", ""));
    let output = folder.test(&["--format", "json"]);
    assert_exit(&output, 2);
    let error = &json(&output)["error"];
    assert_eq!(error["key"], "policies.pin-list.assets.pins");
    assert_eq!(error["line"], 8);
}

#[test]
fn a_configuration_may_not_make_its_assets() {
    let config = "chain = [\"pin-list\"]\n[listen]\naddress = \"127.0.0.1:0\"\ncertificate = \"absent.pem\"\n\
                  [policies.pin-list]\ncomponent = \"pin-list.wasm\"\nassets = { pins = { text = \"\" } }\n";
    let folder = Folder::new(SUITE);
    folder.write("portcullis.toml", config);
    folder.write("pin-list.wasm", component("pin-list"));
    let mut check = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let check = check.current_dir(folder.0.path()).args(["check", "--format", "json"]);
    let output = check.output().expect("it runs");
    assert_exit(&output, 2);
    assert_eq!(json(&output)["error"]["key"], "policies.pin-list.assets.pins");
}

/// Ended when dropped.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

#[track_caller]
fn wait_for(lines: &Receiver<String>, wanted: &str) {
    loop {
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no `{wanted}`"));
        if line.contains(wanted) {
            return;
        }
    }
}

#[test]
fn watch_runs_again_when_the_suite_or_its_component_changes_and_outlives_mistakes() {
    let folder = Folder::new(SUITE);
    let mut command = folder.command(&["--watch"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut watching = Watching(child);
    let results = lines(watching.0.stdout.take().expect("its output"));
    let notes = lines(watching.0.stderr.take().expect("its errors"));
    wait_for(&results, "1 passed; 1 failed");
    wait_for(&notes, "watching 2 files");

    folder.write("suite.toml", "chain =");
    wait_for(&notes, "suite.toml:1:");
    wait_for(&notes, "watching 1 files");

    folder.write("suite.toml", SUITE.replace("\"revoked\"", "\"expired\""));
    wait_for(&results, "2 passed; 0 failed");
    wait_for(&notes, "watching 2 files");

    folder.write("gate.new", guest::policy_from(""));
    std::fs::rename(folder.path("gate.new"), folder.path("gate.wasm")).expect("renamed");
    wait_for(&results, "0 passed; 2 failed");
}
