//! What the table must hold, by the hashes of its values: of batches, of which there may be thousands, only
//! when somebody has read them. Pure.

use super::picture_values::is_of_batch;
use super::value::{ValueChanges, Values, hash};

/// See above.
#[derive(Debug)]
pub(super) struct Held {
    others: Values,
    batches: Batches,
}

#[derive(Debug)]
enum Batches {
    /// Nobody has read them, and this is what the summary says.
    Unread {
        fingerprint: u64,
    },
    Known(Values),
}

/// What tells whether a table holds what it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprints {
    /// Of all values.
    pub(super) all: u64,
    /// Of those of batches.
    pub(super) batches: u64,
}

/// Nothing.
impl Default for Held {
    fn default() -> Self {
        Self {
            others: Values::default(),
            batches: Batches::Known(Values::default()),
        }
    }
}

impl Held {
    pub(super) fn fingerprints(&self) -> Fingerprints {
        let batches = match &self.batches {
            Batches::Unread { fingerprint } => *fingerprint,
            Batches::Known(values) => values.fingerprint(),
        };
        Fingerprints {
            all: self.others.fingerprint() ^ batches,
            batches,
        }
    }

    /// Those that there will be after changes of what is no batch.
    pub(super) fn fingerprints_with(&self, changes: &ValueChanges) -> Fingerprints {
        let Fingerprints { all, batches } = self.fingerprints();
        let others = self.others.fingerprint();
        Fingerprints {
            all: all ^ others ^ self.others.fingerprint_with(changes),
            batches,
        }
    }

    /// The fingerprint of the batches that nobody has read.
    pub(super) fn unread_batches(&self) -> Option<u64> {
        match self.batches {
            Batches::Unread { fingerprint } => Some(fingerprint),
            Batches::Known(_) => None,
        }
    }

    /// Batches are left to be read later, and have this fingerprint.
    pub(super) fn leave_batches(&mut self, fingerprint: u64) {
        self.batches = Batches::Unread { fingerprint };
    }

    /// No batches are known, as if the table had none.
    pub(super) fn forget_batches(&mut self) {
        self.batches = Batches::Known(Values::default());
    }

    /// Whether the key has this value.
    pub(super) fn has(&self, key: &str, value: &[u8]) -> bool {
        match &self.batches {
            Batches::Known(batches) if is_of_batch(key) => batches.has(key, value),
            _ => self.others.has(key, value),
        }
    }

    /// The keys that are known.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let batches = match &self.batches {
            Batches::Unread { .. } => None,
            Batches::Known(values) => Some(values.keys()),
        };
        self.others.keys().chain(batches.into_iter().flatten())
    }

    /// Who changes batches has read them; one that is new may come while nobody has.
    pub(super) fn change(&mut self, changes: &ValueChanges) {
        for (key, value) in changes {
            match value {
                Some(value) => self.put(key, value),
                None => self.values_with(key).remove(key),
            }
        }
    }

    /// A batch that nobody has read is new.
    pub(super) fn put(&mut self, key: &str, value: &[u8]) {
        match &mut self.batches {
            Batches::Unread { fingerprint } if is_of_batch(key) => *fingerprint ^= hash(key, value),
            _ => self.values_with(key).put(key, value),
        }
    }

    fn values_with(&mut self, key: &str) -> &mut Values {
        match &mut self.batches {
            Batches::Known(batches) if is_of_batch(key) => batches,
            _ => &mut self.others,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn changes() -> impl Strategy<Value = ValueChanges> {
        let value = proptest::option::of(proptest::collection::vec(0_u8..3, 0..3));
        proptest::collection::btree_map("(batch|batches|gate)/[12]", value, 0..5)
    }

    fn holding(there: &BTreeMap<String, Vec<u8>>) -> Held {
        let mut held = Held::default();
        for (key, value) in there {
            held.put(key, value);
        }
        held
    }

    proptest! {
        /// Whether batches are known or not.
        #[test]
        fn the_fingerprints_are_those_of_what_is_there(
            steps in proptest::collection::vec(changes(), 0..10),
            unread_from in 0_usize..10,
        ) {
            let mut held = Held::default();
            let mut there = BTreeMap::new();
            for (index, mut step) in steps.into_iter().enumerate() {
                if index == unread_from {
                    held.leave_batches(held.fingerprints().batches);
                }
                let is_unread = held.unread_batches().is_some();
                prop_assert_eq!(is_unread, index >= unread_from);
                if is_unread {
                    let is_new = |key: &String, value: &Option<_>| value.is_some() && !there.contains_key(key);
                    step.retain(|key, value| !is_of_batch(key) || is_new(key, value));
                }
                let others = step.clone().into_iter().filter(|(key, _)| !is_of_batch(key)).collect();
                let expected = held.fingerprints_with(&others);
                held.change(&others);
                prop_assert_eq!(held.fingerprints(), expected);
                held.change(&step);
                for (key, value) in step {
                    match value {
                        Some(value) => drop(there.insert(key, value)),
                        None => drop(there.remove(&key)),
                    }
                }
                let anew = holding(&there);
                prop_assert_eq!(held.fingerprints(), anew.fingerprints());
                let known = there.iter().filter(|(key, _)| !is_unread || !is_of_batch(key));
                for (key, value) in known.clone() {
                    prop_assert!(held.has(key, value));
                }
                let mut keys: Vec<&str> = held.keys().collect();
                keys.sort_unstable();
                prop_assert!(keys.into_iter().eq(known.map(|(key, _)| key.as_str())));
            }
        }
    }
}
