//! What is kept of an output's work inside the batches that it owes: it lies in the store alone, and
//! losing it sends those batches again.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::delivery::{Lines, Progress, ReceiptKey};
use crate::output::Channel;

/// Events that a peer has accepted and not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredReceipt {
    /// The peer.
    pub peer: String,
    /// Where to ask for it.
    pub channel: Channel,
    /// What to ask for.
    pub ack_id: u64,
    /// The lines that it stands for, by batch.
    pub lines: Lines,
    /// When they were accepted.
    pub at: DateTime<Utc>,
}

impl StoredReceipt {
    /// Tells it from all others of its output.
    #[must_use]
    pub fn key(&self) -> ReceiptKey {
        (self.channel.guid, self.ack_id)
    }
}

/// What has changed since it was last kept.
#[derive(Debug, Default)]
pub struct WorkChanges {
    /// How far the output is in these batches.
    pub progress: Vec<(u64, Progress)>,
    /// What was accepted.
    pub accepted: Vec<StoredReceipt>,
    /// What is no longer waited for.
    pub settled: Vec<ReceiptKey>,
}

impl WorkChanges {
    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.progress.is_empty() && self.accepted.is_empty() && self.settled.is_empty()
    }
}
