//! What was published against what was delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::terminal::{Paint, Style};
use crate::event::EventId;

/// Of the ids at fault so many are shown.
const SHOWN_IDS: usize = 10;

/// What was published, and what of it was delivered.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// Whether every published event was delivered, and nothing else.
    ok: bool,
    packages: usize,
    published: usize,
    /// How many of the published events arrived, each counted once.
    delivered: usize,
    /// How many arrived again.
    duplicates: usize,
    missing: usize,
    unexpected: usize,
    /// How many polls the service accepted.
    polls: usize,
    seconds: f64,
    missing_ids: Vec<EventId>,
    unexpected_ids: Vec<EventId>,
}

/// What happened.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) packages: usize,
    pub(super) published: Vec<EventId>,
    pub(super) arrived: Vec<EventId>,
    /// What arrived without an id.
    pub(super) arrived_nameless: usize,
    pub(super) polls: usize,
    pub(super) seconds: f64,
}

impl Verdict {
    pub(super) fn of(evidence: Evidence) -> Self {
        let published: BTreeSet<EventId> = evidence.published.into_iter().collect();
        let mut arrivals: BTreeMap<EventId, usize> = BTreeMap::new();
        for id in evidence.arrived {
            *arrivals.entry(id).or_default() += 1;
        }
        let is_missing = |id: &&EventId| !arrivals.contains_key(*id);
        let missing: Vec<EventId> = published.iter().filter(is_missing).copied().collect();
        let is_unexpected = |id: &&EventId| !published.contains(*id);
        let unexpected: Vec<EventId> = arrivals.keys().filter(is_unexpected).copied().collect();
        let unexpected_count = unexpected.len() + evidence.arrived_nameless;
        let shown = |ids: Vec<EventId>| ids.into_iter().take(SHOWN_IDS).collect();
        Self {
            ok: missing.is_empty() && unexpected_count == 0,
            packages: evidence.packages,
            published: published.len(),
            delivered: published.len() - missing.len(),
            duplicates: arrivals.values().map(|times| times - 1).sum(),
            missing: missing.len(),
            unexpected: unexpected_count,
            polls: evidence.polls,
            seconds: (evidence.seconds * 10.0).round() / 10.0,
            missing_ids: shown(missing),
            unexpected_ids: shown(unexpected),
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.ok
    }

    /// For a person.
    pub(super) fn text(&self, paint: Paint) -> String {
        let good_if = |is_good: bool| if is_good { Style::Good } else { Style::Bad };
        let mut text = String::new();
        let mut row = |name: &str, value: usize, style: Style, remark: &str| {
            let value = paint.paint(style, value);
            let line = format!("  {name:<12}{value:>6}  {remark}");
            // Writing to a text does not fail.
            let _ = writeln!(text, "{}", line.trim_end());
        };
        let packages = format!("events in {} packages", self.packages);
        row("published", self.published, Style::Bold, &packages);
        let all = self.delivered == self.published;
        let remark = "events that Splunk has";
        row("delivered", self.delivered, good_if(all), remark);
        let missing = ids(&self.missing_ids);
        row(
            "missing",
            self.missing,
            good_if(self.missing == 0),
            &missing,
        );
        let unexpected = ids(&self.unexpected_ids);
        let style = good_if(self.unexpected == 0);
        row("unexpected", self.unexpected, style, &unexpected);
        let remark = "events that came again after kill -9, by the same eventId";
        let remark = if self.duplicates > 0 { remark } else { "" };
        row("duplicates", self.duplicates, Style::Plain, remark);
        row("polls", self.polls, Style::Plain, "");
        let _ = writeln!(text, "  {:<12}{:>6.1}  s", "time", self.seconds);
        text
    }
}

fn ids(ids: &[EventId]) -> String {
    let ids: Vec<String> = ids.iter().map(EventId::to_string).collect();
    ids.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u8]) -> Vec<EventId> {
        let id = |number: &u8| EventId::from_bytes([*number; 16]);
        numbers.iter().map(id).collect()
    }

    #[track_caller]
    fn check(published: &[u8], arrived: &[u8], nameless: usize, expect: &str) {
        let verdict = Verdict::of(Evidence {
            published: ids(published),
            arrived: ids(arrived),
            arrived_nameless: nameless,
            ..Evidence::default()
        });
        let got = format!(
            "{} delivered {} missing {} unexpected {} duplicates {}",
            if verdict.is_good() { "good" } else { "bad" },
            verdict.delivered,
            verdict.missing,
            verdict.unexpected,
            verdict.duplicates
        );
        assert_eq!(got, expect);
    }

    #[test]
    fn sets_are_compared() {
        let all = "good delivered 3 missing 0 unexpected 0 duplicates 0";
        check(&[1, 2, 3], &[3, 1, 2], 0, all);
        let twice = "good delivered 2 missing 0 unexpected 0 duplicates 3";
        check(&[1, 2], &[1, 2, 1, 2, 1], 0, twice);
        let missing = "bad delivered 1 missing 1 unexpected 0 duplicates 0";
        check(&[1, 2], &[2], 0, missing);
        let strange = "bad delivered 1 missing 0 unexpected 1 duplicates 1";
        check(&[1], &[1, 7, 7], 0, strange);
        let nameless = "bad delivered 1 missing 0 unexpected 1 duplicates 0";
        check(&[1], &[1], 1, nameless);
    }

    #[test]
    fn a_person_sees_what_is_missing() {
        let verdict = Verdict::of(Evidence {
            published: ids(&[0xab]),
            ..Evidence::default()
        });
        let text = verdict.text(Paint::none());
        let line = format!("  missing          1  {}", "ab".repeat(16));
        assert!(text.lines().any(|shown| shown == line), "{text}");
    }
}
