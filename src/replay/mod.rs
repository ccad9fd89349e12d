//! Batches that were delivered go out again, whole, to an output that a person names: each becomes a
//! batch of its own, of origin `replay`, that this output alone owes. No checkpoint moves, and every
//! event has the `eventId` that it had.

mod plan;
mod send;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::batches::{AddError, BatchesError};
use crate::house::UnknownOutput;
use crate::spool::SpoolError;
pub use plan::{Plan, Planned, PlannedBatch, PlannedCollection, plan};
pub use send::{Replayed, room, send};

/// Which batches, and where they go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The output that gets them.
    pub to: String,
    /// Only those of this service.
    #[serde(default)]
    pub service: Option<String>,
    /// Only those of this collection.
    #[serde(default)]
    pub collection: Option<String>,
    /// Only those whose window ends at this moment or after it.
    #[serde(default)]
    pub begin: Option<DateTime<Utc>>,
    /// Only those whose window begins before this moment.
    #[serde(default)]
    pub end: Option<DateTime<Utc>>,
    /// These numbers alone; none are all.
    #[serde(default)]
    pub batches: Vec<u64>,
    /// Those that wait in the spool for others too.
    #[serde(default)]
    pub with_spool: bool,
    /// Only those with a lower number: what has come since a person agreed does not go out.
    #[serde(default)]
    pub below: Option<u64>,
}

/// Nothing can be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such output.
    #[error(transparent)]
    UnknownOutput(#[from] UnknownOutput),
    /// A batch that was named is not there.
    #[error(transparent)]
    Batch(#[from] BatchesError),
    /// It would take room that polls need.
    #[error(
        "there is no room for batch {seq}, which takes {bytes} bytes: {pending} wait for delivery, of \
         which replays may fill {share} (half of state.max_spool_bytes), and {free} bytes of disk \
         are free beyond state.min_free_disk"
    )]
    NoRoom {
        /// The batch.
        seq: u64,
        /// What it takes.
        bytes: u64,
        /// Bytes that wait for delivery.
        pending: u64,
        /// What they may be for a replay.
        share: u64,
        /// Free bytes of disk.
        free: u64,
    },
    /// The spool cannot take it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// It cannot be made a batch.
    #[error(transparent)]
    Add(#[from] AddError),
}

#[cfg(test)]
mod tests;
