//! The figures are those of what was polled and delivered, also after a restart.

use cta_forwarder::observe::status::Status;
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::hec::HecFault;
use serde_json::Value;

use crate::openmetrics::Metrics;
use crate::watched::Watched;

const SPLUNK: [(&str, &str); 1] = [("output", "splunk")];

fn events(metrics: &Metrics, stage: &str) -> f64 {
    let with_output = [("stage", stage), ("output", "splunk")];
    let labels: &[(&str, &str)] = match stage {
        "fetched" | "spooled" => &[("stage", stage)],
        _ => &with_output,
    };
    metrics.get("cta_forwarder_events_total", labels).unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "there are some hundred events")]
fn published(watched: &Watched) -> f64 {
    watched.rig.cta.published_ids().len() as f64
}

fn sum(quarters: &Value) -> f64 {
    let quarters = quarters.as_array().unwrap();
    assert_eq!(quarters.len(), 96);
    quarters.iter().map(|count| count.as_f64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_stage_counts_what_went_through_it() {
    let mut watched = Watched::new("").await;
    let fault = HecFault::HttpStatus {
        status: 503,
        retry_after: None,
    };
    watched.rig.hec.set_fault(ArmedFault::times(2, fault));
    for _ in 0..5 {
        watched.publish();
    }
    watched.rig.arrived().await;
    watched.rig.drained().await;
    let metrics = watched.metrics();
    let expect = published(&watched);
    for stage in ["fetched", "spooled", "delivered"] {
        assert!((events(&metrics, stage) - expect).abs() < 0.5, "{stage}");
    }
    for stage in ["dead_lettered", "discarded", "abandoned"] {
        assert!(events(&metrics, stage) < 0.5, "{stage}");
    }
    let bytes = |labels: &[(&str, &str)]| metrics.get("cta_forwarder_bytes_total", labels).unwrap();
    let answers = bytes(&[("stage", "fetched")]);
    let spooled = bytes(&[("stage", "spooled")]);
    let sent = bytes(&[("stage", "delivered"), ("output", "splunk")]);
    assert!(answers > spooled && spooled > 0.0 && sent > 0.0);
    // What went over the wire was compressed, and is what came to Splunk in requests that it took.
    assert!(sent < answers, "{sent} {answers}");
    assert!(
        metrics
            .get("cta_forwarder_output_retries_total", &SPLUNK)
            .unwrap()
            >= 2.0
    );
    let requests = metrics.get("cta_forwarder_output_latency_seconds_count", &SPLUNK);
    assert!(requests.unwrap() >= 3.0, "{requests:?}");
    let collection = [
        ("service", "cta"),
        (
            "collection",
            cta_forwarder::simulator::cta::CtaRules::COLLECTION,
        ),
    ];
    let of_collection = metrics.get("cta_forwarder_collection_events_total", &collection);
    assert!((of_collection.unwrap() - expect).abs() < 0.5);
    assert!(
        metrics
            .get("cta_forwarder_poll_lag_seconds", &collection)
            .is_some()
    );
    assert!(metrics.get("process_resident_memory_bytes", &[]).unwrap() > 1e6);

    // What the command tells is what the path tells.
    let answer = watched.get("/status").json();
    let status: Status = serde_json::from_value(answer.clone()).unwrap();
    let all = watched.rig.cta.published_ids().len() as u64;
    assert_eq!(status.collections[0].events, all);
    assert!((sum(&answer["day"]["fetched"]) - expect).abs() < 0.5);
    assert!((sum(&answer["day"]["delivered"]["splunk"]) - expect).abs() < 0.5);

    // After a restart counters begin anew, and what is remembered is there.
    let before = answer["records"].as_array().unwrap().clone();
    assert!(before.iter().any(|record| record["type"] == "polled"));
    assert!(watched.rig.stop().success());
    watched.rig.start();
    watched.until("started again", |watched| {
        (watched.rig.log().matches("status page").count() == 2).then_some(())
    });
    let answer = watched.until("remembered", |watched| {
        let answer = watched.get("/status").json();
        let records = answer["records"].as_array()?;
        let is_there = before.iter().all(|record| records.contains(record));
        is_there.then_some(answer)
    });
    assert!((sum(&answer["day"]["fetched"]) - expect).abs() < 0.5);
    assert!((sum(&answer["day"]["delivered"]["splunk"]) - expect).abs() < 0.5);
    let metrics = watched.metrics();
    assert!(events(&metrics, "delivered") < 0.5);
    let of_collection = metrics.get("cta_forwarder_collection_events_total", &collection);
    assert!((of_collection.unwrap() - expect).abs() < 0.5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_the_older_format_gets_it() {
    let watched = Watched::new("").await;
    let answer = watched.get("/metrics");
    assert!(!answer.body.contains("# EOF") && !answer.body.contains("# UNIT"));
    assert!(
        answer
            .body
            .contains("# TYPE cta_forwarder_polls_total counter")
    );
    let answer = watched.get_as(
        "/metrics",
        "application/openmetrics-text;version=1.0.0;q=0.9,*/*;q=0.1",
    );
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(media));
    Metrics::read(&answer.body);
}
