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
mod sled_table;
mod table;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::picture::Picture;
use super::record::Record;
use super::work::{StoredReceipt, WorkChanges};
use crate::crash::{self, Point};
use crate::delivery::{Progress, ReceiptKey};
use crate::disk;
use crate::storage::Storage;
use held::{Fingerprints, Held};
use picture_values::{Counters, json, parse};
use value::ValueChanges;

pub use looking::LookingTables;
pub use sled_table::SledTables;
use table::ALL_KEYS;
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

/// The keys of batches, and all others.
const BATCH_KEYS: KeyRange<'static> = (Bound::Included(b"batch/"), Bound::Excluded(b"batch0"));
const OTHER_KEYS: [KeyRange<'static>; 2] = [
    (Bound::Unbounded, Bound::Excluded(b"batch/")),
    (Bound::Included(b"batch0"), Bound::Unbounded),
];
/// The key of the [`Summary`].
const SUMMARY: &str = "summary";
/// Who runs has all that the store must hold in memory, and makes it anew when the disk could not read it for
/// so long.
const UNREADABLE_WAIT: Duration = Duration::from_secs(120);
/// More damaged keys than this are not named one by one.
const NAMED_KEYS: usize = 10;

/// What is written with every change.
#[derive(Debug, Serialize, Deserialize)]
struct Summary {
    #[serde(flatten)]
    counters: Counters,
    /// That of all other values, as hexadecimal digits.
    fingerprint: String,
    /// That of the values of batches; a version that read them with all others did not write it.
    #[serde(default)]
    fingerprint_of_batches: Option<String>,
    /// The version that has written it: another may write values in another form.
    #[serde(default)]
    version: String,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

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
    /// The values of cursors and receipts.
    work: BTreeMap<String, Vec<u8>>,
    counters: Counters,
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

/// What was found when the store was opened, as far as it was read.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing at all.
    Nothing,
    /// The whole picture as of some record: that its batches are whole too is seen when it is
    /// [asked for](Store::picture).
    Whole {
        /// The number of that record.
        number: u64,
    },
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
            Self::Whole { number } => Some(*number),
            Self::Doubtful { number } => *number,
        }
    }
}

/// What lies in a table, while it is read.
#[derive(Debug, Default)]
struct TakenIn {
    is_anything: bool,
    summary: Option<Summary>,
    damaged: Vec<String>,
}

impl TakenIn {
    /// The fingerprint of the batches, which nobody has read; none if they must be: something else is not
    /// as it was written, or a version has written it that read all at once.
    fn batches_that_can_wait(&self, others: Fingerprints) -> Option<u64> {
        let summary = self.summary.as_ref()?;
        let batches = summary.fingerprint_of_batches.as_ref()?;
        let batches = u64::from_str_radix(batches, 16).ok()?;
        let is_told = in_words(others.all ^ batches) == summary.fingerprint;
        (self.damaged.is_empty() && is_told).then_some(batches)
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
            held: Held::default(),
            work: BTreeMap::new(),
            counters: Counters::of(&Picture::default()),
            is_of_this_version: false,
            unwritten: BTreeSet::new(),
            strange: Vec::new(),
            set_aside: 0,
            unreadable_since: None,
        };
        let mut taken_in = TakenIn::default();
        match store.read_table(&mut taken_in) {
            Ok(()) => {}
            Err(StoreError::Io(error))
                if disk::is_the_machines(&error)
                    && !(can_be_made_anew && store.is_given_up(&error)) =>
            {
                return Err(error.into());
            }
            Err(error) => {
                store.forget();
                tracing::error!(
                    %error,
                    store = %path.display(),
                    "the store cannot be opened: it is moved to quarantine/ and made anew from the \
                     ledger; events of open batches may be sent twice"
                );
                store.make_table_anew()?;
                return Ok((store, Found::Doubtful { number: None }));
            }
        }
        let found = store.judge(taken_in);
        Ok((store, found))
    }

    /// How often it was moved to `quarantine/` and made anew since it was opened.
    pub(super) fn set_aside(&self) -> u64 {
        self.set_aside
    }

    /// Opens the table and takes in what it holds: batches only where something may be wrong.
    fn read_table(&mut self, taken_in: &mut TakenIn) -> Result<(), StoreError> {
        let table = self.storage.tables.open(&self.path)?;
        for range in OTHER_KEYS {
            table.scan(range, &mut |key, value| {
                self.take_in(taken_in, key, value);
            })?;
        }
        match taken_in.batches_that_can_wait(self.held.fingerprints()) {
            Some(fingerprint) => self.held.leave_batches(fingerprint),
            None => table.scan(BATCH_KEYS, &mut |key, value| {
                self.take_in(taken_in, key, value);
            })?,
        }
        self.table = Some(table);
        Ok(())
    }

    /// Takes in the batches that lie in the table, if nobody has. Tells whether they are those that were
    /// written last.
    fn read_batches(&mut self) -> Result<bool, StoreError> {
        let Some(fingerprint) = self.held.unread_batches() else {
            return Ok(true);
        };
        let not_open = || io::Error::other("the store is not open");
        let table = self.table.take().ok_or_else(not_open)?;
        self.held.forget_batches();
        let mut taken_in = TakenIn::default();
        let scanned = table.scan(BATCH_KEYS, &mut |key, value| {
            self.take_in(&mut taken_in, key, value);
        });
        if let Err(error) = scanned {
            self.held.leave_batches(fingerprint);
            return Err(error);
        }
        self.table = Some(table);
        let damaged = taken_in.damaged;
        let is_whole = damaged.is_empty() && self.held.fingerprints().batches == fingerprint;
        if !is_whole {
            tracing::warn!(
                store = %self.path.display(),
                values = damaged.len(),
                keys = named(&damaged),
                "what the store has of batches is damaged, or not of the same time as the rest: it does not \
                 count, and is made anew from the ledger"
            );
        }
        self.unwritten.extend(damaged);
        Ok(is_whole)
    }

    /// From here on it is known what the table holds of batches. What cannot be read of it is written again:
    /// the table is opened again for that. Tells whether nothing is wrong with it.
    fn know_batches(&mut self) -> bool {
        self.read_batches().unwrap_or_else(|error| {
            tracing::warn!(
                %error,
                store = %self.path.display(),
                "the batches in the store cannot be read; it is opened again, and written whole. Look at the \
                 disk"
            );
            self.table = None;
            self.held.forget_batches();
            false
        })
    }

    /// Whether it was waited for long enough for what cannot be read: by the start, or since it is so.
    fn is_given_up(&mut self, error: &io::Error) -> bool {
        if !disk::is_unreadable(error) {
            return false;
        }
        let since = *self.unreadable_since.get_or_insert_with(Instant::now);
        self.storage.disk.gives_up_unreadable() || since.elapsed() >= UNREADABLE_WAIT
    }

    /// What was taken in of a table that could not be read to its end counts as not there.
    fn forget(&mut self) {
        self.held = Held::default();
        self.work.clear();
        self.strange.clear();
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

    fn take_in(&mut self, taken_in: &mut TakenIn, key: &[u8], value: &[u8]) {
        taken_in.is_anything = true;
        let Ok(name) = str::from_utf8(key) else {
            taken_in
                .damaged
                .push(String::from_utf8_lossy(key).into_owned());
            self.strange.push(key.to_owned());
            return;
        };
        let json = value::decode(name, value);
        if name == SUMMARY {
            taken_in.summary = json.and_then(parse);
            return;
        }
        match json.filter(|json| !is_of_work(name) || is_readable_work(name, json)) {
            None => taken_in.damaged.push(name.to_owned()),
            Some(json) => {
                self.held.put(name, json);
                if is_of_work(name) {
                    self.work.insert(name.to_owned(), json.to_owned());
                }
            }
        }
    }

    /// What to make of what was taken in.
    fn judge(&mut self, taken_in: TakenIn) -> Found {
        let TakenIn {
            is_anything,
            summary,
            damaged,
        } = taken_in;
        if !is_anything {
            return Found::Nothing;
        }
        if !damaged.is_empty() {
            tracing::warn!(
                store = %self.path.display(),
                values = damaged.len(),
                keys = named(&damaged),
                "values in the store are damaged: they count as nothing done and are removed; what \
                 they told of open batches is sent again"
            );
        }
        let number = summary.as_ref().map(|summary| summary.counters.number);
        let is_told = in_words(self.held.fingerprints().all);
        let summary = summary.filter(|it| it.fingerprint == is_told && damaged.is_empty());
        if let Some(summary) = summary {
            self.counters = summary.counters;
            self.is_of_this_version = summary.version == VERSION;
            return Found::Whole {
                number: self.counters.number,
            };
        }
        if damaged.is_empty() {
            tracing::warn!(
                store = %self.path.display(),
                "the store shows values of different times, or not all that it held: it is made \
                 anew from the ledger; events of open batches may be sent twice"
            );
        }
        self.unwritten.extend(damaged);
        Found::Doubtful { number }
    }

    /// The picture in a store that was found whole, read once more since nearly no start needs it; none
    /// if it is not whole any more, or another version has written what this one cannot read. What the
    /// disk keeps from being read is an error.
    pub(super) fn picture(&mut self) -> Result<Option<Picture>, StoreError> {
        match self.read_picture() {
            Err(StoreError::Io(error)) if disk::is_the_machines(&error) => Err(error.into()),
            Err(error) => {
                tracing::error!(
                    %error,
                    store = %self.path.display(),
                    "the store cannot be read once more: what it has of records that are missing from \
                     the ledger is not known. Look at the disk"
                );
                Ok(None)
            }
            read => read,
        }
    }

    fn read_picture(&mut self) -> Result<Option<Picture>, StoreError> {
        let mut picture = self.counters.picture();
        let mut seen = 0;
        if !self.read_batches()? {
            return Ok(None);
        }
        let Some(table) = self.table.as_ref() else {
            return Ok(None);
        };
        table.scan(ALL_KEYS, &mut |key, value| {
            seen += usize::from(self.put_into(&mut picture, key, value).is_some());
        })?;
        Ok((seen == self.held.keys().count()).then_some(picture))
    }

    /// None if it is not what it was when the store was opened.
    fn put_into(&self, picture: &mut Picture, key: &[u8], value: &[u8]) -> Option<()> {
        let key = str::from_utf8(key).ok()?;
        let json = value::decode(key, value).filter(|json| self.held.has(key, json))?;
        if is_of_work(key) {
            return Some(());
        }
        picture_values::put(picture, key, json)
    }

    /// Whether the table has missed something.
    pub(super) fn is_behind(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Brings what records have changed up to `picture`.
    pub(super) fn apply(
        &mut self,
        records: &[Record],
        picture: &Picture,
    ) -> Result<(), StoreError> {
        let mut changes = ValueChanges::new();
        for record in records {
            let Some(keys) = picture_values::changed_by(record) else {
                return self.rebuild(picture);
            };
            let is_unread = self.held.unread_batches().is_some();
            if is_unread && keys.iter().any(|key| picture_values::is_of_batch(key)) {
                return self.rebuild(picture);
            }
            for key in keys {
                let value = picture_values::value(&key, picture);
                changes.insert(key, value);
            }
            if let Record::OutputFinished { output, seq, .. } = record {
                changes.insert(cursor_key(output, *seq), None);
            }
        }
        self.bring(&changes, picture)
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
                is_open_cursor(key, picture) || is_open_receipt(key, picture)
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
        for (key, value) in changes.iter().filter(|(key, _)| is_of_work(key)) {
            match value {
                Some(value) => drop(self.work.insert(key.clone(), value.clone())),
                None => drop(self.work.remove(key)),
            }
        }
    }

    /// What the table must hold under a key.
    fn value(&self, key: &str, picture: &Picture) -> Option<Vec<u8>> {
        if is_of_work(key) {
            self.work.get(key).cloned()
        } else {
            picture_values::value(key, picture)
        }
    }

    /// How far an output is inside a batch; where nothing is known, at the start.
    pub(super) fn progress(&self, output: &str, seq: u64) -> Progress {
        let stored = self.work.get(&cursor_key(output, seq));
        stored.and_then(|json| parse(json)).unwrap_or_default()
    }

    /// The batches of which some output has done something.
    pub(super) fn begun(&self) -> BTreeSet<u64> {
        let prefix = format!("{}/", prefix::CURSOR);
        let cursors = self.work_with(&prefix);
        let numbers = cursors.filter_map(|(key, _)| key.rsplit_once('/')?.1.parse().ok());
        numbers.collect()
    }

    /// Keeps what has changed in an output's work: when this returns it is durable, and when it
    /// fails it is not kept. The picture is as it was when it was last brought up.
    pub(super) fn keep(
        &mut self,
        output: &str,
        work: &WorkChanges,
        picture: &Picture,
    ) -> Result<(), StoreError> {
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
        let prefix = format!("{}/{output}/", prefix::RECEIPT);
        let stored = self.work_with(&prefix);
        stored.filter_map(|(_, json)| parse(json)).collect()
    }

    /// Cursors or receipts whose keys begin with `prefix`, in order.
    fn work_with(&self, prefix: &str) -> impl Iterator<Item = (&str, &[u8])> {
        let from_prefix = self.work.range(prefix.to_owned()..);
        let work = from_prefix.map(|(key, value)| (key.as_str(), value.as_slice()));
        work.take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Writes changes, and whatever was not written before. A table that fails is opened again, and
    /// made anew if it is damaged.
    fn write(
        &mut self,
        changes: &ValueChanges,
        fingerprints: Fingerprints,
        picture: &Picture,
    ) -> Result<(), StoreError> {
        let late = self
            .unwritten
            .iter()
            .filter(|key| !changes.contains_key(*key));
        let late = late.map(|key| (key.clone(), self.value(key, picture)));
        let late: ValueChanges = late.collect();
        let written = self.written(changes.iter().chain(&late), fingerprints);
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
        let found = match self.open_again() {
            Ok(found) => found,
            Err(StoreError::Io(error))
                if disk::is_the_machines(&error) && !self.is_given_up(&error) =>
            {
                return Err(error.into());
            }
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
        let fingerprints = self.fingerprints_of_whole(fingerprints, picture);
        let whole = self.whole(changes, fingerprints, picture, &found);
        let table = self.table.as_ref();
        let table = table.ok_or_else(|| io::Error::other("the store is not open"))?;
        if let Err(error) = table.apply(&whole) {
            // What lies in it is not known.
            self.table = None;
            return Err(error);
        }
        self.is_written();
        Ok(())
    }

    /// Opens the table, and gives the keys that lie in it.
    fn open_again(&mut self) -> Result<Vec<Vec<u8>>, StoreError> {
        let table = self.storage.tables.open(&self.path)?;
        let mut found = Vec::new();
        table.scan(ALL_KEYS, &mut |key, _| found.push(key.to_owned()))?;
        self.table = Some(table);
        Ok(found)
    }

    fn is_written(&mut self) {
        self.unwritten.clear();
        self.strange.clear();
        self.unreadable_since = None;
    }

    /// The changes in the table's own form, with the summary of what there will be.
    fn written<'c>(
        &self,
        changes: impl IntoIterator<Item = (&'c String, &'c Option<Vec<u8>>)>,
        fingerprints: Fingerprints,
    ) -> Changes {
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
            fingerprint: in_words(fingerprints.all),
            fingerprint_of_batches: Some(in_words(fingerprints.batches)),
            version: VERSION.to_owned(),
        });
        written.put(SUMMARY.as_bytes(), value::encode(SUMMARY, &summary));
        written
    }

    /// Batches that nobody has read are written as the picture has them: they have not changed since.
    fn fingerprints_of_whole(&mut self, of_it: Fingerprints, picture: &Picture) -> Fingerprints {
        if self.held.unread_batches().is_none() {
            return of_it;
        }
        self.held.forget_batches();
        for key in picture_values::batch_keys(picture) {
            let value = picture_values::value(&key, picture).unwrap_or_default();
            self.held.put(&key, &value);
        }
        let batches = self.held.fingerprints().batches;
        Fingerprints {
            all: of_it.all ^ of_it.batches ^ batches,
            batches,
        }
    }

    /// All that must become of what a table holds.
    fn whole(
        &self,
        changes: &ValueChanges,
        fingerprints: Fingerprints,
        picture: &Picture,
        found: &[Vec<u8>],
    ) -> Changes {
        let values = self.held.keys();
        let values = values.map(|key| (key.to_owned(), self.value(key, picture)));
        let mut whole: ValueChanges = values.collect();
        whole.extend(
            changes
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        let mut written = self.written(&whole, fingerprints);
        for key in found {
            let is_known =
                str::from_utf8(key).is_ok_and(|key| key == SUMMARY || whole.contains_key(key));
            if !is_known {
                written.remove(key);
            }
        }
        written
    }
}

/// The first of some keys.
fn named(keys: &[String]) -> String {
    keys.get(..NAMED_KEYS).unwrap_or(keys).join(", ")
}

fn in_words(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

/// Cursors and receipts are not in the picture.
fn is_of_work(key: &str) -> bool {
    matches!(
        key.split_once('/'),
        Some((prefix::CURSOR | prefix::RECEIPT, _))
    )
}

fn is_readable_work(key: &str, json: &[u8]) -> bool {
    if key.starts_with(prefix::CURSOR) {
        parse::<Progress>(json).is_some()
    } else {
        parse::<StoredReceipt>(json).is_some()
    }
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
        Some(picture.owes(output, seq.parse().ok()?))
    };
    open().unwrap_or(false)
}

/// Puts a value into a table as another version might: all checksums are right.
#[cfg(test)]
pub(super) fn with_foreign(
    entries: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    version: &str,
    key: &str,
    json: &[u8],
) {
    entries.insert(key.as_bytes().to_vec(), value::encode(key, json));
    let mut held = Held::default();
    for (key, bytes) in entries.iter() {
        let name = str::from_utf8(key).unwrap_or_default();
        if let Some(json) = value::decode(name, bytes).filter(|_| name != SUMMARY) {
            held.put(name, json);
        }
    }
    let Some(bytes) = entries.get_mut(SUMMARY.as_bytes()) else {
        return;
    };
    let summary = value::decode(SUMMARY, bytes).and_then(parse::<Summary>);
    if let Some(mut summary) = summary {
        let fingerprints = held.fingerprints();
        summary.fingerprint = in_words(fingerprints.all);
        let is_another = version != VERSION;
        summary.fingerprint_of_batches = is_another.then(|| in_words(fingerprints.batches));
        summary.version = version.to_owned();
        *bytes = value::encode(SUMMARY, &self::json(&summary));
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use super::*;

    /// Each key is read once: by its prefix, or as another.
    #[test]
    fn the_ranges_of_keys_tell_batches_from_all_others() {
        let all = [
            prefix::COLLECTION,
            prefix::GATE,
            prefix::UNANSWERED,
            prefix::CLOCK,
            prefix::OUTPUT,
            prefix::BATCH,
            prefix::REMOVING,
            prefix::CURSOR,
            prefix::RECEIPT,
            "batc",
            "batch",
            "batch!",
            "batch0",
            "batches",
            "",
        ];
        for prefix in all {
            for name in ["", "/", "/1", "/\u{10ffff}", "0", "z/1"] {
                let key = format!("{prefix}{name}");
                let holds = |range| RangeBounds::<[u8]>::contains::<[u8]>(&range, key.as_bytes());
                let is_of_batch = picture_values::is_of_batch(&key);
                assert_eq!(holds(BATCH_KEYS), is_of_batch, "{key}");
                let others = OTHER_KEYS.iter().filter(|range| holds(**range)).count();
                assert_eq!(others, usize::from(!is_of_batch), "{key}");
            }
        }
    }
}
