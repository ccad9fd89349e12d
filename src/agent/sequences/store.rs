//! The store of a machine that can stop: what it writes is a step of the disk too.

use std::io;
use std::path::Path;

use crate::disk::Disk;
use crate::disk::model::ModelDisk;
use crate::state::{Changes, KeyRange, MemoryTables, StoreError, Table, Tables};

/// Tables that are no more when the disk is not.
#[derive(Debug, Clone)]
pub(super) struct StoppingTables {
    pub(super) disk: ModelDisk,
    pub(super) tables: MemoryTables,
}

#[derive(Debug)]
struct StoppingTable {
    disk: ModelDisk,
    table: Box<dyn Table>,
}

impl Tables for StoppingTables {
    fn open(&self, path: &Path) -> Result<Box<dyn Table>, StoreError> {
        self.disk.alive()?;
        Ok(Box::new(StoppingTable {
            disk: self.disk.clone(),
            table: self.tables.open(path)?,
        }))
    }

    fn set_aside(&self, disk: &Disk, path: &Path, quarantine: &Path) -> io::Result<()> {
        self.disk.alive()?;
        self.tables.set_aside(disk, path, quarantine)
    }
}

impl Table for StoppingTable {
    fn scan(
        &self,
        range: KeyRange<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), StoreError> {
        self.disk.alive()?;
        self.table.scan(range, visit)
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        let write = || self.table.apply(changes).map_err(io::Error::other);
        Ok(self.disk.step(write)?)
    }
}
