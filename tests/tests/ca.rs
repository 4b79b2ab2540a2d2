//! `portcullis ca` against openssl and curl, at a gate, killed at any moment, and in the face of mistakes.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use data_encoding::BASE64;
use portcullis_tests::client::{Tls, assert_refused, s_client};
use portcullis_tests::gate::{Gate, Setup, binary};
use portcullis_tests::pki::Identity;
use portcullis_tests::private_ca::{PrivateCa, Served};
use serde_json::Value;

/// Handshakes are made until something shows that cannot be waited for; so many are more than enough.
const MANY: usize = 100_000;

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

fn serial(value: &Value) -> String {
    value["serial_number"].as_str().unwrap().to_owned()
}

/// The serial numbers in the CRL's file, as openssl reads it once it has verified it.
#[track_caller]
fn revoked(ca: &PrivateCa) -> HashSet<String> {
    let output = ca.openssl("crl -in ca/ca.crl -CAfile ca/ca.pem -noout -text");
    let text = text(&output);
    assert!(output.status.success() && text.contains("verify OK"), "{text}");
    let serials = text.lines().filter_map(|line| line.trim().strip_prefix("Serial Number: "));
    serials.map(str::to_ascii_lowercase).collect()
}

#[test]
fn openssl_verifies_certificates_crl_and_answers_of_every_kind_of_key() {
    for key in ["p256", "p384", "ed25519", "rsa2048"] {
        let ca = PrivateCa::new(&["--key-type", key, "--name", "Test CA"]);
        let good = ca.json(&["issue", "good", "--key-type", key, "--dns", "good.example.org"]);
        let bad = ca.json(&["issue", "bad"]);
        ca.json(&["issue", "server", "--server", "--dns", "localhost", "--ip", "127.0.0.1"]);
        ca.json(&["revoke", &serial(&bad), "--reason", "keyCompromise"]);
        assert_eq!(revoked(&ca), HashSet::from([serial(&bad)]), "{key}");
        let verify = "verify -x509_strict -CAfile ca/anchor.pem -CRLfile ca/ca.crl -crl_check";
        let verified = ca.openssl(&format!("{verify} -purpose sslclient good.pem"));
        assert!(verified.status.success(), "{key}: {}", text(&verified));
        let read = ca.openssl("pkey -in good.key -noout");
        assert!(read.status.success(), "{key}: {}", text(&read));
        let verified =
            ca.openssl(&format!("{verify} -purpose sslserver -verify_ip 127.0.0.1 server.pem"));
        assert!(verified.status.success(), "{key}: {}", text(&verified));
        let refused = text(&ca.openssl(&format!("{verify} bad.pem")));
        assert!(refused.contains("certificate revoked"), "{key}: {refused}");
        let served = ca.serve();
        assert_eq!(ocsp(&ca, &served, "-cert good.pem"), "good", "{key}");
        assert_eq!(ocsp(&ca, &served, "-cert bad.pem"), "revoked", "{key}");
        assert_eq!(ocsp(&ca, &served, "-sha256 -cert bad.pem"), "revoked", "{key}");
        assert_eq!(ocsp(&ca, &served, "-serial 0x1234"), "unknown", "{key}");
        // Another process revokes, and the next answer has it.
        ca.json(&["revoke", &serial(&good)]);
        assert_eq!(ocsp(&ca, &served, "-cert good.pem"), "revoked", "{key}");
    }
}

/// The status that `openssl ocsp` reads, once it has verified the answer and its nonce.
#[track_caller]
fn ocsp(ca: &PrivateCa, served: &Served, certificate: &str) -> String {
    let url = served.ocsp();
    let ask = format!("ocsp -CAfile ca/anchor.pem -issuer ca/ca.pem -url {url} {certificate}");
    let text = text(&ca.openssl(&ask));
    assert!(text.contains("Response verify OK"), "{text}");
    assert!(!text.contains("no nonce"), "{text}");
    let status = text.lines().find_map(|line| {
        line.split_once(": ").filter(|(of, _)| of.ends_with(".pem") || of.starts_with("0x"))
    });
    status.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

#[test]
fn the_crl_and_ocsp_answers_are_served_over_http_and_nothing_else_is() {
    let ca = PrivateCa::new(&[]);
    let _ = ca.issue("client", &[]);
    let served = ca.serve();
    let root = format!("http://{}", served.address());
    curl(&ca, &["--fail", "--output", "served.crl", &format!("{root}/ca.crl")]);
    let crl = ca.openssl("crl -inform DER -in served.crl -CAfile ca/ca.pem -noout");
    assert!(text(&crl).contains("verify OK"), "{}", text(&crl));

    let made = ca.openssl("ocsp -issuer ca/ca.pem -cert client.pem -reqout request.der");
    assert!(made.status.success(), "{}", text(&made));
    let request = BASE64.encode(&fs::read(ca.path("request.der")).unwrap());
    let escaped = request.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    for path in [&request, &escaped] {
        curl(&ca, &["--fail", "--output", "answer.der", &format!("{root}/ocsp/{path}")]);
        let read = "ocsp -respin answer.der -no_nonce -CAfile ca/anchor.pem -issuer ca/ca.pem";
        let answer = text(&ca.openssl(&format!("{read} -cert client.pem")));
        assert!(answer.contains("Response verify OK") && answer.contains("good"), "{answer}");
    }

    let status = |arguments: &[&str]| {
        let write = ["--output", "nothing", "--write-out", "%{http_code}"];
        curl(&ca, &[&write, arguments].concat())
    };
    assert_eq!(status(&[&format!("{root}/")]), "404");
    assert_eq!(status(&[&format!("{root}/ca.key")]), "404");
    assert_eq!(status(&["--path-as-is", &format!("{root}/../ca/ca.key")]), "404");
    assert_eq!(status(&[&format!("{root}/ocsp/%%%")]), "404");
    // One byte too much: what a server does not read of a longer one may cost the client its answer.
    fs::write(ca.path("large"), vec![0x30; 16 * 1024 + 1]).unwrap();
    assert_eq!(status(&["--data-binary", "@large", &format!("{root}/ocsp")]), "413");
    // An error of OCSP is an answer over HTTP (RFC 6960, appendix A.2).
    let long = format!("{root}/ocsp/{}", "A".repeat(24 * 1024));
    let ocsp = format!("{root}/ocsp");
    for arguments in [&[long.as_str()][..], &["--data-binary", "garbage", &ocsp]] {
        curl(&ca, &[&["--fail", "--output", "answer.der"], arguments].concat());
        let answer = fs::read(ca.path("answer.der")).unwrap();
        assert_eq!(answer, [0x30, 3, 0x0a, 1, 1], "malformedRequest");
    }
}

#[track_caller]
fn curl(ca: &PrivateCa, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*"]).args(arguments);
    let output = command.current_dir(ca.path("")).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_gate_lets_an_issued_client_in_until_it_is_revoked() {
    let ca = PrivateCa::new(&[]);
    let (leaver, stayer) = (ca.issue("leaver", &[]), ca.issue("stayer", &["--single-file"]));
    let stayer = Identity { key: stayer.chain.clone(), ..stayer };
    let sections = format!("files = [{:?}]\nfile-poll-seconds = 1", ca.path("ca/ca.crl"));
    let gate = gate(&ca, "[revocation.crl]", &sections);
    assert_accepted(&gate, &leaver);
    assert_accepted(&gate, &stayer);
    ca.json(&["revoke", leaver.certificate.to_str().unwrap(), "--reason", "superseded"]);
    let refused = (0..MANY).find_map(|_| {
        let alert = s_client(&gate, Tls::V1_3, Some(&leaver));
        let audit = gate.next_audit();
        alert.map(|_| audit)
    });
    assert_eq!(refused.unwrap()["code"], "revoked");
    assert_refused(s_client, &gate, Some(&leaver), ("revoked", "certificate_revoked"));
    assert_accepted(&gate, &stayer);
}

#[test]
fn a_gate_believes_the_ocsp_answers_and_insists_on_their_nonce() {
    let ca = PrivateCa::new(&[]);
    let served = ca.serve();
    let (good, bad) = (ca.issue("good", &[]), ca.issue("bad", &[]));
    ca.json(&["revoke", "bad.pem"]);
    let sections = format!(
        "responder = {:?}\nnonce = \"require\"\nwait-milliseconds = 600000\ntimeout-milliseconds = 600000",
        served.ocsp()
    );
    let gate = gate(&ca, "[revocation.ocsp]", &sections);
    assert_accepted(&gate, &good);
    assert_refused(s_client, &gate, Some(&bad), ("revoked", "certificate_revoked"));
}

/// A gate that trusts the authority and asks about revocation in this way.
fn gate(ca: &PrivateCa, section: &str, keys: &str) -> Gate {
    let anchors = ca.path("ca/anchor.pem");
    let sections = format!(
        "handshake-timeout-ms = 600000\n\
         [policies.ca-chain]\nassets = {{ anchors = {anchors:?} }}\n\
         [policies.revocation]\nassets = {{ anchors = {anchors:?} }}\n{section}\n{keys}"
    );
    Setup::new().start(r#"["ca-chain", "revocation"]"#, &sections)
}

#[track_caller]
fn assert_accepted(gate: &Gate, identity: &Identity) {
    let seen = s_client(gate, Tls::V1_3, Some(identity));
    let audit = gate.next_audit();
    assert_eq!(seen, None, "{audit}");
    assert_eq!(audit["verdict"], "accepted", "{audit}");
}

#[test]
fn processes_that_are_killed_lose_nothing_and_repeat_no_serial_number() {
    let ca = PrivateCa::new(&[]);
    let (mut killed, mut handed_out) = (0, Vec::new());
    for round in 0..5 {
        let names: Vec<_> = (0..10).map(|number| format!("client-{round}-{number}")).collect();
        let files: Vec<_> = handed_out.iter().map(|name| format!("{name}.pem")).collect();
        let mut commands: Vec<Vec<&str>> = Vec::new();
        for (position, name) in names.iter().enumerate() {
            commands.push(vec!["issue", name]);
            commands.extend(files.get(position).map(|file| vec!["revoke", file.as_str()]));
        }
        // So that of the pairs that are run side by side, each command is once the one that is killed.
        commands.rotate_left(round % 2);
        let number = crl_number(&ca);
        let (printed, ended) = run_and_kill(&ca, &commands);
        killed += ended;

        // The next command finishes what was left: the CRL's file and the index agree.
        let listed = ca.list();
        let known: HashSet<String> = listed.iter().map(serial).collect();
        assert_eq!(known.len(), listed.len(), "no serial number is repeated");
        let revoked_there: HashSet<String> =
            listed.iter().filter(|value| value["status"] == "revoked").map(serial).collect();
        assert_eq!(revoked(&ca), revoked_there);
        assert_eq!(crl_number(&ca) > number, round > 0);
        // What was said to be done is done.
        for value in printed {
            let there = if value["reason"].is_string() { &revoked_there } else { &known };
            assert!(there.contains(&serial(&value)), "{value}");
        }
        // Every certificate that is somewhere is in the index, whoever was killed, and is whole.
        handed_out =
            names.into_iter().filter(|name| ca.path(&format!("{name}.pem")).exists()).collect();
        for name in &handed_out {
            let read = text(&ca.openssl(&format!("x509 -in {name}.pem -noout -serial -pubkey")));
            let serial = read.lines().find_map(|line| line.strip_prefix("serial="));
            assert!(known.contains(&serial.unwrap().to_ascii_lowercase()), "{name}: {read}");
            let public = text(&ca.openssl(&format!("pkey -in {name}.key -pubout")));
            assert!(read.contains(&public), "the key of {name}");
        }
        assert!(handed_out.len() >= 5, "those that nobody killed, at least: {handed_out:?}");
    }
    assert!(killed > 0, "somebody was killed on the way");
}

/// Runs all of the commands at once and kills every second one as the one beside it ends. What those printed that ended
/// well, and how many did not live to their end.
fn run_and_kill(ca: &PrivateCa, commands: &[Vec<&str>]) -> (Vec<Value>, usize) {
    let mut children: Vec<_> =
        commands.iter().map(|arguments| ca.command(arguments).spawn().unwrap()).collect();
    let (mut printed, mut killed) = (Vec::new(), 0);
    while let Some(survivor) = children.pop() {
        let victim = children.pop();
        let output = survivor.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        printed.push(serde_json::from_slice(&output.stdout).unwrap());
        if let Some(mut victim) = victim {
            victim.kill().unwrap();
            let output = victim.wait_with_output().unwrap();
            match output.status.success() {
                true => printed.push(serde_json::from_slice(&output.stdout).unwrap()),
                false => killed += 1,
            }
        }
    }
    (printed, killed)
}

fn crl_number(ca: &PrivateCa) -> u64 {
    let text = text(&ca.openssl("crl -in ca/ca.crl -noout -crlnumber"));
    u64::from_str_radix(text.trim().strip_prefix("crlNumber=0x").unwrap(), 16).unwrap()
}

#[test]
fn no_key_is_readable_by_others_whatever_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), "a password\n").unwrap();
    for arguments in [
        "init",
        "issue pair",
        "issue single --single-file",
        "issue twelve --pkcs12 --password-file password",
        "renew pair.pem",
        "renew single.pem",
        "revoke pair.pem",
    ] {
        let mut command = Command::new("sh");
        command.args(["-c", "umask 000; exec \"$0\" ca \"$@\""]).arg(binary());
        command.args(arguments.split(' ')).current_dir(folder.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", text(&output));
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("ca")), 0o700);
    let mut private = 0;
    for directory in [folder.path().to_owned(), folder.path().join("ca")] {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let Ok(bytes) = fs::read(&path) else { continue };
            let pkcs12 = path.extension().is_some_and(|ending| ending == "p12");
            if pkcs12 || bytes.windows(11).any(|window| window == b"PRIVATE KEY") {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
                private += 1;
            }
        }
    }
    assert_eq!(private, 4, "the authority's, two in PEM and one in PKCS #12");
}

#[test]
fn a_request_gets_a_certificate_for_its_key_and_the_names_that_the_operator_gives() {
    let ca = PrivateCa::new(&[]);
    let new =
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.csr";
    let made = ca.openssl(&format!(
        "{new} -subj /CN=admin -addext subjectAltName=DNS:admin.example.org -addext basicConstraints=CA:TRUE"
    ));
    assert!(made.status.success(), "{}", text(&made));
    let issued = ca.json(&["issue", "client", "--csr", "own.csr", "--dns", "client.example.org"]);
    assert_eq!(issued["key"], Value::Null);
    assert!(!ca.path("client.key").exists());
    let shown = text(&ca.openssl("x509 -in client.pem -noout -text -pubkey"));
    assert!(shown.contains("DNS:client.example.org"), "{shown}");
    assert!(!shown.contains("admin") && !shown.contains("CA:TRUE"), "{shown}");
    let own = text(&ca.openssl("pkey -in own.key -pubout"));
    assert!(shown.contains(&own), "the key of the request");
    // Renewed, it keeps the key, which the authority never had.
    ca.json(&["renew", "client.pem"]);
    assert!(text(&ca.openssl("x509 -in client.pem -noout -pubkey")).contains(&own));
    assert_eq!(ca.list().len(), 2);
}

#[test]
fn requests_with_weak_keys_or_without_proof_of_the_key_are_refused_and_nothing_is_issued() {
    let ca = PrivateCa::new(&[]);
    let made =
        ca.openssl("req -new -newkey rsa:1024 -nodes -keyout k -out weak.csr -subj /CN=weak");
    assert!(made.status.success(), "{}", text(&made));
    let made = ca.openssl(
        "req -new -newkey rsa:2048 -nodes -keyout k -out good.csr -outform DER -subj /CN=a",
    );
    assert!(made.status.success(), "{}", text(&made));
    let mut stolen = fs::read(ca.path("good.csr")).unwrap();
    *stolen.last_mut().unwrap() ^= 1;
    fs::write(ca.path("stolen.csr"), stolen).unwrap();
    fs::write(ca.path("garbage.csr"), [0x30; 100]).unwrap();
    fs::write(ca.path("large.csr"), vec![0x30; 100_000]).unwrap();
    fs::write(ca.path("empty.csr"), "").unwrap();
    for file in ["weak.csr", "stolen.csr", "garbage.csr", "large.csr", "empty.csr", "none.csr"] {
        let mistake = ca.mistake(&["issue", "client", "--csr", file]);
        assert_eq!(mistake["file"], file, "{mistake}");
        assert_eq!(mistake["key"], "--csr", "{mistake}");
    }
    assert!(!ca.path("client.pem").exists());
    assert_eq!(ca.list().len(), 0);
    ca.json(&["issue", "client", "--csr", "good.csr"]);
}

#[test]
fn renewing_a_file_replaces_it_as_it_was() {
    let ca = PrivateCa::new(&[]);
    let (pair, single) = (ca.issue("pair", &[]), ca.issue("single", &["--single-file"]));
    let before = [&pair.chain, &pair.key, &single.chain].map(|path| fs::read(path).unwrap());
    ca.json(&["renew", "pair.pem"]);
    ca.json(&["renew", "single.pem"]);
    let after = [&pair.chain, &pair.key, &single.chain].map(|path| fs::read(path).unwrap());
    assert!(before.iter().zip(&after).all(|(before, after)| before != after));
    assert!(!ca.path("single.key").exists(), "the key stays in the file");
    for (certificate, key) in [("pair.pem", "pair.key"), ("single.pem", "single.pem")] {
        let public = text(&ca.openssl(&format!("pkey -in {key} -pubout")));
        let certified = text(&ca.openssl(&format!("x509 -in {certificate} -noout -pubkey")));
        assert_eq!(public, certified);
    }
    ca.json(&["revoke", "pair.pem"]);
    let mistake = ca.mistake(&["renew", "pair.pem"]);
    assert!(mistake["hint"].is_string(), "{mistake}");
    assert_eq!(fs::read(&pair.chain).unwrap(), after[0], "nothing is replaced");
}

#[test]
fn pkcs12_is_read_by_openssl_and_its_password_is_not_on_the_command_line() {
    let ca = PrivateCa::new(&[]);
    fs::write(ca.path("password"), "correct horse\nsecond line\n").unwrap();
    ca.json(&["issue", "client", "--pkcs12", "--password-file", "password"]);
    let mut openssl = Command::new("openssl");
    openssl.args(["pkcs12", "-in", "client.p12", "-nodes", "-passin", "pass:correct horse"]);
    let shown = text(&openssl.current_dir(ca.path("")).output().unwrap());
    assert!(shown.contains("PRIVATE KEY") && shown.contains("CN = client"), "{shown}");
    let mut command = ca.command(&["issue", "other", "--pkcs12"]);
    command.env("PORTCULLIS_PKCS12_PASSWORD", "from the environment");
    assert!(command.output().unwrap().status.success());
    assert_eq!(ca.mistake(&["issue", "a", "--pkcs12"])["key"], "--pkcs12");
    fs::write(ca.path("empty"), "\n").unwrap();
    assert_eq!(
        ca.mistake(&["issue", "a", "--pkcs12", "--password-file", "empty"])["file"],
        "empty"
    );
    assert_eq!(ca.list().len(), 2);
}

#[test]
fn an_authority_below_a_root_issues_chains_that_openssl_and_a_gate_accept() {
    let ca = PrivateCa::new(&["--path-length", "1", "--name", "Root"]);
    ca.json(&["init", "--dir", "issuing", "--intermediate-of", "ca", "--name", "Issuing"]);
    let client = ca.issue("client", &["--dir", "issuing"]);
    assert_eq!(
        fs::read(ca.path("issuing/anchor.pem")).unwrap(),
        fs::read(ca.path("ca/ca.pem")).unwrap()
    );
    let crls = [ca.path("ca/ca.crl"), ca.path("issuing/ca.crl")];
    fs::write(
        ca.path("both.crl"),
        crls.each_ref().map(|path| fs::read_to_string(path).unwrap()).concat(),
    )
    .unwrap();
    let verify = "verify -x509_strict -CAfile issuing/anchor.pem -untrusted issuing/chain.pem -CRLfile both.crl -crl_check_all client.pem";
    let verified = ca.openssl(verify);
    assert!(verified.status.success(), "{}", text(&verified));
    let gate = gate(&ca, "[revocation.crl]", &format!("files = {crls:?}"));
    assert_accepted(&gate, &client);
    // The root knows of the authority, and can revoke it.
    ca.json(&["revoke", "issuing/ca.pem", "--reason", "cACompromise"]);
    assert_eq!(revoked(&ca).len(), 1);
    let mistake = ca.mistake(&["init", "--dir", "third", "--intermediate-of", "issuing"]);
    assert_eq!(mistake["key"], "--path-length", "{mistake}");
}

#[test]
fn names_are_kept_to_what_the_authority_was_made_for() {
    let ca = PrivateCa::new(&[
        "--permit-dns",
        "example.org",
        "--permit-ip",
        "10.0.0.0/8",
        "--permit-spiffe",
        "example.org",
    ]);
    let _ = ca.issue(
        "good",
        &["--dns", "a.example.org", "--ip", "10.1.2.3", "--spiffe", "spiffe://example.org/a"],
    );
    let verified = ca.openssl("verify -x509_strict -CAfile ca/anchor.pem good.pem");
    assert!(verified.status.success(), "{}", text(&verified));
    for (option, name) in
        [("--dns", "a.example.com"), ("--ip", "192.0.2.1"), ("--spiffe", "spiffe://example.com/a")]
    {
        let mistake = ca.mistake(&["issue", "bad", option, name]);
        assert_eq!(mistake["file"], "ca", "{mistake}");
    }
    assert_eq!(ca.list().len(), 1);
    assert!(!ca.path("bad.key").exists());
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let ca = PrivateCa::new(&[]);
    let _ = ca.issue("client", &[]);
    let key = fs::read(ca.path("client.key")).unwrap();
    assert_eq!(ca.mistake(&["issue", "client"])["file"], "client.pem");
    fs::remove_file(ca.path("client.pem")).unwrap();
    assert_eq!(ca.mistake(&["issue", "client"])["file"], "client.key");
    assert_eq!(fs::read(ca.path("client.key")).unwrap(), key);
    assert_eq!(ca.mistake(&["init"])["file"], "ca");
    assert_eq!(ca.list().len(), 1, "and nothing is issued that cannot be written");
}

#[test]
fn mistakes_name_the_file_and_the_way_out() {
    let ca = PrivateCa::new(&[]);
    let client = ca.issue("client", &[]);
    let other = PrivateCa::new(&["--name", "Other"]);
    let file = |arguments: &[&str]| {
        let mistake = ca.mistake(arguments);
        (mistake["file"].as_str().unwrap().to_owned(), mistake["hint"].is_string())
    };
    let with_hint = |file: &str| (file.to_owned(), true);
    assert_eq!(file(&["list", "--dir", "nowhere"]), with_hint("nowhere"));
    assert_eq!(file(&["revoke", "123456"]), with_hint("ca"));
    assert_eq!(file(&["revoke", "no such thing"]), with_hint("ca"));
    assert_eq!(file(&["issue", "a", "--ttl", "60d"]), with_hint("ca"));
    let foreign = ca.path("foreign.pem");
    fs::copy(other.issue("client", &[]).certificate, &foreign).unwrap();
    assert_eq!(file(&["revoke", "foreign.pem"]).0, "foreign.pem");
    assert_eq!(file(&["revoke", "client.key"]).0, "client.key");
    assert_eq!(revoked(&ca).len(), 0);

    let key = ca.path("ca/ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(file(&["issue", "a"]), with_hint("ca/ca.key"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let own = fs::read(&key).unwrap();
    fs::write(&key, fs::read(other.path("ca/ca.key")).unwrap()).unwrap();
    assert_eq!(file(&["issue", "a"]), with_hint("ca/ca.pem"));
    fs::write(&key, "garbage").unwrap();
    assert_eq!(file(&["issue", "a"]), with_hint("ca/ca.key"));
    fs::write(&key, own).unwrap();
    ca.json(&["revoke", client.certificate.to_str().unwrap()]);

    let index = ca.path("ca/index.sqlite");
    let good = fs::read(&index).unwrap();
    fs::write(&index, vec![0x55; good.len()]).unwrap();
    assert_eq!(file(&["list"]), with_hint("ca/index.sqlite"));
    fs::write(&index, &good[..4096]).unwrap();
    assert_eq!(file(&["issue", "a"]), with_hint("ca/index.sqlite"));
    fs::remove_file(&index).unwrap();
    assert_eq!(file(&["issue", "a"]), with_hint("ca"));
    assert!(!index.exists(), "no empty index takes the place of a lost one");
    fs::write(&index, good).unwrap();
    assert_eq!(ca.list()[0]["status"], "revoked");
}
