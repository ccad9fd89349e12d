//! Drives one output: reads what it owes, sends it, and moves its cursor.
//!
//! Like a poller it never sleeps: [`Forwarder::turn`] launches what can be launched and tells when it
//! wants to go on; what is under way moves in [`Forwarder::landing`].

mod arrival;
mod flight;
mod keeping;
mod queue;
mod reading;
mod release;
mod trouble;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::FutureExt as _;

use super::{Acks, Backoff, BatchSize, Breaker, Choice, InvalidBackoff, Peers};
use crate::clock::Now;
use crate::config::{AcknowledgementConfig, OutputConfig, OutputKind};
use crate::crash::{self, Point};
use crate::house::House;
use crate::observe::board::Hold;
use crate::observe::watchdog::{DISK_PATIENCE, Pulse};
use crate::output::{BuildOutputError, FlightId, Landing, Output, PeerOrder, Receipt};
use crate::state::WorkChanges;
use crate::tls::expiry;
use crate::wake::Wake;
use flight::Flight;
use keeping::{KeepError, OpenBatch};
use queue::{Place, Queue};
use reading::Reading;

/// Delivers what one output owes.
#[derive(Debug)]
pub struct Forwarder {
    house: House,
    pulse: Pulse,
    config: OutputConfig,
    output: Output,
    peers: Peers,
    /// What waits for acknowledgement; none where what is accepted is delivered.
    acks: Option<Acks>,
    breaker: Breaker,
    size: BatchSize,
    random: fastrand::Rng,
    /// The batches that are being delivered.
    open: BTreeMap<u64, OpenBatch>,
    /// The batch that is being read; those before it are read.
    reading: Option<Reading>,
    read_up_to: Option<u64>,
    queue: Queue,
    flights: BTreeMap<FlightId, Flight>,
    next_flight: FlightId,
    probes: usize,
    questions: usize,
    /// What has landed and is not taken in.
    landed: VecDeque<Landing>,
    /// What is not written down yet.
    changes: WorkChanges,
    /// Our own disk fails, and is tried again then.
    disk_hold: Option<Hold>,
    /// It refused a dead letter: it has room when it has taken one.
    waits_for_letter: bool,
    disk_wait: Option<Duration>,
    /// Refused events that could not be set aside.
    refused: BTreeSet<Place>,
    /// Refused events that are not believed to be at fault: others go before them.
    doubted: BTreeSet<Place>,
    /// Peers that get a channel for each request, and until when.
    careful_until: BTreeMap<usize, Duration>,
    /// The ledger's last word about repairs that was taken in.
    mended: u64,
    /// It has looked for what another left waiting for acknowledgement.
    has_begun: bool,
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

impl Forwarder {
    /// Sets up the output; connects to nothing. It begins with its first turn: until then another may
    /// deliver what this output owes.
    pub fn new(house: &House, config: OutputConfig) -> Result<Self, BuildForwarderError> {
        let backoff = Backoff::new(config.retry.initial, config.retry.max)?;
        let acknowledgement = acknowledgement(&config);
        let peers = Peers::new(
            config.peers(),
            order(&config),
            config.max_in_flight(),
            &backoff,
            // A token that does not acknowledge would only show once it has taken events.
            acknowledgement.is_some(),
        );
        let output = Output::new(&config)?;
        tell_certificates(house, &config);
        Ok(Self {
            output,
            peers,
            acks: acknowledgement.map(|acks| Acks::new(acks.timeout, acks.interval)),
            breaker: Breaker::new(),
            size: BatchSize::new(config.batch.max_events),
            random: fastrand::Rng::new(),
            house: house.clone(),
            pulse: house
                .watchdog
                .watch(format!("the forwarder of {}", config.name)),
            config,
            open: BTreeMap::new(),
            reading: None,
            read_up_to: None,
            queue: Queue::default(),
            flights: BTreeMap::new(),
            next_flight: 0,
            probes: 0,
            questions: 0,
            landed: VecDeque::new(),
            changes: WorkChanges::default(),
            disk_hold: None,
            waits_for_letter: false,
            disk_wait: None,
            refused: BTreeSet::new(),
            doubted: BTreeSet::new(),
            careful_until: BTreeMap::new(),
            mended: house.state.look(|picture| picture.mended),
            has_begun: false,
        })
    }

    /// The output's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Takes in what has landed, writes it down, and launches what can be launched.
    pub fn turn(&mut self) -> Wake {
        let now = self.house.clock.now();
        self.pulse.works(DISK_PATIENCE, now.monotonic);
        if !std::mem::replace(&mut self.has_begun, true) {
            self.restore_receipts();
        }
        self.take_in_repairs();
        self.take_in_landed(now);
        let wait = self.go_on(now).unwrap_or_else(|error| {
            self.disk_failed(&error);
            self.disk_wait
                .map_or(Duration::MAX, |until| until.saturating_sub(now.monotonic))
        });
        self.tell();
        self.waits(wait);
        Wake::SpoolChange(wait)
    }

    fn waits(&self, wait: Duration) {
        let now = self.house.clock.now().monotonic;
        if self.is_stuck(wait) {
            self.pulse.is_stuck(now);
        } else {
            // What is under way has time limits of its own.
            self.pulse.waits(Some(wait), now);
        }
    }

    /// Whether it would wait for ever beside events that it has opened and that nobody has.
    fn is_stuck(&self, wait: Duration) -> bool {
        if wait < Duration::MAX || self.is_under_way() || self.disk_hold.is_some() {
            return false;
        }
        let name = &self.config.name;
        self.open.iter().any(|(seq, open)| {
            self.house.state.look(|picture| {
                let batch = picture.batches.get(seq);
                let batch = batch.filter(|batch| batch.outputs.contains(name));
                batch.is_some_and(|batch| {
                    let (so_far, _) = batch.settle_so_far(name, &open.progress);
                    so_far.abandoned > batch.lacks(&open.progress)
                })
            })
        })
    }

    /// Whether something is under way.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.flights.len() + self.probes + self.questions > self.landed.len()
    }

    /// Moves what is under way until something has landed, which wants a turn; never done if
    /// nothing is under way. A dropped future loses nothing.
    pub async fn landing(&mut self) {
        if !self.is_under_way() {
            std::future::pending::<()>().await;
        }
        let landing = self.output.landing().await;
        self.landed.push_back(landing);
        // What has landed with it is written down with it.
        while self.is_under_way()
            && let Some(landing) = self.output.landing().now_or_never()
        {
            self.landed.push_back(landing);
        }
    }

    /// Waits for what is in flight and for answers that are given only once, writes down what became
    /// of it, and ends the connections in order.
    pub async fn close(&mut self) {
        // What is under way has time limits of its own.
        self.pulse.waits(None, self.house.clock.now().monotonic);
        while !self.flights.is_empty() || self.questions > 0 {
            if self.landed.is_empty() {
                self.landing().await;
            }
            self.take_in_landed(self.house.clock.now());
            if let Err(error) = self.keep() {
                self.disk_failed(&error);
            }
        }
        self.output.close().await;
    }

    fn take_in_landed(&mut self, now: Now) {
        while let Some(landing) = self.landed.pop_front() {
            if let Err(error) = self.take_in(landing, now) {
                self.disk_failed(&error);
            }
        }
    }

    /// Launches as far as it goes; gives how long to wait at most.
    fn go_on(&mut self, now: Now) -> Result<Duration, KeepError> {
        // Also while it waits: an output that is down is the one that fills the spool.
        self.release_if_room_is_wanted()?;
        if let Some(until) = self.disk_wait
            && until > now.monotonic
        {
            return Ok(until.saturating_sub(now.monotonic));
        }
        self.disk_wait = None;
        // Also what the disk refused the last time.
        self.keep()?;
        self.ask_for_acknowledgements(now);
        let wait = self.launch_all(now)?;
        let ask = self.acks.as_ref().and_then(Acks::next_due);
        let ask = ask.map_or(Duration::MAX, |at| at.saturating_sub(now.monotonic));
        Ok(wait.min(ask))
    }

    fn launch_all(&mut self, now: Now) -> Result<Duration, KeepError> {
        loop {
            let filled = if self.is_full() {
                Ok(())
            } else {
                tokio::task::block_in_place(|| self.fill(now))
            };
            if let Err(error) = filled {
                self.read_again();
                return Err(error);
            }
            self.disk_mended();
            if self.queue.is_empty() {
                return Ok(Duration::MAX);
            }
            if let Some(wait) = self.waits_for_more(now) {
                return Ok(wait);
            }
            let free = self.free_peers();
            match self
                .peers
                .choose(now.monotonic, |peer| free.contains(&peer))
            {
                Choice::Launch(peer) => self.launch(peer, now),
                Choice::Probe(peer) => {
                    self.output.probe(peer);
                    // It reads them again.
                    tell_certificates(&self.house, &self.config);
                    self.probes += 1;
                }
                Choice::Nothing { until } => {
                    return Ok(
                        until.map_or(Duration::MAX, |until| until.saturating_sub(now.monotonic))
                    );
                }
            }
        }
    }

    fn launch(&mut self, peer: usize, now: Now) {
        let doubted = self.queue.take_out(&self.doubted);
        if self.queue.is_empty() {
            self.queue.put_back(doubted);
            self.launch_first(peer, now);
        } else {
            self.launch_first(peer, now);
            self.queue.put_back(doubted);
        }
    }

    /// Launches the first events of the queue.
    fn launch_first(&mut self, peer: usize, now: Now) {
        let together = self.output.together(self.queue.origins());
        let fitting = self.queue.fitting(self.config.batch.max_bytes);
        let count = fitting.min(self.size.limit()).min(together);
        let mut flight = Flight::new(self.queue.take(count, now.monotonic), now.monotonic);
        let id = self.next_flight;
        self.next_flight += 1;
        crash::point(Point::BeforeLaunch);
        // A body is compressed here.
        let launched =
            tokio::task::block_in_place(|| self.output.launch(peer, id, flight.events()));
        flight.bytes = launched.bytes;
        if let (Some(acks), Some(channel)) = (&mut self.acks, launched.channel) {
            acks.launched(peer, &channel, now.monotonic);
            flight.channel = Some(channel.guid);
            self.careful_until.retain(|_, until| *until > now.monotonic);
            if self.careful_until.contains_key(&peer) {
                acks.leave(channel.guid);
                self.output.leave_channel(peer, channel.guid);
            }
        }
        crash::point(Point::Launched);
        self.peers.launched(peer);
        self.flights.insert(id, flight);
    }

    /// How long events that do not fill a flight still wait for more.
    fn waits_for_more(&self, now: Now) -> Option<Duration> {
        if self.is_full() || self.queue.is_urgent() || self.peers.failures() > 0 {
            return None;
        }
        let age = self.queue.age(now.monotonic)?;
        let rest = self.config.batch.max_wait.saturating_sub(age);
        (!rest.is_zero()).then_some(rest)
    }

    /// The peers that may have one flight more, as far as their acknowledgements go.
    fn free_peers(&self) -> BTreeSet<usize> {
        let all = 0..self.peers.len();
        match (&self.acks, acknowledgement(&self.config)) {
            (Some(acks), Some(config)) => all
                .filter(|peer| {
                    let outstanding = acks.count(*peer) + self.peers.in_flight(*peer);
                    outstanding < config.max_outstanding && acks.may_launch(*peer)
                })
                .collect(),
            _ => all.collect(),
        }
    }

    fn ask_for_acknowledgements(&mut self, now: Now) {
        let Some(acks) = &mut self.acks else { return };
        for (peer, channel) in acks.to_leave(now.monotonic) {
            self.output.leave_channel(peer, channel);
        }
        let given_up = acks.give_up(now.monotonic);
        for question in acks.due(now.monotonic) {
            self.output
                .ask(question.peer, &question.channel, question.ack_ids);
            self.questions += 1;
        }
        self.settle(given_up, now);
    }

    /// Goes on asking for what was accepted before a restart. What nobody can be asked for any more
    /// is sent again.
    fn restore_receipts(&mut self) {
        let now = self.house.clock.now();
        for stored in self.house.state.receipts(&self.config.name) {
            let key = stored.key();
            match (&mut self.acks, self.peers.find(&stored.peer)) {
                (Some(acks), Some(peer)) => {
                    let receipt = Receipt {
                        channel: stored.channel,
                        ack_id: stored.ack_id,
                    };
                    // A clock that went back makes it younger, never older.
                    let age = (now.utc - stored.at).to_std().unwrap_or_default();
                    acks.restore(peer, &receipt, stored.lines, now.monotonic, age);
                }
                _ => self.changes.settled.push(key),
            }
        }
    }
}

/// Says until when the certificates are valid that an output has read.
fn tell_certificates(house: &House, config: &OutputConfig) {
    let read = config.tls().map(expiry::of_client).unwrap_or_default();
    house.board.set_certificates(config.part(), read);
}

fn acknowledgement(config: &OutputConfig) -> Option<AcknowledgementConfig> {
    match &config.kind {
        OutputKind::SplunkHec(hec) => hec.acknowledgement,
        OutputKind::Syslog(_) | OutputKind::File(_) | OutputKind::Stdout => None,
    }
}

fn order(config: &OutputConfig) -> PeerOrder {
    match config.kind {
        OutputKind::SplunkHec(_) => PeerOrder::Spread,
        OutputKind::Syslog(_) | OutputKind::File(_) | OutputKind::Stdout => PeerOrder::Preferred,
    }
}

/// The outputs that the configuration no longer has, with the number of batches that they owe.
#[must_use]
pub fn abandoned_outputs(house: &House) -> BTreeMap<String, u64> {
    let outputs = house.outputs.now();
    let configured: BTreeSet<&str> = outputs.iter().map(|o| o.name.as_str()).collect();
    house.state.look(|picture| {
        let owed = picture.batches.sums().iter();
        let left = owed.filter(|(output, _)| !configured.contains(output.as_str()));
        left.map(|(output, sum)| (output.clone(), sum.batches))
            .collect()
    })
}
