//! Reads the body of a request: JSON objects, one behind the other.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::EventId;

/// An event that was taken.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct HecEvent {
    /// The event itself.
    pub event: Value,
    /// `time`, as it was written.
    pub time: Option<String>,
    /// `host`.
    pub host: Option<String>,
    /// `source`.
    pub source: Option<String>,
    /// `sourcetype`.
    pub sourcetype: Option<String>,
    /// `index`.
    pub index: Option<String>,
    /// `fields`.
    pub fields: Option<Value>,
}

impl HecEvent {
    /// Its `eventId`, if it has one.
    #[must_use]
    pub fn event_id(&self) -> Option<EventId> {
        self.event.get("eventId")?.as_str()?.parse().ok()
    }
}

/// What of a body was taken, and what was wrong with the first object that was not.
#[derive(Debug, PartialEq)]
pub(super) struct Taken {
    pub(super) events: Vec<HecEvent>,
    pub(super) complaint: Option<Complaint>,
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) code: u8,
    /// The `invalid-event-number`.
    pub(super) number: usize,
}

/// Why an object is not taken.
enum Fault {
    /// It is answered with a code.
    Code(u8),
    /// It and all behind it are lost without a word.
    Silent,
}

impl Taken {
    /// Without what stands behind the first event that is refused by its id.
    pub(super) fn up_to_refused(mut self, refused: &BTreeMap<EventId, u8>) -> Self {
        let code = |event: &HecEvent| refused.get(&event.event_id()?).copied();
        let mut events = self.events.iter().enumerate();
        let first = events.find_map(|(number, event)| Some((number, code(event)?)));
        if let Some((number, code)) = first {
            self.events.truncate(number);
            self.complaint = Some(Complaint { code, number });
        }
        self
    }
}

/// Takes the objects of `body` up to the first that is wrong.
pub(super) fn take(body: &[u8], indexes: Option<&[String]>) -> Taken {
    let mut events = Vec::new();
    let objects = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
    for object in objects {
        let event = match object {
            Ok(object) => read(object, indexes),
            Err(_) => Err(Fault::Code(6)),
        };
        let number = events.len();
        let complaint = match event {
            Ok(event) => {
                events.push(event);
                continue;
            }
            Err(Fault::Silent) => None,
            // A wrong index is told of the object behind it.
            Err(Fault::Code(7)) => Some(Complaint {
                code: 7,
                number: number + 1,
            }),
            Err(Fault::Code(code)) => Some(Complaint { code, number }),
        };
        return Taken { events, complaint };
    }
    let complaint = events
        .is_empty()
        .then_some(Complaint { code: 5, number: 0 });
    Taken { events, complaint }
}

/// As [`take`], with nothing in the events.
pub(super) fn count(body: &[u8]) -> Taken {
    let mut events = Vec::new();
    let objects = serde_json::Deserializer::from_slice(body).into_iter::<IgnoredAny>();
    for object in objects {
        if object.is_err() {
            let number = events.len();
            let complaint = Some(Complaint { code: 6, number });
            return Taken { events, complaint };
        }
        events.push(HecEvent::default());
    }
    let complaint = events
        .is_empty()
        .then_some(Complaint { code: 5, number: 0 });
    Taken { events, complaint }
}

fn read(object: &RawValue, indexes: Option<&[String]>) -> Result<HecEvent, Fault> {
    let mut keys: HashMap<String, &RawValue> =
        serde_json::from_str(object.get()).map_err(|_| Fault::Code(6))?;
    let mut text = |key: &str| match keys.remove(key) {
        None => Ok(None),
        Some(raw) => match serde_json::from_str::<Option<String>>(raw.get()) {
            Ok(text) => Ok(text),
            Err(_) => Err(Fault::Code(6)),
        },
    };
    let (host, source) = (text("host")?, text("source")?);
    let (sourcetype, index) = (text("sourcetype")?, text("index")?);
    let time = keys.remove("time").map(time).transpose()?;
    let value = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or_default();
    let event: Option<Value> = keys.remove("event").map(value);
    let fields: Option<Value> = keys.remove("fields").map(value);
    if !keys.is_empty() {
        return Err(Fault::Silent);
    }
    let event = match event {
        None | Some(Value::Null) => return Err(Fault::Code(12)),
        Some(Value::String(text)) if text.is_empty() => return Err(Fault::Code(13)),
        Some(event) => event,
    };
    if !fields.as_ref().is_none_or(is_flat) {
        return Err(Fault::Code(15));
    }
    if let (Some(index), Some(indexes)) = (&index, indexes)
        && !indexes.contains(index)
    {
        return Err(Fault::Code(7));
    }
    Ok(HecEvent {
        event,
        time,
        host,
        source,
        sourcetype,
        index,
        fields,
    })
}

/// Seconds since 1970, as a number or as a text of one.
fn time(raw: &RawValue) -> Result<String, Fault> {
    let text = raw.get().trim_matches('"');
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => Ok(text.to_owned()),
        _ => Err(Fault::Code(6)),
    }
}

fn is_flat(fields: &Value) -> bool {
    let is_scalar = |value: &Value| !value.is_object() && !value.is_array();
    let is_flat = |value: &Value| match value {
        Value::Array(values) => values.iter().all(is_scalar),
        value => is_scalar(value),
    };
    fields
        .as_object()
        .is_some_and(|fields| fields.values().all(is_flat))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"event":{"a":1}}"#;

    /// How many were taken, and the code and number of the complaint.
    fn outcome(body: &str) -> (usize, Option<(u8, usize)>) {
        let taken = take(body.as_bytes(), Some(&["main".to_owned()]));
        let complaint = taken
            .complaint
            .map(|complaint| (complaint.code, complaint.number));
        (taken.events.len(), complaint)
    }

    #[test]
    fn objects_stand_one_behind_the_other() {
        assert_eq!(outcome(GOOD), (1, None));
        assert_eq!(outcome(&format!("{GOOD}{GOOD}\n {GOOD}\n")), (3, None));
    }

    #[test]
    fn what_stands_before_a_bad_one_is_taken() {
        for (bad, complaint) in [
            ("", (5, 0)),
            (" \n", (5, 0)),
            ("{", (6, 0)),
            ("[]", (6, 0)),
            ("{\"event\":1,}", (6, 0)),
            (r#"{"event":"x","host":1}"#, (6, 0)),
            (r#"{"event":"x","time":"noon"}"#, (6, 0)),
            (r#"{"host":"h"}"#, (12, 0)),
            (r#"{"fields":{"a":"b"}}"#, (12, 0)),
            (r#"{"event":null}"#, (12, 0)),
            (r#"{"event":""}"#, (13, 0)),
            (r#"{"event":"x","fields":{"a":{"b":1}}}"#, (15, 0)),
            (r#"{"event":"x","fields":[]}"#, (15, 0)),
            (r#"{"event":"x","index":"other"}"#, (7, 1)),
        ] {
            assert_eq!(outcome(bad), (0, Some(complaint)), "{bad}");
            let (code, number) = complaint;
            if code != 5 {
                let behind = format!("{GOOD}{GOOD}{bad}{GOOD}");
                assert_eq!(outcome(&behind), (2, Some((code, number + 2))), "{bad}");
            }
        }
    }

    #[test]
    fn an_unknown_key_loses_its_object_and_the_rest_without_a_word() {
        let body = format!("{GOOD}{}{GOOD}", r#"{"event":"x","color":"red"}"#);
        assert_eq!(outcome(&body), (1, None));
    }

    #[test]
    fn an_event_can_be_refused_by_its_id() {
        let event = |n| {
            format!(
                r#"{{"event":{{"eventId":"{}"}}}}"#,
                EventId::from_bytes([n; 16])
            )
        };
        let body = [1, 2, 3].map(event).concat();
        let refused = |n| [(EventId::from_bytes([n; 16]), 13)].into();
        let taken = take(body.as_bytes(), None).up_to_refused(&refused(2));
        assert_eq!(taken.events.len(), 1);
        let complaint = Complaint {
            code: 13,
            number: 1,
        };
        assert_eq!(taken.complaint, Some(complaint));
        let taken = take(body.as_bytes(), None).up_to_refused(&refused(9));
        assert_eq!((taken.events.len(), taken.complaint), (3, None));
    }

    #[test]
    fn who_only_counts_counts_the_same() {
        for body in ["", "{", GOOD, &format!("{GOOD}{GOOD}\n {GOOD}{{")] {
            let (counted, taken) = (count(body.as_bytes()), take(body.as_bytes(), None));
            assert_eq!(counted.events.len(), taken.events.len(), "{body}");
            assert_eq!(counted.complaint, taken.complaint, "{body}");
        }
    }

    #[test]
    fn the_envelope_is_kept_as_it_was_written() {
        let id = EventId::from_bytes([7; 16]);
        let body = format!(
            r#"{{"time":1700000000.120,"host":"h","source":"s","sourcetype":"t","index":"main",
                "fields":{{"f":["a","b"]}},"event":{{"eventId":"{id}","n":12345678901234567890}}}}"#
        );
        let taken = take(body.as_bytes(), None);
        let event = &taken.events[0];
        assert_eq!(event.time.as_deref(), Some("1700000000.120"));
        assert_eq!(event.host.as_deref(), Some("h"));
        assert_eq!(event.source.as_deref(), Some("s"));
        assert_eq!(event.sourcetype.as_deref(), Some("t"));
        assert_eq!(event.index.as_deref(), Some("main"));
        assert_eq!(event.fields, Some(serde_json::json!({"f": ["a", "b"]})));
        assert_eq!(event.event["n"], 12_345_678_901_234_567_890_u64);
        assert_eq!(event.event_id(), Some(id));
    }
}
