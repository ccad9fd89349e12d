//! What has been changed of what lies below.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::LayerFile;
use crate::disk::file_system::{FileSystem, Metadata};
use crate::disk::machine::MachineDisk;

/// The changes, by path. What has no entry, and lies in no folder that is new or gone, is as below.
#[derive(Debug, Default)]
pub(super) struct Layer(BTreeMap<PathBuf, Entry>);

/// What a name has become.
#[derive(Debug, Clone)]
enum Entry {
    /// A folder of which nothing lies below.
    NewFolder,
    File(Content),
    Gone,
}

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Here(LayerFile),
    /// Below, by the name that it has there.
    Below(PathBuf),
}

impl Layer {
    /// Whether anything was changed but for folders that were made.
    pub(super) fn has_changes(&self) -> bool {
        let mut entries = self.0.values();
        entries.any(|entry| !matches!(entry, Entry::NewFolder))
    }

    pub(super) fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        self.check_free(path)?;
        self.0.insert(path.to_owned(), Entry::NewFolder);
        Ok(())
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<LayerFile> {
        self.check_free(path)?;
        Ok(self.put(path, LayerFile::default()))
    }

    pub(super) fn append_file(&mut self, path: &Path) -> io::Result<LayerFile> {
        match self.content(path) {
            Ok(Content::Here(file)) => return Ok(file),
            Ok(Content::Below(below)) => {
                let mut bytes = Vec::new();
                MachineDisk.open_file(&below)?.read_to_end(&mut bytes)?;
                let file = LayerFile::of(bytes);
                for name in self.names_of(&below) {
                    self.put(&name, file.clone());
                }
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.check_free(path)?,
            Err(error) => return Err(error),
        }
        Ok(self.put(path, LayerFile::default()))
    }

    /// Every name of a file that lies below, as far as they were given here.
    fn names_of(&self, below: &Path) -> Vec<PathBuf> {
        let is_it =
            |entry: &Entry| matches!(entry, Entry::File(Content::Below(own)) if own == below);
        let own = self.0.iter().filter(|(_, entry)| is_it(entry));
        let mut names: Vec<PathBuf> = own.map(|(path, _)| path.clone()).collect();
        if !self.0.contains_key(below) && !self.is_cut_off(below) {
            names.push(below.to_owned());
        }
        names
    }

    fn put(&mut self, path: &Path, file: LayerFile) -> LayerFile {
        let content = Content::Here(file.clone());
        self.0.insert(path.to_owned(), Entry::File(content));
        file
    }

    /// Where a file is; whether there is one below, who opens it sees.
    pub(super) fn content(&self, path: &Path) -> io::Result<Content> {
        match self.0.get(path) {
            Some(Entry::File(content)) => Ok(content.clone()),
            Some(Entry::NewFolder) => Err(io::ErrorKind::IsADirectory.into()),
            Some(Entry::Gone) => Err(io::ErrorKind::NotFound.into()),
            None if self.is_cut_off(path) => Err(io::ErrorKind::NotFound.into()),
            None => {
                MachineDisk.metadata(path)?;
                Ok(Content::Below(path.to_owned()))
            }
        }
    }

    pub(super) fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let here = |is_folder, bytes| Metadata {
            is_folder,
            bytes,
            modified: SystemTime::now(),
        };
        if let Some(Entry::NewFolder) = self.0.get(path) {
            return Ok(here(true, 0));
        }
        match self.content(path)? {
            Content::Here(file) => Ok(here(false, file.bytes().len() as u64)),
            Content::Below(below) => MachineDisk.metadata(&below),
        }
    }

    pub(super) fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        if !self.metadata(folder)?.is_folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let mut names = BTreeSet::new();
        let is_new = matches!(self.0.get(folder), Some(Entry::NewFolder));
        if !is_new && !self.is_cut_off(folder) {
            names.extend(MachineDisk.names(folder)?);
        }
        let own = self
            .0
            .iter()
            .filter(|(path, _)| path.parent() == Some(folder));
        for (path, entry) in own {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if matches!(entry, Entry::Gone) {
                names.remove(name.as_ref());
            } else {
                names.insert(name.into_owned());
            }
        }
        Ok(names.into_iter().collect())
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_free(to)?;
        let content = self.content(from)?;
        self.0.insert(to.to_owned(), Entry::File(content));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut moved = BTreeMap::new();
        self.gather(from, to, &mut moved)?;
        self.remove(from)?;
        self.forget(to);
        self.0.extend(moved);
        Ok(())
    }

    /// What a file or a folder is under another name, with all that lies in it.
    fn gather(
        &self,
        from: &Path,
        to: &Path,
        moved: &mut BTreeMap<PathBuf, Entry>,
    ) -> io::Result<()> {
        if !self.metadata(from)?.is_folder {
            moved.insert(to.to_owned(), Entry::File(self.content(from)?));
            return Ok(());
        }
        moved.insert(to.to_owned(), Entry::NewFolder);
        for name in self.names(from)? {
            self.gather(&from.join(&name), &to.join(&name), moved)?;
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.metadata(path)?;
        self.forget(path);
        self.0.insert(path.to_owned(), Entry::Gone);
        Ok(())
    }

    /// What was changed of it and below it.
    fn forget(&mut self, path: &Path) {
        self.0.retain(|changed, _| !changed.starts_with(path));
    }

    fn check_free(&self, path: &Path) -> io::Result<()> {
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        if let Some(above) = above
            && !self.metadata(above)?.is_folder
        {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        match self.metadata(path) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether a folder above is new, or gone, or a file now, so that nothing below can be seen through it.
    fn is_cut_off(&self, path: &Path) -> bool {
        let mut above = path.ancestors().skip(1);
        above.any(|folder| self.0.contains_key(folder))
    }
}
