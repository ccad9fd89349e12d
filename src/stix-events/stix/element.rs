//! Start tags, and what of them matters.

use super::{DefinitionKind, ReferenceKind};
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
        is_negated: bool,
    },
    Observable {
        id: Option<String>,
        is_negated: bool,
    },
    /// An indicator or observable that is elsewhere.
    Reference {
        kind: ReferenceKind,
        id: String,
    },
    Composition {
        operator: Option<String>,
    },
    Definition {
        kind: DefinitionKind,
        ids: Ids,
    },
    /// The header of a package inside this one.
    InnerHeader,
    /// A data marking where none is looked for.
    Handling,
    /// A package that is elsewhere.
    PackageReference,
    Report,
    Other,
}

/// `@id` and `@idref`.
pub(super) struct Ids {
    pub(super) id: Option<String>,
    pub(super) idref: Option<String>,
}

impl Ids {
    pub(super) fn of(tag: &Tag<'_>) -> Result<Self> {
        Ok(Self {
            id: tag.owned("id")?,
            idref: tag.owned("idref")?,
        })
    }
}

impl Element {
    pub(super) fn of(tag: &Tag<'_>) -> Result<Self> {
        let idref = || tag.owned("idref");
        let definition = |kind| {
            let ids = Ids::of(tag)?;
            Ok(Self::Definition { kind, ids })
        };
        match tag.local() {
            "Observable" => Ok(match idref()? {
                Some(id) => Self::Reference {
                    kind: ReferenceKind::Observable,
                    id,
                },
                None => Self::Observable {
                    id: tag.owned("id")?,
                    is_negated: is_negated(tag)?,
                },
            }),
            "Observable_Composition" => Ok(Self::Composition {
                operator: tag.owned("operator")?,
            }),
            // One that only says how it is related to another one.
            "Incident" if tag.attribute("idref")?.is_some() => Ok(Self::Other),
            "Incident" => Ok(Self::Incident {
                id: tag.owned("id")?,
                url: tag.owned("URL")?,
            }),
            "Indicator" => Ok(match idref()? {
                Some(id) => Self::Reference {
                    kind: ReferenceKind::Indicator,
                    id,
                },
                None => Self::Indicator {
                    id: tag.owned("id")?,
                    is_negated: is_negated(tag)?,
                },
            }),
            "TTP" => definition(DefinitionKind::Ttp),
            "Campaign" => definition(DefinitionKind::Campaign),
            "Tool" => definition(DefinitionKind::Tool),
            "Threat_Actor" => definition(DefinitionKind::ThreatActor),
            "Exploit_Target" => definition(DefinitionKind::ExploitTarget),
            "Course_Of_Action" => definition(DefinitionKind::CourseOfAction),
            "Handling" => Ok(Self::Handling),
            "STIX_Header" => Ok(Self::InnerHeader),
            "Package" | "STIX_Package" if tag.attribute("idref")?.is_some() => {
                Ok(Self::PackageReference)
            }
            "Report" => Ok(Self::Report),
            _ => Ok(Self::Other),
        }
    }

    /// Bytes of its attributes.
    pub(super) fn text_bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            Self::Incident { id, url } => length(id) + length(url),
            Self::Indicator { id, .. } | Self::Observable { id, .. } => length(id),
            Self::Reference { id, .. } => id.len(),
            Self::Composition { operator } => length(operator),
            Self::Definition { ids, .. } => length(&ids.id) + length(&ids.idref),
            Self::InnerHeader
            | Self::Handling
            | Self::PackageReference
            | Self::Report
            | Self::Other => 0,
        }
    }
}

/// An attribute that says something.
pub(super) fn present(tag: &Tag<'_>, name: &str) -> Result<Option<String>> {
    let text = tag.owned(name)?;
    Ok(text.filter(|text| !text.trim().is_empty()))
}

/// Whether it stands for what is *not* there.
fn is_negated(tag: &Tag<'_>) -> Result<bool> {
    let value = tag.attribute("negate")?;
    Ok(value.is_some_and(|value| matches!(value.trim(), "true" | "1")))
}
