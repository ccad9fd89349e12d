//! What the code under test does to the disk.

use std::io::{self, Cursor, Read};
use std::path::Path;

use super::super::file_system::{DiskFile, FileSystem, Metadata};
use super::super::site;
use super::machine::error;
use super::{ModelDisk, code};
use crate::tape::ScratchFile;

impl FileSystem for ModelDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.change(|machine| {
            let (folder, name) = machine.new_name(path)?;
            let made = machine.make(folder, name);
            machine.folders.insert(made);
            Ok(())
        })
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.change(|machine| {
            let (folder, name) = machine.new_name(path)?;
            let made = machine.make_file(folder, name)?;
            Ok(Box::new(self.open(made, machine)) as Box<dyn DiskFile>)
        })
    }

    fn append_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.change(|machine| {
            let inode = match machine.find(path) {
                Ok(folder) if machine.folders.contains(&folder) => return Err(error(code::ISDIR)),
                Ok(file) => file,
                Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                    let (folder, name) = machine.new_name(path)?;
                    machine.make_file(folder, name)?
                }
                Err(error) => return Err(error),
            };
            Ok(Box::new(self.open(inode, machine)) as Box<dyn DiskFile>)
        })
    }

    fn open_file(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.look(|machine| {
            let inode = machine.find(path)?;
            if machine.unreadable.contains(&inode) {
                return Err(error(code::IO));
            }
            Ok(Box::new(self.open(inode, machine)) as Box<dyn Read + Send>)
        })
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.look(|machine| {
            let inode = machine.find(path)?;
            Ok(match machine.files.get(&inode) {
                Some(file) => Metadata {
                    is_folder: false,
                    bytes: file.content.current().len() as u64,
                    modified: file.modified,
                },
                None => Metadata {
                    is_folder: true,
                    bytes: 0,
                    modified: machine.clock.now().utc.into(),
                },
            })
        })
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.look(|machine| {
            let folder = machine.find_folder(folder)?;
            let names = machine.names.in_folder(folder);
            Ok(names.map(|(name, _)| name.to_owned()).collect())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|machine| {
            let inode = machine.find(from)?;
            let (folder, name) = machine.new_name(to)?;
            if machine.folders.contains(&inode) {
                return Err(error(code::PERM));
            }
            machine.names.add((folder, name.to_owned()), inode);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|machine| machine.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(|machine| {
            let inode = machine.find(path)?;
            if machine.folders.contains(&inode) {
                return Err(error(code::ISDIR));
            }
            let (folder, name) = machine.place(path)?;
            machine.names.remove((folder, name.to_owned()), inode);
            Ok(())
        })
    }

    /// Each name in it goes in a step of its own.
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let names = self.names(path)?;
        for name in names {
            let path = path.join(name);
            if self.metadata(&path)?.is_folder {
                self.remove_folder(&path)?;
            } else {
                self.remove_file(&path)?;
            }
        }
        self.change(|machine| {
            let inode = machine.find_folder(path)?;
            if machine.names.in_folder(inode).next().is_some() {
                return Err(error(code::NOTEMPTY));
            }
            let (folder, name) = machine.place(path)?;
            machine.names.remove((folder, name.to_owned()), inode);
            Ok(())
        })
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let site = site::take();
        self.change(|machine| {
            let inode = machine.find(path)?;
            if machine.is_ignored(site) {
                return Ok(());
            }
            match machine.files.get_mut(&inode) {
                Some(file) => file.content.sync(),
                None => machine.names.sync(inode),
            }
            Ok(())
        })
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.look(|machine| {
            machine.find(path)?;
            Ok(machine.free())
        })
    }

    fn scratch_file(&self, folder: &Path) -> io::Result<Box<dyn ScratchFile>> {
        self.look(|machine| {
            machine.find_folder(folder)?;
            Ok(Box::new(Cursor::new(Vec::new())) as Box<dyn ScratchFile>)
        })
    }
}
