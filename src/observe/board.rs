//! The board: what every part of the agent is doing, for `status`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::figures::{OutputFigures, PollFigures};
use crate::tls::expiry::Expiry;

/// Where pollers and forwarders write what they do.
#[derive(Debug, Default)]
pub struct Board {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    collections: BTreeMap<String, CollectionActivity>,
    outputs: BTreeMap<String, OutputActivity>,
    inbox: InboxActivity,
    reload: ReloadActivity,
    figures: Figures,
    /// By part, what was last read.
    certificates: BTreeMap<String, Vec<Expiry>>,
    page: Option<String>,
    /// Pages that there were so far.
    pages: u64,
}

/// How often the configuration was read again, since the start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReloadActivity {
    /// With success.
    pub taken: u64,
    /// When that was last.
    pub taken_at: Option<DateTime<Utc>>,
    /// In vain: the old one went on.
    pub refused: u64,
    /// Why the last of them was; none once another is taken.
    pub last_refusal: Option<String>,
    /// When that was.
    pub last_refusal_at: Option<DateTime<Utc>>,
}

impl ReloadActivity {
    /// Another configuration holds.
    pub fn taken(&mut self, now: DateTime<Utc>) {
        self.taken += 1;
        self.taken_at = Some(now);
        (self.last_refusal, self.last_refusal_at) = (None, None);
    }

    /// The old one goes on.
    pub fn refused(&mut self, now: DateTime<Utc>, why: &str) {
        self.refused += 1;
        (self.last_refusal, self.last_refusal_at) = (Some(why.to_owned()), Some(now));
    }
}

/// What is counted since the start.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Polls, by `service/collection`.
    pub polls: BTreeMap<String, PollFigures>,
    /// Outputs, by name.
    pub outputs: BTreeMap<String, OutputFigures>,
}

/// What the inbox is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InboxActivity {
    /// Where it listens; none while it does not.
    pub url: Option<String>,
    /// Messages that were taken since the start.
    pub messages: u64,
    /// What the last one brought.
    pub last_message: Option<String>,
    /// When that was.
    pub last_message_at: Option<DateTime<Utc>>,
    /// Messages that were refused since the start.
    pub refused: u64,
    /// Why the last of them was.
    pub last_refusal: Option<String>,
    /// When that was.
    pub last_refusal_at: Option<DateTime<Utc>>,
    /// Requests since the start of somebody who may not push.
    pub strangers: u64,
    /// Who the last of them was.
    pub last_stranger: Option<String>,
    /// When that was.
    pub last_stranger_at: Option<DateTime<Utc>>,
    /// Why it takes nothing; not of a message that is at fault itself.
    #[serde(default)]
    pub hold: Option<Hold>,
}

/// What the poller of a collection is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CollectionActivity {
    /// When it may be polled again.
    pub next_poll_at: Option<DateTime<Utc>>,
    /// What the last poll brought, or why it failed.
    pub last_result: Option<String>,
    /// When that was.
    pub last_result_at: Option<DateTime<Utc>>,
    /// Failures in a row.
    #[serde(default)]
    pub failures: u32,
    /// Since when it fails; none after a success.
    #[serde(default)]
    pub failing_since: Option<DateTime<Utc>>,
    /// Why it waits for a person, or for room.
    pub hold: Option<Hold>,
}

/// What the forwarder of an output is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputActivity {
    /// When something was last delivered.
    pub delivered_at: Option<DateTime<Utc>>,
    /// Events delivered since the start.
    pub delivered: u64,
    /// Failures in a row.
    pub failures: u32,
    /// Why the last try failed; none after a success.
    pub last_failure: Option<String>,
    /// Why it waits for a person: nothing goes to any of its peers.
    pub hold: Option<Hold>,
    /// Events that were accepted and are not acknowledged yet.
    #[serde(default)]
    pub awaiting_acknowledgement: u64,
    /// Its endpoints, addresses or file, in the order of the configuration.
    #[serde(default)]
    pub peers: Vec<PeerActivity>,
}

/// What is known of one peer of an output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerActivity {
    /// Its URL, address or path.
    pub name: String,
    /// How it is.
    pub state: PeerState,
    /// Flights that are under way to it.
    pub in_flight: usize,
    /// How many may be.
    pub limit: usize,
    /// Failures in a row.
    pub failures: u32,
    /// Why nothing is delivered to it.
    pub reason: Option<String>,
    /// What a person must do about it; none if waiting may help.
    pub mend: Option<String>,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
}

/// How a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerState {
    /// It takes events, as far as is known.
    Ready,
    /// It fails, and is tried again.
    Failing,
    /// It waits for a person, and is probed.
    Held,
}

/// Why something waits, and what to do about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// What happened.
    pub reason: String,
    /// What to do about it.
    pub mend: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

impl Board {
    /// Writes what a collection's poller does.
    pub fn collection(&self, key: &str, write: impl FnOnce(&mut CollectionActivity)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        write(inner.collections.entry(key.to_owned()).or_default());
    }

    /// Writes what an output's forwarder does.
    pub fn output(&self, name: &str, write: impl FnOnce(&mut OutputActivity)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        write(inner.outputs.entry(name.to_owned()).or_default());
    }

    /// Writes what the inbox does.
    pub fn inbox(&self, write: impl FnOnce(&mut InboxActivity)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        write(&mut inner.inbox);
    }

    /// What is configured no more, and has stopped, does nothing.
    pub fn keep_only(
        &self,
        is_collection: impl Fn(&str) -> bool,
        is_output: impl Fn(&str) -> bool,
    ) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.collections.retain(|key, _| is_collection(key));
        inner.outputs.retain(|name, _| is_output(name));
    }

    /// Writes what became of a reload.
    pub fn reload(&self, write: impl FnOnce(&mut ReloadActivity)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        write(&mut inner.reload);
    }

    /// What became of reloads.
    #[must_use]
    pub fn reload_activity(&self) -> ReloadActivity {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.reload.clone()
    }

    /// Counts a poll of a collection.
    pub fn polled(&self, key: &str, has_succeeded: bool) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let polls = inner.figures.polls.entry(key.to_owned()).or_default();
        if has_succeeded {
            polls.succeeded += 1;
        } else {
            polls.failed += 1;
        }
    }

    /// Counts what an output does.
    pub fn count(&self, output: &str, count: impl FnOnce(&mut OutputFigures)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        count(inner.figures.outputs.entry(output.to_owned()).or_default());
    }

    /// All that is counted.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.figures.clone()
    }

    /// Writes until when the certificates are valid that a part has read.
    pub fn set_certificates(&self, part: String, read: Vec<Expiry>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.certificates.insert(part, read);
    }

    /// The certificates that were read, by part: also of those that are configured no more.
    #[must_use]
    pub fn certificates(&self) -> BTreeMap<String, Vec<Expiry>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.certificates.clone()
    }

    /// Writes where the status page is; gives the number of that.
    pub fn set_page(&self, url: String) -> u64 {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.pages += 1;
        inner.page = Some(url);
        inner.pages
    }

    /// The page with this number listens no more; another may have taken its place.
    pub fn end_page(&self, number: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.pages == number {
            inner.page = None;
        }
    }

    /// Where the status page is, while something listens.
    #[must_use]
    pub fn page(&self) -> Option<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.page.clone()
    }

    /// What the inbox does.
    #[must_use]
    pub fn inbox_activity(&self) -> InboxActivity {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.inbox.clone()
    }

    /// All collections, by `service/collection`.
    #[must_use]
    pub fn collections(&self) -> BTreeMap<String, CollectionActivity> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.collections.clone()
    }

    /// All outputs.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<String, OutputActivity> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.outputs.clone()
    }
}
