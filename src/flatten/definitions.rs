//! What idrefs of a package name.

use std::collections::HashMap;

use crate::stix::{Definition, DefinitionKind, Named, ReadPackageError};

/// The tools, TTPs and campaigns that a package defines.
#[derive(Default)]
pub(super) struct Definitions {
    defined: HashMap<(DefinitionKind, String), Defined>,
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
        self.bytes += id.len() + name.len() + vendor.len();
        if self.bytes > max_bytes {
            return Err(ReadPackageError::Limit {
                what: "bytes of definitions in one package",
                limit: max_bytes as u64,
            });
        }
        let defined = self.defined.entry((kind, id)).or_default();
        if defined.name.is_empty() {
            *defined = Defined { name, vendor };
        }
        Ok(())
    }

    /// The names of what is named; what is not defined has none.
    pub(super) fn names<'a>(&'a self, kind: DefinitionKind, named: &'a [Named]) -> Vec<&'a str> {
        let name = |named: &'a Named| match named {
            Named::Id(id) => self.get(kind, id).map(|defined| defined.name.as_str()),
            Named::Inline(name) => Some(name.as_str()),
        };
        named
            .iter()
            .filter_map(name)
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// The vendors of the tools that are named.
    pub(super) fn vendors<'a>(&'a self, named: &'a [Named]) -> Vec<&'a str> {
        let vendor = |named: &'a Named| match named {
            Named::Id(id) => self
                .get(DefinitionKind::Tool, id)
                .map(|defined| defined.vendor.as_str()),
            Named::Inline(_) => None,
        };
        named
            .iter()
            .filter_map(vendor)
            .filter(|vendor| !vendor.is_empty())
            .collect()
    }

    fn get(&self, kind: DefinitionKind, id: &str) -> Option<&Defined> {
        self.defined.get(&(kind, id.to_owned()))
    }
}
