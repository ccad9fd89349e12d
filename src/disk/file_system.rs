//! What spool, ledger, dead letters and archive ask of a file system, and nothing else.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::SystemTime;

use crate::tape::ScratchFile;

/// A file system. None of its operations is durable by itself: what was written to a file is when
/// the file was synced, what a folder names is when the folder was.
pub trait FileSystem: fmt::Debug + Send + Sync {
    /// Makes one folder that only its owner may enter, in one that is there.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes a file that must not exist yet and that only its owner may read.
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for appending; makes it if it is not there.
    fn append_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading.
    fn open_file(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;
    /// What a file or a folder is; a link that leads nowhere is not there.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// The names in a folder, in no order.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Gives a file a second name.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames a file or a folder; a file that has the new name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with all that is in it.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes durable what a folder names: new, renamed and removed entries.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Free bytes, as far as this user may take them.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Makes a file without a name in a folder: it goes when it is closed, however that happens.
    fn scratch_file(&self, folder: &Path) -> io::Result<Box<dyn ScratchFile>>;
}

/// A file that is being written, at its end.
pub trait DiskFile: Write + Send + fmt::Debug {
    /// Makes what was written durable, its length included; its times may be lost.
    fn sync(&mut self) -> io::Result<()>;
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Takes it back to an earlier length.
    fn cut_back(&mut self, length: u64) -> io::Result<()>;
}

/// What a file or a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Bytes of a file.
    pub bytes: u64,
    /// When it was last written, as far as that is known.
    pub modified: SystemTime,
}
