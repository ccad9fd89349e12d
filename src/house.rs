//! What all pollers and forwarders share.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::config::OutputConfig;
use crate::observe::board::Board;
use crate::observe::watchdog::Watchdog;
use crate::spool::Spool;
use crate::state::{Picture, State};

/// What all pollers and forwarders share.
#[derive(Debug, Clone)]
pub struct House {
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// What must survive.
    pub state: Arc<State>,
    /// The queue.
    pub spool: Arc<Spool>,
    /// What everybody is doing.
    pub board: Arc<Board>,
    /// Whether everybody goes on.
    pub watchdog: Arc<Watchdog>,
    /// The outputs: who takes which collection.
    pub outputs: Arc<Vec<OutputConfig>>,
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

    /// The outputs that take a collection.
    #[must_use]
    pub fn takers(&self, collection: &str) -> Vec<String> {
        let takers = self
            .outputs
            .iter()
            .filter(|output| output.takes(collection));
        takers.map(|output| output.name.clone()).collect()
    }
}
