//! Writing to disk so that it stays: every file is synced, and the folder that names it.
//!
//! All that the state and the spool read and write goes through a [`Disk`]: the machine's own, or one
//! that tests bring, which loses what a crash may lose.

mod file_system;
mod looking;
mod machine;
#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
pub(crate) mod refusal;
#[cfg(test)]
pub(crate) mod site;

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

pub use file_system::{DiskFile, FileSystem, Metadata};
pub use looking::LookingDisk;
use machine::MachineDisk;

use crate::crash::{self, Point};
use crate::tape::ScratchFile;

/// A file system to keep things on.
#[derive(Debug, Clone)]
pub struct Disk(Arc<dyn FileSystem>, Unreadable);

/// What becomes of what a disk cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unreadable {
    /// It is waited for: the disk may be mended.
    WaitedFor,
    /// It was waited for long enough.
    GivenUp,
}

impl Disk {
    /// This machine's.
    #[must_use]
    pub fn machine() -> Self {
        #[cfg(test)]
        {
            refusal::begin_process();
            Self::on(refusal::RefusingDisk(MachineDisk))
        }
        #[cfg(not(test))]
        Self::on(MachineDisk)
    }

    /// Another one.
    #[must_use]
    pub fn on(file_system: impl FileSystem + 'static) -> Self {
        Self(Arc::new(file_system), Unreadable::WaitedFor)
    }

    /// The same, for who has waited long enough for what it cannot read.
    #[must_use]
    pub fn giving_up_unreadable(self) -> Self {
        Self(self.0, Unreadable::GivenUp)
    }

    /// Whether what cannot be read is given up, where something else can take its place.
    #[must_use]
    pub fn gives_up_unreadable(&self) -> bool {
        self.1 == Unreadable::GivenUp
    }

    /// Makes a folder that only its owner may enter, and those above it, durably.
    #[track_caller]
    pub fn create_folders(&self, path: &Path) -> io::Result<()> {
        if self.is_folder(path)? {
            return Ok(());
        }
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        if let Some(above) = above {
            self.create_folders(above)?;
        }
        match self.0.create_folder(path) {
            // Somebody else was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return self.is_folder(path)?.then_some(()).ok_or(error);
            }
            made => made?,
        }
        #[cfg(test)]
        site::note("above a new folder");
        self.0.sync_folder(above.unwrap_or(Path::new(".")))
    }

    /// Makes a folder for now; a crash may undo it.
    pub fn create_folder_for_now(&self, path: &Path) -> io::Result<()> {
        self.0.create_folder(path)
    }

    /// Makes a file that must not exist yet and that only its owner may read.
    pub fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.0.create_file(path)
    }

    /// Opens a file for appending; makes it if it is not there.
    pub fn append_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.0.append_file(path)
    }

    /// Opens a file for reading.
    pub fn open_file(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.0.open_file(path)
    }

    /// Reads a whole file, whatever its length.
    #[cfg(test)]
    pub(crate) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.open_file(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a whole file of at most so many bytes; of a longer one nothing: see [`is_too_large`].
    pub fn read_at_most(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = self.0.open_file(path)?;
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(too_large(limit));
        }
        Ok(bytes)
    }

    /// Opens a file for reading, if it has at most so many bytes: see [`is_too_large`].
    pub fn open_at_most(&self, path: &Path, limit: u64) -> io::Result<Box<dyn Read + Send>> {
        let file = self.0.open_file(path)?;
        if self.0.metadata(path)?.bytes > limit {
            return Err(too_large(limit));
        }
        Ok(file)
    }

    /// Writes a new file and syncs it; its folder is the caller's to sync.
    #[track_caller]
    pub fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        append(&mut *self.0.create_file(path)?, bytes)
    }

    /// What a file or a folder is.
    pub fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.0.metadata(path)
    }

    /// The same; none if nothing has this name.
    pub fn metadata_if_there(&self, path: &Path) -> io::Result<Option<Metadata>> {
        match self.0.metadata(path) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether anything has this name.
    pub fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.metadata_if_there(path)?.is_some())
    }

    fn is_folder(&self, path: &Path) -> io::Result<bool> {
        let found = self.metadata_if_there(path)?;
        Ok(found.is_some_and(|found| found.is_folder))
    }

    /// The first of the names for 1, 2, … that nothing in the folder has. Where nothing can be looked
    /// at, no name is free, and that is the error.
    pub fn free_name(&self, folder: &Path, name: impl Fn(u64) -> String) -> io::Result<String> {
        let mut number = 1;
        loop {
            let name = name(number);
            if !self.exists(&folder.join(&name))? {
                return Ok(name);
            }
            number += 1;
        }
    }

    /// The names in a folder, in no order.
    pub fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.0.names(folder)
    }

    /// Gives a file a second name; the folder of that is the caller's to sync.
    pub fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.link(from, to)
    }

    /// Renames; a crash may undo it.
    pub fn rename_for_now(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    /// Renames, and makes both folders durable.
    #[track_caller]
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)?;
        crash::point(Point::Renamed);
        if let Some(folder) = to.parent() {
            #[cfg(test)]
            site::note("the new name");
            self.0.sync_folder(folder)?;
        }
        crash::point(Point::NewNameSynced);
        if let Some(folder) = from.parent() {
            #[cfg(test)]
            site::note("the old name");
            self.0.sync_folder(folder)?;
        }
        Ok(())
    }

    /// Removes a file; its folder is the caller's to sync.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }

    /// Removes a file if it is there; its folder is the caller's to sync.
    pub fn remove_file_if_there(&self, path: &Path) -> io::Result<()> {
        match self.0.remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Removes a folder with all that is in it.
    pub fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.0.remove_folder(path)
    }

    /// Makes durable what a folder names: new, renamed and removed entries.
    #[track_caller]
    pub fn sync_folder(&self, path: &Path) -> io::Result<()> {
        #[cfg(test)]
        site::note("a folder");
        self.0.sync_folder(path)
    }

    /// Free bytes on the file system of a folder, as far as this user may take them.
    pub fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.0.free_bytes(path)
    }

    /// Makes a file without a name in a folder: a crash leaves nothing of it.
    pub fn scratch_file(&self, folder: &Path) -> io::Result<Box<dyn ScratchFile>> {
        self.0.scratch_file(folder)
    }
}

/// A file is longer than anything that was written here. It travels inside an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has more than {limit} bytes, which none that was written here has")]
struct TooLarge {
    limit: u64,
}

fn too_large(limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, TooLarge { limit })
}

/// Whether an error says that a file is longer than it can be.
#[must_use]
pub fn is_too_large(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<TooLarge>)
}

/// Whether an error says that the disk takes or gives nothing at the moment: it may pass.
#[must_use]
pub fn takes_nothing(error: &io::Error) -> bool {
    is_the_machines(error) && !has_no_right(error) || is_unreadable(error)
}

/// Whether an error says nothing about what lies on the disk: that is full, must not be written, is
/// broken or not there, or this process has no right to it, no memory, or no more file descriptors.
#[must_use]
pub fn is_the_machines(error: &io::Error) -> bool {
    /// ENXIO, ENFILE, EMFILE, ETIMEDOUT, EHOSTDOWN, ESTALE.
    const MACHINE: [i32; 6] = [6, 23, 24, 110, 112, 116];
    let is_full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
    );
    let code = error.raw_os_error();
    is_full
        || has_no_right(error)
        || code.is_some_and(|code| code == EIO || MACHINE.contains(&code))
}

fn has_no_right(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::OutOfMemory
    )
}

/// Whether an error says that a place on the disk cannot be read.
#[must_use]
pub fn is_unreadable(error: &io::Error) -> bool {
    /// EBADMSG and EUCLEAN, of file systems that check what they read.
    const CHECKED: [i32; 2] = [74, 117];
    let code = error.raw_os_error();
    code.is_some_and(|code| code == EIO || CHECKED.contains(&code))
}

/// The disk is broken. It has no kind of its own.
const EIO: i32 = 5;

/// Makes what was written to a file durable, its length included; its times may be lost.
#[track_caller]
pub fn sync(file: &mut dyn DiskFile) -> io::Result<()> {
    #[cfg(test)]
    site::note("a file");
    file.sync()
}

/// Appends to a file, durably.
#[track_caller]
pub fn append(file: &mut dyn DiskFile, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    sync(file)
}

#[cfg(test)]
mod tests;
