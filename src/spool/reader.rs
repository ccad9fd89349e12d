//! Reads the events of a batch, from any line.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use zstd::stream::read::Decoder;

use super::batch::{BatchHead, EventFile};
use super::staging::Staging;
use crate::disk::Disk;

/// The lines of a batch, in order.
pub struct BatchReader {
    disk: Disk,
    folder: PathBuf,
    files: std::vec::IntoIter<EventFile>,
    open: Option<OpenFile>,
    line: u64,
    /// What is read is removed with this.
    _staging: Option<Staging>,
}

struct OpenFile {
    lines: BufReader<Decoder<'static, BufReader<Box<dyn Read + Send>>>>,
    name: String,
    /// Lines that must still come.
    left: u64,
}

impl BatchReader {
    /// Begins at line `from`, counted from 0.
    pub(super) fn open(
        disk: &Disk,
        folder: &Path,
        head: &BatchHead,
        from: u64,
    ) -> io::Result<Self> {
        // Whole files before the line need not be read.
        let mut before = 0;
        let mut unneeded = 0;
        for file in &head.files {
            if before + file.events > from {
                break;
            }
            before += file.events;
            unneeded += 1;
        }
        let files = head.files.get(unneeded..).unwrap_or_default().to_vec();
        let mut reader = Self {
            disk: disk.clone(),
            folder: folder.to_owned(),
            files: files.into_iter(),
            open: None,
            line: before,
            _staging: None,
        };
        while reader.line < from && reader.next_line()?.is_some() {}
        Ok(reader)
    }

    /// Reads what was staged and will not be committed.
    pub(super) fn of_staged(staging: Staging, files: Vec<EventFile>) -> Self {
        Self {
            disk: staging.disk().clone(),
            folder: staging.folder().to_owned(),
            files: files.into_iter(),
            open: None,
            line: 0,
            _staging: Some(staging),
        }
    }

    /// The next line's number and text, without its line break.
    pub fn next_line(&mut self) -> io::Result<Option<(u64, String)>> {
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                None => {
                    let Some(file) = self.files.next() else {
                        return Ok(None);
                    };
                    self.open
                        .insert(OpenFile::open(&self.disk, &self.folder, file)?)
                }
            };
            let Some(text) = open.next_line()? else {
                self.open = None;
                continue;
            };
            let line = self.line;
            self.line += 1;
            return Ok(Some((line, text)));
        }
    }
}

impl OpenFile {
    fn open(disk: &Disk, folder: &Path, file: EventFile) -> io::Result<Self> {
        let compressed = disk.open_file(&folder.join(&file.name))?;
        Ok(Self {
            lines: BufReader::new(Decoder::new(compressed)?),
            name: file.name,
            left: file.events,
        })
    }

    fn next_line(&mut self) -> io::Result<Option<String>> {
        let mut text = String::new();
        let is_end = self.lines.read_line(&mut text)? == 0;
        // Lines are counted over the files: one too few would shift all that follow.
        if is_end != (self.left == 0) {
            let name = &self.name;
            let left = self.left;
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{name} does not end where batch.json says ({left} lines are to come)"),
            ));
        }
        if is_end {
            return Ok(None);
        }
        self.left -= 1;
        if text.ends_with('\n') {
            text.pop();
        }
        Ok(Some(text))
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
