//! How fast events come and go, from one status to the next. Pure.

use std::collections::BTreeMap;

use crate::observe::status::Status;

/// Events in a second, by collection and by output.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rates {
    collections: BTreeMap<(String, String), f64>,
    outputs: BTreeMap<String, f64>,
}

impl Rates {
    /// None where no time lies between the two.
    pub(super) fn between(before: &Status, after: &Status) -> Option<Self> {
        let seconds = (after.at - before.at).as_seconds_f64();
        if seconds <= 0.0 {
            return None;
        }
        let rate = |before: u64, after: u64| {
            // Counts are far below what is exact here.
            #[expect(clippy::cast_precision_loss, reason = "a rate is shown with one digit")]
            let events = after.saturating_sub(before) as f64;
            events / seconds
        };
        let mut rates = Self::default();
        for collection in &after.collections {
            let key = (collection.service.clone(), collection.collection.clone());
            let mut known = before.collections.iter();
            let known = known.find(|one| one.service == key.0 && one.collection == key.1);
            if let Some(known) = known {
                let rate = rate(known.events, collection.events);
                rates.collections.insert(key, rate);
            }
        }
        for output in &after.outputs {
            let mut known = before.outputs.iter();
            if let Some(known) = known.find(|one| one.name == output.name) {
                let rate = rate(known.finished.delivered, output.finished.delivered);
                rates.outputs.insert(output.name.clone(), rate);
            }
        }
        Some(rates)
    }

    pub(super) fn of_collection(&self, service: &str, collection: &str) -> Option<f64> {
        let key = (service.to_owned(), collection.to_owned());
        self.collections.get(&key).copied()
    }

    pub(super) fn of_output(&self, name: &str) -> Option<f64> {
        self.outputs.get(name).copied()
    }
}

/// A rate as a person reads it; nothing where nothing moves.
pub(super) fn shown(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate < 0.05 => "0/s".to_owned(),
        Some(rate) if rate < 100.0 => format!("{rate:.1}/s"),
        Some(rate) => format!("{rate:.0}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(second: u32, events: u64, delivered: u64) -> Status {
        let status = serde_json::json!({
            "version": "1", "at": format!("2026-03-10T12:00:{second:02}Z"), "pid": 77,
            "collections": [{
                "service": "cta", "collection": "flows", "checkpoint": null, "lag_s": null,
                "polled_at": null, "events": events, "gaps": 0, "next_poll_at": null,
                "last_result": null, "last_result_at": null, "hold": null,
            }],
            "outputs": [{
                "name": "splunk", "type": "file", "pending_batches": 0, "pending_events": 0,
                "finished": {"delivered": delivered, "dead_letters": 0, "discarded": 0,
                    "abandoned": 0},
                "delivered_at": null, "delivered": 0, "failures": 0, "last_failure": null,
                "hold": null,
            }],
            "spool": {"batches": 0, "bytes": 0, "max_bytes": 1, "oldest_at": null,
                "dead_letters": 0, "quarantine_bytes": 0},
        });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn rates_are_what_came_in_the_time_between() {
        let rates = Rates::between(&status(0, 10, 0), &status(4, 30, 1000)).unwrap();
        assert_eq!(shown(rates.of_collection("cta", "flows")), "5.0/s");
        assert_eq!(shown(rates.of_output("splunk")), "250/s");
        assert_eq!(shown(rates.of_output("other")), "-");
        assert_eq!(Rates::between(&status(4, 0, 0), &status(4, 1, 1)), None);
        // A state that was made anew counts from the beginning.
        let rates = Rates::between(&status(0, 10, 9), &status(4, 0, 0)).unwrap();
        assert_eq!(shown(rates.of_output("splunk")), "0/s");
    }
}
