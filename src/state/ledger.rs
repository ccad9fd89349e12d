//! The ledger: an append-only log of what happened, and the truth.
//!
//! A record is a line of JSON that ends with its own CRC, so that anyone can read it and a torn or
//! flipped one is noticed. A segment opens with a snapshot, so that only the last one is read.

mod history;
mod line;
mod lines;
mod reading;

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::picture::Picture;
use super::record::Record;
use crate::crash::{self, Point};
use crate::disk::{self, Disk, DiskFile};
pub use history::HistoryLine;
pub(super) use history::{history, recent};
use line::WrittenSnapshot;
pub(super) use reading::Reading;

/// A segment is closed when its records have grown to this: a start reads those of the last one.
const SEGMENT_BYTES: u64 = 1 << 20;
/// Or to this part of the snapshot that opens it, if that is more: a large one is not written again for a
/// few records, neither by who runs nor by the next start. The sequences' snapshots are small.
const SNAPSHOT_SHARE: u64 = if cfg!(test) { 1 } else { 8 };
/// No segment is longer: one is closed when it is full, and a snapshot takes some hundred bytes for each
/// batch that is owed. Of a longer one nothing is read.
const MAX_SEGMENT_BYTES: u64 = 256 << 20;
/// Segments are kept for people to look at, and for who asks what was before, as long as they are not more
/// than so many of these bytes: the larger the snapshots, the fewer records.
const KEEP_FULL_SEGMENTS: u64 = 64;
/// Nearly each start begins one: so many are kept at most.
const MAX_SEGMENTS: usize = 64;
/// The last, and one more in case that its snapshot is damaged.
const MIN_SEGMENTS: usize = 2;
/// No segment has this number, however long an agent runs.
const MAX_SEGMENT: u64 = 1_000_000_000_000;

/// The open ledger.
#[derive(Debug)]
pub struct Ledger {
    disk: Disk,
    folder: PathBuf,
    segment: u64,
    /// None after a failed write: what lies on disk is not known, so a new segment is begun.
    file: Option<Box<dyn DiskFile>>,
    /// The next record follows what was read: the segment is opened with it.
    goes_on: bool,
    /// Bytes of the snapshot that opens the segment.
    snapshot_bytes: u64,
    /// Bytes of the records behind it.
    record_bytes: u64,
    segment_bytes: u64,
    number: u64,
}

/// The ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenLedgerError {
    /// The disk fails.
    #[error("the ledger {path:?} cannot be read or written: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A record was not written: as far as the state goes, it did not happen.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk fails.
    #[error("the ledger {path:?} cannot be written: {source}; free space or mend the disk")]
    Io {
        /// The segment.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record is there, and it took so long that its time says little.
    #[error(
        "the disk takes {took:?} to make a ledger record durable, too long for a poll to be told of in time; \
         look at the disk"
    )]
    Slow {
        /// How long the last one took.
        took: std::time::Duration,
    },
    /// The record cannot be put in words.
    #[error("a ledger record cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

impl Ledger {
    /// Goes on with the ledger that was read, from what is told now. Where anything is wrong with
    /// what was read, or `picture` is not what it tells, a new segment is begun. The next record begins one
    /// too, unless that would tell a large snapshot again, and the ledger is known to be durable up to its
    /// last record (`durable`).
    pub(super) fn go_on(
        disk: &Disk,
        folder: &Path,
        reading: &Reading,
        picture: &Picture,
        durable: Option<u64>,
        now: DateTime<Utc>,
    ) -> Result<Self, OpenLedgerError> {
        Self::go_on_with(disk, folder, reading, picture, durable, now, SEGMENT_BYTES)
    }

    fn go_on_with(
        disk: &Disk,
        folder: &Path,
        reading: &Reading,
        picture: &Picture,
        durable: Option<u64>,
        now: DateTime<Utc>,
        segment_bytes: u64,
    ) -> Result<Self, OpenLedgerError> {
        let io_error = |source| OpenLedgerError::Io {
            path: folder.to_owned(),
            source,
        };
        let mut ledger = Self {
            disk: disk.clone(),
            folder: folder.to_owned(),
            segment: reading.last_segment,
            file: None,
            goes_on: false,
            snapshot_bytes: 0,
            record_bytes: 0,
            segment_bytes,
            number: picture.number,
        };
        if reading.tells_all(picture.number) {
            // The next record begins a segment: what a process wrote that was killed, or whose sync failed,
            // may not be durable, and no sync of that file can be trusted any more.
            if durable == Some(picture.number)
                && let Some(end) = reading.end_with(picture.number)
                && end.record_bytes <= end.snapshot_bytes / SNAPSHOT_SHARE
            {
                ledger.goes_on = true;
                ledger.snapshot_bytes = end.snapshot_bytes;
                ledger.record_bytes = end.record_bytes;
            }
            return Ok(ledger);
        }
        ledger
            .begin_segment(now, picture)
            .map_err(|error| match error {
                AppendError::Io { path, source } => OpenLedgerError::Io { path, source },
                error => io_error(io::Error::other(error)),
            })?;
        Ok(ledger)
    }

    /// Whether the ledger that was read is known to be durable, or a new segment tells it.
    pub(super) fn is_durable(&self) -> bool {
        self.file.is_some() || self.goes_on
    }

    /// Moves all segments but the open one to a folder in `quarantine`; gives its path.
    pub(super) fn set_aside_others(&self, quarantine: &Path) -> io::Result<PathBuf> {
        let name = self.disk.free_name(quarantine, |n| format!("ledger-{n}"))?;
        let folder = quarantine.join(name);
        self.disk.create_folders(&folder)?;
        let others = segments(&self.disk, &self.folder)?;
        for segment in others.into_iter().filter(|other| *other != self.segment) {
            let to = folder.join(segment_name(segment));
            self.disk.rename(&self.path(segment), &to)?;
            crash::point(Point::SegmentSetAside);
        }
        Ok(folder)
    }

    /// Appends a record to what `before` tells, and gives its number. When this returns the record
    /// is durable; when it fails, it never was.
    pub fn append(
        &mut self,
        now: DateTime<Utc>,
        record: &Record,
        before: &Picture,
    ) -> Result<u64, AppendError> {
        if std::mem::take(&mut self.goes_on) {
            self.open_again();
        }
        if self.file.is_none() || self.is_full() {
            self.begin_segment(now, before)?;
        }
        self.write(|file, number| {
            let line = line::encode(number, now, record)?;
            put_record(file, &line).map_err(serde_json::Error::io)?;
            Ok(line.len() as u64)
        })
    }

    /// Opens the last segment, unless that cannot be, or somebody has touched it since it was read.
    fn open_again(&mut self) {
        let path = self.path(self.segment);
        let opened = self.disk.metadata(&path).and_then(|there| {
            let is_as_it_was = there.bytes == self.snapshot_bytes + self.record_bytes;
            let file = is_as_it_was.then(|| self.disk.append_file(&path));
            file.transpose()
        });
        match opened {
            Ok(file) => self.file = file,
            Err(error) => tracing::debug!(
                %error,
                file = %path.display(),
                "the ledger's last segment cannot be opened; the next one is begun"
            ),
        }
    }

    /// Whether the segment has as many records as it may.
    fn is_full(&self) -> bool {
        let share = self.snapshot_bytes / SNAPSHOT_SHARE;
        self.record_bytes >= self.segment_bytes.max(share)
    }

    /// Begins a segment with what the records so far tell.
    pub(super) fn begin_segment(
        &mut self,
        now: DateTime<Utc>,
        picture: &Picture,
    ) -> Result<(), AppendError> {
        self.file = None;
        self.goes_on = false;
        let segment = self.segment + 1;
        let path = self.path(segment);
        // Whatever becomes of the file, its name is used up.
        self.segment = segment;
        let begin = || {
            let file = self.disk.create_file(&path)?;
            self.disk.sync_folder(&self.folder).inspect_err(|_| {
                let _ = self.disk.remove_file(&path);
            })?;
            crash::point(Point::SegmentMade);
            Ok(file)
        };
        let file = begin().map_err(|source| AppendError::Io {
            path: path.clone(),
            source,
        })?;
        self.file = Some(file);
        self.record_bytes = 0;
        let snapshot = WrittenSnapshot::Snapshot { picture };
        let put = |file: &mut dyn DiskFile, number| line::write(file, number, now, &snapshot);
        if let Err(error) = self.write(put) {
            // On a full disk there is a new try every few seconds; they must not pile up. Where it
            // cannot be removed, it is passed over when it is read.
            let _ = self.disk.remove_file(&self.path(segment));
            return Err(error);
        }
        self.snapshot_bytes = std::mem::take(&mut self.record_bytes);
        crash::point(Point::SnapshotWritten);
        self.remove_old_segments();
        Ok(())
    }

    /// Writes a line, durably, and gives its number; `put` gives how many bytes it has.
    fn write(
        &mut self,
        put: impl FnOnce(&mut dyn DiskFile, u64) -> Result<u64, serde_json::Error>,
    ) -> Result<u64, AppendError> {
        let number = self.number + 1;
        let path = self.path(self.segment);
        let io_error = |source| AppendError::Io { path, source };
        // Taken out, and put back only when all went well.
        let Some(mut file) = self.file.take() else {
            return Err(io_error(io::Error::other("no segment is open")));
        };
        let bytes = match put(&mut *file, number) {
            Ok(bytes) => bytes,
            Err(error) if error.is_io() => return Err(io_error(error.into())),
            Err(error) => return Err(error.into()),
        };
        crash::point(Point::RecordWritten);
        disk::sync(&mut *file).map_err(io_error)?;
        crash::point(Point::RecordSynced);
        self.file = Some(file);
        self.record_bytes += bytes;
        self.number = number;
        Ok(number)
    }

    fn remove_old_segments(&self) {
        let segments = segments(&self.disk, &self.folder).unwrap_or_default();
        let (mut count, mut bytes) = (0_usize, 0_u64);
        for segment in segments.into_iter().rev() {
            let found = self.disk.metadata(&self.path(segment));
            bytes = bytes.saturating_add(found.map_or(0, |found| found.bytes));
            count += 1;
            if count <= MIN_SEGMENTS
                || (count <= MAX_SEGMENTS && bytes <= KEEP_FULL_SEGMENTS * self.segment_bytes)
            {
                continue;
            }
            if let Err(error) = self.disk.remove_file(&self.path(segment)) {
                tracing::warn!(%error, segment, "an old ledger segment cannot be removed");
            }
            crash::point(Point::OldSegmentRemoved);
        }
    }

    /// The number of the last record or snapshot that was written.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(segment_name(segment))
    }
}

fn segment_name(segment: u64) -> String {
    format!("{segment:08}.jsonl")
}

fn put_record(file: &mut dyn DiskFile, line: &[u8]) -> io::Result<()> {
    crash::torn(Point::RecordTorn, file, line)?;
    file.write_all(line)
}

/// The numbers of the segments, oldest first.
fn segments(disk: &Disk, folder: &Path) -> io::Result<Vec<u64>> {
    let mut segments = Vec::new();
    for name in disk.names(folder)? {
        let number = name.strip_suffix(".jsonl");
        let number = number.and_then(|number| number.parse::<u64>().ok());
        // What has another name was not made here.
        let is_ours = |number: &u64| *number < MAX_SEGMENT && segment_name(*number) == name;
        segments.extend(number.filter(is_ours));
    }
    segments.sort_unstable();
    Ok(segments)
}

#[cfg(test)]
mod tests;
