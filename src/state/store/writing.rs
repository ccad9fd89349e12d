//! What the table is to hold is written; one that fails is opened again and written whole, and made anew if
//! that does not help.

use std::io;
use std::time::{Duration, Instant};

use super::held::Fingerprints;
use super::summary::Summary;
use super::table::{ALL_KEYS, Changes, StoreError};
use super::value::ValueChanges;
use super::{Store, picture_values, value};
use crate::crash::{self, Point};
use crate::disk;
use crate::state::picture::Picture;

/// Who runs has all that the store must hold in memory, and makes it anew when the disk could not read it for
/// so long.
const UNREADABLE_WAIT: Duration = Duration::from_secs(120);

impl Store {
    /// Writes changes, and whatever was not written before. A table that fails is opened again, and
    /// made anew if it is damaged.
    pub(super) fn write(
        &mut self,
        changes: &ValueChanges,
        fingerprints: Fingerprints,
        picture: &Picture,
    ) -> Result<(), StoreError> {
        let late = self
            .unwritten
            .iter()
            .filter(|key| !changes.contains_key(*key));
        let late = late.map(|key| (key.clone(), self.value(key, picture)));
        let late: ValueChanges = late.collect();
        let written = self.written(changes.iter().chain(&late), fingerprints);
        if let Some(table) = &self.table {
            match table.apply(&written) {
                Ok(()) => {
                    self.is_written();
                    return Ok(());
                }
                // Whoever wanted it written says so if it fails again.
                Err(error) => tracing::debug!(
                    %error,
                    store = %self.path.display(),
                    "the store cannot be written; it is opened again"
                ),
            }
        }
        self.table = None;
        let found = match self.open_again() {
            Ok(found) => found,
            Err(StoreError::Io(error))
                if disk::is_the_machines(&error) && !self.is_given_up(&error) =>
            {
                return Err(error.into());
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    store = %self.path.display(),
                    "the store can be written no more: it is moved to quarantine/ and made anew; \
                     nothing is lost"
                );
                self.make_table_anew()?;
                Vec::new()
            }
        };
        let fingerprints = self.fingerprints_of_whole(fingerprints, picture);
        let whole = self.whole(changes, fingerprints, picture, &found);
        let table = self.table.as_ref();
        let table = table.ok_or_else(|| io::Error::other("the store is not open"))?;
        if let Err(error) = table.apply(&whole) {
            // What lies in it is not known.
            self.table = None;
            return Err(error);
        }
        self.is_written();
        Ok(())
    }

    /// Opens the table, and gives the keys that lie in it.
    fn open_again(&mut self) -> Result<Vec<Vec<u8>>, StoreError> {
        let table = self.storage.tables.open(&self.path)?;
        let mut found = Vec::new();
        table.scan(ALL_KEYS, &mut |key, _| found.push(key.to_owned()))?;
        self.table = Some(table);
        Ok(found)
    }

    fn is_written(&mut self) {
        self.unwritten.clear();
        self.strange.clear();
        self.unreadable_since = None;
    }

    /// The changes in the table's own form, with the summary of what there will be.
    fn written<'c>(
        &self,
        changes: impl IntoIterator<Item = (&'c String, &'c Option<Vec<u8>>)>,
        fingerprints: Fingerprints,
    ) -> Changes {
        let mut written = Changes::default();
        for key in &self.strange {
            written.remove(key);
        }
        for (key, value) in changes {
            match value {
                Some(value) => written.put(key.as_bytes(), value::encode(key, value)),
                None => written.remove(key.as_bytes()),
            }
        }
        let summary = Summary::new(self.counters.clone(), self.durable, fingerprints);
        written.put(Summary::KEY.as_bytes(), summary.encode());
        written
    }

    /// Batches that nobody has read are written as the picture has them: it has new ones, and
    /// the others have not changed since.
    fn fingerprints_of_whole(&mut self, of_it: Fingerprints, picture: &Picture) -> Fingerprints {
        if self.held.unread_batches().is_none() {
            return of_it;
        }
        self.held.forget_batches();
        for key in picture_values::batch_keys(picture) {
            let value = picture_values::value(&key, picture).unwrap_or_default();
            self.held.put(&key, &value);
        }
        let batches = self.held.fingerprints().batches;
        Fingerprints {
            all: of_it.all ^ of_it.batches ^ batches,
            batches,
        }
    }

    /// All that must become of what a table holds.
    fn whole(
        &self,
        changes: &ValueChanges,
        fingerprints: Fingerprints,
        picture: &Picture,
        found: &[Vec<u8>],
    ) -> Changes {
        let values = self.held.keys();
        let values = values.map(|key| (key.to_owned(), self.value(key, picture)));
        let mut whole: ValueChanges = values.collect();
        whole.extend(
            changes
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        let mut written = self.written(&whole, fingerprints);
        for key in found {
            let is_known =
                str::from_utf8(key).is_ok_and(|key| key == Summary::KEY || whole.contains_key(key));
            if !is_known {
                written.remove(key);
            }
        }
        written
    }

    /// Whether it was waited for long enough for what cannot be read: by the start, or since it is so.
    pub(super) fn is_given_up(&mut self, error: &io::Error) -> bool {
        if !disk::is_unreadable(error) {
            return false;
        }
        let since = *self.unreadable_since.get_or_insert_with(Instant::now);
        self.storage.disk.gives_up_unreadable() || since.elapsed() >= UNREADABLE_WAIT
    }

    pub(super) fn make_table_anew(&mut self) -> Result<(), StoreError> {
        self.table = None;
        let tables = &self.storage.tables;
        let set_aside = tables.set_aside(&self.storage.disk, &self.path, &self.quarantine);
        set_aside.map_err(StoreError::Stuck)?;
        self.set_aside += 1;
        crash::point(Point::StoreSetAside);
        self.table = Some(tables.open(&self.path)?);
        crash::point(Point::StoreMadeAnew);
        Ok(())
    }
}
