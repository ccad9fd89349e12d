//! A line of the ledger: a record as JSON, which ends with its own CRC.

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::state::picture::Picture;
use crate::state::record::Record;

/// A record as it is written.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry<R> {
    pub(super) number: u64,
    pub(super) at: DateTime<Utc>,
    #[serde(flatten)]
    pub(super) record: R,
}

/// A snapshot as it is read: all batches that wait stand in it, and as a record among others it would be
/// taken apart and put together twice.
#[derive(Deserialize)]
struct SnapshotEntry {
    number: u64,
    at: DateTime<Utc>,
    picture: Box<Picture>,
}

/// A snapshot as it is written: [`Record::Snapshot`] would need a picture of its own.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WrittenSnapshot<'a> {
    Snapshot { picture: &'a Picture },
}

/// What stands at the start of a snapshot behind its number and its time, and how far that may be.
const SNAPSHOT_KEY: &str = ",\"type\":\"snapshot\",";
pub(super) const MAX_SNAPSHOT_KEY_BYTES: usize = 128;
/// A longer line is written in pieces of so many bytes.
const PIECE_BYTES: usize = 64 << 10;
/// What stands between the record and its CRC.
const CRC_KEY: &str = ",\"crc32\":\"";

/// Puts a record in words.
pub(super) fn encode(
    number: u64,
    at: DateTime<Utc>,
    record: &impl Serialize,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = Vec::new();
    write(&mut line, number, at, record)?;
    Ok(line)
}

/// The same, written in pieces: a snapshot is as large as all that waits. Gives the line's bytes.
pub(super) fn write(
    to: impl Write,
    number: u64,
    at: DateTime<Utc>,
    record: &impl Serialize,
) -> Result<u64, serde_json::Error> {
    let mut line = Line {
        to,
        piece: Vec::new(),
        crc: crc32fast::Hasher::new(),
        bytes: 0,
    };
    serde_json::to_writer(&mut line, &Entry { number, at, record })?;
    line.end().map_err(serde_json::Error::io)
}

/// A line that is written, and its checksum.
struct Line<W> {
    to: W,
    /// What comes next. Its last byte may be the closing brace, which comes after the checksum.
    piece: Vec<u8>,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl<W: Write> Line<W> {
    fn end(mut self) -> io::Result<u64> {
        self.piece.pop();
        self.crc.update(&self.piece);
        let crc = self.crc.clone().finalize();
        self.piece.extend_from_slice(CRC_KEY.as_bytes());
        self.piece
            .extend_from_slice(format!("{crc:08x}\"}}\n").as_bytes());
        self.hand_over(self.piece.len())?;
        Ok(self.bytes)
    }

    fn hand_over(&mut self, bytes: usize) -> io::Result<()> {
        self.to
            .write_all(self.piece.get(..bytes).unwrap_or_default())?;
        self.piece.drain(..bytes);
        self.bytes += bytes as u64;
        Ok(())
    }
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() + bytes.len() > PIECE_BYTES {
            let sure = self.piece.len().saturating_sub(1);
            self.crc.update(self.piece.get(..sure).unwrap_or_default());
            self.hand_over(sure)?;
        }
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a line without its line break; none if it is damaged.
pub(super) fn decode(line: &[u8]) -> Option<Entry<Record>> {
    let (line, body) = checked(line)?;
    if before_snapshot(body.as_bytes()).is_some() {
        return decode_snapshot(line);
    }
    serde_json::from_str(&format!("{body}}}")).ok()
}

/// The number of a snapshot, of which no more is read than that its checksum is right.
pub(super) fn snapshot_number(line: &[u8]) -> Option<u64> {
    checked(line)?;
    claimed_number(line)
}

/// The number of a snapshot whose line begins so, if nothing of it is damaged; none if it is another
/// record.
pub(super) fn claimed_number(start: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Numbered {
        number: u64,
    }
    let before = str::from_utf8(before_snapshot(start)?).ok()?;
    let Numbered { number } = serde_json::from_str(&format!("{before}}}")).ok()?;
    Some(number)
}

/// The line and what its checksum is of, if that is right.
fn checked(line: &[u8]) -> Option<(&str, &str)> {
    let line = simdutf8::basic::from_utf8(line).ok()?;
    let (body, crc) = line.rsplit_once(CRC_KEY)?;
    let crc = u32::from_str_radix(crc.strip_suffix("\"}")?, 16).ok()?;
    (crc32fast::hash(body.as_bytes()) == crc).then_some((line, body))
}

/// What a snapshot begins with, its number and its time; none if it is another record.
fn before_snapshot(line: &[u8]) -> Option<&[u8]> {
    let start = line.get(..MAX_SNAPSHOT_KEY_BYTES).unwrap_or(line);
    let end = memchr::memmem::find(start, SNAPSHOT_KEY.as_bytes())?;
    start.get(..end)
}

fn decode_snapshot(line: &str) -> Option<Entry<Record>> {
    let SnapshotEntry {
        number,
        at,
        picture,
    } = serde_json::from_str(line).ok()?;
    Some(Entry {
        number,
        at,
        record: Record::Snapshot { picture },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> DateTime<Utc> {
        "2026-03-01T12:00:00.5Z".parse().unwrap()
    }

    fn words(number: u64, record: &impl Serialize) -> String {
        String::from_utf8(encode(number, at(), record).unwrap()).unwrap()
    }

    /// Whatever its length, and wherever a piece ends.
    #[test]
    fn a_line_in_pieces_is_the_line() {
        for length in [0, 1, PIECE_BYTES - 200, PIECE_BYTES, 3 * PIECE_BYTES] {
            for more in 0..200 {
                let record = Record::PollAnswered {
                    gate: "x".repeat(length + more),
                    counts: true,
                };
                let entry = Entry {
                    number: 7,
                    at: at(),
                    record: &record,
                };
                let json = serde_json::to_string(&entry).unwrap();
                let body = json.strip_suffix('}').unwrap();
                let crc = crc32fast::hash(body.as_bytes());
                let mut line = Vec::new();
                let bytes = write(&mut line, 7, at(), &record).unwrap();
                assert_eq!(bytes, line.len() as u64);
                let expected = format!("{body},\"crc32\":\"{crc:08x}\"}}\n");
                assert!(line == expected.as_bytes(), "{length} and {more}");
            }
        }
    }

    #[test]
    fn a_snapshot_is_the_record_that_it_was() {
        let at = at();
        let picture = Picture {
            number: 6,
            next_seq: 9,
            ..Picture::default()
        };
        let record = Record::Snapshot {
            picture: Box::new(picture.clone()),
        };
        let written = WrittenSnapshot::Snapshot { picture: &picture };
        let line = words(7, &written);
        assert_eq!(line, words(7, &record));
        let line = line.trim_end();
        let expected = Entry {
            number: 7,
            at,
            record,
        };
        assert_eq!(decode(line.as_bytes()), Some(expected));
        assert_eq!(snapshot_number(line.as_bytes()), Some(7));
        let altered = line.replacen('7', "8", 1);
        assert_eq!(snapshot_number(altered.as_bytes()), None);
        // Its name elsewhere makes none of another record.
        let other = Record::PollAnswered {
            gate: ",\"type\":\"snapshot\",".to_owned(),
            counts: true,
        };
        let line = words(8, &other);
        let line = line.trim_end();
        assert_eq!(snapshot_number(line.as_bytes()), None);
        assert_eq!(decode(line.as_bytes()).unwrap().record, other);
    }
}
