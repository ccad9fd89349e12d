//! The event of a trial: an incident as a service would publish it, read by the same reader, and plain
//! to everybody as no incident at all.

use std::io;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};

use super::TrialError;
use crate::config::Limits;
use crate::event::Event;
use crate::flatten::{EventSink, FlatEvent, Origin};
use crate::tape::{Scratch, ScratchFile};
use crate::taxii::response::{RefusedBlock, ResponseSink, read_answer};

/// Where such an event says that it comes from, unless a person says otherwise.
pub const NAME: &str = "cta-forwarder-test";
/// The field by which such events are found, and left out of searches.
pub const MARK: &str = "ctaForwarderTest";

/// The event of a trial at this moment; `id` tells it from others.
pub(super) fn make(
    service: &str,
    collection: &str,
    at: DateTime<Utc>,
    id: &str,
) -> Result<Event, TrialError> {
    let package = package(at, id);
    let origin = Origin {
        service,
        collection,
    };
    let nowhere: Arc<dyn Scratch> = Arc::new(InMemory);
    let mut events = Events(Vec::new());
    let limits = Limits::default();
    let mut input = package.as_bytes();
    let read = read_answer(&mut input, Some(origin), &limits, &nowhere, &mut events);
    read.map_err(|error| TrialError::Event(error.to_string()))?;
    let mut events = events.0.into_iter();
    match (events.next(), events.next()) {
        (Some(json), None) => {
            Event::parse(json, at).map_err(|error| TrialError::Event(error.to_string()))
        }
        _ => Err(TrialError::Event("it is not one event".to_owned())),
    }
}

/// As a service answers a poll: only there a package is of a collection. Addresses and names are those that are kept free for documentation (RFC 5737, RFC 2606).
fn package(at: DateTime<Utc>, id: &str) -> String {
    let stated = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let milliseconds = at.timestamp_millis();
    let properties = [
        ("timestamp", milliseconds.to_string()),
        (MARK, "true".to_owned()),
        ("csUrl", "http://cta-forwarder.example/test".to_owned()),
        ("csUserAgent", "cta-forwarder test".to_owned()),
        ("sIP", "192.0.2.1".to_owned()),
        ("cIP", "198.51.100.1".to_owned()),
        ("sPort", "80".to_owned()),
        ("cUsername", "cta-forwarder-test".to_owned()),
    ];
    let property = |(name, value): &(&str, String)| {
        format!("<cc:Property name=\"{name}\">{value}</cc:Property>")
    };
    let properties: Vec<String> = properties.iter().map(property).collect();
    let properties = properties.concat();
    format!(
        r#"<Poll_Response><Content_Block><Content><s:STIX_Package xmlns:s="http://stix.mitre.org/stix-1"
 xmlns:sc="http://stix.mitre.org/common-1" xmlns:inc="http://stix.mitre.org/Incident-1"
 xmlns:ind="http://stix.mitre.org/Indicator-2" xmlns:t="http://stix.mitre.org/TTP-1"
 xmlns:c="http://cybox.mitre.org/cybox-2" xmlns:cc="http://cybox.mitre.org/common-2"
 xmlns:co="http://cybox.mitre.org/objects#CustomObject-1"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 id="cta-forwarder:package-{id}" version="1.1.1" timestamp="{stated}">
<s:Incidents><s:Incident xsi:type="inc:IncidentType" id="cta-forwarder:incident-{id}">
<inc:Title>cta-forwarder test: this is no incident</inc:Title>
<inc:Victim><sc:Name>cta-forwarder-test</sc:Name></inc:Victim>
<inc:Related_Indicators><inc:Related_Indicator>
<sc:Indicator xsi:type="ind:IndicatorType" id="cta-forwarder:indicator-{id}">
<ind:Observable><c:Object>
<c:Properties xsi:type="co:CustomObjectType" custom_name="cta:webflow">
<cc:Custom_Properties>{properties}</cc:Custom_Properties>
</c:Properties></c:Object></ind:Observable>
<ind:Indicated_TTP><sc:TTP xsi:type="t:TTPType"><t:Title>cta-forwarder test</t:Title></sc:TTP></ind:Indicated_TTP>
</sc:Indicator></inc:Related_Indicator></inc:Related_Indicators>
<inc:Intended_Effect><sc:Value>1</sc:Value><sc:Description>Risk</sc:Description></inc:Intended_Effect>
<inc:Confidence><sc:Value>Low</sc:Value></inc:Confidence>
</s:Incident></s:Incidents></s:STIX_Package></Content></Content_Block></Poll_Response>"#
    )
}

struct Events(Vec<String>);

impl EventSink for Events {
    fn event(&mut self, event: FlatEvent<'_>) -> io::Result<()> {
        let json = std::str::from_utf8(event.json).map_err(io::Error::other)?;
        self.0.push(json.to_owned());
        Ok(())
    }
}

impl ResponseSink for Events {
    fn block_read(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()> {
        Err(io::Error::other(block.reason))
    }
}

/// One event never needs more than memory.
struct InMemory;

impl Scratch for InMemory {
    fn create(&self) -> io::Result<Box<dyn ScratchFile>> {
        Err(io::Error::other("one event needs no file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_plain_to_everybody_what_it_is() {
        let at = DateTime::from_timestamp_millis(1_772_323_200_250).unwrap();
        let event = make("cta", "flows<&", at, "7").unwrap();
        assert_eq!(event.time_ms, at.timestamp_millis());
        let json: serde_json::Value = serde_json::from_str(&event.json).unwrap();
        for (field, value) in [
            ("recordType", "flow"),
            ("service", "cta"),
            ("collection", "flows<&"),
            ("incidentId", "cta-forwarder:incident-7"),
            ("incidentTitle", "cta-forwarder test: this is no incident"),
            ("packageTimestamp", "2026-03-01T00:00:00.250Z"),
            ("victim", "cta-forwarder-test"),
            ("risk", "1"),
            ("confidence", "Low"),
            ("activity", "cta-forwarder test"),
            ("flowType", "cta:webflow"),
            ("ctaForwarderTest", "true"),
            ("sIP", "192.0.2.1"),
        ] {
            assert_eq!(json[field], value, "{field}: {json:#}");
        }
        // Each is another event, which nobody takes for the one before.
        let other = make("cta", "flows<&", at, "8").unwrap();
        assert_ne!(other.id, event.id);
    }
}
