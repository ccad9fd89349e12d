//! Writing to disk so that it stays: every file is synced, and the folder that names it.
//!
//! All that the state and the spool write goes through here, so that tests can refuse each step.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a folder that only its owner may enter, and those above it.
pub fn create_folder(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    refusal::step()?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Makes a file that must not exist yet and that only its owner may read.
pub fn create_file(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    refusal::step()?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Opens a file for appending; makes it if it is not there.
pub fn append_file(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    refusal::step()?;
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Appends to a file, durably.
pub fn append(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    #[cfg(test)]
    refusal::step().or_else(|error| {
        // As a disk that becomes full, or a machine that stops, leaves it.
        file.write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
        Err(error)
    })?;
    file.write_all(bytes)?;
    sync(file)
}

/// Makes what was written to a file durable, its length included; its times may be lost.
pub fn sync(file: &File) -> io::Result<()> {
    #[cfg(test)]
    refusal::step()?;
    file.sync_data()
}

/// Writes a new file and syncs it; its folder is the caller's to sync.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    append(&mut create_file(path)?, bytes)
}

/// Makes what a folder names durable: new, renamed and removed entries.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    refusal::step()?;
    File::open(path)?.sync_all()
}

/// Renames; a crash may undo it.
pub fn rename_for_now(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    refusal::step()?;
    fs::rename(from, to)
}

/// Renames, and makes both folders durable.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    rename_for_now(from, to)?;
    for path in [to, from] {
        if let Some(folder) = path.parent() {
            sync_folder(folder)?;
        }
    }
    Ok(())
}

/// Takes a file back to an earlier length.
pub fn cut_back(file: &File, length: u64) -> io::Result<()> {
    #[cfg(test)]
    refusal::step()?;
    file.set_len(length)
}

/// Removes a file; its folder is the caller's to sync.
pub fn remove_file(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    refusal::step()?;
    fs::remove_file(path)
}

/// Removes a folder with all that is in it.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    refusal::step()?;
    fs::remove_dir_all(path)
}

/// Free bytes on the file system of a folder, as far as this user may take them.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A disk that refuses, on the thread of the test that asks for it.
#[cfg(test)]
pub(crate) mod refusal {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static STEPS: Cell<u64> = const { Cell::new(0) };
        static REFUSED: Cell<(u64, u64)> = const { Cell::new((u64::MAX, u64::MAX)) };
    }

    /// From now on the step of this number, counted from 0, is refused, and `more` after it.
    pub(crate) fn refuse(number: u64, more: u64) {
        STEPS.set(0);
        REFUSED.set((number, number.saturating_add(more)));
    }

    /// Nothing is refused any more; tells how many steps there were since [`refuse`].
    pub(crate) fn end() -> u64 {
        REFUSED.set((u64::MAX, u64::MAX));
        STEPS.get()
    }

    pub(super) fn step() -> io::Result<()> {
        let step = STEPS.get();
        STEPS.set(step + 1);
        let (first, last) = REFUSED.get();
        if (first..=last).contains(&step) && first != u64::MAX {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}
