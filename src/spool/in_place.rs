//! The batches in place, and the bytes that they take.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::BatchHead;
use crate::state::{BatchSource, EventFile};

/// What of a batch in place is asked for all the time. The rest the ledger knows: thousands of batches
/// may wait, so that nothing is here twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InPlace {
    /// When it was staged.
    pub staged_at: DateTime<Utc>,
    /// Bytes of its events on disk.
    pub bytes: u64,
    /// Whether nobody has [fetched](crate::state::Origin::is_copy) it.
    pub is_copy: bool,
}

impl From<&BatchHead> for InPlace {
    fn from(head: &BatchHead) -> Self {
        Self {
            staged_at: head.staged_at,
            bytes: head.bytes(),
            is_copy: head.is_copy(),
        }
    }
}

impl From<&BatchSource> for InPlace {
    fn from(source: &BatchSource) -> Self {
        Self {
            staged_at: source.content.staged_at,
            bytes: EventFile::bytes_of(&source.content.files),
            is_copy: source.origin.is_copy(),
        }
    }
}

/// The batches in place, by their numbers. What they take is counted as they come and go: polls and
/// outputs ask for it all the time.
#[derive(Debug, Default)]
pub(super) struct Places {
    batches: BTreeMap<u64, InPlace>,
    /// No sum of stated sizes is too large for it.
    bytes: u128,
}

impl Places {
    pub(super) fn insert(&mut self, seq: u64, batch: InPlace) {
        self.bytes += u128::from(batch.bytes);
        if let Some(before) = self.batches.insert(seq, batch) {
            self.bytes -= u128::from(before.bytes);
        }
    }

    pub(super) fn remove(&mut self, seq: u64) -> Option<InPlace> {
        let batch = self.batches.remove(&seq)?;
        self.bytes -= u128::from(batch.bytes);
        Some(batch)
    }

    pub(super) fn get(&self, seq: u64) -> Option<InPlace> {
        self.batches.get(&seq).copied()
    }

    /// The numbers, in order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.batches.keys().copied()
    }

    /// The one with the lowest number.
    pub(super) fn oldest(&self) -> Option<InPlace> {
        self.batches.values().next().copied()
    }

    pub(super) fn count(&self) -> usize {
        self.batches.len()
    }

    /// The highest number.
    pub(super) fn last(&self) -> Option<u64> {
        self.batches.keys().next_back().copied()
    }

    /// Bytes of events.
    pub(super) fn bytes(&self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_in_place_is_counted_whatever_comes_and_goes(
            steps in proptest::collection::vec((0_u64..4, proptest::option::of(any::<u64>())), 0..20),
        ) {
            let mut places = Places::default();
            for (seq, bytes) in steps {
                match bytes {
                    Some(bytes) => places.insert(seq, InPlace {
                        staged_at: DateTime::UNIX_EPOCH,
                        bytes,
                        is_copy: false,
                    }),
                    None => drop(places.remove(seq)),
                }
                let each = places.numbers().filter_map(|seq| places.get(seq));
                let sum: u128 = each.map(|batch| u128::from(batch.bytes)).sum();
                prop_assert_eq!(u128::from(places.bytes()), sum.min(u128::from(u64::MAX)));
            }
        }
    }
}
