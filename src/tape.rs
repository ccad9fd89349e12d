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

/// Bytes written in order and read in order, any number of times.
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

    /// Takes everything off it.
    pub fn clear(&mut self) {
        self.memory.clear();
        self.file = None;
        self.file_bytes = 0;
    }

    /// Appends bytes. Over the limit the error's source is [`TapeFull`].
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.len() + bytes.len() as u64 > self.limit {
            return Err(io::Error::other(TapeFull { limit: self.limit }));
        }
        self.memory.extend_from_slice(bytes);
        if self.memory.len() > self.memory_limit {
            self.spill()?;
        }
        Ok(())
    }

    /// Appends a length and then the bytes, for [`TapeReader::read_record`].
    pub fn append_record(&mut self, record: &[u8]) -> io::Result<()> {
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        self.append(&length.to_le_bytes())?;
        self.append(record)
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

    fn spill(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(self.scratch.create()?),
        };
        file.seek(SeekFrom::Start(self.file_bytes))?;
        file.write_all(&self.memory)?;
        self.file_bytes += self.memory.len() as u64;
        self.memory.clear();
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
    /// Reads the next record into `record`; false at the end.
    pub fn read_record(&mut self, record: &mut Vec<u8>) -> io::Result<bool> {
        let mut length = [0; 4];
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

/// Scratch files in memory, for tests.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct MemoryScratch {
    /// How many files were made.
    pub(crate) created: std::sync::atomic::AtomicUsize,
}

#[cfg(test)]
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
