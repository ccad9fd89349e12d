//! What is so, as ledger and store together tell it: where records of the ledger are missing, the
//! store has what they told. Pure.

use std::collections::BTreeSet;

use super::ledger::Reading;
use super::picture::Picture;
use super::record::Record;
use super::store::{Found, StoreError};

/// What ledger and store tell.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    /// The picture; in doubt if something may be missing from it.
    pub(super) picture: Picture,
    /// Of which batches something may be missing.
    pub(super) missing: MissingBatches,
    /// How it was found.
    pub(super) way: Way,
}

/// How it was found what is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing was ever here.
    New,
    /// The ledger tells it.
    Ledger,
    /// Records of the ledger are missing, and the store has told what they did.
    Store,
    /// Records of the ledger are missing, and so is what they told.
    Doubt,
    /// Nothing of the ledger is left that could be gone on with; the store has told all.
    LostButStored,
    /// Nothing of the ledger is left that could be gone on with, and the store does not help.
    Lost,
}

/// The batches that are neither owed nor known to be done with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MissingBatches {
    /// All that are not owed.
    All,
    /// Those from this number on that no record told of.
    From(u64, BTreeSet<u64>),
}

impl MissingBatches {
    /// Whether a record of this batch may be missing.
    pub(super) fn may_be(&self, seq: u64) -> bool {
        match self {
            Self::All => true,
            Self::From(first, told) => seq >= *first && !told.contains(&seq),
        }
    }
}

/// Puts together what was read of the ledger and what was found in the store, whose picture is
/// `stored`, if it is needed and the store is whole. A spool is made after the ledger: where there is
/// one, there was a ledger.
pub(super) fn tell(
    reading: &mut Reading,
    found: &Found,
    stored: impl FnOnce() -> Result<Option<Picture>, StoreError>,
    has_spool: bool,
) -> Result<Told, StoreError> {
    let in_store = match found {
        Found::Whole { number, .. } => Some(*number),
        Found::Nothing | Found::Doubtful { .. } => None,
    };
    let Some(base) = reading.take_snapshot() else {
        let stored = in_store.map_or(Ok(None), |_| stored())?;
        return Ok(match stored {
            Some(stored) => from(stored, reading, Way::LostButStored, false),
            None => without_a_picture(reading, found, has_spool),
        });
    };
    let last = reading.last_number();
    let missing = reading.missing_after(base.number);
    let has_more = |number: &u64| *number > last || missing.iter().any(|missing| missing <= number);
    let stored = in_store.filter(has_more).map_or(Ok(None), |_| stored())?;
    if let Some(stored) = stored {
        let is_certain = if stored.number > last {
            // Lines at the end whose numbers are not known are of the records that follow.
            stored.number >= last + reading.unplaced
        } else {
            reading.unplaced == 0 && missing.iter().all(|number| *number <= stored.number)
        };
        return Ok(from(stored, reading, Way::Store, is_certain));
    }
    let is_whole = missing.is_empty() && reading.unplaced == 0;
    let is_behind = found.number().is_some_and(|number| number > last);
    let mut told = from(base, reading, Way::Ledger, is_whole && !is_behind);
    told.picture.number = told.picture.number.max(found.number().unwrap_or(0));
    Ok(told)
}

/// Neither of them has a picture.
fn without_a_picture(reading: &Reading, found: &Found, has_spool: bool) -> Told {
    let mut picture = Picture {
        next_seq: 1,
        ..Picture::default()
    };
    // The very first start may have been cut short.
    let is_new = !reading.has_lines && !has_spool && matches!(found, Found::Nothing);
    if !is_new {
        picture.is_doubtful = true;
        picture.number = reading.last_number().max(found.number().unwrap_or(0));
    }
    Told {
        picture,
        missing: MissingBatches::All,
        way: if is_new { Way::New } else { Way::Lost },
    }
}

/// What records say that come after what is told.
fn from(mut picture: Picture, reading: &Reading, way: Way, is_certain: bool) -> Told {
    let (base, next_seq) = (picture.number, picture.next_seq);
    let mut told: BTreeSet<u64> = BTreeSet::new();
    // An earlier start did not come so far as to deal with it.
    let was_doubtful = picture.is_doubtful;
    let mut is_doubtful = was_doubtful;
    for (number, at, record) in reading.records_after(base) {
        picture.apply(number, at, record);
        told.extend(record.brings().map(|batch| batch.seq));
        match record {
            Record::Recovered { .. } => is_doubtful = false,
            Record::Doubted => is_doubtful = true,
            _ => {}
        }
    }
    // No number is used again.
    picture.number = picture.number.max(reading.last_number() + reading.unplaced);
    picture.is_doubtful = is_doubtful || !is_certain;
    let way = match (way, picture.is_doubtful) {
        (Way::Ledger | Way::Store, true) => Way::Doubt,
        (way, _) => way,
    };
    Told {
        missing: if was_doubtful {
            MissingBatches::All
        } else {
            MissingBatches::From(next_seq, told)
        },
        picture,
        way,
    }
}
