//! A status with something of everything in it, for tests.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::status::Status;

/// When it is taken.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_773_144_000, 0).unwrap()
}

/// The status of an agent on whom everything is well.
pub(crate) fn well() -> Status {
    let status = json!({
        "version": "1.2.3", "at": now(), "pid": 77, "page": "http://127.0.0.1:9185/",
        "collections": [{
            "service": "cta", "collection": "flows", "checkpoint": "2026-03-10T11:50:00.5Z",
            "lag_s": 600, "polled_at": now() - TimeDelta::seconds(20), "events": 1234, "gaps": 0,
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
        "certificates": [certificate("inbox", 30)],
    });
    serde_json::from_value(status).unwrap()
}

/// An output with these values instead of the usual ones.
pub(crate) fn output(name: &str, values: &Value) -> Value {
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
pub(crate) fn peer(name: &str, state: &str) -> Value {
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

/// A file of certificates that expire in so many days.
pub(crate) fn certificate(part: &str, days: i64) -> Value {
    json!({
        "part": part, "key": "cert_file", "file": format!("/etc/{part}.pem"),
        "expires_at": now() + TimeDelta::days(days),
    })
}

pub(crate) fn minute_ago() -> DateTime<Utc> {
    now() - TimeDelta::minutes(1)
}

/// A hold as it stands in a status.
pub(crate) fn hold(reason: &str, mend: &str) -> Value {
    json!({"reason": reason, "mend": mend, "since": now() - TimeDelta::minutes(2)})
}

/// The status of an agent with everything wrong that can be at once.
pub(crate) fn unwell() -> Status {
    let mut status = serde_json::to_value(well()).unwrap();
    status["standstill"] = json!("poller cta does nothing");
    status["reload"] = json!({
        "taken": 0, "taken_at": null, "refused": 1, "last_refusal": "line 3 is wrong",
        "last_refusal_at": minute_ago(),
    });
    let mut failing = status["collections"][0].clone();
    failing["collection"] = json!("incidents");
    failing["failures"] = json!(3);
    failing["failing_since"] = json!(minute_ago());
    failing["last_result"] = json!("the answer is cut off");
    status["collections"].as_array_mut().unwrap().push(failing);
    status["collections"][0]["hold"] = hold("DENIED", "ask the provider");
    status["collections"][0]["gaps"] = json!(2);
    status["inbox"]["hold"] = hold("no room", "make room");
    status["inbox"]["collections"][0]["gaps"] = json!(1);
    let finished = json!({
        "delivered": 5, "dead_letters": 1, "discarded": 2, "abandoned": 3, "lost": 4,
    });
    let gone = json!({
        "type": null, "missing_batches": 2, "repairing_events": 15, "finished": finished,
    });
    let failing = json!({
        "failures": 4, "last_failure": "no route", "peers": [peer("https://d", "failing")],
    });
    let mixed = json!({"peers": [
        peer("https://a", "ready"), peer("https://b", "failing"), peer("https://c", "held"),
    ]});
    status["outputs"] = json!([
        output(
            "splunk",
            &json!({"hold": hold("HTTP 403", "enable the token")})
        ),
        output("mixed", &mixed),
        output("archive", &failing),
        output("gone", &gone),
    ]);
    status["certificates"] = json!([certificate("admin", 3), certificate("inbox", -2)]);
    status["spool"]["bytes"] = json!(4_194_304);
    status["spool"]["dead_letters"] = json!(1);
    status["spool"]["quarantine_bytes"] = json!(3072);
    serde_json::from_value(status).unwrap()
}
