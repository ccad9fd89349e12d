//! Polls the collections behind one gate: window, exchange, staging, commit.
//!
//! A poller is the only writer of its collections' checkpoints. It never sleeps: [`Poller::turn`]
//! does what can be done now and tells when it wants to go on.

mod askable;
mod collection;
mod commit;
mod endpoint;
mod failure;
mod fetch;
mod gates;
mod manual;
mod pending;
mod places;
mod repair;
mod server_clock;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::clock::Now;
use crate::config::ServiceConfig;
use crate::house::{DiskTurn, House};
use crate::observe::watchdog::{DISK_PATIENCE, Pulse};
use crate::spool::{SpoolError, Staging};
use crate::state::ledger::AppendError;
use crate::state::{CollectionKey, CollectionPicture, Record};
use crate::taxii::Timestamp;
use crate::taxii::client::{Client, Connection};
use crate::taxii::exchange::{Completed, Exchange, Later};
use crate::taxii::fault::Fault;
use crate::taxii::gate::Gate;
use crate::taxii::version::Version;
use crate::taxii::window::{PollWindow, WindowRules};
use crate::tls::{BuildClientError, expiry};
use crate::wake::Wake;
pub use askable::{Askable, Asking, NotAsked, Questions};
use collection::Collection;
use commit::{Reason, Unrecorded};
use endpoint::{Endpoint, Endpoints};
use fetch::Manner;
pub use gates::{gates, last_poll};
use manual::Promised;
pub use manual::{Asked, Destination, ManualPoll, ManualPollError, ManualResult};
use pending::Pending;
pub use places::{Place, Places};
use repair::{OwedRepair, Repairs};
pub use server_clock::ServerClock;

/// How long the service's time and version are waited for: they are no reason to put a poll off.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// Polls the collections that share one gate.
#[derive(Debug)]
pub struct Poller {
    house: House,
    pulse: Pulse,
    service: Arc<ServiceConfig>,
    client: Client,
    /// At the service.
    places: Places,
    /// The place that it has waited for.
    place: Option<Place>,
    endpoints: Endpoints,
    server_clock: Arc<ServerClock>,
    /// The service answers without telling its time: it is not asked for it again.
    is_clock_silent: bool,
    rules: WindowRules,
    gate_name: String,
    gate: Gate,
    collections: Vec<Collection>,
    /// How often a collection was chosen.
    chosen: u64,
    /// A batch is in place, but the ledger could not be told.
    unrecorded: Option<Box<Unrecorded>>,
    /// Connections tried in this slot.
    connects: u32,
    repairs: Repairs,
    /// The poll that was just answered with PENDING. Boxed, as it is rare and thousands wait.
    unanswered: Option<Box<(Exchange, Endpoint)>>,
    /// The poll by hand that was answered with PENDING.
    promised: Option<Box<Promised>>,
}

/// What the next opening of the gate is for.
#[derive(Debug)]
enum Turn {
    /// The next window of this collection.
    Poll(usize),
    /// The window of a damaged batch.
    Repair(Box<OwedRepair>),
}

/// A poll did not end with a commit.
#[derive(Debug, thiserror::Error)]
enum PollError {
    /// The service's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Ours.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The service will have the answer later.
    #[error("the answer comes later (PENDING)")]
    Later(Later),
    /// The agent stops.
    #[error(
        "the agent stops and its poll is interrupted: the window is polled again after the next start"
    )]
    Interrupted,
}

/// An answer could not be kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Ledger(#[from] AppendError),
}

/// Says until when the certificates are valid that the client of a service has read.
fn tell_certificates(house: &House, service: &ServiceConfig) {
    let read = expiry::of_client(&service.tls);
    house.board.set_certificates(service.part(), read);
}

impl Poller {
    /// One poller for each gate of a service.
    pub fn of_service(
        house: &House,
        service: ServiceConfig,
    ) -> Result<Vec<Self>, BuildClientError> {
        let service = Arc::new(service);
        tell_certificates(house, &service);
        let offset = house
            .state
            .look(|picture| picture.clock_offsets_ms.get(&service.name).copied());
        let server_clock = Arc::new(ServerClock::restore(offset));
        let client = Client::new(Connection::from(&*service))?;
        let places = Places::default();
        let pollers = gates(&service).into_iter().map(|(gate_name, collections)| {
            let (service, server_clock) = (Arc::clone(&service), Arc::clone(&server_clock));
            Self::new(
                house,
                service,
                (client.clone(), places.clone()),
                server_clock,
                gate_name,
                &collections,
            )
        });
        Ok(pollers.collect())
    }

    fn new(
        house: &House,
        service: Arc<ServiceConfig>,
        (client, places): (Client, Places),
        server_clock: Arc<ServerClock>,
        gate_name: String,
        collections: &[String],
    ) -> Self {
        let now = house.clock.now();
        let last_poll = house.state.look(|picture| {
            let connecting = service.connect_timeout;
            last_poll(picture, &gate_name, &service.name, connecting, now.utc)
        });
        let gate = Gate::restore(service.min_poll_interval, last_poll, now);
        let rules = WindowRules::of(&service);
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
            pulse: house.watchdog.watch(format!("the poller of {gate_name}")),
            endpoints: Endpoints::of(&service),
            service,
            client,
            places,
            place: None,
            server_clock,
            is_clock_silent: false,
            rules,
            gate_name,
            gate,
            collections,
            chosen: 0,
            unrecorded: None,
            connects: 0,
            repairs: Repairs::default(),
            unanswered: None,
            promised: None,
        }
    }

    /// The service's name and its schedule.
    #[must_use]
    pub fn service(&self) -> &ServiceConfig {
        &self.service
    }

    /// Cancelled, it ends the polls of the service that are under way: of an answer that did not come
    /// whole nothing is kept, and its window is polled again by the next start.
    #[must_use]
    pub fn interrupt(&self) -> CancellationToken {
        self.client.interrupt()
    }

    /// Whether a batch is in place that the ledger does not know yet: nobody else would tell it.
    #[must_use]
    pub fn owes_record(&self) -> bool {
        self.unrecorded.is_some()
    }

    /// Goes on where the pollers left off that polled this service under another configuration: the
    /// gate keeps its time, and what the service has promised or asked for still holds.
    pub fn take_over(&mut self, others: &mut BTreeMap<String, Self>) {
        let now = self.house.clock.now();
        if let Some(before) = others.get_mut(&self.gate_name) {
            let interval = self.service.min_poll_interval;
            self.gate = before.gate.clone().with_interval(interval);
            if before.service.address == self.service.address {
                self.promised = before.promised.take();
                self.take_collections_of(before);
            }
            return;
        }
        // The scope has changed.
        let last_poll = self.house.state.look(|picture| {
            let (gate, service) = (&self.gate_name, &self.service);
            last_poll(
                picture,
                gate,
                &service.name,
                service.connect_timeout,
                now.utc,
            )
        });
        self.gate = Gate::restore(self.service.min_poll_interval, last_poll, now);
        for before in others.values_mut() {
            if before.service.address == self.service.address {
                self.take_collections_of(before);
            }
        }
    }

    /// What was held is tried at once: that may be why another configuration was read.
    fn take_collections_of(&mut self, other: &mut Self) {
        for collection in &mut self.collections {
            let mut before = other.collections.iter_mut();
            if let Some(before) = before.find(|before| before.key == collection.key) {
                let new = Collection::new(collection.key.clone());
                *collection = std::mem::replace(before, new);
                collection.is_due |= collection.held().is_some();
            }
        }
    }

    /// The name of its gate in the ledger.
    #[must_use]
    pub fn gate_name(&self) -> &str {
        &self.gate_name
    }

    /// The board shows what it polls, also before its first turn.
    pub fn show(&self) {
        for collection in &self.collections {
            self.house
                .board
                .collection(&collection.key.to_string(), |_| {});
        }
    }

    /// The schedule says that it is time. A tick before the gate opens waits for it.
    pub fn tick(&mut self) {
        for collection in &mut self.collections {
            collection.is_due = true;
        }
    }

    /// Does what can be done now.
    pub async fn turn(&mut self) -> Wake {
        self.gives_sign_of_life();
        let wake = self.take_turn().await;
        // Whatever became of it, others wait.
        self.place = None;
        self.waits(wake);
        wake
    }

    /// It works, and takes no longer until its next sign of life than one request and our disk may.
    fn gives_sign_of_life(&self) {
        self.gives_sign_of_life_before(1);
    }

    /// The same before so many requests that follow each other.
    fn gives_sign_of_life_before(&self, requests: u32) {
        let request = self.service.connect_timeout + self.service.request_timeout;
        let patience = request
            .saturating_mul(requests)
            .saturating_add(DISK_PATIENCE);
        self.pulse.works(patience, self.house.clock.now().monotonic);
    }

    /// A turn at the disk: who has one before it has signs of life of its own.
    async fn disk_turn(&self, turn: impl Future<Output = DiskTurn>) -> DiskTurn {
        self.pulse.waits(None, self.house.clock.now().monotonic);
        let turn = turn.await;
        self.gives_sign_of_life();
        turn
    }

    /// Nothing is asked of it for so long.
    pub fn waits(&self, wake: Wake) {
        let now = self.house.clock.now().monotonic;
        self.pulse.waits(wake.after(), now);
    }

    async fn take_turn(&mut self) -> Wake {
        if let Some(wake) = self.still_unrecorded() {
            return wake;
        }
        if let Some(index) = self.pending() {
            let Some(_place) = self.take_place() else {
                return Wake::Place;
            };
            return self.fetch_pending(index).await;
        }
        let Some(turn) = self.choose_turn() else {
            return self.idle();
        };
        let now = self.house.clock.now();
        let closed = self.gate.closed_for(now);
        if !closed.is_zero() {
            self.tell_all();
            let pending = self.pending_waits_for().unwrap_or(Duration::MAX);
            return Wake::After(closed.min(pending));
        }
        let Some(_place) = self.take_place() else {
            return Wake::Place;
        };
        let is_clock_wanted = !self.server_clock.is_learnt() && !self.is_clock_silent;
        if is_clock_wanted || !self.endpoints.knows_version() {
            self.greet().await;
        }
        match turn {
            Turn::Poll(index) => {
                self.repairs.has_turn = true;
                self.poll(index).await
            }
            Turn::Repair(owed) => {
                self.repairs.has_turn = false;
                self.repair(*owed).await
            }
        }
    }

    fn take_place(&mut self) -> Option<Place> {
        self.place.take().or_else(|| self.places.take_now())
    }

    /// Where it waits for a place for a poll, until few enough of its service are under way. Not within a
    /// turn, so that whoever waits can be told to leave.
    #[must_use]
    pub fn places(&self) -> Places {
        self.places.clone()
    }

    /// The place is for its next turn.
    pub fn has_place(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// While both are due, windows and repairs have every second opening of the gate.
    fn choose_turn(&mut self) -> Option<Turn> {
        let poll = self.choose();
        let may_repair = poll.is_none() || self.repairs.has_turn;
        let owed = self.owed_repair();
        let owed = owed.filter(|_| may_repair && self.repair_waits_for().is_zero());
        owed.map(|owed| Turn::Repair(Box::new(owed)))
            .or(poll.map(Turn::Poll))
    }

    /// The collection whose turn it is, of those that are due.
    fn choose(&mut self) -> Option<usize> {
        let now = self.house.clock.now();
        let server_now = self.server_clock.now(now);
        let (rules, service) = (&self.rules, &self.service);
        let collections = &mut self.collections;
        let candidates = self.house.state.look(|picture| {
            let mut candidates = Vec::new();
            let without_answer = collections.iter_mut().enumerate();
            for (index, collection) in without_answer.filter(|(_, known)| known.pending.is_none()) {
                let known = picture.collection(&collection.key);
                let checkpoint = known.and_then(|known| known.checkpoint.as_ref());
                let span = known.and_then(|known| known.span);
                // A Data Set has no times: the schedule alone says when it is due.
                if !service.is_data_set(&collection.key.collection) {
                    if rules.is_behind(checkpoint, server_now, span) {
                        collection.is_due = true;
                    }
                    if rules.next(checkpoint, server_now, span).is_none() {
                        collection.is_due = false;
                    }
                }
                if collection.is_due && collection.waits_for(now).is_zero() {
                    let checkpoint = checkpoint.map(Timestamp::time);
                    candidates.push(collection.candidate(index, checkpoint));
                }
            }
            candidates
        });
        collection::choose(&candidates)
    }

    /// Nothing is due, or all that is due has been told to wait.
    fn idle(&self) -> Wake {
        let now = self.house.clock.now();
        let due = self.collections.iter().filter(|known| known.is_due);
        let polls = due.map(|known| known.waits_for(now));
        let repair = self.owed_repair().map(|_| self.repair_waits_for());
        let wait = polls.chain(repair).chain(self.behind_in()).min();
        Wake::News(wait.unwrap_or(Duration::MAX))
    }

    /// How long until so much waits that the next poll does not wait for the schedule.
    fn behind_in(&self) -> Option<Duration> {
        let server_now = self.server_clock.now(self.house.clock.now());
        let collections = self.collections.iter().filter(|known| {
            known.pending.is_none() && !self.service.is_data_set(&known.key.collection)
        });
        self.house.state.look(|picture| {
            let waits = collections.filter_map(|collection| {
                let known = picture.collection(&collection.key)?;
                let checkpoint = known.checkpoint.as_ref();
                self.rules.behind_in(checkpoint, server_now, known.span)
            });
            waits.min()
        })
    }

    /// A Discovery_Request spends no poll, and its answer tells the service's time (the first window
    /// must not end ahead of the service's clock) and whether it understands the version.
    async fn greet(&mut self) {
        let is_version_new = !self.endpoints.knows_version();
        let greeting = tokio::time::timeout(GREETING_TIMEOUT, self.endpoints.greet(&self.client));
        let greeting = greeting.await.unwrap_or_default();
        if greeting.is_answered {
            self.is_clock_silent = greeting.date.is_none();
        } else {
            tracing::debug!(
                service = self.service.name,
                "the service does not answer what it offers, nor tell its time"
            );
        }
        self.learn(greeting.date);
        if is_version_new && greeting.version == Some(Version::V1_0) && self.service.allow_asynch {
            tracing::warn!(
                service = self.service.name,
                "the service speaks TAXII 1.0, in which no answer comes later: allow_asynch does nothing"
            );
        }
    }

    fn learn(&self, date: Option<DateTime<Utc>>) {
        if let Some(date) = date {
            self.server_clock.learn(date, self.house.clock.now());
        }
    }

    async fn poll(&mut self, index: usize) -> Wake {
        self.chosen += 1;
        let Some(collection) = self.collections.get_mut(index) else {
            return Wake::Asked;
        };
        collection.begin_turn(self.chosen);
        let key = collection.key.clone();
        let is_held = collection.held().is_some();
        let known = self
            .house
            .state
            .look(|picture| picture.collection(&key).cloned());
        let known = known.unwrap_or_default();
        let server_now = self.server_clock.now(self.house.clock.now());
        let checkpoint = known.checkpoint.as_ref();
        let window = if self.service.is_data_set(&key.collection) {
            Some(PollWindow::ALL)
        } else {
            self.rules.next(checkpoint, server_now, known.span)
        };
        let Some(window) = window else {
            // The service's clock, just learnt, says that there is nothing to ask for yet.
            collection.succeeded();
            return Wake::NOW;
        };
        let turn = self.disk_turn(self.house.disk_turns.to_begin()).await;
        let mut staging = match self.stage(&key.to_string()) {
            Ok(staging) => staging,
            Err(error) => return self.no_room(index, &error, server_now),
        };
        if let Err(error) = self.stage_only_new(&key, &mut staging) {
            return self.not_kept(index, &error, server_now);
        }
        drop(turn);
        if is_held {
            match self.client.reload() {
                Ok(()) => tell_certificates(&self.house, &self.service),
                Err(error) => {
                    tracing::error!(collection = %key, %error, "a secret or a certificate cannot be read again");
                }
            }
        }
        let started = self.house.clock.now();
        let manner = Manner {
            may_wait: true,
            keep_raw: known.failures + 1 >= failure::FAILURES_AT_FLOOR,
        };
        let fetched = self
            .fetch(&key, &window, checkpoint, &mut staging, manner)
            .await;
        if let (Err(PollError::Later(later)), Some(unanswered)) = (&fetched, self.unanswered.take())
        {
            let (exchange, endpoint) = *unanswered;
            let pending = Pending::new(exchange, endpoint, window, known, started.monotonic);
            return self.wait_for_answer(index, pending, *later);
        }
        let _turn = self.disk_turn(self.house.disk_turns.to_commit()).await;
        self.fetched(index, &window, known, fetched, staging, started)
    }

    /// Commits what came, or does what is to be done about what did not. `known` is what was known
    /// of the collection when the poll began.
    fn fetched(
        &mut self,
        index: usize,
        window: &PollWindow,
        known: CollectionPicture,
        fetched: Result<Completed, PollError>,
        staging: Staging,
        started: Now,
    ) -> Wake {
        let Some(collection) = self.collections.get(index) else {
            return Wake::Asked;
        };
        let key = collection.key.clone();
        let server_now = self.server_clock.now(self.house.clock.now());
        let completed = match fetched {
            Ok(completed) => {
                self.endpoints.answered();
                let left_out = staging.left_out();
                completed.without(left_out.events, left_out.blocks)
            }
            Err(PollError::Fault(fault)) => {
                return self.failed(index, window, &known, &fault, staging);
            }
            Err(PollError::Keep(error)) => return self.not_kept(index, &error, server_now),
            Err(error @ (PollError::Interrupted | PollError::Later(_))) => {
                tracing::info!(collection = %key, "{error}");
                return Wake::NOW;
            }
        };
        let house = self.house.clone();
        let takers = || Ok(house.takers(&key.collection));
        let reason = Reason::Next(known.checkpoint);
        match self.commit(&key, &reason, &completed, staging, takers, started) {
            Ok(_) => {
                self.polled(index, &completed, started);
                Wake::NOW
            }
            Err(error) => self.not_kept(index, &error, server_now),
        }
    }

    /// Begins to stage an answer. Nobody else waits while the disk makes the folder.
    fn stage(&self, who: &str) -> Result<Staging, SpoolError> {
        tokio::task::block_in_place(|| self.house.spool.stage(who))
    }

    fn stage_only_new(&self, key: &CollectionKey, staging: &mut Staging) -> Result<(), KeepError> {
        if !self.service.deduplicates(&key.collection) {
            return Ok(());
        }
        let limit = usize::try_from(self.service.limits.max_set_events).unwrap_or(usize::MAX);
        let spool = &self.house.spool;
        tokio::task::block_in_place(|| spool.stage_only_new(staging, key, limit))?;
        Ok(())
    }

    /// Tells the board how a collection's last poll went.
    fn tell(&self, index: usize, result: String) {
        let Some(collection) = self.collections.get(index) else {
            return;
        };
        let now = self.house.clock.now().utc;
        self.house
            .board
            .collection(&collection.key.to_string(), |activity| {
                activity.last_result = Some(result);
                activity.last_result_at = Some(now);
            });
        self.tell_all();
    }

    /// Tells the board what every collection waits for.
    fn tell_all(&self) {
        let now = self.house.clock.now();
        let closed = self.gate.closed_for(now);
        for collection in &self.collections {
            let wait = closed.max(collection.waits_for(now));
            let next = now.utc + TimeDelta::from_std(wait).unwrap_or_default();
            self.house
                .board
                .collection(&collection.key.to_string(), |activity| {
                    activity.next_poll_at = Some(next);
                    activity.hold = collection.held().cloned();
                });
        }
    }

    fn append(&self, record: &Record) -> Result<(), AppendError> {
        let now = self.house.clock.now().utc;
        tokio::task::block_in_place(|| self.house.state.append(now, record))
    }
}
