//! The ledger: an append-only log of what happened, and the truth.
//!
//! A record is a line of JSON that ends with its own CRC, so that anyone can read it and a torn or
//! flipped one is noticed. A segment opens with a snapshot, so that only the last one is read.

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::picture::Picture;
use super::record::Record;
use crate::disk::{self, Disk, DiskFile};

/// A segment is closed when it has grown to this.
const SEGMENT_BYTES: u64 = 8 << 20;
/// Closed segments that are kept for people to look at.
const KEEP_SEGMENTS: usize = 8;

/// The open ledger.
#[derive(Debug)]
pub struct Ledger {
    disk: Disk,
    folder: PathBuf,
    segment: u64,
    /// None after a failed write: what lies on disk is not known, so a new segment is begun.
    file: Option<Box<dyn DiskFile>>,
    bytes: u64,
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
    /// There are segments, but none tells the whole state.
    #[error(
        "no segment of the ledger {path:?} opens with a snapshot that can be read: restore the \
         folder, or move the whole state folder away to begin anew"
    )]
    NoSnapshot {
        /// The folder.
        path: PathBuf,
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
    /// The record cannot be put in words.
    #[error("a ledger record cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

/// A record as it is written.
#[derive(Serialize, Deserialize)]
struct Entry<R> {
    number: u64,
    at: DateTime<Utc>,
    #[serde(flatten)]
    record: R,
}

/// What stands between the record and its CRC.
const CRC_KEY: &str = ",\"crc32\":\"";

impl Ledger {
    /// Opens the ledger in `folder`, or begins it; gives what it tells. Where a record is missing
    /// the picture says that it is in doubt.
    pub fn open(
        disk: &Disk,
        folder: &Path,
        now: DateTime<Utc>,
    ) -> Result<(Self, Picture), OpenLedgerError> {
        Self::open_with(disk, folder, now, SEGMENT_BYTES)
    }

    fn open_with(
        disk: &Disk,
        folder: &Path,
        now: DateTime<Utc>,
        segment_bytes: u64,
    ) -> Result<(Self, Picture), OpenLedgerError> {
        let io_error = |source| OpenLedgerError::Io {
            path: folder.to_owned(),
            source,
        };
        disk.create_folders(folder).map_err(io_error)?;
        let segments = segments(disk, folder).map_err(io_error)?;
        let mut ledger = Self {
            disk: disk.clone(),
            folder: folder.to_owned(),
            segment: segments.last().copied().unwrap_or(0),
            file: None,
            bytes: 0,
            segment_bytes,
            number: 0,
        };
        let mut reading = Reading::default();
        // The last snapshot that can be read, then whatever follows it: a damaged snapshot costs no
        // record, since the segments before it tell the same.
        let mut texts = Vec::new();
        for segment in segments.iter().rev().copied() {
            let path = ledger.path(segment);
            let text = disk.read(&path).map_err(io_error)?;
            let is_start = begins_with_snapshot(&text);
            texts.push((path, text));
            if is_start {
                break;
            }
        }
        for (path, text) in texts.iter().rev() {
            reading.segment(text, path);
        }
        let picture = match reading.picture {
            Some(picture) => picture,
            // The very first start may have been cut short.
            None if texts.iter().all(|(_, text)| !text.contains(&b'\n')) => Picture {
                next_seq: 1,
                ..Picture::default()
            },
            None => {
                return Err(OpenLedgerError::NoSnapshot {
                    path: folder.to_owned(),
                });
            }
        };
        // Only a segment without any flaw is written on; one without a snapshot is of no use.
        if let (false, Some((path, text)), 1) = (reading.is_flawed, texts.last(), texts.len())
            && !text.is_empty()
        {
            ledger.file = Some(disk.append_file(path).map_err(io_error)?);
            ledger.bytes = text.len() as u64;
        }
        ledger.number = picture.number;
        if ledger.file.is_none() {
            ledger
                .begin_segment(now, &picture)
                .map_err(|error| match error {
                    AppendError::Io { path, source } => OpenLedgerError::Io { path, source },
                    AppendError::Encode(source) => io_error(io::Error::other(source)),
                })?;
        }
        Ok((ledger, picture))
    }

    /// Appends a record to what `before` tells, and gives its number. When this returns the record
    /// is durable; when it fails, it never was.
    pub fn append(
        &mut self,
        now: DateTime<Utc>,
        record: &Record,
        before: &Picture,
    ) -> Result<u64, AppendError> {
        if self.file.is_none() || self.bytes >= self.segment_bytes {
            self.begin_segment(now, before)?;
        }
        self.write(now, record)
    }

    /// Begins a segment with what the records so far tell.
    pub(super) fn begin_segment(
        &mut self,
        now: DateTime<Utc>,
        picture: &Picture,
    ) -> Result<(), AppendError> {
        self.file = None;
        let segment = self.segment + 1;
        let path = self.path(segment);
        // Whatever becomes of the file, its name is used up.
        self.segment = segment;
        let begin = || {
            let file = self.disk.create_file(&path)?;
            self.disk.sync_folder(&self.folder).inspect_err(|_| {
                let _ = self.disk.remove_file(&path);
            })?;
            Ok(file)
        };
        let file = begin().map_err(|source| AppendError::Io {
            path: path.clone(),
            source,
        })?;
        self.file = Some(file);
        self.bytes = 0;
        let snapshot = Record::Snapshot {
            picture: Box::new(picture.clone()),
        };
        if let Err(error) = self.write(now, &snapshot) {
            // On a full disk there is a new try every few seconds; they must not pile up. Where it
            // cannot be removed, it is passed over when it is read.
            let _ = self.disk.remove_file(&self.path(segment));
            return Err(error);
        }
        self.remove_old_segments();
        Ok(())
    }

    fn write(&mut self, now: DateTime<Utc>, record: &Record) -> Result<u64, AppendError> {
        let number = self.number + 1;
        let line = encode(number, now, record)?;
        let path = self.path(self.segment);
        // Taken out, and put back only when all went well.
        let written = match self.file.take() {
            Some(mut file) => {
                disk::append(&mut *file, line.as_bytes()).map(|()| self.file = Some(file))
            }
            None => Err(io::Error::other("no segment is open")),
        };
        written.map_err(|source| AppendError::Io { path, source })?;
        self.bytes += line.len() as u64;
        self.number = number;
        Ok(number)
    }

    fn remove_old_segments(&self) {
        let segments = segments(&self.disk, &self.folder).unwrap_or_default();
        let surplus = segments.len().saturating_sub(KEEP_SEGMENTS);
        for segment in segments.into_iter().take(surplus) {
            if let Err(error) = self.disk.remove_file(&self.path(segment)) {
                tracing::warn!(%error, segment, "an old ledger segment cannot be removed");
            }
        }
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:08}.jsonl"))
    }
}

/// A line of the ledger, for who reads all of it.
#[derive(Debug)]
pub enum HistoryLine {
    /// A record.
    Record {
        /// Its number.
        number: u64,
        /// When it was written.
        at: DateTime<Utc>,
        /// What it says.
        record: Box<Record>,
    },
    /// A line that cannot be read.
    Damaged {
        /// The segment's file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
}

/// Reads all segments that are there, oldest first. What does not end with a line break was never
/// whole.
pub(super) fn history(
    disk: &Disk,
    folder: &Path,
    mut visit: impl FnMut(HistoryLine),
) -> io::Result<()> {
    for segment in segments(disk, folder)? {
        let file = format!("{segment:08}.jsonl");
        let text = match disk.read(&folder.join(&file)) {
            Ok(text) => text,
            // The oldest goes when a new one is begun.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for (index, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let Some(line) = line.strip_suffix(b"\n") else {
                continue;
            };
            let entry = std::str::from_utf8(line).ok().and_then(decode);
            visit(match entry {
                Some(Entry { number, at, record }) => HistoryLine::Record {
                    number,
                    at,
                    record: Box::new(record),
                },
                None => HistoryLine::Damaged {
                    file: file.clone(),
                    line: index + 1,
                },
            });
        }
    }
    Ok(())
}

/// The numbers of the segments, oldest first.
fn segments(disk: &Disk, folder: &Path) -> io::Result<Vec<u64>> {
    let mut segments = Vec::new();
    for name in disk.names(folder)? {
        let number = name.strip_suffix(".jsonl");
        segments.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    segments.sort_unstable();
    Ok(segments)
}

fn encode(number: u64, at: DateTime<Utc>, record: &Record) -> Result<String, serde_json::Error> {
    let mut line = serde_json::to_string(&Entry { number, at, record })?;
    // The closing brace comes after the checksum.
    line.pop();
    let crc = crc32fast::hash(line.as_bytes());
    Ok(format!("{line}{CRC_KEY}{crc:08x}\"}}\n"))
}

fn decode(line: &str) -> Option<Entry<Record>> {
    let (body, crc) = line.rsplit_once(CRC_KEY)?;
    let crc = u32::from_str_radix(crc.strip_suffix("\"}")?, 16).ok()?;
    if crc32fast::hash(body.as_bytes()) != crc {
        return None;
    }
    serde_json::from_str(&format!("{body}}}")).ok()
}

/// Whether a segment tells the whole state.
fn begins_with_snapshot(text: &[u8]) -> bool {
    let first = text.split(|&byte| byte == b'\n').next();
    let entry = first
        .and_then(|line| std::str::from_utf8(line).ok())
        .and_then(decode);
    matches!(entry, Some(entry) if matches!(entry.record, Record::Snapshot { .. }))
}

/// What the segments tell, read one after the other.
#[derive(Default)]
struct Reading {
    picture: Option<Picture>,
    /// A line cannot be read, if only because its writing was cut short.
    is_flawed: bool,
}

impl Reading {
    fn segment(&mut self, text: &[u8], path: &Path) {
        for (index, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let (line, is_ended) = match line.strip_suffix(b"\n") {
                Some(line) => (line, true),
                None => (line, false),
            };
            match std::str::from_utf8(line).ok().and_then(decode) {
                Some(entry) => {
                    self.is_flawed |= !is_ended;
                    self.entry(&entry);
                }
                None => {
                    self.is_flawed = true;
                    // Without its end it was never whole: as far as the state goes it did not happen.
                    if let Some(picture) = self.picture.as_mut().filter(|_| is_ended) {
                        picture.is_doubtful = true;
                    }
                    tracing::warn!(
                        file = %path.display(),
                        line = index + 1,
                        "a ledger record is torn or damaged and is left out; a new segment is begun"
                    );
                }
            }
        }
    }

    fn entry(&mut self, entry: &Entry<Record>) {
        match (&mut self.picture, &entry.record) {
            (Some(picture), record) => {
                let is_next = entry.number == picture.number + 1;
                let is_doubtful = picture.is_doubtful || !is_next;
                picture.apply(entry.number, entry.at, record);
                picture.is_doubtful |= is_doubtful && !matches!(record, Record::Recovered { .. });
            }
            (None, Record::Snapshot { picture }) => {
                let mut picture = (**picture).clone();
                picture.number = entry.number;
                self.picture = Some(picture);
            }
            (None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::refusal;
    use crate::state::record::CollectionKey;
    use crate::taxii::Timestamp;
    use crate::taxii::window::PollWindow;
    use std::fs::{self, OpenOptions};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_400_000_000 + second, 0).unwrap()
    }

    fn abandoned(until: i64) -> Record {
        Record::WindowAbandoned {
            key: CollectionKey {
                service: "s".into(),
                collection: "c".into(),
            },
            window: PollWindow {
                exclusive_begin: None,
                inclusive_end: None,
            },
            checkpoint: Timestamp::from(at(until)),
            file: "test".into(),
        }
    }

    #[test]
    fn a_very_first_start_that_was_cut_short_is_no_obstacle() {
        for cut_short in ["", "{\"number\":1"] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("00000001.jsonl"), cut_short).unwrap();
            let disk = Disk::machine();
            let (mut ledger, picture) = Ledger::open(&disk, folder.path(), at(0)).unwrap();
            ledger.append(at(1), &abandoned(1), &picture).unwrap();
            drop(ledger);
            let (_, picture) = Ledger::open(&disk, folder.path(), at(2)).unwrap();
            assert_eq!(picture.collections.len(), 1, "after {cut_short:?}");
        }
    }

    struct Fixture {
        folder: tempfile::TempDir,
        ledger: Ledger,
        picture: Picture,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (ledger, picture) =
                Ledger::open_with(&Disk::machine(), folder.path(), at(0), 1000).unwrap();
            Self {
                folder,
                ledger,
                picture,
            }
        }

        fn append(&mut self, second: i64) -> u64 {
            self.append_record(second, &abandoned(second))
        }

        fn append_record(&mut self, second: i64, record: &Record) -> u64 {
            let number = self
                .ledger
                .append(at(second), record, &self.picture)
                .unwrap();
            self.picture.apply(number, at(second), record);
            number
        }

        /// Flips a bit in a line of a segment.
        fn flip(&self, segment: u64, line: usize) {
            let path = self.ledger.path(segment);
            let mut bytes = fs::read(&path).unwrap();
            let begin: usize = bytes
                .split_inclusive(|&byte| byte == b'\n')
                .take(line)
                .map(<[u8]>::len)
                .sum();
            bytes[begin + 60] ^= 1;
            fs::write(&path, bytes).unwrap();
        }

        fn reopen(&mut self) {
            let (ledger, picture) =
                Ledger::open_with(&Disk::machine(), self.folder.path(), at(99), 1000).unwrap();
            self.ledger = ledger;
            self.picture = picture;
        }

        fn gaps(&self) -> u64 {
            self.picture.collections.get("s/c").map_or(0, |c| c.gaps)
        }
    }

    #[test]
    fn what_is_appended_is_there_after_a_reopen() {
        let mut fixture = Fixture::new();
        for second in 1..=50 {
            fixture.append(second);
            let before = fixture.picture.clone();
            fixture.reopen();
            assert_eq!(fixture.picture.collections, before.collections);
            assert!(fixture.picture.number >= before.number);
        }
        assert_eq!(fixture.gaps(), 50);
        let left = segments(&Disk::machine(), fixture.folder.path()).unwrap();
        assert_eq!(left.len(), KEEP_SEGMENTS, "{left:?}");
    }

    #[test]
    fn numbers_only_rise() {
        let mut fixture = Fixture::new();
        let mut last = 0;
        for second in 1..30 {
            let number = fixture.append(second);
            assert!(number > last);
            last = number;
            fixture.reopen();
        }
    }

    #[test]
    fn a_snapshot_tells_what_is_owed() {
        let mut fixture = Fixture::new();
        let polled = Record::Polled {
            key: CollectionKey {
                service: "s".into(),
                collection: "c".into(),
            },
            origin: crate::state::Origin::Poll,
            window: PollWindow {
                exclusive_begin: None,
                inclusive_end: None,
            },
            checkpoint: None,
            seq: Some(12),
            outputs: vec!["o".into()],
            counts: crate::state::PolledCounts::default(),
            clock_offset_ms: None,
            gap: None,
            content: None,
        };
        fixture.append_record(1, &polled);
        while fixture.ledger.segment < 3 {
            fixture.append(2);
        }
        let before = fixture.picture.clone();
        assert_eq!(before.batches.len(), 1);
        for segment in [1, 2] {
            fs::remove_file(fixture.ledger.path(segment)).unwrap();
        }
        fixture.reopen();
        assert_eq!(fixture.picture, before);
        assert!(!fixture.picture.is_doubtful);
    }

    #[test]
    fn a_torn_tail_costs_only_itself_and_leaves_no_doubt() {
        let mut fixture = Fixture::new();
        fixture.append(1);
        fixture.append(2);
        let path = fixture.ledger.path(fixture.ledger.segment);
        let length = fs::metadata(&path).unwrap().len();
        // Without its line break alone the record would still be whole.
        for cut in 2..20 {
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(length - cut).unwrap();
            fixture.reopen();
            assert_eq!(fixture.gaps(), 1, "cut by {cut}");
            assert!(!fixture.picture.is_doubtful);
            for segment in segments(&Disk::machine(), fixture.folder.path()).unwrap() {
                if fixture.ledger.path(segment) != path {
                    fs::remove_file(fixture.ledger.path(segment)).unwrap();
                }
            }
        }
        fixture.reopen();
        fixture.append(3);
        fixture.reopen();
        assert_eq!(fixture.gaps(), 2);
    }

    #[test]
    fn a_flipped_byte_costs_one_record_and_is_told_until_it_is_dealt_with() {
        for line in [1, 2] {
            let mut fixture = Fixture::new();
            fixture.append(1);
            fixture.append(2);
            fixture.flip(fixture.ledger.segment, line);
            fixture.reopen();
            assert_eq!(fixture.gaps(), 1);
            assert!(fixture.picture.is_doubtful);
            fixture.append(3);
            fixture.reopen();
            assert_eq!(fixture.gaps(), 2);
            assert!(
                fixture.picture.is_doubtful,
                "until somebody has dealt with it"
            );

            let recovered = Record::Recovered {
                gates: vec!["g".into()],
                letters: std::collections::BTreeMap::new(),
                blocks: 0,
            };
            fixture.append_record(50, &recovered);
            fixture.reopen();
            assert!(!fixture.picture.is_doubtful);
            assert_eq!(fixture.picture.gates.get("g"), Some(&at(50)));
        }
    }

    #[test]
    fn a_damaged_snapshot_costs_no_record() {
        let mut fixture = Fixture::new();
        let mut second = 0;
        while fixture.ledger.segment < 3 {
            second += 1;
            fixture.append(second);
        }
        second += 1;
        fixture.append(second);
        let before = fixture.picture.clone();
        fixture.flip(3, 0);
        fixture.reopen();
        assert_eq!(fixture.picture.collections, before.collections);
        assert!(fixture.picture.number >= before.number);
        assert!(fixture.picture.is_doubtful);
    }

    #[test]
    fn a_first_start_that_was_cut_short_begins_anew() {
        for torn in ["", "{\"number\":1,\"at\":\"20"] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("00000001.jsonl"), torn).unwrap();
            let (_, picture) = Ledger::open(&Disk::machine(), folder.path(), at(1)).unwrap();
            assert_eq!(picture.next_seq, 1);
        }
    }

    #[test]
    fn a_segment_that_could_not_be_begun_is_passed_over() {
        let mut fixture = Fixture::new();
        fixture.append(1);
        let next = fixture.ledger.path(fixture.ledger.segment + 1);
        fs::write(&next, "").unwrap();
        fixture.reopen();
        assert_eq!(fixture.gaps(), 1);
        fixture.append(2);
        fixture.reopen();
        assert_eq!(fixture.gaps(), 2);
        assert!(!fixture.picture.is_doubtful);
    }

    #[test]
    fn a_disk_that_refuses_one_step_of_a_new_segment_takes_the_next_record() {
        for step in 0.. {
            let mut fixture = Fixture::new();
            fixture.ledger.bytes = fixture.ledger.segment_bytes;
            refusal::refuse(step, 0);
            let refused = fixture
                .ledger
                .append(at(1), &abandoned(1), &fixture.picture)
                .is_err();
            if refusal::end() <= step {
                assert!(!refused && step > 2, "{step} steps");
                break;
            }
            assert!(refused, "step {step}");
            fixture.append(2);
            fixture.reopen();
            assert_eq!(fixture.gaps(), 1, "step {step}");
            assert!(!fixture.picture.is_doubtful, "step {step}");
        }
    }

    #[test]
    fn without_any_snapshot_it_is_refused() {
        let fixture = Fixture::new();
        fs::write(fixture.ledger.path(1), "{}\n").unwrap();
        let error = Ledger::open(&Disk::machine(), fixture.folder.path(), at(1)).unwrap_err();
        assert!(
            matches!(error, OpenLedgerError::NoSnapshot { .. }),
            "{error}"
        );
    }
}
