//! What all pollers and forwarders share.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::config::OutputConfig;
use crate::crash::{self, Point};
use crate::observe::board::Board;
use crate::observe::watchdog::Watchdog;
use crate::spool::{BatchHead, Spool, SpoolError, Staging};
use crate::state::ledger::AppendError;
use crate::state::{Picture, State};

/// No output has that name.
#[derive(Debug, thiserror::Error)]
#[error("there is no output {name:?} in the configuration; there are: {known}")]
pub struct UnknownOutput {
    name: String,
    /// What there is.
    known: String,
}

/// The output with a name.
pub fn find_output<'a>(
    outputs: &'a [OutputConfig],
    name: &str,
) -> Result<&'a OutputConfig, UnknownOutput> {
    let found = outputs.iter().find(|output| output.name == name);
    found.ok_or_else(|| {
        let known: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
        UnknownOutput {
            name: name.to_owned(),
            known: known.join(", "),
        }
    })
}

/// What all pollers and forwarders share.
#[derive(Debug, Clone)]
pub struct House {
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// When the agent started.
    pub started_at: DateTime<Utc>,
    /// What must survive.
    pub state: Arc<State>,
    /// The queue.
    pub spool: Arc<Spool>,
    /// What everybody is doing.
    pub board: Arc<Board>,
    /// Whether everybody goes on.
    pub watchdog: Arc<Watchdog>,
    /// The outputs: who takes which collection.
    pub outputs: Arc<Outputs>,
    /// For pollers.
    pub disk_turns: DiskTurns,
}

/// So many pollers stage or commit at once.
const DISK_TURNS: usize = 4;
/// So many pollers have a record of an answer that comes written at once.
const ANSWERS_AT_ONCE: usize = 4;

/// Turns at the disk, which are waited for without a thread: of thousands that poll at one moment each
/// would take one to wait for the disk. A window that the schedule or a promised answer brings is staged
/// and committed in one; what is rare is not.
#[derive(Debug, Clone)]
pub struct DiskTurns {
    turns: Arc<Semaphore>,
    /// Who begins a poll waits here first, so that one of them alone is in the line for `turns`: what
    /// has begun holds a connection, and what was read of it.
    beginning: Arc<Semaphore>,
    /// Who has the head of an answer waits for nobody's commit: its body is on the way.
    answers: Arc<Semaphore>,
}

/// A turn at the disk, until it is dropped.
#[derive(Debug)]
pub struct DiskTurn {
    _turn: Option<OwnedSemaphorePermit>,
    _beginning: Option<OwnedSemaphorePermit>,
}

impl DiskTurns {
    /// A turn for what has come.
    pub async fn to_commit(&self) -> DiskTurn {
        DiskTurn {
            _turn: permit(&self.turns).await,
            _beginning: None,
        }
    }

    /// A turn with which a poll begins.
    pub async fn to_begin(&self) -> DiskTurn {
        DiskTurn {
            _beginning: permit(&self.beginning).await,
            _turn: permit(&self.turns).await,
        }
    }

    /// A turn to record that an answer comes.
    pub async fn to_record_answer(&self) -> DiskTurn {
        DiskTurn {
            _turn: permit(&self.answers).await,
            _beginning: None,
        }
    }
}

/// None is closed.
async fn permit(of: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(of).acquire_owned().await.ok()
}

impl Default for DiskTurns {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(DISK_TURNS)),
            beginning: Arc::new(Semaphore::new(1)),
            answers: Arc::new(Semaphore::new(ANSWERS_AT_ONCE)),
        }
    }
}

/// The outputs that are configured, until another configuration is read.
#[derive(Debug)]
pub struct Outputs(RwLock<Arc<Vec<OutputConfig>>>);

impl Outputs {
    /// As the configuration says.
    #[must_use]
    pub fn new(outputs: Vec<OutputConfig>) -> Self {
        Self(RwLock::new(Arc::new(outputs)))
    }

    /// Those of now.
    #[must_use]
    pub fn now(&self) -> Arc<Vec<OutputConfig>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on it is these.
    pub fn replace(&self, outputs: Vec<OutputConfig>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(outputs);
    }
}

impl House {
    /// A batch goes to the archive if nobody owes it any more; tells whether that is so.
    pub fn put_away(&self, seq: u64, now: DateTime<Utc>) -> bool {
        let is_owed = |picture: &Picture| picture.batches.contains_key(&seq);
        if self.state.look(is_owed) {
            return false;
        }
        if let Err(error) = self.spool.done(seq, now) {
            tracing::warn!(%error, seq, "a batch that nobody owes cannot be archived; the next start tries it again");
        }
        true
    }

    /// Puts a batch in place, then tells the ledger; where that cannot be told, nothing of the batch is
    /// there. The caller has the commit's turn, and `in_place` comes between the two.
    pub fn keep_batch<E>(
        &self,
        staging: Staging,
        head: BatchHead,
        now: DateTime<Utc>,
        in_place: Point,
    ) -> Result<(), E>
    where
        E: From<SpoolError> + From<AppendError>,
    {
        let (seq, record) = (head.seq, head.told());
        self.spool.commit(staging, head)?;
        crash::point(in_place);
        if let Err(error) = self.state.append(now, &record) {
            // Where the record may be there after all, so must be the batch.
            if self.state.retell(now).is_ok() {
                self.spool.take_back(seq)?;
            }
            return Err(error.into());
        }
        Ok(())
    }

    /// The outputs that take a collection.
    #[must_use]
    pub fn takers(&self, collection: &str) -> Vec<String> {
        let outputs = self.outputs.now();
        let takers = outputs.iter().filter(|output| output.takes(collection));
        takers.map(|output| output.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn of_those_that_begin_to_poll_one_alone_stands_in_line() {
        let turns = DiskTurns::default();
        let mut held = Vec::new();
        for _ in 0..DISK_TURNS {
            held.push(turns.to_commit().await);
        }
        let mut first = pin!(turns.to_begin());
        let mut second = pin!(turns.to_begin());
        let mut answered = pin!(turns.to_commit());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(answered.as_mut().now_or_never().is_none());
        assert!(turns.to_record_answer().now_or_never().is_some());
        held.pop();
        let first = first.now_or_never().unwrap();
        held.pop();
        assert!(second.as_mut().now_or_never().is_none());
        let _answered = answered.now_or_never().unwrap();
        held.clear();
        assert!(second.as_mut().now_or_never().is_none(), "one begins");
        drop(first);
        assert!(second.now_or_never().is_some());
    }
}
