//! Everything that runs: a task for each poller, each forwarder and the inbox, and how one takes
//! another's place while all others go on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::recovery::add_new_outputs;
use super::reload::{Change, Made, New, Plan};
use super::tasks::{Askable, make_askable, run_forwarder, run_poller};
use crate::config::{Config, is_configured};
use crate::control::Current;
use crate::delivery::forwarder::Forwarder;
use crate::house::House;
use crate::inbox::Inbox;
use crate::listener::Socket;
use crate::poller::{Asked, Poller};
use crate::schedule::{Schedules, StartScheduleError};

/// What can be changed on its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Service(String),
    Output(String),
    Inbox,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "service {name}"),
            Self::Output(name) => write!(f, "output {name}"),
            Self::Inbox => f.write_str("inbox"),
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
    /// The address that the inbox has; another inbox at the same one shares it.
    inbox_socket: Option<Socket>,
    askable: Askable,
    current: watch::Sender<Arc<Current>>,
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
    /// The polls that may be under way in them.
    interrupts: Vec<CancellationToken>,
    /// Its pollers that have left.
    left: Vec<Poller>,
    /// What begins when all have left.
    successor: Option<Ready>,
}

/// A part that is ready to begin.
enum Ready {
    Service(Vec<(Poller, mpsc::Receiver<Asked>)>),
    Output(Box<Forwarder>),
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
    pub(super) async fn new(house: &House, config: Config) -> Result<Self, StartError> {
        let schedules = config
            .services
            .iter()
            .map(|service| service.schedule.clone());
        let clock = Arc::clone(&house.clock);
        let schedules = Schedules::start(schedules, &house.watchdog, clock).await?;
        let current = Current {
            config: config.clone(),
            pollers: Askable::new(),
        };
        Ok(Self {
            house: house.clone(),
            made: Made::of(&config),
            config,
            schedules,
            tasks: JoinSet::new(),
            slots: BTreeMap::new(),
            next_slot: 0,
            inbox_socket: None,
            askable: Askable::new(),
            current: watch::Sender::new(Arc::new(current)),
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

    pub(super) fn begin_inbox(&mut self, inbox: Arc<Inbox>) -> Result<(), StartError> {
        let socket = inbox.bind()?;
        self.serve_inbox(inbox, socket)
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
                    slot.left.push(*poller);
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
            None => self.forget_what_is_gone(),
        }
    }

    /// What is configured no more is shown no more.
    fn forget_what_is_gone(&self) {
        let config = &self.config;
        let is_collection = |key: &str| {
            key.split_once('/').is_some_and(|(service, collection)| {
                is_configured(&config.services, service, &collection.to_owned())
            })
        };
        let is_output = |name: &str| config.outputs.iter().any(|output| output.name == name);
        self.house.board.keep_only(is_collection, is_output);
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
            let added: Result<(), StartScheduleError> =
                self.schedules.add(service.schedule.clone()).await;
            added?;
        }
        let inbox = changes.remove(&Part::Inbox);
        let inbox_socket = match &inbox {
            Some(Change::Begins(New::Inbox(inbox))) => Some(self.socket_for(inbox, &config)?),
            _ => None,
        };
        tokio::task::block_in_place(|| add_new_outputs(&self.house, &config.outputs))?;
        // From here on nothing is refused.
        self.house.outputs.replace(config.outputs.clone());
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
                Change::Begins(New::Inbox(_)) => continue,
                Change::Ends => {
                    self.forget_askable(&part);
                    None
                }
            };
            self.replace(part, ready);
        }
        match (inbox, inbox_socket) {
            (Some(Change::Begins(New::Inbox(inbox))), Some(socket)) => {
                self.retire_inbox();
                self.serve_inbox(inbox, socket)?;
            }
            (Some(_), _) => self.retire_inbox(),
            (None, _) => {}
        }
        self.tell_current();
        self.forget_what_is_gone();
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
        let interrupts: Vec<_> = slots.flat_map(|slot| slot.interrupts.clone()).collect();
        move || interrupts.iter().for_each(CancellationToken::cancel)
    }

    /// Waits until everybody has finished.
    pub(super) async fn drain(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Ends the schedules, and whatever has not finished.
    pub(super) async fn end(mut self) {
        self.tasks.abort_all();
        self.schedules.stop().await;
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
        let id = self.next_slot;
        self.next_slot += 1;
        let leave = watch::Sender::new(false);
        let mut slot = Slot {
            part,
            leave,
            tasks: 0,
            interrupts: Vec::new(),
            left: Vec::new(),
            successor: None,
        };
        match ready {
            Ready::Service(pollers) => {
                for (poller, asked) in pollers {
                    slot.tasks += 1;
                    slot.interrupts.push(poller.interrupt());
                    let ticks = self.schedules.ticks(&poller.service().schedule);
                    let spool = self.house.spool.changes();
                    let (leave, stopped) = (slot.leave.subscribe(), self.stopped());
                    self.tasks.spawn(async move {
                        let poller = run_poller(poller, ticks, asked, spool, leave, stopped).await;
                        Over::Poller(id, Box::new(poller))
                    });
                }
            }
            Ready::Output(forwarder) => {
                slot.tasks = 1;
                let (spool, leave) = (self.house.spool.changes(), slot.leave.subscribe());
                self.tasks.spawn(async move {
                    run_forwarder(*forwarder, spool, leave).await;
                    Over::Other(id)
                });
            }
        }
        self.slots.insert(id, slot);
    }

    /// The address of an inbox: that of the one before if it is the same.
    fn socket_for(&self, inbox: &Inbox, config: &Config) -> Result<Socket, StartError> {
        let address = |config: &Config| config.inbox.as_ref().map(|inbox| inbox.listen);
        match &self.inbox_socket {
            Some(socket) if address(&self.config) == address(config) => Ok(socket.share()?),
            _ => Ok(inbox.bind()?),
        }
    }

    fn serve_inbox(&mut self, inbox: Arc<Inbox>, socket: Socket) -> Result<(), StartError> {
        let shared = socket.share()?;
        let id = self.next_slot;
        self.next_slot += 1;
        let leave = watch::Sender::new(false);
        let serving = inbox.serve(socket, leave.subscribe(), self.stopped())?;
        self.inbox_socket = Some(shared);
        self.tasks.spawn(async move {
            serving.await;
            Over::Other(id)
        });
        let slot = Slot {
            part: Part::Inbox,
            leave,
            tasks: 1,
            interrupts: Vec::new(),
            left: Vec::new(),
            successor: None,
        };
        self.slots.insert(id, slot);
        Ok(())
    }

    /// What comes in is finished, and nobody new gets in.
    fn retire_inbox(&mut self) {
        self.inbox_socket = None;
        let inboxes = self.slots.values().filter(|slot| slot.part == Part::Inbox);
        for slot in inboxes {
            slot.leave.send_replace(true);
        }
    }

    fn make_ready(&mut self, pollers: Vec<Poller>) -> Vec<(Poller, mpsc::Receiver<Asked>)> {
        let ready = pollers.into_iter().map(|poller| {
            let asked = make_askable(&poller, &mut self.askable);
            (poller, asked)
        });
        ready.collect()
    }

    fn forget_askable(&mut self, part: &Part) {
        if let Part::Service(name) = part {
            self.askable.retain(|(service, _), _| service != name);
        }
    }

    /// Commands see what there is from now on.
    pub(super) fn tell_current(&self) {
        self.current.send_replace(Arc::new(Current {
            config: self.config.clone(),
            pollers: self.askable.clone(),
        }));
    }
}
