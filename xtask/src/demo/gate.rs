//! The gate as a process, and its audit log.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::components;

/// A gate that listens. Ends with this.
pub(crate) struct Gate {
    child: Child,
    address: SocketAddr,
    log: BufReader<ChildStderr>,
}

impl Gate {
    /// Starts it and waits until clients can connect.
    pub(crate) fn start(binary: &Path, config: &Path) -> Result<Self> {
        let mut child = Command::new(binary)
            .args(["run", "--format", "json", "--log-format", "json", "--config"])
            .arg(config)
            .arg("--plugins")
            .arg(components::folder())
            .env_remove("PORTCULLIS_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut line)?;
        let mut log = BufReader::new(child.stderr.take().context("no standard error")?);
        let Ok(event) = serde_json::from_str::<Value>(&line) else {
            let mut said = String::new();
            std::io::Read::read_to_string(&mut log, &mut said)?;
            bail!("the gate did not start: {said}");
        };
        let address = event["address"].as_str().context("the gate did not say where it listens")?;
        Ok(Self { address: address.parse()?, child, log })
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The audit line of the next client.
    pub(crate) fn next_audit(&mut self) -> Result<Value> {
        loop {
            let mut line = String::new();
            ensure!(self.log.read_line(&mut line)? > 0, "the gate has ended");
            match serde_json::from_str::<Value>(&line) {
                Ok(event) if event["target"] == "portcullis::audit" => return Ok(event),
                Ok(_) => {}
                Err(_) => eprint!("{line}"),
            }
        }
    }

    /// Shows the audit lines of whoever comes, until the gate ends.
    pub(crate) fn wait(mut self) -> Result<()> {
        while let Ok(audit) = self.next_audit() {
            println!("{}", summary(&audit));
        }
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // It may have ended on its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What of an audit line fits on one.
pub(crate) fn summary(audit: &Value) -> String {
    let text = |key: &str| audit[key].as_str().unwrap_or("-").to_owned();
    let policies: Vec<Value> =
        serde_json::from_str(audit["policies"].as_str().unwrap_or("[]")).unwrap_or_default();
    let parts: Vec<String> = policies
        .iter()
        .map(|part| {
            let text = |key: &str| part[key].as_str().unwrap_or_default().to_owned();
            format!("{} {} {} µs", text("policy"), text("outcome"), part["elapsed_us"])
        })
        .collect();
    format!(
        "{} {} serial {:.8}… [{}]",
        text("verdict"),
        text("subject"),
        text("serial_number"),
        parts.join(", ")
    )
}
