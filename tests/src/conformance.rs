//! npm's `@modelcontextprotocol/conformance`, and what the way through a gate may change in its results.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::client::peers;
use crate::ledger::report;

/// How each check came out: its scenario and name, and the suite's word for it, with its complaint if it has one.
pub type Results = BTreeMap<String, String>;

/// Runs all that a revision requires against a server. `folder` is for the suite's files.
#[must_use]
pub fn run(url: &str, revision: &str, folder: &Path) -> Results {
    let peers = peers();
    let mut command = Command::new(peers.node());
    command
        .arg(peers.script("conformance"))
        .args(["server", "--url", url, "--requirements", revision, "--timeout", "15000", "-o"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Its exit code says whether the server passes all, which is the server's matter.
    command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut results = Results::new();
    for scenario in std::fs::read_dir(folder).expect("results of the suite").flatten() {
        let name = scenario.file_name().to_string_lossy().into_owned();
        // "server-ping-2026-11-24T10-48-08-478Z"
        let (name, _) = name.split_at(name.len().saturating_sub("-2026-11-24T10-48-08-478Z".len()));
        let checks = std::fs::read(scenario.path().join("checks.json")).expect("checks");
        let checks: Vec<Check> = serde_json::from_slice(&checks).expect("checks");
        for check in checks.into_iter().filter(|check| check.status != "INFO") {
            let complaint = check.error_message.unwrap_or_default().replace(url, "URL");
            let result = format!("{} {complaint}", check.status);
            results.insert(format!("{name}/{}", check.id), result.trim_end().to_owned());
        }
    }
    results
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    id: String,
    status: String,
    error_message: Option<String>,
}

/// Differences that are known, with their reasons: `tests/ledgers/conformance.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differences {
    #[serde(rename = "difference")]
    known: Vec<Difference>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// The server and the way to it: "everything over stdio".
    run: String,
    check: String,
    direct: String,
    through: String,
    reason: String,
}

impl Differences {
    /// Reads the ledger.
    #[must_use]
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ledgers/conformance.toml");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Compares line by line, and gives what the ledger has not, or has and is not so.
    #[must_use]
    pub fn faults(&self, run: &str, direct: &Results, through: &Results) -> Vec<String> {
        let nothing = "no such check".to_owned();
        let (mut same, mut faults) = (0, Vec::new());
        let mut known: Vec<_> = self.known.iter().filter(|known| known.run == run).collect();
        for check in
            direct.keys().chain(through.keys().filter(|check| !direct.contains_key(*check)))
        {
            let one = direct.get(check).unwrap_or(&nothing);
            let other = through.get(check).unwrap_or(&nothing);
            if one == other {
                same += 1;
                continue;
            }
            let expected = known.iter().position(|known| {
                known.check == *check && known.direct == *one && known.through == *other
            });
            match expected.map(|index| known.remove(index)) {
                Some(known) => report([format!("{run}: {check}: {other}: {}", known.reason)]),
                None => faults.push(format!("{run}: {check}: direct `{one}`, through `{other}`")),
            }
        }
        report([format!("{run}: {same} checks of {} are the same", direct.len())]);
        faults.extend(known.iter().map(|known| format!("{run}: {}: not so", known.check)));
        faults
    }
}
