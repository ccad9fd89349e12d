//! How much a poll that is under way may write: as much as the spool has room for together with the
//! others, and as much as leaves the disk its rest.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{Disk, DiskFile};
use crate::tape::ScratchFile;

/// After this many bytes the free disk is measured again.
const MEASURE_BYTES: u64 = 1 << 20;

/// The batch would grow beyond what there is room for. It travels inside an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the spool has no room: {needed} bytes are needed, {room} are left")]
pub struct NoRoom {
    /// Bytes of this batch so far.
    pub needed: u64,
    /// Bytes that it may take.
    pub room: u64,
}

/// The room of one poll.
#[derive(Debug)]
pub(super) struct Room {
    disk: Disk,
    folder: PathBuf,
    min_free_disk: u64,
    /// Bytes of events that there was room for at the beginning.
    limit: u64,
    /// Bytes of events that all polls under way have staged.
    staged_by_all: Arc<AtomicU64>,
    /// Those of this one.
    staged: AtomicU64,
    /// All that it has written, also what waits and what is kept of answers.
    written: AtomicU64,
    /// Of that, what was written since the disk was measured.
    unmeasured: AtomicU64,
}

impl Room {
    pub(super) fn new(
        disk: Disk,
        folder: PathBuf,
        min_free_disk: u64,
        limit: u64,
        staged_by_all: Arc<AtomicU64>,
    ) -> Self {
        Self {
            disk,
            folder,
            min_free_disk,
            limit,
            staged_by_all,
            staged: AtomicU64::new(0),
            written: AtomicU64::new(0),
            unmeasured: AtomicU64::new(0),
        }
    }

    /// A file of events has this many bytes.
    pub(super) fn stage(&self, bytes: u64) -> io::Result<()> {
        let own = self.staged.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = self.staged_by_all.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let room = self.limit.saturating_sub(all - own);
        if own > room {
            return Err(io::Error::other(NoRoom { needed: own, room }));
        }
        Ok(())
    }

    /// A file of events is taken back.
    pub(super) fn unstage(&self, bytes: u64) {
        self.staged.fetch_sub(bytes, Ordering::Relaxed);
        self.staged_by_all.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A file whose bytes count.
    pub(super) fn metered<F>(self: &Arc<Self>, file: F) -> Metered<F> {
        Metered {
            file,
            room: Arc::clone(self),
        }
    }

    fn write(&self, bytes: u64) -> io::Result<()> {
        let written = self.written.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let unmeasured = self.unmeasured.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if unmeasured < MEASURE_BYTES {
            return Ok(());
        }
        self.unmeasured.store(0, Ordering::Relaxed);
        if self.disk.free_bytes(&self.folder)? <= self.min_free_disk {
            // More than what becomes free when this is taken back, or the next try fails as well.
            let needed = written + MEASURE_BYTES;
            return Err(io::Error::other(NoRoom { needed, room: 0 }));
        }
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.unstage(self.staged.load(Ordering::Relaxed));
    }
}

/// A file whose bytes count.
#[derive(Debug)]
pub(super) struct Metered<F> {
    file: F,
    room: Arc<Room>,
}

impl<F: Write> Write for Metered<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room.write(bytes.len() as u64)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for Metered<Box<dyn DiskFile>> {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn cut_back(&mut self, length: u64) -> io::Result<()> {
        self.file.cut_back(length)
    }
}

impl Read for Metered<Box<dyn ScratchFile>> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.file.read(out)
    }
}

impl Seek for Metered<Box<dyn ScratchFile>> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}
