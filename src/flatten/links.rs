//! The fields of what incidents and indicators are linked to: campaigns, TTPs, threat actors,
//! courses of action, markings.

use super::definitions::Definitions;
use super::fields;
use super::records::{distinct, ids};
use crate::stix::{DefinitionKind, Links, Marking, Named};

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
    pub(super) fn of_package(marking: Marking) -> Self {
        Self {
            marking,
            ..Self::default()
        }
    }

    /// Adds those of a scope that opens.
    pub(super) fn add(&mut self, holder: Holder, links: Links) {
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
        self.marking.add(&links.marking);
    }

    /// Their fields as JSON text.
    pub(super) fn fields(&self, definitions: &Definitions) -> Vec<u8> {
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
        self.push_ttps(&mut out, definitions);
        let threat_actor = ["threatActor", "threatActorName"];
        let actors = &self.threat_actors;
        named(&mut out, DefinitionKind::ThreatActor, threat_actor, actors);
        let course = ["courseOfAction", "courseOfActionName"];
        let courses = &self.courses_of_action;
        named(&mut out, DefinitionKind::CourseOfAction, course, courses);
        fields::push_present(
            &mut out,
            "tlp",
            self.marking.tlp.as_deref().unwrap_or_default(),
        );
        fields::push_joined(&mut out, "markingStatement", &self.marking.statements);
        fields::push_joined(&mut out, "termsOfUse", &self.marking.terms);
        out
    }

    fn push_ttps(&self, out: &mut Vec<u8>, definitions: &Definitions) {
        if self.leveraged_ttps.is_empty() && self.indicated_ttps.is_empty() {
            return;
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
    }
}
