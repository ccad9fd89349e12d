//! `batch.json`: what a batch is and where it comes from.

use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::state::Record;

/// The file's name in the folder of a batch.
pub(super) const FILE_NAME: &str = "batch.json";

/// The head of a batch; its events lie beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchHead {
    /// Its number, never used again.
    pub seq: u64,
    /// When it was staged.
    pub staged_at: DateTime<Utc>,
    /// The configured name of the service.
    pub service: String,
    /// The collection.
    pub collection: String,
    /// The end of the window: the time of an event that states none.
    pub window_end: DateTime<Utc>,
    /// The service's ids of the messages that brought it.
    pub message_ids: Vec<String>,
    /// The ledger's record of it, which is written after the batch is in place.
    pub record: Record,
    /// The events, in order.
    pub files: Vec<EventFile>,
}

/// A file of events: JSON lines, compressed with zstd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFile {
    /// Its name in the folder of the batch.
    pub name: String,
    /// Events in it.
    pub events: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// CRC-32 of the lines before compression, as eight hexadecimal digits.
    pub crc32: String,
}

impl BatchHead {
    /// All of its events.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.files.iter().map(|file| file.events).sum()
    }

    /// Bytes on disk, but for this head.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Reads the head of the batch in `folder`.
    pub(super) fn read(disk: &Disk, folder: &Path) -> io::Result<Self> {
        let json = disk.read(&folder.join(FILE_NAME))?;
        serde_json::from_slice(&json).map_err(io::Error::from)
    }
}
