//! The fields of what incidents and indicators are linked to: campaigns, TTPs, threat actors,
//! courses of action, markings; of what objects are related to.

use std::borrow::Cow;

use super::definitions::Definitions;
use super::fields;
use super::markings::Markings;
use super::records::{distinct, ids};
use crate::stix::{DefinitionKind, Links, Marking, Named, Relation, Relations};

/// What the open scopes are linked to, from the incident inwards.
#[derive(Debug, Default, Clone)]
pub(super) struct OpenLinks {
    /// Of incidents.
    leveraged_ttps: Vec<Named>,
    /// Of indicators.
    indicated_ttps: Vec<Named>,
    campaigns: Vec<Named>,
    threat_actors: Vec<Named>,
    courses_of_action: Vec<Named>,
    marking: Marking,
}

/// Whose links they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Incident,
    Indicator,
}

impl OpenLinks {
    /// Those of a package: its marking.
    pub(super) fn of_package(marking: Marking, markings: &Markings) -> Self {
        Self {
            marking: markings.resolve(marking),
            ..Self::default()
        }
    }

    /// How many of its markings the package does not define.
    pub(super) fn undefined_markings(&self) -> u64 {
        self.marking.references.len() as u64
    }

    /// Adds those of a scope that opens.
    pub(super) fn add(&mut self, holder: Holder, links: Links, markings: &Markings) {
        let ttps = match holder {
            Holder::Incident => &mut self.leveraged_ttps,
            Holder::Indicator => &mut self.indicated_ttps,
        };
        for (known, more) in [
            (ttps, links.ttps),
            (&mut self.campaigns, links.campaigns),
            (&mut self.threat_actors, links.threat_actors),
            (&mut self.courses_of_action, links.courses_of_action),
        ] {
            if !more.is_empty() {
                known.extend(more);
                *known = distinct(std::mem::take(known));
            }
        }
        if !links.marking.is_empty() {
            self.marking.add(&markings.resolve(links.marking));
        }
    }

    /// Their fields as JSON text.
    pub(super) fn fields(&self, definitions: &Definitions, markings: &Markings) -> Vec<u8> {
        let mut out = Vec::new();
        let named = |out: &mut Vec<u8>, kind, names: [&str; 2], named: &[Named]| {
            if !named.is_empty() {
                let [id, name] = names;
                fields::push_joined(out, id, &ids(named));
                fields::push_joined(out, name, &definitions.names(kind, named));
            }
        };
        let campaign = ["campaign", "campaignName"];
        named(
            &mut out,
            DefinitionKind::Campaign,
            campaign,
            &self.campaigns,
        );
        let targets = self.push_ttps(&mut out, definitions);
        let threat_actor = ["threatActor", "threatActorName"];
        let actors = &self.threat_actors;
        named(&mut out, DefinitionKind::ThreatActor, threat_actor, actors);
        let course = ["courseOfAction", "courseOfActionName"];
        let courses = &self.courses_of_action;
        named(&mut out, DefinitionKind::CourseOfAction, course, courses);
        let mut marking = Cow::Borrowed(&self.marking);
        let ttps = [&*self.leveraged_ttps, &self.indicated_ttps].map(|t| (DefinitionKind::Ttp, t));
        let others = [
            (DefinitionKind::Campaign, &*self.campaigns),
            (DefinitionKind::ExploitTarget, &targets),
            (DefinitionKind::ThreatActor, &self.threat_actors),
            (DefinitionKind::CourseOfAction, &self.courses_of_action),
        ];
        for (kind, named) in ttps.into_iter().chain(others) {
            for own in definitions.markings(kind, named) {
                marking.to_mut().add(&markings.resolve(own.clone()));
            }
        }
        let tlp = marking.tlp.as_deref();
        fields::push_present(&mut out, "tlp", tlp.unwrap_or_default());
        fields::push_joined(&mut out, "markingStatement", &marking.statements);
        fields::push_joined(&mut out, "termsOfUse", &marking.terms);
        fields::push_joined(&mut out, "undefinedMarking", &marking.references);
        out
    }

    /// Gives the exploit targets of the TTPs.
    fn push_ttps(&self, out: &mut Vec<u8>, definitions: &Definitions) -> Vec<Named> {
        if self.leveraged_ttps.is_empty() && self.indicated_ttps.is_empty() {
            return Vec::new();
        }
        let ttps = [&*self.leveraged_ttps, &self.indicated_ttps].concat();
        let ttps = distinct(ttps);
        fields::push_joined(out, "ttp", &ids(&ttps));
        let names = definitions.names(DefinitionKind::Ttp, &self.leveraged_ttps);
        fields::push_joined(out, "ttpName", &names);
        fields::push_joined(out, "malwareName", &definitions.malware(&ttps));
        let targets = distinct(definitions.exploit_targets(&ttps));
        fields::push_joined(out, "exploitTarget", &ids(&targets));
        let names = definitions.names(DefinitionKind::ExploitTarget, &targets);
        fields::push_joined(out, "exploitTargetName", &names);
        fields::push_joined(out, "cve", &definitions.cves(&targets));
        targets
    }
}

/// Appends the fields of an object's relations.
pub(super) fn push_relations(out: &mut Vec<u8>, relations: &Relations) {
    let mut push = |names: [&str; 2], relations: &[&Relation]| {
        let [id, relationship] = names;
        let of = |text: fn(&Relation) -> &String| -> Vec<&String> {
            let texts = relations.iter().map(|relation| text(relation));
            texts.filter(|text| !text.is_empty()).collect()
        };
        fields::push_joined(out, id, &of(|relation| &relation.id));
        fields::push_joined(out, relationship, &of(|relation| &relation.relationship));
    };
    let related: Vec<_> = relations.related.iter().collect();
    push(["relatedObject", "relationship"], &related);
    let parent: Vec<_> = relations.parent.iter().collect();
    push(["parentObject", "parentRelationship"], &parent);
}
