//! Start tags, and what of them matters.

use super::DefinitionKind;
use crate::xml::{Tag, XmlError};

type Result<T> = std::result::Result<T, XmlError>;

/// The start tag of a package.
#[derive(Debug)]
pub struct PackageTag {
    pub(super) id: Option<String>,
    pub(super) timestamp: Option<String>,
}

impl PackageTag {
    /// What matters of the tag.
    pub fn of(tag: &Tag<'_>) -> Result<Self> {
        Ok(Self {
            id: tag.owned("id")?,
            timestamp: tag.owned("timestamp")?,
        })
    }
}

/// An element that may stand anywhere in a package, with the attributes that matter.
pub(super) enum Element {
    Incident {
        id: Option<String>,
        url: Option<String>,
    },
    Indicator {
        id: Option<String>,
    },
    Observable,
    /// An indicator or observable that is elsewhere.
    Reference,
    Composition {
        operator: Option<String>,
    },
    Definition {
        kind: DefinitionKind,
        ids: Ids,
    },
    Other,
}

/// `@id` and `@idref`.
pub(super) struct Ids {
    pub(super) id: Option<String>,
    pub(super) idref: Option<String>,
}

impl Element {
    pub(super) fn of(tag: &Tag<'_>) -> Result<Self> {
        let definition = |kind| {
            let (id, idref) = (tag.owned("id")?, tag.owned("idref")?);
            let ids = Ids { id, idref };
            Ok(Self::Definition { kind, ids })
        };
        match tag.local() {
            "Indicator" | "Observable" if tag.attribute("idref")?.is_some() => Ok(Self::Reference),
            "Observable" => Ok(Self::Observable),
            "Observable_Composition" => Ok(Self::Composition {
                operator: tag.owned("operator")?,
            }),
            // One that only says how it is related to another one.
            "Incident" if tag.attribute("idref")?.is_some() => Ok(Self::Other),
            "Incident" => Ok(Self::Incident {
                id: tag.owned("id")?,
                url: tag.owned("URL")?,
            }),
            "Indicator" => Ok(Self::Indicator {
                id: tag.owned("id")?,
            }),
            "TTP" => definition(DefinitionKind::Ttp),
            "Campaign" => definition(DefinitionKind::Campaign),
            "Tool" => definition(DefinitionKind::Tool),
            _ => Ok(Self::Other),
        }
    }

    /// Bytes of its attributes.
    pub(super) fn text_bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            Self::Incident { id, url } => length(id) + length(url),
            Self::Indicator { id } => length(id),
            Self::Composition { operator } => length(operator),
            Self::Definition { ids, .. } => length(&ids.id) + length(&ids.idref),
            Self::Observable | Self::Reference | Self::Other => 0,
        }
    }
}
