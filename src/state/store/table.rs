//! What the store asks of whatever keeps its keys and values, and nothing else.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::path::Path;

use crate::disk::Disk;

/// Opens tables. A path names one table, which one at a time may have open.
pub trait Tables: fmt::Debug + Send + Sync {
    /// Opens the table at a path, or makes it.
    fn open(&self, path: &Path) -> Result<Box<dyn Table>, StoreError>;
    /// Moves what lies at a path into a folder for a person to look at, so that the table can be
    /// made anew. It must not be open.
    fn set_aside(&self, disk: &Disk, path: &Path, quarantine: &Path) -> io::Result<()>;
}

/// Keys with their values, on disk.
pub trait Table: fmt::Debug + Send + Sync {
    /// Visits the keys of a range, in their order, with their values.
    fn scan(
        &self,
        range: KeyRange<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), StoreError>;
    /// Makes changes, all or none: when this returns they are durable; when it fails, they may be
    /// made or not.
    fn apply(&self, changes: &Changes) -> Result<(), StoreError>;
}

/// From where to where.
pub type KeyRange<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// All keys.
pub(super) const ALL_KEYS: KeyRange<'static> = (Bound::Unbounded, Bound::Unbounded);

/// What is to become of some keys: a value, or none. A later change of a key takes the place of an
/// earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(std::collections::BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Changes {
    /// The key has this value.
    pub fn put(&mut self, key: &[u8], value: Vec<u8>) {
        self.0.insert(key.to_owned(), Some(value));
    }

    /// The key has none.
    pub fn remove(&mut self, key: &[u8]) {
        self.0.insert(key.to_owned(), None);
    }

    /// All of them, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let changes = self.0.iter();
        changes.map(|(key, value)| (key.as_slice(), value.as_deref()))
    }
}

/// The store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk fails.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another process has it open.
    #[error("another process has it open: {0}")]
    Held(io::Error),
    /// What lies there cannot be used, and cannot be moved away.
    #[error(
        "it cannot be used, and not be moved to quarantine/ either: {0}; mend the disk, or move it away"
    )]
    Stuck(#[source] io::Error),
    /// What lies there makes no sense.
    #[error("it is damaged: {0}")]
    Damaged(String),
}
