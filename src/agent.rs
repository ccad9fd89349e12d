//! The agent: opens the state, starts a task for each poller and forwarder, drains them at the end.
//! The only room that spawns.

mod recovery;
mod tasks;

use std::error::Error;
use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, Pulse};
use crate::clock::Clock;
use crate::config::{Config, ServiceConfig};
use crate::control::{self, Control, Replies, Request};
use crate::crash::{self, Point};
use crate::delivery::forwarder::{BuildForwarderError, Forwarder, abandoned_outputs};
use crate::disk;
use crate::house::House;
use crate::inbox::Inbox;
use crate::letters::LettersError;
use crate::listener::ListenError;
use crate::poller::Poller;
use crate::repair::{self, RepairError};
use crate::schedule::{Schedules, StartScheduleError};
use crate::spool::SpoolError;
use crate::state::ledger::AppendError;
use crate::state::{LockError, OpenStateError, StateLock, StoreError};
use crate::storage::Storage;
use crate::tls::{BuildClientError, BuildServerError};
use recovery::{add_new_outputs, forget_idle_sets, take_house};
use tasks::{Askable, keep_house, make_askable, poll_when_asked, run_forwarder, run_poller};

/// Everything that runs, before it runs.
#[derive(Debug)]
pub struct Agent {
    house: House,
    pollers: Vec<Poller>,
    forwarders: Vec<Forwarder>,
    inbox: Option<Arc<Inbox>>,
    admin: Option<Arc<Admin>>,
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
    /// The inbox cannot be set up.
    #[error("the inbox cannot be set up: {0}")]
    Inbox(#[from] BuildServerError),
    /// The status page cannot be set up.
    #[error("the status page ([admin]) cannot be set up: {0}")]
    Admin(#[source] BuildServerError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
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
        self.is_caused_by(disk::takes_nothing)
    }

    /// Whether there is something on the disk that cannot be read. It may be given up in the end: see
    /// [`Disk::giving_up_unreadable`](disk::Disk::giving_up_unreadable).
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.is_caused_by(disk::is_unreadable)
    }

    fn is_caused_by(&self, is_it: fn(&io::Error) -> bool) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let io = match error.downcast_ref() {
                // It stands for its cause, and does not name it.
                Some(StoreError::Io(io)) => Some(io),
                _ => error.downcast_ref::<io::Error>(),
            };
            if io.is_some_and(is_it) {
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
        forget_idle_sets(&house, &config.services);
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
        let inbox = config.inbox.clone();
        let inbox = inbox.map(|inbox| Inbox::new(&house, inbox)).transpose()?;
        let admin = Admin::of(&house, &config, Pulse::unwatched());
        let admin = admin.map_err(StartError::Admin)?;
        Ok(Self {
            house,
            pollers,
            forwarders,
            inbox: inbox.map(Arc::new),
            admin: admin.map(Arc::new),
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
            inbox: None,
            admin: None,
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

    /// The inbox, for who pushes by hand.
    #[must_use]
    pub fn inbox(&self) -> Option<&Arc<Inbox>> {
        self.inbox.as_ref()
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
            inbox,
            admin,
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
        if let Some(inbox) = inbox {
            tasks.spawn(inbox.listen(stopped.clone())?);
        }
        if let Some(admin) = admin {
            tasks.spawn(admin.listen(stopped.clone())?);
        }
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
            "stopping: what is in flight is finished, a poll if that does not take long"
        );
        // Nobody listens only if every task has ended.
        let _ = stopping.send(true);
        crash::point(Point::Stopping);
        // A service that takes its time is waited for half of that.
        let interrupting = async {
            tokio::time::sleep(config.shutdown_timeout / 2).await;
            interrupts.iter().for_each(CancellationToken::cancel);
            std::future::pending().await
        };
        let draining = async {
            schedules.stop().await;
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
             `cta-forwarder spool give-up {seq}`"
        );
    }
}

#[cfg(test)]
mod sequences;
#[cfg(test)]
mod tests;
