//! The disk damages what was durable, and what is cached of it.

use std::io;
use std::path::Path;

use super::ModelDisk;

/// What becomes of a file by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// A bit of this byte is another.
    Flip { at: usize, bit: u8 },
    /// Only so many bytes are left.
    Cut { length: usize },
    /// It is gone.
    Gone,
}

impl ModelDisk {
    /// Strikes a file, beneath whoever has it open: no crash brings back what it was.
    pub(crate) fn strike(&self, path: &Path, blow: Blow) -> io::Result<()> {
        let mut machine = self.lock();
        let inode = machine.find(path)?;
        match (blow, machine.files.get_mut(&inode)) {
            (Blow::Gone, _) => machine.names.forget(inode),
            (blow, Some(file)) => file.content.strike(blow),
            (_, None) => {}
        }
        Ok(())
    }
}
