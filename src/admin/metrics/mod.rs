//! `/metrics`: the figures of the status, the board and the ledger.

mod exposition;
mod families;
mod process;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::observe::board::{Figures, PeerState};
use crate::observe::figures::BOUNDS_S;
use crate::observe::status::{CollectionStatus, OutputStatus, SpoolStatus, Status};
use crate::observe::troubles::{Trouble, What};
use crate::state::{GivenUp, Tally};
pub(super) use exposition::Format;
use exposition::{Exposition, Family};
use process::Process;

/// Characters of the reason of a hold: it is a label, and each other text is another series.
const MAX_REASON: usize = 120;

/// What the metrics are made of.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub(super) status: &'a Status,
    pub(super) figures: &'a Figures,
    pub(super) tally: &'a Tally,
    pub(super) troubles: &'a [Trouble],
    pub(super) started_at: DateTime<Utc>,
}

/// All metrics as text.
pub(super) fn text(sources: &Sources<'_>, format: Format) -> String {
    let mut page = Page {
        to: Exposition::new(format),
        sources,
    };
    page.agent();
    page.collections();
    page.stages();
    page.holds();
    page.outputs();
    page.spool(&sources.status.spool);
    page.certificates();
    page.inbox();
    page.reloads();
    page.process(&Process::look());
    page.to.finish()
}

struct Page<'a> {
    to: Exposition,
    sources: &'a Sources<'a>,
}

impl Page<'_> {
    fn agent(&mut self) {
        let Sources {
            status,
            troubles,
            started_at,
            ..
        } = self.sources;
        let version = [("version", status.version.as_str())];
        self.to.family(&families::BUILD).put(&version, 1);
        self.to
            .family(&families::START)
            .put(&[], seconds(*started_at));
        let is_ready = !troubles.iter().any(|trouble| trouble.is_in_the_way);
        self.to
            .family(&families::READY)
            .put(&[], u8::from(is_ready));
    }

    fn collections(&mut self) {
        let (status, figures) = (self.sources.status, self.sources.figures);
        let mut family = self.to.family(&families::POLLS);
        for known in &status.collections {
            let key = format!("{}/{}", known.service, known.collection);
            let polls = figures.polls.get(&key).copied().unwrap_or_default();
            let [service, collection] = labels(known);
            let of = |result| [service, collection, ("result", result)];
            family.put(&of("success"), polls.succeeded);
            family.put(&of("failure"), polls.failed);
        }
        self.each(&families::POLL_FAILURES, |known| {
            Some(known.activity.failures)
        });
        self.each(&families::POLL_LAG, |known| known.lag_s);
        self.each(&families::NEXT_POLL, |known| {
            known.activity.next_poll_at.map(seconds)
        });
        self.each(&families::LAST_POLL, |known| known.polled_at.map(seconds));
        self.gaps();
        let mut events = self.to.family(&families::COLLECTION_EVENTS);
        for known in &status.collections {
            events.put(&labels(known), known.events);
        }
        // The inbox has collections of its own.
        if let Some(inbox) = &status.inbox {
            for known in &inbox.collections {
                let labels = [
                    ("service", inbox.name.as_str()),
                    ("collection", known.collection.as_str()),
                ];
                events.put(&labels, known.events);
            }
        }
    }

    fn gaps(&mut self) {
        let status = self.sources.status;
        let mut gaps = self.to.family(&families::GAPS);
        for known in &status.collections {
            gaps.put(&labels(known), known.gaps);
        }
        if let Some(inbox) = &status.inbox {
            for known in &inbox.collections {
                let labels = [
                    ("service", inbox.name.as_str()),
                    ("collection", known.collection.as_str()),
                ];
                gaps.put(&labels, known.gaps);
            }
        }
    }

    fn stages(&mut self) {
        let Sources {
            status,
            figures,
            tally,
            ..
        } = self.sources;
        let mut events = self.to.family(&families::EVENTS);
        events.put(&[("stage", "fetched")], tally.fetched.events);
        events.put(&[("stage", "spooled")], tally.spooled.events);
        for output in &status.outputs {
            let own = figures.outputs.get(&output.name);
            let dead_lettered = own.map_or(0, |own| own.dead_lettered);
            for (stage, count) in [
                ("delivered", output.activity.delivered),
                ("dead_lettered", dead_lettered),
            ] {
                events.put(&[("stage", stage), ("output", &output.name)], count);
            }
        }
        let given_up = given_up(status, tally);
        for (output, given_up) in &given_up {
            for (stage, count) in [
                ("discarded", given_up.discarded),
                ("abandoned", given_up.abandoned),
                ("lost", given_up.lost),
            ] {
                events.put(&[("stage", stage), ("output", output)], count);
            }
        }
        let mut batches = self.to.family(&families::FORGOTTEN_BATCHES);
        for (output, given_up) in &given_up {
            batches.put(&[("output", output)], given_up.forgotten_batches);
        }
        let mut bytes = self.to.family(&families::BYTES);
        bytes.put(&[("stage", "fetched")], tally.fetched.bytes);
        bytes.put(&[("stage", "spooled")], tally.spooled.bytes);
        for output in &status.outputs {
            let own = figures.outputs.get(&output.name);
            let count = own.map_or(0, |own| own.bytes);
            bytes.put(&[("stage", "delivered"), ("output", &output.name)], count);
        }
    }

    fn holds(&mut self) {
        let mut family = self.to.family(&families::HOLD);
        for trouble in self.sources.troubles {
            if trouble.what == What::Hold {
                let reason = shortened(&trouble.reason);
                let kind = trouble.kind.name();
                family.put(
                    &[("kind", kind), ("name", &trouble.name), ("reason", &reason)],
                    1,
                );
            }
        }
    }

    fn outputs(&mut self) {
        let (status, figures) = (self.sources.status, self.sources.figures);
        self.each_output(&families::CONFIGURED, |known| {
            Some(u64::from(known.kind.is_some()))
        });
        self.each_output(&families::PENDING_EVENTS, |known| {
            Some(known.pending_events)
        });
        self.each_output(&families::PENDING_BATCHES, |known| {
            Some(known.pending_batches)
        });
        self.each_output(&families::MISSING_BATCHES, |known| {
            Some(known.missing_batches)
        });
        let mut latency = self.to.family(&families::LATENCY);
        for output in &status.outputs {
            if let Some(own) = figures.outputs.get(&output.name) {
                let took = &own.latency;
                let labels = [("output", output.name.as_str())];
                latency.histogram(&labels, &BOUNDS_S, &took.cumulated(), took.sum_s());
            }
        }
        self.each_output(&families::RETRIES, |known| {
            Some(
                figures
                    .outputs
                    .get(&known.name)
                    .map_or(0, |own| own.retries),
            )
        });
        self.each_output(&families::ACKS, |known| {
            Some(known.activity.awaiting_acknowledgement)
        });
        self.each_output(&families::DELIVERED, |known| {
            known.activity.delivered_at.map(seconds)
        });
        self.each_output(&families::FAILURES, |known| Some(known.activity.failures));
        let mut peers = self.to.family(&families::PEER_UP);
        for output in &status.outputs {
            for peer in &output.activity.peers {
                let is_up = peer.state == PeerState::Ready;
                let labels = [
                    ("output", output.name.as_str()),
                    ("peer", peer.name.as_str()),
                ];
                peers.put(&labels, u8::from(is_up));
            }
        }
    }

    fn spool(&mut self, spool: &SpoolStatus) {
        for (family, value) in [
            (&families::DEAD_LETTERS, Some(spool.dead_letters)),
            (&families::SPOOL_BATCHES, Some(spool.batches)),
            (&families::SPOOL_BYTES, Some(spool.bytes)),
            (&families::SPOOL_MAX, Some(spool.max_bytes)),
            (&families::QUARANTINE, Some(spool.quarantine_bytes)),
        ] {
            self.to.family(family).put_some(&[], value);
        }
        let mut quarantined = self.to.family(&families::QUARANTINED);
        for (kind, count) in spool.quarantined.by_kind() {
            quarantined.put(&[("kind", kind)], count);
        }
        let oldest = spool.oldest_at.map(seconds);
        self.to
            .family(&families::SPOOL_OLDEST)
            .put_some(&[], oldest);
    }

    fn certificates(&mut self) {
        let mut family = self.to.family(&families::CERTIFICATES);
        for known in &self.sources.status.certificates {
            let labels = [
                ("part", known.part.as_str()),
                ("key", known.expiry.key.as_str()),
                ("file", known.expiry.file.as_str()),
            ];
            family.put(&labels, seconds(known.expiry.expires_at));
        }
    }

    fn inbox(&mut self) {
        let mut family = self.to.family(&families::INBOX_MESSAGES);
        let Some(inbox) = &self.sources.status.inbox else {
            return;
        };
        for (result, count) in [
            ("taken", inbox.activity.messages),
            ("refused", inbox.activity.refused),
            ("stranger", inbox.activity.strangers),
        ] {
            family.put(&[("result", result)], count);
        }
    }

    fn reloads(&mut self) {
        let reload = &self.sources.status.reload;
        let mut family = self.to.family(&families::RELOADS);
        family.put(&[("result", "success")], reload.taken);
        family.put(&[("result", "failure")], reload.refused);
        let is_refused = u64::from(reload.last_refusal.is_some());
        self.to
            .family(&families::RELOAD_REFUSED)
            .put(&[], is_refused);
    }

    fn process(&mut self, process: &Process) {
        self.to
            .family(&families::PROCESS_CPU)
            .put_some(&[], process.cpu_s);
        for (family, value) in [
            (&families::PROCESS_MEMORY, process.resident_bytes),
            (&families::PROCESS_FILES, process.open_files),
            (&families::PROCESS_MAX_FILES, process.max_files),
        ] {
            self.to.family(family).put_some(&[], value);
        }
        let started = seconds(self.sources.started_at);
        self.to.family(&families::PROCESS_START).put(&[], started);
    }

    fn each<T: std::fmt::Display>(
        &mut self,
        family: &Family,
        value: impl Fn(&CollectionStatus) -> Option<T>,
    ) {
        let mut family = self.to.family(family);
        for known in &self.sources.status.collections {
            family.put_some(&labels(known), value(known));
        }
    }

    fn each_output<T: std::fmt::Display>(
        &mut self,
        family: &Family,
        value: impl Fn(&OutputStatus) -> Option<T>,
    ) {
        let mut family = self.to.family(family);
        for known in &self.sources.status.outputs {
            family.put_some(&[("output", &known.name)], value(known));
        }
    }
}

/// What each output will not deliver, those included that were forgotten since the start: what was
/// given up with them counts on.
fn given_up(status: &Status, tally: &Tally) -> BTreeMap<String, GivenUp> {
    let known = status.outputs.iter();
    let mut all: BTreeMap<String, GivenUp> = known
        .map(|output| (output.name.clone(), GivenUp::default()))
        .collect();
    all.extend(tally.given_up.iter().map(|(name, of)| (name.clone(), *of)));
    all
}

fn labels(known: &CollectionStatus) -> [(&'static str, &str); 2] {
    [
        ("service", &known.service),
        ("collection", &known.collection),
    ]
}

/// Seconds since 1970, to the millisecond.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this millennium are exact in a double"
)]
fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_millis() as f64 / 1000.0
}

fn shortened(reason: &str) -> String {
    let mut characters = reason.chars();
    let mut text: String = characters.by_ref().take(MAX_REASON).collect();
    if characters.next().is_some() {
        text.push('…');
    }
    text
}
