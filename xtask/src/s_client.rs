//! `openssl s_client`, a TLS client that says which alert it got.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::components::root;

/// What a client presents.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The certificate, then those that it was issued by.
    pub chain: &'a Path,
    /// The key.
    pub key: &'a Path,
}

/// Connects to a gate that descends from `ca`, and waits for what it says: the number of its alert (RFC 8446, 6), or
/// nothing when it serves the client.
///
/// `options` are further options of s_client, `-tls1_2` for instance.
///
/// # Errors
/// When there is no openssl, or it sees neither an alert nor an answer.
pub fn knock(
    address: SocketAddr,
    ca: &Path,
    presented: Option<Presented<'_>>,
    options: &[&str],
) -> Result<Option<u8>> {
    let mut command = Command::new("openssl");
    // HTTP, so that the gate ends the connection of who comes in.
    command
        .env("OPENSSL_CONF", root().join("tests/peers/openssl.cnf"))
        .args(["s_client", "-quiet", "-alpn", "http/1.1"])
        .args(["-verify_return_error", "-verify_ip", "127.0.0.1", "-CAfile"])
        .arg(ca)
        .args(["-connect", &address.to_string()])
        .args(options);
    if let Some(Presented { chain, key }) = presented {
        command.arg("-cert").arg(chain).arg("-cert_chain").arg(chain).arg("-key").arg(key);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run openssl; please install it")?;
    // Kept open until the end: s_client leaves at the end of its input, before it hears the gate.
    let mut stdin = child.stdin.take().context("no standard input")?;
    // A client that is refused may be gone before it reads.
    let _ = stdin.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let output = child.wait_with_output().context("openssl did not end")?;
    drop(stdin);

    let said = String::from_utf8_lossy(&output.stderr);
    match said.split("SSL alert number ").nth(1).and_then(|rest| rest.split_whitespace().next()) {
        Some(number) => Ok(Some(number.parse()?)),
        None => {
            let answered = output.stdout.starts_with(b"HTTP/1.1 ");
            ensure!(answered, "openssl saw neither an alert nor an answer: {said}");
            Ok(None)
        }
    }
}

/// The name of an alert that a gate sends (RFC 8446, 6).
pub fn alert_name(number: u8) -> &'static str {
    match number {
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        48 => "unknown_ca",
        49 => "access_denied",
        51 => "decrypt_error",
        116 => "certificate_required",
        _ => "another alert",
    }
}
