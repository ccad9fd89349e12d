//! A view with something of everything in it, for tests.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::troubles;
use super::view::{DayView, View};
use crate::observe::board::Figures;
use crate::observe::figures::{OutputFigures, PollFigures, Taken};
use crate::observe::status::Status;
use crate::spool::{About, LetterHead};
use crate::state::day::begin_of_day;
use crate::state::{CollectionKey, DiaryEntry, Record};

/// When it is taken.
pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_773_144_000, 0).unwrap()
}

/// The status of an agent on whom everything is well.
pub(super) fn well() -> Status {
    let status = json!({
        "version": "1.2.3", "at": now(), "pid": 77, "page": "http://127.0.0.1:9185/",
        "collections": [{
            "service": "cta", "collection": "flows", "checkpoint": "2026-03-10T11:50:00.5Z",
            "lag_s": 600, "polled_at": now() - TimeDelta::seconds(20), "events": 1234, "gaps": 1,
            "next_poll_at": now() + TimeDelta::seconds(30), "last_result": "a poll",
            "last_result_at": now() - TimeDelta::seconds(20), "hold": null,
        }],
        "inbox": {
            "name": "vendor",
            "collections": [{"collection": "gold", "pushed_at": null, "events": 70}],
            "url": "https://0.0.0.0:9443/inbox", "messages": 3, "last_message": "7 events",
            "last_message_at": now(), "refused": 2, "last_refusal": "RETRY: no room",
            "last_refusal_at": now(), "strangers": 1, "last_stranger": "192.0.2.7: no password",
            "last_stranger_at": now(),
        },
        "outputs": [output("splunk", &json!({})), output("archive", &json!({}))],
        "spool": {"batches": 2, "bytes": 2048, "max_bytes": 4_194_304,
            "oldest_at": now() - TimeDelta::hours(1), "dead_letters": 0, "quarantine_bytes": 0,
            "quarantined": {"files": 7}},
    });
    serde_json::from_value(status).unwrap()
}

/// An output with these values instead of the usual ones.
pub(super) fn output(name: &str, values: &Value) -> Value {
    let mut output = json!({
        "name": name, "type": "splunk_hec", "pending_batches": 1, "pending_events": 9,
        "finished": {"delivered": 1107, "dead_letters": 2, "discarded": 3, "abandoned": 4},
        "delivered_at": now() - TimeDelta::seconds(5), "delivered": 1007, "failures": 0,
        "last_failure": null, "hold": null, "awaiting_acknowledgement": 6,
        "peers": [peer("https://a.example.com:8088", "ready")],
    });
    for (key, value) in values.as_object().unwrap() {
        output[key] = value.clone();
    }
    output
}

/// A peer in some state, for a minute.
pub(super) fn peer(name: &str, state: &str) -> Value {
    let (reason, mend, since) = match state {
        "ready" => (None, None, None),
        "failing" => (Some("connection refused"), None, Some(minute_ago())),
        _ => (
            Some("token disabled"),
            Some("enable it"),
            Some(minute_ago()),
        ),
    };
    json!({
        "name": name, "state": state, "in_flight": 0, "limit": 2, "failures": 1,
        "reason": reason, "mend": mend, "since": since,
    })
}

fn minute_ago() -> DateTime<Utc> {
    now() - TimeDelta::minutes(1)
}

/// A hold as it stands in a status.
pub(super) fn hold(reason: &str, mend: &str) -> Value {
    json!({"reason": reason, "mend": mend, "since": now() - TimeDelta::minutes(2)})
}

/// What has been counted.
pub(super) fn figures() -> Figures {
    let mut figures = Figures::default();
    let polls = PollFigures {
        succeeded: 11,
        failed: 2,
    };
    figures.polls.insert("cta/flows".to_owned(), polls);
    let mut own = OutputFigures {
        retries: 5,
        dead_lettered: 8,
        ..OutputFigures::default()
    };
    let taken = Taken {
        events: 1007,
        of: 1007,
        bytes: 54_321,
    };
    own.landed(std::time::Duration::from_millis(40), taken);
    own.delivered(now(), 1007);
    figures.outputs.insert("splunk".to_owned(), own);
    figures
}

/// The view of a status.
pub(super) fn view(status: Status) -> View {
    let figures = figures();
    let mut fetched = vec![0; 96];
    fetched[40] = 1000;
    fetched[95] = 234;
    let key = CollectionKey {
        service: "cta".to_owned(),
        collection: "flows".to_owned(),
    };
    let record = Record::PollFailed {
        key,
        failures: 1,
        span: None,
        reason: "the answer is cut off".to_owned(),
    };
    View {
        troubles: troubles::find(&status, None),
        started_at: now() - TimeDelta::hours(30),
        day: DayView {
            begin: begin_of_day(now()),
            fetched,
            delivered: [("splunk".to_owned(), vec![0; 96])].into(),
        },
        records: DiaryEntry::of(17, minute_ago(), &record)
            .into_iter()
            .collect(),
        letters: vec![LetterHead {
            id: "0b9f7a52-2ff3-4d51-8f0e-5a6f6b0e4d3c".to_owned(),
            at: minute_ago(),
            service: "cta".to_owned(),
            collection: "flows".to_owned(),
            bytes: 700,
            about: About::Event {
                output: "splunk".to_owned(),
                seq: 3,
                line: 4,
                code: "hec-6".to_owned(),
                reason: "Invalid data format".to_owned(),
                number: None,
                event_id: None,
            },
        }],
        figures,
        status,
    }
}
