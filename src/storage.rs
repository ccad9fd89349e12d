//! Where the agent keeps things.

use std::io;
use std::sync::Arc;

use crate::disk::{Disk, LookingDisk};
use crate::state::{LookingTables, SledTables, Tables};

/// Where the agent keeps things: this machine, or a stand-in that tests bring.
#[derive(Debug, Clone)]
pub struct Storage {
    /// Files and folders.
    pub disk: Disk,
    /// The current picture and the cursors.
    pub tables: Arc<dyn Tables>,
}

impl Storage {
    /// This machine.
    #[must_use]
    pub fn machine() -> Self {
        Self {
            disk: Disk::machine(),
            tables: Arc::new(SledTables),
        }
    }

    /// This machine to look at: what is written is seen by who looks, and is gone with him.
    pub fn to_look_at(disk: &LookingDisk) -> io::Result<Self> {
        Ok(Self {
            disk: Disk::on(disk.clone()),
            tables: Arc::new(LookingTables::new()?),
        })
    }
}
