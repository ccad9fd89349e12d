//! The status: what is so and what is going on, for people and scripts. No secrets.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::board::{CollectionActivity, InboxActivity, OutputActivity, ReloadActivity};
use crate::config::{AdminConfig, Config, InboxConfig, OutputConfig, OutputKind, ServiceConfig};
use crate::house::House;
use crate::state::{Begun, CollectionKey, Finished, Picture};
use crate::tls::expiry::Expiry;

/// The whole status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// When this was taken.
    pub at: DateTime<Utc>,
    /// The running agent's process; none if no agent runs.
    pub pid: Option<u32>,
    /// Where the status page is, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// How often its configuration was read again.
    #[serde(default)]
    pub reload: ReloadActivity,
    /// The part of the agent that does nothing though it has something to do, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standstill: Option<String>,
    /// The collections.
    pub collections: Vec<CollectionStatus>,
    /// The inbox, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox: Option<InboxStatus>,
    /// The outputs.
    pub outputs: Vec<OutputStatus>,
    /// The spool.
    pub spool: SpoolStatus,
    /// The certificates that the agent uses.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
}

/// A file of certificates, as the part of the agent that uses it has read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// Who uses it: `inbox`, `admin`, or `service` and `output` with their name.
    pub part: String,
    /// The file.
    #[serde(flatten)]
    pub expiry: Expiry,
}

/// A collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CollectionStatus {
    /// The configured name of the service.
    pub service: String,
    /// The collection.
    pub collection: String,
    /// Up to where it is here, in the service's own words.
    pub checkpoint: Option<String>,
    /// How long ago that is, in seconds.
    pub lag_s: Option<i64>,
    /// When it was last polled with success.
    pub polled_at: Option<DateTime<Utc>>,
    /// Events that it has brought.
    pub events: u64,
    /// Gaps that were found.
    pub gaps: u64,
    /// What its poller is doing.
    #[serde(flatten)]
    pub activity: CollectionActivity,
}

/// The inbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InboxStatus {
    /// Its name.
    pub name: String,
    /// What can be pushed to it.
    pub collections: Vec<InboxCollection>,
    /// What it is doing.
    #[serde(flatten)]
    pub activity: InboxActivity,
}

/// A collection that can be pushed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InboxCollection {
    /// The collection.
    pub collection: String,
    /// When a message for it was last taken.
    pub pushed_at: Option<DateTime<Utc>>,
    /// Events that were pushed.
    pub events: u64,
    /// Gaps: what was pushed and is lost with damaged files.
    #[serde(default)]
    pub gaps: u64,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputStatus {
    /// Its name.
    pub name: String,
    /// Its type; none if it is no longer configured.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Batches that it owes.
    pub pending_batches: u64,
    /// Events of those that are not done with.
    pub pending_events: u64,
    /// Batches that it owes and that are not in the spool: the audit names them.
    #[serde(default)]
    pub missing_batches: u64,
    /// Events of damaged files that wait for their window to be polled again; they count as pending.
    #[serde(default)]
    pub repairing_events: u64,
    /// What became of the events that need no more work.
    pub finished: Finished,
    /// What its forwarder is doing.
    #[serde(flatten)]
    pub activity: OutputActivity,
}

/// The spool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpoolStatus {
    /// Batches that wait for delivery.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What they may take.
    pub max_bytes: u64,
    /// When the oldest was fetched.
    pub oldest_at: Option<DateTime<Utc>>,
    /// Dead letters.
    pub dead_letters: u64,
    /// Bytes of what lies in `quarantine/` for a person.
    #[serde(default)]
    pub quarantine_bytes: u64,
    /// What was moved there since the start.
    #[serde(default)]
    pub quarantined: Quarantined,
}

/// What was moved to `quarantine/` since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quarantined {
    /// Damaged files of events.
    pub files: u64,
    /// Folders in the spool that are no batches.
    pub batches: u64,
    /// Answers of windows that were given up.
    pub answers: u64,
    /// Damaged segments of dead letters.
    pub letters: u64,
    /// Ledgers that were lost.
    pub ledgers: u64,
    /// Stores that could not be opened.
    pub stores: u64,
}

impl Quarantined {
    /// Each kind in a word, and how many.
    #[must_use]
    pub fn by_kind(&self) -> [(&'static str, u64); 6] {
        [
            ("file", self.files),
            ("batch", self.batches),
            ("answer", self.answers),
            ("letters", self.letters),
            ("ledger", self.ledgers),
            ("store", self.stores),
        ]
    }
}

impl Status {
    /// Takes the status; `is_running` is whether this process runs the agent.
    #[must_use]
    pub fn take(house: &House, config: &Config, is_running: bool) -> Self {
        let clock = house.clock.now();
        let now = clock.utc;
        let stall = house.watchdog.stall(clock.monotonic);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: now,
            pid: is_running.then(std::process::id),
            page: house.board.page(),
            reload: house.board.reload_activity(),
            standstill: stall.map(|stall| stall.to_string()),
            collections: collections(house, config, now),
            inbox: config.inbox.as_ref().map(|config| inbox(house, config)),
            outputs: outputs(house, config),
            spool: spool(house),
            certificates: certificates(house, config),
        }
    }
}

fn collections(house: &House, config: &Config, now: DateTime<Utc>) -> Vec<CollectionStatus> {
    let mut activities = house.board.collections();
    let mut all = Vec::new();
    for service in &config.services {
        for collection in service.collections.iter() {
            let key = CollectionKey {
                service: service.name.clone(),
                collection: collection.clone(),
            };
            let known = house
                .state
                .look(|picture| picture.collection(&key).cloned());
            let known = known.unwrap_or_default();
            let lag = known.checkpoint.as_ref().map(|stamp| now - stamp.time());
            all.push(CollectionStatus {
                activity: activities.remove(&key.to_string()).unwrap_or_default(),
                service: key.service,
                collection: key.collection,
                checkpoint: known.checkpoint.map(|stamp| stamp.text().to_owned()),
                lag_s: lag.map(|lag| lag.num_seconds()),
                polled_at: known.polled_at,
                events: known.events,
                gaps: known.gaps,
            });
        }
    }
    all
}

fn inbox(house: &House, config: &InboxConfig) -> InboxStatus {
    let collections = config.collections.iter().map(|collection| {
        let key = CollectionKey {
            service: config.name.clone(),
            collection: collection.clone(),
        };
        let known = house
            .state
            .look(|picture| picture.collection(&key).cloned());
        let known = known.unwrap_or_default();
        InboxCollection {
            collection: key.collection,
            pushed_at: known.polled_at,
            events: known.events,
            gaps: known.gaps,
        }
    });
    InboxStatus {
        name: config.name.clone(),
        collections: collections.collect(),
        activity: house.board.inbox_activity(),
    }
}

fn outputs(house: &House, config: &Config) -> Vec<OutputStatus> {
    let mut activities = house.board.outputs();
    let there = house.spool.numbers();
    let mut debts = house.state.look_at_work(|picture, begun| {
        let mut debts: BTreeMap<String, Debt> = BTreeMap::new();
        for (name, output) in &picture.outputs {
            debts.entry(name.clone()).or_default().finished = output.finished;
        }
        for (name, owed) in picture.batches.sums() {
            let debt = debts.entry(name.clone()).or_default();
            debt.batches = owed.batches;
            debt.events = owed.events;
        }
        for begun in begun {
            if let Some(debt) = debts.get_mut(begun.output) {
                debt.correct(&begun);
            }
        }
        let mut there = there.iter().peekable();
        for (seq, batch) in &picture.batches {
            while there.next_if(|there| *there < seq).is_some() {}
            if there.peek() == Some(&seq) {
                continue;
            }
            for name in &batch.outputs {
                if let Some(debt) = debts.get_mut(name) {
                    debt.absent.push(*seq);
                }
            }
        }
        debts
    });
    for output in &config.outputs {
        // The next start adds it.
        debts.entry(output.name.clone()).or_default();
    }
    debts
        .into_iter()
        .map(|(name, debt)| {
            let configured = config.outputs.iter().find(|output| output.name == name);
            let missing = debt.absent.iter();
            let missing = missing.filter(|seq| is_missing(house, &name, **seq));
            OutputStatus {
                kind: configured.map(|output| kind_name(&output.kind).to_owned()),
                pending_batches: debt.batches,
                pending_events: debt.events,
                missing_batches: missing.count() as u64,
                repairing_events: debt.repairing,
                finished: debt.finished,
                activity: activities.remove(&name).unwrap_or_default(),
                name,
            }
        })
        .collect()
}

/// What an output owes, and what has become of the rest.
#[derive(Debug, Default)]
struct Debt {
    batches: u64,
    events: u64,
    repairing: u64,
    finished: Finished,
    /// Batches that are not in the spool, or were not a moment ago.
    absent: Vec<u64>,
}

impl Debt {
    /// Not all events of this batch are still owed.
    fn correct(&mut self, begun: &Begun<'_>) {
        let (batch, progress) = (begun.batch, &begun.progress);
        let (mut so_far, _) = batch.settle_so_far(begun.output, progress);
        self.events -= batch.events;
        self.events += std::mem::take(&mut so_far.abandoned);
        self.repairing += batch.lacks(progress);
        self.finished.add(&so_far);
    }
}

/// Whether a batch is owed and not there. It leaves the spool only when it is owed no more.
fn is_missing(house: &House, output: &str, seq: u64) -> bool {
    let is_owed = |picture: &Picture| picture.owes(output, seq);
    house.spool.in_place(seq).is_none() && house.state.look(is_owed)
}

fn certificates(house: &House, config: &Config) -> Vec<CertificateStatus> {
    let services = config.services.iter().map(ServiceConfig::part);
    let outputs = config.outputs.iter().map(OutputConfig::part);
    let inbox = config.inbox.iter().map(|_| InboxConfig::PART.to_owned());
    let admin = config.admin.iter().map(|_| AdminConfig::PART.to_owned());
    let mut read = house.board.certificates();
    let mut all = Vec::new();
    for part in services.chain(outputs).chain(inbox).chain(admin) {
        for expiry in read.remove(&part).unwrap_or_default() {
            let part = part.clone();
            all.push(CertificateStatus { part, expiry });
        }
    }
    all
}

fn spool(house: &House) -> SpoolStatus {
    let waiting = house.spool.waiting();
    SpoolStatus {
        batches: waiting.batches as u64,
        bytes: waiting.bytes,
        max_bytes: house.spool.max_bytes(),
        oldest_at: waiting.oldest_at,
        dead_letters: house.spool.dead_letters().count(),
        quarantine_bytes: house.spool.quarantine_bytes(),
        quarantined: quarantined(house),
    }
}

fn quarantined(house: &House) -> Quarantined {
    let (of_spool, of_state) = (house.spool.quarantined(), house.state.quarantined());
    Quarantined {
        files: of_spool.files,
        batches: of_spool.batches,
        answers: of_spool.answers,
        letters: house.spool.dead_letters().quarantined(),
        ledgers: of_state.ledgers,
        stores: of_state.stores,
    }
}

fn kind_name(kind: &OutputKind) -> &'static str {
    match kind {
        OutputKind::SplunkHec(_) => "splunk_hec",
        OutputKind::Syslog(_) => "syslog",
        OutputKind::File(_) => "file",
        OutputKind::Stdout => "stdout",
    }
}
