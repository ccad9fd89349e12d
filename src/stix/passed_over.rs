//! What a package may hold and no event tells.

use std::fmt;

use super::DefinitionKind;

/// What is met and not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassedOver {
    /// An idref to an indicator, observable or object that the package does not define.
    Reference,
    /// An object that only names another one that it is related to.
    RelatedObject,
    /// A package that only names another one.
    RelatedPackage,
    /// A report around content.
    Report,
    /// A marking that only names another one.
    Marking,
    /// Something of a kind that incidents and indicators name, and that none does.
    Unnamed(DefinitionKind),
    /// A child of an incident that has no field.
    OfIncident(&'static str),
    /// A child of an indicator that has no field.
    OfIndicator(&'static str),
    /// An element of a Custom object outside of its Custom_Properties.
    OfCustomObject,
}

/// Children of incidents that are known to have no field.
const OF_INCIDENTS: [&str; 11] = [
    "Affected_Assets",
    "Contact",
    "Coordinator",
    "External_ID",
    "History",
    "Impact_Assessment",
    "Related_Incidents",
    "Related_Packages",
    "Reporter",
    "Responder",
    "Security_Compromise",
];
/// Children of indicators that are known to have no field.
const OF_INDICATORS: [&str; 5] = [
    "Alternative_ID",
    "Likely_Impact",
    "Related_Packages",
    "Sightings",
    "Test_Mechanisms",
];
/// Names come from a document; only those of the schema are told.
const OTHERS: &str = "other";

impl PassedOver {
    /// A child of an incident.
    pub(super) fn of_incident(name: &str) -> Self {
        Self::OfIncident(known(&OF_INCIDENTS, name))
    }

    /// A child of an indicator.
    pub(super) fn of_indicator(name: &str) -> Self {
        Self::OfIndicator(known(&OF_INDICATORS, name))
    }
}

fn known(names: &[&'static str], name: &str) -> &'static str {
    let found = names.iter().find(|known| **known == name);
    found.copied().unwrap_or(OTHERS)
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Reference => {
                "references to indicators, observables and objects that the package does not define"
            }
            Self::RelatedObject => "references from objects to related objects",
            Self::RelatedPackage => "references to related packages",
            Self::Report => "reports (their content is read)",
            Self::Marking => "references to markings",
            Self::Unnamed(DefinitionKind::Tool) => "tools that nothing names",
            Self::Unnamed(DefinitionKind::Ttp) => "TTPs that nothing names",
            Self::Unnamed(DefinitionKind::Campaign) => "campaigns that nothing names",
            Self::Unnamed(DefinitionKind::ThreatActor) => "threat actors that nothing names",
            Self::Unnamed(DefinitionKind::ExploitTarget) => "exploit targets that nothing names",
            Self::Unnamed(DefinitionKind::CourseOfAction) => "courses of action that nothing names",
            Self::OfIncident(name) => return write!(f, "{name} elements of incidents"),
            Self::OfIndicator(name) => return write!(f, "{name} elements of indicators"),
            Self::OfCustomObject => "elements of Custom objects outside of Custom_Properties",
        };
        f.write_str(text)
    }
}
