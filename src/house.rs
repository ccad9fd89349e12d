//! What all pollers and forwarders share.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::OutputConfig;
use crate::observe::board::Board;
use crate::spool::Spool;
use crate::state::State;

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
    /// The outputs: who takes which collection.
    pub outputs: Arc<Vec<OutputConfig>>,
}

impl House {
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
