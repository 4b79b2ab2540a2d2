//! `portcullis replay` as its users call it, with recordings that are not what they should be.
#![allow(clippy::expect_used, clippy::panic, reason = "this is how a test fails")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use portcullis_pki::{Authority, Profile, write_private, write_public};
use portcullis_recording::{
    FileHeader, Reader, Record, RecordedDecision, RecordedVerdict, file_of_one,
};
use portcullis_tests::{guest, judge};
use serde_json::{Value, json};
use tempfile::TempDir;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let root = Profile::authority("Test", judge::VALIDITY);
    let authority = Authority::root(&root).expect("a root");
    let server = Profile::server("gate", Vec::new(), judge::VALIDITY);
    let server = authority.issue(&server).expect("issued");
    write_public(&path("server.pem"), &server.chain_pem).expect("written");
    write_private(&path("server.key"), &server.key_pem).expect("written");
    std::fs::write(path("gate.wasm"), guest::policy("rejects-with-the-common-name"))
        .expect("written");
    let config = "chain = [\"gate\"]\n[listen]\naddress = \"127.0.0.1:0\"\n\
                  certificate = \"server.pem\"\nprivate-key = \"server.key\"\n";
    std::fs::write(path("portcullis.toml"), config).expect("written");
    folder
}

fn replay(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .current_dir(folder)
        .args(["replay", "--plugins", ".", "--format", "json"])
        .args(arguments)
        .output()
        .expect("it runs")
}

fn json_of(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"))
}

/// A recording of one handshake, which was accepted.
fn recording() -> Vec<u8> {
    let header =
        FileHeader { created: judge::NOW, host_version: "0".to_owned(), policies: Vec::new() };
    let verdict =
        RecordedVerdict::Accepted { principal: None, attributes: Vec::new(), valid_until: None };
    let record = Record {
        certificates: vec![judge::certificate()],
        time: judge::NOW,
        peer_address: SocketAddr::from(([192, 0, 2, 1], 49152)).into(),
        server_name: None,
        answers: Vec::new(),
        answers_complete: true,
        decision: RecordedDecision { verdict, policies: Vec::new() },
    };
    file_of_one(&header, &record).expect("a file")
}

#[test]
fn a_client_without_a_principal_is_named_by_its_subject() {
    let folder = folder();
    std::fs::write(folder.path().join("one.recording"), recording()).expect("written");
    let output = replay(folder.path(), &["one.recording"]);
    let report = json_of(&output);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    assert_eq!(report["lost"]["groups"][0]["who"], "CN=alice");
    assert_eq!(report["lost"]["groups"][0]["policy"], "gate");
    assert_eq!(report["policies"], json!([{ "policy": "gate", "compared": ["new"] }]));
}

#[test]
fn what_is_no_recording_of_this_version_exits_with_2_and_is_named() {
    let folder = folder();
    let mut other_version = recording();
    other_version[8] += 1;
    for (name, content) in
        [("empty", Vec::new()), ("other", b"garbage".to_vec()), ("version", other_version)]
    {
        std::fs::write(folder.path().join(name), content).expect("written");
        let output = replay(folder.path(), &[name]);
        let report = json_of(&output);
        assert_eq!(output.status.code(), Some(2), "{report:#}");
        assert_eq!((&report["judged"], &report["damaged"]), (&json!(0), &json!(1)));
        assert_eq!(report["damages"][0]["file"], name);
    }
}

#[test]
fn a_damaged_record_is_named_and_costs_no_other() {
    let folder = folder();
    let one = recording();
    let mut reader = Reader::new(&one[..]).expect("a recording");
    let start = reader.next().expect("a record").expect("whole").offset;
    let record = &one[usize::try_from(start).expect("small")..];
    let whole = [&one[..], record, record].concat();
    let mut damaged = whole.clone();
    damaged[one.len() + record.len() - 1] ^= 1;
    std::fs::write(folder.path().join("whole"), &whole).expect("written");
    std::fs::write(folder.path().join("flipped"), &damaged).expect("written");
    std::fs::write(folder.path().join("torn"), &whole[..whole.len() - 1]).expect("written");

    let report = json_of(&replay(folder.path(), &["whole"]));
    assert_eq!((&report["judged"], &report["damaged"]), (&json!(3), &json!(0)));
    for (file, offset) in [("flipped", one.len()), ("torn", one.len() + record.len())] {
        let output = replay(folder.path(), &["whole", file]);
        let report = json_of(&output);
        assert_eq!(output.status.code(), Some(2), "{report:#}");
        assert_eq!((&report["judged"], &report["damaged"]), (&json!(5), &json!(1)), "{report:#}");
        assert_eq!(report["damages"][0]["file"], file);
        assert_eq!(report["damages"][0]["offset"], offset);
        let skipping = replay(folder.path(), &["whole", file, "--skip-damaged"]);
        assert_eq!(skipping.status.code(), Some(1), "the others lose access");
    }
}

#[test]
fn a_file_that_is_missing_and_a_folder_without_recordings_exit_with_2() {
    let folder = folder();
    for name in ["absent", "."] {
        let output = replay(folder.path(), &[name]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(json_of(&output)["error"]["file"], name);
    }
}
