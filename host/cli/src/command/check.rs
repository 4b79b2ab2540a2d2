//! `portcullis check`: loads all that a run would, and says what it would be.

use std::sync::Arc;

use portcullis_engine::{Chain, Member, Metering, Preparation, Step};
use portcullis_mcp::{Rule, TracingRequestAuditor};
use serde::Serialize;

use crate::arguments::{Format, Setup};
use crate::config::{ConfigFile, Mode};
use crate::exit::Exit;
use crate::policies::load_chain;
use crate::reload::proof;
use crate::report::{self, Table};
use crate::{alerts, expiry, recording, revocation, servers, wiring, workload};

#[derive(Serialize)]
struct Report {
    listen: String,
    server_certificate: String,
    chain: Vec<CheckedStep>,
    servers: Vec<CheckedServer>,
    authorize: Vec<CheckedRule>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum CheckedStep {
    One(CheckedPolicy),
    Any { any: Vec<CheckedPolicy> },
}

#[derive(Serialize)]
struct CheckedPolicy {
    policy: String,
    mode: &'static str,
    component: String,
    version: String,
    digest: String,
    preparation: Preparation,
    summary: String,
}

#[derive(Serialize)]
struct CheckedServer {
    path: String,
    serves: String,
}

/// A rule as it is understood.
#[derive(Serialize)]
struct CheckedRule {
    who: Vec<String>,
    servers: Vec<String>,
    may: Vec<String>,
}

/// Loads everything, and prints the chain as it will be asked.
pub(crate) fn check(setup: &Setup, format: Format) -> anyhow::Result<Exit> {
    let mut file = ConfigFile::read(&setup.config)?;
    workload::once(&mut file)?;
    let revocation = revocation::offline(&file)?;
    let (chain, mut warnings) =
        load_chain(&file, &setup.plugins, Arc::new(revocation.clone()), Metering::Time)?;
    proof::prove(&file, &chain, &setup.plugins)?;
    let identity = wiring::server_identity(&file)?;
    wiring::mcp(&file, &identity, Arc::new(TracingRequestAuditor))?;
    recording::options(&file)?;
    let alerts = alerts::options(&file)?;
    warnings.extend(expiry::warnings(&file, &identity, &revocation, alerts.warn_before));
    let report = Report {
        listen: file.config.listen.address.to_string(),
        server_certificate: identity.certificate().subject(),
        chain: checked_steps(&chain),
        servers: checked_servers(&file),
        authorize: file.config.authorize.iter().map(|rule| checked_rule(rule.get_ref())).collect(),
        warnings,
    };
    match format {
        Format::Json => report::json(&report)?,
        Format::Text => report::text(&describe(&report))?,
    }
    Ok(Exit::Success)
}

fn checked_steps(chain: &Chain) -> Vec<CheckedStep> {
    chain
        .steps()
        .iter()
        .map(|step| match step {
            Step::One(member) => CheckedStep::One(checked_policy(member)),
            Step::Any(group) => {
                CheckedStep::Any { any: group.iter().map(checked_policy).collect() }
            }
        })
        .collect()
}

fn checked_policy(member: &Member) -> CheckedPolicy {
    let description = member.policy.description();
    CheckedPolicy {
        policy: member.policy.name().to_owned(),
        mode: if member.shadow { Mode::Shadow } else { Mode::Enforce }.as_str(),
        component: report::printable(&description.name),
        version: report::printable(&description.version),
        digest: member.policy.digest().to_owned(),
        preparation: member.policy.preparation(),
        summary: report::printable(&description.summary),
    }
}

fn checked_servers(file: &ConfigFile) -> Vec<CheckedServer> {
    let built_in = CheckedServer {
        path: portcullis_mcp::BUILT_IN_PATH.to_owned(),
        serves: "the built-in server: whoami".to_owned(),
    };
    let configured = file.config.servers.iter().map(|(name, server)| CheckedServer {
        path: format!("/{name}/mcp"),
        serves: servers::describe(server),
    });
    std::iter::once(built_in).chain(configured).collect()
}

fn checked_rule(rule: &Rule) -> CheckedRule {
    let principals =
        rule.principals.iter().map(|names| format!("principal {}", names.join(" or ")));
    let attributes = rule.attributes.iter();
    let attributes =
        attributes.map(|(name, values)| format!("{name} {}", values.as_slice().join(" or ")));
    let given = [
        ("tools", &rule.tools),
        ("prompts", &rule.prompts),
        ("resources", &rule.resources),
        ("methods", &rule.methods),
    ];
    let given = given.iter().filter_map(|(kind, names)| {
        let names = names.as_deref().filter(|names| !names.is_empty())?;
        Some(format!("{kind} {}", names.join(", ")))
    });
    let mut may: Vec<String> = given.collect();
    if rule.is_for_everything() {
        may.push("everything".to_owned());
    } else if may.is_empty() {
        may.push("nothing but to see empty lists".to_owned());
    }
    CheckedRule { who: principals.chain(attributes).collect(), servers: rule.servers.clone(), may }
}

fn describe(report: &Report) -> String {
    let mut out = format!("listens on {} as {}\n\n", report.listen, report.server_certificate);
    out.push_str("a client comes in if\n");
    let mut chain = Table::default();
    for (position, step) in report.chain.iter().enumerate() {
        let lead = if position == 0 { "" } else { "and" };
        match step {
            CheckedStep::One(policy) => row(&mut chain, lead, policy),
            CheckedStep::Any { any } => {
                for (position, policy) in any.iter().enumerate() {
                    row(&mut chain, if position == 0 { lead } else { "  or" }, policy);
                }
            }
        }
    }
    out.push_str(&chain.to_string());
    out.push_str("\nand then finds\n");
    let mut servers = Table::default();
    for server in &report.servers {
        servers.row(["", &server.path, &server.serves]);
    }
    out.push_str(&servers.to_string());
    out.push_str("\nof which ");
    if report.authorize.is_empty() {
        out.push_str("it may use everything: there is no [[authorize]]\n");
    } else {
        out.push_str("it may use\n");
        let mut rules = Table::default();
        for rule in &report.authorize {
            let (who, may) = (rule.who.join(", "), rule.may.join("; "));
            rules.row(["", &rule.servers.join(", "), &may, &format!("if {who}")]);
        }
        out.push_str(&rules.to_string());
    }
    for warning in &report.warnings {
        out.push_str(&format!("\nwarning: {warning}\n"));
    }
    out
}

fn row(table: &mut Table, lead: &str, policy: &CheckedPolicy) {
    let name = match policy.mode {
        "shadow" => format!("{} (shadow: never decides)", policy.policy),
        _ => policy.policy.clone(),
    };
    let component = format!("{} {} {}", policy.component, policy.version, &policy.digest[..12]);
    table.row([lead, &name, &component, &policy.summary]);
}
