//! What holds for whatever receivers answer and feeds write; see [`crate::bad_input`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "what does not hold has failed the test"
)]

pub use super::splunk_hec::bad_input::{hec_answer, hec_envelope};
pub use super::syslog::bad_input::{relp_peer, syslog_message};

use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Map, Value};

use super::{BatchOrigin, Outgoing, Verdict};
use crate::bad_input::{Pieces, assert_fit_for_a_log};
use crate::event::Event;

/// Names that formats do something with.
const NAMES: [&str; 12] = [
    "activity",
    "cIP",
    "client.ip",
    "confidence",
    "flowType",
    "incidentTitle",
    "packageTimestamp",
    "risk",
    "sIP",
    "timestamp",
    "url",
    "userName",
];

/// An event: the input itself if it is one, else one whose fields are its lines.
pub(super) fn event_of(mut pieces: Pieces<'_>) -> Outgoing {
    let window_end = DateTime::UNIX_EPOCH;
    let origin = Arc::new(BatchOrigin {
        service: "cta".into(),
        collection: pieces.text(),
        window_end,
    });
    let own = String::from_utf8(pieces.0.to_vec()).ok();
    let event = own
        // A line of the spool is one.
        .filter(|json| !json.contains('\n') && serde_json::from_str::<Value>(json).is_ok())
        .and_then(|json| Event::parse(json, window_end).ok())
        .unwrap_or_else(|| {
            Event::parse(Value::Object(fields_of(pieces)).to_string(), window_end).unwrap()
        });
    Outgoing { origin, event }
}

/// A line with a colon names its field, the others take the names that are known in turn.
fn fields_of(mut pieces: Pieces<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("eventId".into(), "07".repeat(16).into());
    fields.insert("recordType".into(), "flow".into());
    for name in NAMES.iter().cycle() {
        if pieces.is_empty() {
            break;
        }
        let line = pieces.text();
        let (name, text) = line.split_once(':').unwrap_or((name, &line));
        let value: Value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
        // The writer of events has texts, whole numbers and arrays of them; of its own names the
        // reader asks a text.
        let is_plain = (value.is_i64() || value.is_array()) && name != "packageTimestamp";
        let value = if is_plain { value } else { text.into() };
        fields.entry(name).or_insert(value);
    }
    fields
}

/// What a verdict on `events` events may be: nothing is delivered or refused that was not sent.
#[track_caller]
pub(super) fn assert_possible(verdict: &Verdict, events: usize) {
    match verdict {
        Verdict::Delivered { .. } => {}
        Verdict::Retry {
            delivered, reason, ..
        } => {
            assert_fit_for_a_log(reason);
            assert!(*delivered < events, "{verdict:?} of {events}");
        }
        Verdict::Hold {
            delivered,
            reason,
            mend,
        } => {
            assert_fit_for_a_log(reason);
            assert_fit_for_a_log(mend);
            assert!(*delivered < events, "{verdict:?} of {events}");
        }
        Verdict::Refused {
            index,
            code,
            reason,
            ..
        } => {
            assert_fit_for_a_log(code);
            assert_fit_for_a_log(reason);
            assert!(*index < events, "{verdict:?} of {events}");
        }
        Verdict::TooLarge { reason } => assert_fit_for_a_log(reason),
        Verdict::Scattered { delivered, then } => {
            assert!(
                delivered.iter().all(|range| range.end <= events),
                "{verdict:?}"
            );
            assert_possible(then, events);
        }
    }
}
