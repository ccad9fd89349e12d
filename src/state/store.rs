//! The current picture in a table, and the cursors inside batches.
//!
//! The ledger is the truth for the picture: sled 0.34 opens a damaged file without an error and may
//! show an older state, or a part of one. So the table is read once, in full: all but its batches when it
//! is opened, and these when they are needed, or behind the start. What it says is compared with its
//! checksums, its fingerprint and the ledger, and from then on it is only written. What it must hold is
//! known from the picture, and from the cursors, which are kept here: a table that breaks is made anew
//! from there, and nothing is lost.

mod held;
mod looking;
#[cfg(test)]
pub(crate) mod memory;
mod picture_values;
mod reading;
mod sled_table;
mod summary;
mod table;
mod value;
mod work_values;
mod writing;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use super::picture::Picture;
use super::record::Record;
use super::work::{StoredReceipt, WorkChanges};
use crate::delivery::Progress;
use crate::storage::Storage;
use held::Held;
use picture_values::{Counters, batch_key};
use value::ValueChanges;
use work_values::{WorkValues, is_of_work};

pub use looking::LookingTables;
pub(super) use reading::Found;
pub use sled_table::SledTables;
#[cfg(test)]
pub(super) use summary::with_foreign;
pub use table::{Changes, KeyRange, StoreError, Table, Tables};

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

/// The open store.
#[derive(Debug)]
pub(super) struct Store {
    storage: Storage,
    path: PathBuf,
    quarantine: PathBuf,
    /// None after a failure, until it can be opened again.
    table: Option<Box<dyn Table>>,
    /// What the table must hold: of the picture's things the caller has the values.
    held: Held,
    work: WorkValues,
    counters: Counters,
    /// Up to this record the ledger is known to be durable.
    durable: u64,
    /// Whether this version has written what lies in the table.
    is_of_this_version: bool,
    /// Keys of which it is not known what the table holds.
    unwritten: BTreeSet<String>,
    /// Keys that are no text: to be removed.
    strange: Vec<Vec<u8>>,
    /// How often it was moved to `quarantine` and made anew.
    set_aside: u64,
    /// Since when it cannot be opened and read, where that is so.
    unreadable_since: Option<Instant>,
}

impl Store {
    /// How often it was moved to `quarantine/` and made anew since it was opened.
    pub(super) fn set_aside(&self) -> u64 {
        self.set_aside
    }

    /// Whether the table has missed something.
    pub(super) fn is_behind(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Brings what records have changed up to `picture`; they are durable.
    pub(super) fn apply(
        &mut self,
        records: &[Record],
        picture: &Picture,
    ) -> Result<(), StoreError> {
        self.durable = picture.number;
        let mut changes = ValueChanges::new();
        for record in records {
            let Some(keys) = picture_values::changed_by(record) else {
                return self.rebuild(picture);
            };
            // One that is new was not there to be read. Where nobody owes it, it may be an old one.
            let brought = record.brings().filter(|batch| !batch.outputs.is_empty());
            let new = brought.map(|batch| batch_key(batch.seq));
            let is_unread =
                |key: &String| picture_values::is_of_batch(key) && new.as_ref() != Some(key);
            if self.held.unread_batches().is_some() && keys.iter().any(is_unread) {
                return self.rebuild(picture);
            }
            for key in keys {
                let value = picture_values::value(&key, picture);
                changes.insert(key, value);
            }
            if let Record::OutputFinished { output, seq, .. } = record {
                changes.insert(work_values::cursor_key(output, *seq), None);
            }
        }
        self.bring(&changes, picture)
    }

    /// Up to this record the ledger is known to be durable: the next change tells it.
    pub(super) fn note_durable(&mut self, number: u64) {
        self.durable = number;
    }

    /// Brings the whole picture up; cursors of batches that are still owed stay. Batches that nobody has
    /// read can wait where this version has brought the table up to the picture's record, and all else is
    /// the same: they change with records alone.
    pub(super) fn rebuild(&mut self, picture: &Picture) -> Result<(), StoreError> {
        let can_wait = self.held.unread_batches().is_some() && self.is_of_the_record_of(picture);
        if can_wait
            && self
                .differing(picture, picture_values::keys(picture))
                .is_empty()
        {
            return Ok(());
        }
        self.rebuild_with_batches(picture)
    }

    /// Brings batches up, if nobody has read them yet.
    pub(super) fn compare_batches(&mut self, picture: &Picture) -> Result<(), StoreError> {
        if self.held.unread_batches().is_none() {
            return Ok(());
        }
        self.rebuild_with_batches(picture)
    }

    fn rebuild_with_batches(&mut self, picture: &Picture) -> Result<(), StoreError> {
        let is_whole = self.know_batches();
        let batches = picture_values::batch_keys(picture);
        let all = picture_values::keys(picture).chain(batches);
        let changes = self.differing(picture, all);
        if is_whole && changes.is_empty() && self.is_of_the_record_of(picture) {
            return Ok(());
        }
        self.bring(&changes, picture)
    }

    /// What is to change: these `keys` of the picture, and what it does not have.
    fn differing(&self, picture: &Picture, keys: impl Iterator<Item = String>) -> ValueChanges {
        let stays = |key: &str| {
            if is_of_work(key) {
                work_values::is_open(key, picture)
            } else {
                picture_values::has(key, picture)
            }
        };
        let gone = self.held.keys().filter(|key| !stays(key));
        let gone = gone.map(|key| (key.to_owned(), None));
        let other = keys.filter_map(|key| {
            let value = picture_values::value(&key, picture).unwrap_or_default();
            (!self.held.has(&key, &value)).then_some((key, Some(value)))
        });
        gone.chain(other).collect()
    }

    /// Whether this version has brought the table up to the record that the picture is of.
    fn is_of_the_record_of(&self, picture: &Picture) -> bool {
        let is_all_written = self.unwritten.is_empty() && self.strange.is_empty();
        let is_of_it = self.counters == Counters::of(picture) && self.counters.number > 0;
        is_all_written && is_of_it && self.is_of_this_version
    }

    /// Whatever becomes of the table, these changes are to be in it: the ledger has them.
    fn bring(&mut self, changes: &ValueChanges, picture: &Picture) -> Result<(), StoreError> {
        self.unwritten.extend(changes.keys().cloned());
        self.change(changes);
        self.counters = Counters::of(picture);
        self.write(changes, self.held.fingerprints(), picture)
    }

    fn change(&mut self, changes: &ValueChanges) {
        self.held.change(changes);
        self.work.change(changes);
    }

    /// What the table must hold under a key.
    fn value(&self, key: &str, picture: &Picture) -> Option<Vec<u8>> {
        if is_of_work(key) {
            self.work.value(key)
        } else {
            picture_values::value(key, picture)
        }
    }

    /// How far an output is inside a batch; where nothing is known, at the start.
    pub(super) fn progress(&self, output: &str, seq: u64) -> Progress {
        self.work.progress(output, seq)
    }

    /// The batches of which some output has done something.
    pub(super) fn begun(&self) -> BTreeSet<u64> {
        self.work.begun()
    }

    /// Keeps what has changed in an output's work: when this returns it is durable, and when it
    /// fails it is not kept. The picture is as it was when it was last brought up.
    pub(super) fn keep(
        &mut self,
        output: &str,
        work: &WorkChanges,
        picture: &Picture,
    ) -> Result<(), StoreError> {
        let changes = work_values::changes(output, work);
        let fingerprints = self.held.fingerprints_with(&changes);
        let written = self.write(&changes, fingerprints, picture);
        match written {
            Ok(()) => self.change(&changes),
            Err(_) => self.unwritten.extend(changes.into_keys()),
        }
        written
    }

    /// What an output's peers have accepted and not acknowledged.
    pub(super) fn receipts(&self, output: &str) -> Vec<StoredReceipt> {
        self.work.receipts(output)
    }
}
