//! Drives one output: reads what it owes, sends it, and moves its cursor.
//!
//! Like a poller it never sleeps: [`Forwarder::turn`] sends once and tells when it wants to go on.

mod parcel;
mod reading;
mod release;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::{Backoff, BatchSize, Breaker, InvalidBackoff, Progress, Reaction, TooMuch};
use crate::clock::Now;
use crate::config::{OutputConfig, WhenSpoolFull};
use crate::house::House;
use crate::observe::board::Hold;
use crate::output::{BuildOutputError, Output, Verdict};
use crate::spool::{BatchHead, EventLetter, KeepLetterError, MEND_LETTERS, SpoolError};
use crate::state::Record;
use crate::state::ledger::AppendError;
use crate::wake::Wake;
use parcel::Parcel;
use reading::Reading;

/// How long a forwarder waits after its own disk failed.
const DISK_WAIT: Duration = Duration::from_secs(10);
/// How long a held output waits before it is probed again, at most.
const MAX_PROBE_WAIT: Duration = Duration::from_secs(60);

/// Delivers what one output owes.
#[derive(Debug)]
pub struct Forwarder {
    house: House,
    config: OutputConfig,
    output: Output,
    backoff: Backoff,
    breaker: Breaker,
    size: BatchSize,
    random: fastrand::Rng,
    /// The batches that are being delivered.
    open: BTreeMap<u64, OpenBatch>,
    /// The batch that is being read; those before it are read.
    reading: Option<Reading>,
    read_up_to: Option<u64>,
    parcel: Parcel,
    wait_until: Option<Duration>,
    /// The receiver wants something mended first.
    hold: Option<Hold>,
    /// Our own disk does.
    disk_hold: Option<Hold>,
    /// The refused event that is in the way, by batch and line.
    refused: Option<(u64, u64)>,
}

#[derive(Debug)]
struct OpenBatch {
    head: Arc<BatchHead>,
    progress: Progress,
    is_changed: bool,
}

/// A forwarder cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BuildForwarderError {
    /// Its output cannot.
    #[error(transparent)]
    Output(#[from] BuildOutputError),
    /// Its waits make no sense.
    #[error(transparent)]
    Backoff(#[from] InvalidBackoff),
}

/// What was delivered or set aside could not be written down.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Ledger(#[from] AppendError),
    #[error("the store cannot be written: {0}")]
    Store(#[from] crate::state::StoreError),
    #[error(transparent)]
    Letter(#[from] KeepLetterError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl Forwarder {
    /// Sets up the output; connects to nothing.
    pub fn new(house: &House, config: OutputConfig) -> Result<Self, BuildForwarderError> {
        Ok(Self {
            output: Output::new(&config)?,
            backoff: Backoff::new(config.retry.initial, config.retry.max)?,
            breaker: Breaker::new(),
            size: BatchSize::new(config.batch.max_events),
            random: fastrand::Rng::new(),
            house: house.clone(),
            config,
            open: BTreeMap::new(),
            reading: None,
            read_up_to: None,
            parcel: Parcel::default(),
            wait_until: None,
            hold: None,
            disk_hold: None,
            refused: None,
        })
    }

    /// The output's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Ends the connection in order.
    pub async fn close(&mut self) {
        self.output.close().await;
    }

    /// Sends once, if there is something to send and it is time.
    pub async fn turn(&mut self) -> Wake {
        let now = self.house.clock.now();
        // Also while it waits: an output that is down is the one that fills the spool.
        if let Err(error) = self.release_if_room_is_wanted() {
            return self.disk_failed(&error);
        }
        if let Some(until) = self.wait_until
            && until > now.monotonic
        {
            return self.wake_after(until.saturating_sub(now.monotonic));
        }
        self.wait_until = None;
        // What the disk refused the last time.
        if let Err(error) = self.keep() {
            return self.disk_failed(&error);
        }
        if self.hold.is_some()
            && let Err(problem) = self.output.probe().await
        {
            return self.held(problem.reason, problem.mend);
        }
        if let Err(error) = self.fill() {
            self.read_again();
            return self.disk_failed(&KeepError::Spool(error));
        }
        if self
            .disk_hold
            .as_ref()
            .is_some_and(|hold| hold.mend != MEND_LETTERS)
        {
            self.disk_mended();
        }
        if self.parcel.is_empty() {
            return Wake::SpoolChange(Duration::MAX);
        }
        if let Some(wait) = self.waits_for_more(now) {
            return Wake::SpoolChange(wait);
        }
        self.send().await
    }

    /// How long a parcel that is not full still waits for more.
    fn waits_for_more(&self, now: Now) -> Option<Duration> {
        if self.is_full() || self.backoff.failures() > 0 || self.hold.is_some() {
            return None;
        }
        let age = self.parcel.age(now.monotonic)?;
        let rest = self.config.batch.max_wait.saturating_sub(age);
        (!rest.is_zero()).then_some(rest)
    }

    async fn send(&mut self) -> Wake {
        let fitting = self.parcel.fitting(self.config.batch.max_bytes);
        let count = fitting.min(self.size.limit());
        let events = self.parcel.outgoing(count);
        let verdict = self.output.send(&events).await;
        let kept = match &verdict {
            Verdict::Delivered { .. } => self.delivered(count),
            Verdict::Retry { delivered, .. } | Verdict::Hold { delivered, .. } => {
                self.delivered(*delivered)
            }
            Verdict::Refused { index, .. } => self.delivered(*index),
            Verdict::TooLarge { .. } => Ok(()),
        };
        if let Err(error) = kept {
            return self.disk_failed(&error);
        }
        match verdict {
            Verdict::Delivered { slow_down } => {
                if slow_down {
                    self.size.slow_down();
                } else {
                    self.size.delivered();
                }
                Wake::NOW
            }
            Verdict::Retry { reason, after, .. } => self.retry(reason, after),
            Verdict::Hold { reason, mend, .. } => self.held(reason, mend),
            Verdict::Refused { code, reason, .. } => self.refused(code, reason),
            Verdict::TooLarge { reason } => match self.size.too_large(count) {
                TooMuch::Halve { limit } => {
                    tracing::info!(
                        output = self.config.name,
                        events = count,
                        limit,
                        reason,
                        "too much at once; sending less"
                    );
                    Wake::NOW
                }
                TooMuch::Refuse => self.refused("too-large".to_owned(), reason),
            },
        }
    }

    /// The receiver has the first `count` events.
    fn delivered(&mut self, count: usize) -> Result<(), KeepError> {
        if count == 0 {
            return Ok(());
        }
        for _ in 0..count {
            self.take_first(Progress::delivered);
        }
        self.backoff.reset();
        self.breaker.delivered();
        self.refused = None;
        self.disk_mended();
        if let Some(hold) = self.hold.take() {
            tracing::info!(output = self.config.name, since = %hold.since, "delivery goes on");
        }
        let now = self.house.clock.now().utc;
        self.house.board.output(&self.config.name, |activity| {
            activity.delivered_at = Some(now);
            activity.delivered += count as u64;
            activity.failures = 0;
            activity.last_failure = None;
        });
        self.tell_hold();
        self.keep()
    }

    fn take_first(&mut self, finish: impl FnOnce(&mut Progress, u64)) {
        let Some(item) = self.parcel.take_first() else {
            return;
        };
        if let Some(open) = self.open.get_mut(&item.seq) {
            finish(&mut open.progress, item.line);
            open.is_changed = true;
        }
    }

    /// Writes down what has been done: batches that are done with in the ledger, the rest as
    /// cursors.
    fn keep(&mut self) -> Result<(), KeepError> {
        let done: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| open.progress.is_complete(open.head.events()))
            .map(|(seq, _)| *seq)
            .collect();
        for seq in done {
            self.finish(seq)?;
        }
        let changed: Vec<(u64, Progress)> = self
            .open
            .iter()
            .filter(|(_, open)| open.is_changed)
            .map(|(seq, open)| (*seq, open.progress.clone()))
            .collect();
        if !changed.is_empty() {
            let state = &self.house.state;
            tokio::task::block_in_place(|| state.set_progress(&self.config.name, &changed))?;
            for open in self.open.values_mut() {
                open.is_changed = false;
            }
        }
        Ok(())
    }

    /// This output has done with a batch; what is not finished is given up.
    fn finish(&mut self, seq: u64) -> Result<(), KeepError> {
        let Some(open) = self.open.get(&seq) else {
            return Ok(());
        };
        let finished = open.progress.finished(open.head.events());
        let record = Record::OutputFinished {
            output: self.config.name.clone(),
            seq,
            finished,
        };
        let now = self.house.clock.now().utc;
        tokio::task::block_in_place(|| self.house.state.append(now, &record))?;
        tracing::debug!(
            output = self.config.name,
            seq,
            delivered = finished.delivered,
            dead_letters = finished.dead_letters,
            abandoned = finished.abandoned,
            "done with a batch"
        );
        self.open.remove(&seq);
        let is_owed = self
            .house
            .state
            .look(|picture| picture.batches.contains_key(&seq));
        if !is_owed {
            tokio::task::block_in_place(|| self.house.spool.done(seq, now))?;
        }
        Ok(())
    }

    fn retry(&mut self, reason: String, after: Option<Duration>) -> Wake {
        let wait = self.backoff.wait(after, &mut self.random);
        let failures = self.backoff.failures();
        // The first failure and then fewer and fewer: a long outage must not fill the log.
        if failures.is_power_of_two() {
            tracing::warn!(
                output = self.config.name,
                failures,
                reason,
                retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "cannot deliver; it is tried again for ever, nothing is lost"
            );
        }
        self.house.board.output(&self.config.name, |activity| {
            activity.failures = failures;
            activity.last_failure = Some(reason);
        });
        self.wait(wait)
    }

    fn held(&mut self, reason: String, mend: String) -> Wake {
        let now = self.house.clock.now();
        let is_new = self.hold.as_ref().is_none_or(|hold| hold.reason != reason);
        if is_new {
            tracing::error!(
                output = self.config.name,
                reason,
                mend,
                "delivery is held until this is mended; it is tried again by itself, nothing is lost"
            );
        }
        let since = self.hold.take().map_or(now.utc, |hold| hold.since);
        let hold = Hold {
            reason,
            mend,
            since,
        };
        self.hold = Some(hold);
        self.tell_hold();
        let wait = self
            .backoff
            .wait(None, &mut self.random)
            .min(MAX_PROBE_WAIT);
        self.wait(wait)
    }

    /// The first event can never be delivered.
    fn refused(&mut self, code: String, reason: String) -> Wake {
        let Some(item) = self.parcel.first() else {
            return Wake::NOW;
        };
        // An event that is refused again, since it could not be set aside, counts once.
        let place = Some((item.seq, item.line));
        let is_new = std::mem::replace(&mut self.refused, place) != place;
        if is_new && self.breaker.refused(item.seq) == Reaction::Hold {
            self.refused = None;
            let mend = "look at the last dead letters and at what the receiver says: it refuses \
                        one event after the other, so the fault is hardly theirs";
            return self.held(format!("{code}: {reason}"), mend.to_owned());
        }
        let now = self.house.clock.now().utc;
        let origin = &item.outgoing.origin;
        let letter = EventLetter {
            output: self.config.name.clone(),
            seq: item.seq,
            line: item.line,
            code,
            reason,
            number: None,
            event: RawValue::from_string(item.outgoing.event.json.clone()).unwrap_or_default(),
        };
        let (event, code, reason) = (
            item.outgoing.event.id,
            letter.code.clone(),
            letter.reason.clone(),
        );
        let letters = self.house.spool.dead_letters();
        let kept = tokio::task::block_in_place(|| {
            letters.keep_event(now, &origin.service, &origin.collection, letter)
        });
        if let Err(error) = kept {
            return self.disk_failed(&error.into());
        }
        self.disk_mended();
        tracing::error!(
            output = self.config.name,
            %event,
            code,
            reason,
            "an event is refused for good: it is set aside in spool/dead-letters/, the rest goes on"
        );
        self.take_first(Progress::set_aside);
        match self.keep() {
            Ok(()) => Wake::NOW,
            Err(error) => self.disk_failed(&error),
        }
    }

    /// Nothing more is sent until what was sent can be written down, and what comes next be read.
    fn disk_failed(&mut self, error: &KeepError) -> Wake {
        let reason = error.to_string();
        let mend = match error {
            KeepError::Letter(KeepLetterError::Full { .. }) => MEND_LETTERS,
            KeepError::Spool(_) => {
                "mend the disk; if the batch itself is damaged, move its folder from spool/ready/ \
                 to quarantine/, restart, and poll its window by hand"
            }
            KeepError::Ledger(_) | KeepError::Store(_) | KeepError::Letter(_) => {
                "free space or mend the disk of the state folder"
            }
        };
        let before = self.disk_hold.take().filter(|hold| hold.mend == mend);
        if before.is_none() {
            tracing::error!(
                output = self.config.name,
                reason,
                mend,
                "delivery is held until this is mended; it is tried again by itself, nothing is lost"
            );
        }
        let now = self.house.clock.now().utc;
        self.disk_hold = Some(Hold {
            reason: reason.clone(),
            mend: mend.to_owned(),
            since: before.map_or(now, |hold| hold.since),
        });
        self.house.board.output(&self.config.name, |activity| {
            activity.last_failure = Some(reason);
        });
        self.tell_hold();
        self.wait(DISK_WAIT)
    }

    fn disk_mended(&mut self) {
        if let Some(hold) = self.disk_hold.take() {
            tracing::info!(output = self.config.name, since = %hold.since, "delivery goes on");
            self.tell_hold();
        }
    }

    fn tell_hold(&self) {
        let hold = self.disk_hold.as_ref().or(self.hold.as_ref());
        self.house.board.output(&self.config.name, |activity| {
            activity.hold = hold.cloned();
        });
    }

    fn wait(&mut self, wait: Duration) -> Wake {
        self.wait_until = Some(self.house.clock.now().monotonic + wait);
        self.wake_after(wait)
    }

    /// One that may release what it owes must hear when room is wanted.
    fn wake_after(&self, wait: Duration) -> Wake {
        match self.config.when_spool_full {
            WhenSpoolFull::Hold => Wake::After(wait),
            WhenSpoolFull::Release => Wake::SpoolChange(wait),
        }
    }
}

/// The outputs that the configuration no longer has, with the number of batches that they owe.
#[must_use]
pub fn abandoned_outputs(house: &House) -> BTreeMap<String, usize> {
    let configured: BTreeSet<&str> = house.outputs.iter().map(|o| o.name.as_str()).collect();
    house.state.look(|picture| {
        let mut owed = BTreeMap::new();
        for output in picture.batches.values().flat_map(|batch| &batch.outputs) {
            if !configured.contains(output.as_str()) {
                *owed.entry(output.clone()).or_insert(0) += 1;
            }
        }
        owed
    })
}
