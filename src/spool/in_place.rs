//! The batches in place, and the bytes that they take.

use std::collections::BTreeMap;

use crate::state::BatchOutline;

/// The batches in place, by their numbers. What they take is counted as they come and go: polls and
/// outputs ask for it all the time.
#[derive(Debug, Default)]
pub(super) struct Places {
    batches: BTreeMap<u64, BatchOutline>,
    /// No sum of stated sizes is too large for it.
    bytes: u128,
}

impl FromIterator<(u64, BatchOutline)> for Places {
    fn from_iter<I: IntoIterator<Item = (u64, BatchOutline)>>(batches: I) -> Self {
        let batches = BTreeMap::from_iter(batches);
        let bytes = batches.values().map(|batch| u128::from(batch.bytes));
        Self {
            bytes: bytes.sum(),
            batches,
        }
    }
}

impl Places {
    pub(super) fn insert(&mut self, seq: u64, batch: BatchOutline) {
        self.bytes += u128::from(batch.bytes);
        if let Some(before) = self.batches.insert(seq, batch) {
            self.bytes -= u128::from(before.bytes);
        }
    }

    pub(super) fn remove(&mut self, seq: u64) -> Option<BatchOutline> {
        let batch = self.batches.remove(&seq)?;
        self.bytes -= u128::from(batch.bytes);
        Some(batch)
    }

    pub(super) fn get(&self, seq: u64) -> Option<BatchOutline> {
        self.batches.get(&seq).copied()
    }

    /// The numbers, in order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.batches.keys().copied()
    }

    /// The one with the lowest number.
    pub(super) fn oldest(&self) -> Option<BatchOutline> {
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
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    fn outline(bytes: u64) -> BatchOutline {
        BatchOutline {
            staged_at: DateTime::UNIX_EPOCH,
            bytes,
            is_copy: false,
        }
    }

    proptest! {
        #[test]
        fn what_is_in_place_is_counted_whatever_comes_and_goes(
            steps in proptest::collection::vec((0_u64..4, proptest::option::of(any::<u64>())), 0..20),
        ) {
            let before = steps.iter().take(4).filter_map(|(seq, bytes)| {
                let outline = outline((*bytes)?);
                Some((*seq, outline))
            });
            let mut places: Places = before.collect();
            for (seq, bytes) in steps {
                match bytes {
                    Some(bytes) => places.insert(seq, outline(bytes)),
                    None => drop(places.remove(seq)),
                }
                let each = places.numbers().filter_map(|seq| places.get(seq));
                let sum: u128 = each.map(|batch| u128::from(batch.bytes)).sum();
                prop_assert_eq!(u128::from(places.bytes()), sum.min(u128::from(u64::MAX)));
            }
        }
    }
}
