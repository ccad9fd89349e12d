//! Where a batch comes from and what it is made of, as the picture keeps it. Pure.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::record::{
    BatchContent, CollectionKey, Copied, EventFile, Origin, Record, Settlement, moment,
};
use crate::taxii::window::PollWindow;

/// Where a batch comes from and what it is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchSource {
    /// Its collection.
    pub key: CollectionKey,
    /// Why it is there.
    pub origin: Origin,
    /// The window that brought it.
    pub window: Option<PollWindow>,
    /// Its files.
    pub content: BatchContent,
    /// The lines of a damaged batch whose place it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settles: Option<Settlement>,
    /// What it is a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<Copied>,
}

impl BatchSource {
    /// Of the batch that a record brings; none if the record does not say what it is made of.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let (key, origin, window, content) = match record {
            Record::Polled {
                key,
                origin,
                window,
                content,
                ..
            } => (key, *origin, Some(window), content),
            Record::Pushed { key, content, .. } => (key, Origin::Inbox, None, content),
            Record::BatchAdded {
                key,
                origin,
                window,
                content,
                ..
            } => (key, *origin, window.as_ref(), content),
            _ => return None,
        };
        let (settles, copies) = match record {
            Record::BatchAdded {
                settles, copies, ..
            } => (settles.clone(), copies.clone()),
            _ => (None, None),
        };
        Some(Self {
            key: key.clone(),
            origin,
            window: window.cloned(),
            content: content.clone()?,
            settles,
            copies,
        })
    }
}

/// A source in the words of the ledger, which are taken apart when somebody asks: thousands of batches may
/// wait, and for long nobody does. It can be read from JSON itself alone, and not by way of a value that serde
/// has taken in before, as it does for what is flattened or tagged.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WrittenSource(Box<RawValue>);

impl WrittenSource {
    /// Puts it in words.
    #[must_use]
    pub fn of(source: &BatchSource) -> Option<Self> {
        to_raw_value(source).ok().map(Self)
    }

    /// Takes it apart; none if another version has written what this one cannot read.
    #[must_use]
    pub fn read(&self) -> Option<BatchSource> {
        self.read_as()
    }

    /// The collection alone.
    #[must_use]
    pub fn key(&self) -> Option<CollectionKey> {
        #[derive(Deserialize)]
        struct OfCollection {
            key: CollectionKey,
        }
        let OfCollection { key } = self.read_as()?;
        Some(key)
    }

    fn read_as<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        serde_json::from_str(self.0.get()).ok()
    }
}

/// Another version may use other words for the same.
impl PartialEq for WrittenSource {
    fn eq(&self, other: &Self) -> bool {
        let is_same = || Some(self.read()? == other.read()?);
        self.0.get() == other.0.get() || is_same() == Some(true)
    }
}

/// What of a batch is asked for all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchOutline {
    /// When it was staged.
    #[serde(deserialize_with = "moment")]
    pub staged_at: DateTime<Utc>,
    /// Bytes of its events on disk.
    pub bytes: u64,
    /// Whether nobody has [fetched](Origin::is_copy) it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_copy: bool,
}

impl From<&BatchSource> for BatchOutline {
    fn from(source: &BatchSource) -> Self {
        Self {
            staged_at: source.content.staged_at,
            bytes: EventFile::bytes_of(&source.content.files),
            is_copy: source.origin.is_copy(),
        }
    }
}
