//! What is told, in a text that others can read, and as it is documented.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::admin::specimen::{figures, hold, now, output, peer, well};
use crate::observe::troubles;
use crate::state::{Amount, GivenUp};
use serde_json::json;

fn told(status: &Status, format: Format) -> String {
    let tally = Tally {
        fetched: Amount {
            events: 1304,
            bytes: 9_000_000,
        },
        spooled: Amount {
            events: 1305,
            bytes: 70_000,
        },
        given_up: [(
            "splunk".to_owned(),
            GivenUp {
                discarded: 3,
                abandoned: 4,
                lost: 5,
                forgotten_batches: 0,
            },
        )]
        .into_iter()
        .chain([(
            "forgotten".to_owned(),
            GivenUp {
                discarded: 6,
                forgotten_batches: 2,
                ..GivenUp::default()
            },
        )])
        .collect(),
    };
    let sources = Sources {
        status,
        figures: &figures(),
        tally: &tally,
        troubles: &troubles::find(status),
        started_at: now(),
    };
    text(&sources, format)
}

#[track_caller]
fn check(status: &Status, expect: &[&str]) {
    let text = told(status, Format::OpenMetrics);
    for line in expect {
        assert!(
            text.lines().any(|told| told == *line),
            "no {line} in {text}"
        );
    }
}

/// Names that others write alert rules for.
#[test]
fn values_and_names() {
    check(
        &well(),
        &[
            r#"cta_forwarder_build_info{version="1.2.3"} 1"#,
            "cta_forwarder_start_timestamp_seconds 1773144000",
            "cta_forwarder_ready 1",
            r#"cta_forwarder_polls_total{service="cta",collection="flows",result="success"} 11"#,
            r#"cta_forwarder_polls_total{service="cta",collection="flows",result="failure"} 2"#,
            r#"cta_forwarder_poll_lag_seconds{service="cta",collection="flows"} 600"#,
            r#"cta_forwarder_next_poll_timestamp_seconds{service="cta",collection="flows"} 1773144030"#,
            r#"cta_forwarder_last_poll_success_timestamp_seconds{service="cta",collection="flows"} 1773143980"#,
            r#"cta_forwarder_gaps_total{service="cta",collection="flows"} 0"#,
            r#"cta_forwarder_collection_events_total{service="cta",collection="flows"} 1234"#,
            r#"cta_forwarder_collection_events_total{service="vendor",collection="gold"} 70"#,
            r#"cta_forwarder_events_total{stage="fetched"} 1304"#,
            r#"cta_forwarder_events_total{stage="spooled"} 1305"#,
            r#"cta_forwarder_events_total{stage="delivered",output="splunk"} 1007"#,
            r#"cta_forwarder_events_total{stage="dead_lettered",output="splunk"} 8"#,
            r#"cta_forwarder_events_total{stage="discarded",output="splunk"} 3"#,
            r#"cta_forwarder_events_total{stage="abandoned",output="splunk"} 4"#,
            r#"cta_forwarder_events_total{stage="lost",output="splunk"} 5"#,
            r#"cta_forwarder_events_total{stage="discarded",output="archive"} 0"#,
            r#"cta_forwarder_events_total{stage="discarded",output="forgotten"} 6"#,
            r#"cta_forwarder_forgotten_batches_total{output="splunk"} 0"#,
            r#"cta_forwarder_forgotten_batches_total{output="forgotten"} 2"#,
            r#"cta_forwarder_output_configured{output="splunk"} 1"#,
            "cta_forwarder_reload_refused 0",
            r#"cta_forwarder_bytes_total{stage="fetched"} 9000000"#,
            r#"cta_forwarder_bytes_total{stage="spooled"} 70000"#,
            r#"cta_forwarder_bytes_total{stage="delivered",output="splunk"} 54321"#,
            r#"cta_forwarder_output_pending_events{output="splunk"} 9"#,
            r#"cta_forwarder_output_pending_batches{output="splunk"} 1"#,
            r#"cta_forwarder_output_latency_seconds_bucket{output="splunk",le="0.025"} 0"#,
            r#"cta_forwarder_output_latency_seconds_bucket{output="splunk",le="0.05"} 1"#,
            r#"cta_forwarder_output_latency_seconds_bucket{output="splunk",le="+Inf"} 1"#,
            r#"cta_forwarder_output_latency_seconds_count{output="splunk"} 1"#,
            r#"cta_forwarder_output_latency_seconds_sum{output="splunk"} 0.04"#,
            r#"cta_forwarder_output_retries_total{output="splunk"} 5"#,
            r#"cta_forwarder_output_acks_outstanding{output="splunk"} 6"#,
            r#"cta_forwarder_output_delivered_timestamp_seconds{output="splunk"} 1773143995"#,
            r#"cta_forwarder_output_failures{output="splunk"} 0"#,
            r#"cta_forwarder_peer_up{output="splunk",peer="https://a.example.com:8088"} 1"#,
            "cta_forwarder_dead_letters 0",
            "cta_forwarder_spool_batches 2",
            "cta_forwarder_spool_bytes 2048",
            "cta_forwarder_spool_max_bytes 4194304",
            "cta_forwarder_spool_oldest_timestamp_seconds 1773140400",
            "cta_forwarder_quarantine_bytes 0",
            r#"cta_forwarder_quarantined_total{kind="file"} 7"#,
            r#"cta_forwarder_quarantined_total{kind="store"} 0"#,
            r#"cta_forwarder_certificate_expiry_timestamp_seconds{part="inbox",key="cert_file",file="/etc/inbox.pem"} 1775736000"#,
            r#"cta_forwarder_inbox_messages_total{result="taken"} 3"#,
            r#"cta_forwarder_inbox_messages_total{result="refused"} 2"#,
            r#"cta_forwarder_inbox_messages_total{result="stranger"} 1"#,
            "process_start_time_seconds 1773144000",
        ],
    );
    let text = told(&well(), Format::OpenMetrics);
    assert!(!text.contains("cta_forwarder_hold{"), "{text}");
}

#[test]
fn what_is_held_is_told_with_its_reason() {
    let mut status = well();
    let reason = format!("a \"quoted\" reason\nof two lines{}", "…".repeat(200));
    let peers = json!([peer("https://a", "held"), peer("https://b", "failing")]);
    for (place, values) in [
        (0, json!({"hold": hold(&reason, "mend it")})),
        (1, json!({"peers": peers})),
    ] {
        let name = status.outputs[place].name.clone();
        status.outputs[place] = serde_json::from_value(output(&name, &values)).unwrap();
    }
    let held = |reason: &str| serde_json::from_value(hold(reason, "mend it")).unwrap();
    status.collections[0].activity.hold = Some(held("DENIED"));
    status.inbox.as_mut().unwrap().activity.hold = Some(held("the spool is full"));
    let shortened = format!("a \\\"quoted\\\" reason\\nof two lines{}…", "…".repeat(90));
    check(
        &status,
        &[
            "cta_forwarder_ready 0",
            &format!(r#"cta_forwarder_hold{{kind="output",name="splunk",reason="{shortened}"}} 1"#),
            r#"cta_forwarder_hold{kind="collection",name="cta/flows",reason="DENIED"} 1"#,
            r#"cta_forwarder_hold{kind="inbox",name="vendor",reason="the spool is full"} 1"#,
            r#"cta_forwarder_hold{kind="peer",name="archive https://a",reason="token disabled"} 1"#,
            r#"cta_forwarder_peer_up{output="archive",peer="https://a"} 0"#,
            r#"cta_forwarder_peer_up{output="archive",peer="https://b"} 0"#,
        ],
    );
    assert_eq!(
        told(&status, Format::OpenMetrics)
            .matches("cta_forwarder_hold{")
            .count(),
        4
    );
}

/// Every family stands in the documentation as it is told, and nothing else does.
#[test]
fn the_documentation_has_them_all() {
    let documented = include_str!("../../../docs/metrics.md");
    let rows: BTreeMap<&str, &str> = documented
        .lines()
        .filter_map(|line| Some((line.strip_prefix("| `")?.split_once('`')?.0, line)))
        .filter(|(name, _)| !name.starts_with('/'))
        .collect();
    let row = |family: &Family| {
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        format!(
            "| `{}` | {} | {} | {} | {} |",
            family.sample_name(),
            family.kind.name(),
            labels.join(", "),
            family.unit.unwrap_or_default(),
            family.help.trim_end_matches('.')
        )
    };
    let all: Vec<(String, String)> = families::ALL
        .iter()
        .map(|family| (family.sample_name(), row(family)))
        .collect();
    for (name, expect) in &all {
        let found = rows.get(name.as_str()).copied();
        assert_eq!(found, Some(expect.as_str()), "docs/metrics.md lacks it");
    }
    assert_eq!(rows.len(), all.len(), "docs/metrics.md has more: {rows:?}");
    // And what is told is told of these families, each with the labels that it may have.
    let text = told(&well(), Format::OpenMetrics);
    let named: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let families: BTreeSet<&str> = families::ALL.iter().map(|family| family.name).collect();
    assert_eq!(named, families);
}
