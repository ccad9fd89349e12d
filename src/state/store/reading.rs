//! What lies in the table: taken in once, all but the batches when it is opened, and these when somebody
//! needs them; judged by its checksums and its fingerprint.

use std::collections::BTreeSet;
use std::io;
use std::ops::Bound;
use std::path::Path;

use super::held::{Fingerprints, Held};
use super::picture_values::{self, Counters, parse};
use super::summary::Summary;
use super::table::{ALL_KEYS, KeyRange, StoreError};
use super::work_values::{WorkValues, is_of_work, is_readable};
use super::{Store, value};
use crate::disk;
use crate::state::picture::Picture;
use crate::storage::Storage;

/// The keys of batches, and all others.
const BATCH_KEYS: KeyRange<'static> = (Bound::Included(b"batch/"), Bound::Excluded(b"batch0"));
const OTHER_KEYS: [KeyRange<'static>; 2] = [
    (Bound::Unbounded, Bound::Excluded(b"batch/")),
    (Bound::Included(b"batch0"), Bound::Unbounded),
];
/// More damaged keys than this are not named one by one.
const NAMED_KEYS: usize = 10;

/// What was found when the store was opened, as far as it was read.
#[derive(Debug)]
pub(in crate::state) enum Found {
    /// Nothing at all.
    Nothing,
    /// The whole picture as of some record: that its batches are whole too is seen when it is
    /// [asked for](Store::picture).
    Whole {
        /// The number of that record.
        number: u64,
        /// Up to this one the ledger is known to be durable.
        durable: u64,
    },
    /// Not all of what it held, or values of different times.
    Doubtful {
        /// The last record that was in it, if that can be read.
        number: Option<u64>,
    },
}

impl Found {
    /// The last record that was in the store, as far as that is known.
    pub(in crate::state) fn number(&self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::Whole { number, .. } => Some(*number),
            Self::Doubtful { number } => *number,
        }
    }

    /// Up to which record the ledger is known to be durable.
    pub(in crate::state) fn durable(&self) -> Option<u64> {
        match self {
            Self::Whole { durable, .. } => Some(*durable),
            Self::Nothing | Self::Doubtful { .. } => None,
        }
    }
}

/// What lies in a table, while it is read.
#[derive(Debug, Default)]
struct TakenIn {
    is_anything: bool,
    summary: Option<Summary>,
    damaged: Vec<String>,
}

impl TakenIn {
    /// Whether it is what was written last, if all values together have this fingerprint.
    fn is_whole(&self, fingerprints: Fingerprints) -> bool {
        let is_told = |summary: &Summary| summary.tells(fingerprints);
        self.damaged.is_empty() && self.summary.as_ref().is_some_and(is_told)
    }
}

impl Store {
    /// Opens the store, and tells what is in it; the caller brings it up to what is so. A store that
    /// is damaged is made anew; one that the disk or the rights keep from being read is an error, until
    /// the disk was waited for long enough and it `can_be_made_anew`.
    pub(in crate::state) fn open(
        storage: &Storage,
        path: &Path,
        quarantine: &Path,
        can_be_made_anew: bool,
    ) -> Result<(Self, Found), StoreError> {
        let mut store = Self {
            storage: storage.clone(),
            path: path.to_owned(),
            quarantine: quarantine.to_owned(),
            table: None,
            held: Held::default(),
            work: WorkValues::default(),
            counters: Counters::of(&Picture::default()),
            durable: 0,
            is_of_this_version: false,
            unwritten: BTreeSet::new(),
            strange: Vec::new(),
            set_aside: 0,
            unreadable_since: None,
        };
        let taken_in = match store.read_table() {
            Ok(taken_in) => taken_in,
            Err(StoreError::Io(error))
                if disk::is_the_machines(&error)
                    && !(can_be_made_anew && store.is_given_up(&error)) =>
            {
                return Err(error.into());
            }
            Err(error) => {
                store.forget();
                tracing::error!(
                    %error,
                    store = %path.display(),
                    "the store cannot be opened: it is moved to quarantine/ and made anew from the \
                     ledger; events of open batches may be sent twice"
                );
                store.make_table_anew()?;
                return Ok((store, Found::Doubtful { number: None }));
            }
        };
        let found = store.judge(taken_in);
        Ok((store, found))
    }

    /// Opens the table and takes in what it holds: batches only where something may be wrong.
    fn read_table(&mut self) -> Result<TakenIn, StoreError> {
        let mut taken_in = TakenIn::default();
        let table = self.storage.tables.open(&self.path)?;
        for range in OTHER_KEYS {
            table.scan(range, &mut |key, value| {
                self.take_in(&mut taken_in, key, value);
            })?;
        }
        // A version that read all at once has not written what the batches come to.
        let of_batches = taken_in.summary.as_ref().and_then(Summary::of_batches);
        if let Some(fingerprint) = of_batches {
            self.held.leave_batches(fingerprint);
        }
        if of_batches.is_none() || !taken_in.is_whole(self.held.fingerprints()) {
            self.held.forget_batches();
            table.scan(BATCH_KEYS, &mut |key, value| {
                self.take_in(&mut taken_in, key, value);
            })?;
        }
        self.table = Some(table);
        Ok(taken_in)
    }

    /// Takes in the batches that lie in the table, if nobody has. Tells whether they are those that were
    /// written last.
    fn read_batches(&mut self) -> Result<bool, StoreError> {
        let Some(fingerprint) = self.held.unread_batches() else {
            return Ok(true);
        };
        let not_open = || io::Error::other("the store is not open");
        let table = self.table.take().ok_or_else(not_open)?;
        self.held.forget_batches();
        let mut taken_in = TakenIn::default();
        let scanned = table.scan(BATCH_KEYS, &mut |key, value| {
            self.take_in(&mut taken_in, key, value);
        });
        if let Err(error) = scanned {
            self.held.leave_batches(fingerprint);
            return Err(error);
        }
        self.table = Some(table);
        let damaged = taken_in.damaged;
        let is_whole = damaged.is_empty() && self.held.fingerprints().batches == fingerprint;
        if !is_whole {
            tracing::warn!(
                store = %self.path.display(),
                values = damaged.len(),
                keys = named(&damaged),
                "what the store has of batches is damaged, or not of the same time as the rest: it does not \
                 count, and is made anew from the ledger"
            );
        }
        self.unwritten.extend(damaged);
        Ok(is_whole)
    }

    /// From here on it is known what the table holds of batches. What cannot be read of it is written again:
    /// the table is opened again for that. Tells whether nothing is wrong with it.
    pub(super) fn know_batches(&mut self) -> bool {
        self.read_batches().unwrap_or_else(|error| {
            tracing::warn!(
                %error,
                store = %self.path.display(),
                "the batches in the store cannot be read; it is opened again, and written whole. Look at the \
                 disk"
            );
            self.table = None;
            self.held.forget_batches();
            false
        })
    }

    /// What was taken in of a table that could not be read to its end counts as not there.
    fn forget(&mut self) {
        self.held = Held::default();
        self.work = WorkValues::default();
        self.strange.clear();
    }

    fn take_in(&mut self, taken_in: &mut TakenIn, key: &[u8], value: &[u8]) {
        taken_in.is_anything = true;
        let Ok(name) = str::from_utf8(key) else {
            taken_in
                .damaged
                .push(String::from_utf8_lossy(key).into_owned());
            self.strange.push(key.to_owned());
            return;
        };
        let json = value::decode(name, value);
        if name == Summary::KEY {
            taken_in.summary = json.and_then(parse);
            return;
        }
        match json.filter(|json| !is_of_work(name) || is_readable(name, json)) {
            None => taken_in.damaged.push(name.to_owned()),
            Some(json) => {
                self.held.put(name, json);
                if is_of_work(name) {
                    self.work.put(name, json);
                }
            }
        }
    }

    /// What to make of what was taken in.
    fn judge(&mut self, taken_in: TakenIn) -> Found {
        let is_whole = taken_in.is_whole(self.held.fingerprints());
        let TakenIn {
            is_anything,
            summary,
            damaged,
        } = taken_in;
        if !is_anything {
            return Found::Nothing;
        }
        if !damaged.is_empty() {
            tracing::warn!(
                store = %self.path.display(),
                values = damaged.len(),
                keys = named(&damaged),
                "values in the store are damaged: they count as nothing done and are removed; what \
                 they told of open batches is sent again"
            );
        }
        let number = summary.as_ref().map(|summary| summary.counters.number);
        if let Some(summary) = summary.filter(|_| is_whole) {
            self.is_of_this_version = summary.is_of_this_version();
            self.counters = summary.counters;
            self.durable = summary.durable;
            return Found::Whole {
                number: self.counters.number,
                durable: self.durable,
            };
        }
        if damaged.is_empty() {
            tracing::warn!(
                store = %self.path.display(),
                "the store shows values of different times, or not all that it held: it is made \
                 anew from the ledger; events of open batches may be sent twice"
            );
        }
        self.unwritten.extend(damaged);
        Found::Doubtful { number }
    }

    /// The picture in a store that was found whole, read once more since nearly no start needs it; none
    /// if it is not whole any more, or another version has written what this one cannot read. What the
    /// disk keeps from being read is an error.
    pub(in crate::state) fn picture(&mut self) -> Result<Option<Picture>, StoreError> {
        match self.read_picture() {
            Err(StoreError::Io(error)) if disk::is_the_machines(&error) => Err(error.into()),
            Err(error) => {
                tracing::error!(
                    %error,
                    store = %self.path.display(),
                    "the store cannot be read once more: what it has of records that are missing from \
                     the ledger is not known. Look at the disk"
                );
                Ok(None)
            }
            read => read,
        }
    }

    fn read_picture(&mut self) -> Result<Option<Picture>, StoreError> {
        let mut picture = self.counters.picture();
        let mut seen = 0;
        if !self.read_batches()? {
            return Ok(None);
        }
        let Some(table) = self.table.as_ref() else {
            return Ok(None);
        };
        table.scan(ALL_KEYS, &mut |key, value| {
            seen += usize::from(self.put_into(&mut picture, key, value).is_some());
        })?;
        Ok((seen == self.held.keys().count()).then_some(picture))
    }

    /// None if it is not what it was when the store was opened.
    fn put_into(&self, picture: &mut Picture, key: &[u8], value: &[u8]) -> Option<()> {
        let key = str::from_utf8(key).ok()?;
        let json = value::decode(key, value).filter(|json| self.held.has(key, json))?;
        if is_of_work(key) {
            return Some(());
        }
        picture_values::put(picture, key, json)
    }
}

/// The first of some keys.
fn named(keys: &[String]) -> String {
    keys.get(..NAMED_KEYS).unwrap_or(keys).join(", ")
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use super::*;
    use crate::state::store::prefix;

    /// Each key is read once: by its prefix, or as another.
    #[test]
    fn the_ranges_of_keys_tell_batches_from_all_others() {
        let all = [
            prefix::COLLECTION,
            prefix::GATE,
            prefix::UNANSWERED,
            prefix::CLOCK,
            prefix::OUTPUT,
            prefix::BATCH,
            prefix::REMOVING,
            prefix::CURSOR,
            prefix::RECEIPT,
            "batc",
            "batch",
            "batch!",
            "batch0",
            "batches",
            "",
        ];
        for prefix in all {
            for name in ["", "/", "/1", "/\u{10ffff}", "0", "z/1"] {
                let key = format!("{prefix}{name}");
                let holds = |range| RangeBounds::<[u8]>::contains::<[u8]>(&range, key.as_bytes());
                let is_of_batch = picture_values::is_of_batch(&key);
                assert_eq!(holds(BATCH_KEYS), is_of_batch, "{key}");
                let others = OTHER_KEYS.iter().filter(|range| holds(**range)).count();
                assert_eq!(others, usize::from(!is_of_batch), "{key}");
            }
        }
    }
}
