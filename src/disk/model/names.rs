//! What folders name: what is durable, and what was done since.

use std::collections::{BTreeMap, BTreeSet};

use super::Losses;

/// A file or a folder, whatever it is called.
pub(super) type Inode = u64;
/// A name in a folder.
pub(super) type Entry = (Inode, String);

/// All names, as everybody sees them and as a crash may leave them.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    durable: BTreeMap<Entry, Inode>,
    changes: Vec<Change>,
    current: BTreeMap<Entry, Inode>,
}

#[derive(Debug, Clone)]
struct Change {
    what: What,
    /// The folders that must still be synced before it is durable.
    waits_for: Vec<Inode>,
}

#[derive(Debug, Clone)]
enum What {
    Add {
        entry: Entry,
        inode: Inode,
    },
    Remove {
        entry: Entry,
        inode: Inode,
    },
    Move {
        from: Entry,
        to: Entry,
        inode: Inode,
    },
}

impl Names {
    pub(super) fn find(&self, folder: Inode, name: &str) -> Option<Inode> {
        self.current.get(&(folder, name.to_owned())).copied()
    }

    pub(super) fn in_folder(&self, folder: Inode) -> impl Iterator<Item = (&str, Inode)> {
        let entries = self.current.range((folder, String::new())..);
        entries
            .take_while(move |((of, _), _)| *of == folder)
            .map(|((_, name), inode)| (name.as_str(), *inode))
    }

    /// Whether anything still has a name.
    pub(super) fn named(&self) -> BTreeSet<Inode> {
        self.current.values().copied().collect()
    }

    pub(super) fn add(&mut self, entry: Entry, inode: Inode) {
        let waits_for = vec![entry.0];
        self.change(What::Add { entry, inode }, waits_for);
    }

    pub(super) fn remove(&mut self, entry: Entry, inode: Inode) {
        let waits_for = vec![entry.0];
        self.change(What::Remove { entry, inode }, waits_for);
    }

    /// One change over both folders, which a crash never does by halves.
    pub(super) fn rename(&mut self, from: Entry, to: Entry, inode: Inode) {
        let mut waits_for = vec![from.0, to.0];
        waits_for.dedup();
        self.change(What::Move { from, to, inode }, waits_for);
    }

    /// As if it had never been.
    pub(super) fn forget(&mut self, inode: Inode) {
        self.changes.retain(|change| change.what.inode() != inode);
        for names in [&mut self.durable, &mut self.current] {
            names.retain(|_, named| *named != inode);
        }
    }

    fn change(&mut self, what: What, waits_for: Vec<Inode>) {
        what.apply(&mut self.current);
        self.changes.push(Change { what, waits_for });
    }

    pub(super) fn sync(&mut self, folder: Inode) {
        self.settle(|change| change.waits_for.retain(|of| *of != folder));
    }

    /// Some of it becomes durable without having been asked for.
    pub(super) fn write_back(&mut self, random: &mut fastrand::Rng) {
        self.settle(|change| {
            if random.bool() {
                change.waits_for.clear();
            }
        });
    }

    fn settle(&mut self, mut settle: impl FnMut(&mut Change)) {
        self.changes.iter_mut().for_each(&mut settle);
        let certain = self.changes.iter();
        let certain = certain.take_while(|change| change.waits_for.is_empty());
        for change in self.changes.drain(..certain.count()).collect::<Vec<_>>() {
            change.what.apply(&mut self.durable);
        }
    }

    /// What a crash leaves of it.
    pub(super) fn crash(&mut self, losses: &Losses, random: &mut fastrand::Rng) {
        for change in self.changes.drain(..) {
            if change.waits_for.is_empty() || losses.keeps_name(random) {
                change.what.apply(&mut self.durable);
            }
        }
        self.current.clone_from(&self.durable);
    }
}

impl What {
    fn inode(&self) -> Inode {
        match self {
            Self::Add { inode, .. } | Self::Remove { inode, .. } | Self::Move { inode, .. } => {
                *inode
            }
        }
    }

    fn apply(&self, names: &mut BTreeMap<Entry, Inode>) {
        match self {
            Self::Add { entry, inode } => {
                names.insert(entry.clone(), *inode);
            }
            Self::Remove { entry, inode } => take(names, entry, *inode),
            Self::Move { from, to, inode } => {
                take(names, from, *inode);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

/// The name may be another's, where what came before was lost.
fn take(names: &mut BTreeMap<Entry, Inode>, entry: &Entry, inode: Inode) {
    if names.get(entry) == Some(&inode) {
        names.remove(entry);
    }
}
