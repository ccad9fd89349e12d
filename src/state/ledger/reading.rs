//! What the segments tell, read at the start: the newest snapshot, the records after it, and the
//! lines that cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::line::{Entry, MAX_SNAPSHOT_KEY_BYTES, claimed_number, decode, snapshot_number};
use super::lines::{Line, Lines};
use super::{MAX_SEGMENT_BYTES, OpenLedgerError, segment_name, segments};
use crate::disk::Disk;
use crate::state::picture::Picture;
use crate::state::record::Record;

/// More missing numbers in one place than this need no list.
const MAX_LISTED: usize = 1000;

/// What the segments tell.
#[derive(Debug, Default)]
pub(in crate::state) struct Reading {
    /// The number of the newest snapshot that can be read.
    base: Option<u64>,
    /// That snapshot, until it is taken.
    snapshot: Option<Picture>,
    /// Lines that cannot be read though they end, in order.
    pub(in crate::state) damaged: Vec<DamagedLine>,
    /// Damaged lines of which not even the number is known: they may be of any record at the end.
    pub(in crate::state) unplaced: u64,
    /// The last segment, by its name.
    pub(super) last_segment: u64,
    /// Whether a line was ever written to its end.
    pub(in crate::state) has_lines: bool,
    /// By their numbers; without a snapshot all that can be read.
    records: BTreeMap<u64, (DateTime<Utc>, Record)>,
    /// Numbers of snapshots that cannot be read: they tell what the records before them do.
    snapshots: BTreeSet<u64>,
    /// A line is wrong, if only because its writing was cut short.
    is_flawed: bool,
    /// The last segment that was read.
    end: End,
}

/// A segment that was read, and what of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct End {
    segment: u64,
    /// Bytes of the newest snapshot, if that opens it.
    pub(super) snapshot_bytes: u64,
    /// Bytes of the lines behind it.
    pub(super) record_bytes: u64,
    /// The number in its last line.
    number: u64,
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::state) struct DamagedLine {
    /// The segment's file.
    pub(in crate::state) file: PathBuf,
    /// The line, from 1.
    pub(in crate::state) line: usize,
}

impl Reading {
    /// Reads the ledger in `folder`, which is made if it is not there. What cannot be read because
    /// the disk fails is an error; what is damaged is told.
    pub(in crate::state) fn read(disk: &Disk, folder: &Path) -> Result<Self, OpenLedgerError> {
        let io_error = |source| OpenLedgerError::Io {
            path: folder.to_owned(),
            source,
        };
        disk.create_folders(folder).map_err(io_error)?;
        let mut reading = Self::default();
        let mut found = Vec::new();
        for segment in segments(disk, folder).map_err(io_error)? {
            reading.last_segment = segment;
            let path = folder.join(segment_name(segment));
            match disk.metadata(&path) {
                Ok(there) if there.is_folder => reading.is_flawed = true,
                Ok(there) if there.bytes > MAX_SEGMENT_BYTES => reading.too_large(path),
                Ok(_) => found.push((segment, claimed_snapshot(disk, &path))),
                Err(error) => found.push((segment, Err(error))),
            }
        }
        // A damaged snapshot costs no record: the segments before it tell the same. A copy of an old
        // segment under a new name tells nothing new.
        let newest = newest_snapshot(disk, folder, &mut found);
        let mut begun = None;
        if let Some(newest) = newest {
            reading.snapshot = Some(newest.picture);
            begun = newest.rest.map(|rest| (newest.end, rest));
        }
        reading.base = reading.snapshot.as_ref().map(|newest| newest.number);
        let newest = reading.base;
        let snapshots = found.iter().map(|(_, snapshot)| snapshot.as_ref().ok());
        let mut opens_it = snapshots.map(|snapshot| snapshot == Some(&newest));
        let first = newest
            .and_then(|_| opens_it.position(|opens| opens))
            .unwrap_or(0);
        let mut needed = Vec::new();
        for (index, (segment, mut snapshot)) in found.into_iter().enumerate() {
            let path = || folder.join(segment_name(segment));
            if index >= first && matches!(snapshot, Ok(Some(number)) if Some(number) != newest) {
                // An older one, if that is true: what follows a damaged one is needed.
                snapshot = opening_snapshot(disk, &path());
            }
            match snapshot {
                Ok(snapshot) if index >= first && snapshot.is_none_or(|it| Some(it) == newest) => {
                    needed.push(segment);
                }
                Ok(_) => {}
                Err(source) if index >= first => {
                    let path = path();
                    return Err(OpenLedgerError::Io { path, source });
                }
                Err(error) => tracing::warn!(
                    file = %path().display(),
                    %error,
                    "an old segment of the ledger cannot be read; a newer one tells all that it told. \
                     Look at the disk"
                ),
            }
        }
        for segment in needed {
            let path = folder.join(segment_name(segment));
            let read = match begun.take_if(|(end, _)| end.segment == segment) {
                Some((end, rest)) => {
                    reading.has_lines = true;
                    reading.segment(rest, &path, end)
                }
                None => {
                    let end = End {
                        segment,
                        ..End::default()
                    };
                    Lines::open(disk, &path).and_then(|lines| reading.segment(lines, &path, end))
                }
            };
            read.map_err(|source| OpenLedgerError::Io { path, source })?;
        }
        let base = reading.base.unwrap_or(0);
        reading.records.retain(|number, _| *number > base);
        Ok(reading)
    }

    /// The number of the last record that can be read; 0 if there is none.
    pub(in crate::state) fn last_number(&self) -> u64 {
        let base = self.base.unwrap_or(0);
        let last = self.records.keys().next_back().copied();
        let snapshot = self.snapshots.iter().next_back().copied();
        base.max(last.unwrap_or(0)).max(snapshot.unwrap_or(0))
    }

    /// The numbers after this one, up to the last that is known, of which nothing can be read.
    pub(in crate::state) fn missing_after(&self, number: u64) -> Vec<u64> {
        let mut missing = Vec::new();
        let known: BTreeSet<u64> = self
            .records
            .keys()
            .chain(&self.snapshots)
            .copied()
            .collect();
        let mut next = number + 1;
        for known in known.range(next..) {
            missing.extend((next..*known).take(MAX_LISTED));
            next = known + 1;
        }
        missing
    }

    /// The records after this number, in order.
    pub(in crate::state) fn records_after(
        &self,
        number: u64,
    ) -> impl Iterator<Item = (u64, DateTime<Utc>, &Record)> {
        let records = self.records.range(number + 1..);
        records.map(|(number, (at, record))| (*number, *at, record))
    }

    /// The newest snapshot that can be read, once: it is as large as all that waits.
    pub(in crate::state) fn take_snapshot(&mut self) -> Option<Picture> {
        self.snapshot.take()
    }

    /// Whether no record is missing, as far as the ledger itself can tell.
    pub(in crate::state) fn is_whole(&self) -> bool {
        let is_whole = self
            .base
            .is_some_and(|number| self.missing_after(number).is_empty());
        is_whole && self.damaged.is_empty() && self.unplaced == 0
    }

    /// Whether nothing is wrong with what was read, and it tells all up to this number.
    pub(super) fn tells_all(&self, number: u64) -> bool {
        !self.is_flawed && self.base.is_some() && self.last_number() == number
    }

    /// Where the last segment ends, if nothing is wrong with what was read and this is the last number.
    pub(super) fn end_with(&self, number: u64) -> Option<End> {
        let is_of_it = self.end.number == number && self.end.segment == self.last_segment;
        let nothing_is_wrong = self.tells_all(number) && self.is_whole();
        (nothing_is_wrong && is_of_it).then_some(self.end)
    }

    /// It was not written here, or something was put behind its end: whatever it told may be missing.
    fn too_large(&mut self, file: PathBuf) {
        self.is_flawed = true;
        self.has_lines = true;
        self.unplaced += 1;
        self.damaged.push(DamagedLine { file, line: 1 });
    }

    /// Reads a segment, or what of it was not read yet; up to `end` it was.
    fn segment(&mut self, mut lines: Lines, path: &Path, end: End) -> io::Result<()> {
        self.end = end;
        // Those since the last line that could be read.
        let mut damaged = 0_u64;
        while let Some(Line {
            number,
            text,
            is_ended,
        }) = lines.next()?
        {
            self.has_lines |= is_ended;
            self.is_flawed |= !is_ended;
            let bytes = text.len() as u64 + 1;
            if number == 1 && self.base.is_some() && snapshot_number(text) == self.base {
                // A copy of the one that was read, and as large as all that waits.
                self.end.snapshot_bytes = bytes;
                self.end.number = self.base.unwrap_or(0);
            } else if let Some(entry) = decode(text) {
                self.end.record_bytes += bytes;
                self.end.number = entry.number;
                let is_first = number as u64 - 1 == damaged;
                if is_first && damaged > 0 {
                    self.opens_with_damage(entry.number.saturating_sub(damaged));
                }
                damaged = 0;
                self.entry(entry);
            } else if is_ended {
                self.is_flawed = true;
                damaged += 1;
                self.damaged.push(DamagedLine {
                    file: path.to_owned(),
                    line: number,
                });
            } else {
                // Without its end it was never whole: as far as the state goes it did not happen.
                tracing::warn!(
                    file = %path.display(),
                    line = number,
                    "a ledger record was cut short while it was written, and is left out; a new \
                     segment is begun"
                );
            }
        }
        self.unplaced += damaged;
        Ok(())
    }

    /// The first line of a segment cannot be read: it was the snapshot of this number. A record
    /// before it with the same number was disowned.
    fn opens_with_damage(&mut self, number: u64) {
        self.records.remove(&number);
        self.snapshots.insert(number);
    }

    fn entry(&mut self, Entry { number, at, record }: Entry<Record>) {
        match record {
            Record::Snapshot { picture } => {
                if number >= self.base.unwrap_or(0) {
                    self.base = Some(number);
                    self.snapshot = Some(Picture { number, ..*picture });
                }
            }
            record => {
                self.records.insert(number, (at, record));
            }
        }
    }
}

/// A segment, and the number of the snapshot that it opens with, as far as its first bytes tell.
type Opening = (u64, io::Result<Option<u64>>);

/// The newest snapshot.
struct Newest {
    picture: Picture,
    /// Itself, in the segment that it opens.
    end: End,
    /// What comes behind it there; none if its line was cut short.
    rest: Option<Lines>,
}

/// The newest snapshot that can be read; one that cannot be is none.
fn newest_snapshot(disk: &Disk, folder: &Path, found: &mut [Opening]) -> Option<Newest> {
    loop {
        let known = found
            .iter()
            .filter_map(|(_, snapshot)| *snapshot.as_ref().ok()?);
        let newest = known.max()?;
        let opens_it =
            |opening: &&mut Opening| matches!(opening.1, Ok(Some(number)) if number == newest);
        for (segment, snapshot) in found.iter_mut().filter(opens_it) {
            let path = folder.join(segment_name(*segment));
            match read_snapshot(disk, &path, *segment) {
                Ok(Some(newest)) => return Some(newest),
                Ok(None) => *snapshot = Ok(None),
                Err(error) => *snapshot = Err(error),
            }
        }
    }
}

/// The snapshot that a segment opens with; none if it opens with none that is whole.
fn read_snapshot(disk: &Disk, path: &Path, segment: u64) -> io::Result<Option<Newest>> {
    let mut lines = Lines::open(disk, path)?;
    let Some(first) = lines.next()? else {
        return Ok(None);
    };
    let (is_ended, bytes) = (first.is_ended, first.text.len() as u64 + 1);
    let Some(Entry {
        number,
        record: Record::Snapshot { picture },
        ..
    }) = decode(first.text)
    else {
        return Ok(None);
    };
    Ok(Some(Newest {
        picture: Picture { number, ..*picture },
        end: End {
            segment,
            snapshot_bytes: bytes,
            record_bytes: 0,
            number,
        },
        rest: is_ended.then_some(lines),
    }))
}

/// The number of the snapshot that a segment opens with if that is whole: each is as large as all that
/// waits, and there are many segments.
fn claimed_snapshot(disk: &Disk, path: &Path) -> io::Result<Option<u64>> {
    let mut start = Vec::new();
    let file = disk.open_file(path)?;
    file.take(MAX_SNAPSHOT_KEY_BYTES as u64)
        .read_to_end(&mut start)?;
    Ok(claimed_number(&start))
}

/// The number of the snapshot that a segment opens with; none if it opens with none that is whole.
fn opening_snapshot(disk: &Disk, path: &Path) -> io::Result<Option<u64>> {
    let mut lines = Lines::open(disk, path)?;
    let first = lines.next()?;
    Ok(first.and_then(|first| snapshot_number(first.text)))
}
