//! The batches that somebody owes, and what they come to. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::picture::BatchPicture;

/// The batches that somebody owes: thousands, so that a picture which is copied shares them, and what they
/// come to is known without a look at each.
#[derive(Debug, Clone, Default)]
pub struct OwedBatches {
    batches: BTreeMap<u64, Arc<BatchPicture>>,
    debts: BTreeMap<String, Debt>,
    unusual: BTreeSet<u64>,
}

/// What an output owes, before a look at how far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Debt {
    /// Batches that it has not done with.
    pub batches: u64,
    /// All of their events.
    pub events: u64,
}

impl OwedBatches {
    /// What each output owes.
    #[must_use]
    pub fn debts(&self) -> &BTreeMap<String, Debt> {
        &self.debts
    }

    /// The batches of which some events went another way than to their outputs, or are to go it: damaged
    /// ones, and those that lack dead letters.
    #[must_use]
    pub fn unusual(&self) -> &BTreeSet<u64> {
        &self.unusual
    }

    /// Adds a batch.
    pub(super) fn insert(&mut self, seq: u64, batch: Arc<BatchPicture>) {
        self.remove(seq);
        self.count(seq, &batch);
        self.batches.insert(seq, batch);
    }

    /// Takes a batch away.
    pub(super) fn remove(&mut self, seq: u64) {
        if let Some(batch) = self.batches.remove(&seq) {
            self.discount(seq, &batch);
        }
    }

    /// Changes a batch, if it is owed; one that nobody owes any more is gone then.
    pub(super) fn change<T>(
        &mut self,
        seq: u64,
        change: impl FnOnce(&mut BatchPicture) -> T,
    ) -> Option<T> {
        let mut batch = self.batches.remove(&seq)?;
        self.discount(seq, &batch);
        let changed = change(Arc::make_mut(&mut batch));
        if !batch.outputs.is_empty() {
            self.count(seq, &batch);
            self.batches.insert(seq, batch);
        }
        Some(changed)
    }

    fn count(&mut self, seq: u64, batch: &BatchPicture) {
        for output in &batch.outputs {
            let debt = match self.debts.get_mut(output) {
                Some(debt) => debt,
                None => self.debts.entry(output.clone()).or_default(),
            };
            debt.batches += 1;
            debt.events += batch.events;
        }
        if batch.is_unusual() {
            self.unusual.insert(seq);
        }
    }

    fn discount(&mut self, seq: u64, batch: &BatchPicture) {
        for output in &batch.outputs {
            let Some(debt) = self.debts.get_mut(output) else {
                continue;
            };
            debt.batches -= 1;
            debt.events -= batch.events;
            if debt.batches == 0 {
                self.debts.remove(output);
            }
        }
        self.unusual.remove(&seq);
    }
}

impl Deref for OwedBatches {
    type Target = BTreeMap<u64, Arc<BatchPicture>>;

    fn deref(&self) -> &Self::Target {
        &self.batches
    }
}

impl<'a> IntoIterator for &'a OwedBatches {
    type Item = (&'a u64, &'a Arc<BatchPicture>);
    type IntoIter = std::collections::btree_map::Iter<'a, u64, Arc<BatchPicture>>;

    fn into_iter(self) -> Self::IntoIter {
        self.batches.iter()
    }
}

/// The rest is made of the batches.
impl PartialEq for OwedBatches {
    fn eq(&self, other: &Self) -> bool {
        self.batches == other.batches
    }
}

impl Serialize for OwedBatches {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.batches.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OwedBatches {
    /// Numbers are texts in JSON, and a record's fields are read by way of a value that no longer knows that
    /// they were.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByNumber(PhantomData<OwedBatches>);

        impl<'de> Visitor<'de> for ByNumber {
            type Value = OwedBatches;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map by numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OwedBatches, A::Error> {
                let mut owed = OwedBatches::default();
                while let Some((text, batch)) = map.next_entry::<String, _>()? {
                    owed.insert(text.parse().map_err(A::Error::custom)?, batch);
                }
                Ok(owed)
            }
        }

        deserializer.deserialize_map(ByNumber(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the batches come to, counted one by one.
    fn counted(owed: &OwedBatches) -> (BTreeMap<String, Debt>, BTreeSet<u64>) {
        let mut debts: BTreeMap<String, Debt> = BTreeMap::new();
        for batch in owed.values() {
            for output in &batch.outputs {
                let debt = debts.entry(output.clone()).or_default();
                debt.batches += 1;
                debt.events += batch.events;
            }
        }
        let unusual = owed.iter().filter(|(_, batch)| batch.is_unusual());
        (debts, unusual.map(|(seq, _)| *seq).collect())
    }

    proptest! {
        #[test]
        fn what_they_come_to_is_always_known(
            steps in proptest::collection::vec(
                (0..6_u64, 0..5_u8, "[abc]", 0..9_u64),
                0..40,
            ),
        ) {
            let mut owed = OwedBatches::default();
            for (seq, step, name, events) in steps {
                match step {
                    0 => owed.insert(seq, Arc::new(BatchPicture {
                        events,
                        outputs: vec![name, "d".to_owned()].into(),
                        ..BatchPicture::default()
                    })),
                    1 => owed.remove(seq),
                    2 => drop(owed.change(seq, |batch| batch.outputs.insert(name))),
                    3 => drop(owed.change(seq, |batch| {
                        batch.outputs.remove(&name);
                        batch.outputs.remove("d");
                        batch.lost_letters.clear();
                    })),
                    _ => drop(owed.change(seq, |batch| batch.lost_letters.insert(name, 1))),
                }
                let (debts, unusual) = counted(&owed);
                prop_assert_eq!(owed.debts(), &debts);
                prop_assert_eq!(owed.unusual(), &unusual);
                prop_assert!(owed.values().all(|batch| !batch.outputs.is_empty()));
            }
            let json = serde_json::to_string(&owed).unwrap();
            let read: OwedBatches = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read.debts(), owed.debts());
            prop_assert_eq!(read.unusual(), owed.unusual());
            prop_assert_eq!(read, owed);
        }
    }
}
