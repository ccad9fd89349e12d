//! The current picture in a table: checkpoints, gates, what is owed, and the cursors inside batches.
//!
//! The ledger is the truth: sled 0.34 opens a damaged file without an error and may show an older
//! state, so its number is compared with the ledger's at each start.

#[cfg(test)]
pub(crate) mod memory;
mod sled_table;
mod table;

use std::io;
use std::path::Path;

use super::picture::Picture;
use super::record::Record;
use super::work::{StoredReceipt, WorkChanges};
use crate::delivery::{Progress, ReceiptKey};
use crate::storage::Storage;

pub use sled_table::SledTables;
pub use table::{Changes, KeyValue, StoreError, Table, Tables};

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
    table: Box<dyn Table>,
}

impl Store {
    /// Opens the store, and tells the last record that is in it; the caller brings it up to the
    /// ledger.
    pub(super) fn open(
        storage: &Storage,
        path: &Path,
        quarantine: &Path,
    ) -> Result<(Self, Option<u64>), StoreError> {
        let tables = &*storage.tables;
        let opened = tables
            .open(path)
            .and_then(|table| Ok((number(&*table)?, table)));
        let (found, table) = match opened {
            Ok(opened) => opened,
            Err(StoreError::Io(error)) if is_the_machines(&error) => return Err(error.into()),
            Err(error) => {
                tracing::error!(
                    %error,
                    store = %path.display(),
                    "the store cannot be opened: it is moved to quarantine/ and made anew from the \
                     ledger; events of open batches may be sent twice"
                );
                tables.set_aside(&storage.disk, path, quarantine)?;
                (None, tables.open(path)?)
            }
        };
        Ok((Self { table }, found))
    }

    /// Brings what a record has changed up to `picture`.
    pub(super) fn apply(&self, record: &Record, picture: &Picture) -> Result<(), StoreError> {
        let mut changes = Changes::default();
        match record {
            Record::PollStarted { gate, .. } | Record::PollAnswered { gate, .. } => {
                put(&mut changes, prefix::GATE, gate, picture.gates.get(gate));
            }
            Record::Polled { key, seq, .. } => {
                put_collection(&mut changes, &key.to_string(), picture);
                let offset = picture.clock_offsets_ms.get(&key.service);
                put(&mut changes, prefix::CLOCK, &key.service, offset);
                if let Some(seq) = seq {
                    put_batch(&mut changes, *seq, picture);
                }
            }
            Record::PollFailed { key, .. }
            | Record::WindowAbandoned { key, .. }
            | Record::CheckpointSet { key, .. } => {
                put_collection(&mut changes, &key.to_string(), picture);
            }
            Record::OutputFinished { output, seq, .. } => {
                put_output(&mut changes, output, picture);
                put_batch(&mut changes, *seq, picture);
                changes.remove(cursor_key(output, *seq).as_bytes());
            }
            Record::Damaged { seq, .. }
            | Record::Mended { seq, .. }
            | Record::RepairFailed { seq, .. } => put_batch(&mut changes, *seq, picture),
            Record::RepairEnded { key, settles, .. } => {
                put_collection(&mut changes, &key.to_string(), picture);
                put_batch(&mut changes, settles.seq, picture);
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
        put_number(&mut changes, picture);
        self.table.apply(&changes)
    }

    /// Writes the whole picture; cursors of batches that are still owed stay.
    pub(super) fn rebuild(&self, picture: &Picture) -> Result<(), StoreError> {
        let mut changes = Changes::default();
        for (key, _) in self.table.scan(b"")? {
            if !is_open_cursor(&key, picture) && !is_open_receipt(&key, picture) {
                changes.remove(&key);
            }
        }
        for key in picture.collections.keys() {
            put_collection(&mut changes, key, picture);
        }
        for (gate, at) in &picture.gates {
            put(&mut changes, prefix::GATE, gate, Some(at));
        }
        for (service, offset) in &picture.clock_offsets_ms {
            put(&mut changes, prefix::CLOCK, service, Some(offset));
        }
        for output in picture.outputs.keys() {
            put_output(&mut changes, output, picture);
        }
        for seq in picture.batches.keys() {
            put_batch(&mut changes, *seq, picture);
        }
        put_number(&mut changes, picture);
        self.table.apply(&changes)
    }

    /// How far an output is inside a batch; where nothing is known, at the start.
    pub(super) fn progress(&self, output: &str, seq: u64) -> Progress {
        let stored = self
            .table
            .get(cursor_key(output, seq).as_bytes())
            .ok()
            .flatten();
        stored
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default()
    }

    /// Keeps what has changed in an output's work, durably.
    pub(super) fn keep(&self, output: &str, work: &WorkChanges) -> Result<(), StoreError> {
        let mut changes = Changes::default();
        for (seq, progress) in &work.progress {
            changes.put(cursor_key(output, *seq).as_bytes(), json(progress));
        }
        for receipt in &work.accepted {
            changes.put(receipt_key(output, receipt.key()).as_bytes(), json(receipt));
        }
        for key in &work.settled {
            changes.remove(receipt_key(output, *key).as_bytes());
        }
        self.table.apply(&changes)
    }

    /// What an output's peers have accepted and not acknowledged.
    pub(super) fn receipts(&self, output: &str) -> Vec<StoredReceipt> {
        let prefix = format!("{}/{output}/", prefix::RECEIPT);
        let stored = self.table.scan(prefix.as_bytes()).unwrap_or_default();
        stored
            .iter()
            .filter_map(|(_, json)| serde_json::from_slice(json).ok())
            .collect()
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

fn number(table: &dyn Table) -> Result<Option<u64>, StoreError> {
    let stored = table.get(NUMBER.as_bytes())?;
    Ok(stored.and_then(|json| serde_json::from_slice(&json).ok()))
}

fn put_number(changes: &mut Changes, picture: &Picture) {
    changes.put(NUMBER.as_bytes(), json(&picture.number));
}

fn put_collection(changes: &mut Changes, key: &str, picture: &Picture) {
    put(
        changes,
        prefix::COLLECTION,
        key,
        picture.collections.get(key),
    );
}

fn put_output(changes: &mut Changes, output: &str, picture: &Picture) {
    put(changes, prefix::OUTPUT, output, picture.outputs.get(output));
}

fn put_batch(changes: &mut Changes, seq: u64, picture: &Picture) {
    put(
        changes,
        prefix::BATCH,
        &seq.to_string(),
        picture.batches.get(&seq),
    );
}

fn put<T: serde::Serialize>(changes: &mut Changes, prefix: &str, name: &str, value: Option<&T>) {
    let key = format!("{prefix}/{name}");
    match value {
        Some(value) => changes.put(key.as_bytes(), json(value)),
        None => changes.remove(key.as_bytes()),
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
