//! A poll that a person asks for: it waits for the gate and moves no checkpoint.

use std::time::Duration;

use tokio::sync::oneshot;

use super::commit::Reason;
use super::endpoint::Endpoint;
use super::fetch::Manner;
use super::pending::asks_again_after;
use super::{KeepError, PollError, Poller};
use crate::clock::Now;
use crate::config::{UnknownOutput, find_output};
use crate::roster::{self, NotThere};
use crate::spool::{BatchReader, Staging};
use crate::state::CollectionKey;
use crate::taxii::exchange::{Completed, Exchange, Later};
use crate::taxii::mend::Configured;
use crate::taxii::window::PollWindow;
use crate::wake::Wake;

/// Who asks the spool for room.
const BY_HAND: &str = "by hand";

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualPoll {
    /// The collection.
    pub collection: String,
    /// What is asked for: from one moment to another, or all of a Data Set.
    pub window: PollWindow,
    /// Where the events go.
    pub destination: Destination,
}

/// Where the events of a manual poll go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Back to the person, as JSON lines.
    Person,
    /// To an output, like any other batch.
    Output(String),
}

/// What came of it.
#[derive(Debug)]
pub struct ManualResult {
    /// What the answer brought.
    pub completed: Completed,
    /// The events, if they go to the person.
    pub events: Option<BatchReader>,
    /// The batch, if they go to an output.
    pub seq: Option<u64>,
}

/// A manual poll failed.
#[derive(Debug, thiserror::Error)]
pub enum ManualPollError {
    /// A Data Set cannot be asked for in pieces.
    #[error(
        "{collection:?} is a Data Set (data_sets): it has no times, and a poll brings all of it; leave \
         --begin and --end out"
    )]
    HasNoTimes {
        /// The collection.
        collection: String,
    },
    /// All of a feed is more than one poll may ask for.
    #[error(
        "which window of {collection:?}? --begin and --end; only a Data Set (data_sets) has none"
    )]
    NoWindow {
        /// The collection.
        collection: String,
    },
    /// The service would cut its beginning off without a word.
    #[error(
        "the window is longer than max_window ({}), the service would leave its beginning out: \
         poll it in pieces",
        humantime::format_duration(*limit)
    )]
    TooLong {
        /// The longest range that one poll asks for.
        limit: Duration,
    },
    /// The gate is closed.
    #[error("the provider allows one poll in {interval:?}: the gate opens in {closed:?}")]
    GateClosed {
        /// How long it stays closed.
        closed: Duration,
        /// The time between two polls.
        interval: Duration,
    },
    /// The service will have the answer later; the same poll, asked for again, fetches it.
    #[error("the service will have the answer in {wait:?} (PENDING)")]
    Later {
        /// How long to wait.
        wait: Duration,
    },
    /// There is no such output.
    #[error(transparent)]
    UnknownOutput(#[from] UnknownOutput),
    /// The output has gone while the service was asked.
    #[error("{0}; nothing is kept of what the poll brought")]
    NotThere(#[from] NotThere),
    /// The poll failed; the text says how.
    #[error("{0}")]
    Failed(String),
}

impl From<KeepError> for ManualPollError {
    fn from(error: KeepError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Asks the poller for it.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub poll: ManualPoll,
    /// Whether to wait for the gate, ahead of the schedule; else a closed gate is the answer.
    pub may_wait: bool,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<ManualResult, ManualPollError>>,
}

/// A poll by hand whose answer the service will have later. It waits in memory, the last one alone:
/// whoever does not come back for it has it polled anew.
#[derive(Debug)]
pub(super) struct Promised {
    poll: ManualPoll,
    exchange: Exchange,
    endpoint: Endpoint,
    started: Now,
}

/// A whole answer that nobody has yet.
struct Fetched {
    completed: Completed,
    staging: Staging,
    started: Now,
}

impl Poller {
    /// How long a collection cannot be polled: the gate is closed, or the service asked to wait.
    #[must_use]
    pub fn closed_for(&self, collection: &str) -> Duration {
        let now = self.house.clock.now();
        let mut known = self.collections.iter();
        let known = known.find(|known| known.key.collection == collection);
        let asked = known.map_or(Duration::ZERO, |known| known.waits_for(now));
        self.gate.closed_for(now).max(asked)
    }

    /// Polls by hand, now. A closed gate is an error: the caller waits and asks again.
    pub async fn poll_by_hand(
        &mut self,
        poll: &ManualPoll,
    ) -> Result<ManualResult, ManualPollError> {
        self.gives_sign_of_life();
        let polled = self.take_poll(poll).await;
        self.waits(Wake::Asked);
        polled
    }

    async fn take_poll(&mut self, poll: &ManualPoll) -> Result<ManualResult, ManualPollError> {
        self.check_window(poll)?;
        if let Destination::Output(name) = &poll.destination {
            find_output(&self.house.outputs.now(), name)?;
        }
        let fetched = match self.promised_to(poll) {
            Some(promised) => self.fetch_promised(poll, promised).await,
            None => {
                let closed = self.closed_for(&poll.collection);
                if !closed.is_zero() {
                    let interval = self.gate.interval();
                    return Err(ManualPollError::GateClosed { closed, interval });
                }
                self.fetch_by_hand(poll).await
            }
        };
        let fetched = fetched.map_err(|error| match error {
            PollError::Later(Later { wait }) => ManualPollError::Later { wait },
            PollError::Fault(fault) => {
                let at = Configured::of(&self.service, &poll.collection);
                ManualPollError::Failed(fault.with_mend(&at))
            }
            error => ManualPollError::Failed(error.to_string()),
        })?;
        self.keep_by_hand(poll, fetched)
    }

    fn check_window(&self, poll: &ManualPoll) -> Result<(), ManualPollError> {
        let collection = poll.collection.clone();
        let window = &poll.window;
        if self.service.is_data_set(&collection) {
            return if *window == PollWindow::ALL {
                Ok(())
            } else {
                Err(ManualPollError::HasNoTimes { collection })
            };
        }
        let (Some(begin), Some(end)) = (&window.exclusive_begin, &window.inclusive_end) else {
            return Err(ManualPollError::NoWindow { collection });
        };
        let length = (end.time() - begin.time()).to_std();
        match self.service.max_window {
            Some(limit) if length.is_ok_and(|length| length > limit) => {
                Err(ManualPollError::TooLong { limit })
            }
            _ => Ok(()),
        }
    }

    async fn fetch_by_hand(&mut self, poll: &ManualPoll) -> Result<Fetched, PollError> {
        let key = self.key_of(poll);
        self.record_at_last().map_err(KeepError::from)?;
        let started = self.house.clock.now();
        let mut staging = self.stage(BY_HAND).map_err(KeepError::from)?;
        let manner = Manner {
            may_wait: true,
            ..Manner::default()
        };
        let fetched = self
            .fetch(&key, &poll.window, None, &mut staging, manner)
            .await;
        let unanswered = self.unanswered.take();
        if let (Err(PollError::Later(_)), Some(unanswered)) = (&fetched, unanswered) {
            let (exchange, endpoint) = *unanswered;
            self.promised = Some(Box::new(Promised {
                poll: poll.clone(),
                exchange,
                endpoint,
                started,
            }));
        }
        let completed = fetched?;
        Ok(Fetched {
            completed,
            staging,
            started,
        })
    }

    /// The answer that the service has promised for this poll.
    fn promised_to(&mut self, poll: &ManualPoll) -> Option<Box<Promised>> {
        self.promised.take_if(|promised| promised.poll == *poll)
    }

    /// Asks for an answer that was promised, which spends no poll.
    async fn fetch_promised(
        &mut self,
        poll: &ManualPoll,
        mut promised: Box<Promised>,
    ) -> Result<Fetched, PollError> {
        let key = self.key_of(poll);
        self.record_at_last().map_err(KeepError::from)?;
        let mut staging = self.stage(BY_HAND).map_err(KeepError::from)?;
        let url = promised.endpoint.url.clone();
        let fetched = self
            .parts(&key, &url, &mut promised.exchange, &mut staging)
            .await;
        let later = match &fetched {
            Err(PollError::Later(later)) => Some(*later),
            Err(PollError::Fault(fault)) if promised.exchange.part() == 1 => {
                asks_again_after(fault).map(|wait| Later { wait })
            }
            _ => None,
        };
        if let Some(later) = later {
            self.promised = Some(promised);
            return Err(PollError::Later(later));
        }
        self.count(&key, &fetched);
        let completed = fetched?;
        Ok(Fetched {
            completed,
            staging,
            started: promised.started,
        })
    }

    fn key_of(&self, poll: &ManualPoll) -> CollectionKey {
        CollectionKey {
            service: self.service.name.clone(),
            collection: poll.collection.clone(),
        }
    }

    /// Gives the events of a whole answer to whom they are for.
    fn keep_by_hand(
        &mut self,
        poll: &ManualPoll,
        fetched: Fetched,
    ) -> Result<ManualResult, ManualPollError> {
        let Fetched {
            completed,
            staging,
            started,
        } = fetched;
        let key = self.key_of(poll);
        let (events, seq) = match &poll.destination {
            Destination::Person => {
                let spool = &self.house.spool;
                let now = self.house.clock.now().utc;
                let events = tokio::task::block_in_place(|| {
                    spool.read_staged(staging, now, &key.service, &key.collection)
                });
                let events = events.map_err(KeepError::from)?;
                (Some(events), None)
            }
            Destination::Output(name) => {
                let house = self.house.clone();
                let takers = || -> Result<_, ManualPollError> {
                    let takers = vec![name.clone()];
                    roster::check(&house, &takers)?;
                    Ok(takers)
                };
                let reason = Reason::Manual;
                let seq = self.commit(&key, &reason, &completed, staging, takers, started)?;
                (None, seq)
            }
        };
        Ok(ManualResult {
            completed,
            events,
            seq,
        })
    }
}
