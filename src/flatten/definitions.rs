//! What idrefs of a package name.

use std::collections::HashMap;

use crate::stix::{Definition, DefinitionKind, Named, ReadPackageError};

/// What one definition takes in memory beside its texts, roughly.
const OVERHEAD_BYTES: usize = 128;

/// The tools, TTPs and campaigns that a package defines.
#[derive(Default)]
pub(super) struct Definitions {
    tools: HashMap<String, Defined>,
    ttps: HashMap<String, Defined>,
    campaigns: HashMap<String, Defined>,
    bytes: usize,
}

#[derive(Default)]
struct Defined {
    name: String,
    vendor: String,
}

impl Definitions {
    /// Adds one; of several with one id the first that has a name counts.
    pub(super) fn add(
        &mut self,
        definition: Definition,
        max_bytes: usize,
    ) -> Result<(), ReadPackageError> {
        let Definition {
            kind,
            id,
            name,
            vendor,
        } = definition;
        let defined = match kind {
            DefinitionKind::Tool => &mut self.tools,
            DefinitionKind::Ttp => &mut self.ttps,
            DefinitionKind::Campaign => &mut self.campaigns,
        };
        let before = defined.get(&id);
        if before.is_some_and(|before| name.is_empty() || !before.name.is_empty()) {
            return Ok(());
        }
        self.bytes += OVERHEAD_BYTES + id.len() + name.len() + vendor.len();
        if self.bytes > max_bytes {
            return Err(ReadPackageError::Limit {
                what: "bytes of definitions in one package",
                limit: max_bytes as u64,
            });
        }
        defined.insert(id, Defined { name, vendor });
        Ok(())
    }

    /// The names of what is named; what is not defined has none.
    pub(super) fn names<'a>(&'a self, kind: DefinitionKind, named: &'a [Named]) -> Vec<&'a str> {
        let name = |named: &'a Named| match named {
            Named::Id(id) => self.get(kind, id).map_or("", |defined| &defined.name),
            Named::Inline { name, .. } => name,
        };
        let present = |name: &&str| !name.is_empty();
        named.iter().map(name).filter(present).collect()
    }

    /// The vendors of the tools that are named.
    pub(super) fn vendors<'a>(&'a self, named: &'a [Named]) -> Vec<&'a str> {
        let vendor = |named: &'a Named| match named {
            Named::Id(id) => self
                .get(DefinitionKind::Tool, id)
                .map_or("", |defined| &defined.vendor),
            Named::Inline { vendor, .. } => vendor,
        };
        let present = |vendor: &&str| !vendor.is_empty();
        named.iter().map(vendor).filter(present).collect()
    }

    fn get(&self, kind: DefinitionKind, id: &str) -> Option<&Defined> {
        match kind {
            DefinitionKind::Tool => &self.tools,
            DefinitionKind::Ttp => &self.ttps,
            DefinitionKind::Campaign => &self.campaigns,
        }
        .get(id)
    }
}
