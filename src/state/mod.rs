//! What must survive: the [`ledger`] is the truth, the [`store`] its current picture.

mod damage;
pub mod day;
mod diary;
mod folder;
pub mod ledger;
mod lock;
mod names;
mod owed;
mod picture;
mod record;
mod restoration;
mod source;
mod store;
mod tally;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};

use chrono::{DateTime, Utc};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::crash::{self, Point};
use crate::delivery::Progress;
use crate::disk::Disk;
use crate::storage::Storage;
pub use damage::{Damage, SettledLines};
use diary::Earlier;
pub use diary::{Delivered, Diary, DiaryEntry};
use ledger::{AppendError, HistoryLine, Ledger, OpenLedgerError, Reading};
pub use lock::{LockError, StateLock};
pub use names::Names;
pub use owed::{OwedBatches, OwedSum};
pub use picture::{BatchPicture, CollectionPicture, OutputPicture, Picture, RemovedLines};
pub(crate) use record::exactly;
pub use record::{
    BatchContent, Brought, CollectionKey, Copied, DamagedFile, EventFile, EventPlace, Finished,
    ForgottenDebt, LetterCount, Origin, PolledCounts, Record, Removal, RemovedLetter,
    SettledCounts, Settlement,
};
use restoration::{MissingBatches, Told, Way};
pub use source::{BatchOutline, BatchSource, WrittenSource};
#[cfg(test)]
pub(crate) use store::memory::{MemoryTables, Refusal};
use store::{Found, Store};
pub use tally::{Amount, GivenUp, Tally};
pub use work::{StoredReceipt, WorkChanges};

/// The state cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStateError {
    /// Its folder cannot be made.
    #[error(
        "the state folder {path:?} cannot be made: {source}; check state.directory and its owner"
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] OpenLedgerError),
    /// The ledger cannot be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The store can be neither opened nor rebuilt.
    #[error("{path:?} can be neither opened nor made anew: {source}")]
    Store {
        /// Its folder.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

pub use store::{Changes, KeyRange, LookingTables, SledTables, StoreError, Table, Tables};

/// Ledger and store behind one lock, and what is so behind another: who looks does not wait for the
/// disk.
#[derive(Debug)]
pub struct State {
    disk: Disk,
    ledger: PathBuf,
    missing: MissingBatches,
    ledgers_set_aside: u64,
    /// Changed only by who has `inner`, and after the ledger has it.
    shown: RwLock<Picture>,
    inner: Mutex<Inner>,
}

/// What of the state was moved to `quarantine/` since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantinedState {
    /// Ledgers that were lost.
    pub ledgers: u64,
    /// Stores that could not be opened, or not any more.
    pub stores: u64,
}

/// How far an output is in a batch that it owes.
#[derive(Debug)]
pub struct Begun<'p> {
    /// The batch.
    pub seq: u64,
    /// The output.
    pub output: &'p str,
    /// What is known of the batch.
    pub batch: &'p BatchPicture,
    /// How far it is.
    pub progress: Progress,
}

/// What all say at one moment.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The picture.
    pub picture: Picture,
    /// How far each output is inside what it owes, by batch and output, where it is not at the begin.
    pub progress: BTreeMap<(u64, String), Progress>,
}

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    store: Store,
    diary: Diary,
}

/// What became of batches with which an output has done.
#[derive(Debug, Default)]
pub struct FinishedBatches {
    /// They have their record.
    pub finished: BTreeSet<u64>,
    /// It does not owe them any more: a person has given them up, or forgotten the output.
    pub not_owed: BTreeSet<u64>,
    /// Why there was no record for the next of them.
    pub error: Option<AppendError>,
}

/// After so many records of finished batches the store is brought up to them, and whoever waits has his
/// turn: on a slow disk each takes its time.
const FINISHED_AT_ONCE: usize = 8;

/// Bytes of the ledger that are read to remember what was before the start.
const REMEMBERED_BYTES: u64 = 16 << 20;

impl State {
    /// Opens the state below `directory`, or makes it; the caller holds the [`StateLock`].
    pub fn open(
        storage: &Storage,
        directory: &Path,
        now: DateTime<Utc>,
    ) -> Result<Self, OpenStateError> {
        let disk = &storage.disk;
        disk.create_folders(directory)
            .map_err(|source| OpenStateError::Folder {
                path: directory.to_owned(),
                source,
            })?;
        let ledger_folder = directory.join("ledger");
        let quarantine = directory.join("quarantine");
        let has_spool =
            disk.exists(&directory.join("spool"))
                .map_err(|source| OpenStateError::Folder {
                    path: directory.to_owned(),
                    source,
                })?;
        let mut reading = Reading::read(disk, &ledger_folder)?;
        let path = directory.join("state.sled");
        let store_error = |source| OpenStateError::Store {
            path: path.clone(),
            source,
        };
        let (mut store, found) =
            Store::open(storage, &path, &quarantine, reading.is_whole()).map_err(store_error)?;
        crash::point(Point::StoreOpened);
        let Told {
            mut picture,
            missing,
            way,
        } = restoration::tell(&mut reading, &found, || store.picture(), has_spool)
            .map_err(store_error)?;
        tell_what_was_found(&reading, &found, way, &picture);
        // Before the store forgets what only it knew.
        let ledger = Ledger::go_on(
            disk,
            &ledger_folder,
            &reading,
            &picture,
            found.durable(),
            now,
        )?;
        // A segment that was begun has used one.
        picture.number = ledger.number();
        let is_lost = matches!(way, Way::Lost | Way::LostButStored) && reading.has_lines;
        let is_set_aside = is_lost && set_aside_segments(&ledger, &quarantine);
        if ledger.is_durable() {
            store.note_durable(picture.number);
        }
        store.rebuild(&picture).map_err(store_error)?;
        Ok(Self {
            disk: disk.clone(),
            ledger: ledger_folder,
            missing,
            ledgers_set_aside: u64::from(is_set_aside),
            inner: Mutex::new(Inner {
                ledger,
                diary: Diary::beginning_after(picture.number),
                store,
            }),
            shown: RwLock::new(picture),
        })
    }

    /// Whether, as long as the picture is in doubt, records of this batch may be missing; not if it
    /// is owed.
    #[must_use]
    pub fn may_lack_records_of(&self, seq: u64) -> bool {
        self.missing.may_be(seq)
    }

    /// Looks at the current picture. Does not wait for the disk.
    pub fn look<T>(&self, look: impl FnOnce(&Picture) -> T) -> T {
        look(&self.shown())
    }

    /// Appends a record: when this returns it is durable. Blocks while the disk works.
    pub fn append(&self, now: DateTime<Utc>, record: &Record) -> Result<(), AppendError> {
        let mut inner = self.lock();
        self.append_to_ledger(&mut inner, now, record)?;
        self.bring_store(&mut inner, std::slice::from_ref(record));
        Ok(())
    }

    /// The store is to be brought up then.
    fn append_to_ledger(
        &self,
        inner: &mut Inner,
        now: DateTime<Utc>,
        record: &Record,
    ) -> Result<(), AppendError> {
        let number = inner.ledger.append(now, record, &self.shown())?;
        self.shown_to_change().apply(number, now, record);
        inner.diary.take_in(number, now, record);
        Ok(())
    }

    /// The ledger is the truth: what the store misses is brought up with the next change.
    fn bring_store(&self, inner: &mut Inner, records: &[Record]) {
        let was_behind = inner.store.is_behind();
        if let Err(error) = inner.store.apply(records, &self.shown())
            && !was_behind
        {
            tracing::warn!(%error, "the store could not be brought up to the ledger; it is with the next record");
        }
        crash::point(Point::RecordStored);
    }

    /// An output has done with batches, the first of which are dealt with: when this returns, that is
    /// durable of those that it tells. The ledger has a record of each; the store is brought up to
    /// several at once, since thousands of batches may be small.
    pub fn finish_batches(
        &self,
        now: DateTime<Utc>,
        output: &str,
        batches: &[(u64, Finished)],
    ) -> FinishedBatches {
        let mut done = FinishedBatches::default();
        let mut records = Vec::new();
        let mut inner = self.lock();
        for (seq, finished) in batches.iter().take(FINISHED_AT_ONCE) {
            if !self.shown().owes(output, *seq) {
                done.not_owed.insert(*seq);
                continue;
            }
            let record = Record::OutputFinished {
                output: output.to_owned(),
                seq: *seq,
                finished: *finished,
            };
            if let Err(error) = self.append_to_ledger(&mut inner, now, &record) {
                done.error = Some(error);
                break;
            }
            done.finished.insert(*seq);
            records.push(record);
        }
        if !records.is_empty() {
            self.bring_store(&mut inner, &records);
        }
        done
    }

    /// Forgets an output with all that it owes: when this returns that is durable. Tells what was
    /// given up, as of the moment at which nobody could deliver it any more.
    pub fn forget_output(
        &self,
        now: DateTime<Utc>,
        output: &str,
    ) -> Result<ForgottenDebt, AppendError> {
        let mut inner = self.lock();
        let mut debt = ForgottenDebt::default();
        for (seq, batch) in &self.shown().batches {
            if !batch.outputs.contains(output) {
                continue;
            }
            let (mut finished, _) =
                batch.settle_so_far(output, &inner.progress(output, *seq, batch));
            let given_up = std::mem::take(&mut finished.abandoned);
            finished.discarded += given_up;
            debt.batches += 1;
            debt.events += given_up;
            debt.finished.add(&finished);
        }
        let record = Record::OutputForgotten {
            output: output.to_owned(),
            debt: Some(debt),
        };
        self.append_to_ledger(&mut inner, now, &record)?;
        self.bring_store(&mut inner, &[record]);
        Ok(debt)
    }

    /// Compares what the store has of batches with what is so, if nobody has: there may be thousands, and a
    /// start does not wait for that. Blocks while the disk works.
    pub fn compare_stored_batches(&self) {
        let mut inner = self.lock();
        if let Err(error) = inner.store.compare_batches(&self.shown()) {
            tracing::warn!(%error, "the store could not be brought up to the ledger; it is with the next record");
        }
    }

    /// What was moved to `quarantine/` since the start.
    #[must_use]
    pub fn quarantined(&self) -> QuarantinedState {
        QuarantinedState {
            ledgers: self.ledgers_set_aside,
            stores: self.lock().store.set_aside(),
        }
    }

    /// Begins a segment that tells everything again: lines that are damaged are needed no more, and a
    /// record that could not be appended never was, though it may lie on disk.
    pub fn retell(&self, now: DateTime<Utc>) -> Result<(), AppendError> {
        let mut inner = self.lock();
        inner.ledger.begin_segment(now, &self.shown())?;
        self.shown_to_change().number = inner.ledger.number();
        Ok(())
    }

    /// Looks at everything at once.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.look_at_work(|picture, begun| {
            let begun = begun.filter(|begun| begun.progress != Progress::default());
            let progress =
                begun.map(|begun| ((begun.seq, begun.output.to_owned()), begun.progress));
            Moment {
                picture: picture.clone(),
                progress: progress.collect(),
            }
        })
    }

    /// What is owed of a batch and how far who owes it is, at one moment; none if nobody owes it.
    #[must_use]
    pub fn owed(&self, seq: u64) -> Option<(Arc<BatchPicture>, BTreeMap<String, Progress>)> {
        let inner = self.lock();
        let picture = self.shown();
        let batch = picture.batches.get(&seq)?;
        let outputs = batch.outputs.iter();
        let progress = outputs.map(|name| (name.clone(), inner.progress(name, seq, batch)));
        Some((Arc::clone(batch), progress.collect()))
    }

    /// Reads what is kept of the ledger, oldest first; records may be appended meanwhile.
    pub fn history(&self, visit: impl FnMut(HistoryLine)) -> io::Result<()> {
        ledger::history(&self.disk, &self.ledger, visit)
    }

    /// Looks at what the last records told.
    pub fn look_back<T>(&self, look: impl FnOnce(&Diary) -> T) -> T {
        look(&self.lock().diary)
    }

    /// Reads what was told before the start, as far as that is not much; gives what outputs had
    /// delivered then. Blocks while the disk works, others may go on meanwhile.
    pub fn remember(&self) -> io::Result<Vec<Delivered>> {
        let last = self.look_back(Diary::begins_after);
        let mut earlier = Earlier::default();
        let mut delivered = Vec::new();
        ledger::recent(&self.disk, &self.ledger, REMEMBERED_BYTES, |line| {
            let HistoryLine::Record { number, at, record } = line else {
                return;
            };
            if number > last {
                return;
            }
            earlier.take_in(number, at, &record);
            if let Record::OutputFinished {
                output, finished, ..
            } = *record
            {
                let events = finished.delivered;
                delivered.push(Delivered { output, at, events });
            }
        })?;
        self.lock().diary.remember(earlier);
        Ok(delivered)
    }

    /// How far an output is inside a batch.
    #[must_use]
    pub fn progress(&self, output: &str, seq: u64) -> Progress {
        let inner = self.lock();
        match self.shown().batches.get(&seq) {
            Some(batch) => inner.progress(output, seq, batch),
            None => inner.store.progress(output, seq),
        }
    }

    /// Looks at the picture and at how far outputs are, at one moment. Each output of a batch of which
    /// something is done, or that is [unusual](OwedBatches::unusual), comes once; thousands may wait of
    /// which there is nothing to tell, and of what does not come nothing is done.
    pub fn look_at_work<T>(
        &self,
        look: impl FnOnce(&Picture, &mut dyn Iterator<Item = Begun<'_>>) -> T,
    ) -> T {
        let inner = self.lock();
        let picture = self.shown();
        let mut begun = inner.store.begun();
        begun.extend(picture.batches.unusual());
        let mut begun = begun.iter().filter_map(|seq| {
            let batch = picture.batches.get(seq)?.as_ref();
            let outputs = batch.outputs.iter();
            Some(outputs.map(|output| Begun {
                seq: *seq,
                output,
                batch,
                progress: inner.progress(output, *seq, batch),
            }))
        });
        look(&picture, &mut begun.by_ref().flatten())
    }

    /// The batches with damaged files of which some output lacks lines, oldest first.
    #[must_use]
    pub fn damaged_batches(&self) -> Vec<(u64, Damage)> {
        // As nearly always, and without a wait for the disk.
        if self.shown().damaged_batches().next().is_none() {
            return Vec::new();
        }
        let inner = self.lock();
        let picture = self.shown();
        let lacking = picture.damaged_batches().filter_map(|(seq, batch)| {
            let lacks = |output: &String| batch.lacks(&inner.progress(output, seq, batch)) > 0;
            let is_lacking = batch.outputs.iter().any(lacks);
            let damage = batch.damage.as_deref().filter(|_| is_lacking);
            Some((seq, damage?.clone()))
        });
        lacking.collect()
    }

    /// Keeps what has changed in an output's work: when this returns it is durable.
    pub fn keep_work(&self, output: &str, changes: &WorkChanges) -> Result<(), StoreError> {
        let mut inner = self.lock();
        inner.store.keep(output, changes, &self.shown())
    }

    /// What an output's peers have accepted and not acknowledged.
    #[must_use]
    pub fn receipts(&self, output: &str) -> Vec<StoredReceipt> {
        self.lock().store.receipts(output)
    }

    /// Nobody has it while the disk works, but to read: the lock comes first, where both are needed.
    fn shown(&self) -> RwLockReadGuard<'_, Picture> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For who has the lock.
    fn shown_to_change(&self) -> RwLockWriteGuard<'_, Picture> {
        self.shown.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who has it may wait for the disk; who waits for him holds up nobody else of the runtime.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        match self.inner.try_lock() {
            Ok(inner) => return inner,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {}
        }
        let wait = || self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = Handle::try_current().map(|runtime| runtime.runtime_flavor());
        if runtime.is_ok_and(|flavor| flavor == RuntimeFlavor::MultiThread) {
            tokio::task::block_in_place(wait)
        } else {
            wait()
        }
    }
}

impl Inner {
    /// How far an output is inside a batch, as the store says; the ledger knows what needs no more
    /// work since it was settled.
    fn progress(&self, output: &str, seq: u64, batch: &BatchPicture) -> Progress {
        let mut progress = self.store.progress(output, seq);
        if let Some(settled) = batch.settled.get(output) {
            progress.cursor.finish_all(&settled.lines);
        }
        progress
    }
}

/// A stop may come between the ledger and the store: then the last record, and the snapshot before
/// it, are not in the store.
const STOP_LEAVES_BEHIND: u64 = 2;
/// More damaged lines than this are not named one by one.
const NAMED_LINES: usize = 20;

/// Says once what is wrong with what was found, and what became of it.
fn tell_what_was_found(reading: &Reading, found: &Found, way: Way, picture: &Picture) {
    let fate = match way {
        Way::Store | Way::LostButStored => "what it told is taken from the store",
        Way::New | Way::Ledger => "nothing is missing but this line",
        Way::Doubt | Way::Lost => "what it told may be missing",
    };
    for damaged in reading.damaged.iter().take(NAMED_LINES) {
        tracing::warn!(
            file = %damaged.file.display(),
            line = damaged.line,
            fate,
            "a ledger record is damaged; a new segment is begun"
        );
    }
    let (ledger, store) = (reading.last_number(), found.number());
    match way {
        Way::Store => tracing::warn!(
            damaged = reading.damaged.len(),
            ledger,
            store,
            "records are missing from the ledger; what they told is restored from the store, nothing \
             is lost or done twice. Look at the disk"
        ),
        Way::LostButStored => tracing::error!(
            store,
            "the ledger is lost: what it told is restored from the store, which may lack the last \
             of it; all gates stay closed for one interval. Look at the disk"
        ),
        Way::Lost => tracing::error!(
            "the ledger is lost, and the store cannot take its place: what lies in the spool is sent \
             again, its checkpoints are taken, and windows after them may be fetched again; what \
             comes twice has the same eventId. All gates stay closed for one interval. Look at the \
             disk"
        ),
        // A store that is damaged was told of when it was opened.
        Way::Ledger
            if !is_as_a_stop_leaves_it(store.unwrap_or(0), reading, picture)
                && !matches!(found, Found::Doubtful { .. }) =>
        {
            tracing::warn!(
                store,
                ledger,
                "the store is gone or older than the ledger: it is brought up; events of open batches \
             may be sent twice"
            );
        }
        // The start says what it does about a doubt.
        Way::New | Way::Ledger | Way::Doubt => {}
    }
}

/// Whether a stop explains that the store has no record after this one.
fn is_as_a_stop_leaves_it(store: u64, reading: &Reading, picture: &Picture) -> bool {
    let behind = picture.number.saturating_sub(store);
    if behind <= STOP_LEAVES_BEHIND {
        return true;
    }
    // It is brought up to several finished batches at once. A snapshot may stand among them, and hides
    // what was before it.
    let later = reading.records_after(store);
    let (mut finished, mut others) = (0, 0);
    for (_, _, record) in later {
        match record {
            Record::OutputFinished { .. } => finished += 1,
            _ => others += 1,
        }
    }
    others == 0 && finished <= FINISHED_AT_ONCE as u64 && behind <= finished + 1
}

/// Tells whether they were moved.
fn set_aside_segments(ledger: &Ledger, quarantine: &Path) -> bool {
    match ledger.set_aside_others(quarantine) {
        Ok(folder) => {
            tracing::warn!(
                folder = %folder.display(),
                "what is left of the ledger is moved there"
            );
            true
        }
        // They are passed over at the next start, and removed in time.
        Err(error) => {
            tracing::warn!(%error, "what is left of the ledger cannot be moved to quarantine/");
            false
        }
    }
}

#[cfg(test)]
mod tests;
