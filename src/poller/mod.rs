//! Polls the collections behind one gate: window, exchange, staging, commit.
//!
//! A poller is the only writer of its collections' checkpoints. It never sleeps: [`Poller::turn`]
//! does what can be done now and tells when it wants to go on.

mod collection;
mod fetch;
mod manual;
mod server_clock;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Now;
use crate::config::{PollLimitScope, ServiceConfig};
use crate::house::House;
use crate::observe::board::Hold;
use crate::spool::{BatchHead, SpoolError, Staging};
use crate::state::{CollectionKey, Origin, PolledCounts, Record};
use crate::taxii::Timestamp;
use crate::taxii::client::Client;
use crate::taxii::exchange::Completed;
use crate::taxii::fault::{Fault, Reaction};
use crate::taxii::gate::Gate;
use crate::taxii::window::{self, PollWindow, WindowRules};
use crate::tls::BuildClientError;
use crate::wake::Wake;
use collection::Collection;
pub use manual::{Asked, Destination, ManualPoll, ManualPollError, ManualResult};
pub use server_clock::ServerClock;

/// Failures of a window before it is halved.
const FAILURES_BEFORE_HALVING: u32 = 3;
/// Failures of the shortest window before it is given up.
const FAILURES_AT_FLOOR: u32 = 6;
/// Connections that are tried in one slot, since the service has seen nothing of them.
const CONNECTS_IN_SLOT: u32 = 3;
/// How long a poll that waits for room in the spool waits at most before it looks again.
const ROOM_WAIT: Duration = Duration::from_secs(30);
/// How long a poller waits after its own disk failed.
const DISK_WAIT: Duration = Duration::from_secs(30);

/// Polls the collections that share one gate.
#[derive(Debug)]
pub struct Poller {
    house: House,
    service: Arc<ServiceConfig>,
    client: Client,
    server_clock: Arc<ServerClock>,
    rules: WindowRules,
    gate_name: String,
    gate: Gate,
    collections: Vec<Collection>,
    /// A batch is in place, but the ledger could not be told.
    unrecorded: Option<Record>,
    /// Connections tried in this slot.
    connects: u32,
}

/// A poll did not end with a commit.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Ledger(#[from] crate::state::ledger::AppendError),
}

impl Poller {
    /// One poller for each gate of a service.
    pub fn of_service(
        house: &House,
        service: ServiceConfig,
    ) -> Result<Vec<Self>, BuildClientError> {
        let service = Arc::new(service);
        let offset = house
            .state
            .look(|picture| picture.clock_offsets_ms.get(&service.name).copied());
        let server_clock = Arc::new(ServerClock::restore(offset));
        let gates: Vec<(String, Vec<String>)> = match service.poll_limit_scope {
            PollLimitScope::Service => {
                vec![(service.name.clone(), service.collections.clone())]
            }
            PollLimitScope::Collection => {
                let gate = |name: &String| (format!("{}/{name}", service.name), vec![name.clone()]);
                service.collections.iter().map(gate).collect()
            }
        };
        let mut pollers = Vec::new();
        for (gate_name, collections) in gates {
            let client = Client::new(&service)?;
            let server_clock = Arc::clone(&server_clock);
            let service = Arc::clone(&service);
            pollers.push(Self::new(
                house,
                service,
                client,
                server_clock,
                gate_name,
                &collections,
            ));
        }
        Ok(pollers)
    }

    fn new(
        house: &House,
        service: Arc<ServiceConfig>,
        client: Client,
        server_clock: Arc<ServerClock>,
        gate_name: String,
        collections: &[String],
    ) -> Self {
        let now = house.clock.now();
        let last_poll = house
            .state
            .look(|picture| picture.gates.get(&gate_name).copied());
        let mut gate = Gate::restore(service.min_poll_interval, last_poll, now);
        if house.state.is_doubtful() {
            gate.polled(now);
        }
        let rules = WindowRules {
            max_window: service.max_window,
            retention: service.retention,
            settle: service.settle,
            initial_lookback: service.initial_lookback,
        };
        let collections = collections
            .iter()
            .map(|name| {
                Collection::new(CollectionKey {
                    service: service.name.clone(),
                    collection: name.clone(),
                })
            })
            .collect();
        Self {
            house: house.clone(),
            service,
            client,
            server_clock,
            rules,
            gate_name,
            gate,
            collections,
            unrecorded: None,
            connects: 0,
        }
    }

    /// The service's name and its schedule.
    #[must_use]
    pub fn service(&self) -> &ServiceConfig {
        &self.service
    }

    /// Whether this poller polls the collection.
    #[must_use]
    pub fn polls(&self, collection: &str) -> bool {
        self.collections
            .iter()
            .any(|known| known.key.collection == collection)
    }

    /// The schedule says that it is time. A tick before the gate opens waits for it.
    pub fn tick(&mut self) {
        for collection in &mut self.collections {
            collection.is_due = true;
        }
    }

    /// Does what can be done now.
    pub async fn turn(&mut self) -> Wake {
        if let Some(record) = self.unrecorded.take()
            && let Err(error) = self.append(&record)
        {
            tracing::error!(%error, "a committed window still cannot be recorded; polling waits");
            self.unrecorded = Some(record);
            return Wake::After(DISK_WAIT);
        }
        if !self.server_clock.is_learnt() {
            self.learn_the_time().await;
        }
        let Some(index) = self.choose() else {
            return self.idle();
        };
        let now = self.house.clock.now();
        let closed = self.gate.closed_for(now);
        if !closed.is_zero() {
            return self.wait_for_gate(closed, now);
        }
        self.poll(index).await
    }

    /// The collection whose turn it is: of those that are due the one that is most behind.
    fn choose(&mut self) -> Option<usize> {
        let now = self.house.clock.now();
        let server_now = self.server_clock.now(now);
        let rules = &self.rules;
        self.house.state.look(|picture| {
            let mut most_behind: Option<(Option<DateTime<Utc>>, usize)> = None;
            for (index, collection) in self.collections.iter_mut().enumerate() {
                let known = picture.collection(&collection.key);
                let checkpoint = known.and_then(|known| known.checkpoint.as_ref());
                if rules.is_behind(checkpoint, server_now) {
                    collection.is_due = true;
                }
                if !collection.is_due || collection.waits(now) {
                    continue;
                }
                if rules.next(checkpoint, server_now, None).is_none() {
                    collection.is_due = false;
                    continue;
                }
                let begin = checkpoint.map(Timestamp::time);
                if most_behind.is_none_or(|(other, _)| begin < other) {
                    most_behind = Some((begin, index));
                }
            }
            most_behind.map(|(_, index)| index)
        })
    }

    /// Nothing is due, or all that is due has been told to wait.
    fn idle(&self) -> Wake {
        let now = self.house.clock.now();
        let waits = self
            .collections
            .iter()
            .filter(|collection| collection.is_due);
        waits
            .filter_map(|collection| collection.wait_until)
            .min()
            .map_or(Wake::Asked, |until| {
                Wake::After(until.saturating_sub(now.monotonic))
            })
    }

    fn wait_for_gate(&self, closed: Duration, now: Now) -> Wake {
        let opens = now.utc + TimeDelta::from_std(closed).unwrap_or_default();
        for collection in &self.collections {
            self.house
                .board
                .collection(&collection.key.to_string(), |activity| {
                    activity.next_poll_at = Some(opens);
                });
        }
        Wake::After(closed)
    }

    /// A Discovery_Request spends no poll, and its answer tells the service's time: the first
    /// window must not end ahead of the service's clock.
    async fn learn_the_time(&mut self) {
        let request = crate::taxii::message::Request::discovery(fetch::message_id());
        match self.client.send(&request).await {
            Ok(reply) => self.learn(reply.date),
            Err(fault) => {
                tracing::debug!(service = self.service.name, %fault, "the service does not tell its time");
            }
        }
    }

    fn learn(&self, date: Option<DateTime<Utc>>) {
        if let Some(date) = date {
            self.server_clock.learn(date, self.house.clock.now());
        }
    }

    async fn poll(&mut self, index: usize) -> Wake {
        let Some(key) = self.collections.get(index).map(|c| c.key.clone()) else {
            return Wake::Asked;
        };
        let known = self
            .house
            .state
            .look(|picture| picture.collection(&key).cloned());
        let known = known.unwrap_or_default();
        let server_now = self.server_clock.now(self.house.clock.now());
        let checkpoint = known.checkpoint.as_ref();
        let Some(window) = self.rules.next(checkpoint, server_now, known.span) else {
            return Wake::NOW;
        };
        let mut staging = match self.house.spool.stage() {
            Ok(staging) => staging,
            Err(error) => return self.no_room(index, &error, server_now),
        };
        if self.collections.get(index).is_some_and(Collection::is_held)
            && let Err(error) = self.client.reload_password()
        {
            tracing::error!(collection = %key, %error, "the password cannot be read again");
        }
        let started = self.house.clock.now();
        let keep_raw = known.failures + 1 >= FAILURES_AT_FLOOR;
        let fetched = self
            .fetch(&key, &window, checkpoint, &mut staging, keep_raw)
            .await;
        let outcome = match fetched {
            Ok(completed) => self
                .commit(
                    &key,
                    Origin::Poll,
                    &completed,
                    staging,
                    self.house.takers(&key.collection),
                )
                .map(|seq| (completed, seq)),
            Err(PollError::Fault(fault)) => {
                return self.failed(index, &window, known.failures, &fault, staging);
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok((completed, _)) => self.polled(index, &completed, started),
            Err(PollError::Spool(error)) => return self.no_room(index, &error, server_now),
            Err(error) => {
                tracing::error!(collection = %key, %error, "a poll could not be kept; the window is polled again");
                return Wake::After(DISK_WAIT);
            }
        }
        Wake::NOW
    }

    /// Puts a whole answer in place and tells the ledger; gives the batch's number.
    fn commit(
        &mut self,
        key: &CollectionKey,
        origin: Origin,
        completed: &Completed,
        mut staging: Staging,
        takers: Vec<String>,
    ) -> Result<Option<u64>, PollError> {
        let now = self.house.clock.now();
        let spool = Arc::clone(&self.house.spool);
        let totals = &completed.totals;
        let mut record = Record::Polled {
            key: key.clone(),
            origin,
            window: completed.window.clone(),
            checkpoint: (origin == Origin::Poll).then(|| completed.checkpoint.clone()),
            seq: None,
            outputs: takers,
            counts: PolledCounts {
                events: totals.counts.events,
                incidents: totals.counts.incidents,
                packages: totals.counts.packages,
                blocks: totals.blocks,
                refused_blocks: totals.refused_blocks,
                parts: totals.parts,
                bytes: totals.bytes,
            },
            clock_offset_ms: self
                .server_clock
                .is_learnt()
                .then(|| self.server_clock.offset_ms(now)),
        };
        let committed = tokio::task::block_in_place(|| -> Result<Option<u64>, SpoolError> {
            let files = spool.finish(&mut staging, now.utc, &key.service, &key.collection)?;
            if files.is_empty() {
                return Ok(None);
            }
            let number = spool.next_seq();
            if let Record::Polled { seq, .. } = &mut record {
                *seq = Some(number);
            }
            spool.commit(
                staging,
                BatchHead {
                    seq: number,
                    staged_at: now.utc,
                    service: key.service.clone(),
                    collection: key.collection.clone(),
                    window_end: completed.checkpoint.time(),
                    message_ids: totals.message_ids.clone(),
                    record: record.clone(),
                    files,
                },
            )?;
            Ok(Some(number))
        })?;
        if let Some(gap) = &completed.gap {
            let gap = Record::Gap {
                key: key.clone(),
                gap: gap.clone(),
                reason: "the service no longer has it".to_owned(),
            };
            // The gap is told in the log too; the window's own record matters more.
            if let Err(error) = self.append(&gap) {
                tracing::error!(%error, "a gap could not be recorded");
            }
        }
        if let Err(error) = self.append(&record) {
            // The batch is in place, so the record must follow before anything else.
            self.unrecorded = committed.is_some().then_some(record);
            return Err(error.into());
        }
        if let Some(seq) = committed {
            self.give_away_if_nobody_owes(seq);
            self.house.spool.announce();
        }
        Ok(committed)
    }

    fn give_away_if_nobody_owes(&self, seq: u64) {
        let is_owed = self
            .house
            .state
            .look(|picture| picture.batches.contains_key(&seq));
        if !is_owed && let Err(error) = self.house.spool.done(seq, self.house.clock.now().utc) {
            tracing::warn!(%error, seq, "a batch that no output takes cannot be archived");
        }
    }

    /// A window is in place.
    fn polled(&mut self, index: usize, completed: &Completed, started: Now) {
        let now = self.house.clock.now();
        let server_now = self.server_clock.now(now);
        let Some(collection) = self.collections.get_mut(index) else {
            return;
        };
        collection.succeeded();
        self.house.spool.want(0);
        let is_behind = self
            .rules
            .is_behind(Some(&completed.checkpoint), server_now);
        collection.is_due = is_behind;
        for warning in &completed.warnings {
            if collection.warn_once(warning.kind) {
                tracing::warn!(collection = %collection.key, "{}", warning.text);
            }
        }
        let totals = &completed.totals;
        for (what, count) in &totals.counts.passed_over {
            tracing::warn!(
                collection = %collection.key,
                count,
                "passed over {what:?}s outside of incidents: this version forwards the content of incidents"
            );
        }
        if let Some(gap) = &completed.gap {
            tracing::error!(
                collection = %collection.key,
                after = %gap.after,
                until = %gap.until,
                "content is lost: the service no longer has it. Poll more often, or ask the \
                 provider for a longer retention"
            );
        }
        let took = now.monotonic.saturating_sub(started.monotonic);
        tracing::info!(
            collection = %collection.key,
            begin = completed.window.exclusive_begin.as_ref().map(Timestamp::text),
            end = completed.checkpoint.text(),
            bytes = totals.bytes,
            parts = totals.parts,
            incidents = totals.counts.incidents,
            events = totals.counts.events,
            refused_blocks = totals.refused_blocks,
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            behind = is_behind,
            "polled"
        );
        let result = format!(
            "{} events of {} incidents up to {}",
            totals.counts.events, totals.counts.incidents, completed.checkpoint
        );
        self.tell(index, Some(result), None);
    }

    /// A poll failed: what is done about it.
    fn failed(
        &mut self,
        index: usize,
        window: &PollWindow,
        failures: u32,
        fault: &Fault,
        staging: Staging,
    ) -> Wake {
        let now = self.house.clock.now();
        let Some(collection) = self.collections.get_mut(index) else {
            return Wake::Asked;
        };
        let key = collection.key.clone();
        // Whatever the schedule says: this window is owed.
        collection.is_due = true;
        match fault.reaction() {
            Reaction::SameSlot => {
                self.connects += 1;
                let again = self.connects < CONNECTS_IN_SLOT;
                tracing::warn!(collection = %key, %fault, again_in_this_slot = again, "cannot poll; the window stays, nothing is lost");
                self.tell(index, Some(fault.to_string()), None);
                if !again {
                    self.connects = 0;
                    return Wake::NOW;
                }
                self.gate.open(now);
                let record = Record::PollAnswered {
                    gate: self.gate_name.clone(),
                    counts: false,
                };
                if let Err(error) = self.append(&record) {
                    tracing::warn!(%error, "the gate could not be opened again in the ledger");
                }
                return Wake::After(self.gate.interval() / 60);
            }
            Reaction::NextGate => {
                tracing::warn!(collection = %key, %fault, "the poll failed; the same window again when the gate opens, nothing is lost");
                self.tell(index, Some(fault.to_string()), None);
            }
            Reaction::Wait(wait) => {
                collection.wait_until = Some(now.monotonic + wait);
                tracing::warn!(collection = %key, %fault, wait_s = wait.as_secs(), "the service asks to wait; the same window again after that, nothing is lost");
                self.tell(index, Some(fault.to_string()), None);
            }
            Reaction::Hold { mend } => {
                let reason = fault.to_string();
                if collection.hold(&reason) {
                    tracing::error!(
                        collection = %key,
                        reason,
                        mend,
                        "polling is held until this is mended; it is tried again whenever the gate opens"
                    );
                }
                let hold = Hold {
                    reason: reason.clone(),
                    mend,
                    since: now.utc,
                };
                self.tell(index, Some(reason), Some(hold));
            }
            Reaction::Shrink => self.shrink(index, &key, window, failures + 1, fault, staging),
        }
        Wake::NOW
    }

    /// An answer could not be read: after three times a shorter window is asked for, and the
    /// shortest is given up after six more, so that one bad answer does not stop the feed.
    fn shrink(
        &mut self,
        index: usize,
        key: &CollectionKey,
        window: &PollWindow,
        failures: u32,
        fault: &Fault,
        staging: Staging,
    ) {
        self.tell(index, Some(fault.to_string()), None);
        let known_span = self
            .house
            .state
            .look(|picture| picture.collection(key).and_then(|known| known.span));
        let length = match (&window.exclusive_begin, &window.inclusive_end) {
            (Some(begin), Some(end)) => (end.time() - begin.time()).to_std().ok(),
            _ => None,
        };
        let at_floor = length.is_some_and(|length| window::halve(length) == length);
        if at_floor && failures >= FAILURES_AT_FLOOR {
            self.give_up(key, window, fault, staging);
            return;
        }
        let (failures, span) = match length {
            Some(length) if !at_floor && failures >= FAILURES_BEFORE_HALVING => {
                let span = window::halve(length);
                // At the floor the count begins anew.
                let is_floor = window::halve(span) == span;
                (if is_floor { 0 } else { failures }, Some(span))
            }
            _ => (failures, known_span),
        };
        tracing::warn!(
            collection = %key,
            %fault,
            failures,
            next_window_s = span.map(|span| span.as_secs()),
            "the answer is useless; the window again when the gate opens, nothing is lost"
        );
        let record = Record::PollFailed {
            key: key.clone(),
            failures,
            span,
            reason: fault.to_string(),
        };
        if let Err(error) = self.append(&record) {
            tracing::warn!(%error, "a failure could not be counted");
        }
    }

    fn give_up(
        &mut self,
        key: &CollectionKey,
        window: &PollWindow,
        fault: &Fault,
        staging: Staging,
    ) {
        let Some(end) = &window.inclusive_end else {
            return;
        };
        let now = self.house.clock.now();
        let kept = tokio::task::block_in_place(|| {
            staging.quarantine(self.house.spool.quarantine(), key, now.utc)
        });
        let file = match kept {
            Ok(file) => file,
            Err(error) => {
                tracing::error!(collection = %key, %error, "an unreadable answer cannot be moved to quarantine/; the window is polled again");
                return;
            }
        };
        tracing::error!(
            collection = %key,
            begin = window.exclusive_begin.as_ref().map(Timestamp::text),
            end = end.text(),
            %fault,
            file,
            "a window is given up after many useless answers: its content is missing. The last \
             answer is in quarantine/; send it to the provider, then poll the window by hand"
        );
        let record = Record::WindowAbandoned {
            key: key.clone(),
            window: window.clone(),
            checkpoint: end.clone(),
            file,
        };
        if let Err(error) = self.append(&record) {
            tracing::error!(%error, "a window that is given up could not be recorded; it is polled again");
        }
    }

    /// There is no room to keep an answer: polling waits, the service keeps the history.
    fn no_room(&mut self, index: usize, error: &SpoolError, server_now: DateTime<Utc>) -> Wake {
        let now = self.house.clock.now();
        let Some(collection) = self.collections.get_mut(index) else {
            return Wake::Asked;
        };
        let key = collection.key.clone();
        let checkpoint = self.house.state.look(|picture| {
            picture
                .collection(&key)
                .and_then(|known| known.checkpoint.clone())
        });
        let half = TimeDelta::from_std(self.service.retention / 2).unwrap_or(TimeDelta::MAX);
        let is_late = checkpoint.is_some_and(|stamp| server_now - stamp.time() > half);
        let reason = error.to_string();
        if collection.hold(&reason) || (is_late && collection.alarm()) {
            if is_late {
                tracing::error!(
                    collection = %key,
                    reason,
                    "polling waits for room, and half of the time that the service keeps its content is gone"
                );
            } else {
                tracing::warn!(collection = %key, reason, "polling waits for room; the service keeps the content meanwhile");
            }
        }
        let wanted = match error {
            SpoolError::TooLarge { needed, .. } => *needed,
            _ => 1,
        };
        self.house.spool.want(wanted);
        let hold = Hold {
            reason: reason.clone(),
            mend:
                "mend the outputs that hold what they owe (see status), or give the spool more room"
                    .to_owned(),
            since: now.utc,
        };
        self.tell(index, Some(reason), Some(hold));
        Wake::SpoolChange(ROOM_WAIT)
    }

    fn tell(&self, index: usize, result: Option<String>, hold: Option<Hold>) {
        let Some(collection) = self.collections.get(index) else {
            return;
        };
        let now = self.house.clock.now();
        let opens = now.utc + TimeDelta::from_std(self.gate.closed_for(now)).unwrap_or_default();
        self.house
            .board
            .collection(&collection.key.to_string(), |activity| {
                activity.last_result = result;
                activity.last_result_at = Some(now.utc);
                activity.next_poll_at = Some(opens);
                activity.hold = match (hold, activity.hold.take()) {
                    (Some(hold), Some(old)) if old.reason == hold.reason => Some(old),
                    (hold, _) => hold,
                };
            });
    }

    fn append(&self, record: &Record) -> Result<(), crate::state::ledger::AppendError> {
        let now = self.house.clock.now().utc;
        tokio::task::block_in_place(|| self.house.state.append(now, record))
    }
}
