//! What a package holds, as a visitor hears of it. White space in texts is folded unless it is
//! said otherwise, and nothing is empty.

use serde::{Deserialize, Serialize};

use super::{Impact, Marking, Properties};

/// The start tag of a package.
#[derive(Debug, Clone, Copy)]
pub struct PackageStart<'a> {
    /// `@id`
    pub id: Option<&'a str>,
    /// `@timestamp`, as written.
    pub timestamp: Option<&'a str>,
}

/// STIX_Header. Several values of one field are in document order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Header {
    /// Package_Intent
    pub intents: Vec<String>,
    /// Information_Source/Identity/@id
    pub identities: Vec<String>,
    /// Title
    pub titles: Vec<String>,
    /// Information_Source/Identity/Name
    pub sources: Vec<String>,
    /// Handling, those of packages and reports inside this one included.
    pub marking: Marking,
}

/// Something that can be named by an idref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// What it is.
    pub kind: DefinitionKind,
    /// `@id`
    pub id: String,
    /// What it tells.
    pub details: Details,
}

/// What is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefinitionKind {
    /// A tool.
    Tool,
    /// A TTP.
    Ttp,
    /// A campaign.
    Campaign,
    /// A threat actor.
    ThreatActor,
    /// An exploit target.
    ExploitTarget,
    /// A course of action.
    CourseOfAction,
}

/// What a tool, a TTP, a campaign … tells of itself.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Details {
    /// Its title or name; may be empty.
    pub name: String,
    /// A tool's vendor; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Names of a TTP's malware.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub malware: Vec<String>,
    /// Exploit targets of a TTP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exploit_targets: Vec<Named>,
    /// CVE ids of an exploit target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cves: Vec<String>,
    /// Its own Handling.
    #[serde(default, skip_serializing_if = "Marking::is_empty")]
    pub marking: Marking,
}

impl Details {
    /// Whether it tells nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes of its texts, with what each takes in memory beside them, roughly.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        const EACH: usize = 32;
        let texts = |texts: &[String]| -> usize { texts.iter().map(|t| t.len() + EACH).sum() };
        let targets: usize = self.exploit_targets.iter().map(Named::text_bytes).sum();
        let own = self.name.len() + self.vendor.len();
        own + texts(&self.malware) + texts(&self.cves) + targets + self.marking.text_bytes()
    }
}

/// Something that is named by reference or in place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Named {
    /// By the id of its definition, which stands elsewhere in the package or here.
    Id(String),
    /// In place, without an id.
    Inline(Details),
}

impl Named {
    /// As [`Details::text_bytes`].
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        const EACH: usize = 32;
        EACH + match self {
            Self::Id(id) => id.len(),
            Self::Inline(details) => details.text_bytes(),
        }
    }
}

/// The start tag of an incident.
#[derive(Debug, Clone, Copy)]
pub struct IncidentStart<'a> {
    /// `@id`
    pub id: Option<&'a str>,
    /// `@URL`
    pub url: Option<&'a str>,
}

/// One object of an observable: no composition, but what is composed.
#[derive(Debug, Clone, Copy)]
pub struct Observable<'a> {
    /// What kind of object it is.
    pub kind: ObjectKind<'a>,
    /// Object/@id, or empty.
    pub object_id: &'a str,
    /// `@operator` of the innermost Observable_Composition around it.
    pub operator: Option<&'a str>,
    /// Whether an Observable around it has `@negate`: it stands for what is not there.
    pub is_negated: bool,
    /// Whether its relations follow, behind the objects inside it.
    pub is_related: bool,
    /// Names and values, in document order, verbatim.
    pub properties: &'a Properties,
}

/// The kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind<'a> {
    /// A Custom object: Properties/@custom_name, or empty.
    Custom(&'a str),
    /// Any other: the local name of its `xsi:type` without `ObjectType`, or empty.
    Standard(&'a str),
}

/// What only names something that stands elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    /// What is named.
    pub kind: ReferenceKind,
    /// `@idref`
    pub id: &'a str,
    /// As of an [`Observable`].
    pub operator: Option<&'a str>,
}

/// What a reference names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReferenceKind {
    /// An indicator.
    Indicator,
    /// An observable.
    Observable,
    /// An object of an observable.
    Object,
}

/// What is known of an indicator at its end. Several values are in document order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Indicator {
    /// `@negate`: it indicates where it is not met.
    pub is_negated: bool,
    /// Title
    pub titles: Vec<String>,
    /// Type
    pub types: Vec<String>,
    /// Short_Description
    pub short_descriptions: Vec<String>,
    /// Description
    pub descriptions: Vec<String>,
    /// Confidence/Value
    pub confidences: Vec<String>,
    /// Valid_Time_Position/Start_Time
    pub valid_from: Vec<String>,
    /// Valid_Time_Position/End_Time
    pub valid_until: Vec<String>,
    /// Kill_Chain_Phase: `@name`, else `@phase_id`
    pub kill_chain_phases: Vec<String>,
    /// Producer/Identity/Name
    pub producers: Vec<String>,
    /// Related_Indicators: idrefs
    pub related: Vec<String>,
    /// What it is linked to; the TTPs are those of Indicated_TTP.
    pub links: Links,
}

/// What an incident or indicator is linked to.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// Leveraged_TTPs or Indicated_TTP
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ttps: Vec<Named>,
    /// Related_Campaign
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub campaigns: Vec<Named>,
    /// Attributed_Threat_Actors
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub threat_actors: Vec<Named>,
    /// COA_Requested, COA_Taken, Suggested_COAs
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub courses_of_action: Vec<Named>,
    /// Handling
    #[serde(default, skip_serializing_if = "Marking::is_empty")]
    pub marking: Marking,
}

/// What is known of an incident at its end. Several values are in document order.
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
    /// Intended_Effect/Value with any other Description or none.
    pub intended_effects: Vec<String>,
    /// Categories/Category
    pub categories: Vec<String>,
    /// Status
    pub statuses: Vec<String>,
    /// Short_Description
    pub short_descriptions: Vec<String>,
    /// Description
    pub descriptions: Vec<String>,
    /// The moment of Time that tells most of when it was, as written.
    pub time: Option<String>,
    /// Information_Source/Tools/Tool
    pub tools: Vec<Named>,
    /// Impact_Assessment
    pub impact: Impact,
    /// What it is linked to; the TTPs are those of Leveraged_TTPs.
    pub links: Links,
}
