//! Whether all is well, at one glance. Pure.

use crate::cli::terminal::Style;
use crate::observe::status::{CollectionStatus, OutputStatus, SpoolStatus, Status};

/// Of a spool that is as full as this, somebody should know.
const FULL_PERCENT: u64 = 80;

/// What is not well, in few words; the reasons stand beneath what they are about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// What waits for a person.
    bad: Vec<String>,
    /// What works and deserves a look.
    doubtful: Vec<String>,
}

impl Verdict {
    pub(super) fn of(status: &Status) -> Self {
        let mut verdict = Self::default();
        if status.reload.last_refusal.is_some() {
            let refused = "a reload was refused, the configuration is the old one";
            verdict.doubtful.push(refused.to_owned());
        }
        for collection in &status.collections {
            verdict.collection(collection);
        }
        for output in &status.outputs {
            verdict.output(output);
        }
        verdict.spool(&status.spool);
        verdict
    }

    /// A line for each kind of trouble, or one that says that there is none.
    pub(super) fn lines(&self) -> Vec<(Style, String)> {
        let mut lines = Vec::new();
        if !self.bad.is_empty() {
            lines.push((Style::Bad, format!("needs you: {}", self.bad.join(", "))));
        }
        if !self.doubtful.is_empty() {
            let what = self.doubtful.join(", ");
            lines.push((Style::Doubtful, format!("have a look: {what}")));
        }
        if lines.is_empty() {
            lines.push((Style::Good, "all is well".to_owned()));
        }
        lines
    }

    fn collection(&mut self, collection: &CollectionStatus) {
        let name = format!("{}/{}", collection.service, collection.collection);
        if collection.activity.hold.is_some() {
            self.bad.push(format!("{name} is held"));
        }
        if collection.gaps > 0 {
            self.doubtful
                .push(format!("gaps of {name}: {}", collection.gaps));
        }
    }

    fn output(&mut self, output: &OutputStatus) {
        let (name, activity) = (&output.name, &output.activity);
        if activity.hold.is_some() {
            self.bad.push(format!("output {name} is held"));
        } else if activity.failures > 0 {
            self.doubtful.push(format!("output {name} fails"));
        }
        let peers = activity.peers.iter().filter(|peer| peer.reason.is_some());
        let peers = peers.count();
        if peers > 0 && activity.hold.is_none() {
            self.doubtful
                .push(format!("peers of {name} that are not well: {peers}"));
        }
        if output.missing_batches > 0 {
            self.bad.push(format!("batches of {name} are missing"));
        }
        if output.kind.is_none() {
            self.doubtful
                .push(format!("output {name} is no longer configured"));
        }
        if output.repairing_events > 0 {
            self.doubtful.push(format!("damage is repaired for {name}"));
        }
        if output.finished.lost > 0 {
            self.doubtful
                .push(format!("lost for {name}: {}", output.finished.lost));
        }
    }

    fn spool(&mut self, spool: &SpoolStatus) {
        let percent = spool.bytes.saturating_mul(100) / spool.max_bytes.max(1);
        if percent >= FULL_PERCENT {
            self.doubtful.push(format!("the spool is {percent}% full"));
        }
        if spool.dead_letters > 0 {
            self.doubtful
                .push(format!("dead letters: {}", spool.dead_letters));
        }
        if spool.quarantine_bytes > 0 {
            self.doubtful.push("quarantine".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let status = serde_json::json!({
            "version": "1.2.3", "at": "2026-03-10T12:00:00Z", "pid": 77,
            "collections": [{
                "service": "cta", "collection": "flows", "checkpoint": null, "lag_s": null,
                "polled_at": null, "events": 0, "gaps": 0, "next_poll_at": null,
                "last_result": null, "last_result_at": null, "hold": null,
            }],
            "outputs": [{
                "name": "splunk", "type": "splunk_hec", "pending_batches": 0, "pending_events": 9,
                "finished": {"delivered": 7, "dead_letters": 0, "discarded": 0, "abandoned": 0},
                "delivered_at": null, "delivered": 7, "failures": 0, "last_failure": null,
                "hold": null,
            }],
            "spool": {"batches": 0, "bytes": 0, "max_bytes": 100, "oldest_at": null,
                "dead_letters": 0, "quarantine_bytes": 0},
        });
        serde_json::from_value(status).unwrap()
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Status), style: Style, words: &str) {
        let mut status = status();
        change(&mut status);
        let lines = Verdict::of(&status).lines();
        assert_eq!(lines, [(style, words.to_owned())]);
    }

    #[test]
    fn what_is_well_is_said_and_everything_else_is_named() {
        let hold = || {
            serde_json::from_value(serde_json::json!({
                "reason": "DENIED", "mend": "ask", "since": "2026-03-10T11:59:00Z",
            }))
            .unwrap()
        };
        check(|_| {}, Style::Good, "all is well");
        check(
            |status| status.collections[0].activity.hold = Some(hold()),
            Style::Bad,
            "needs you: cta/flows is held",
        );
        check(
            |status| status.outputs[0].activity.hold = Some(hold()),
            Style::Bad,
            "needs you: output splunk is held",
        );
        check(
            |status| status.outputs[0].activity.failures = 1,
            Style::Doubtful,
            "have a look: output splunk fails",
        );
        check(
            |status| {
                status.collections[0].gaps = 2;
                status.spool.bytes = 80;
                status.spool.dead_letters = 3;
            },
            Style::Doubtful,
            "have a look: gaps of cta/flows: 2, the spool is 80% full, dead letters: 3",
        );
    }
}
