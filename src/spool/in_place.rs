//! The batches in place, and the bytes that they take.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::BatchHead;

/// The batches in place, by their numbers. What they take is counted as they come and go: polls and
/// outputs ask for it all the time, and thousands may wait.
#[derive(Debug, Default)]
pub(super) struct InPlace {
    batches: BTreeMap<u64, Arc<BatchHead>>,
    /// No sum of stated sizes is too large for it.
    bytes: u128,
}

impl InPlace {
    pub(super) fn insert(&mut self, head: BatchHead) {
        let seq = head.seq;
        self.bytes += u128::from(head.bytes());
        if let Some(before) = self.batches.insert(seq, Arc::new(head)) {
            self.bytes -= u128::from(before.bytes());
        }
    }

    pub(super) fn remove(&mut self, seq: u64) -> Option<Arc<BatchHead>> {
        let head = self.batches.remove(&seq)?;
        self.bytes -= u128::from(head.bytes());
        Some(head)
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Arc<BatchHead>> {
        self.batches.get(&seq)
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<BatchHead>> {
        self.batches.values()
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
    use crate::spool::tests::head_of;

    proptest! {
        #[test]
        fn what_is_in_place_is_counted_whatever_comes_and_goes(
            steps in proptest::collection::vec((0_u64..4, proptest::option::of(any::<u64>())), 0..20),
        ) {
            let mut in_place = InPlace::default();
            for (seq, bytes) in steps {
                match bytes {
                    Some(bytes) => in_place.insert(head_of(seq, bytes)),
                    None => drop(in_place.remove(seq)),
                }
                let sum: u128 = in_place.iter().map(|head| u128::from(head.bytes())).sum();
                prop_assert_eq!(u128::from(in_place.bytes()), sum.min(u128::from(u64::MAX)));
            }
        }
    }
}
