//! What all pollers and forwarders share.

mod disk_turns;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::config::OutputConfig;
use crate::crash::{self, Point};
use crate::observe::board::Board;
use crate::observe::watchdog::Watchdog;
use crate::spool::{BatchHead, Place, Spool, SpoolError, Staging};
use crate::state::ledger::AppendError;
use crate::state::{Picture, State};

pub use disk_turns::{DiskTurn, DiskTurns};

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
    /// The head of a batch in place, as the ledger knows it; where the ledger does not tell, it is read.
    /// None if there is no such batch.
    #[must_use]
    pub fn batch(&self, seq: u64) -> Option<Arc<BatchHead>> {
        self.spool.in_place(seq)?;
        let owed = self
            .state
            .look(|picture| picture.batches.get(&seq).cloned());
        let told = owed.and_then(|batch| BatchHead::of_owed(seq, &batch));
        let head = told.or_else(|| self.spool.read_head(Place::Spool, seq).ok());
        head.map(Arc::new)
    }

    /// The batches in place, oldest first.
    pub fn batches(&self) -> impl Iterator<Item = Arc<BatchHead>> {
        let numbers = self.spool.numbers().into_iter();
        numbers.filter_map(|seq| self.batch(seq))
    }

    /// The head of a batch at a place; that of an archived one is read.
    pub fn head_at(&self, place: Place, seq: u64) -> io::Result<Arc<BatchHead>> {
        let waits = (place == Place::Spool).then(|| self.batch(seq)).flatten();
        waits.map_or_else(|| self.spool.read_head(place, seq).map(Arc::new), Ok)
    }

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
        head: &BatchHead,
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
