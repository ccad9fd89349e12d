//! STIX 1.x packages, read as a stream: a [`Visitor`] hears of what a package holds in document
//! order, and nothing is kept here. Knows nothing of TAXII.

mod element;
mod properties;
mod reader;

use std::fmt;
use std::io;

pub use element::PackageTag;
pub use properties::Properties;
pub use reader::{read_package, read_packages};
use serde::{Deserialize, Serialize};

use crate::xml::XmlError;

/// A package cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadPackageError {
    /// Its XML cannot be read.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The document is something else.
    #[error("no STIX_Package, the content is <{found}>")]
    NotStix {
        /// The root element.
        found: String,
    },
    /// It is text, but no XML document.
    #[error("no STIX_Package, the content is empty or plain text")]
    NoElement,
    /// A bound was reached.
    #[error("more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// What was read could not be kept.
    #[error("what was read cannot be kept: {0}")]
    Keep(#[source] io::Error),
}

/// Hears of a package's content, in document order.
pub trait Visitor {
    /// A package starts.
    fn package_started(&mut self, package: PackageStart<'_>) -> Result<(), ReadPackageError>;
    /// Something that an idref may name, before or after this.
    fn definition(&mut self, definition: Definition) -> Result<(), ReadPackageError>;
    /// An incident starts.
    fn incident_started(&mut self, incident: IncidentStart<'_>) -> Result<(), ReadPackageError>;
    /// An indicator of the innermost incident starts.
    fn indicator_started(&mut self, id: Option<&str>) -> Result<(), ReadPackageError>;
    /// An observable of the innermost indicator, or of the incident.
    fn observable(&mut self, observable: Observable<'_>) -> Result<(), ReadPackageError>;
    /// The innermost indicator ends.
    fn indicator_ended(&mut self, indicator: Indicator) -> Result<(), ReadPackageError>;
    /// The innermost incident ends.
    fn incident_ended(&mut self, incident: Incident) -> Result<(), ReadPackageError>;
    /// Something that is read, but not yet forwarded.
    fn passed_over(&mut self, what: PassedOver);
    /// The package ends; its header may have stood before or after the rest.
    fn package_ended(&mut self, header: Header) -> Result<(), ReadPackageError>;
}

/// What a package may hold and nobody hears of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassedOver {
    /// An indicator outside of every incident.
    Indicator,
    /// An observable outside of every incident.
    Observable,
    /// An indicator or observable of an incident that only names another one by its idref.
    Reference,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Indicator => "indicators outside of incidents",
            Self::Observable => "observables outside of incidents",
            Self::Reference => "references to indicators and observables",
        })
    }
}

/// The start tag of a package.
#[derive(Debug, Clone, Copy)]
pub struct PackageStart<'a> {
    /// `@id`
    pub id: Option<&'a str>,
    /// `@timestamp`, as written.
    pub timestamp: Option<&'a str>,
}

/// STIX_Header. Several values of one field are in document order, white space folded.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Header {
    /// Package_Intent
    pub intents: Vec<String>,
    /// Information_Source/Identity/@id
    pub identities: Vec<String>,
}

/// Something that can be named by an idref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// What it is.
    pub kind: DefinitionKind,
    /// `@id`
    pub id: String,
    /// Its title or name; folded, may be empty.
    pub name: String,
    /// A tool's vendor; folded, may be empty.
    pub vendor: String,
}

/// What is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefinitionKind {
    /// A tool.
    Tool,
    /// A TTP.
    Ttp,
    /// A campaign.
    Campaign,
}

/// The start tag of an incident.
#[derive(Debug, Clone, Copy)]
pub struct IncidentStart<'a> {
    /// `@id`
    pub id: Option<&'a str>,
    /// `@URL`
    pub url: Option<&'a str>,
}

/// One observable: no composition, but what is composed.
#[derive(Debug, Clone, Copy)]
pub struct Observable<'a> {
    /// Properties/@custom_name
    pub custom_name: Option<&'a str>,
    /// `@operator` of the innermost Observable_Composition around it.
    pub operator: Option<&'a str>,
    /// Names and values, in document order, verbatim.
    pub properties: &'a Properties,
}

/// What is known of an indicator at its end.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Indicator {
    /// Indicated_TTP, in document order.
    pub ttps: Vec<Named>,
    /// Related_Campaign, in document order.
    pub campaigns: Vec<Named>,
}

/// What is known of an incident at its end. White space is folded, nothing is empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Title
    pub titles: Vec<String>,
    /// Victim/Name
    pub victims: Vec<String>,
    /// Discovery_Method
    pub discovery_methods: Vec<String>,
    /// Confidence/Value
    pub confidences: Vec<String>,
    /// Intended_Effect/Value whose Description is "Risk".
    pub risks: Vec<String>,
    /// Intended_Effect/Value whose Description is "Risk category".
    pub risk_categories: Vec<String>,
    /// Information_Source/Tools/Tool
    pub tools: Vec<Named>,
    /// Related_Campaign
    pub campaigns: Vec<Named>,
}

/// Something that is named by reference or in place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Named {
    /// By the id of its definition, which stands elsewhere in the package or here.
    Id(String),
    /// In place, without an id.
    Inline {
        /// Its title or name; may be empty.
        name: String,
        /// A tool's vendor; may be empty.
        vendor: String,
    },
}
