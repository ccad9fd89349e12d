//! Tables in sled. The only file that names it.

use std::io;
use std::path::{Path, PathBuf};

use super::table::{Changes, KeyValue, StoreError, Table, Tables};
use crate::disk::Disk;

/// What sled may keep of its pages in memory, in bytes.
const CACHE_BYTES: u64 = 8 << 20;

/// Tables on this machine's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct SledTables;

#[derive(Debug)]
struct SledTable(sled::Db);

impl Tables for SledTables {
    fn open(&self, path: &Path) -> Result<Box<dyn Table>, StoreError> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None);
        Ok(Box::new(SledTable(config.open()?)))
    }

    fn set_aside(&self, disk: &Disk, path: &Path, quarantine: &Path) -> io::Result<()> {
        disk.create_folders(quarantine)?;
        disk.rename(path, &free_name(disk, quarantine)?)
    }
}

impl Table for SledTable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(key)?.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<KeyValue>, StoreError> {
        let entries = self.0.scan_prefix(prefix);
        let plain = |entry: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = entry?;
            Ok((key.to_vec(), value.to_vec()))
        };
        entries.map(plain).collect()
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes.iter() {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.0.apply_batch(batch)?;
        self.0.flush()?;
        Ok(())
    }
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::Io(error),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// A place in `quarantine/` that nothing has yet.
fn free_name(disk: &Disk, quarantine: &Path) -> io::Result<PathBuf> {
    let mut n = 1_u64;
    loop {
        let name = quarantine.join(format!("state.sled-{n}"));
        if !disk.exists(&name)? {
            return Ok(name);
        }
        n += 1;
    }
}
