//! What of a batch is physically there: its files are read to their ends and compared with
//! `batch.json`.

use std::path::Path;

use super::batch::BatchHead;
use super::event_file;
use crate::disk::Disk;
use crate::state::EventFile;

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
            Ok(found) if found.is_of(head) => None,
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
        let (lines, damage) = event_file::look_at(disk, folder, file);
        Self {
            name: file.name.clone(),
            events: file.events,
            lines,
            damage,
        }
    }
}
