//! Tables that can only be looked at: a copy of what lies there is opened, and is gone with them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::sled_table::SledTables;
use super::table::{Changes, KeyRange, StoreError, Table, Tables};
use crate::disk::Disk;

/// See above.
#[derive(Debug)]
pub struct LookingTables {
    copies: Arc<TempDir>,
    /// Each copy that is set aside has another name.
    number: AtomicU64,
}

/// A copy that is open. It is closed before it is removed.
#[derive(Debug)]
struct LookingTable {
    table: Box<dyn Table>,
    _copies: Arc<TempDir>,
}

impl Table for LookingTable {
    fn scan(
        &self,
        range: KeyRange<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), StoreError> {
        self.table.scan(range, visit)
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        self.table.apply(changes)
    }
}

impl LookingTables {
    /// Makes a place for the copy.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            copies: Arc::new(tempfile::tempdir()?),
            number: AtomicU64::new(0),
        })
    }

    fn copy(&self) -> PathBuf {
        let number = self.number.load(Ordering::Relaxed);
        self.copies.path().join(number.to_string())
    }
}

impl Tables for LookingTables {
    fn open(&self, path: &Path) -> Result<Box<dyn Table>, StoreError> {
        let copy = self.copy();
        let is_first = self.number.load(Ordering::Relaxed) == 0;
        if is_first && !copy.exists() && path.exists() {
            copy_all(path, &copy)?;
        }
        Ok(Box::new(LookingTable {
            table: SledTables.open(&copy)?,
            _copies: Arc::clone(&self.copies),
        }))
    }

    fn set_aside(&self, disk: &Disk, path: &Path, quarantine: &Path) -> io::Result<()> {
        self.number.fetch_add(1, Ordering::Relaxed);
        SledTables.set_aside(disk, path, quarantine)
    }
}

/// Copies a file, or a folder with all that is in it.
fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    if !fs::metadata(from)?.is_dir() {
        // Without its rights: what may only be read there is written here.
        return io::copy(&mut File::open(from)?, &mut File::create(to)?).map(drop);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy_all(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}
