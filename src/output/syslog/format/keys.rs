//! The keys of one message: none stands twice.

use std::borrow::Cow;
use std::collections::HashMap;

/// What is taken already.
#[derive(Default)]
pub(super) struct Keys {
    /// With the last number that was put behind it.
    taken: HashMap<Cow<'static, str>, u32>,
}

impl Keys {
    /// Takes a key of a dictionary, unless it is taken.
    pub(super) fn take(&mut self, key: &'static str) -> bool {
        self.taken.insert(Cow::Borrowed(key), 1).is_none()
    }

    /// Takes this key or, if it is taken, the first free one of `key2`, `key3` …
    pub(super) fn take_numbered(&mut self, key: String) -> String {
        let Some(&last) = self.taken.get(key.as_str()) else {
            self.taken.insert(Cow::Owned(key.clone()), 1);
            return key;
        };
        let mut number = last;
        let free = loop {
            number = number.saturating_add(1);
            let candidate = format!("{key}{number}");
            if !self.taken.contains_key(candidate.as_str()) {
                break candidate;
            }
        };
        self.taken.insert(Cow::Owned(key), number);
        self.taken.insert(Cow::Owned(free.clone()), 1);
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_stands_twice() {
        let mut keys = Keys::default();
        assert!(keys.take("src"));
        assert!(!keys.take("src"));
        let taken = ["a2", "a", "a", "a", "a2", "src"].map(|key| keys.take_numbered(key.into()));
        assert_eq!(taken, ["a2", "a", "a3", "a4", "a22", "src2"]);
    }
}
