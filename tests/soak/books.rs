//! What was published, what has arrived at each output, and what may have come twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use chrono::{DateTime, Utc};
use cta_forwarder::event::EventId;

use super::rig::syslog::{UNDER_WAY, WINDOW};
use super::rig::{IN_FLIGHT, IN_REQUEST};
use super::{MAX_OUTSTANDING, Soak};

/// The outputs, in the order of all that is counted for each.
pub(crate) const OUTPUTS: [&str; 3] = ["splunk", "siem", "local"];

/// What one break of all connections to Splunk may send again: what was under way, and what was
/// acknowledged by an answer that did not come through (Splunk says so once).
const SPLUNK_BREAK: usize = IN_FLIGHT + MAX_OUTSTANDING * IN_REQUEST;

#[derive(Debug, Default)]
pub(crate) struct Books {
    published: Vec<(DateTime<Utc>, Vec<EventId>)>,
    kills: usize,
    /// Breaks of the connection to Splunk, whole and of one request.
    pub(crate) splunk_outages: usize,
    pub(crate) splunk_breaks: usize,
    /// Events that a person has sent to an output again.
    pub(crate) by_hand: BTreeMap<&'static str, usize>,
    /// Dead letters that a person has given up or sent elsewhere, as far as the command came.
    pub(crate) given_up: BTreeMap<String, BTreeSet<EventId>>,
}

impl Books {
    pub(crate) fn published(&mut self, stamp: DateTime<Utc>, events: &[EventId]) {
        self.published.push((stamp, events.to_vec()));
    }

    pub(crate) fn killed(&mut self) {
        self.kills += 1;
    }

    /// How many events were published.
    pub(crate) fn count(&self) -> usize {
        self.published.iter().map(|(_, events)| events.len()).sum()
    }

    /// How many of them have their stamp in a window.
    pub(crate) fn count_in(&self, begin: DateTime<Utc>, end: DateTime<Utc>) -> usize {
        let within = self.published.iter();
        let within = within.filter(|(stamp, _)| *stamp > begin && *stamp <= end);
        within.map(|(_, events)| events.len()).sum()
    }

    /// The last event.
    pub(crate) fn last(&self) -> Option<EventId> {
        let (_, events) = self
            .published
            .iter()
            .rfind(|(_, events)| !events.is_empty())?;
        events.last().copied()
    }

    /// All of them.
    pub(crate) fn all(&self) -> BTreeSet<EventId> {
        let events = self.published.iter().flat_map(|(_, events)| events);
        events.copied().collect()
    }
}

impl Soak {
    /// What has neither arrived at an output nor is among its dead letters: the first such output,
    /// with how many; none if all is there.
    pub(crate) fn missing(&self) -> Option<(&'static str, usize, Vec<EventId>)> {
        let published = self.books.all();
        let letters = self.rig.letters();
        for (output, arrived) in OUTPUTS.into_iter().zip(self.arrived()) {
            let mut missing = published.clone();
            for id in &arrived {
                assert!(published.contains(id), "nobody published {id}");
                missing.remove(id);
            }
            for id in self.books.given_up.get(output).into_iter().flatten() {
                missing.remove(id);
            }
            let of_output = letters.iter().filter(|letter| letter["output"] == output);
            for letter in of_output {
                missing.remove(&super::rig::syslog::id_of(letter));
            }
            if !missing.is_empty() {
                let some = missing.iter().take(5).copied().collect();
                return Some((output, missing.len(), some));
            }
        }
        None
    }

    /// How many came again at each output.
    pub(crate) fn twice(&self) -> [usize; 3] {
        self.arrived().map(|arrived| {
            let ids: BTreeSet<EventId> = arrived.iter().copied().collect();
            arrived.len() - ids.len()
        })
    }

    /// How many may, by `docs/delivery.md`: what was under way at each kill, and at each fault that
    /// leaves it unknown whether something has arrived.
    pub(crate) fn may_come_twice(&self) -> [usize; 3] {
        let Books {
            kills,
            splunk_outages,
            splunk_breaks,
            by_hand,
            ..
        } = &self.books;
        let log = self.rig.log();
        let splunk = (kills + splunk_outages) * SPLUNK_BREAK
            // An answer that is lost: its request, and the one whose number it may have had.
            + splunk_breaks * 2 * IN_REQUEST
            + sent_again(&log)
            + count(&log, "an acknowledgement id came twice") * 2 * IN_REQUEST;
        let broken = self.siem.connections().saturating_sub(1);
        let siem = kills * UNDER_WAY + broken * WINDOW;
        let local = kills * IN_REQUEST;
        let mut may = [splunk, siem, local];
        for (may, output) in may.iter_mut().zip(OUTPUTS) {
            *may += by_hand.get(output).copied().unwrap_or(0);
        }
        may
    }

    /// Whether an event is in the file.
    pub(crate) fn is_in_the_file(&self, event: Option<EventId>) -> bool {
        let file = fs::read_to_string(self.rig.path("local.jsonl")).unwrap_or_default();
        event.is_none_or(|id| file.contains(&id.to_string()))
    }

    /// What has arrived at each output, in order.
    fn arrived(&self) -> [Vec<EventId>; 3] {
        let local = fs::read_to_string(self.rig.path("local.jsonl")).unwrap_or_default();
        let local = local.lines().filter_map(|line| {
            // A kill may leave a line torn.
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            event["eventId"].as_str()?.parse().ok()
        });
        [
            self.rig.hec.event_ids(),
            self.siem.event_ids(),
            local.collect(),
        ]
    }
}

/// Events that were not acknowledged in time.
fn sent_again(log: &str) -> usize {
    let lines = log.lines().filter(|line| line.contains("(ack_timeout)"));
    let events = lines.filter_map(|line| {
        let rest = line.split("events=").nth(1)?;
        let number = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        number.parse::<usize>().ok()
    });
    events.sum()
}

fn count(log: &str, words: &str) -> usize {
    log.matches(words).count()
}
