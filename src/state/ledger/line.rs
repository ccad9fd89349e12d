//! A line of the ledger: a record as JSON, which ends with its own CRC.

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
const MAX_SNAPSHOT_KEY_BYTES: usize = 128;
/// What stands between the record and its CRC.
const CRC_KEY: &str = ",\"crc32\":\"";

/// Puts a record in words.
pub(super) fn encode(
    number: u64,
    at: DateTime<Utc>,
    record: &impl Serialize,
) -> Result<String, serde_json::Error> {
    let mut line = serde_json::to_string(&Entry { number, at, record })?;
    // The closing brace comes after the checksum.
    line.pop();
    let crc = crc32fast::hash(line.as_bytes());
    line.push_str(CRC_KEY);
    let crc = format!("{crc:08x}");
    line.push_str(&crc);
    line.push_str("\"}\n");
    Ok(line)
}

/// Reads a line without its line break; none if it is damaged.
pub(super) fn decode(line: &[u8]) -> Option<Entry<Record>> {
    let (line, body) = checked(line)?;
    decode_snapshot(line, body).or_else(|| serde_json::from_str(&format!("{body}}}")).ok())
}

/// The number of a snapshot, of which no more is read than that its checksum is right.
pub(super) fn snapshot_number(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Numbered {
        number: u64,
    }
    let (_, body) = checked(line)?;
    let start = before_snapshot(body)?;
    let Numbered { number } = serde_json::from_str(&format!("{start}}}")).ok()?;
    Some(number)
}

/// The line and what its checksum is of, if that is right.
fn checked(line: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(line).ok()?;
    let (body, crc) = line.rsplit_once(CRC_KEY)?;
    let crc = u32::from_str_radix(crc.strip_suffix("\"}")?, 16).ok()?;
    (crc32fast::hash(body.as_bytes()) == crc).then_some((line, body))
}

/// What a snapshot begins with, its number and its time; none if it is another record.
fn before_snapshot(body: &str) -> Option<&str> {
    let start = body.as_bytes();
    let start = start.get(..MAX_SNAPSHOT_KEY_BYTES).unwrap_or(start);
    let end = memchr::memmem::find(start, SNAPSHOT_KEY.as_bytes())?;
    body.get(..end)
}

/// None if it is another record.
fn decode_snapshot(line: &str, body: &str) -> Option<Entry<Record>> {
    before_snapshot(body)?;
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

    #[test]
    fn a_snapshot_is_the_record_that_it_was() {
        let at = "2026-03-01T12:00:00.5Z".parse().unwrap();
        let picture = Picture {
            number: 6,
            next_seq: 9,
            ..Picture::default()
        };
        let record = Record::Snapshot {
            picture: Box::new(picture.clone()),
        };
        let written = WrittenSnapshot::Snapshot { picture: &picture };
        let line = encode(7, at, &written).unwrap();
        assert_eq!(line, encode(7, at, &record).unwrap());
        let line = line.trim_end();
        assert!(decode_snapshot(line, line).is_some());
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
        let line = encode(8, at, &other).unwrap();
        let line = line.trim_end();
        assert!(decode_snapshot(line, line).is_none());
        assert_eq!(snapshot_number(line.as_bytes()), None);
        assert_eq!(decode(line.as_bytes()).unwrap().record, other);
    }
}
