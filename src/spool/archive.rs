//! Delivered batches, kept by age and size.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::batch::BatchHead;
use super::{batch_name, number_of};
use crate::config::ArchiveConfig;
use crate::crash::{self, Point};
use crate::disk::Disk;
use crate::state::{Origin, Record};

/// Delivered batches by their number.
#[derive(Debug)]
pub(super) struct Archive {
    disk: Disk,
    folder: PathBuf,
    /// Where batches come from.
    ready: PathBuf,
    /// What lies here is removed at the next start.
    trash: PathBuf,
    keep: Duration,
    max_bytes: u64,
    kept: Mutex<Kept>,
}

/// What is in it, with its size: that is asked for with each batch that comes, and thousands may be here.
#[derive(Debug, Default)]
struct Kept {
    /// None of what a start has found and nobody has looked at yet.
    batches: BTreeMap<u64, Option<Archived>>,
    bytes: u64,
    /// So many nobody has looked at yet.
    unmeasured: usize,
    /// One could not be looked at, which is said once.
    is_warned: bool,
}

#[derive(Debug, Clone, Copy)]
struct Archived {
    bytes: u64,
    since: DateTime<Utc>,
}

impl Kept {
    fn insert(&mut self, seq: u64, archived: Option<Archived>) {
        self.remove(seq);
        self.batches.insert(seq, archived);
        match archived {
            Some(archived) => self.bytes = self.bytes.saturating_add(archived.bytes),
            None => self.unmeasured += 1,
        }
    }

    /// The oldest of those that somebody has looked at.
    fn oldest(&self) -> Option<(u64, Archived)> {
        let mut batches = self.batches.iter();
        batches.find_map(|(seq, archived)| Some((*seq, (*archived)?)))
    }

    fn remove(&mut self, seq: u64) {
        match self.batches.remove(&seq) {
            Some(Some(archived)) => self.bytes = self.bytes.saturating_sub(archived.bytes),
            Some(None) => self.unmeasured -= 1,
            None => {}
        }
    }
}

impl Archive {
    pub(super) fn open(
        disk: &Disk,
        folder: PathBuf,
        ready: PathBuf,
        trash: PathBuf,
        config: &ArchiveConfig,
    ) -> io::Result<Self> {
        disk.create_folders(&folder)?;
        // A start costs the same however much is kept.
        let mut kept = Kept::default();
        for name in disk.names(&folder)? {
            if let Some(seq) = number_of(&name) {
                kept.insert(seq, None);
            }
        }
        Ok(Self {
            disk: disk.clone(),
            folder,
            ready,
            trash,
            keep: config.keep,
            max_bytes: config.max_bytes,
            kept: Mutex::new(kept),
        })
    }

    /// Takes over a batch that nobody owes any more.
    pub(super) fn take(&self, from: &Path, seq: u64, now: DateTime<Utc>) -> io::Result<()> {
        let bytes = folder_bytes(&self.disk, from)?;
        if self.keep.is_zero() || bytes > self.max_bytes {
            return self.leave_out(from, seq);
        }
        if self.disk.exists(&self.path(seq))? {
            // It was here before, and came back since its record was lost or a person brought it.
            let trash = self.trash.join(format!("twice-{seq:012}"));
            self.disk.rename(&self.path(seq), &trash)?;
            self.disk.remove_folder(&trash)?;
        }
        // Not synced: should it be in its old place after a crash, nothing is owed there either.
        self.disk.rename_for_now(from, &self.path(seq))?;
        crash::point(Point::Archived);
        self.lock()
            .insert(seq, Some(Archived { bytes, since: now }));
        self.evict(now);
        Ok(())
    }

    /// Removes a batch that nobody owes any more and that is not kept.
    pub(super) fn leave_out(&self, from: &Path, seq: u64) -> io::Result<()> {
        // Moved away first, and for good: half a batch must never be taken for a damaged one.
        let trash = self.trash.join(format!("done-{seq:012}"));
        self.disk.rename(from, &trash)?;
        crash::point(Point::Trashed);
        self.disk.remove_folder(&trash)
    }

    /// The numbers in it, oldest first.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.lock().batches.keys().copied().collect()
    }

    pub(super) fn holds(&self, seq: u64) -> bool {
        self.lock().batches.contains_key(&seq)
    }

    /// The highest number in it.
    pub(super) fn last(&self) -> Option<u64> {
        self.lock().batches.keys().next_back().copied()
    }

    /// The heads of those that `is_wanted`, of polls that moved a checkpoint, oldest first; those
    /// that cannot be read are left out.
    pub(super) fn heads(&self, is_wanted: impl Fn(u64) -> bool) -> Vec<BatchHead> {
        let batches: Vec<u64> = self.lock().batches.keys().copied().collect();
        let wanted = batches.into_iter().filter(|seq| is_wanted(*seq));
        let heads = wanted.filter_map(|seq| BatchHead::read(&self.disk, &self.path(seq)).ok());
        heads.filter(moved_checkpoint).collect()
    }

    /// Removes the oldest until what is left is neither too old nor too much.
    pub(super) fn evict(&self, now: DateTime<Utc>) {
        let keep = TimeDelta::from_std(self.keep).unwrap_or(TimeDelta::MAX);
        let mut kept = self.lock();
        self.measure(&mut kept);
        let mut is_for_good = false;
        while let Some((seq, oldest)) = kept.oldest() {
            if kept.bytes <= self.max_bytes && now - oldest.since <= keep {
                return;
            }
            is_for_good = is_for_good || self.came_for_good();
            if !is_for_good {
                return;
            }
            kept.remove(seq);
            self.remove(seq);
        }
    }

    /// Removes everything, when the disk is needed for what is not delivered; tells whether there was
    /// something.
    pub(super) fn evict_all(&self) -> bool {
        let mut kept = self.lock();
        if kept.batches.is_empty() || !self.came_for_good() {
            return false;
        }
        for seq in std::mem::take(&mut *kept).batches.into_keys() {
            self.remove(seq);
        }
        true
    }

    /// Looks at what a start has found. What cannot be looked at now is left for the next time.
    fn measure(&self, kept: &mut Kept) {
        if kept.unmeasured == 0 {
            return;
        }
        let all = kept.batches.iter();
        let unmeasured = all.filter(|(_, archived)| archived.is_none());
        let unmeasured: Vec<u64> = unmeasured.map(|(seq, _)| *seq).collect();
        for seq in unmeasured {
            let path = self.path(seq);
            let found = self.disk.metadata(&path).and_then(|found| {
                let since = found.modified.into();
                let bytes = folder_bytes(&self.disk, &path);
                let archived = bytes.map(|bytes| Archived { bytes, since });
                found.is_folder.then_some(archived).transpose()
            });
            match found {
                Ok(Some(archived)) => kept.insert(seq, Some(archived)),
                // It is no batch.
                Ok(None) => kept.remove(seq),
                Err(error) if !kept.is_warned => {
                    kept.is_warned = true;
                    tracing::warn!(
                        %error,
                        path = %path.display(),
                        "an archived batch cannot be looked at: it is kept, whatever its age and size"
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// Makes certain that no crash brings a batch back to where it came from: without the files that
    /// are removed here it would be taken for a damaged one. Where that fails nothing is removed.
    fn came_for_good(&self) -> bool {
        let synced = [&self.ready, &self.folder].map(|folder| self.disk.sync_folder(folder));
        let failed = synced.into_iter().find_map(Result::err);
        if let Some(error) = &failed {
            tracing::warn!(%error, "archived batches cannot be removed yet");
        }
        failed.is_none()
    }

    fn remove(&self, seq: u64) {
        let path = self.path(seq);
        if let Err(error) = self.disk.remove_folder(&path) {
            tracing::warn!(%error, path = %path.display(), "an archived batch cannot be removed");
        }
        crash::point(Point::Evicted);
    }

    pub(super) fn path(&self, seq: u64) -> PathBuf {
        self.folder.join(batch_name(seq))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn moved_checkpoint(head: &BatchHead) -> bool {
    matches!(
        head.record,
        Record::Polled {
            origin: Origin::Poll,
            checkpoint: Some(_),
            ..
        }
    )
}

fn folder_bytes(disk: &Disk, folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for name in disk.names(folder)? {
        bytes += disk.metadata(&folder.join(name))?.bytes;
    }
    Ok(bytes)
}
