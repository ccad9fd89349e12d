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
    /// The last one had no line break.
    is_over: bool,
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
            is_over: false,
        })
    }

    /// The next line, as long as there is one. What is written meanwhile behind a line that had no end
    /// is the rest of it, and no line.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.text.clear();
        if self.is_over || self.file.read_until(b'\n', &mut self.text)? == 0 {
            return Ok(None);
        }
        self.count += 1;
        let ended = self.text.strip_suffix(b"\n");
        self.is_over = ended.is_none();
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
    use crate::disk;

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

    /// Half of a line is seen while it is written where a page of the file ends in it.
    #[test]
    fn the_rest_of_a_line_that_is_being_written_is_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        fs::write(&path, "first\nsec").unwrap();
        let disk = Disk::machine();
        let mut lines = Lines::open(&disk, &path).unwrap();
        assert!(lines.next().unwrap().unwrap().is_ended);
        assert!(!lines.next().unwrap().unwrap().is_ended);
        disk::append(&mut *disk.append_file(&path).unwrap(), b"ond\nthird\n").unwrap();
        assert_eq!(lines.next().unwrap(), None);
        let mut again = Lines::open(&disk, &path).unwrap();
        let mut count = 0;
        while again.next().unwrap().is_some_and(|line| line.is_ended) {
            count += 1;
        }
        assert_eq!(count, 3);
    }
}
