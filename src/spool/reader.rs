//! Reads the events of a batch, from any line.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use zstd::stream::read::Decoder;

use super::batch::{BatchHead, EventFile};
use super::staging::Staging;

/// The lines of a batch, in order.
pub struct BatchReader {
    folder: PathBuf,
    files: std::vec::IntoIter<EventFile>,
    open: Option<BufReader<Decoder<'static, BufReader<File>>>>,
    line: u64,
    /// What is read is removed with this.
    _staging: Option<Staging>,
}

impl BatchReader {
    /// Begins at line `from`, counted from 0.
    pub(super) fn open(folder: &Path, head: &BatchHead, from: u64) -> io::Result<Self> {
        // Whole files before the line need not be read.
        let mut before = 0;
        let mut files = head.files.clone();
        files.retain(|file| {
            let is_needed = before + file.events > from;
            if !is_needed {
                before += file.events;
            }
            is_needed
        });
        let mut reader = Self {
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
                    let file = File::open(self.folder.join(&file.name))?;
                    self.open.insert(BufReader::new(Decoder::new(file)?))
                }
            };
            let mut text = String::new();
            if open.read_line(&mut text)? == 0 {
                self.open = None;
                continue;
            }
            if text.ends_with('\n') {
                text.pop();
            }
            let line = self.line;
            self.line += 1;
            return Ok(Some((line, text)));
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
