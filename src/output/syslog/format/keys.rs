//! The keys of one message: none stands twice.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// What is taken already.
pub(super) struct Keys<'a> {
    /// With the last number that was put behind it.
    taken: HashMap<Cow<'a, str>, u32>,
}

impl<'a> Keys<'a> {
    /// Nothing is taken; `fields` is how many keys there will be, mostly.
    pub(super) fn for_fields(fields: usize) -> Self {
        Self {
            taken: HashMap::with_capacity(fields),
        }
    }

    /// Takes a key of a dictionary, unless it is taken.
    pub(super) fn take(&mut self, key: &'static str) -> bool {
        self.taken.insert(Cow::Borrowed(key), 1).is_none()
    }

    /// Takes this key or, if it is taken, the first free one of `key2`, `key3` …
    pub(super) fn take_numbered(&mut self, key: Cow<'a, str>) -> Cow<'a, str> {
        let mut number = match self.taken.entry(key.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(1);
                return key;
            }
            Entry::Occupied(entry) => *entry.get(),
        };
        let free = loop {
            number = number.saturating_add(1);
            let candidate = Cow::Owned(format!("{key}{number}"));
            if !self.taken.contains_key(&candidate) {
                break candidate;
            }
        };
        self.taken.insert(key, number);
        self.taken.insert(free.clone(), 1);
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_stands_twice() {
        let mut keys = Keys::for_fields(0);
        assert!(keys.take("src"));
        assert!(!keys.take("src"));
        let taken = ["a2", "a", "a", "a", "a2", "src"].map(|key| keys.take_numbered(key.into()));
        assert_eq!(taken, ["a2", "a", "a3", "a4", "a22", "src2"]);
    }
}
