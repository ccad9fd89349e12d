//! Each thing that can be wrong, and that it is told.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::*;
use crate::observe::specimen::{certificate, hold, now, output, peer, well};

/// What is found of a status with these changes, and whether each is in the way.
#[track_caller]
fn check(change: impl FnOnce(&mut Value), expect: &[(Severity, Kind, &str, bool)]) {
    let mut status = serde_json::to_value(well()).unwrap();
    change(&mut status);
    let status: Status = serde_json::from_value(status).unwrap();
    let found = find(&status);
    let found: Vec<_> = found
        .iter()
        .map(|one| (one.severity, one.kind, one.name.as_str(), one.is_in_the_way))
        .collect();
    assert_eq!(found, expect);
}

#[test]
fn of_an_agent_that_is_well_nothing() {
    check(|_| {}, &[]);
}

#[test]
fn holds_are_in_the_way() {
    check(
        |status| {
            status["collections"][0]["hold"] = hold("DENIED", "ask");
            status["inbox"]["hold"] = hold("full", "make room");
            status["outputs"][1]["hold"] = hold("HTTP 403", "enable it");
            status["spool"]["bytes"] = json!(4_194_304);
        },
        &[
            (Severity::Held, Kind::Collection, "cta/flows", true),
            (Severity::Held, Kind::Inbox, "vendor", true),
            (Severity::Held, Kind::Output, "archive", true),
            (Severity::Held, Kind::Spool, "spool", true),
        ],
    );
    let mut status = well();
    status.standstill = Some("no turn for 5m".to_owned());
    let standstill = find(&status);
    assert_eq!(standstill[0].reason, "no turn for 5m");
    assert!(standstill[0].is_in_the_way && standstill[0].kind == Kind::Agent);
}

#[test]
fn failing_is_in_the_way_when_it_lasts() {
    let since = |minutes| json!(now() - TimeDelta::minutes(minutes));
    for (failures, minutes, is_in_the_way) in [(1, 60, false), (3, 4, false), (3, 5, true)] {
        check(
            |status| {
                status["collections"][0]["failures"] = json!(failures);
                status["collections"][0]["failing_since"] = since(minutes);
            },
            &[(
                Severity::Failing,
                Kind::Collection,
                "cta/flows",
                is_in_the_way,
            )],
        );
        let mut failing = peer("https://a", "failing");
        failing["since"] = since(minutes);
        let values = json!({"failures": failures, "peers": [failing]});
        check(
            |status| status["outputs"][0] = output("splunk", &values),
            &[(Severity::Failing, Kind::Output, "splunk", is_in_the_way)],
        );
    }
}

#[test]
fn as_long_as_a_peer_is_well_its_output_is() {
    let peers = json!([
        peer("https://a", "held"),
        peer("https://b", "failing"),
        peer("https://c", "ready"),
    ]);
    let values = json!({"peers": peers, "failures": 9});
    check(
        |status| status["outputs"][0] = output("splunk", &values),
        &[
            (Severity::Held, Kind::Peer, "splunk https://a", false),
            (Severity::Failing, Kind::Peer, "splunk https://b", false),
        ],
    );
}

#[test]
fn what_is_missing_waits_for_a_person_and_the_rest_is_remarked() {
    let finished = json!({
        "delivered": 5, "dead_letters": 1, "discarded": 2, "abandoned": 3, "lost": 4,
    });
    let values = json!({
        "type": null, "missing_batches": 2, "repairing_events": 3, "finished": finished,
    });
    check(
        |status| {
            status["collections"][0]["gaps"] = json!(1);
            status["inbox"]["collections"][0]["gaps"] = json!(1);
            status["outputs"][0] = output("gone", &values);
            status["spool"]["bytes"] = json!(3_400_000);
            status["spool"]["dead_letters"] = json!(1);
            status["spool"]["quarantine_bytes"] = json!(3072);
            status["reload"]["last_refusal"] = json!("a mistake");
        },
        &[
            (Severity::Held, Kind::Output, "gone", false),
            (Severity::Remark, Kind::Agent, "reload", false),
            (Severity::Remark, Kind::Collection, "cta/flows", false),
            (Severity::Remark, Kind::Collection, "vendor/gold", false),
            (Severity::Remark, Kind::Output, "gone", false),
            (Severity::Remark, Kind::Output, "gone", false),
            (Severity::Remark, Kind::Output, "gone", false),
            (Severity::Remark, Kind::Spool, "spool", false),
            (Severity::Remark, Kind::Spool, "dead letters", false),
            (Severity::Remark, Kind::Spool, "quarantine", false),
        ],
    );
}

#[test]
fn a_certificate_is_told_of_before_it_expires() {
    let certificates = json!([
        certificate("admin", 15),
        certificate("service cta", 13),
        certificate("output splunk", 0),
    ]);
    check(
        |status| status["certificates"] = certificates,
        &[
            (
                Severity::Held,
                Kind::Certificate,
                "/etc/output splunk.pem",
                false,
            ),
            (
                Severity::Remark,
                Kind::Certificate,
                "/etc/service cta.pem",
                false,
            ),
        ],
    );
}
