//! The batches that somebody owes, and what they come to. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
    sums: Sums,
}

/// What they come to.
#[derive(Debug, Clone, Default)]
struct Sums {
    outputs: BTreeMap<String, OwedSum>,
    unusual: BTreeSet<u64>,
}

/// What an output owes, before a look at how far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwedSum {
    /// Batches that it has not done with.
    pub batches: u64,
    /// All of their events.
    pub events: u64,
}

impl OwedBatches {
    /// What each output owes.
    #[must_use]
    pub fn sums(&self) -> &BTreeMap<String, OwedSum> {
        &self.sums.outputs
    }

    /// The batches of which [more](BatchPicture::is_unusual) is to be told than how far its outputs are.
    #[must_use]
    pub fn unusual(&self) -> &BTreeSet<u64> {
        &self.sums.unusual
    }

    /// The same, each with its number.
    pub fn unusual_batches(&self) -> impl Iterator<Item = (u64, &BatchPicture)> {
        let unusual = self.sums.unusual.iter();
        unusual.filter_map(|seq| Some((*seq, self.batches.get(seq)?.as_ref())))
    }

    /// Adds a batch.
    pub(super) fn insert(&mut self, seq: u64, batch: Arc<BatchPicture>) {
        let batch = batch.complete();
        self.remove(seq);
        self.sums.add(seq, &batch);
        self.batches.insert(seq, batch);
    }

    /// Takes a batch away.
    pub(super) fn remove(&mut self, seq: u64) {
        if let Some(batch) = self.batches.remove(&seq) {
            self.sums.take_off(seq, &batch);
        }
    }

    /// Changes a batch, if it is owed; one that nobody owes any more is gone then.
    pub(super) fn change<T>(
        &mut self,
        seq: u64,
        change: impl FnOnce(&mut BatchPicture) -> T,
    ) -> Option<T> {
        let batch = self.batches.get_mut(&seq)?;
        self.sums.take_off(seq, batch);
        let changed = change(Arc::make_mut(batch));
        if batch.outputs.is_empty() {
            self.batches.remove(&seq);
        } else {
            self.sums.add(seq, batch);
        }
        Some(changed)
    }
}

impl Sums {
    fn add(&mut self, seq: u64, batch: &BatchPicture) {
        for output in &batch.outputs {
            let sum = match self.outputs.get_mut(output) {
                Some(sum) => sum,
                None => self.outputs.entry(output.clone()).or_default(),
            };
            sum.batches += 1;
            sum.events += batch.events;
        }
        if batch.is_unusual() {
            self.unusual.insert(seq);
        }
    }

    fn take_off(&mut self, seq: u64, batch: &BatchPicture) {
        for output in &batch.outputs {
            let Some(sum) = self.outputs.get_mut(output) else {
                continue;
            };
            sum.batches -= 1;
            sum.events -= batch.events;
            if sum.batches == 0 {
                self.outputs.remove(output);
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
        struct ByNumber;

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

        deserializer.deserialize_map(ByNumber)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What other versions write of a batch: without an outline, and in other words.
    #[test]
    fn a_batch_is_the_same_in_whatever_words() {
        let read = |batch: &str| {
            let owed: OwedBatches = serde_json::from_str(&format!("{{\"7\":{batch}}}")).unwrap();
            Arc::clone(&owed[&7])
        };
        let key = r#""key":{"service":"s","collection":"c"}"#;
        let content = r#""content":{"staged_at":"2026-03-01T12:00:00Z","window_end":"2026-03-01T11:00:00Z",
            "files":[{"name":"f","events":3,"bytes":100,"crc32":"0a0b0c0d"}]}"#;
        let rest = r#""origin":"replay","window":null"#;
        let before = r#"{"events":3,"outputs":["o"]"#;
        let old = read(&format!("{before},\"source\":{{{rest},{content},{key}}}}}"));
        let outline = old.outline().unwrap();
        assert_eq!((outline.bytes, outline.is_copy), (100, true));
        assert_eq!(outline.staged_at.to_rfc3339(), "2026-03-01T12:00:00+00:00");
        assert_eq!(old.key().unwrap().to_string(), "s/c");
        let source = old.source().unwrap();
        assert_eq!(source.content.files.len(), 1);
        let written = BatchPicture {
            events: 3,
            outputs: vec!["o".to_owned()].into(),
            ..BatchPicture::default()
        };
        let written = written.made_of(Some(&source));
        assert_eq!(*old, written);
        let again = read(&serde_json::to_string(&written).unwrap());
        assert_eq!(*again, written);
        let other = read(&format!(
            "{before},\"source\":{{{rest},{content},\"key\":{{\"service\":\"s\",\"collection\":\"d\"}}}}}}"
        ));
        assert_ne!(*other, written);
        // What nobody can read costs nothing else.
        let unknown = read(&format!(
            "{before},\"source\":{{\"of\":\"another version\"}}}}"
        ));
        assert_eq!((unknown.source(), unknown.outline()), (None, None));
        assert_eq!(unknown.events, 3);
        assert!(unknown.outputs.contains("o"));
    }

    /// What the batches come to, counted one by one.
    fn counted(owed: &OwedBatches) -> (BTreeMap<String, OwedSum>, BTreeSet<u64>) {
        let mut sums: BTreeMap<String, OwedSum> = BTreeMap::new();
        for batch in owed.values() {
            for output in &batch.outputs {
                let sum = sums.entry(output.clone()).or_default();
                sum.batches += 1;
                sum.events += batch.events;
            }
        }
        let unusual = owed.iter().filter(|(_, batch)| batch.is_unusual());
        (sums, unusual.map(|(seq, _)| *seq).collect())
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
                let (sums, unusual) = counted(&owed);
                prop_assert_eq!(owed.sums(), &sums);
                prop_assert_eq!(owed.unusual(), &unusual);
                prop_assert!(owed.values().all(|batch| !batch.outputs.is_empty()));
            }
            let json = serde_json::to_string(&owed).unwrap();
            let read: OwedBatches = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read.sums(), owed.sums());
            prop_assert_eq!(read.unusual(), owed.unusual());
            prop_assert_eq!(read, owed);
        }
    }
}
