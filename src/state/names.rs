//! A few names.

use std::slice;

use serde::{Deserialize, Serialize};

/// A few names, in order and each once. Each of thousands of batches has some, and a set that is made for
/// many takes ten times as much memory for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>")]
pub struct Names(Vec<String>);

impl Names {
    /// Whether this name is among them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> slice::Iter<'_, String> {
        self.0.iter()
    }

    /// Adds a name.
    pub fn insert(&mut self, name: String) {
        if let Err(place) = self.0.binary_search(&name) {
            self.0.insert(place, name);
        }
    }

    /// Takes a name away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|known| known != name);
    }
}

impl From<Vec<String>> for Names {
    fn from(mut names: Vec<String>) -> Self {
        names.sort_unstable();
        names.dedup();
        names.shrink_to_fit();
        Self(names)
    }
}

impl FromIterator<String> for Names {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self::from(Vec::from_iter(names))
    }
}

impl<'a> IntoIterator for &'a Names {
    type Item = &'a String;
    type IntoIter = slice::Iter<'a, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_a_set(
            first in proptest::collection::vec("[abc]", 0..6),
            steps in proptest::collection::vec(("[abc]", any::<bool>()), 0..12),
        ) {
            let mut names: Names = serde_json::from_value(first.clone().into()).unwrap();
            let mut set: BTreeSet<String> = first.into_iter().collect();
            for (name, is_added) in steps {
                if is_added {
                    names.insert(name.clone());
                    set.insert(name.clone());
                } else {
                    names.remove(&name);
                    set.remove(&name);
                }
                prop_assert_eq!(names.contains(&name), is_added);
                prop_assert_eq!(names.is_empty(), set.is_empty());
                prop_assert!(names.iter().eq(&set));
                prop_assert_eq!(serde_json::to_value(&names).unwrap(), serde_json::to_value(&set).unwrap());
            }
        }
    }
}
