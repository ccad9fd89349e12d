//! The lines of a segment, one at a time: a snapshot alone is as large as all that waits.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::MAX_SEGMENT_BYTES;
use crate::disk::Disk;

/// So many bytes are read at once.
const PIECE_BYTES: usize = 64 << 10;

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
            file: BufReader::with_capacity(
                PIECE_BYTES,
                disk.open_at_most(path, MAX_SEGMENT_BYTES)?,
            ),
            count: 0,
            text: Vec::new(),
        })
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
        assert_eq!(lines.next().unwrap(), Some(line(1, "first", true)));
        assert_eq!(lines.next().unwrap(), Some(line(2, "", true)));
        assert_eq!(lines.next().unwrap(), Some(line(3, "third", false)));
        assert_eq!(lines.next().unwrap(), None);
    }
}
