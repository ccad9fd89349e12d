//! The ids that the events of a package must have, by their definition and not by the reader.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::model::{Flow, Incident, Package};
use crate::event::EventId;

const VERSION: &str = "1";

/// The ids of the events of `package`, in document order.
pub(super) fn of_package(package: &Package) -> Vec<EventId> {
    package.incidents.iter().flat_map(of_incident).collect()
}

fn of_incident(incident: &Incident) -> Vec<EventId> {
    if incident.flows() == 0 {
        return vec![of_incident_itself(incident)];
    }
    let mut ids = Vec::new();
    for indicator in &incident.indicators {
        let indicator_id = indicator.id.as_deref().unwrap_or_default();
        let mut seen: HashMap<EventId, u64> = HashMap::new();
        for flow in &indicator.flows {
            let flow = of_flow(&incident.id, indicator_id, flow);
            let ordinal = seen.entry(flow.clone().finish()).or_default();
            ids.push(flow.text(&ordinal.to_string()).finish());
            *ordinal += 1;
        }
    }
    ids
}

/// All but the ordinal.
fn of_flow(incident_id: &str, indicator_id: &str, flow: &Flow) -> Identity {
    let identity = Identity::default()
        .text(VERSION)
        .text("flow")
        .text(incident_id)
        .text(indicator_id)
        .text(flow.flow_type.unwrap_or_default());
    let properties = flow.properties.iter();
    properties.fold(identity, |identity, (name, value)| {
        identity.text(name).text(value)
    })
}

fn of_incident_itself(incident: &Incident) -> EventId {
    let title = incident.title.as_deref().map(folded);
    let victims: Vec<String> = incident.victims.iter().map(|name| folded(name)).collect();
    let fields = [
        ("incidentTitle", title),
        ("incidentUrl", incident.url.clone()),
        ("victim", joined(&victims)),
        ("discoveryMethod", incident.discovery_method.clone()),
        ("confidence", incident.confidence.clone()),
        ("risk", joined(&incident.risks)),
        ("riskCategory", joined(&incident.risk_categories)),
        ("tool", joined(&incident.tools)),
        ("campaign", joined(&incident.campaigns)),
    ];
    let identity = Identity::default()
        .text(VERSION)
        .text("incident")
        .text(&incident.id);
    let present = fields
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    present
        .fold(identity, |identity, (name, value)| {
            identity.text(name).text(value)
        })
        .finish()
}

fn joined(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| values.join("; "))
}

fn folded(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// SHA-256 over texts, each behind its length.
#[derive(Clone, Default)]
struct Identity(Sha256);

impl Identity {
    fn text(mut self, text: &str) -> Self {
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.0.update(bytes.to_be_bytes());
        self.0.update(text);
        self
    }

    fn finish(self) -> EventId {
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(self.0.finalize()) {
            *to = from;
        }
        EventId::from_bytes(id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{Composition, IndicatedTtp, Indicator};
    use super::*;

    /// The bytes spelled out, hashed without `Identity`.
    fn expected(bytes: &[u8]) -> EventId {
        let digest = Sha256::digest(bytes);
        EventId::from_bytes(digest[..16].try_into().unwrap())
    }

    #[test]
    fn of_flows_tell_identical_ones_apart_by_their_ordinal() {
        let flow = Flow {
            flow_type: Some("cta:webflow"),
            properties: vec![("sIP", "é".to_owned()), ("csUrl", String::new())],
        };
        let incident = Incident {
            id: "inc".to_owned(),
            indicators: vec![Indicator {
                id: None,
                ttp: IndicatedTtp::Inline {
                    title: "any".to_owned(),
                },
                campaign: None,
                composition: Composition::None,
                flows: vec![flow.clone(), flow],
            }],
            ..Incident::default()
        };
        let start: &[u8] = b"\0\0\0\x011\0\0\0\x04flow\0\0\0\x03inc\0\0\0\0\0\0\0\x0bcta:webflow\
            \0\0\0\x03sIP\0\0\0\x02\xc3\xa9\0\0\0\x05csUrl\0\0\0\0";
        let first = expected(&[start, b"\0\0\0\x010"].concat());
        let second = expected(&[start, b"\0\0\0\x011"].concat());
        assert_eq!(of_incident(&incident), [first, second]);
    }

    #[test]
    fn of_an_incident_take_what_is_there_in_order_and_folded() {
        let incident = Incident {
            id: "i".to_owned(),
            title: Some(" a \n  b ".to_owned()),
            victims: vec!["x".to_owned(), "y".to_owned()],
            campaigns: vec!["c".to_owned()],
            ..Incident::default()
        };
        let bytes: &[u8] = b"\0\0\0\x011\0\0\0\x08incident\0\0\0\x01i\
            \0\0\0\x0dincidentTitle\0\0\0\x03a b\0\0\0\x06victim\0\0\0\x04x; y\
            \0\0\0\x08campaign\0\0\0\x01c";
        assert_eq!(of_incident(&incident), [expected(bytes)]);
    }
}
