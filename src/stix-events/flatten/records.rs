//! What is known of an incident or indicator at its end, as it waits.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::fields;
use super::identity::Identity;
use crate::event::EventId;
use crate::stix::{Impact, Incident, Indicator, Links, Loss, Named};

/// What is known of an incident at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IncidentRecord {
    /// The id of its event, should it have no observables.
    pub(super) id: EventId,
    /// Its own fields as JSON text; those that need definitions come when it leaves.
    pub(super) fields: String,
    pub(super) tools: Vec<Named>,
    pub(super) links: Links,
}

/// What is known of an indicator at its end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IndicatorRecord {
    /// The id of its event, should it stand alone and have no observables.
    pub(super) id: EventId,
    /// As of an incident.
    pub(super) fields: String,
    pub(super) links: Links,
}

impl IncidentRecord {
    pub(super) fn new(
        id: &str,
        url: Option<String>,
        incident: Incident,
        identity: &mut Identity,
    ) -> Self {
        let tools = distinct(incident.tools);
        let links = distinct_links(incident.links);
        let identity = identity.of_incident(id);
        let mut fields = Vec::new();
        fields::push_present(&mut fields, "incidentId", id);
        for (name, values) in [
            ("incidentTitle", incident.titles),
            ("incidentUrl", url.into_iter().collect()),
            ("victim", incident.victims),
            ("discoveryMethod", incident.discovery_methods),
            ("confidence", incident.confidences),
            ("risk", incident.risks),
            ("riskCategory", incident.risk_categories),
        ] {
            if let Some(value) = fields::join(&values) {
                identity.push(name);
                identity.push(&value);
                fields::push(&mut fields, name, &value);
            }
        }
        if let Some(tool) = fields::join(&ids(&tools)) {
            identity.push("tool");
            identity.push(&tool);
            fields::push(&mut fields, "tool", &tool);
        }
        // Its field comes when the event leaves, with those of the indicators.
        if let Some(campaign) = fields::join(&ids(&links.campaigns)) {
            identity.push("campaign");
            identity.push(&campaign);
        }
        // These are younger than the identity of incidents, and no part of it.
        for (name, values) in [
            ("incidentTime", incident.time.into_iter().collect()),
            ("incidentCategory", incident.categories),
            ("incidentStatus", incident.statuses),
            ("intendedEffect", incident.intended_effects),
            ("shortDescription", incident.short_descriptions),
            ("description", incident.descriptions),
        ]
        .into_iter()
        .chain(impact_fields(incident.impact))
        {
            fields::push_joined(&mut fields, name, &values);
        }
        Self {
            id: identity.id(),
            fields: text(fields),
            tools,
            links,
        }
    }
}

impl IndicatorRecord {
    pub(super) fn new(id: &str, indicator: Indicator, identity: &mut Identity) -> Self {
        let links = distinct_links(indicator.links);
        let identity = identity.of_indicator(id);
        let mut fields = Vec::new();
        fields::push_present(&mut fields, "indicatorId", id);
        if indicator.is_negated {
            fields::push(&mut fields, "indicatorNegated", "true");
        }
        for (name, values) in [
            ("indicatorTitle", indicator.titles),
            ("indicatorType", indicator.types),
            ("indicatorShortDescription", indicator.short_descriptions),
            ("indicatorDescription", indicator.descriptions),
            ("indicatorConfidence", indicator.confidences),
            ("validFrom", indicator.valid_from),
            ("validUntil", indicator.valid_until),
            ("killChainPhase", indicator.kill_chain_phases),
            ("producer", indicator.producers),
            ("relatedIndicator", indicator.related),
        ] {
            if let Some(value) = fields::join(&values) {
                identity.push(name);
                identity.push(&value);
                fields::push(&mut fields, name, &value);
            }
        }
        // Their fields come when the event leaves.
        for (name, named) in [
            ("ttp", &links.ttps),
            ("campaign", &links.campaigns),
            ("courseOfAction", &links.courses_of_action),
        ] {
            if let Some(value) = fields::join(&ids(named)) {
                identity.push(name);
                identity.push(&value);
            }
        }
        Self {
            id: identity.id(),
            fields: text(fields),
            links,
        }
    }
}

fn impact_fields(impact: Impact) -> [(&'static str, Vec<String>); 13] {
    let amounts = |loss: Loss| {
        let amount: Vec<String> = loss.amount.into_iter().collect();
        (amount, loss.currency.into_iter().collect())
    };
    let (initial_loss, initial_currency) = amounts(impact.initial_loss);
    let (actual_loss, actual_currency) = amounts(impact.actual_loss);
    [
        ("impactQualification", impact.qualifications),
        ("impactEffect", impact.effects),
        ("impactAssetLosses", impact.asset_losses),
        ("impactDisruption", impact.disruptions),
        ("impactRecoveryCosts", impact.recovery_costs),
        ("impactCompetitiveLoss", impact.competitive_losses),
        ("impactBrandDamage", impact.brand_damages),
        ("impactOperatingCosts", impact.operating_costs),
        ("impactLegalCosts", impact.legal_costs),
        ("impactInitialLoss", initial_loss),
        ("impactInitialLossCurrency", initial_currency),
        ("impactActualLoss", actual_loss),
        ("impactActualLossCurrency", actual_currency),
    ]
}

fn distinct_links(links: Links) -> Links {
    Links {
        ttps: distinct(links.ttps),
        campaigns: distinct(links.campaigns),
        threat_actors: distinct(links.threat_actors),
        courses_of_action: distinct(links.courses_of_action),
        marking: links.marking,
    }
}

/// What is named twice counts once.
pub(super) fn distinct(mut names: Vec<Named>) -> Vec<Named> {
    if names.len() > 1 {
        let mut seen = HashSet::new();
        let is_first: Vec<bool> = names.iter().map(|named| seen.insert(named)).collect();
        let mut is_first = is_first.into_iter();
        names.retain(|_| is_first.next() == Some(true));
    }
    names
}

pub(super) fn ids(names: &[Named]) -> Vec<&str> {
    let ids = names.iter().filter_map(|named| match named {
        Named::Id(id) => Some(id.as_str()),
        Named::Inline(_) => None,
    });
    ids.collect()
}

/// Fields are made of texts, so they are text.
fn text(fields: Vec<u8>) -> String {
    String::from_utf8(fields).unwrap_or_default()
}
