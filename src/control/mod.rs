//! The control socket: how commands speak to a running agent.
//!
//! A Unix socket in the state folder that only its owner may use; JSON lines. One connection is one
//! request and its replies. Without an agent a command takes the state itself and asks the same
//! [`Control`].

mod batches;
mod checkpoints;
mod client;
mod letters;
mod names;
mod protocol;
mod replays;
mod server;
mod trials;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot, watch};

use crate::audit::audit;
use crate::config::{Config, find_collection};
use crate::house::House;
use crate::observe::status::Status;
use crate::poller::{
    Askable, Asked, Asking, Destination, ManualPoll, ManualPollError, ManualResult, NotAsked,
};
use crate::roster;
use crate::taxii::window::PollWindow;

pub use client::{Call, CallError, Client};
pub use protocol::{Reply, Request};
pub use server::{ListenError, listen};

/// The socket's name in the state folder.
const SOCKET_NAME: &str = "control.sock";

/// The socket of a state folder.
#[must_use]
pub fn socket_path(state: &Path) -> PathBuf {
    state.join(SOCKET_NAME)
}

/// Answers requests.
#[derive(Debug, Clone)]
pub struct Control {
    house: House,
    current: watch::Receiver<Arc<Current>>,
    reload: Option<mpsc::Sender<AskedReload>>,
    /// Whoever has it replays.
    replaying: Arc<Mutex<()>>,
}

/// What a reload changes.
#[derive(Debug)]
pub struct Current {
    /// The configuration.
    pub config: Config,
    /// Who polls a collection.
    pub pollers: Arc<Askable>,
}

/// A person wants the configuration to be read again, and waits for what comes of it.
#[derive(Debug)]
pub struct AskedReload {
    /// The file that he means.
    pub config: PathBuf,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Reply>,
}

/// Replies go here, to the socket or straight to a terminal; gone when the person has gone.
pub type Replies = mpsc::Sender<Reply>;

impl Control {
    /// Answers for a house whose pollers can be asked.
    #[must_use]
    pub fn new(house: House, current: Current) -> Self {
        let (_, current) = watch::channel(Arc::new(current));
        Self {
            house,
            current,
            reload: None,
            replaying: Arc::default(),
        }
    }

    /// Answers for an agent that can read its configuration again.
    #[must_use]
    pub fn of_agent(
        house: House,
        current: watch::Receiver<Arc<Current>>,
        reload: mpsc::Sender<AskedReload>,
    ) -> Self {
        Self {
            house,
            current,
            reload: Some(reload),
            replaying: Arc::default(),
        }
    }

    /// Whether what lies in the spool is delivered meanwhile: only by an agent.
    fn is_delivering(&self) -> bool {
        self.reload.is_some()
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.borrow())
    }

    /// Answers a request; the last reply is [`Reply::Done`] or [`Reply::Failed`].
    pub async fn answer(&self, request: Request, replies: &Replies) {
        if let Err(message) = self.check_collection(&request) {
            return reply(replies, Reply::Failed { message }).await;
        }
        let last = match request {
            Request::Status => {
                let status = Status::take(&self.house, &self.current().config, true);
                reply(replies, Reply::Status(Box::new(status))).await;
                Ok(String::new())
            }
            Request::Reload { config } => {
                let last = self.reload(config).await;
                return reply(replies, last).await;
            }
            Request::ForgetOutput { name } => self.forget_output(&name),
            Request::ListLetters { choice } => self.list_letters(&choice, replies).await,
            Request::ExportLetters { choice } => self.export_letters(&choice, replies).await,
            Request::RetryLetters { choice, to } => {
                self.retry_letters(&choice, to.as_deref(), replies).await
            }
            Request::DropLetters { choice } => self.drop_letters(&choice),
            Request::Audit => self.audit(replies).await,
            Request::CheckSpool { archive, repair } => {
                self.check_spool(archive, repair, replies).await
            }
            Request::AbandonDamage { seq } => self.abandon_damage(seq),
            Request::PlanReplay { choice } => self.plan_replay(&choice, replies).await,
            Request::Replay { choice } => self.replay(&choice, replies).await,
            Request::SendTest { trial, timeout } => {
                self.try_outputs(&trial, timeout, replies).await
            }
            Request::ShowCheckpoints => self.show_checkpoints(replies).await,
            Request::PlanCheckpoint { change } => self.plan_checkpoint(&change, replies).await,
            Request::SetCheckpoint { change } => self.set_checkpoint(&change),
            Request::ListBatches { place } => self.list_batches(place, replies).await,
            Request::ShowBatch { seq } => self.show_batch(seq, replies).await,
            Request::ExportBatch { seq, choice } => self.export_batch(seq, &choice, replies).await,
            Request::Poll {
                service,
                collection,
                begin,
                end,
                to,
            } => match self.find_poller(service.as_deref(), &collection) {
                Ok(poller) => {
                    let poller = &poller;
                    let destination = match to {
                        Some(name) => Destination::Output(name),
                        None => Destination::Person,
                    };
                    let poll = ManualPoll {
                        collection,
                        window: PollWindow {
                            exclusive_begin: begin,
                            inclusive_end: end,
                        },
                        destination,
                    };
                    self.poll(poller, poll, replies).await
                }
                Err(message) => Err(message),
            },
        };
        let last = match last {
            Ok(message) => Reply::Done { message },
            Err(message) => Reply::Failed { message },
        };
        reply(replies, last).await;
    }

    async fn reload(&self, config: PathBuf) -> Reply {
        let (answer, answered) = oneshot::channel();
        let asked = AskedReload { config, answer };
        let asked = match &self.reload {
            Some(reload) => reload.send(asked).await.is_ok(),
            None => false,
        };
        if asked && let Ok(reply) = answered.await {
            return reply;
        }
        Reply::Failed {
            message: "no agent runs that could read its configuration again, or it is stopping"
                .to_owned(),
        }
    }

    async fn audit(&self, replies: &Replies) -> Result<String, String> {
        let audit = tokio::task::block_in_place(|| audit(&self.house));
        let audit = audit.map_err(|error| error.to_string())?;
        reply(replies, Reply::Audit(Box::new(audit))).await;
        Ok(String::new())
    }

    fn find_poller(&self, service: Option<&str>, collection: &str) -> Result<Asking, String> {
        let current = self.current();
        let service = find_collection(&current.config.services, service, collection);
        let service = service.map_err(|error| error.to_string())?;
        let poller = current.pollers.of(&service.name, collection);
        poller
            .cloned()
            .ok_or_else(|| format!("{collection:?} is not polled here: ask an agent that runs"))
    }

    /// Polls by hand; where the gate is closed, says so and waits until it opens.
    async fn poll(
        &self,
        poller: &Asking,
        poll: ManualPoll,
        replies: &Replies,
    ) -> Result<String, String> {
        let mut may_wait = false;
        let result = loop {
            let (answer, answered) = oneshot::channel();
            let asked = Asked {
                poll: poll.clone(),
                may_wait,
                answer,
            };
            poller.ask(asked).map_err(|error| error.to_string())?;
            let answered = tokio::select! {
                answered = answered => answered.map_err(|_| NotAsked::Gone.to_string())?,
                () = replies.closed() => return Err("nobody waits any more".to_owned()),
            };
            match answered {
                Ok(result) => break result,
                Err(ManualPollError::GateClosed { closed, .. }) => {
                    let wait = Duration::from_secs(closed.as_secs() + 1);
                    let message = format!(
                        "the provider allows one poll in a while: waiting {} for the next",
                        humantime::format_duration(wait)
                    );
                    reply(replies, Reply::Progress { message }).await;
                    may_wait = true;
                }
                Err(ManualPollError::Later { wait }) => {
                    let message = format!(
                        "the service will have the answer later (PENDING): asking for it in {}",
                        humantime::format_duration(wait)
                    );
                    reply(replies, Reply::Progress { message }).await;
                    // Here, so that the agent polls on meanwhile.
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = replies.closed() => return Err("nobody waits any more".to_owned()),
                    }
                    may_wait = false;
                }
                Err(error) => return Err(error.to_string()),
            }
        };
        self.hand_over(result, replies).await
    }

    /// Gives the person what a manual poll brought.
    async fn hand_over(&self, result: ManualResult, replies: &Replies) -> Result<String, String> {
        let counts = &result.completed.totals.counts;
        let summary = format!(
            "{} events of {} incidents up to {}",
            counts.events, counts.incidents, result.completed.checkpoint
        );
        if let Some(mut events) = result.events {
            loop {
                let line = tokio::task::block_in_place(|| events.next_line());
                match line.map_err(|error| format!("the events cannot be read again: {error}"))? {
                    Some((_, json)) => reply(replies, Reply::Event { json }).await,
                    None => break,
                }
            }
        }
        Ok(match result.seq {
            Some(seq) if self.is_delivering() => {
                format!("{summary}, on their way as batch {seq}")
            }
            Some(seq) => {
                format!("{summary}, in the spool as batch {seq} and waiting for an agent")
            }
            None => summary,
        })
    }

    fn forget_output(&self, name: &str) -> Result<String, String> {
        let forgotten = tokio::task::block_in_place(|| roster::forget(&self.house, name));
        let debt = forgotten.map_err(|error| error.to_string())?;
        Ok(format!(
            "the output {name:?} is forgotten; batches that it still owed: {}, with {} events that it \
             had not done with",
            debt.batches, debt.events
        ))
    }
}

async fn reply(replies: &Replies, reply: Reply) {
    // Who has gone needs no reply.
    let _ = replies.send(reply).await;
}
