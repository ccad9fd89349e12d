//! Reads the events of a batch, from any line.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::FileDamage;
use super::batch::BatchHead;
use super::event_file::EventLines;
use super::staging::Staging;
use crate::disk::Disk;
use crate::state::EventFile;

/// A file that is being read.
struct OpenFile {
    name: String,
    lines: EventLines,
}

/// The lines of a batch, in order.
pub struct BatchReader {
    disk: Disk,
    folder: PathBuf,
    /// The files that are still to be read, each with its first line.
    files: std::vec::IntoIter<(u64, EventFile)>,
    open: Option<OpenFile>,
    /// The number of the next line.
    line: u64,
    /// Lines before this one are passed over.
    from: u64,
    /// What is read is removed with this.
    staged: Option<Staging>,
}

impl BatchReader {
    /// Begins at line `from`, counted from 0. Files of which `is_damaged` are passed over, their
    /// lines are counted.
    pub(super) fn open(
        disk: &Disk,
        folder: &Path,
        head: &BatchHead,
        from: u64,
        is_damaged: impl Fn(&str) -> bool,
    ) -> Self {
        // Whole files before the line need not be read.
        let files = head.places().filter(|(first, file)| {
            first.saturating_add(file.events) > from && !is_damaged(&file.name)
        });
        let files: Vec<_> = files.map(|(first, file)| (first, file.clone())).collect();
        Self {
            disk: disk.clone(),
            folder: folder.to_owned(),
            files: files.into_iter(),
            open: None,
            line: 0,
            from,
            staged: None,
        }
    }

    /// Reads what was staged; it stays staged.
    pub(super) fn of_folder(disk: &Disk, folder: &Path, files: &[EventFile]) -> Self {
        let mut first = 0;
        let mut places = Vec::new();
        for file in files {
            places.push((first, file.clone()));
            first += file.events;
        }
        Self {
            disk: disk.clone(),
            folder: folder.to_owned(),
            files: places.into_iter(),
            open: None,
            line: 0,
            from: 0,
            staged: None,
        }
    }

    /// Reads what was staged and will not be committed.
    pub(super) fn of_staged(staging: Staging, files: &[EventFile]) -> Self {
        let mut reader = Self::of_folder(staging.disk(), staging.folder(), files);
        reader.staged = Some(staging);
        reader
    }

    /// The next line's number and text, without its line break. Damage travels inside the
    /// [`io::Error`]: see [`FileDamage::of`](super::FileDamage::of).
    pub fn next_line(&mut self) -> io::Result<Option<(u64, String)>> {
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                None => {
                    let Some((first, file)) = self.files.next() else {
                        return Ok(None);
                    };
                    self.line = first;
                    let lines = EventLines::open(&self.disk, &self.folder, &file)?;
                    let name = file.name;
                    self.open.insert(OpenFile { name, lines })
                }
            };
            let text = match open.lines.next_line() {
                Ok(Some(text)) => text,
                Ok(None) => {
                    self.open = None;
                    continue;
                }
                // It is what was written, and yet no text.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let what = format!("line {} of the batch is no text", self.line);
                    return Err(FileDamage::found(&open.name, what));
                }
                Err(error) => return Err(error),
            };
            let line = self.line;
            self.line += 1;
            if line >= self.from {
                return Ok(Some((line, text)));
            }
        }
    }
}

impl fmt::Debug for BatchReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchReader")
            .field("folder", &self.folder)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::event_file::EventFileWriter;
    use super::*;

    /// Its CRC is right: so it was written.
    #[test]
    fn a_file_with_a_line_that_is_no_text_is_damaged() {
        let (folder, disk) = (tempfile::tempdir().unwrap(), Disk::machine());
        let long = "é".repeat(100_000);
        for before in ["one", &long] {
            let file = disk.create_file(&folder.path().join("events")).unwrap();
            let mut writer = EventFileWriter::new(file, "events".to_owned()).unwrap();
            for line in [before.as_bytes(), b"\xff", b"last"] {
                writer.write(&[line, b"\n"].concat(), 1).unwrap();
            }
            let file = writer.finish().unwrap();
            let mut reader = BatchReader::of_folder(&disk, folder.path(), &[file]);
            assert_eq!(reader.next_line().unwrap(), Some((0, before.to_owned())));
            let error = reader.next_line().unwrap_err();
            let damage = FileDamage::of(&error).unwrap();
            assert_eq!(damage.file, "events");
            assert_eq!(damage.what, "line 1 of the batch is no text");
            std::fs::remove_file(folder.path().join("events")).unwrap();
        }
    }
}
