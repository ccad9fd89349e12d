//! The current picture in a table, and the cursors inside batches.
//!
//! The ledger is the truth for the picture: sled 0.34 opens a damaged file without an error and may
//! show an older state, or a part of one. So the table is read once, in full, when it is opened;
//! what it says is compared with its checksums, its fingerprint and the ledger, and from then on it
//! is only written. What it must hold is kept in memory, which is a few hundred bytes for each open
//! batch: a table that breaks is made anew from there, and nothing is lost.

mod looking;
#[cfg(test)]
pub(crate) mod memory;
mod picture_values;
mod sled_table;
mod table;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::picture::Picture;
use super::record::Record;
use super::work::{StoredReceipt, WorkChanges};
use crate::crash::{self, Point};
use crate::delivery::{Progress, ReceiptKey};
use crate::disk;
use crate::storage::Storage;
use picture_values::{Counters, json, parse};
use value::{ValueChanges, Values};

pub use looking::LookingTables;
pub use sled_table::SledTables;
pub use table::{Changes, KeyValue, StoreError, Table, Tables};

/// Keys begin with one of these and a slash.
mod prefix {
    pub(super) const COLLECTION: &str = "collection";
    pub(super) const GATE: &str = "gate";
    pub(super) const UNANSWERED: &str = "unanswered";
    pub(super) const CLOCK: &str = "clock";
    pub(super) const OUTPUT: &str = "output";
    pub(super) const BATCH: &str = "batch";
    pub(super) const REMOVING: &str = "removing";
    pub(super) const CURSOR: &str = "cursor";
    pub(super) const RECEIPT: &str = "receipt";
}

/// The key of the [`Summary`].
const SUMMARY: &str = "summary";
/// More damaged keys than this are not named one by one.
const NAMED_KEYS: usize = 10;

/// What is written with every change.
#[derive(Debug, Serialize, Deserialize)]
struct Summary {
    #[serde(flatten)]
    counters: Counters,
    /// That of all other values, as hexadecimal digits.
    fingerprint: String,
}

/// The open store.
#[derive(Debug)]
pub(super) struct Store {
    storage: Storage,
    path: PathBuf,
    quarantine: PathBuf,
    /// None after a failure, until it can be opened again.
    table: Option<Box<dyn Table>>,
    /// What the table must hold.
    values: Values,
    counters: Counters,
    /// Keys of which it is not known what the table holds.
    unwritten: BTreeSet<String>,
    /// Keys that are no text: to be removed.
    strange: Vec<Vec<u8>>,
    /// How often it was moved to `quarantine` and made anew.
    set_aside: u64,
}

/// What was found when the store was opened.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing at all.
    Nothing,
    /// The whole picture as of some record.
    Whole(Box<Picture>),
    /// Not all of what it held, or values of different times.
    Doubtful {
        /// The last record that was in it, if that can be read.
        number: Option<u64>,
    },
}

impl Found {
    /// The last record that was in the store, as far as that is known.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::Whole(picture) => Some(picture.number),
            Self::Doubtful { number } => *number,
        }
    }
}

impl Store {
    /// Opens the store, and tells what is in it; the caller brings it up to what is so. A store that
    /// is damaged is made anew; one that the disk or the rights keep from being read is an error, until
    /// the disk was waited for long enough and it `can_be_made_anew`.
    pub(super) fn open(
        storage: &Storage,
        path: &Path,
        quarantine: &Path,
        can_be_made_anew: bool,
    ) -> Result<(Self, Found), StoreError> {
        let mut store = Self {
            storage: storage.clone(),
            path: path.to_owned(),
            quarantine: quarantine.to_owned(),
            table: None,
            values: Values::default(),
            counters: Counters::of(&Picture::default()),
            unwritten: BTreeSet::new(),
            strange: Vec::new(),
            set_aside: 0,
        };
        let is_given_up = |error: &io::Error| {
            disk::is_unreadable(error) && can_be_made_anew && storage.disk.gives_up_unreadable()
        };
        let entries = match store.open_table() {
            Ok(entries) => entries,
            Err(StoreError::Io(error)) if disk::is_the_machines(&error) && !is_given_up(&error) => {
                return Err(error.into());
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    store = %path.display(),
                    "the store cannot be opened: it is moved to quarantine/ and made anew from the \
                     ledger; events of open batches may be sent twice"
                );
                store.make_table_anew()?;
                return Ok((store, Found::Doubtful { number: None }));
            }
        };
        let found = store.take_in(entries);
        Ok((store, found))
    }

    /// How often it was moved to `quarantine/` and made anew since it was opened.
    pub(super) fn set_aside(&self) -> u64 {
        self.set_aside
    }

    /// Opens the table and reads all of it.
    fn open_table(&mut self) -> Result<Vec<KeyValue>, StoreError> {
        let table = self.storage.tables.open(&self.path)?;
        let entries = table.scan(b"")?;
        self.table = Some(table);
        Ok(entries)
    }

    fn make_table_anew(&mut self) -> Result<(), StoreError> {
        self.table = None;
        let tables = &self.storage.tables;
        let set_aside = tables.set_aside(&self.storage.disk, &self.path, &self.quarantine);
        set_aside.map_err(StoreError::Stuck)?;
        self.set_aside += 1;
        crash::point(Point::StoreSetAside);
        self.table = Some(tables.open(&self.path)?);
        crash::point(Point::StoreMadeAnew);
        Ok(())
    }

    fn take_in(&mut self, entries: Vec<KeyValue>) -> Found {
        if entries.is_empty() {
            return Found::Nothing;
        }
        let mut values = ValueChanges::new();
        let mut damaged = Vec::new();
        let mut summary = None;
        for (key, value) in entries {
            let name = match String::from_utf8(key) {
                Ok(name) => name,
                Err(error) => {
                    damaged.push(error.to_string());
                    self.strange.push(error.into_bytes());
                    continue;
                }
            };
            let json = value::decode(&name, &value);
            if name == SUMMARY {
                summary = json.and_then(parse::<Summary>);
                continue;
            }
            match json.filter(|json| picture_values::is_readable(&name, json)) {
                Some(json) => drop(values.insert(name, Some(json.to_owned()))),
                None => damaged.push(name),
            }
        }
        self.values.change(values);
        if !damaged.is_empty() {
            let keys = damaged.iter().take(NAMED_KEYS).map(String::as_str);
            tracing::warn!(
                store = %self.path.display(),
                values = damaged.len(),
                keys = keys.collect::<Vec<_>>().join(", "),
                "values in the store are damaged: they count as nothing done and are removed; what \
                 they told of open batches is sent again"
            );
        }
        let is_whole = summary.as_ref().is_some_and(|summary| {
            summary.fingerprint == in_words(self.values.fingerprint()) && damaged.is_empty()
        });
        self.unwritten.extend(damaged.iter().cloned());
        let number = summary.as_ref().map(|summary| summary.counters.number);
        let picture = summary
            .filter(|_| is_whole)
            .and_then(|summary| picture_values::picture(&self.values, &summary.counters));
        match picture {
            Some(picture) => {
                self.counters = Counters::of(&picture);
                Found::Whole(Box::new(picture))
            }
            None => {
                if damaged.is_empty() {
                    tracing::warn!(
                        store = %self.path.display(),
                        "the store shows values of different times, or not all that it held: it is \
                         made anew from the ledger; events of open batches may be sent twice"
                    );
                }
                Found::Doubtful { number }
            }
        }
    }

    /// Whether the table has missed something.
    pub(super) fn is_behind(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Brings what a record has changed up to `picture`.
    pub(super) fn apply(&mut self, record: &Record, picture: &Picture) -> Result<(), StoreError> {
        match picture_values::changed_by(record, picture) {
            Some(changes) => self.bring(changes, picture),
            None => self.rebuild(picture),
        }
    }

    /// Brings the whole picture up; cursors of batches that are still owed stay.
    pub(super) fn rebuild(&mut self, picture: &Picture) -> Result<(), StoreError> {
        let mut changes = picture_values::all(picture);
        for (key, _) in self.values.iter() {
            let stays = is_open_cursor(key, picture) || is_open_receipt(key, picture);
            if !stays && !changes.contains_key(key) {
                changes.insert(key.to_owned(), None);
            }
        }
        changes.retain(|key, value| self.values.get(key) != value.as_deref());
        let is_as_it_was =
            changes.is_empty() && self.unwritten.is_empty() && self.strange.is_empty();
        if is_as_it_was && self.counters == Counters::of(picture) && self.counters.number > 0 {
            return Ok(());
        }
        self.bring(changes, picture)
    }

    /// Whatever becomes of the table, these changes are to be in it: the ledger has them.
    fn bring(&mut self, changes: ValueChanges, picture: &Picture) -> Result<(), StoreError> {
        self.unwritten.extend(changes.keys().cloned());
        self.values.change(changes);
        self.counters = Counters::of(picture);
        self.write(&ValueChanges::new())
    }

    /// How far an output is inside a batch; where nothing is known, at the start.
    pub(super) fn progress(&self, output: &str, seq: u64) -> Progress {
        let stored = self.values.get(&cursor_key(output, seq));
        stored.and_then(parse).unwrap_or_default()
    }

    /// The batches of which an output has done something.
    pub(super) fn begun(&self, output: &str) -> BTreeSet<u64> {
        let prefix = format!("{}/{output}/", prefix::CURSOR);
        let cursors = self.values.with_prefix(&prefix);
        cursors
            .filter_map(|(key, _)| key.strip_prefix(&prefix)?.parse().ok())
            .collect()
    }

    /// Keeps what has changed in an output's work: when this returns it is durable, and when it
    /// fails it is not kept.
    pub(super) fn keep(&mut self, output: &str, work: &WorkChanges) -> Result<(), StoreError> {
        let mut changes = ValueChanges::new();
        for (seq, progress) in &work.progress {
            changes.insert(cursor_key(output, *seq), Some(json(progress)));
        }
        for receipt in &work.accepted {
            changes.insert(receipt_key(output, receipt.key()), Some(json(receipt)));
        }
        for key in &work.settled {
            changes.insert(receipt_key(output, *key), None);
        }
        let written = self.write(&changes);
        match written {
            Ok(()) => self.values.change(changes),
            Err(_) => self.unwritten.extend(changes.into_keys()),
        }
        written
    }

    /// What an output's peers have accepted and not acknowledged.
    pub(super) fn receipts(&self, output: &str) -> Vec<StoredReceipt> {
        let prefix = format!("{}/{output}/", prefix::RECEIPT);
        let stored = self.values.with_prefix(&prefix);
        stored.filter_map(|(_, json)| parse(json)).collect()
    }

    /// Writes changes, and whatever was not written before. A table that fails is opened again, and
    /// made anew if it is damaged.
    fn write(&mut self, changes: &ValueChanges) -> Result<(), StoreError> {
        let late = self
            .unwritten
            .iter()
            .map(|key| (key.as_str(), self.values.get(key)));
        let mut all: BTreeMap<&str, Option<&[u8]>> = late.collect();
        all.extend(
            changes
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_deref())),
        );
        let fingerprint = self.values.fingerprint_with(changes);
        let written = self.written(&all, fingerprint);
        if let Some(table) = &self.table {
            match table.apply(&written) {
                Ok(()) => {
                    self.is_written();
                    return Ok(());
                }
                // Whoever wanted it written says so if it fails again.
                Err(error) => tracing::debug!(
                    %error,
                    store = %self.path.display(),
                    "the store cannot be written; it is opened again"
                ),
            }
        }
        self.table = None;
        let entries = match self.open_table() {
            Ok(entries) => entries,
            Err(StoreError::Io(error)) if disk::is_the_machines(&error) => return Err(error.into()),
            Err(error) => {
                tracing::error!(
                    %error,
                    store = %self.path.display(),
                    "the store can be written no more: it is moved to quarantine/ and made anew; \
                     nothing is lost"
                );
                self.make_table_anew()?;
                Vec::new()
            }
        };
        let whole = self.whole(changes, fingerprint, &entries);
        let table = self.table.as_ref();
        let table = table.ok_or_else(|| io::Error::other("the store is not open"))?;
        table.apply(&whole)?;
        self.is_written();
        Ok(())
    }

    fn is_written(&mut self) {
        self.unwritten.clear();
        self.strange.clear();
    }

    /// The changes in the table's own form, with the summary of what there will be.
    fn written(&self, changes: &BTreeMap<&str, Option<&[u8]>>, fingerprint: u64) -> Changes {
        let mut written = Changes::default();
        for key in &self.strange {
            written.remove(key);
        }
        for (key, value) in changes {
            match value {
                Some(value) => written.put(key.as_bytes(), value::encode(key, value)),
                None => written.remove(key.as_bytes()),
            }
        }
        let summary = json(&Summary {
            counters: self.counters.clone(),
            fingerprint: in_words(fingerprint),
        });
        written.put(SUMMARY.as_bytes(), value::encode(SUMMARY, &summary));
        written
    }

    /// All that must become of what a table holds.
    fn whole(&self, changes: &ValueChanges, fingerprint: u64, found: &[KeyValue]) -> Changes {
        let mut whole: BTreeMap<&str, Option<&[u8]>> = self
            .values
            .iter()
            .map(|(key, value)| (key, Some(value)))
            .collect();
        whole.extend(
            changes
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_deref())),
        );
        let mut written = self.written(&whole, fingerprint);
        for (key, _) in found {
            let is_known =
                std::str::from_utf8(key).is_ok_and(|key| key == SUMMARY || whole.contains_key(key));
            if !is_known {
                written.remove(key);
            }
        }
        written
    }
}

fn in_words(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

fn cursor_key(output: &str, seq: u64) -> String {
    format!("{}/{output}/{seq}", prefix::CURSOR)
}

fn receipt_key(output: &str, (channel, ack_id): ReceiptKey) -> String {
    format!("{}/{output}/{channel}/{ack_id}", prefix::RECEIPT)
}

/// Whether the output may still ask for it: it knows which batches are worth it.
fn is_open_receipt(key: &str, picture: &Picture) -> bool {
    let open = || {
        let rest = key.strip_prefix(prefix::RECEIPT)?.strip_prefix('/')?;
        let (output, _) = rest.split_once('/')?;
        Some(picture.outputs.contains_key(output))
    };
    open().unwrap_or(false)
}

fn is_open_cursor(key: &str, picture: &Picture) -> bool {
    let open = || {
        let (output, seq) = key
            .strip_prefix(prefix::CURSOR)?
            .strip_prefix('/')?
            .rsplit_once('/')?;
        let batch = picture.batches.get(&seq.parse().ok()?)?;
        Some(batch.outputs.contains(output))
    };
    open().unwrap_or(false)
}
