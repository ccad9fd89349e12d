//! Batches that were delivered go out again, whole, to an output that a person names: each becomes a
//! batch of its own, of origin `replay`, that this output alone owes. No checkpoint moves, and every
//! event has the `eventId` that it had. The ledger knows what each is a copy of: what an output got once
//! it gets again only where a person says so, and a replay that was interrupted goes on where it stopped.

mod copies;
mod plan;
mod send;

use std::io;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::batches::{AddError, BatchesError};
use crate::config::{UnknownOutput, find_output};
use crate::house::House;
use crate::letters::LettersError;
use crate::roster;
use crate::spool::SpoolError;
pub use plan::{NotTaken, Plan, Planned, PlannedBatch, PlannedCollection, plan};
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
    /// Those too that the output got by an earlier replay.
    #[serde(default)]
    pub again: bool,
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
    /// The output takes nothing of what is to be sent.
    #[error(
        "the output {output:?} does not take {what} (its `collections`), and nothing is sent: name \
         another output, or let this one take it and reload the agent"
    )]
    NotTaken {
        /// The output.
        output: String,
        /// The collections.
        what: String,
    },
    /// A batch that was named is not there.
    #[error(transparent)]
    Batch(#[from] BatchesError),
    /// Nobody can tell what the output got by earlier replays.
    #[error("the ledger cannot be read: {0}; mend the disk")]
    Ledger(#[source] io::Error),
    /// The output is new to the ledger, which cannot be told.
    #[error(transparent)]
    Join(#[from] LettersError),
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

/// Before the first batch is sent: the ledger knows the output. Blocks while the disk works.
pub fn begin(house: &House, choice: &Choice) -> Result<(), ReplayError> {
    let deciding = house.spool.dead_letters().decide();
    let outputs = house.outputs.now();
    roster::join(house, find_output(&outputs, &choice.to)?, &deciding)?;
    Ok(())
}

#[cfg(test)]
mod tests;
