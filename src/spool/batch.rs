//! `batch.json`: what a batch is and where it comes from.

use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::state::{
    BatchContent, BatchOutline, BatchPicture, BatchSource, CollectionKey, EventFile, Origin,
    PolledCounts, Record, Settlement, exactly,
};
use crate::taxii::Timestamp;
use crate::taxii::window::PollWindow;

/// The file's name in the folder of a batch.
pub(super) const FILE_NAME: &str = "batch.json";
/// A head is a few hundred bytes, and as much again for each file, message and letter of it.
const MAX_HEAD_BYTES: u64 = 64 << 20;
/// What stands between the head and its CRC.
const CRC_KEY: &str = ",\n  \"crc32\": \"";

/// The head of a batch; its events lie beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchHead {
    /// Its number, never used again.
    pub seq: u64,
    /// When it was staged.
    pub staged_at: DateTime<Utc>,
    /// The configured name of the service.
    pub service: String,
    /// The collection.
    pub collection: String,
    /// The end of the window: the time of an event that states none.
    pub window_end: DateTime<Utc>,
    /// The same in the service's own words; none of a batch that no poll brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// The service's ids of the messages that brought it.
    #[serde(deserialize_with = "exactly")]
    pub message_ids: Vec<String>,
    /// The ledger's record of it but for what this head tells itself; see [`BatchHead::told`].
    pub record: Record,
    /// The events, in order.
    #[serde(deserialize_with = "exactly")]
    pub files: Vec<EventFile>,
}

impl BatchHead {
    /// All of its events.
    #[must_use]
    pub fn events(&self) -> u64 {
        let events = self.files.iter().map(|file| file.events);
        events.fold(0, u64::saturating_add)
    }

    /// Bytes on disk, but for this head.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        EventFile::bytes_of(&self.files)
    }

    /// Where it comes from and what it is made of, which is what the ledger knows of it.
    #[must_use]
    pub fn source(&self) -> Option<BatchSource> {
        BatchSource::of(&self.told())
    }

    /// What of it is asked for all the time.
    #[must_use]
    pub fn outline(&self) -> BatchOutline {
        BatchOutline {
            staged_at: self.staged_at,
            bytes: self.bytes(),
            is_copy: self.is_copy(),
        }
    }

    /// Whether it is a head of the same batch: one that is written again lacks what only people look at.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        self.seq == other.seq && self.source() == other.source()
    }

    /// The collection that it is of.
    #[must_use]
    pub fn key(&self) -> CollectionKey {
        CollectionKey {
            service: self.service.clone(),
            collection: self.collection.clone(),
        }
    }

    /// The record as the ledger gets it, after the batch is in place: from it this head can be
    /// written again.
    #[must_use]
    pub fn told(&self) -> Record {
        let mut record = self.record.clone();
        if let Record::Polled { content, .. }
        | Record::Pushed { content, .. }
        | Record::BatchAdded { content, .. } = &mut record
        {
            *content = Some(self.content());
        }
        record
    }

    /// What it is made of.
    #[must_use]
    pub fn content(&self) -> BatchContent {
        BatchContent {
            staged_at: self.staged_at,
            window_end: self.window_end,
            end: self.end.clone(),
            files: self.files.clone(),
        }
    }

    /// The window that brings its events again, up to where the service said that it ended; none if
    /// no poll does.
    #[must_use]
    pub fn window(&self) -> Option<PollWindow> {
        let asked = match &self.record {
            Record::Polled { window, .. } => Some(window),
            Record::BatchAdded { window, .. } => window.as_ref(),
            _ => None,
        };
        Some(PollWindow {
            exclusive_begin: asked?.exclusive_begin.clone(),
            inclusive_end: Some(self.end.clone()?),
        })
    }

    /// The damaged batch whose place it takes.
    #[must_use]
    pub fn settles(&self) -> Option<&Settlement> {
        match &self.record {
            Record::BatchAdded { settles, .. } => settles.as_ref(),
            _ => None,
        }
    }

    /// The batch whose events it holds: its own, or the one that a replay has copied it from.
    #[must_use]
    pub fn original(&self) -> u64 {
        match &self.record {
            Record::BatchAdded {
                copies: Some(copied),
                ..
            } => copied.seq,
            _ => self.seq,
        }
    }

    /// Whether nobody has fetched it.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        matches!(&self.record, Record::BatchAdded { origin, .. } if origin.is_copy())
    }

    /// Each file with its first line.
    pub fn places(&self) -> impl Iterator<Item = (u64, &EventFile)> {
        self.files.iter().scan(0_u64, |next, file| {
            let first = *next;
            *next = next.saturating_add(file.events);
            Some((first, file))
        })
    }

    /// The head as the ledger knows it, without what only people look at; none if the record of the
    /// batch does not say what it is made of.
    #[must_use]
    pub fn of_owed(seq: u64, batch: &BatchPicture) -> Option<Self> {
        let outputs = batch.outputs.iter().cloned().collect();
        Some(Self::from_ledger(seq, &batch.source()?, outputs))
    }

    fn from_ledger(seq: u64, source: &BatchSource, outputs: Vec<String>) -> Self {
        let BatchSource {
            key,
            origin,
            window,
            content,
            settles,
            copies,
        } = source;
        let events = content.files.iter().map(|file| file.events).sum();
        let counts = PolledCounts {
            events,
            ..PolledCounts::default()
        };
        let record = match (origin, window) {
            (Origin::Inbox, _) => Record::Pushed {
                key: key.clone(),
                message_id: None,
                subscription: None,
                seq: Some(seq),
                outputs,
                counts,
                content: None,
            },
            (Origin::Poll | Origin::Manual, Some(window)) => Record::Polled {
                key: key.clone(),
                origin: *origin,
                window: window.clone(),
                // The ledger has it; should it lose it, the window is fetched again.
                checkpoint: None,
                seq: Some(seq),
                outputs,
                counts,
                clock_offset_ms: None,
                gap: None,
                content: None,
            },
            _ => Record::BatchAdded {
                key: key.clone(),
                origin: *origin,
                seq,
                outputs,
                events,
                letters: Vec::new(),
                window: window.clone(),
                content: None,
                settles: settles.clone(),
                copies: copies.clone(),
            },
        };
        Self {
            seq,
            staged_at: content.staged_at,
            service: key.service.clone(),
            collection: key.collection.clone(),
            window_end: content.window_end,
            end: content.end.clone(),
            message_ids: Vec::new(),
            record,
            files: content.files.clone(),
        }
    }

    /// Reads the head of the batch in `folder`.
    pub(super) fn read(disk: &Disk, folder: &Path) -> io::Result<Self> {
        Self::parse(&read_text(disk, folder)?)
    }

    /// Whether the head in `folder` is whole and that of this batch, without taking it apart.
    pub(super) fn check(disk: &Disk, folder: &Path, seq: u64) -> io::Result<()> {
        let text = read_text(disk, folder)?;
        if body(&text)?.starts_with(&format!("{{\n  \"seq\": {seq},")) {
            return Ok(());
        }
        Err(damaged("it is that of another batch"))
    }

    fn parse(json: &[u8]) -> io::Result<Self> {
        let body = body(json)?;
        serde_json::from_str(&format!("{body}\n}}")).map_err(io::Error::from)
    }

    /// Its text: JSON that ends with the CRC of all that stands before it.
    pub(super) fn text(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_string_pretty(self)?;
        let body = json.strip_suffix("\n}").unwrap_or(&json);
        let crc = checksum(body.as_bytes());
        Ok(format!("{body}{CRC_KEY}{crc}\"\n}}\n").into_bytes())
    }
}

fn read_text(disk: &Disk, folder: &Path) -> io::Result<Vec<u8>> {
    disk.read_at_most(&folder.join(FILE_NAME), MAX_HEAD_BYTES)
}

/// What stands before the CRC of a head, if it has that CRC.
fn body(json: &[u8]) -> io::Result<&str> {
    let text = std::str::from_utf8(json).map_err(|_| damaged("it is not UTF-8"))?;
    let (body, crc) = text
        .rsplit_once(CRC_KEY)
        .ok_or_else(|| damaged("its checksum is missing"))?;
    let crc = crc.strip_suffix("\"\n}\n");
    if crc != Some(&checksum(body.as_bytes())) {
        return Err(damaged("it does not have its checksum"));
    }
    Ok(body)
}

fn damaged(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn checksum(bytes: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> BatchHead {
        let end = Timestamp::parse("2015-01-20T16:11:02.766+01:00").unwrap();
        let source = BatchSource {
            key: CollectionKey {
                service: "s".to_owned(),
                collection: "c".to_owned(),
            },
            origin: Origin::Poll,
            window: Some(PollWindow {
                exclusive_begin: None,
                inclusive_end: Some(end.clone()),
            }),
            content: BatchContent {
                staged_at: end.time(),
                window_end: end.time(),
                end: Some(end),
                files: vec![EventFile {
                    name: "events-0001.jsonl.zst".to_owned(),
                    events: 3,
                    bytes: 100,
                    crc32: "0a0b0c0d".to_owned(),
                }],
            },
            settles: None,
            copies: None,
        };
        BatchHead::from_ledger(7, &source, vec!["o".to_owned()])
    }

    #[test]
    fn it_is_json_and_comes_back() {
        let head = head();
        let text = head.text().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["files"][0]["events"], 3);
        assert_eq!(value["crc32"].as_str().unwrap().len(), 8);
        assert_eq!(BatchHead::parse(&text).unwrap(), head);
    }

    #[test]
    fn no_bit_of_it_is_altered_without_notice() {
        let text = head().text().unwrap();
        for place in 0..text.len() {
            for bit in 0..8 {
                let mut altered = text.clone();
                altered[place] ^= 1 << bit;
                assert!(
                    BatchHead::parse(&altered).is_err(),
                    "byte {place}, bit {bit}"
                );
            }
            assert!(BatchHead::parse(&text[..place]).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn what_the_ledger_knows_of_it_is_enough_to_write_it_again() {
        let head = head();
        let mut picture = crate::state::Picture::default();
        picture.apply(1, head.staged_at, &head.told());
        let source = picture.batches[&7].source().unwrap();
        let again = BatchHead::from_ledger(7, &source, vec!["o".to_owned()]);
        assert_eq!(again, head);
    }
}
