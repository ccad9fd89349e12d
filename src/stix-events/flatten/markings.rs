//! The markings that a package tells in one place and names in another.

use std::collections::{HashMap, HashSet};

use crate::stix::{Marking, ReadPackageError};

/// What one of them takes in memory beside its texts, roughly.
const OVERHEAD_BYTES: usize = 128;
/// What of them is followed for one incident, indicator or definition.
const MAX_FOLLOWED: usize = 100;

/// Markings by their ids.
#[derive(Default)]
pub(super) struct Markings {
    defined: HashMap<String, Marking>,
    bytes: usize,
}

impl Markings {
    /// About what they take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds one; several with one id hold together.
    pub(super) fn add(
        &mut self,
        id: &str,
        marking: &Marking,
        max_bytes: usize,
    ) -> Result<(), ReadPackageError> {
        self.bytes += OVERHEAD_BYTES + id.len() + marking.text_bytes();
        if self.bytes > max_bytes {
            return Err(ReadPackageError::Limit {
                what: "bytes of markings that have an id in one package",
                limit: max_bytes as u64,
            });
        }
        self.defined.entry(id.to_owned()).or_default().add(marking);
        Ok(())
    }

    /// With what its references say. Those that lead nowhere or too far stay, and may say anything.
    pub(super) fn resolve(&self, mut marking: Marking) -> Marking {
        let mut open = std::mem::take(&mut marking.references);
        let mut followed = HashSet::new();
        while let Some(id) = open.pop() {
            if !followed.insert(id.clone()) {
                continue;
            }
            let is_near = followed.len() + marking.texts() <= MAX_FOLLOWED;
            match self.defined.get(&id).filter(|_| is_near) {
                Some(found) => {
                    open.extend_from_slice(&found.references);
                    let found = Marking {
                        references: Vec::new(),
                        ..found.clone()
                    };
                    marking.add(&found);
                }
                None => {
                    marking.add_unknown();
                    marking.references.push(id);
                }
            }
        }
        marking.references.sort_unstable();
        marking
    }
}
