//! `cargo xtask demo`: a private CA, a gate with two policies, MCP servers behind it, and clients of every kind.

mod client;
mod gate;
mod people;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use portcullis_pki::write_public;

use crate::demo::client::Client;
use crate::demo::gate::Gate;
use crate::demo::people::People;
use crate::{build, components, peers, s_client};

/// One client, and how it must fare.
struct Scene {
    name: &'static str,
    /// The files that it presents, by their name; none for a client without a certificate.
    identity: Option<&'static str>,
    /// The alert and the code in the audit log; none when it must come in.
    refused: Option<(&'static str, &'static str)>,
}

const SCENES: [Scene; 6] = [
    Scene { name: "accepted", identity: Some("agent"), refused: None },
    Scene {
        name: "no certificate",
        identity: None,
        refused: Some(("certificate_required", "no-certificate")),
    },
    Scene {
        name: "unknown CA",
        identity: Some("stranger"),
        refused: Some(("unknown_ca", "unknown-issuer")),
    },
    Scene {
        name: "expired",
        identity: Some("expired"),
        refused: Some(("certificate_expired", "expired")),
    },
    Scene {
        name: "not pinned",
        identity: Some("unpinned"),
        refused: Some(("access_denied", "not-pinned")),
    },
    Scene {
        name: "weak key",
        identity: Some("weak"),
        refused: Some(("certificate_unknown", "weak-key")),
    },
];

/// Plays the demo. With `check` it stops at the end and fails unless every client fared as it must; otherwise it keeps
/// running for whoever wants to try.
pub fn run(check: bool) -> Result<()> {
    say("building the policies");
    components::build_plugins()?;
    say("building the gate");
    let binary = build::gate()?;
    say("fetching a real MCP server, mcp-server-time, from PyPI");
    let time_server = peers::ensure_time_server(&components::root())?;

    say("making a private CA and its clients");
    let folder = folder()?;
    let people = People::make(&folder)?;
    let config = configuration(&people, &time_server);
    let config_path = folder.join("portcullis.toml");
    write_public(&config_path, &config)?;
    println!("\n{}:\n\n{config}", config_path.display());

    say("starting the gate");
    let mut gate = Gate::start(&binary, &config_path)?;
    let client = Client::new(gate.address(), people);
    let as_expected = play(&client, &mut gate)?;
    show_servers(&client)?;
    if check {
        ensure!(as_expected, "a client fared otherwise than it must");
        println!("every client fared as it must");
        return Ok(());
    }
    client.print_invitation();
    gate.wait()
}

fn configuration(people: &People, time_server: &std::path::Path) -> String {
    format!(
        "chain = [\"ca-chain\", \"pin-list\"]\n\n\
         [listen]\naddress = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\nprivate-key = \"server.key\"\n\n\
         [policies.ca-chain]\nassets = {{ anchors = \"{}\" }}\n\
         settings = {{ principal = \"common-name\" }}\n\n\
         [policies.pin-list]\nassets = {{ pins = \"{}\" }}\n\n\
         [servers.time]\ncommand = [{:?}]\n",
        people.anchors(),
        people.pins(),
        time_server.display().to_string(),
    )
}

/// One client after the other, each with what it saw and what the operator sees.
fn play(client: &Client, gate: &mut Gate) -> Result<bool> {
    println!("\n{:<15} {:<33} {:<15} audit", "client", "sees", "code");
    let mut as_expected = true;
    for scene in &SCENES {
        let seen = client.knock(scene.identity)?;
        let audit = gate.next_audit()?;
        let code = audit["code"].as_str().unwrap_or_default();
        let alert = seen.map(s_client::alert_name);
        let fared = match scene.refused {
            None => alert.is_none() && audit["verdict"] == "accepted",
            Some(wanted) => alert.map(|alert| (alert, code)) == Some(wanted),
        };
        as_expected &= fared;
        println!(
            "{:<15} {:<33} {:<15} {}{}",
            scene.name,
            alert.map_or_else(|| "an HTTP answer".to_owned(), |alert| format!("alert {alert}")),
            code,
            gate::summary(&audit),
            if fared { "" } else { "   <- NOT AS EXPECTED" },
        );
    }
    Ok(as_expected)
}

/// What the accepted client finds behind the gate.
fn show_servers(client: &Client) -> Result<()> {
    println!("\nthe accepted client asks the built-in server who it is:\n");
    let whoami = client.call("/portcullis/mcp", "whoami", "{}")?;
    ensure!(whoami.contains("agent-1"), "whoami answered `{whoami}`");
    println!("{whoami}\n");
    println!("and mcp-server-time for the time in Lisbon:\n");
    let time = client.call("/time/mcp", "get_current_time", r#"{"timezone":"Europe/Lisbon"}"#)?;
    ensure!(time.contains("Europe/Lisbon"), "mcp-server-time answered `{time}`");
    println!("{time}\n");
    Ok(())
}

/// Emptied at each start, since the certificates of the last one are too old soon.
fn folder() -> Result<PathBuf> {
    let folder = components::target_folder().join("demo");
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot empty {}", folder.display()));
        }
        _ => {}
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn say(what: &str) {
    eprintln!("demo: {what}");
}
