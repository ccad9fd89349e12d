//! A disk that refuses a step, on the thread of the test that asks for it.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::path::Path;

use super::file_system::{DiskFile, FileSystem, Metadata};
use crate::tape::ScratchFile;

/// No space left on the device.
const ENOSPC: i32 = 28;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
    static REFUSED: Cell<(u64, u64)> = const { Cell::new((u64::MAX, u64::MAX)) };
    static CODE: Cell<i32> = const { Cell::new(ENOSPC) };
    static FREE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on the step of this number, counted from 0, is refused, and `more` after it: the disk is
/// full.
pub(crate) fn refuse(number: u64, more: u64) {
    refuse_as(ENOSPC, number, more);
}

/// The same with another error of the system.
pub(crate) fn refuse_as(code: i32, number: u64, more: u64) {
    STEPS.set(0);
    REFUSED.set((number, number.saturating_add(more)));
    CODE.set(code);
}

/// Nothing is refused any more; tells how many steps there were since [`refuse`].
pub(crate) fn end() -> u64 {
    REFUSED.set((u64::MAX, u64::MAX));
    STEPS.get()
}

/// From now on the disk says that so much is free; none: what is true.
pub(crate) fn pretend_free(bytes: Option<u64>) {
    FREE.set(bytes);
}

fn step() -> io::Result<()> {
    let step = STEPS.get();
    STEPS.set(step + 1);
    let (first, last) = REFUSED.get();
    if (first..=last).contains(&step) && first != u64::MAX {
        return Err(io::Error::from_raw_os_error(CODE.get()));
    }
    Ok(())
}

/// What changes something on it is a step.
#[derive(Debug)]
pub(super) struct RefusingDisk<F>(pub(super) F);

#[derive(Debug)]
struct RefusingFile(Box<dyn DiskFile>);

impl<F: FileSystem> FileSystem for RefusingDisk<F> {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        step()?;
        self.0.create_folder(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        step()?;
        Ok(Box::new(RefusingFile(self.0.create_file(path)?)))
    }

    fn append_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        step()?;
        Ok(Box::new(RefusingFile(self.0.append_file(path)?)))
    }

    fn open_file(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.0.open_file(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.0.metadata(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.0.names(folder)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        step()?;
        self.0.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        step()?;
        self.0.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        step()?;
        self.0.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        step()?;
        self.0.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        step()?;
        self.0.sync_folder(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        FREE.get().map_or_else(|| self.0.free_bytes(path), Ok)
    }

    fn scratch_file(&self, folder: &Path) -> io::Result<Box<dyn ScratchFile>> {
        self.0.scratch_file(folder)
    }
}

impl Write for RefusingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = step() {
            // As a disk that becomes full, or a machine that stops, leaves it.
            self.0
                .write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
            return Err(error);
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for RefusingFile {
    fn sync(&mut self) -> io::Result<()> {
        step()?;
        self.0.sync()
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn cut_back(&mut self, length: u64) -> io::Result<()> {
        step()?;
        self.0.cut_back(length)
    }
}
