//! What a package names by idref and tells elsewhere: indicators, observables, objects.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::stix::{ReadPackageError, ReferenceKind};

/// What one of them takes in memory, roughly.
const TARGET_BYTES: usize = 96;

/// The ids that are named, and where on the tape each is defined. An id that nothing names is
/// not kept, so that content without references costs nothing.
#[derive(Default)]
pub(super) struct References {
    targets: HashMap<Key, Target>,
}

/// A kind, and the first bytes of the id's digest.
type Key = (ReferenceKind, [u8; 16]);

#[derive(Default)]
struct Target {
    /// Where it starts, once that is known.
    place: Option<u64>,
    /// Whether an incident, an indicator or an observable names it as a part of itself.
    is_part: bool,
    /// Whether it left with what names it.
    has_left: bool,
}

impl References {
    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// This id is named.
    pub(super) fn name(
        &mut self,
        kind: ReferenceKind,
        id: &str,
        is_part: bool,
        max_bytes: usize,
    ) -> Result<(), ReadPackageError> {
        self.targets.entry(key(kind, id)).or_default().is_part |= is_part;
        if self.targets.len() * TARGET_BYTES > max_bytes {
            return Err(ReadPackageError::Limit {
                what: "bytes of references in one package",
                limit: max_bytes as u64,
            });
        }
        Ok(())
    }

    /// What has this id starts there; the first of several counts.
    pub(super) fn define(&mut self, kind: ReferenceKind, id: &str, place: u64) {
        if let Some(target) = self.targets.get_mut(&key(kind, id)) {
            target.place.get_or_insert(place);
        }
    }

    /// Whether what has this id leaves with what names it, and not on its own.
    pub(super) fn is_part(&self, kind: ReferenceKind, id: &str) -> bool {
        !self.is_empty()
            && self
                .targets
                .get(&key(kind, id))
                .is_some_and(|target| target.is_part)
    }

    /// Whether the package defines it.
    pub(super) fn is_defined(&self, kind: ReferenceKind, id: &str) -> bool {
        let target = self.targets.get(&key(kind, id));
        target.is_some_and(|target| target.place.is_some())
    }

    /// Where it starts, if the package defines it; it leaves now.
    pub(super) fn follow(&mut self, kind: ReferenceKind, id: &str) -> Option<u64> {
        let target = self.targets.get_mut(&key(kind, id))?;
        target.has_left = true;
        target.place
    }

    /// What is only named from inside of itself, in document order.
    pub(super) fn never_left(&self) -> Vec<u64> {
        let never = |target: &&Target| target.is_part && !target.has_left;
        let mut places: Vec<u64> = self
            .targets
            .values()
            .filter(never)
            .filter_map(|target| target.place)
            .collect();
        places.sort_unstable();
        places
    }
}

fn key(kind: ReferenceKind, id: &str) -> Key {
    let digest: [u8; 32] = Sha256::digest(id).into();
    let first = digest.first_chunk().copied().unwrap_or_default();
    (kind, first)
}
