//! The lines of a segment, one at a time: a snapshot alone is as large as all that waits.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::MAX_SEGMENT_BYTES;
use crate::disk::Disk;

/// The lines of a segment that are still to be read.
pub(super) struct Lines {
    file: BufReader<Box<dyn Read + Send>>,
    /// How many there were.
    count: usize,
    text: Vec<u8>,
}

/// A line of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    /// Without its line break.
    pub(super) text: &'a [u8],
    /// Whether it has one: it was written to its end.
    pub(super) is_ended: bool,
}

impl Lines {
    /// Of a segment that is longer than any is, nothing is read.
    pub(super) fn open(disk: &Disk, path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: BufReader::new(disk.open_at_most(path, MAX_SEGMENT_BYTES)?),
            count: 0,
            text: Vec::new(),
        })
    }

    /// Passes over the next line, which has so many bytes with its line break.
    pub(super) fn skip_line(&mut self, bytes: u64) -> io::Result<()> {
        self.count += 1;
        io::copy(&mut self.file.by_ref().take(bytes), &mut io::sink()).map(drop)
    }

    /// The next line, as long as there is one.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.text.clear();
        if self.file.read_until(b'\n', &mut self.text)? == 0 {
            return Ok(None);
        }
        self.count += 1;
        let ended = self.text.strip_suffix(b"\n");
        Ok(Some(Line {
            number: self.count,
            text: ended.unwrap_or(&self.text),
            is_ended: ended.is_some(),
        }))
    }
}

impl Line<'_> {
    /// Its bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.text.len() as u64 + u64::from(self.is_ended)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_come_with_their_numbers_and_the_last_may_lack_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        fs::write(&path, "first\n\nthird").unwrap();
        let line = |number, text: &'static str, is_ended| Line {
            number,
            text: text.as_bytes(),
            is_ended,
        };
        let mut lines = Lines::open(&Disk::machine(), &path).unwrap();
        let first = lines.next().unwrap().unwrap();
        let bytes = first.bytes();
        assert_eq!(first, line(1, "first", true));
        assert_eq!(lines.next().unwrap(), Some(line(2, "", true)));
        assert_eq!(lines.next().unwrap(), Some(line(3, "third", false)));
        assert_eq!(lines.next().unwrap(), None);
        let mut lines = Lines::open(&Disk::machine(), &path).unwrap();
        lines.skip_line(bytes).unwrap();
        assert_eq!(lines.next().unwrap(), Some(line(2, "", true)));
    }
}
