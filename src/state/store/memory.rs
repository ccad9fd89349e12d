//! Tables in memory, for tests: they outlive who opens them, go back to an earlier state when the
//! machine crashes, as sled may, and fail when they are told to.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::table::{Changes, KeyRange, StoreError, Table, Tables};
use crate::disk::Disk;

/// The device fails.
const EIO: i32 = 5;

/// Tables in memory, by their path; clones are the same tables.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryTables(Arc<Mutex<Kept>>);

/// What a table refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// To open, and to read: the disk fails.
    Read,
    /// The same, but for one time more that it is read to its end.
    ReadAgain,
    /// To write: the disk fails, and nothing was written.
    Write,
    /// To write: the disk fails, and yet all was written.
    WriteThatTook,
    /// To open, until it is set aside: it is damaged.
    Damaged,
    /// To open, until it is set aside: the disk cannot read it.
    BadSector,
    /// To read its batches, until it is set aside: the disk cannot read them.
    BadBatches,
}

#[derive(Debug, Default)]
struct Kept {
    /// All states that each table ever had, the present one last.
    tables: BTreeMap<PathBuf, Vec<Entries>>,
    refusal: Option<Refusal>,
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug)]
struct MemoryTable {
    path: PathBuf,
    tables: MemoryTables,
}

impl MemoryTables {
    /// The machine crashes: of each table's states, the oldest first, that one stays whose index
    /// `choose` gives when it is told how many there are. Who has a table open must be gone.
    pub(crate) fn crash(&self, mut choose: impl FnMut(usize) -> usize) {
        for states in self.lock().tables.values_mut() {
            let chosen = choose(states.len());
            states.truncate(chosen + 1);
        }
    }

    /// From now on this is refused, or nothing.
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        self.lock().refusal = refusal;
    }

    /// Changes what lies in a table, behind its back.
    pub(crate) fn change(&self, path: &Path, change: impl FnOnce(&mut Entries)) {
        let mut kept = self.lock();
        if let Some(states) = kept.tables.get_mut(path) {
            let mut entries = states.last().cloned().unwrap_or_default();
            change(&mut entries);
            states.push(entries);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, refusals: &[Refusal]) -> Result<(), StoreError> {
        let refusal = self.lock().refusal;
        match refusal.filter(|refusal| refusals.contains(refusal)) {
            Some(Refusal::Damaged) => Err(StoreError::Damaged("as the test wants it".to_owned())),
            Some(_) => Err(io::Error::from_raw_os_error(EIO).into()),
            None => Ok(()),
        }
    }
}

impl Tables for MemoryTables {
    fn open(&self, path: &Path) -> Result<Box<dyn Table>, StoreError> {
        self.refused(&[Refusal::Read, Refusal::Damaged, Refusal::BadSector])?;
        let mut kept = self.lock();
        let states = kept.tables.entry(path.to_owned()).or_default();
        if states.is_empty() {
            states.push(Entries::new());
        }
        Ok(Box::new(MemoryTable {
            path: path.to_owned(),
            tables: self.clone(),
        }))
    }

    fn set_aside(&self, _: &Disk, path: &Path, _: &Path) -> io::Result<()> {
        let mut kept = self.lock();
        kept.tables.remove(path);
        let goes_with_it = [Refusal::Damaged, Refusal::BadSector, Refusal::BadBatches];
        kept.refusal = kept
            .refusal
            .filter(|refusal| !goes_with_it.contains(refusal));
        Ok(())
    }
}

impl MemoryTable {
    fn look<T>(&self, look: impl FnOnce(&Entries) -> T) -> Result<T, StoreError> {
        self.tables.refused(&[Refusal::Read])?;
        let kept = self.tables.lock();
        let states = kept.tables.get(&self.path);
        let entries = states.and_then(|states| states.last());
        let entries = entries.ok_or_else(|| StoreError::Damaged("it is gone".to_owned()))?;
        Ok(look(entries))
    }
}

impl Table for MemoryTable {
    fn scan(
        &self,
        range: KeyRange<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), StoreError> {
        if RangeBounds::<[u8]>::contains::<[u8]>(&range, b"batch/") {
            self.tables.refused(&[Refusal::BadBatches])?;
        }
        self.look(|entries| {
            for (key, value) in entries.range::<[u8], _>(range) {
                visit(key, value);
            }
        })?;
        let refusal = &mut self.tables.lock().refusal;
        let is_at_end = range.1 == Bound::Unbounded;
        if is_at_end && *refusal == Some(Refusal::ReadAgain) {
            *refusal = Some(Refusal::Read);
        }
        Ok(())
    }

    fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        self.tables.refused(&[Refusal::Write])?;
        self.look(|_| ())?;
        self.tables.change(&self.path, |entries| {
            for (key, value) in changes.iter() {
                match value {
                    Some(value) => drop(entries.insert(key.to_owned(), value.to_owned())),
                    None => drop(entries.remove(key)),
                }
            }
        });
        self.tables.refused(&[Refusal::WriteThatTook])
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::ALL_KEYS;
    use super::*;

    /// All that is in a table.
    fn entries(table: &dyn Table) -> Result<Entries, StoreError> {
        let mut entries = Entries::new();
        table.scan(ALL_KEYS, &mut |key, value| {
            entries.insert(key.to_owned(), value.to_owned());
        })?;
        Ok(entries)
    }

    fn put(key: &str, value: &str) -> Changes {
        let mut changes = Changes::default();
        changes.put(key.as_bytes(), value.as_bytes().to_owned());
        changes
    }

    #[test]
    fn a_crash_takes_a_table_back_to_any_state_that_it_had() {
        let path = Path::new("t");
        for chosen in 0..4 {
            let tables = MemoryTables::default();
            let table = tables.open(path).unwrap();
            for value in ["1", "2", "3"] {
                table.apply(&put("k", value)).unwrap();
            }
            tables.crash(|states| {
                assert_eq!(states, 4);
                chosen
            });
            let found = entries(&*tables.open(path).unwrap()).unwrap();
            let expected = (chosen > 0).then(|| (b"k".to_vec(), chosen.to_string().into_bytes()));
            assert_eq!(found, Entries::from_iter(expected));
        }
    }

    #[test]
    fn it_fails_as_it_is_told() {
        let tables = MemoryTables::default();
        let table = tables.open(Path::new("t")).unwrap();
        for (refusal, is_written) in [(Refusal::Write, false), (Refusal::WriteThatTook, true)] {
            tables.refuse(Some(refusal));
            table.apply(&put("k", "v")).unwrap_err();
            assert_eq!(!entries(&*table).unwrap().is_empty(), is_written);
        }
        tables.refuse(Some(Refusal::Read));
        entries(&*table).unwrap_err();
        tables.refuse(Some(Refusal::Damaged));
        tables.open(Path::new("t")).unwrap_err();
        tables
            .set_aside(&Disk::machine(), Path::new("t"), Path::new("q"))
            .unwrap();
        let table = tables.open(Path::new("t")).unwrap();
        assert!(entries(&*table).unwrap().is_empty());
    }
}
