//! The agent: opens the state, starts a task for each poller and forwarder, drains them at the end.
//! The only room that spawns.

mod recovery;
mod reload;
mod running;
mod signs;
mod tasks;

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::admin::Admin;
use crate::clock::Clock;
use crate::config::{Config, ServiceConfig};
use crate::control::{self, Control, Current, Replies, Request};
use crate::crash::{self, Point};
use crate::delivery::forwarder::{BuildForwarderError, Forwarder, abandoned_outputs};
use crate::disk::{self, LookingDisk};
use crate::house::House;
use crate::inbox::Inbox;
use crate::letters::LettersError;
use crate::listener::ListenError;
use crate::observe::service_manager;
use crate::poller::{Askable, Poller};
use crate::repair::{self, RepairError};
use crate::schedule::StartScheduleError;
use crate::spool::SpoolError;
use crate::state::ledger::AppendError;
use crate::state::{LockError, OpenStateError, StateLock, StoreError};
use crate::storage::Storage;
use crate::tls::{BuildClientError, BuildServerError};
use recovery::{add_new_outputs, forget_idle_sets, open_house, take_house};
pub use reload::ConfigSource;
use reload::{PartDied, admin_of, output_of, reload, service_of};
use running::{Listening, Running};
use signs::{tell_status, tell_that_it_lives};
use tasks::{keep_house, poll_when_asked};

/// Everything that runs, before it runs.
#[derive(Debug)]
pub struct Agent {
    house: House,
    pollers: Vec<Poller>,
    forwarders: Vec<Forwarder>,
    inbox: Option<Arc<Inbox>>,
    admin: Option<Arc<Admin>>,
    /// What a reload changes, for who tells of it.
    current: watch::Sender<Arc<Current>>,
    config: Config,
    /// None of who looks at a state that has none.
    lock: Option<StateLock>,
}

/// The agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another one has the state.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no place for a copy of what is looked at.
    #[error("no temporary folder can be made: {0}; see that $TMPDIR or /tmp can be written")]
    Copy(#[source] io::Error),
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

    /// Whether this user may not do it.
    #[must_use]
    pub fn is_of_rights(&self) -> bool {
        self.is_caused_by(|error| error.kind() == io::ErrorKind::PermissionDenied)
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
        let deciding = house.spool.dead_letters().decide();
        add_new_outputs(&house, &config.outputs, &deciding)?;
        drop(deciding);
        forget_idle_sets(&house, &config.services);
        crash::point(Point::Built);
        let mut pollers = Vec::new();
        for service in &config.services {
            pollers.extend(service_of(&house, service)?);
        }
        let mut forwarders = Vec::new();
        for output in &config.outputs {
            forwarders.push(output_of(&house, output)?);
        }
        let inbox = config.inbox.clone();
        let inbox = inbox.map(|inbox| Inbox::new(&house, inbox)).transpose()?;
        let current = nobody_asked(&config);
        let admin = config.admin.clone();
        let admin = admin.map(|admin| admin_of(&house, admin, current.subscribe()));
        let admin = admin.transpose()?;
        Ok(Self {
            house,
            pollers,
            forwarders,
            inbox: inbox.map(Arc::new),
            admin,
            current,
            config,
            lock: Some(lock),
        })
    }

    /// Takes the state folder and brings everything to the ledger's last word, to
    /// [answer](Self::answer) what takes no poll: there are no pollers and no forwarders, and an
    /// output that is new in the configuration stays so.
    pub fn build_idle(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let (lock, house) = take_house(&config, clock, &Storage::machine())?;
        Ok(Self::idle(house, config, Some(lock)))
    }

    /// The same for who looks: what a start makes of the state is seen, and nothing of it is done. Who
    /// may read the folder may look.
    pub fn build_to_look(
        config: Config,
        clock: Arc<dyn Clock>,
        disk: &LookingDisk,
    ) -> Result<Self, StartError> {
        let storage = Storage::to_look_at(disk).map_err(StartError::Copy)?;
        let lock = StateLock::share(&config.state.directory)?;
        let house = open_house(&config, clock, &storage)?;
        Ok(Self::idle(house, config, lock))
    }

    fn idle(house: House, config: Config, lock: Option<StateLock>) -> Self {
        Self {
            house,
            pollers: Vec::new(),
            forwarders: Vec::new(),
            inbox: None,
            admin: None,
            current: nobody_asked(&config),
            config,
            lock,
        }
    }

    /// What pollers and forwarders share.
    #[must_use]
    pub fn house(&self) -> &House {
        &self.house
    }

    /// The pollers, for who drives them by hand.
    pub fn pollers(&mut self) -> &mut Vec<Poller> {
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
        let mut askable = Askable::default();
        let polling = self.pollers.into_iter().map(|poller| {
            let asked = askable.add(&poller);
            poll_when_asked(poller, asked)
        });
        let polling = futures_util::future::join_all(polling);
        let current = Current {
            config: self.config,
            pollers: Arc::new(askable),
        };
        let control = Control::new(self.house, current);
        let answering = async {
            control.answer(request, &replies).await;
            // Without it nobody can ask the pollers any more, and they end too.
            drop((control, replies));
        };
        tokio::join!(answering, polling);
        drop(self.lock);
    }

    /// Runs until it is told to stop, then finishes what is in flight.
    pub async fn run(self, orders: Orders) -> Result<Ended, StartError> {
        let Self {
            house,
            pollers,
            forwarders,
            inbox,
            admin,
            current,
            config,
            lock,
        } = self;
        let Orders {
            stop,
            mut reloads,
            source,
        } = orders;
        let mut running = Running::new(&house, config, current).await?;
        let config = running.config();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            state = %config.state.directory.display(),
            services = config.services.len(),
            outputs = config.outputs.len(),
            "started"
        );
        tell_of_what_nobody_takes(&house, config);
        if let Some(inbox) = inbox {
            running.begin_listener(Listening::Inbox(inbox))?;
        }
        let is_watched = admin.is_some();
        if let Some(admin) = admin {
            running.begin_listener(Listening::Admin(admin))?;
        }
        for (service, pollers) in pollers_by_service(pollers) {
            running.begin_service(&service, pollers);
        }
        for forwarder in forwarders {
            running.begin_output(forwarder);
        }
        running.tell_current();
        running.begin_lasting(keep_house(house.clone(), is_watched, running.stopped()));
        running.begin_lasting(tell_that_it_lives(
            Arc::clone(&house.watchdog),
            Arc::clone(&house.clock),
            service_manager::interval(),
            service_manager::alive,
            running.stopped(),
        ));
        let (ask, mut wanted) = mpsc::channel(1);
        let control = Control::of_agent(house.clone(), running.current(), ask);
        let directory = &running.config().state.directory;
        running.begin_lasting(control::listen(directory, control, running.stopped())?);
        service_manager::started();
        running.begin_lasting(tell_status(
            house.clone(),
            running.current(),
            service_manager::interval(),
            service_manager::status,
            running.news(),
            running.stopped(),
        ));

        let mut stop = pin!(stop);
        let died = loop {
            let asked = tokio::select! {
                () = &mut stop => break false,
                is_well = running.next_over() => {
                    // A task ends when it is told to, or when it breaks.
                    if is_well {
                        continue;
                    }
                    break true;
                }
                Some(reload) = wanted.recv() => Some(reload),
                Some(()) = reloads.recv() => None,
            };
            let (file, answer) = asked.map(|asked| (asked.config, asked.answer)).unzip();
            let reloading = reload(&mut running, &house, source.as_ref(), file.as_deref());
            let told = tokio::select! {
                told = reloading => told,
                () = &mut stop => break false,
            };
            match told {
                Ok(reply) => {
                    // Nobody waits for it if it was a signal, or if the person has gone.
                    answer.map(|answer| answer.send(reply));
                }
                Err(PartDied) => break true,
            }
        };
        let ended = finish(running).await;
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

/// Finishes what is in flight.
async fn finish(mut running: Running) -> Ended {
    let shutdown_timeout = running.config().shutdown_timeout;
    service_manager::stopping(shutdown_timeout);
    tracing::info!(
        at_most_s = shutdown_timeout.as_secs(),
        "stopping: what is in flight is finished, a poll if that does not take long"
    );
    running.stop();
    crash::point(Point::Stopping);
    // A service that takes its time is waited for half of that.
    let interrupt = running.interrupt();
    let interrupting = async {
        tokio::time::sleep(shutdown_timeout / 2).await;
        interrupt();
        std::future::pending().await
    };
    let ended = tokio::select! {
        () = running.drain() => Ended::Drained,
        ended = interrupting => ended,
        () = tokio::time::sleep(shutdown_timeout) => Ended::TimeUp,
    };
    running.end();
    ended
}

/// What an agent that runs is told.
pub struct Orders {
    /// Done when it shall stop.
    pub stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Each of these has it read its configuration again.
    pub reloads: mpsc::Receiver<()>,
    /// Where it reads that.
    pub source: Box<dyn ConfigSource>,
}

/// What a reload changes, before there are pollers that can be asked.
fn nobody_asked(config: &Config) -> watch::Sender<Arc<Current>> {
    watch::Sender::new(Arc::new(Current {
        config: config.clone(),
        pollers: Arc::default(),
    }))
}

/// The pollers of each service together.
fn pollers_by_service(pollers: Vec<Poller>) -> BTreeMap<String, Vec<Poller>> {
    let mut services: BTreeMap<String, Vec<Poller>> = BTreeMap::new();
    for poller in pollers {
        let service = poller.service().name.clone();
        services.entry(service).or_default().push(poller);
    }
    services
}

/// What is kept and owed, and nobody is configured for.
fn tell_of_what_nobody_takes(house: &House, config: &Config) {
    tell_of_abandoned_outputs(house);
    tell_of_orphans(house, &config.services);
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
