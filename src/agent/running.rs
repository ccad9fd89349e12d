//! Everything that runs: a task for each poller, each forwarder and the inbox, and how one takes
//! another's place while all others go on.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::recovery::{add_new_outputs, forget_idle_sets};
use super::reload::{Change, Made, New, Plan};
use super::tasks::{run_forwarder, run_poller};
use crate::admin::Admin;
use crate::config::Config;
use crate::control::Current;
use crate::delivery::forwarder::Forwarder;
use crate::house::House;
use crate::inbox::Inbox;
use crate::listener::{ListenError, Socket};
use crate::poller::{Askable, Poller, Questions};
use crate::schedule::Schedules;
use crate::wake::Wake;

/// What can be changed on its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Service(String),
    Output(String),
    Inbox,
    Admin,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "service {name}"),
            Self::Output(name) => write!(f, "output {name}"),
            Self::Inbox => f.write_str("inbox"),
            Self::Admin => f.write_str("admin"),
        }
    }
}

/// Everything that runs.
pub(super) struct Running {
    house: House,
    config: Config,
    made: Made,
    schedules: Schedules,
    tasks: JoinSet<Over>,
    slots: BTreeMap<u64, Slot>,
    next_slot: u64,
    /// The addresses that are listened on; what takes a place at the same one shares it.
    sockets: BTreeMap<Part, Socket>,
    /// Shared with those who ask.
    askable: Arc<Askable>,
    current: watch::Sender<Arc<Current>>,
    /// Told when the agent's status may be another.
    news: Arc<Notify>,
    /// The agent stops.
    stopping: watch::Sender<bool>,
}

/// The tasks of one part.
struct Slot {
    part: Part,
    /// Told to leave: another takes its place, or nobody.
    leave: watch::Sender<bool>,
    /// Its tasks that still run.
    tasks: usize,
    /// Ends the polls that are under way in them: the pollers of a service share one.
    interrupt: Option<CancellationToken>,
    /// Its pollers that have left, by their gates.
    left: BTreeMap<String, Poller>,
    /// What begins when all have left.
    successor: Option<Ready>,
}

/// A part that is ready to begin.
enum Ready {
    Service(Vec<(Poller, Questions)>),
    Output(Box<Forwarder>),
}

/// What listens on an address of its own.
#[derive(Debug, Clone)]
pub(super) enum Listening {
    Inbox(Arc<Inbox>),
    Admin(Arc<Admin>),
}

impl Listening {
    fn part(&self) -> Part {
        match self {
            Self::Inbox(_) => Part::Inbox,
            Self::Admin(_) => Part::Admin,
        }
    }

    fn bind(&self) -> Result<Socket, ListenError> {
        match self {
            Self::Inbox(inbox) => inbox.bind(),
            Self::Admin(admin) => admin.bind(),
        }
    }
}

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What has its address and answers nobody yet.
struct OpenListener {
    part: Part,
    socket: Socket,
    serving: Serving,
    leave: watch::Sender<bool>,
}

/// A task is over.
enum Over {
    /// A poller has left its slot.
    Poller(u64, Box<Poller>),
    /// A forwarder, or an inbox.
    Other(u64),
    /// Nothing that can be changed on its own.
    Lasting,
}

impl Running {
    /// Nothing runs yet.
    pub(super) async fn new(
        house: &House,
        config: Config,
        current: watch::Sender<Arc<Current>>,
    ) -> Result<Self, StartError> {
        let schedules = config
            .services
            .iter()
            .map(|service| service.schedule.clone());
        let clock = Arc::clone(&house.clock);
        let schedules = Schedules::start(schedules, &house.watchdog, clock).await?;
        Ok(Self {
            house: house.clone(),
            made: Made::of(&config),
            config,
            schedules,
            tasks: JoinSet::new(),
            slots: BTreeMap::new(),
            next_slot: 0,
            sockets: BTreeMap::new(),
            askable: Arc::default(),
            current,
            news: Arc::default(),
            stopping: watch::Sender::new(false),
        })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn made(&self) -> &Made {
        &self.made
    }

    /// What a reload changes, as it is.
    pub(super) fn current(&self) -> watch::Receiver<Arc<Current>> {
        self.current.subscribe()
    }

    /// Says when the agent's status may be another.
    pub(super) fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    /// The agent's status may be another.
    pub(super) fn has_news(&self) {
        self.news.notify_one();
    }

    /// Says when the agent stops.
    pub(super) fn stopped(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Begins what lasts as long as the agent.
    pub(super) fn begin_lasting(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async {
            task.await;
            Over::Lasting
        });
    }

    pub(super) fn begin_service(&mut self, name: &str, pollers: Vec<Poller>) {
        let ready = self.make_ready(pollers);
        self.begin(Part::Service(name.to_owned()), Ready::Service(ready));
    }

    pub(super) fn begin_output(&mut self, forwarder: Forwarder) {
        let part = Part::Output(forwarder.name().to_owned());
        self.begin(part, Ready::Output(Box::new(forwarder)));
    }

    pub(super) fn begin_listener(&mut self, listening: Listening) -> Result<(), StartError> {
        let socket = listening.bind()?;
        let listener = self.open(listening, socket)?;
        self.serve(listener);
        Ok(())
    }

    /// A task is over; tells whether it should be.
    pub(super) async fn next_over(&mut self) -> bool {
        let Some(over) = self.tasks.join_next().await else {
            return std::future::pending().await;
        };
        self.ended(over)
    }

    fn ended(&mut self, over: Result<Over, JoinError>) -> bool {
        let is_stopping = *self.stopping.borrow();
        let id = match over {
            Ok(Over::Poller(id, poller)) => {
                if let Some(slot) = self.slots.get_mut(&id) {
                    slot.left.insert(poller.gate_name().to_owned(), *poller);
                }
                id
            }
            Ok(Over::Other(id)) => id,
            Ok(Over::Lasting) => return is_stopping,
            Err(broken) => {
                tracing::error!(%broken, "a part of the agent broke down");
                return false;
            }
        };
        let Some(slot) = self.slots.get_mut(&id) else {
            return true;
        };
        if !*slot.leave.borrow() {
            return false;
        }
        slot.tasks = slot.tasks.saturating_sub(1);
        if slot.tasks == 0
            && let Some(slot) = self.slots.remove(&id)
        {
            self.succeed(slot);
        }
        true
    }

    /// All of a slot have left: what is ready for its place begins.
    fn succeed(&mut self, mut slot: Slot) {
        match slot.successor {
            Some(Ready::Service(mut pollers)) => {
                for (poller, _) in &mut pollers {
                    poller.take_over(&mut slot.left);
                }
                tracing::info!(part = %slot.part, "goes on with the new configuration");
                self.begin(slot.part, Ready::Service(pollers));
            }
            Some(ready) => {
                tracing::info!(part = %slot.part, "goes on with the new configuration");
                self.begin(slot.part, ready);
            }
            None => {}
        }
        self.forget_what_is_gone();
    }

    /// What is configured no more is shown no more, and wants nothing.
    fn forget_what_is_gone(&self) {
        let config = &self.config;
        let collections = config.services.iter().flat_map(|service| {
            let names = service.collections.iter();
            names.map(|name| format!("{}/{name}", service.name))
        });
        let collections: HashSet<String> = collections.collect();
        let outputs = config.outputs.iter().map(|output| output.name.as_str());
        let outputs: HashSet<&str> = outputs.collect();
        let board = &self.house.board;
        board.keep_only(
            |key| collections.contains(key),
            |name| outputs.contains(name),
        );
        let inbox = config.inbox.as_ref().map(|inbox| inbox.name.as_str());
        let wants = |who: &str| collections.contains(who) || inbox == Some(who);
        self.house.spool.keep_wants(wants);
    }

    /// The parts that have not left yet what another is to take over, or nobody.
    pub(super) fn leaving(&self) -> Vec<String> {
        let leaving = self.slots.values().filter(|slot| *slot.leave.borrow());
        leaving.map(|slot| slot.part.to_string()).collect()
    }

    /// Takes another configuration. Where this fails the old one goes on, whole.
    pub(super) async fn change(&mut self, plan: Plan) -> Result<(), StartError> {
        let Plan {
            config,
            made,
            mut changes,
        } = plan;
        for service in &config.services {
            self.schedules.add(service.schedule.clone()).await?;
        }
        let mut listeners = Vec::new();
        for part in [Part::Inbox, Part::Admin] {
            match changes.remove(&part) {
                Some(Change::Begins(New::Listening(listening))) => {
                    let socket = self.socket_for(&listening, &config)?;
                    listeners.push((part, Some(self.open(listening, socket)?)));
                }
                Some(_) => listeners.push((part, None)),
                None => {}
            }
        }
        // A disk that refuses this may have taken the record of an output: that one is known then, as
        // one that has left the configuration is.
        tokio::task::block_in_place(|| -> Result<(), StartError> {
            let deciding = self.house.spool.dead_letters().decide();
            // Every batch is owed to those that were before, or to those that come.
            let _turn = self.house.spool.commit_turn();
            add_new_outputs(&self.house, &config.outputs, &deciding)?;
            self.house.outputs.replace(config.outputs.clone());
            Ok(())
        })?;
        // From here on nothing is refused.
        let needed = config
            .services
            .iter()
            .map(|service| service.schedule.clone());
        let needed: BTreeSet<String> = needed.collect();
        self.config = config;
        self.made = made;
        self.schedules.keep_only(&needed).await;
        for (part, change) in changes {
            let ready = match change {
                Change::Begins(New::Service(pollers)) => {
                    self.forget_askable(&part);
                    Some(Ready::Service(self.make_ready(pollers)))
                }
                Change::Begins(New::Output(forwarder)) => Some(Ready::Output(forwarder)),
                Change::Begins(New::Listening(_)) => continue,
                Change::Ends => {
                    self.forget_askable(&part);
                    None
                }
            };
            self.replace(part, ready);
        }
        for (part, listener) in listeners {
            self.retire(&part);
            if let Some(listener) = listener {
                self.serve(listener);
            }
        }
        self.tell_current();
        self.forget_what_is_gone();
        tokio::task::block_in_place(|| forget_idle_sets(&self.house, &self.config.services));
        Ok(())
    }

    /// Tells everybody to finish, whatever takes its place.
    pub(super) fn stop(&mut self) {
        self.stopping.send_replace(true);
        for slot in self.slots.values_mut() {
            slot.successor = None;
            slot.leave.send_replace(true);
        }
    }

    /// Ends the polls that are under way.
    pub(super) fn interrupt(&self) -> impl Fn() + Send + use<> {
        let slots = self.slots.values();
        let interrupts: Vec<_> = slots.filter_map(|slot| slot.interrupt.clone()).collect();
        move || interrupts.iter().for_each(CancellationToken::cancel)
    }

    /// Waits until everybody has finished.
    pub(super) async fn drain(&mut self) {
        self.schedules.stop().await;
        while self.tasks.join_next().await.is_some() {}
    }

    /// Ends whatever has not finished.
    pub(super) fn end(mut self) {
        self.tasks.abort_all();
    }

    /// A part makes room, and what is ready for its place begins as soon as it has; where there is
    /// none, at once.
    fn replace(&mut self, part: Part, ready: Option<Ready>) {
        let slot = self.slots.values_mut().find(|slot| slot.part == part);
        match (slot, ready) {
            (Some(slot), ready) => {
                slot.successor = ready;
                slot.leave.send_replace(true);
            }
            (None, Some(ready)) => self.begin(part, ready),
            (None, None) => {}
        }
    }

    fn begin(&mut self, part: Part, ready: Ready) {
        let leave = watch::Sender::new(false);
        let (leaving, spool) = (leave.subscribe(), self.house.spool.changes());
        match ready {
            Ready::Service(pollers) => {
                let interrupt = pollers.first().map(|(poller, _)| poller.interrupt());
                let id = self.add_slot(part, leave, pollers.len());
                if let Some(slot) = self.slots.get_mut(&id) {
                    slot.interrupt = interrupt;
                }
                for (poller, asked) in pollers {
                    let ticks = self.schedules.ticks(&poller.service().schedule);
                    let leave = leaving.clone();
                    let changes = (spool.clone(), self.house.spool.news());
                    let stopped = self.stopped();
                    poller.show();
                    let poller = Box::new(poller);
                    self.tasks.spawn(async move {
                        let poller =
                            run_poller(poller, ticks, asked, changes, leave, stopped).await;
                        // It waits for the others of its service.
                        poller.waits(Wake::Asked);
                        Over::Poller(id, poller)
                    });
                }
            }
            Ready::Output(forwarder) => {
                let id = self.add_slot(part, leave, 1);
                self.house.board.output(forwarder.name(), |_| {});
                self.tasks.spawn(async move {
                    run_forwarder(*forwarder, spool, leaving).await;
                    Over::Other(id)
                });
            }
        }
    }

    /// The address of what listens: that of the one before if it is the same.
    fn socket_for(&self, listening: &Listening, config: &Config) -> Result<Socket, ListenError> {
        let part = listening.part();
        let address = |config: &Config| match part {
            Part::Admin => config.admin.as_ref().map(|admin| admin.listen),
            _ => config.inbox.as_ref().map(|inbox| inbox.listen),
        };
        match self.sockets.get(&part) {
            Some(socket) if address(&self.config) == address(config) => socket.share(),
            _ => listening.bind(),
        }
    }

    /// Nobody is answered yet.
    fn open(&self, listening: Listening, socket: Socket) -> Result<OpenListener, StartError> {
        let (part, leave) = (listening.part(), watch::Sender::new(false));
        let shared = socket.share()?;
        let serving: Serving = match listening {
            Listening::Inbox(inbox) => {
                Box::pin(inbox.serve(socket, leave.subscribe(), self.stopped())?)
            }
            Listening::Admin(admin) => Box::pin(admin.serve(socket, leave.subscribe())?),
        };
        Ok(OpenListener {
            part,
            socket: shared,
            serving,
            leave,
        })
    }

    fn serve(&mut self, listener: OpenListener) {
        let OpenListener {
            part,
            socket,
            serving,
            leave,
        } = listener;
        self.sockets.insert(part.clone(), socket);
        let id = self.add_slot(part, leave, 1);
        self.tasks.spawn(async move {
            serving.await;
            Over::Other(id)
        });
    }

    fn add_slot(&mut self, part: Part, leave: watch::Sender<bool>, tasks: usize) -> u64 {
        let id = self.next_slot;
        self.next_slot += 1;
        let slot = Slot {
            part,
            leave,
            tasks,
            interrupt: None,
            left: BTreeMap::new(),
            successor: None,
        };
        self.slots.insert(id, slot);
        id
    }

    /// What comes in is finished, and nobody new gets in.
    fn retire(&mut self, part: &Part) {
        self.sockets.remove(part);
        for slot in self.slots.values().filter(|slot| slot.part == *part) {
            slot.leave.send_replace(true);
        }
    }

    fn make_ready(&mut self, pollers: Vec<Poller>) -> Vec<(Poller, Questions)> {
        let askable = Arc::make_mut(&mut self.askable);
        let ready = pollers.into_iter().map(|poller| {
            let asked = askable.add(&poller);
            (poller, asked)
        });
        ready.collect()
    }

    fn forget_askable(&mut self, part: &Part) {
        if let Part::Service(name) = part {
            Arc::make_mut(&mut self.askable).forget(name);
        }
    }

    /// Commands see what there is from now on.
    pub(super) fn tell_current(&self) {
        self.current.send_replace(Arc::new(Current {
            config: self.config.clone(),
            pollers: Arc::clone(&self.askable),
        }));
    }
}
