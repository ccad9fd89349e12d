//! The current picture in sled: checkpoints, gates, what is owed, and the cursors inside batches.
//!
//! Only this file names sled. The ledger is the truth: sled 0.34 opens a damaged file without an
//! error and may show an older state, so its number is compared with the ledger's at each start.

use std::io;
use std::path::{Path, PathBuf};

use super::picture::Picture;
use super::record::Record;
use super::work::{StoredReceipt, WorkChanges};
use crate::delivery::{Progress, ReceiptKey};
use crate::disk::Disk;

/// The store cannot be read or written.
pub type StoreError = sled::Error;

/// Keys begin with one of these and a slash.
mod prefix {
    pub(super) const COLLECTION: &str = "collection";
    pub(super) const GATE: &str = "gate";
    pub(super) const CLOCK: &str = "clock";
    pub(super) const OUTPUT: &str = "output";
    pub(super) const BATCH: &str = "batch";
    pub(super) const CURSOR: &str = "cursor";
    pub(super) const RECEIPT: &str = "receipt";
}

/// The number of the last record that is in the store.
const NUMBER: &str = "number";

/// The open store.
#[derive(Debug)]
pub(super) struct Store {
    db: sled::Db,
}

impl Store {
    /// Opens the store, and tells the last record that is in it; the caller brings it up to the
    /// ledger.
    pub(super) fn open(
        disk: &Disk,
        path: &Path,
        quarantine: &Path,
    ) -> sled::Result<(Self, Option<u64>)> {
        let opened = Self::open_db(path).and_then(|db| Ok((number(&db)?, db)));
        let (found, db) = match opened {
            Ok(opened) => opened,
            Err(sled::Error::Io(error)) if is_the_machines(&error) => {
                return Err(sled::Error::Io(error));
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    store = %path.display(),
                    "the store cannot be opened: it is moved to quarantine/ and made anew from the \
                     ledger; events of open batches may be sent twice"
                );
                disk.create_folders(quarantine)?;
                disk.rename(path, &free_name(disk, quarantine)?)?;
                (None, Self::open_db(path)?)
            }
        };
        Ok((Self { db }, found))
    }

    fn open_db(path: &Path) -> sled::Result<sled::Db> {
        sled::Config::new()
            .path(path)
            .cache_capacity(8 << 20)
            .flush_every_ms(None)
            .open()
    }

    /// Brings what a record has changed up to `picture`.
    pub(super) fn apply(&self, record: &Record, picture: &Picture) -> sled::Result<()> {
        let mut batch = sled::Batch::default();
        match record {
            Record::PollStarted { gate, .. } | Record::PollAnswered { gate, .. } => {
                put(&mut batch, prefix::GATE, gate, picture.gates.get(gate));
            }
            Record::Polled { key, seq, .. } => {
                put_collection(&mut batch, &key.to_string(), picture);
                let offset = picture.clock_offsets_ms.get(&key.service);
                put(&mut batch, prefix::CLOCK, &key.service, offset);
                if let Some(seq) = seq {
                    put_batch(&mut batch, *seq, picture);
                }
            }
            Record::PollFailed { key, .. } | Record::WindowAbandoned { key, .. } => {
                put_collection(&mut batch, &key.to_string(), picture);
            }
            Record::OutputFinished { output, seq, .. } => {
                put_output(&mut batch, output, picture);
                put_batch(&mut batch, *seq, picture);
                batch.remove(cursor_key(output, *seq).as_bytes());
            }
            Record::Damaged { seq, .. }
            | Record::Mended { seq, .. }
            | Record::RepairFailed { seq, .. } => put_batch(&mut batch, *seq, picture),
            Record::RepairEnded { key, settles, .. } => {
                put_collection(&mut batch, &key.to_string(), picture);
                put_batch(&mut batch, settles.seq, picture);
            }
            Record::Snapshot { .. }
            | Record::BatchAdded { .. }
            | Record::LettersRemoved { .. }
            | Record::LettersCleared
            | Record::OutputAdded { .. }
            | Record::OutputForgotten { .. }
            | Record::Doubted
            | Record::Recovered { .. } => return self.rebuild(picture),
        }
        put_number(&mut batch, picture);
        self.db.apply_batch(batch)?;
        self.db.flush().map(drop)
    }

    /// Writes the whole picture; cursors of batches that are still owed stay.
    pub(super) fn rebuild(&self, picture: &Picture) -> sled::Result<()> {
        let mut batch = sled::Batch::default();
        for entry in self.db.iter() {
            let (key, _) = entry?;
            if !is_open_cursor(&key, picture) && !is_open_receipt(&key, picture) {
                batch.remove(key);
            }
        }
        for key in picture.collections.keys() {
            put_collection(&mut batch, key, picture);
        }
        for (gate, at) in &picture.gates {
            put(&mut batch, prefix::GATE, gate, Some(at));
        }
        for (service, offset) in &picture.clock_offsets_ms {
            put(&mut batch, prefix::CLOCK, service, Some(offset));
        }
        for output in picture.outputs.keys() {
            put_output(&mut batch, output, picture);
        }
        for seq in picture.batches.keys() {
            put_batch(&mut batch, *seq, picture);
        }
        put_number(&mut batch, picture);
        self.db.apply_batch(batch)?;
        self.db.flush().map(drop)
    }

    /// How far an output is inside a batch; where nothing is known, at the start.
    pub(super) fn progress(&self, output: &str, seq: u64) -> Progress {
        let stored = self.db.get(cursor_key(output, seq)).ok().flatten();
        stored
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default()
    }

    /// Keeps what has changed in an output's work, durably.
    pub(super) fn keep(&self, output: &str, changes: &WorkChanges) -> sled::Result<()> {
        let mut batch = sled::Batch::default();
        for (seq, progress) in &changes.progress {
            batch.insert(cursor_key(output, *seq).as_bytes(), json(progress));
        }
        for receipt in &changes.accepted {
            batch.insert(receipt_key(output, receipt.key()).as_bytes(), json(receipt));
        }
        for key in &changes.settled {
            batch.remove(receipt_key(output, *key).as_bytes());
        }
        self.db.apply_batch(batch)?;
        self.db.flush().map(drop)
    }

    /// What an output's peers have accepted and not acknowledged.
    pub(super) fn receipts(&self, output: &str) -> Vec<StoredReceipt> {
        let prefix = format!("{}/{output}/", prefix::RECEIPT);
        let stored = self.db.scan_prefix(prefix).values();
        stored
            .filter_map(|json| serde_json::from_slice(&json.ok()?).ok())
            .collect()
    }
}

/// A place in `quarantine/` that nothing has yet.
fn free_name(disk: &Disk, quarantine: &Path) -> io::Result<PathBuf> {
    let mut n = 1_u64;
    loop {
        let name = quarantine.join(format!("state.sled-{n}"));
        if !disk.exists(&name)? {
            return Ok(name);
        }
        n += 1;
    }
}

/// Whether the store itself may be whole: the machine has no room for it, or no right to it.
fn is_the_machines(error: &io::Error) -> bool {
    /// Too many open files, in this process or on this machine.
    const NO_DESCRIPTORS: [i32; 2] = [24, 23];
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::OutOfMemory
    ) || error
        .raw_os_error()
        .is_some_and(|code| NO_DESCRIPTORS.contains(&code))
}

fn number(db: &sled::Db) -> sled::Result<Option<u64>> {
    let stored = db.get(NUMBER)?;
    Ok(stored.and_then(|json| serde_json::from_slice(&json).ok()))
}

fn put_number(batch: &mut sled::Batch, picture: &Picture) {
    batch.insert(NUMBER, json(&picture.number));
}

fn put_collection(batch: &mut sled::Batch, key: &str, picture: &Picture) {
    put(batch, prefix::COLLECTION, key, picture.collections.get(key));
}

fn put_output(batch: &mut sled::Batch, output: &str, picture: &Picture) {
    put(batch, prefix::OUTPUT, output, picture.outputs.get(output));
}

fn put_batch(batch: &mut sled::Batch, seq: u64, picture: &Picture) {
    put(
        batch,
        prefix::BATCH,
        &seq.to_string(),
        picture.batches.get(&seq),
    );
}

fn put<T: serde::Serialize>(batch: &mut sled::Batch, prefix: &str, name: &str, value: Option<&T>) {
    let key = format!("{prefix}/{name}");
    match value {
        Some(value) => batch.insert(key.as_bytes(), json(value)),
        None => batch.remove(key.as_bytes()),
    }
}

fn cursor_key(output: &str, seq: u64) -> String {
    format!("{}/{output}/{seq}", prefix::CURSOR)
}

fn receipt_key(output: &str, (channel, ack_id): ReceiptKey) -> String {
    format!("{}/{output}/{channel}/{ack_id}", prefix::RECEIPT)
}

/// Whether the output may still ask for it: it knows which batches are worth it.
fn is_open_receipt(key: &[u8], picture: &Picture) -> bool {
    let open = || {
        let key = std::str::from_utf8(key).ok()?;
        let rest = key.strip_prefix(prefix::RECEIPT)?.strip_prefix('/')?;
        let (output, _) = rest.split_once('/')?;
        Some(picture.outputs.contains_key(output))
    };
    open().unwrap_or(false)
}

fn is_open_cursor(key: &[u8], picture: &Picture) -> bool {
    let open = || {
        let key = std::str::from_utf8(key).ok()?;
        let (output, seq) = key
            .strip_prefix(prefix::CURSOR)?
            .strip_prefix('/')?
            .rsplit_once('/')?;
        let batch = picture.batches.get(&seq.parse().ok()?)?;
        Some(batch.outputs.contains(output))
    };
    open().unwrap_or(false)
}

/// Numbers, texts and plain structures always have a JSON form.
fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
