//! What a package may hold and no event tells.

use std::fmt;

use super::DefinitionKind;
use crate::names::Names;

/// What is met and not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassedOver {
    /// An idref to an indicator, observable or object that the package does not define.
    Reference,
    /// A package that only names another one.
    RelatedPackage,
    /// A package that gives no event.
    NoEvent,
    /// A report around content.
    Report,
    /// An idref to a marking that the package does not define.
    Marking,
    /// Something of a kind that incidents and indicators name, and that none does.
    Unnamed(DefinitionKind),
    /// An element that has no field.
    Of(Owner, &'static str),
    /// An element of which some text has no field.
    InPart(Owner, &'static str),
    /// An element of a Custom object outside of its Custom_Properties.
    OfCustomObject,
}

/// Whose elements they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A package, outside of everything below.
    Package,
    /// A package's header.
    Header,
    /// An incident.
    Incident,
    /// An indicator.
    Indicator,
    /// An observable, or an object of one.
    Observable,
    /// A report.
    Report,
    /// Something that can be named.
    Definition(DefinitionKind),
}

/// Elements that are told by their names, sorted. Names come from a document; only those of the
/// schema are told.
static NAMES: Names<90> = Names::new([
    "Action",
    "Actions",
    "Affected_Assets",
    "Alternative_ID",
    "Attributed_Threat_Actors",
    "Attribution",
    "Behavior",
    "COA_Requested",
    "COA_Taken",
    "Campaigns",
    "Categories",
    "Composite_Indicator_Expression",
    "Confidence",
    "Configuration",
    "Contact",
    "Coordinator",
    "Cost",
    "Courses_Of_Action",
    "Defined_Effect",
    "Description",
    "Discovery_Method",
    "Domain_Specific_Object_Properties",
    "Efficacy",
    "Event",
    "Exploit_Targets",
    "External_ID",
    "Frequency",
    "Handling",
    "Header",
    "Historical_Campaigns",
    "History",
    "Identity",
    "Impact",
    "Impact_Assessment",
    "Incidents",
    "Indicated_TTP",
    "Indicators",
    "Information_Source",
    "Intended_Effect",
    "Keywords",
    "Kill_Chain_Phases",
    "Kill_Chains",
    "Leveraged_TTPs",
    "Likely_Impact",
    "Location",
    "Malware_Instance",
    "Marking",
    "Motivation",
    "Names",
    "Objective",
    "Observable_Source",
    "Observables",
    "Observed_TTPs",
    "Package_Intent",
    "Parameter_Observables",
    "Pattern_Fidelity",
    "Planning_And_Operational_Support",
    "Potential_COAs",
    "Producer",
    "Profiles",
    "Related_Campaigns",
    "Related_Incidents",
    "Related_Indicators",
    "Related_Objects",
    "Related_Observables",
    "Related_Packages",
    "Related_TTPs",
    "Reporter",
    "Resources",
    "Responder",
    "Security_Compromise",
    "Short_Description",
    "Sightings",
    "Sophistication",
    "Stage",
    "State",
    "Status",
    "Structured_COA",
    "Suggested_COAs",
    "Test_Mechanisms",
    "Threat_Actors",
    "Time",
    "Title",
    "Tools",
    "Type",
    "Valid_Time_Position",
    "Victim",
    "Victim_Targeting",
    "Vulnerability",
    "Weakness",
]);
/// Stands for all others.
const OTHERS: &str = "other";

impl PassedOver {
    /// An element that has no field.
    pub(super) fn of(owner: Owner, name: &str) -> Self {
        Self::Of(owner, find(name).unwrap_or(OTHERS))
    }

    /// A text in an element that has this name or none that is known.
    pub(super) fn in_part(owner: Owner, name: &str) -> Self {
        Self::InPart(owner, find(name).unwrap_or(OTHERS))
    }

    /// The same, closer to it.
    pub(super) fn closer(self, name: &str) -> Self {
        match (self, find(name)) {
            (Self::InPart(owner, _), Some(known)) => Self::InPart(owner, known),
            _ => self,
        }
    }
}

fn find(name: &str) -> Option<&'static str> {
    NAMES.find(name.as_bytes())
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Reference => {
                "references to indicators, observables and objects that the package does not define"
            }
            Self::RelatedPackage => "references to related packages",
            Self::NoEvent => "packages that give no event",
            Self::Report => "reports (their content is read)",
            Self::Marking => "references to markings that the package does not define",
            Self::Unnamed(kind) => return write!(f, "{} that nothing names", several(*kind)),
            Self::Of(owner, name) => return write!(f, "{name} elements of {owner}"),
            Self::InPart(owner, name) => return write!(f, "{name} elements of {owner} in part"),
            Self::OfCustomObject => "elements of Custom objects outside of Custom_Properties",
        };
        f.write_str(text)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Package => "packages",
            Self::Header => "package headers",
            Self::Incident => "incidents",
            Self::Indicator => "indicators",
            Self::Observable => "observables",
            Self::Report => "reports",
            Self::Definition(kind) => several(*kind),
        })
    }
}

fn several(kind: DefinitionKind) -> &'static str {
    match kind {
        DefinitionKind::Tool => "tools",
        DefinitionKind::Ttp => "TTPs",
        DefinitionKind::Campaign => "campaigns",
        DefinitionKind::ThreatActor => "threat actors",
        DefinitionKind::ExploitTarget => "exploit targets",
        DefinitionKind::CourseOfAction => "courses of action",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        for name in NAMES.iter() {
            assert_eq!(find(name), Some(name));
        }
        let strange = PassedOver::of(Owner::Incident, "Strange");
        assert_eq!(strange.to_string(), "other elements of incidents");
        let time = PassedOver::in_part(Owner::Incident, "Time");
        assert_eq!(time.to_string(), "Time elements of incidents in part");
        assert_eq!(time.closer("Strange"), time);
    }
}
