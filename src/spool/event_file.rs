//! A file of events: JSON lines, compressed with zstd. It is read whole and checked before any of
//! its lines is handed out, so that an event is never delivered altered.

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read as _, Write};
use std::path::Path;

use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

use super::FileDamage;
use crate::crash::{self, Point};
use crate::disk::{self, Disk, DiskFile};
use crate::state::EventFile;

/// Fast, and five to ten times smaller.
const ZSTD_LEVEL: i32 = 1;
/// What a file may be longer than twice its length.
const SPARE_BYTES: u64 = 1 << 20;
/// Text that is read of a damaged file, whatever it unpacks to: a file is closed at 8 MiB.
const MAX_SALVAGED_BYTES: u64 = 64 << 20;
/// Bytes that are decompressed at once.
const PIECE_BYTES: usize = 64 << 10;

/// The text of a file that is read is kept if it is no longer than this: a longer one is decompressed
/// twice, to be checked and to be handed out.
const MAX_HELD_BYTES: usize = 1 << 20;

/// What a file holds, decompressed from memory.
type Decoded = BufReader<Decoder<'static, Cursor<Vec<u8>>>>;

/// The lines of a file that is whole.
pub(super) enum EventLines {
    /// All of its text.
    Held {
        text: Vec<u8>,
        /// Where the next line begins.
        next: usize,
    },
    /// To be decompressed.
    Packed(Box<Decoded>),
}

impl EventLines {
    /// Reads and checks a file. Damage travels inside the [`io::Error`]: see [`FileDamage::of`].
    pub(super) fn open(disk: &Disk, folder: &Path, file: &EventFile) -> io::Result<Self> {
        Self::open_holding(MAX_HELD_BYTES, disk, folder, file)
    }

    fn open_holding(
        max_held: usize,
        disk: &Disk,
        folder: &Path,
        file: &EventFile,
    ) -> io::Result<Self> {
        let compressed = match read(disk, folder, file) {
            Ok(compressed) => compressed,
            Err(error) => return Err(FileDamage::reading(&file.name, error)),
        };
        let mut content = Content {
            text: Some(Vec::new()),
            max_held,
            ..Content::default()
        };
        let damage = content.read(&compressed, file);
        if let Some(damage) = damage {
            return Err(FileDamage::found(&file.name, damage));
        }
        Ok(match content.text {
            Some(text) => Self::Held { text, next: 0 },
            None => Self::Packed(Box::new(lines(compressed)?)),
        })
    }

    /// The next line, without its line break.
    pub(super) fn next_line(&mut self) -> io::Result<Option<String>> {
        let lines = match self {
            Self::Held { text, next } => {
                let mut rest = text.get(*next..).unwrap_or_default();
                let before = rest.len();
                let line = next_line(&mut rest);
                *next += before - rest.len();
                return line;
            }
            Self::Packed(lines) => lines,
        };
        next_line(lines)
    }
}

fn next_line(lines: &mut impl BufRead) -> io::Result<Option<String>> {
    // Nearly every line lies in the buffer.
    let buffer = lines.fill_buf()?;
    if let Some((line, _)) =
        memchr::memchr(b'\n', buffer).and_then(|end| buffer.split_at_checked(end))
    {
        let (text, bytes) = (text(line), line.len() + 1);
        lines.consume(bytes);
        return text.map(Some);
    }
    let mut line = Vec::new();
    if lines.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    text(line.strip_suffix(b"\n").unwrap_or(&line)).map(Some)
}

fn text(line: &[u8]) -> io::Result<String> {
    let text = simdutf8::basic::from_utf8(line);
    let no_text = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    text.map(str::to_owned).map_err(no_text)
}

/// How many lines can be read of a file, and what is wrong with it.
pub(super) fn look_at(disk: &Disk, folder: &Path, file: &EventFile) -> (u64, Option<String>) {
    let mut content = Content::default();
    let damage = match read(disk, folder, file) {
        Ok(compressed) => content.read(&compressed, file),
        Err(error) => Some(error.to_string()),
    };
    (content.lines, damage)
}

/// Reads a file that is about as long as it should be: damage may make one endless. One that was
/// written again may be a little longer.
fn read(disk: &Disk, folder: &Path, file: &EventFile) -> io::Result<Vec<u8>> {
    let path = folder.join(&file.name);
    let limit = file.bytes.saturating_mul(2).saturating_add(SPARE_BYTES);
    let bytes = disk.metadata(&path)?.bytes;
    if bytes > limit {
        let what = format!("it has {bytes} bytes, {} were written", file.bytes);
        return Err(FileDamage::found(&file.name, what));
    }
    disk.read_at_most(&path, limit)
}

/// The lines of a damaged file up to the damage, but no more than were written: nothing says that they
/// are what they were.
pub(super) fn readable_lines(disk: &Disk, folder: &Path, file: &EventFile) -> Vec<String> {
    let Ok(decoded) = read(disk, folder, file).and_then(lines) else {
        return Vec::new();
    };
    let lines = decoded.take(MAX_SALVAGED_BYTES).lines();
    let most = usize::try_from(file.events).unwrap_or(usize::MAX);
    lines.map_while(Result::ok).take(most).collect()
}

fn lines(compressed: Vec<u8>) -> io::Result<Decoded> {
    let decoder = Decoder::with_buffer(Cursor::new(compressed))?;
    Ok(BufReader::with_capacity(PIECE_BYTES, decoder))
}

#[derive(Default)]
struct Content {
    lines: u64,
    crc: crc32fast::Hasher,
    /// What was read, if it is wanted and not too long.
    text: Option<Vec<u8>>,
    max_held: usize,
}

impl Content {
    /// Reads to the end, or to the first damage.
    fn read(&mut self, compressed: &[u8], file: &EventFile) -> Option<String> {
        if let Err(error) = self.decode(compressed, file.events) {
            return Some(format!("it cannot be read to its end: {error}"));
        }
        let crc = format!("{:08x}", self.crc.clone().finalize());
        if crc != file.crc32 {
            return Some(format!(
                "its content has the CRC {crc}, batch.json says {}",
                file.crc32
            ));
        }
        (self.lines != file.events).then(|| {
            format!(
                "it holds {} lines, batch.json says {}",
                self.lines, file.events
            )
        })
    }

    fn decode(&mut self, compressed: &[u8], at_most: u64) -> io::Result<()> {
        let mut text = BufReader::with_capacity(PIECE_BYTES, Decoder::with_buffer(compressed)?);
        // Damage may make a file endless.
        while self.lines <= at_most {
            let piece = text.fill_buf()?;
            if piece.is_empty() {
                return Ok(());
            }
            self.lines += memchr::memchr_iter(b'\n', piece).count() as u64;
            self.crc.update(piece);
            let is_too_long = |text: &Vec<u8>| text.len() + piece.len() > self.max_held;
            if self.text.as_ref().is_some_and(is_too_long) {
                self.text = None;
            }
            if let Some(text) = &mut self.text {
                text.extend_from_slice(piece);
            }
            let length = piece.len();
            text.consume(length);
        }
        Ok(())
    }
}

/// A file of events that is being written.
pub(super) struct EventFileWriter {
    encoder: Encoder<'static, Box<dyn DiskFile>>,
    name: String,
    crc: crc32fast::Hasher,
    events: u64,
    bytes_before: u64,
}

impl EventFileWriter {
    /// Writes to a file that is new and has this name.
    pub(super) fn new(file: Box<dyn DiskFile>, name: String) -> io::Result<Self> {
        let mut encoder = Encoder::new(file, ZSTD_LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self {
            encoder,
            name,
            crc: crc32fast::Hasher::new(),
            events: 0,
            bytes_before: 0,
        })
    }

    /// Adds so many lines.
    pub(super) fn write(&mut self, lines: &[u8], events: u64) -> io::Result<()> {
        self.encoder.write_all(lines)?;
        self.crc.update(lines);
        self.events += events;
        self.bytes_before += lines.len() as u64;
        Ok(())
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Its bytes before compression.
    pub(super) fn bytes_before(&self) -> u64 {
        self.bytes_before
    }

    /// Ends the file, durably.
    pub(super) fn finish(self) -> io::Result<EventFile> {
        let mut file = self.encoder.finish()?;
        crash::point(Point::EventsWritten);
        disk::sync(&mut *file)?;
        Ok(EventFile {
            name: self.name,
            events: self.events,
            bytes: file.length()?,
            crc32: format!("{:08x}", self.crc.finalize()),
        })
    }
}

impl fmt::Debug for EventLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLines").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its lines, or that it is damaged.
    fn read(max_held: usize, folder: &Path, file: &EventFile) -> Option<Vec<String>> {
        let disk = Disk::machine();
        let mut lines = match EventLines::open_holding(max_held, &disk, folder, file) {
            Ok(lines) => lines,
            Err(error) => {
                assert!(FileDamage::of(&error).is_some(), "{error}");
                return None;
            }
        };
        let lines = std::iter::from_fn(|| lines.next_line().unwrap());
        Some(lines.collect())
    }

    #[test]
    fn a_file_is_the_same_whether_its_text_is_held_or_not() {
        let (folder, disk) = (tempfile::tempdir().unwrap(), Disk::machine());
        let path = folder.path().join("events");
        let written = ["{\"n\":1}", "", "{\"n\":\"ä\"}"];
        let file = disk.create_file(&path).unwrap();
        let mut writer = EventFileWriter::new(file, "events".to_owned()).unwrap();
        for line in written {
            writer.write(format!("{line}\n").as_bytes(), 1).unwrap();
        }
        let file = writer.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for max_held in [0, 5, MAX_HELD_BYTES] {
            std::fs::write(&path, &whole).unwrap();
            assert_eq!(read(max_held, folder.path(), &file).unwrap(), written);
            for length in 0..whole.len() {
                std::fs::write(&path, &whole[..length]).unwrap();
                assert_eq!(read(max_held, folder.path(), &file), None, "{length}");
            }
            for bit in 0..whole.len() * 8 {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&path, &flipped).unwrap();
                let found = read(max_held, folder.path(), &file);
                assert!(found.is_none_or(|lines| lines == written), "{bit}");
            }
        }
    }
}
