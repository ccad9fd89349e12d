//! An open file.

use std::io::{self, Read, Write};

use super::super::file_system::DiskFile;
use super::super::site;
use super::machine::{FileNode, Machine, Step, error};
use super::names::Inode;
use super::{ModelDisk, code};

/// An open file; dead when the machine has been started anew.
#[derive(Debug)]
pub(super) struct ModelFile {
    pub(super) disk: ModelDisk,
    pub(super) inode: Inode,
    pub(super) starts: u64,
    /// Bytes that were read from it.
    pub(super) read: usize,
}

impl ModelFile {
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Machine, &mut FileNode) -> io::Result<T>,
    ) -> io::Result<T> {
        self.alive()?;
        self.disk.change(|machine| self.with(machine, change))
    }

    /// The file is taken out of its place, so that the rest can be looked at.
    fn with<T>(
        &self,
        machine: &mut Machine,
        change: impl FnOnce(&mut Machine, &mut FileNode) -> io::Result<T>,
    ) -> io::Result<T> {
        let file = machine.files.remove(&self.inode);
        let mut file = file.ok_or_else(|| error(code::ISDIR))?;
        let changed = change(machine, &mut file);
        machine.files.insert(self.inode, file);
        changed
    }

    fn alive(&self) -> io::Result<()> {
        let machine = self.disk.lock();
        machine.alive()?;
        if machine.starts != self.starts {
            return Err(error(code::IO));
        }
        Ok(())
    }
}

impl Write for ModelFile {
    /// A step that is refused, or in which the machine stops, may have written a part.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.alive()?;
        let mut machine = self.disk.lock();
        let fits = usize::try_from(machine.free()).unwrap_or(usize::MAX);
        let step = machine.step(&self.disk.stopped);
        let written = match &step {
            Ok(Step::Done) => bytes.len().min(fits),
            Ok(Step::DoneUnheard) | Err(_) => machine.random.usize(..=bytes.len()).min(fits),
        };
        let now = machine.clock.now().utc.into();
        let file = machine.files.get_mut(&self.inode);
        let file = file.ok_or_else(|| error(code::ISDIR))?;
        if written > 0 {
            file.content.append(&bytes[..written]);
            file.modified = now;
        }
        match step? {
            Step::Done if written == 0 && !bytes.is_empty() => Err(error(code::NOSPC)),
            Step::Done => Ok(written),
            Step::DoneUnheard => Err(error(code::IO)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for ModelFile {
    /// A sync that fails has not written, and none after it will.
    fn sync(&mut self) -> io::Result<()> {
        let site = site::take();
        let synced = self.change(|machine, file| {
            if !machine.is_ignored(site) {
                file.content.sync();
            }
            Ok(())
        });
        if synced.is_err() && self.alive().is_ok() {
            let mut machine = self.disk.lock();
            if let Some(file) = machine.files.get_mut(&self.inode) {
                file.content.fail_to_sync();
            }
        }
        synced
    }

    fn length(&self) -> io::Result<u64> {
        self.alive()?;
        self.disk.look(|machine| {
            let file = machine.files.get(&self.inode);
            let file = file.ok_or_else(|| error(code::ISDIR))?;
            Ok(file.content.current().len() as u64)
        })
    }

    fn cut_back(&mut self, length: u64) -> io::Result<()> {
        self.change(|_, file| {
            file.content
                .cut(usize::try_from(length).unwrap_or(usize::MAX));
            Ok(())
        })
    }
}

impl Read for ModelFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.alive()?;
        let machine = self.disk.lock();
        let file = machine.files.get(&self.inode);
        let file = file.ok_or_else(|| error(code::ISDIR))?;
        let mut rest = file.content.current().get(self.read..).unwrap_or_default();
        let read = rest.read(out)?;
        self.read += read;
        Ok(read)
    }
}
