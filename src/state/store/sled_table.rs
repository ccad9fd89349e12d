//! Tables in sled. The only file that names it.
//!
//! sled 0.34 may panic where its files are damaged: that is an error here, and no more.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::table::{Changes, KeyRange, StoreError, Table, Tables};
use crate::disk::Disk;

/// What sled may keep of its pages in memory, in bytes.
const CACHE_BYTES: u64 = 8 << 20;
/// Who else has the table open may close it within this time: a backup, or what sled itself does
/// behind the back of a table that was closed.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// How often that is looked at.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// Stores that were set aside are for people to look at: all that they told is in the ledger. So many
/// of the newest are kept.
const KEEP_SET_ASIDE: usize = 3;

/// Tables on this machine's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct SledTables;

#[derive(Debug)]
struct SledTable {
    /// None while it is dropped.
    db: Option<sled::Db>,
}

impl Tables for SledTables {
    fn open(&self, path: &Path) -> Result<Box<dyn Table>, StoreError> {
        let give_up = Instant::now() + LOCK_WAIT;
        loop {
            let config = sled::Config::new()
                .path(path)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(None);
            match contained(|| Ok(config.open()?)) {
                Err(StoreError::Held(_)) if Instant::now() < give_up => {
                    thread::sleep(LOCK_INTERVAL);
                }
                opened => return Ok(Box::new(SledTable { db: Some(opened?) })),
            }
        }
    }

    fn set_aside(&self, disk: &Disk, path: &Path, quarantine: &Path) -> io::Result<()> {
        disk.create_folders(quarantine)?;
        let mut aside = numbers_set_aside(disk, quarantine)?;
        let next = aside.last().map_or(1, |last| last + 1);
        disk.rename(path, &quarantine.join(aside_name(next)))?;
        aside.push(next);
        for oldest in aside.iter().rev().skip(KEEP_SET_ASIDE) {
            let path = quarantine.join(aside_name(*oldest));
            let removed = disk.remove_folder(&path);
            if let Err(error) = removed.or_else(|_| disk.remove_file(&path)) {
                tracing::warn!(%error, path = %path.display(), "an old store that was set aside cannot be removed");
            }
        }
        Ok(())
    }
}

fn aside_name(number: u64) -> String {
    format!("state.sled-{number}")
}

/// The numbers of the stores that were set aside, oldest first.
fn numbers_set_aside(disk: &Disk, quarantine: &Path) -> io::Result<Vec<u64>> {
    let names = disk.names(quarantine)?;
    let number = |name: &String| name.strip_prefix("state.sled-")?.parse::<u32>().ok();
    let mut numbers: Vec<u64> = names.iter().filter_map(number).map(u64::from).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

impl SledTable {
    fn with<T>(
        &self,
        work: impl FnOnce(&sled::Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Damaged("it is closed".to_owned());
        let db = self.db.as_ref().ok_or_else(closed)?;
        contained(|| work(db))
    }
}

impl Table for SledTable {
    fn scan(
        &self,
        range: KeyRange<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), StoreError> {
        self.with(|db| {
            for entry in db.range::<&[u8], _>(range) {
                let (key, value) = entry?;
                visit(&key, &value);
            }
            Ok(())
        })
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        self.with(|db| {
            let mut batch = sled::Batch::default();
            for (key, value) in changes.iter() {
                match value {
                    Some(value) => batch.insert(key, value),
                    None => batch.remove(key),
                }
            }
            db.apply_batch(batch)?;
            db.flush()?;
            Ok(())
        })
    }
}

impl Drop for SledTable {
    fn drop(&mut self) {
        let db = self.db.take();
        // All that was acknowledged is durable: whatever happens here costs nothing.
        let _ = contained(|| {
            drop(db);
            Ok(())
        });
    }
}

/// Does something with sled; a panic in it is an error. A table that panicked is not used again.
fn contained<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("without a word");
        Err(StoreError::Damaged(format!("sled panicked: {text}")))
    })
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        /// How sled says it; the kind of the error is the same as of others.
        const HELD: &str = "could not acquire lock";
        match error {
            sled::Error::Io(error) if error.to_string().contains(HELD) => Self::Held(error),
            sled::Error::Io(error) => Self::Io(error),
            other => Self::Damaged(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_of_those_that_were_set_aside_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.sled");
        let quarantine = folder.path().join("quarantine");
        let disk = Disk::machine();
        for number in 1..=9_u32 {
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("db"), number.to_string()).unwrap();
            SledTables.set_aside(&disk, &path, &quarantine).unwrap();
            let kept = numbers_set_aside(&disk, &quarantine).unwrap();
            assert!(kept.len() <= KEEP_SET_ASIDE, "{kept:?}");
            let newest = quarantine.join(aside_name(number.into())).join("db");
            assert_eq!(std::fs::read_to_string(newest).unwrap(), number.to_string());
        }
        assert_eq!(numbers_set_aside(&disk, &quarantine).unwrap(), [7, 8, 9]);
    }
}
