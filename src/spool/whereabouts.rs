//! Batches wherever they lie: in the spool, or in the archive, where they go when nobody owes them
//! any more, also while somebody looks.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::salvage::Salvage;
use super::{BatchHead, BatchReader, InspectedBatch, Spool};

/// Where a batch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Somebody owes it.
    Spool,
    /// Nobody owes it any more.
    Archive,
}

impl Spool {
    /// The numbers in the archive, oldest first.
    #[must_use]
    pub fn archived(&self) -> Vec<u64> {
        self.archive.numbers()
    }

    /// Where a batch lies; none if it is not here, or not any more.
    #[must_use]
    pub fn place(&self, seq: u64) -> Option<Place> {
        if self.in_place(seq).is_some() {
            return Some(Place::Spool);
        }
        self.archive.holds(seq).then_some(Place::Archive)
    }

    /// The folder of a batch at a place.
    #[must_use]
    pub fn folder_at(&self, place: Place, seq: u64) -> PathBuf {
        match place {
            Place::Spool => self.folder(seq),
            Place::Archive => self.archive.path(seq),
        }
    }

    /// Reads the head of a batch at a place.
    pub fn read_head(&self, place: Place, seq: u64) -> io::Result<BatchHead> {
        BatchHead::read(&self.disk, &self.folder_at(place, seq))
    }

    /// Reads the events of a batch at a place from line `from`, without the files of which
    /// `is_left_out`.
    #[must_use]
    pub fn read_at(
        &self,
        place: Place,
        head: &BatchHead,
        from: u64,
        is_left_out: impl Fn(&str) -> bool,
    ) -> BatchReader {
        let folder = self.folder_at(place, head.seq);
        BatchReader::open(&self.disk, &folder, head, from, is_left_out)
    }

    /// Looks at what of a batch is physically there; none if it is not at this place any more.
    #[must_use]
    pub fn inspect_at(&self, place: Place, head: &BatchHead) -> Option<InspectedBatch> {
        let found = InspectedBatch::read(&self.disk, &self.folder_at(place, head.seq), head);
        (self.place(head.seq) == Some(place)).then_some(found)
    }

    /// Reads what can be read of a batch's events, though it may be damaged.
    #[must_use]
    pub fn salvage(self: &Arc<Self>, head: &BatchHead) -> Salvage {
        let (spool, seq) = (Arc::clone(self), head.seq);
        let open = move |name: &str| spool.open_events(seq, name);
        Salvage::new(Box::new(open), head.files.clone())
    }

    /// Opens a file of events wherever its batch lies by now.
    fn open_events(&self, seq: u64, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let open = |place| self.disk.open_file(&self.folder_at(place, seq).join(name));
        match open(Place::Spool) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => open(Place::Archive),
            opened => opened,
        }
    }
}
