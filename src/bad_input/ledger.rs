//! Segments of the ledger.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::{Pieces, assert_fit_for_a_log};
use crate::state::{Picture, Record, State};
use crate::storage::Storage;

/// How the lines of an input come into the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// As they are: as a disk may spoil them.
    Raw,
    /// With a number and a CRC that fit: as a bug of ours might write them.
    Sealed,
}

/// A segment that holds the input: it is opened or refused with words, and what was read once is
/// read again.
pub fn segment(input: &[u8]) {
    let mut pieces = Pieces(input);
    let lines = match pieces.byte() {
        b's' => Lines::Sealed,
        _ => Lines::Raw,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("00000001.jsonl"), written(pieces, lines)).unwrap();
    let Some(state) = open(folder.path()) else {
        return;
    };
    let before = state.look(Picture::clone);
    let record = Record::OutputForgotten {
        output: "o".into(),
        debt: None,
    };
    state.append(now(), &record).unwrap();
    let after = state.look(Picture::clone);
    // A new segment's snapshot has a number too.
    assert!(
        after.number > before.number,
        "{} of {before:?}",
        after.number
    );
    drop(state);
    let again = open(folder.path()).expect("what was opened once opens again");
    assert_eq!(again.look(Picture::clone), after);
}

fn open(folder: &Path) -> Option<State> {
    match State::open(&Storage::machine(), folder, now()) {
        Ok(opened) => Some(opened),
        Err(error) => {
            assert_fit_for_a_log(&error.to_string());
            None
        }
    }
}

fn written(mut pieces: Pieces<'_>, lines: Lines) -> Vec<u8> {
    if lines == Lines::Raw {
        return pieces.0.to_vec();
    }
    let mut segment = Vec::new();
    while !pieces.is_empty() {
        let line = pieces.line();
        let body = line.strip_suffix(b"}").unwrap_or(line);
        let crc = crc32fast::hash(body);
        segment.extend_from_slice(body);
        segment.extend_from_slice(format!(",\"crc32\":\"{crc:08x}\"}}\n").as_bytes());
    }
    segment
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_400_000_000, 0).unwrap()
}
