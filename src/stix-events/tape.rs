//! A tape: bytes that wait, in memory as long as they are few, else in a scratch file.
//!
//! What is read must often wait for something that comes later. A [`Tape`] bounds the memory that
//! this takes, whatever the input's size.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

/// A file for a tape that outgrows its memory: it is gone when it is dropped.
pub trait ScratchFile: Read + Write + Seek + Send {}

impl<T: Read + Write + Seek + Send> ScratchFile for T {}

/// Where scratch files are made.
pub trait Scratch: Send + Sync {
    /// Makes an empty scratch file.
    fn create(&self) -> io::Result<Box<dyn ScratchFile>>;
}

/// A tape would grow beyond its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} bytes")]
pub struct TapeFull {
    /// The limit in bytes.
    pub limit: u64,
}

/// What stands before each record.
const LENGTH_BYTES: usize = size_of::<u32>();

/// Bytes written in order and read in order or by place, any number of times.
pub struct Tape {
    scratch: Arc<dyn Scratch>,
    file: Option<Box<dyn ScratchFile>>,
    file_bytes: u64,
    memory: Vec<u8>,
    memory_limit: usize,
    limit: u64,
}

impl Tape {
    /// An empty tape that keeps up to `memory_limit` bytes in memory and takes at most `limit`.
    #[must_use]
    pub fn new(scratch: Arc<dyn Scratch>, memory_limit: usize, limit: u64) -> Self {
        Self {
            scratch,
            file: None,
            file_bytes: 0,
            memory: Vec::new(),
            memory_limit,
            limit,
        }
    }

    /// How many bytes are on it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.file_bytes + self.memory.len() as u64
    }

    /// Whether nothing is on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it keeps of memory, whatever is on it.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Takes everything off it.
    pub fn clear(&mut self) {
        self.memory.clear();
        self.file = None;
        self.file_bytes = 0;
    }

    /// Takes off everything behind the first `length` bytes.
    pub fn truncate(&mut self, length: u64) {
        match length.checked_sub(self.file_bytes) {
            Some(in_memory) => self
                .memory
                .truncate(usize::try_from(in_memory).unwrap_or(usize::MAX)),
            None => {
                self.memory.clear();
                self.file_bytes = length;
            }
        }
    }

    /// Appends bytes. Over the limit the error's source is [`TapeFull`].
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.len() + bytes.len() as u64 > self.limit {
            return Err(io::Error::other(TapeFull { limit: self.limit }));
        }
        if self.memory.len() + bytes.len() > self.memory_limit {
            self.spill()?;
        }
        if bytes.len() > self.memory_limit {
            return self.append_to_file(bytes);
        }
        self.memory.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends a length and then the bytes; gives the place of the record.
    pub fn append_record(&mut self, record: &[u8]) -> io::Result<u64> {
        let place = self.len();
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        self.append(&length.to_le_bytes())?;
        self.append(record)?;
        Ok(place)
    }

    /// Overwrites bytes of the record at `place`, `skip` of them left as they are.
    pub fn overwrite(&mut self, place: u64, skip: usize, bytes: &[u8]) -> io::Result<()> {
        let start = place + (LENGTH_BYTES + skip) as u64;
        let Some(at) = start.checked_sub(self.file_bytes) else {
            let file = self.file.as_mut().ok_or_else(beyond_the_end)?;
            file.seek(SeekFrom::Start(start))?;
            return file.write_all(bytes);
        };
        slice_at(&mut self.memory, at, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Reads from the start.
    pub fn rewind(&mut self) -> io::Result<TapeReader<'_>> {
        let file = match &mut self.file {
            Some(file) => {
                file.seek(SeekFrom::Start(0))?;
                Some(io::BufReader::with_capacity(
                    64 << 10,
                    file.take(self.file_bytes),
                ))
            }
            None => None,
        };
        Ok(TapeReader {
            file,
            memory: self.memory.as_slice(),
        })
    }

    /// Reads records wherever they are.
    pub fn random_access(&mut self) -> RandomAccess<'_> {
        RandomAccess {
            tape: self,
            windows: [Window::default(), Window::default()],
        }
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.memory.is_empty() {
            return Ok(());
        }
        let mut memory = std::mem::take(&mut self.memory);
        self.append_to_file(&memory)?;
        memory.clear();
        self.memory = memory;
        Ok(())
    }

    fn append_to_file(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(self.scratch.create()?),
        };
        file.seek(SeekFrom::Start(self.file_bytes))?;
        file.write_all(bytes)?;
        self.file_bytes += bytes.len() as u64;
        Ok(())
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape")
            .field("file_bytes", &self.file_bytes)
            .field("memory_bytes", &self.memory.len())
            .finish_non_exhaustive()
    }
}

/// Reads a tape from its start.
pub struct TapeReader<'t> {
    file: Option<io::BufReader<io::Take<&'t mut Box<dyn ScratchFile>>>>,
    memory: &'t [u8],
}

impl TapeReader<'_> {
    /// What is left, if all of it lies in memory.
    #[must_use]
    pub fn in_memory(&self) -> Option<&[u8]> {
        self.file.is_none().then_some(self.memory)
    }

    /// Reads the next record into `record`; false at the end.
    pub fn read_record(&mut self, record: &mut Vec<u8>) -> io::Result<bool> {
        let mut length = [0; LENGTH_BYTES];
        let read = self.read(&mut length)?;
        if read == 0 {
            return Ok(false);
        }
        if let Some(rest) = length.get_mut(read..) {
            self.read_exact(rest)?;
        }
        record.resize(u32::from_le_bytes(length) as usize, 0);
        self.read_exact(record)?;
        Ok(true)
    }
}

impl Read for TapeReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.file {
            let read = file.read(out)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            self.file = None;
        }
        self.memory.read(out)
    }
}

/// Reads a tape's records by their places; quickest where they are near one of the last two.
pub struct RandomAccess<'t> {
    tape: &'t mut Tape,
    /// Pieces of the file, the one that was read last first: whoever reads in order and looks
    /// something up elsewhere in between finds its place again.
    windows: [Window; 2],
}

/// A piece of a tape's file.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    start: u64,
}

impl RandomAccess<'_> {
    const WINDOW_BYTES: u64 = 64 << 10;
    /// Neighbours on either side are likely to be asked for next.
    const BEFORE: u64 = Self::WINDOW_BYTES / 4;

    /// How many bytes are on the tape.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.tape.len()
    }

    /// Whether nothing is on the tape.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tape.is_empty()
    }

    /// Whether some of it lies in a file.
    #[must_use]
    pub fn is_in_file(&self) -> bool {
        self.tape.file.is_some()
    }

    /// Reads the record at the place that [`Tape::append_record`] gave; gives that of the next.
    pub fn read_record(&mut self, place: u64, record: &mut Vec<u8>) -> io::Result<u64> {
        let mut length = [0; LENGTH_BYTES];
        self.read(place, &mut length)?;
        record.resize(u32::from_le_bytes(length) as usize, 0);
        let start = place + LENGTH_BYTES as u64;
        self.read(start, record)?;
        Ok(start + record.len() as u64)
    }

    /// What was appended at once lies in the file or in memory, never in both.
    fn read(&mut self, start: u64, out: &mut [u8]) -> io::Result<()> {
        if let Some(at) = start.checked_sub(self.tape.file_bytes) {
            out.copy_from_slice(slice_at(&mut self.tape.memory, at, out.len())?);
            return Ok(());
        }
        let end = start + out.len() as u64;
        let [last, other] = &mut self.windows;
        if !last.holds(start, end) {
            std::mem::swap(last, other);
        }
        if !last.holds(start, end) {
            last.move_to(self.tape, start, end)?;
        }
        let at = start - last.start;
        out.copy_from_slice(slice_at(&mut last.bytes, at, out.len())?);
        Ok(())
    }
}

impl Window {
    fn holds(&self, start: u64, end: u64) -> bool {
        start >= self.start && end <= self.start + self.bytes.len() as u64
    }

    fn move_to(&mut self, tape: &mut Tape, start: u64, end: u64) -> io::Result<()> {
        let file = tape.file.as_mut().ok_or_else(beyond_the_end)?;
        self.start = start.saturating_sub(RandomAccess::BEFORE);
        let window_end = end.max(self.start + RandomAccess::WINDOW_BYTES);
        let window_end = window_end.min(tape.file_bytes);
        self.bytes.clear();
        file.seek(SeekFrom::Start(self.start))?;
        file.take(window_end.saturating_sub(self.start))
            .read_to_end(&mut self.bytes)?;
        Ok(())
    }
}

fn slice_at(bytes: &mut [u8], at: u64, length: usize) -> io::Result<&mut [u8]> {
    usize::try_from(at)
        .ok()
        .and_then(|at| bytes.get_mut(at..at.checked_add(length)?))
        .ok_or_else(beyond_the_end)
}

fn beyond_the_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "no such place on the tape")
}

/// Scratch files in memory, for tests.
#[derive(Debug, Default)]
pub struct MemoryScratch {
    /// How many files were made.
    pub created: std::sync::atomic::AtomicUsize,
}

impl Scratch for MemoryScratch {
    fn create(&self) -> io::Result<Box<dyn ScratchFile>> {
        self.created
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Box::new(io::Cursor::new(Vec::new())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    fn records(tape: &mut Tape) -> Vec<Vec<u8>> {
        let mut reader = tape.rewind().unwrap();
        let mut record = Vec::new();
        let mut all = Vec::new();
        while reader.read_record(&mut record).unwrap() {
            all.push(record.clone());
        }
        all
    }

    #[test]
    fn records_come_back_from_memory_and_file() {
        let scratch = Arc::new(MemoryScratch::default());
        let mut tape = Tape::new(Arc::clone(&scratch) as _, 10, 1000);
        let written: Vec<Vec<u8>> = (0..20_u8).map(|n| vec![n; usize::from(n)]).collect();
        for (index, record) in written.iter().enumerate() {
            tape.append_record(record).unwrap();
            // Reading in between disturbs nothing.
            assert_eq!(records(&mut tape), written[..=index]);
        }
        assert_eq!(scratch.created.load(Ordering::Relaxed), 1);

        tape.clear();
        assert!(records(&mut tape).is_empty());
        tape.append_record(b"again").unwrap();
        assert_eq!(records(&mut tape), [b"again"]);
    }

    proptest::proptest! {
        /// Whatever lies in memory or in the file: each place gives its record, as overwritten.
        #[test]
        fn records_by_place(
            lengths in proptest::collection::vec(1..30_usize, 1..60),
            order in proptest::collection::vec(proptest::prelude::any::<proptest::sample::Index>(), 1..60),
        ) {
            let mut tape = Tape::new(Arc::new(MemoryScratch::default()), 20, 10_000);
            let mut written = Vec::new();
            for (number, &length) in (0_u8..).zip(&lengths) {
                let record = vec![number; length];
                written.push((tape.append_record(&record).unwrap(), record));
            }
            for chosen in &order {
                let (place, record) = &mut written[chosen.index(lengths.len())];
                let last = record.len() - 1;
                record[last] = 255;
                tape.overwrite(*place, last, &[255]).unwrap();
            }
            proptest::prop_assert_eq!(records(&mut tape).len(), lengths.len());
            let mut access = tape.random_access();
            let mut found = Vec::new();
            for chosen in &order {
                let (place, record) = &written[chosen.index(lengths.len())];
                access.read_record(*place, &mut found).unwrap();
                proptest::prop_assert_eq!(&found, record);
            }
        }
    }

    #[test]
    fn the_window_moves_over_a_large_file() {
        let mut tape = Tape::new(Arc::new(MemoryScratch::default()), 10, 10 << 20);
        let record = |number: u32| vec![number.to_le_bytes(); 1 + number as usize % 4000].concat();
        let places: Vec<u64> = (0..400)
            .map(|number| tape.append_record(&record(number)).unwrap())
            .collect();
        let mut access = tape.random_access();
        let mut found = Vec::new();
        for number in (0..400).chain((0..400).rev()) {
            access
                .read_record(places[number as usize], &mut found)
                .unwrap();
            assert_eq!(found, record(number), "record {number}");
        }
        let beyond = access.read_record(10 << 20, &mut found).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn the_end_is_taken_off_memory_and_file() {
        for length in 0..=30 {
            let mut tape = Tape::new(Arc::new(MemoryScratch::default()), 10, 1000);
            // Eleven bytes spill, the rest stays in memory.
            (0..20).for_each(|n| tape.append(&[n]).unwrap());
            tape.truncate(length);
            tape.append(b"!").unwrap();
            let mut bytes = Vec::new();
            tape.rewind().unwrap().read_to_end(&mut bytes).unwrap();
            let kept = 0..u8::try_from(length.min(20)).unwrap();
            assert_eq!(bytes, kept.chain([b'!']).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn little_stays_in_memory() {
        let scratch = Arc::new(MemoryScratch::default());
        let mut tape = Tape::new(Arc::clone(&scratch) as _, 10, 1000);
        tape.append(&[1; 10]).unwrap();
        assert_eq!(scratch.created.load(Ordering::Relaxed), 0);
        assert_eq!(tape.len(), 10);
    }

    #[test]
    fn the_limit_is_named() {
        let mut tape = Tape::new(Arc::new(MemoryScratch::default()), 10, 20);
        tape.append(&[1; 20]).unwrap();
        let error = tape.append(&[1]).unwrap_err();
        let full = error.get_ref().and_then(|e| e.downcast_ref::<TapeFull>());
        assert_eq!(full, Some(&TapeFull { limit: 20 }));
    }
}
