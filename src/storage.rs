//! Where the agent keeps things.

use std::sync::Arc;

use crate::disk::Disk;
use crate::state::{SledTables, Tables};

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
}
