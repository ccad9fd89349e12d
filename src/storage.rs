//! Where the agent keeps things.

use crate::disk::Disk;

/// Where the agent keeps things: this machine, or a stand-in that tests bring.
#[derive(Debug, Clone)]
pub struct Storage {
    /// Files and folders.
    pub disk: Disk,
}

impl Storage {
    /// This machine.
    #[must_use]
    pub fn machine() -> Self {
        Self {
            disk: Disk::machine(),
        }
    }
}
