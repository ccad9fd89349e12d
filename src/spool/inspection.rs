//! What of a batch is physically there: its files are read to their ends and compared with
//! `batch.json`.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use zstd::stream::read::Decoder;

use super::batch::{BatchHead, EventFile};
use crate::disk::Disk;

/// Bytes that are decompressed at once.
const PIECE_BYTES: usize = 64 << 10;

/// A batch as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedBatch {
    /// What is wrong with `batch.json`.
    pub head_damage: Option<String>,
    /// Its files, in order.
    pub files: Vec<InspectedFile>,
}

/// A file of events as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedFile {
    /// Its name.
    pub name: String,
    /// Events in it, as `batch.json` says.
    pub events: u64,
    /// Lines that can be read.
    pub lines: u64,
    /// What is wrong with it.
    pub damage: Option<String>,
}

impl InspectedBatch {
    pub(super) fn read(disk: &Disk, folder: &Path, head: &BatchHead) -> Self {
        let head_damage = match BatchHead::read(disk, folder) {
            Ok(found) if found == *head => None,
            Ok(_) => Some("is not what it was when the batch was put in place".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        let files = head
            .files
            .iter()
            .map(|file| InspectedFile::read(disk, folder, file));
        Self {
            head_damage,
            files: files.collect(),
        }
    }
}

impl InspectedFile {
    fn read(disk: &Disk, folder: &Path, file: &EventFile) -> Self {
        let mut found = Content::default();
        let damage = match found.read(disk, &folder.join(&file.name)) {
            Err(error) => Some(error.to_string()),
            Ok(()) if found.crc() != file.crc32 => Some(format!(
                "its content has the CRC {}, batch.json says {}",
                found.crc(),
                file.crc32
            )),
            Ok(()) if found.lines != file.events => Some(format!(
                "it holds {} lines, batch.json says {}",
                found.lines, file.events
            )),
            Ok(()) => None,
        };
        Self {
            name: file.name.clone(),
            events: file.events,
            lines: found.lines,
            damage,
        }
    }
}

#[derive(Default)]
struct Content {
    lines: u64,
    crc: crc32fast::Hasher,
}

impl Content {
    /// Reads as far as it goes.
    fn read(&mut self, disk: &Disk, path: &Path) -> io::Result<()> {
        let decoder = Decoder::new(disk.open_file(path)?)?;
        let mut text = BufReader::with_capacity(PIECE_BYTES, decoder);
        loop {
            let piece = text.fill_buf()?;
            if piece.is_empty() {
                return Ok(());
            }
            self.lines += memchr::memchr_iter(b'\n', piece).count() as u64;
            self.crc.update(piece);
            let length = piece.len();
            text.consume(length);
        }
    }

    fn crc(&self) -> String {
        format!("{:08x}", self.crc.clone().finalize())
    }
}
