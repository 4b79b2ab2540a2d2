//! What the gate has at hand, and what is to be said of it.

use std::collections::BTreeMap;

use portcullis_core::{Timestamp, Urgency, WarnBefore};

use crate::alert::{Alert, Level};
use crate::expiring::Expiring;
use crate::told::Told;

/// What is to be said of these now, if nothing was said before.
#[must_use]
pub fn warnings(items: Vec<Expiring>, warn_before: WarnBefore, now: Timestamp) -> Vec<Alert> {
    let mut watched = Watched::new(warn_before, 0);
    watched.replace("", items);
    watched.check(now)
}

/// What the gate has at hand, in groups that are each replaced as a whole.
#[derive(Debug)]
pub(crate) struct Watched {
    warn_before: WarnBefore,
    repeat_seconds: i64,
    groups: BTreeMap<&'static str, Vec<Expiring>>,
    /// What something was said of, by [`Expiring::id`].
    concerns: BTreeMap<String, Concern>,
}

#[derive(Debug)]
struct Concern {
    what: Expiring,
    sources: Vec<String>,
    told: Told,
}

impl Watched {
    pub(crate) fn new(warn_before: WarnBefore, repeat_seconds: i64) -> Self {
        Self { warn_before, repeat_seconds, groups: BTreeMap::new(), concerns: BTreeMap::new() }
    }

    pub(crate) fn replace(&mut self, group: &'static str, items: Vec<Expiring>) {
        self.groups.insert(group, items);
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = &Expiring> {
        self.groups.values().flatten()
    }

    /// What is to be said now. What comes from several places is one thing.
    pub(crate) fn check(&mut self, now: Timestamp) -> Vec<Alert> {
        let mut present: BTreeMap<&str, (&Expiring, Vec<String>)> = BTreeMap::new();
        for item in self.groups.values().flatten() {
            let (_, sources) = present.entry(&item.id).or_insert((item, Vec::new()));
            if !sources.contains(&item.source) {
                sources.push(item.source.clone());
            }
        }
        let mut alerts = Vec::new();
        self.concerns.retain(|id, Concern { what, sources, told }| {
            let is_present = present.contains_key(id.as_str());
            if !is_present && !told.is_nothing() {
                alerts.push(Alert::of(what, sources.clone(), Level::Resolved, now));
            }
            is_present
        });
        for (id, (what, sources)) in present {
            let urgency = self.warn_before.urgency(what.first, what.last, now);
            if urgency == Urgency::None && !self.concerns.contains_key(id) {
                continue;
            }
            let concern = self.concerns.entry(id.to_owned()).or_insert_with(|| Concern {
                what: what.clone(),
                sources: Vec::new(),
                told: Told::NOTHING,
            });
            if let Some(level) = concern.told.news(urgency, now, self.repeat_seconds) {
                alerts.push(Alert::of(what, sources.clone(), level, now));
            }
            concern.sources = sources;
        }
        alerts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;
    const START: Timestamp = 1_795_000_000;

    /// Good from START for so long.
    fn lives(id: &str, lifetime: i64) -> Expiring {
        Expiring {
            kind: "trusted-certificate",
            id: id.to_owned(),
            subject: format!("CN={id}"),
            serial_number: "01".to_owned(),
            first: START,
            last: START + lifetime,
            source: "policies.ca-chain.assets.anchors".to_owned(),
        }
    }

    fn watching(items: Vec<Expiring>) -> Watched {
        let mut watched = Watched::new(WarnBefore::default(), DAY);
        watched.replace("files", items);
        watched
    }

    fn levels(watched: &mut Watched, at: Timestamp) -> Vec<(String, Level)> {
        let alerts = watched.check(at).into_iter();
        alerts.map(|alert| (alert.subject, alert.level)).collect()
    }

    fn one(name: &str, level: Level) -> Vec<(String, Level)> {
        vec![(format!("CN={name}"), level)]
    }

    #[test]
    fn a_certificate_of_a_day_is_warned_of_once_in_its_last_third_and_told_once_that_it_expired() {
        let mut watched = watching(vec![lives("a", DAY)]);
        let mut said = Vec::new();
        for minute in 0..=25 * 60 {
            for alert in watched.check(START + minute * 60) {
                said.push((minute, alert.level, alert.seconds_left));
            }
        }
        assert_eq!(
            said,
            [(16 * 60, Level::Warning, Some(8 * HOUR)), (24 * 60 + 1, Level::Expired, Some(-60)),]
        );
    }

    #[test]
    fn the_same_is_said_again_after_the_interval() {
        let mut watched = watching(vec![lives("a", 30 * DAY)]);
        watched.repeat_seconds = 6 * HOUR;
        let start = START + 29 * DAY;
        let said: Vec<i64> =
            (0..24).filter(|hour| !watched.check(start + hour * HOUR).is_empty()).collect();
        assert_eq!(said, [0, 6, 12, 18]);
    }

    #[test]
    fn what_replaces_a_certificate_that_was_warned_of_resolves_it_and_is_watched_itself() {
        let mut watched = watching(vec![lives("old", DAY)]);
        assert_eq!(levels(&mut watched, START + 20 * HOUR), one("old", Level::Warning));
        watched.replace("files", vec![lives("new", 2 * DAY)]);
        assert_eq!(levels(&mut watched, START + 20 * HOUR), one("old", Level::Resolved));
        assert_eq!(levels(&mut watched, START + 21 * HOUR), []);
        assert_eq!(levels(&mut watched, START + 40 * HOUR), one("new", Level::Warning));
    }

    #[test]
    fn a_certificate_that_comes_back_is_warned_of_again() {
        let mut watched = watching(vec![lives("a", DAY)]);
        let at = START + 20 * HOUR;
        assert_eq!(levels(&mut watched, at), one("a", Level::Warning));
        watched.replace("files", Vec::new());
        assert_eq!(levels(&mut watched, at), one("a", Level::Resolved));
        watched.replace("files", vec![lives("a", DAY)]);
        assert_eq!(levels(&mut watched, at), one("a", Level::Warning));
    }

    #[test]
    fn what_is_replaced_before_it_was_warned_of_is_not_spoken_of() {
        let mut watched = watching(vec![lives("a", DAY)]);
        assert_eq!(levels(&mut watched, START), []);
        watched.replace("files", Vec::new());
        assert_eq!(levels(&mut watched, START), []);
    }

    #[test]
    fn one_certificate_in_two_places_is_one_alert_that_names_both() {
        let mut watched = watching(vec![lives("a", DAY), lives("a", DAY)]);
        let elsewhere = "policies.revocation.assets.anchors".to_owned();
        watched.replace("others", vec![Expiring { source: elsewhere, ..lives("a", DAY) }]);
        let alerts = watched.check(START + DAY);
        assert_eq!(alerts.len(), 1);
        assert_eq!(
            alerts[0].sources,
            ["policies.ca-chain.assets.anchors", "policies.revocation.assets.anchors"]
        );
    }

    #[test]
    fn groups_are_replaced_apart() {
        let mut watched = watching(vec![lives("a", DAY)]);
        watched.replace("others", vec![lives("b", DAY)]);
        assert_eq!(watched.check(START + DAY).len(), 2);
        watched.replace("others", Vec::new());
        assert_eq!(levels(&mut watched, START + DAY), one("b", Level::Resolved));
    }

    #[test]
    fn a_clock_that_is_set_back_says_nothing_and_then_warns_again() {
        let mut watched = watching(vec![lives("a", DAY)]);
        assert_eq!(levels(&mut watched, START + DAY + 1), one("a", Level::Expired));
        assert_eq!(levels(&mut watched, START), []);
        assert_eq!(levels(&mut watched, START + 20 * HOUR), one("a", Level::Warning));
    }
}
