//! What idrefs of a package name.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use crate::stix::{Definition, DefinitionKind, Details, Marking, Named, ReadPackageError};

/// What one definition takes in memory beside its texts, roughly.
const OVERHEAD_BYTES: usize = 128;

/// The tools, TTPs, campaigns … that a package defines.
#[derive(Default)]
pub(super) struct Definitions {
    defined: BTreeMap<DefinitionKind, HashMap<String, Defined>>,
    bytes: usize,
}

struct Defined {
    details: Details,
    /// Whether something that left names it.
    is_named: Cell<bool>,
}

impl Definitions {
    /// About what they take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds one; of several with one id the first that has a name counts, and all markings hold.
    pub(super) fn add(
        &mut self,
        definition: Definition,
        max_bytes: usize,
    ) -> Result<(), ReadPackageError> {
        let Definition {
            kind,
            id,
            mut details,
        } = definition;
        let defined = self.defined.entry(kind).or_default();
        if let Some(before) = defined.get_mut(&id) {
            let before = &mut before.details;
            self.bytes += details.marking.text_bytes();
            details.marking.add(&before.marking);
            if details.name.is_empty() || !before.name.is_empty() {
                before.marking = details.marking;
                return check_bytes(self.bytes, max_bytes);
            }
        }
        self.bytes += OVERHEAD_BYTES + id.len() + details.text_bytes();
        check_bytes(self.bytes, max_bytes)?;
        let is_named = Cell::new(false);
        defined.insert(id, Defined { details, is_named });
        Ok(())
    }

    /// The names of what is named; what is not defined has none.
    pub(super) fn names<'a>(&'a self, kind: DefinitionKind, named: &'a [Named]) -> Vec<&'a str> {
        self.present(kind, named, |details| &details.name)
    }

    /// The vendors of the tools that are named.
    pub(super) fn vendors<'a>(&'a self, tools: &'a [Named]) -> Vec<&'a str> {
        self.present(DefinitionKind::Tool, tools, |details| &details.vendor)
    }

    /// The malware of the TTPs that are named.
    pub(super) fn malware<'a>(&'a self, ttps: &'a [Named]) -> Vec<&'a str> {
        let malware = self.all(DefinitionKind::Ttp, ttps);
        once(malware.flat_map(|details| &details.malware))
    }

    /// The exploit targets of the TTPs that are named.
    pub(super) fn exploit_targets(&self, ttps: &[Named]) -> Vec<Named> {
        let ttps = self.all(DefinitionKind::Ttp, ttps);
        let targets = ttps.flat_map(|details| &details.exploit_targets);
        targets.cloned().collect()
    }

    /// The CVE ids of the exploit targets that are named.
    pub(super) fn cves<'a>(&'a self, targets: &'a [Named]) -> Vec<&'a str> {
        let targets = self.all(DefinitionKind::ExploitTarget, targets);
        once(targets.flat_map(|details| &details.cves))
    }

    /// The markings of what is named.
    pub(super) fn markings<'a>(
        &'a self,
        kind: DefinitionKind,
        named: &'a [Named],
    ) -> impl Iterator<Item = &'a Marking> {
        let markings = self.all(kind, named).map(|details| &details.marking);
        markings.filter(|marking| !marking.is_empty())
    }

    /// How many of each kind nothing named that left. Tools are no content of their own.
    pub(super) fn unnamed(&self) -> impl Iterator<Item = (DefinitionKind, u64)> {
        self.defined
            .iter()
            .filter(|(kind, _)| **kind != DefinitionKind::Tool)
            .map(|(kind, defined)| {
                let unnamed = defined.values().filter(|one| !one.is_named.get());
                (*kind, unnamed.count() as u64)
            })
            .filter(|(_, count)| *count > 0)
    }

    fn present<'a>(
        &'a self,
        kind: DefinitionKind,
        named: &'a [Named],
        text: impl Fn(&'a Details) -> &'a str,
    ) -> Vec<&'a str> {
        let texts = self.all(kind, named).map(text);
        texts.filter(|text| !text.is_empty()).collect()
    }

    fn all<'a>(
        &'a self,
        kind: DefinitionKind,
        named: &'a [Named],
    ) -> impl Iterator<Item = &'a Details> {
        let defined = self.defined.get(&kind);
        named.iter().filter_map(move |named| match named {
            Named::Inline(details) => Some(details),
            Named::Id(id) => {
                let found = defined?.get(id)?;
                found.is_named.set(true);
                Some(&found.details)
            }
        })
    }
}

fn check_bytes(bytes: usize, max_bytes: usize) -> Result<(), ReadPackageError> {
    if bytes > max_bytes {
        return Err(ReadPackageError::Limit {
            what: "bytes of definitions in one package",
            limit: max_bytes as u64,
        });
    }
    Ok(())
}

/// What is there twice counts once.
fn once<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut seen = std::collections::HashSet::new();
    texts
        .map(String::as_str)
        .filter(|text| seen.insert(*text))
        .collect()
}
