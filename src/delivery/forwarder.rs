//! Drives one output: reads what it owes, sends it, and moves its cursor.
//!
//! Like a poller it never sleeps: [`Forwarder::turn`] sends once and tells when it wants to go on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::{Backoff, BatchSize, Breaker, InvalidBackoff, Progress, Reaction, TooMuch};
use crate::clock::Now;
use crate::config::{OutputConfig, WhenSpoolFull};
use crate::event::Event;
use crate::house::House;
use crate::observe::board::Hold;
use crate::output::{BatchOrigin, BuildOutputError, Outgoing, Output, Verdict};
use crate::spool::{BatchHead, BatchReader, EventLetter, KeepLetterError, SpoolError};
use crate::state::Record;
use crate::state::ledger::AppendError;
use crate::wake::Wake;

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
    /// Events in memory, in order, neither delivered nor set aside.
    parcel: VecDeque<Item>,
    parcel_bytes: usize,
    parcel_since: Option<Duration>,
    wait_until: Option<Duration>,
    hold: Option<Hold>,
}

#[derive(Debug)]
struct OpenBatch {
    head: Arc<BatchHead>,
    progress: Progress,
    is_changed: bool,
}

#[derive(Debug)]
struct Reading {
    head: Arc<BatchHead>,
    origin: Arc<BatchOrigin>,
    lines: BatchReader,
}

#[derive(Debug)]
struct Item {
    seq: u64,
    line: u64,
    outgoing: Outgoing,
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
    Store(#[from] crate::state::sled_error::Error),
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
            parcel: VecDeque::new(),
            parcel_bytes: 0,
            parcel_since: None,
            wait_until: None,
            hold: None,
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
        if self.config.when_spool_full == WhenSpoolFull::Release
            && let Err(error) = self.release_if_room_is_wanted()
        {
            return self.disk_failed(&error);
        }
        if let Some(until) = self.wait_until
            && until > now.monotonic
        {
            return Wake::After(until.saturating_sub(now.monotonic));
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
        match self.fill() {
            Ok(()) => {}
            Err(error) => {
                self.read_again();
                return self.disk_failed(&KeepError::Spool(error));
            }
        }
        if self.parcel.is_empty() {
            return Wake::SpoolChange(Duration::MAX);
        }
        if let Some(wait) = self.waits_for_more(now) {
            return Wake::SpoolChange(wait);
        }
        self.send().await
    }

    /// Reads events until the parcel is full or nothing is left to read.
    fn fill(&mut self) -> Result<(), SpoolError> {
        while !self.is_full() {
            let Some(reading) = &mut self.reading else {
                if !self.open_next()? {
                    return Ok(());
                }
                continue;
            };
            let (head, origin) = (Arc::clone(&reading.head), Arc::clone(&reading.origin));
            let next = tokio::task::block_in_place(|| reading.lines.next_line());
            let next = next.map_err(|source| SpoolError::Io {
                action: "reading",
                path: format!("batch {}", head.seq).into(),
                source,
            })?;
            let Some((line, json)) = next else {
                self.reading = None;
                continue;
            };
            let is_finished = self
                .open
                .get(&head.seq)
                .is_none_or(|open| open.progress.cursor.is_finished(line));
            if is_finished {
                continue;
            }
            let event = Event::parse(json, origin.window_end).map_err(|error| SpoolError::Io {
                action: "reading",
                path: format!("line {line} of batch {}", head.seq).into(),
                source: std::io::Error::other(error),
            })?;
            self.parcel_bytes += event.json.len() + self.output.framing_bytes(&origin);
            self.parcel_since
                .get_or_insert(self.house.clock.now().monotonic);
            self.parcel.push_back(Item {
                seq: head.seq,
                line,
                outgoing: Outgoing { origin, event },
            });
        }
        Ok(())
    }

    /// Forgets what was read but not sent: it is read again from the cursors.
    fn read_again(&mut self) {
        self.open.clear();
        self.reading = None;
        self.read_up_to = None;
        self.parcel.clear();
        self.parcel_bytes = 0;
        self.parcel_since = None;
    }

    fn is_full(&self) -> bool {
        self.parcel.len() >= self.config.batch.max_events
            || self.parcel_bytes >= self.config.batch.max_bytes
    }

    /// Opens the next batch that this output owes.
    fn open_next(&mut self) -> Result<bool, SpoolError> {
        let after = self.read_up_to.map_or(Bound::Unbounded, Bound::Excluded);
        let name = &self.config.name;
        let next = self.house.state.look(|picture| {
            let mut owed = picture.batches.range((after, Bound::Unbounded));
            owed.find(|(_, batch)| batch.outputs.contains(name))
                .map(|(seq, _)| *seq)
        });
        let Some(seq) = next else {
            return Ok(false);
        };
        let Some(head) = self.house.spool.batch(seq) else {
            // In quarantine: it stays owed, and is told as such.
            tracing::error!(
                output = name,
                seq,
                "a batch that is owed is not in the spool"
            );
            self.read_up_to = Some(seq);
            return Ok(true);
        };
        let progress = self.house.state.progress(name, seq);
        let lines = self.house.spool.read(&head, progress.cursor.low())?;
        self.open.insert(
            seq,
            OpenBatch {
                head: Arc::clone(&head),
                progress,
                is_changed: false,
            },
        );
        self.reading = Some(Reading {
            origin: Arc::new(BatchOrigin {
                service: head.service.clone(),
                collection: head.collection.clone(),
                window_end: head.window_end,
            }),
            head,
            lines,
        });
        self.read_up_to = Some(seq);
        Ok(true)
    }

    /// How long a parcel that is not full still waits for more.
    fn waits_for_more(&self, now: Now) -> Option<Duration> {
        if self.is_full() || self.backoff.failures() > 0 || self.hold.is_some() {
            return None;
        }
        let age = now.monotonic.saturating_sub(self.parcel_since?);
        let rest = self.config.batch.max_wait.saturating_sub(age);
        (!rest.is_zero()).then_some(rest)
    }

    async fn send(&mut self) -> Wake {
        let count = self.sendable();
        let events: Vec<Outgoing> = self
            .parcel
            .iter()
            .take(count)
            .map(|item| item.outgoing.clone())
            .collect();
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

    /// How many of the first events go out at once.
    fn sendable(&self) -> usize {
        let mut bytes = 0;
        let fits = self.parcel.iter().take_while(|item| {
            let size =
                item.outgoing.event.json.len() + self.output.framing_bytes(&item.outgoing.origin);
            let fits = bytes == 0 || bytes + size <= self.config.batch.max_bytes;
            bytes += size;
            fits
        });
        fits.count().min(self.size.limit())
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
        if let Some(hold) = self.hold.take() {
            tracing::info!(output = self.config.name, since = %hold.since, "delivery goes on");
        }
        let now = self.house.clock.now().utc;
        self.house.board.output(&self.config.name, |activity| {
            activity.delivered_at = Some(now);
            activity.delivered += count as u64;
            activity.failures = 0;
            activity.last_failure = None;
            activity.hold = None;
        });
        self.keep()
    }

    fn take_first(&mut self, finish: impl FnOnce(&mut Progress, u64)) {
        let Some(item) = self.parcel.pop_front() else {
            return;
        };
        let framing = self.output.framing_bytes(&item.outgoing.origin);
        let size = item.outgoing.event.json.len() + framing;
        self.parcel_bytes = self.parcel_bytes.saturating_sub(size);
        if let Some(open) = self.open.get_mut(&item.seq) {
            finish(&mut open.progress, item.line);
            open.is_changed = true;
        }
        if self.parcel.is_empty() {
            self.parcel_since = None;
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
        if changed.is_empty() {
            return Ok(());
        }
        let state = &self.house.state;
        tokio::task::block_in_place(|| state.set_progress(&self.config.name, &changed))?;
        for open in self.open.values_mut() {
            open.is_changed = false;
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
        self.house.board.output(&self.config.name, |activity| {
            activity.hold = Some(hold.clone());
        });
        self.hold = Some(hold);
        let wait = self
            .backoff
            .wait(None, &mut self.random)
            .min(MAX_PROBE_WAIT);
        self.wait(wait)
    }

    /// The first event can never be delivered.
    fn refused(&mut self, code: String, reason: String) -> Wake {
        let Some(item) = self.parcel.front() else {
            return Wake::NOW;
        };
        if self.breaker.refused(item.seq) == Reaction::Hold {
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
            event: RawValue::from_string(item.outgoing.event.json.clone()).unwrap_or_default(),
        };
        tracing::error!(
            output = self.config.name,
            event = %item.outgoing.event.id,
            code = letter.code,
            reason = letter.reason,
            "an event is refused for good: it is set aside in spool/dead-letters/, the rest goes on"
        );
        let letters = self.house.spool.dead_letters();
        let kept = tokio::task::block_in_place(|| {
            letters.keep_event(now, &origin.service, &origin.collection, letter)
        });
        if let Err(error) = kept {
            return self.disk_failed(&error.into());
        }
        self.take_first(Progress::set_aside);
        match self.keep() {
            Ok(()) => Wake::NOW,
            Err(error) => self.disk_failed(&error),
        }
    }

    /// A poll waits for room, and this output may give up what it owes: the oldest batch goes.
    fn release_if_room_is_wanted(&mut self) -> Result<(), KeepError> {
        while self.house.spool.is_room_wanted() {
            let name = &self.config.name;
            let oldest = self.house.state.look(|picture| {
                let mut owed = picture.batches.iter();
                owed.find(|(_, batch)| batch.outputs.contains(name))
                    .map(|(seq, _)| *seq)
            });
            let Some(seq) = oldest else {
                return Ok(());
            };
            let Some(head) = self.house.spool.batch(seq) else {
                return Ok(());
            };
            let progress = self.house.state.progress(name, seq);
            let open = self.open.entry(seq).or_insert(OpenBatch {
                head: Arc::clone(&head),
                progress,
                is_changed: false,
            });
            let abandoned = open.progress.finished(head.events()).abandoned;
            tracing::error!(
                output = name,
                collection = head.collection,
                until = %head.window_end,
                events = abandoned,
                "the spool is full: this output gives up its oldest events (when_spool_full = \
                 \"release\"); they can be replayed while they are in the archive"
            );
            let mut kept: VecDeque<Item> = VecDeque::new();
            self.parcel_bytes = 0;
            for item in self.parcel.drain(..).filter(|item| item.seq != seq) {
                let framing = self.output.framing_bytes(&item.outgoing.origin);
                self.parcel_bytes += item.outgoing.event.json.len() + framing;
                kept.push_back(item);
            }
            self.parcel = kept;
            if self
                .reading
                .as_ref()
                .is_some_and(|reading| reading.head.seq == seq)
            {
                self.reading = None;
            }
            self.read_up_to = self.read_up_to.max(Some(seq));
            self.finish(seq)?;
        }
        Ok(())
    }

    fn disk_failed(&mut self, error: &KeepError) -> Wake {
        let reason = error.to_string();
        let is_new = self.hold.as_ref().is_none_or(|hold| hold.reason != reason);
        if is_new {
            tracing::error!(
                output = self.config.name,
                reason,
                "delivery waits for the disk"
            );
        }
        self.house.board.output(&self.config.name, |activity| {
            activity.last_failure = Some(reason);
        });
        self.wait(DISK_WAIT)
    }

    fn wait(&mut self, wait: Duration) -> Wake {
        self.wait_until = Some(self.house.clock.now().monotonic + wait);
        Wake::After(wait)
    }
}

/// The outputs that the state knows and the configuration does not.
#[must_use]
pub fn abandoned_outputs(house: &House) -> BTreeSet<String> {
    let configured: BTreeSet<&str> = house.outputs.iter().map(|o| o.name.as_str()).collect();
    house.state.look(|picture| {
        let known = picture.outputs.keys();
        known
            .filter(|name| !configured.contains(name.as_str()))
            .cloned()
            .collect()
    })
}
