//! All that is kept of the ledger, for who reads it from its oldest record.

use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::line::{Entry, decode};
use super::lines::Lines;
use super::{segment_name, segments};
use crate::disk::Disk;
use crate::state::record::Record;

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
    /// A segment that the disk cannot read.
    Unreadable {
        /// The segment's file.
        file: String,
        /// What the disk says.
        error: io::Error,
    },
}

/// Reads all segments that are there, oldest first. A last line that cannot be read and has no line
/// break was never whole.
pub(in crate::state) fn history(
    disk: &Disk,
    folder: &Path,
    visit: impl FnMut(HistoryLine),
) -> io::Result<()> {
    read(disk, folder, segments(disk, folder)?, visit);
    Ok(())
}

/// Reads the last segments, as many as are not larger together than `most_bytes` and at least the very
/// last, oldest first.
pub(in crate::state) fn recent(
    disk: &Disk,
    folder: &Path,
    most_bytes: u64,
    visit: impl FnMut(HistoryLine),
) -> io::Result<()> {
    let mut bytes = 0;
    let mut last = Vec::new();
    for segment in segments(disk, folder)?.into_iter().rev() {
        let found = disk.metadata_if_there(&folder.join(segment_name(segment)))?;
        bytes += found.map_or(0, |found| found.bytes);
        if bytes > most_bytes && !last.is_empty() {
            break;
        }
        last.push(segment);
    }
    last.reverse();
    read(disk, folder, last, visit);
    Ok(())
}

fn read(disk: &Disk, folder: &Path, segments: Vec<u64>, mut visit: impl FnMut(HistoryLine)) {
    let mut last = 0;
    for segment in segments {
        let file = segment_name(segment);
        let opened = Lines::open(disk, &folder.join(&file));
        let read = opened.and_then(|lines| read_segment(lines, &file, &mut last, &mut visit));
        match read {
            Ok(()) => {}
            // The oldest goes when a new one is begun; what is a folder was never a segment.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::IsADirectory
                ) => {}
            Err(error) => visit(HistoryLine::Unreadable { file, error }),
        }
    }
}

/// Reads a segment; `last` is the number of the last record before it, and then of its own.
fn read_segment(
    mut lines: Lines,
    file: &str,
    last: &mut u64,
    visit: &mut impl FnMut(HistoryLine),
) -> io::Result<()> {
    while let Some(line) = lines.next()? {
        match decode(line.text) {
            Some(Entry { number, at, record }) => {
                // A copy of an older segment tells nothing new. What a new one opens with takes the
                // place of a record that was disowned.
                let is_new = match record {
                    Record::Snapshot { .. } => number >= *last,
                    _ => number > *last,
                };
                if is_new {
                    *last = number;
                    visit(HistoryLine::Record {
                        number,
                        at,
                        record: Box::new(record),
                    });
                }
            }
            None if !line.is_ended => {}
            None => visit(HistoryLine::Damaged {
                file: file.to_owned(),
                line: line.number,
            }),
        }
    }
    Ok(())
}
