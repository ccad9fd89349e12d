//! What a package says, apart from how it is written.

use chrono::{DateTime, FixedOffset};

/// A `STIX_Package`.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) id: String,
    pub(super) timestamp: DateTime<FixedOffset>,
    pub(super) customer: String,
    pub(super) ttps: Vec<Definition>,
    pub(super) campaigns: Vec<Definition>,
    pub(super) incidents: Vec<Incident>,
}

/// A TTP or Campaign of the package that others name by its id.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) id: String,
    pub(super) title: String,
}

/// An `Incident`.
#[derive(Debug, Default)]
pub(super) struct Incident {
    pub(super) id: String,
    pub(super) url: Option<String>,
    pub(super) title: Option<String>,
    pub(super) victims: Vec<String>,
    pub(super) discovery_method: Option<String>,
    pub(super) confidence: Option<String>,
    pub(super) risks: Vec<String>,
    pub(super) risk_categories: Vec<String>,
    pub(super) tools: Vec<String>,
    pub(super) campaigns: Vec<String>,
    pub(super) indicators: Vec<Indicator>,
}

/// An `Indicator`.
#[derive(Debug)]
pub(super) struct Indicator {
    pub(super) id: Option<String>,
    pub(super) ttp: IndicatedTtp,
    pub(super) campaign: Option<String>,
    pub(super) composition: Composition,
    pub(super) flows: Vec<Flow>,
}

/// How an indicator names its TTP.
#[derive(Debug)]
pub(super) enum IndicatedTtp {
    Inline { title: String },
    Reference { id: String },
}

/// How the flows of an indicator are put together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Composition {
    /// All in one `Observable_Composition`.
    One(&'static str),
    /// The last half in a composition of its own within the first.
    Nested(&'static str, &'static str),
    /// Each in an `Observable` of its own.
    #[default]
    None,
}

/// One observable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flow {
    /// `Properties/@custom_name`.
    pub(super) flow_type: Option<&'static str>,
    pub(super) properties: Vec<(&'static str, String)>,
}

impl Package {
    pub(super) fn flows(&self) -> usize {
        self.incidents.iter().map(Incident::flows).sum()
    }
}

impl Incident {
    pub(super) fn flows(&self) -> usize {
        let indicators = self.indicators.iter();
        indicators.map(|indicator| indicator.flows.len()).sum()
    }
}
