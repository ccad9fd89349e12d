//! STIX 1.x packages, read as a stream: a [`Visitor`] hears of what a package holds in document
//! order, and nothing is kept here. Knows nothing of TAXII.

mod content;
mod element;
mod impact;
mod marking;
mod objects;
mod passed_over;
mod properties;
mod reader;
mod relations;

use std::io;

pub use content::{
    Definition, DefinitionKind, Details, Header, Incident, IncidentStart, Indicator, Links, Named,
    ObjectKind, Observable, PackageStart, Reference, ReferenceKind,
};
pub use element::PackageTag;
pub use impact::{Impact, Loss};
pub use marking::Marking;
pub use passed_over::{Owner, PassedOver};
pub use properties::{Properties, PropertiesView};
pub use reader::{Workspace, read_package, read_packages};
pub use relations::{Relation, Relations};

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
    /// A marking that an idref may name, before or after this.
    fn marking(&mut self, id: &str, marking: Marking) -> Result<(), ReadPackageError>;
    /// An incident starts.
    fn incident_started(&mut self, incident: IncidentStart<'_>) -> Result<(), ReadPackageError>;
    /// An indicator starts, of the innermost incident if there is one.
    fn indicator_started(&mut self, id: Option<&str>) -> Result<(), ReadPackageError>;
    /// An observable starts; others may stand inside it.
    fn observable_started(&mut self, id: Option<&str>) -> Result<(), ReadPackageError>;
    /// An object of the innermost observable.
    fn observable(&mut self, observable: Observable<'_>) -> Result<(), ReadPackageError>;
    /// The relations of the innermost object that was said to have some.
    fn related(&mut self, relations: &Relations) -> Result<(), ReadPackageError>;
    /// In this place stands only the id of something.
    fn reference(&mut self, reference: Reference<'_>) -> Result<(), ReadPackageError>;
    /// The innermost observable ends.
    fn observable_ended(&mut self) -> Result<(), ReadPackageError>;
    /// The innermost indicator ends.
    fn indicator_ended(&mut self, indicator: Indicator) -> Result<(), ReadPackageError>;
    /// The innermost incident ends.
    fn incident_ended(&mut self, incident: Incident) -> Result<(), ReadPackageError>;
    /// Something that is read and not forwarded.
    fn passed_over(&mut self, what: PassedOver);
    /// The package ends; its header may have stood before or after the rest.
    fn package_ended(&mut self, header: Header) -> Result<(), ReadPackageError>;
}
