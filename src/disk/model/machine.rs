//! The machine behind the disk: its files and folders, and the steps that it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use super::super::site::Site;
use super::code;
use super::content::Content;
use super::names::{Inode, Names};
use crate::clock::Clock;

/// Free bytes where nobody has said how large the disk is.
const PLENTY: u64 = 1 << 40;
pub(super) const ROOT: Inode = 0;

pub(super) struct Machine {
    pub(super) names: Names,
    pub(super) files: BTreeMap<Inode, FileNode>,
    pub(super) folders: BTreeSet<Inode>,
    pub(super) next: Inode,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: fastrand::Rng,
    /// Files that were opened before the last start are dead.
    pub(super) starts: u64,
    pub(super) steps: u64,
    pub(super) stop_at: Option<u64>,
    pub(super) is_stopped: bool,
    /// Steps that are refused, with the error.
    pub(super) refused: BTreeMap<u64, i32>,
    /// Files that cannot be read.
    pub(super) unreadable: BTreeSet<Inode>,
    pub(super) capacity: Option<u64>,
    /// The syncs of this place do nothing.
    pub(super) left_out: Option<Site>,
    /// The machine often stops soon after a sync of this place.
    pub(super) stops_after: Option<Site>,
    pub(super) sites: BTreeSet<Site>,
}

pub(super) struct FileNode {
    pub(super) content: Content,
    pub(super) modified: SystemTime,
}

/// What becomes of a step.
pub(super) enum Step {
    Done,
    /// The machine stops during it: it is done, and nobody hears of it.
    DoneUnheard,
}

impl Machine {
    pub(super) fn alive(&self) -> io::Result<()> {
        if self.is_stopped {
            return Err(error(code::IO));
        }
        Ok(())
    }

    pub(super) fn step(&mut self, stopped: &watch::Sender<bool>) -> io::Result<Step> {
        self.alive()?;
        let step = self.steps;
        self.steps += 1;
        if self.stop_at == Some(step) {
            self.is_stopped = true;
            stopped.send_replace(true);
            if self.random.bool() {
                return Ok(Step::DoneUnheard);
            }
            return Err(error(code::IO));
        }
        match self.refused.remove(&step) {
            Some(code) => Err(error(code)),
            None => Ok(Step::Done),
        }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Inode> {
        let mut found = ROOT;
        for name in parts(path) {
            if !self.folders.contains(&found) {
                return Err(error(code::NOTDIR));
            }
            let next = self.names.find(found, name);
            found = next.ok_or_else(|| error(code::NOENT))?;
        }
        Ok(found)
    }

    pub(super) fn find_folder(&self, path: &Path) -> io::Result<Inode> {
        let found = self.find(path)?;
        if !self.folders.contains(&found) {
            return Err(error(code::NOTDIR));
        }
        Ok(found)
    }

    /// The folder and the name in it that a path ends with.
    pub(super) fn place<'p>(&self, path: &'p Path) -> io::Result<(Inode, &'p str)> {
        let above = path.parent().ok_or_else(|| error(code::EXIST))?;
        let name = parts(path).next_back().ok_or_else(|| error(code::EXIST))?;
        Ok((self.find_folder(above)?, name))
    }

    /// The same for a name that nothing has yet.
    pub(super) fn new_name<'p>(&self, path: &'p Path) -> io::Result<(Inode, &'p str)> {
        let (folder, name) = self.place(path)?;
        if self.names.find(folder, name).is_some() {
            return Err(error(code::EXIST));
        }
        Ok((folder, name))
    }

    pub(super) fn make(&mut self, folder: Inode, name: &str) -> Inode {
        let made = self.next;
        self.next += 1;
        self.names.add((folder, name.to_owned()), made);
        made
    }

    pub(super) fn make_file(&mut self, folder: Inode, name: &str) -> io::Result<Inode> {
        if self.free() == 0 {
            return Err(error(code::NOSPC));
        }
        let made = self.make(folder, name);
        let file = FileNode {
            content: Content::default(),
            modified: self.clock.now().utc.into(),
        };
        self.files.insert(made, file);
        Ok(made)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_folder, from_name) = self.place(from)?;
        let (to_folder, to_name) = self.place(to)?;
        let inode = self.find(from)?;
        let is_folder = self.folders.contains(&inode);
        if is_folder && to.starts_with(from) && to != from {
            return Err(error(code::INVAL));
        }
        if from != to && from.starts_with(to) {
            return Err(error(code::NOTEMPTY));
        }
        if let Some(replaced) = self.names.find(to_folder, to_name) {
            if replaced == inode {
                return Ok(());
            }
            match (is_folder, self.folders.contains(&replaced)) {
                (true, false) => return Err(error(code::NOTDIR)),
                (false, true) => return Err(error(code::ISDIR)),
                (true, true) if self.names.in_folder(replaced).next().is_some() => {
                    return Err(error(code::NOTEMPTY));
                }
                _ => {}
            }
        }
        let from = (from_folder, from_name.to_owned());
        self.names
            .rename(from, (to_folder, to_name.to_owned()), inode);
        Ok(())
    }

    pub(super) fn used(&self) -> u64 {
        let named = self.names.named();
        let files = self.files.iter();
        let files = files.filter(|(inode, _)| named.contains(inode));
        files
            .map(|(_, file)| file.content.current().len() as u64)
            .sum()
    }

    pub(super) fn free(&self) -> u64 {
        match self.capacity {
            Some(capacity) => capacity.saturating_sub(self.used()),
            None => PLENTY,
        }
    }

    pub(super) fn is_ignored(&mut self, site: Option<Site>) -> bool {
        self.sites.extend(site);
        let stops = site.is_some() && site == self.stops_after;
        if stops && self.stop_at.is_none() && self.random.bool() {
            let soon = [2, 8, 30][self.random.usize(..3)];
            self.stop_at = Some(self.steps + self.random.u64(..soon));
        }
        site.is_some() && site == self.left_out
    }
}

/// The names on the way to a path, from the root.
pub(super) fn parts(path: &Path) -> impl DoubleEndedIterator<Item = &str> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}

pub(super) fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}
