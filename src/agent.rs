//! The agent: opens the state, starts a task for each poller and forwarder, drains them at the end.
//! The only room that spawns.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Config, ServiceConfig, StartAt};
use crate::control::{self, Control, Replies, Request};
use crate::crash::{self, Point};
use crate::delivery::forwarder::{BuildForwarderError, Forwarder, abandoned_outputs};
use crate::disk;
use crate::house::House;
use crate::letters::{self, LettersError};
use crate::observe::board::Board;
use crate::poller::{self, Asked, Poller};
use crate::repair::{self, RepairError};
use crate::schedule::{Schedules, StartScheduleError};
use crate::spool::{Spool, SpoolError};
use crate::state::ledger::AppendError;
use crate::state::{LockError, OpenStateError, Record, State, StateLock, StoreError};
use crate::storage::Storage;
use crate::taxii::Timestamp;
use crate::tls::BuildClientError;
use crate::wake::{Wake, told_to_stop};

/// How often the archive is looked through for what is too old.
const JANITOR_INTERVAL: Duration = Duration::from_secs(3600);

/// Everything that runs, before it runs.
#[derive(Debug)]
pub struct Agent {
    house: House,
    pollers: Vec<Poller>,
    forwarders: Vec<Forwarder>,
    config: Config,
    lock: StateLock,
}

/// The agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another one has the state.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state cannot be opened.
    #[error(transparent)]
    State(#[from] OpenStateError),
    /// The spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The ledger cannot be written.
    #[error(transparent)]
    Ledger(#[from] AppendError),
    /// The dead letters cannot be read.
    #[error(transparent)]
    Letters(#[from] LettersError),
    /// Damage to the spool cannot be dealt with.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// A service cannot be set up.
    #[error("the service {name:?} cannot be set up: {source}")]
    Service {
        /// The service.
        name: String,
        /// Why.
        source: BuildClientError,
    },
    /// An output cannot be set up.
    #[error("the output {name:?} cannot be set up: {source}")]
    Output {
        /// The output.
        name: String,
        /// Why.
        source: BuildForwarderError,
    },
    /// A schedule cannot be started.
    #[error(transparent)]
    Schedule(#[from] StartScheduleError),
    /// The control socket cannot be opened.
    #[error(transparent)]
    Control(#[from] control::ListenError),
    /// A poller or a forwarder is no more: half an agent would look like a whole one.
    #[error(
        "a part of the agent broke down, see the message above; everything was stopped: start it again, nothing is lost"
    )]
    TaskEnded,
}

impl StartError {
    /// Whether the disk takes nothing at the moment: the same start may go well later.
    #[must_use]
    pub fn is_of_the_disk(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let io = match error.downcast_ref() {
                // It stands for its cause, and does not name it.
                Some(StoreError::Io(io)) => Some(io),
                _ => error.downcast_ref::<io::Error>(),
            };
            if io.is_some_and(disk::takes_nothing) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything in flight was finished.
    Drained,
    /// The time for that was up; the next start goes on where this one stopped.
    TimeUp,
}

impl Agent {
    /// Takes the state folder, brings everything to the ledger's last word and sets up services and
    /// outputs. Connects to nothing.
    pub fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::build_on(config, clock, &Storage::machine())
    }

    /// The same with another place to keep things.
    pub fn build_on(
        config: Config,
        clock: Arc<dyn Clock>,
        storage: &Storage,
    ) -> Result<Self, StartError> {
        let (lock, house) = take_house(&config, clock, storage)?;
        add_new_outputs(&house)?;
        crash::point(Point::Built);
        let mut pollers = Vec::new();
        for service in &config.services {
            let of_service = Poller::of_service(&house, service.clone());
            pollers.extend(of_service.map_err(|source| StartError::Service {
                name: service.name.clone(),
                source,
            })?);
        }
        let mut forwarders = Vec::new();
        for output in &config.outputs {
            let forwarder = Forwarder::new(&house, output.clone());
            forwarders.push(forwarder.map_err(|source| StartError::Output {
                name: output.name.clone(),
                source,
            })?);
        }
        Ok(Self {
            house,
            pollers,
            forwarders,
            config,
            lock,
        })
    }

    /// Takes the state folder and brings everything to the ledger's last word, to
    /// [answer](Self::answer) what takes no poll: there are no pollers and no forwarders, and an
    /// output that is new in the configuration stays so.
    pub fn build_idle(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let (lock, house) = take_house(&config, clock, &Storage::machine())?;
        Ok(Self {
            house,
            pollers: Vec::new(),
            forwarders: Vec::new(),
            config,
            lock,
        })
    }

    /// What pollers and forwarders share.
    #[must_use]
    pub fn house(&self) -> &House {
        &self.house
    }

    /// The pollers, for who drives them by hand.
    pub fn pollers(&mut self) -> &mut [Poller] {
        &mut self.pollers
    }

    /// The forwarders, for who drives them by hand.
    pub fn forwarders(&mut self) -> &mut [Forwarder] {
        &mut self.forwarders
    }

    /// Answers one request and ends, for a command beside which no agent runs: nothing is polled on
    /// a schedule, nothing is delivered.
    pub async fn answer(self, request: Request, replies: Replies) {
        let mut askable = Askable::new();
        let polling = self.pollers.into_iter().map(|poller| {
            let asked = make_askable(&poller, &mut askable);
            poll_when_asked(poller, asked)
        });
        let polling = futures_util::future::join_all(polling);
        let control = Control::new(self.house, &self.config, askable);
        let answering = async {
            control.answer(request, &replies).await;
            // Without it nobody can ask the pollers any more, and they end too.
            drop((control, replies));
        };
        tokio::join!(answering, polling);
        drop(self.lock);
    }

    /// Runs until `stop` is done, then finishes what is in flight.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<Ended, StartError> {
        let Self {
            house,
            pollers,
            forwarders,
            config,
            lock,
        } = self;
        let schedules = config
            .services
            .iter()
            .map(|service| service.schedule.clone());
        let schedules = Schedules::start(schedules).await?;
        let (stopping, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut askable = Askable::new();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            state = %config.state.directory.display(),
            services = config.services.len(),
            outputs = config.outputs.len(),
            "started"
        );
        tell_of_abandoned_outputs(&house);
        tell_of_orphans(&house, &config.services);
        let interrupts: Vec<_> = pollers.iter().map(Poller::interrupt).collect();
        for poller in pollers {
            let asked = make_askable(&poller, &mut askable);
            let ticks = schedules.ticks(&poller.service().schedule);
            tasks.spawn(run_poller(
                poller,
                ticks,
                asked,
                house.spool.changes(),
                stopped.clone(),
            ));
        }
        for forwarder in forwarders {
            tasks.spawn(run_forwarder(
                forwarder,
                house.spool.changes(),
                stopped.clone(),
            ));
        }
        tasks.spawn(keep_house(house.clone(), stopped.clone()));
        let control = Control::new(house.clone(), &config, askable);
        tasks.spawn(control::listen(&config.state.directory, control, stopped)?);

        let died = tokio::select! {
            () = stop => false,
            // A task ends when it is told to, or when it breaks.
            _ = tasks.join_next() => true,
        };
        tracing::info!(
            at_most_s = config.shutdown_timeout.as_secs(),
            "stopping: what is in flight is finished"
        );
        // Nobody listens only if every task has ended.
        let _ = stopping.send(true);
        crash::point(Point::Stopping);
        schedules.stop().await;
        // A service that takes its time is waited for half of that.
        let interrupting = async {
            tokio::time::sleep(config.shutdown_timeout / 2).await;
            interrupts.iter().for_each(CancellationToken::cancel);
            std::future::pending().await
        };
        let draining = async {
            while tasks.join_next().await.is_some() {}
            Ended::Drained
        };
        let ended = tokio::select! {
            ended = draining => ended,
            ended = interrupting => ended,
            () = tokio::time::sleep(config.shutdown_timeout) => Ended::TimeUp,
        };
        tasks.abort_all();
        crash::point(Point::Drained);
        tracing::info!(?ended, "stopped");
        drop(lock);
        crash::point(Point::Unlocked);
        if died {
            return Err(StartError::TaskEnded);
        }
        Ok(ended)
    }
}

/// Who polls a collection, by service and collection.
type Askable = BTreeMap<(String, String), mpsc::Sender<Asked>>;

fn make_askable(poller: &Poller, askable: &mut Askable) -> mpsc::Receiver<Asked> {
    let (ask, asked) = mpsc::channel(1);
    for collection in &poller.service().collections {
        if poller.polls(collection) {
            let name = (poller.service().name.clone(), collection.clone());
            askable.insert(name, ask.clone());
        }
    }
    asked
}

fn take_house(
    config: &Config,
    clock: Arc<dyn Clock>,
    storage: &Storage,
) -> Result<(StateLock, House), StartError> {
    let now = clock.now().utc;
    let lock = StateLock::take(&config.state.directory)?;
    crash::point(Point::LockTaken);
    let state = Arc::new(State::open(storage, &config.state.directory, now)?);
    crash::point(Point::StateOpened);
    let spool = Arc::new(Spool::open(&storage.disk, &config.state)?);
    let house = House {
        clock,
        state,
        spool,
        board: Arc::new(Board::default()),
        outputs: Arc::new(config.outputs.clone()),
    };
    recover(&house, &config.services)?;
    Ok((lock, house))
}

/// Batches that were put in place without a record get it, those that nobody owes go.
fn recover(house: &House, services: &[ServiceConfig]) -> Result<(), StartError> {
    let now = house.clock.now().utc;
    let (next_seq, is_doubtful) = house
        .state
        .look(|picture| (picture.next_seq, picture.is_doubtful));
    let may_be_unknown =
        |seq| seq >= next_seq || is_doubtful && house.state.may_lack_records_of(seq);
    let mut delivered = Vec::new();
    if is_doubtful {
        delivered = house.spool.newest_archived(may_be_unknown);
    }
    let mut delivered = delivered.into_iter().peekable();
    for head in house.spool.batches() {
        while let Some(delivered) = delivered.next_if(|delivered| delivered.seq < head.seq) {
            take_checkpoint(house, delivered.told(), now)?;
        }
        let is_owed = || {
            house
                .state
                .look(|picture| picture.batches.contains_key(&head.seq))
        };
        if head.seq >= next_seq {
            tracing::info!(
                seq = head.seq,
                collection = head.collection,
                "a batch was in place without a record; it gets one"
            );
            house.state.append(now, &head.told())?;
            crash::point(Point::BatchRecorded);
        } else if !is_owed() && may_be_unknown(head.seq) {
            house.state.append(now, &owed_again(house, head.told()))?;
        }
        if !is_owed() {
            if let Err(error) = house.spool.done(head.seq, now) {
                tracing::warn!(%error, seq = head.seq, "a batch that nobody owes cannot be archived; the next start tries it again");
            }
            crash::point(Point::BatchArchived);
        }
    }
    for delivered in delivered {
        take_checkpoint(house, delivered.told(), now)?;
    }
    house
        .spool
        .begin_at(house.state.look(|picture| picture.next_seq));
    repair::recover(house)?;
    letters::recover(house)?;
    repair::finish_archived(house)?;
    crash::point(Point::LettersRecovered);
    if is_doubtful {
        tracing::error!(
            "records are missing from the ledger: whatever lies in the spool is sent again, windows \
             may be fetched again, and all gates stay closed for one interval. Look at the disk"
        );
        let gates = services.iter().flat_map(poller::gates);
        let gates = gates.map(|(gate, _)| gate).collect();
        let recovered = Record::Recovered {
            gates,
            letters: letters::count_settled(house)?,
            blocks: letters::count_blocks(house)?,
        };
        house.state.append(now, &recovered)?;
        crash::point(Point::RecoveredRecorded);
    }
    Ok(())
}

/// The record of a batch of which the ledger does not say for certain that it was delivered: it is
/// owed, and the checkpoint never goes back.
fn owed_again(house: &House, mut record: Record) -> Record {
    match &mut record {
        Record::Polled {
            key,
            checkpoint,
            gap,
            clock_offset_ms,
            ..
        } => {
            (*gap, *clock_offset_ms) = (None, None);
            let known = house.state.look(|picture| {
                let known = picture.collection(key);
                known.and_then(|known| known.checkpoint.as_ref().map(Timestamp::time))
            });
            let is_later = |end: &Timestamp| known.is_none_or(|known| end.time() > known);
            *checkpoint = checkpoint.take().filter(is_later);
        }
        Record::BatchAdded { letters, .. } => letters.clear(),
        _ => {}
    }
    record
}

/// A checkpoint that was reached cannot be wrong: its batch was here, and is delivered.
fn take_checkpoint(house: &House, record: Record, now: DateTime<Utc>) -> Result<(), StartError> {
    let mut record = owed_again(house, record);
    if let Record::Polled {
        key,
        checkpoint: Some(checkpoint),
        outputs,
        ..
    } = &mut record
    {
        tracing::info!(%key, %checkpoint, "the checkpoint is taken from a batch in the archive");
        outputs.clear();
        house.state.append(now, &record)?;
    }
    Ok(())
}

/// An output that the state does not know starts with the next batch, or with the oldest.
fn add_new_outputs(house: &House) -> Result<(), StartError> {
    let now = house.clock.now().utc;
    for output in house.outputs.iter() {
        let is_known = house
            .state
            .look(|picture| picture.outputs.contains_key(&output.name));
        if is_known {
            continue;
        }
        let owes = match output.start_at {
            StartAt::Now => Vec::new(),
            StartAt::Oldest => {
                let batches = house.spool.batches();
                let taken = batches.iter().filter(|head| output.takes(&head.collection));
                taken.map(|head| head.seq).collect()
            }
        };
        let owes_something = !owes.is_empty();
        let record = Record::OutputAdded {
            output: output.name.clone(),
            letters: letters::count_earlier(house, &output.name, &owes)?,
            owes,
        };
        house.state.append(now, &record)?;
        crash::point(Point::OutputAdded);
        if owes_something {
            letters::recover(house)?;
        }
    }
    Ok(())
}

/// What they owe is kept until a person decides.
fn tell_of_abandoned_outputs(house: &House) {
    for (output, batches) in abandoned_outputs(house) {
        tracing::error!(
            output,
            batches,
            "an output is no longer configured, and what it owes is kept: configure it again, or \
             give up what it owes with `cta-forwarder output forget`"
        );
    }
}

/// No window is polled again by itself of a collection that is no longer configured.
fn tell_of_orphans(house: &House, services: &[ServiceConfig]) {
    for (seq, collection) in repair::orphans(house, services) {
        tracing::error!(
            seq,
            %collection,
            "a batch is damaged, and its collection is no longer configured, so that nobody polls its \
             window again: configure it again, or give up what the damaged files held with \
             `cta-forwarder spool give-up`"
        );
    }
}

async fn run_poller(
    mut poller: Poller,
    ticks: Option<watch::Receiver<u64>>,
    mut asked: mpsc::Receiver<Asked>,
    mut spool: watch::Receiver<u64>,
    mut stopped: watch::Receiver<bool>,
) {
    let splay = poller.service().splay;
    let mut ticks = ticks;
    let mut splayed: Option<tokio::time::Instant> = None;
    let mut person: Option<Asked> = None;
    loop {
        // Before the turn, so that what happens during it is not missed.
        spool.mark_unchanged();
        // The schedule has every opening of the gate: a person who waits for one goes first.
        let wake = match person.take() {
            Some(asked) if !asked.answer.is_closed() => {
                let closed = poller.closed_for(&asked.poll.collection);
                if closed.is_zero() {
                    poll_by_hand(&mut poller, asked).await;
                } else {
                    person = Some(asked);
                }
                Wake::After(closed)
            }
            _ => poller.turn().await,
        };
        tokio::select! {
            biased;
            () = told_to_stop(&mut stopped) => return,
            Some(asked) = asked.recv(), if person.is_none() => {
                if asked.may_wait {
                    person = Some(asked);
                } else {
                    poll_by_hand(&mut poller, asked).await;
                }
            }
            () = changed(ticks.as_mut()) => {
                let wait = splay.mul_f64(fastrand::f64());
                splayed = Some(tokio::time::Instant::now() + wait);
                if splay.is_zero() {
                    splayed = None;
                    poller.tick();
                }
            }
            () = at(splayed) => {
                splayed = None;
                poller.tick();
            }
            _ = spool.changed(), if matches!(wake, Wake::SpoolChange(_)) => {}
            () = after(wake) => {}
        }
    }
}

async fn poll_when_asked(mut poller: Poller, mut asked: mpsc::Receiver<Asked>) {
    while let Some(asked) = asked.recv().await {
        if asked.may_wait {
            tokio::time::sleep(poller.closed_for(&asked.poll.collection)).await;
        }
        poll_by_hand(&mut poller, asked).await;
    }
}

async fn poll_by_hand(poller: &mut Poller, asked: Asked) {
    let result = poller.poll_by_hand(&asked.poll).await;
    // Nobody waits for the answer if the person has gone.
    let _ = asked.answer.send(result);
}

async fn run_forwarder(
    mut forwarder: Forwarder,
    mut spool: watch::Receiver<u64>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        spool.mark_unchanged();
        let wake = forwarder.turn();
        tokio::select! {
            biased;
            () = told_to_stop(&mut stopped) => break,
            () = forwarder.landing() => {}
            _ = spool.changed(), if matches!(wake, Wake::SpoolChange(_)) => {}
            () = after(wake) => {}
        }
    }
    forwarder.close().await;
}

async fn keep_house(house: House, mut stopped: watch::Receiver<bool>) {
    loop {
        let now = house.clock.now().utc;
        tokio::task::block_in_place(|| house.spool.evict_archive(now));
        tokio::select! {
            () = told_to_stop(&mut stopped) => return,
            () = tokio::time::sleep(JANITOR_INTERVAL) => {}
        }
    }
}

async fn after(wake: Wake) {
    match wake.after() {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn changed(ticks: Option<&mut watch::Receiver<u64>>) {
    match ticks {
        // Without a schedule, or when it has stopped, nothing ticks any more.
        Some(ticks) => match ticks.changed().await {
            Ok(()) => {}
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod sequences;
#[cfg(test)]
mod tests;
