//! A file system that can only be looked at. What is written lands in memory, in a layer above this
//! machine's disk, and is gone with it: who opens the state to look at it sees what a start would make
//! of it, and changes nothing.

mod layer;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::file_system::{DiskFile, FileSystem, Metadata};
use super::machine::MachineDisk;
use crate::tape::ScratchFile;
use layer::{Content, Layer};

/// See above. Its clones have one layer.
#[derive(Debug, Clone, Default)]
pub struct LookingDisk {
    layer: Arc<Mutex<Layer>>,
}

impl LookingDisk {
    /// Whether anything would have been changed.
    #[must_use]
    pub fn would_change(&self) -> bool {
        self.lock().has_changes()
    }

    fn lock(&self) -> MutexGuard<'_, Layer> {
        self.layer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileSystem for LookingDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.lock().create_folder(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.lock().create_file(path)?))
    }

    fn append_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.lock().append_file(path)?))
    }

    fn open_file(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let content = self.lock().content(path)?;
        match content {
            Content::Below(below) => MachineDisk.open_file(&below),
            Content::Here(file) => Ok(Box::new(io::Cursor::new(file.bytes()))),
        }
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.lock().metadata(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.lock().names(folder)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.lock().link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.lock().rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.lock().remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.lock().remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.lock().metadata(path).map(drop)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        // A folder that is in the layer alone lies on no disk.
        let mut there = path.ancestors().filter(|folder| folder.is_dir());
        MachineDisk.free_bytes(there.next().unwrap_or(Path::new("/")))
    }

    fn scratch_file(&self, _: &Path) -> io::Result<Box<dyn ScratchFile>> {
        MachineDisk.scratch_file(&std::env::temp_dir())
    }
}

/// A file in the layer; its clones are the same file.
#[derive(Debug, Clone, Default)]
struct LayerFile(Arc<Mutex<Vec<u8>>>);

impl LayerFile {
    fn of(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(bytes)))
    }

    fn bytes(&self) -> Vec<u8> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for LayerFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for LayerFile {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.lock().len() as u64)
    }

    fn cut_back(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.lock().truncate(length);
        Ok(())
    }
}
