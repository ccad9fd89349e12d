//! `quarantine/`: what is damaged or could not be read, kept for a person, up to so many bytes.

use std::io;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};
use std::time::SystemTime;

use chrono::{DateTime, Utc};

use super::{Spool, Staging};
use crate::disk::Disk;
use crate::state::CollectionKey;

/// What lies there is named where room is short, if it takes as much.
const WORTH_NAMING_BYTES: u64 = 64 << 20;
/// Folders inside one another that are looked into: a store that was set aside has two.
const MAX_DEPTH: u32 = 8;

/// What was moved to `quarantine/` since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quarantined {
    /// Damaged files of events.
    pub files: u64,
    /// Folders among the batches that are none.
    pub batches: u64,
    /// Answers of windows that were given up.
    pub answers: u64,
}

/// Something that lies in `quarantine/`.
#[derive(Debug)]
struct Entry {
    name: String,
    is_folder: bool,
    bytes: u64,
    modified: SystemTime,
}

impl Spool {
    /// Where damaged and unreadable things are kept for a person.
    #[must_use]
    pub fn quarantine(&self) -> &Path {
        &self.quarantine
    }

    /// What was moved there since the start; dead letters have their own count.
    #[must_use]
    pub fn quarantined(&self) -> Quarantined {
        *self.counting_quarantined()
    }

    pub(super) fn counting_quarantined(&self) -> MutexGuard<'_, Quarantined> {
        let counts = self.quarantined.lock();
        counts.unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves an answer that cannot be read to a folder of its own there; gives its name.
    pub fn quarantine_answer(
        &self,
        staging: Staging,
        key: &CollectionKey,
        at: DateTime<Utc>,
    ) -> io::Result<String> {
        let name = staging.quarantine(&self.quarantine, key, at)?;
        self.counting_quarantined().answers += 1;
        Ok(name)
    }

    /// Bytes of all that lies there, as far as it can be looked at.
    #[must_use]
    pub fn quarantine_bytes(&self) -> u64 {
        let entries = entries(&self.disk, &self.quarantine).unwrap_or_default();
        entries.iter().map(|entry| entry.bytes).sum()
    }

    /// The same, where it is worth a word beside a disk that is full.
    pub(super) fn quarantine_worth_naming(&self) -> Option<u64> {
        Some(self.quarantine_bytes()).filter(|bytes| *bytes >= WORTH_NAMING_BYTES)
    }

    /// Removes the oldest things until the rest is within `state.max_quarantine_bytes`. The newest
    /// stays however large it is, and so does what `is_needed`.
    pub fn tidy_quarantine(&self, is_needed: impl Fn(&str) -> bool) {
        let mut entries = match entries(&self.disk, &self.quarantine) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, "quarantine/ cannot be looked at");
                return;
            }
        };
        let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        entries.sort_by(|one, other| (one.modified, &one.name).cmp(&(other.modified, &other.name)));
        // The newest.
        entries.pop();
        for entry in entries {
            if bytes <= self.max_quarantine_bytes {
                break;
            }
            if is_needed(&entry.name) {
                continue;
            }
            let path = self.quarantine.join(&entry.name);
            let removed = if entry.is_folder {
                self.disk.remove_folder(&path)
            } else {
                self.disk.remove_file(&path)
            };
            match removed {
                Ok(()) => {
                    bytes = bytes.saturating_sub(entry.bytes);
                    tracing::warn!(
                        name = entry.name,
                        bytes = entry.bytes,
                        limit = self.max_quarantine_bytes,
                        "quarantine/ takes more than state.max_quarantine_bytes: its oldest is removed"
                    );
                }
                Err(error) => tracing::warn!(
                    %error,
                    name = entry.name,
                    "the oldest of quarantine/ cannot be removed"
                ),
            }
        }
    }

    /// Whether a name in `quarantine/` keeps a number from being used again: of a batch from this one
    /// on the ledger knows nothing.
    #[must_use]
    pub fn names_batch_from(name: &str, next_seq: u64) -> bool {
        super::batch_named(name).is_some_and(|seq| seq >= next_seq)
    }
}

fn entries(disk: &Disk, folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for name in disk.names(folder)? {
        let path = folder.join(&name);
        // A person may take it away at any time.
        let Some(found) = disk.metadata_if_there(&path)? else {
            continue;
        };
        let bytes = if found.is_folder {
            bytes_in(disk, &path, MAX_DEPTH)
        } else {
            found.bytes
        };
        entries.push(Entry {
            name,
            is_folder: found.is_folder,
            bytes,
            modified: found.modified,
        });
    }
    Ok(entries)
}

/// Bytes of all files in a folder, as far as they can be looked at.
fn bytes_in(disk: &Disk, folder: &Path, depth: u32) -> u64 {
    let names = disk.names(folder).unwrap_or_default();
    let bytes = names.into_iter().map(|name| {
        let path = folder.join(name);
        match disk.metadata(&path) {
            Ok(found) if !found.is_folder => found.bytes,
            Ok(_) if depth > 0 => bytes_in(disk, &path, depth - 1),
            _ => 0,
        }
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::{self, File};
    use std::time::Duration;

    use super::*;
    use crate::config::{ArchiveConfig, StateConfig};
    use crate::disk::refusal;

    fn spool(folder: &Path) -> Spool {
        let config = StateConfig {
            directory: folder.to_owned(),
            max_spool_bytes: 1 << 30,
            min_free_disk: 1 << 20,
            archive: ArchiveConfig {
                keep: Duration::ZERO,
                max_bytes: 0,
                keep_raw: false,
            },
            max_dead_letter_bytes: 1 << 20,
            max_quarantine_bytes: 1000,
        };
        Spool::open(&Disk::machine(), &config, |_| None, &[]).unwrap()
    }

    /// Puts something there that is so old and so large.
    fn put(spool: &Spool, name: &str, age_s: u64, bytes: u64) {
        let path = spool.quarantine().join(name);
        let file = File::create(&path).unwrap();
        file.set_len(bytes).unwrap();
        let at = SystemTime::now() - Duration::from_secs(age_s);
        file.set_modified(at).unwrap();
    }

    fn names(spool: &Spool) -> BTreeSet<String> {
        let names = spool.disk.names(spool.quarantine()).unwrap();
        names.into_iter().collect()
    }

    #[test]
    fn the_oldest_goes_first_and_what_is_needed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        for (name, age_s) in [("a", 50), ("b", 40), ("c", 30), ("d", 20), ("e", 10)] {
            put(&spool, name, age_s, 300);
        }
        let inside = spool.quarantine().join("folder/inside");
        fs::create_dir_all(&inside).unwrap();
        fs::write(inside.join("f"), [0; 100]).unwrap();
        assert_eq!(spool.quarantine_bytes(), 1600);
        spool.tidy_quarantine(|name| name == "b");
        let left = ["b", "e", "folder"].map(str::to_owned);
        let with_d: BTreeSet<String> = left.iter().cloned().chain(["d".to_owned()]).collect();
        assert_eq!(names(&spool), with_d);
        assert_eq!(spool.quarantine_bytes(), 1000);
        spool.tidy_quarantine(|_| false);
        assert_eq!(names(&spool), with_d, "within the limit nothing goes");
    }

    #[test]
    fn the_newest_stays_however_large_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        put(&spool, "old", 20, 10);
        put(&spool, "new", 10, 5000);
        spool.tidy_quarantine(|_| false);
        assert_eq!(names(&spool), ["new".to_owned()].into());
    }

    #[test]
    fn a_number_that_only_quarantine_knows_is_kept() {
        assert!(Spool::names_batch_from(
            "000000000007-events-0001.jsonl.zst",
            7
        ));
        assert!(!Spool::names_batch_from(
            "000000000007-events-0001.jsonl.zst",
            8
        ));
        assert!(Spool::names_batch_from("000000000009", 8));
        assert!(!Spool::names_batch_from("dead-letters-00000009.jsonl", 0));
    }

    #[test]
    fn a_full_disk_names_it_where_it_is_large() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        refusal::pretend_free(Some(1000));
        let error = spool.stage("c").unwrap_err().to_string();
        assert!(!error.contains("quarantine"), "{error}");
        put(&spool, "large", 10, WORTH_NAMING_BYTES);
        let error = spool.stage("c").unwrap_err().to_string();
        refusal::pretend_free(None);
        assert!(
            error.contains("quarantine/ takes 67108864 bytes"),
            "{error}"
        );
    }
}
