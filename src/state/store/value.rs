//! How a value lies in the table, and the fingerprint of all of them. Pure.
//!
//! A value carries a checksum over its key and itself, so that one that was changed is noticed. The
//! fingerprint is the exclusive or of a hash of each key and value: it changes with each change at a
//! cost that does not grow with the table, and tells a table apart that shows an older value of one
//! key beside a newer one of another.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

/// Bytes of the checksum, in front of the value.
const CHECKSUM_BYTES: usize = 4;

/// A value as it lies in the table.
pub(super) fn encode(key: &str, json: &[u8]) -> Vec<u8> {
    let mut bytes = checksum(key, json).to_le_bytes().to_vec();
    bytes.extend_from_slice(json);
    bytes
}

/// The value that lies there; none if it is damaged.
pub(super) fn decode<'v>(key: &str, bytes: &'v [u8]) -> Option<&'v [u8]> {
    let (stated, json) = bytes.split_first_chunk::<CHECKSUM_BYTES>()?;
    (u32::from_le_bytes(*stated) == checksum(key, json)).then_some(json)
}

fn checksum(key: &str, json: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.as_bytes());
    hasher.update(json);
    hasher.finalize()
}

/// Keys with the hashes of their values, and the fingerprint of all. The values themselves would be a
/// copy of all that is in the picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Values {
    hashes: HashMap<String, u64>,
    fingerprint: u64,
}

/// What is to become of some keys: a value, or none.
pub(super) type ValueChanges = BTreeMap<String, Option<Vec<u8>>>;

impl Values {
    /// Whether the key has this value.
    pub(super) fn has(&self, key: &str, value: &[u8]) -> bool {
        self.hashes.get(key) == Some(&hash(key, value))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.hashes.keys().map(String::as_str)
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The fingerprint that there will be after these changes.
    pub(super) fn fingerprint_with(&self, changes: &ValueChanges) -> u64 {
        changes.iter().fold(self.fingerprint, |sum, (key, value)| {
            let before = self.hashes.get(key).copied().unwrap_or(0);
            let after = value.as_ref().map_or(0, |value| hash(key, value));
            sum ^ before ^ after
        })
    }

    pub(super) fn put(&mut self, key: &str, value: &[u8]) {
        let hash = hash(key, value);
        let before = self.hashes.insert(key.to_owned(), hash);
        self.fingerprint ^= before.unwrap_or(0) ^ hash;
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.fingerprint ^= self.hashes.remove(key).unwrap_or(0);
    }
}

/// What the fingerprint has of a key and its value.
pub(super) fn hash(key: &str, value: &[u8]) -> u64 {
    let mut sha = Sha256::new();
    // Where the key ends must be told: it may be of any length.
    sha.update((key.len() as u64).to_le_bytes());
    sha.update(key.as_bytes());
    sha.update(value);
    let digest = sha.finalize();
    let first = digest.first_chunk::<8>();
    first.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_that_was_changed_or_moved_to_another_key_is_noticed() {
        let bytes = encode("k", b"{\"a\":1}");
        assert_eq!(decode("k", &bytes), Some(&b"{\"a\":1}"[..]));
        assert_eq!(decode("l", &bytes), None);
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[place] ^= 1 << bit;
                assert_eq!(decode("k", &flipped), None, "{place} {bit}");
            }
            assert_eq!(decode("k", &bytes[..place]), None, "{place}");
        }
    }

    fn changes() -> impl Strategy<Value = ValueChanges> {
        let value = proptest::option::of(proptest::collection::vec(0_u8..3, 0..3));
        proptest::collection::btree_map("[ab]{0,2}", value, 0..5)
    }

    proptest! {
        #[test]
        fn the_fingerprint_is_that_of_what_is_there_whatever_way_it_came(
            steps in proptest::collection::vec(changes(), 0..20),
        ) {
            let mut values = Values::default();
            let mut there = BTreeMap::new();
            let mut states = vec![(values.clone(), there.clone())];
            for step in steps {
                let expected = values.fingerprint_with(&step);
                for (key, value) in step {
                    if let Some(value) = value {
                        values.put(&key, &value);
                        there.insert(key, value);
                    } else {
                        values.remove(&key);
                        there.remove(&key);
                    }
                }
                prop_assert_eq!(values.fingerprint(), expected);
                states.push((values.clone(), there.clone()));
            }
            let mut anew = Values::default();
            for (key, value) in &there {
                anew.put(key, value);
                prop_assert!(values.has(key, value));
            }
            prop_assert_eq!(&anew, &values);
            for (state, was_there) in states {
                prop_assert_eq!(state.fingerprint == values.fingerprint, was_there == there);
            }
        }
    }
}
