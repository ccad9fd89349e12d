//! Where an agent keeps what must survive.

use std::sync::Arc;

use crate::state::{SledTables, Tables};

/// Where an agent keeps what must survive.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The current picture and the cursors.
    pub tables: Arc<dyn Tables>,
}

impl Storage {
    /// On this machine's own disk.
    #[must_use]
    pub fn of_machine() -> Self {
        Self {
            tables: Arc::new(SledTables),
        }
    }
}
