//! The report.

use portcullis_engine::Timestamp;
use serde::Serialize;

use super::input::{Input, Recordings};
use super::tally::{Change, Group, Tally, Who};
use crate::arguments::Format;
use crate::report::{self, Table, printable};
use crate::time;

/// Rows of a table for people; the JSON form has all.
const MAXIMUM_ROWS: usize = 50;

#[derive(Serialize)]
struct Report {
    files: usize,
    judged: u64,
    first: Option<String>,
    last: Option<String>,
    same: u64,
    identical: u64,
    lost: Section,
    gained: Section,
    changed_reason: Section,
    changed_identity: Section,
    not_recorded: Section,
    policies: Vec<ComparedPolicy>,
    damaged: u64,
    damages: Vec<Place>,
}

/// One kind of change.
#[derive(Default, Serialize)]
struct Section {
    count: u64,
    /// The most frequent first.
    groups: Vec<Row>,
    /// Handshakes of groups beyond those that are kept apart.
    ungrouped: u64,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    who: Who,
    count: u64,
    last_seen: String,
    detail: String,
    file: String,
    offset: u64,
}

/// What cannot be read.
#[derive(Serialize)]
struct Place {
    file: String,
    offset: u64,
    problem: String,
}

#[derive(Serialize)]
struct ComparedPolicy {
    policy: String,
    /// Against what it was when the handshakes were recorded.
    compared: Vec<&'static str>,
}

pub(super) fn print(
    recordings: &Recordings,
    input: &Input,
    tally: &Tally,
    format: Format,
) -> anyhow::Result<()> {
    let report = report(recordings, input, tally);
    match format {
        Format::Json => report::json(&report),
        Format::Text => report::text(&describe(&report)),
    }
}

fn report(recordings: &Recordings, input: &Input, tally: &Tally) -> Report {
    let section = |change| section(recordings, tally, change);
    let written = |time: fn((Timestamp, Timestamp)) -> Timestamp| {
        tally.times.map(|times| time::format(time(times)))
    };
    let mut damages: Vec<_> = input.damaged.named.iter().collect();
    damages.sort_by_key(|damage| (damage.file, damage.offset));
    Report {
        files: recordings.count(),
        judged: tally.judged,
        first: written(|(first, _)| first),
        last: written(|(_, last)| last),
        same: tally.same,
        identical: tally.identical,
        lost: section(Change::Lost),
        gained: section(Change::Gained),
        changed_reason: section(Change::Reason),
        changed_identity: section(Change::Identity),
        not_recorded: section(Change::NotRecorded),
        policies: input
            .policies
            .iter()
            .map(|(policy, compared)| ComparedPolicy {
                policy: policy.clone(),
                compared: compared.iter().copied().collect(),
            })
            .collect(),
        damaged: input.damaged.count,
        damages: damages
            .into_iter()
            .map(|damage| Place {
                file: recordings.name(damage.file),
                offset: damage.offset,
                problem: damage.problem.clone(),
            })
            .collect(),
    }
}

fn section(recordings: &Recordings, tally: &Tally, change: Change) -> Section {
    let row = |(who, group): (&Who, &Group)| Row {
        who: who.clone(),
        count: group.count,
        last_seen: time::format(group.last_seen),
        detail: group.detail.clone(),
        file: recordings.name(group.place.file),
        offset: group.place.offset,
    };
    let groups = tally.groups.get(&change).into_iter().flatten();
    let mut groups: Vec<Row> = groups.map(row).collect();
    groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.who.cmp(&b.who)));
    let ungrouped = tally.ungrouped.get(&change).copied().unwrap_or(0);
    Section { count: tally.count(change), groups, ungrouped }
}

fn describe(report: &Report) -> String {
    let mut out = format!("{} handshakes of {} files judged again", report.judged, report.files);
    if let (Some(first), Some(last)) = (&report.first, &report.last) {
        out.push_str(&format!(", from {first} to {last}"));
    }
    out.push_str("\n\n");
    let mut counts = Table::default();
    let mut count = |number: u64, what: &str| counts.row([&number.to_string(), what]);
    count(report.same, &format!("same verdict, {} of them in every part", report.identical));
    let sections = [
        (&report.lost, "would lose access"),
        (&report.gained, "would gain access"),
        (&report.changed_reason, "would be refused for another reason"),
        (&report.changed_identity, "would come in with another identity"),
        (&report.not_recorded, "cannot be told: they rest on answers that are not recorded"),
    ];
    for (section, what) in sections {
        count(section.count, what);
    }
    if report.damaged > 0 {
        count(report.damaged, "cannot be read, and are not judged");
    }
    out.push_str(&counts.to_string());
    if !report.policies.is_empty() {
        out.push_str("\nthe policies, against those that were recorded\n");
        let mut policies = Table::default();
        for policy in &report.policies {
            policies.row([&policy.policy, &policy.compared.join(", ")]);
        }
        out.push_str(&policies.to_string());
    }
    for (section, what) in sections {
        describe_section(&mut out, section, what);
    }
    describe_damage(&mut out, report);
    out
}

fn describe_section(out: &mut String, section: &Section, what: &str) {
    if section.count == 0 {
        return;
    }
    out.push_str(&format!("\n{what}\n"));
    let mut table = Table::default();
    table.row(["times", "last seen", "who", "policy", "code", "before", "detail"]);
    for row in section.groups.iter().take(MAXIMUM_ROWS) {
        table.row([
            &row.count.to_string(),
            &row.last_seen,
            &printable(&row.who.who),
            &row.who.policy,
            &row.who.code,
            &printable(&row.who.before),
            &printable(&row.detail),
        ]);
    }
    out.push_str(&table.to_string());
    let left = section.groups.len().saturating_sub(MAXIMUM_ROWS);
    if left > 0 {
        out.push_str(&format!("  and {left} more, which `--format json` lists\n"));
    }
    if section.ungrouped > 0 {
        out.push_str(&format!("  and {} handshakes of others\n", section.ungrouped));
    }
}

fn describe_damage(out: &mut String, report: &Report) {
    if report.damaged == 0 {
        return;
    }
    out.push_str("\ncannot be read\n");
    let mut table = Table::default();
    for damage in report.damages.iter().take(MAXIMUM_ROWS) {
        table.row([&damage.file, &format!("byte {}", damage.offset), &damage.problem]);
    }
    out.push_str(&table.to_string());
    out.push_str(
        "\nThe answer is not complete, and the exit code says so. With `--skip-damaged` it is taken as it is: whoever is \
         in those records may lose access unseen.\n",
    );
}
