//! What does not go on shows on every path, with what to do about it; and is gone when it does.

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::CtaFault;
use cta_forwarder::simulator::hec::{HecFault, HecFaultOn};
use serde_json::Value;

use crate::watched::Watched;

fn is_ready(watched: &Watched) -> Option<()> {
    (watched.get("/readyz").status == 200).then_some(())
}

/// A text as it stands in HTML.
fn escaped(text: &str) -> String {
    let marks = [
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#39;"),
    ];
    let escape = |text: String, (mark, name)| text.replace(mark, name);
    marks.into_iter().fold(text.to_owned(), escape)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_output() {
    let mut watched = Watched::new("").await;
    watched.until("ready", is_ready);
    // The token is disabled.
    let disabled = HecFault::Code { code: 1, event: 0 };
    let fault = ArmedFault::until_cleared(disabled).on(HecFaultOn::Any);
    watched.rig.hec.set_fault(fault);
    watched.publish();
    watched.rig.told("delivery is held").await;
    let readiness = watched.until("held", |watched| {
        let answer = watched.get("/readyz");
        (answer.status == 503).then(|| answer.json())
    });
    assert_eq!(readiness["ready"], false);
    let trouble = &readiness["troubles"][0];
    assert_eq!(trouble["kind"], "output");
    assert_eq!(trouble["name"], "splunk");
    let text = |key: &str| trouble[key].as_str().unwrap().to_owned();
    let (reason, mend) = (text("reason"), text("mend"));
    assert!(reason.contains("Token disabled"), "{trouble}");
    let metrics = watched.metrics();
    let held = metrics.of("cta_forwarder_hold");
    let ours = |(labels, _): &&(&crate::openmetrics::Labels, f64)| labels["kind"] == "output";
    let (labels, value) = held.iter().find(ours).unwrap();
    assert_eq!((labels["name"].as_str(), *value), ("splunk", 1.0));
    assert!(reason.starts_with(labels["reason"].trim_end_matches('…')));
    let pending = [("output", "splunk")];
    assert_eq!(metrics.get("cta_forwarder_ready", &[]), Some(0.0));
    assert!(
        metrics
            .get("cta_forwarder_output_pending_events", &pending)
            .unwrap()
            > 0.0
    );
    assert!(
        metrics
            .get("cta_forwarder_output_failures", &pending)
            .unwrap()
            > 0.0
    );
    let peer = [("output", "splunk"), ("peer", &watched.rig.hec.url())];
    assert_eq!(metrics.get("cta_forwarder_peer_up", &peer), Some(0.0));
    let page = watched.get("/").body;
    assert!(page.contains("class=\"verdict held\""), "{page}");
    assert!(page.contains(&escaped(&mend)), "{page}");
    let status = watched.get("/status").json();
    assert_eq!(status["outputs"][0]["hold"]["mend"], mend);
    // It is alive for all that.
    assert_eq!(watched.get("/healthz").body, "ok\n");

    watched.rig.hec.clear_faults();
    watched.rig.arrived().await;
    watched.until("ready again", is_ready);
    let page = watched.until("well again", |watched| {
        let page = watched.get("/").body;
        page.contains("class=\"verdict good\"").then_some(page)
    });
    assert!(page.contains("All is well"));
    assert!(watched.metrics().of("cta_forwarder_hold").is_empty());
    watched.rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_collection() {
    let watched = Watched::new("").await;
    let denied = CtaFault::StatusMessage {
        status_type: "DENIED".to_owned(),
        message: "<b>not yours</b>".to_owned(),
        details: Vec::new(),
    };
    watched.rig.cta.set_fault(ArmedFault::until_cleared(denied));
    watched.rig.told("polling is held").await;
    let trouble = watched.until("held", |watched| {
        let answer = watched.get("/readyz");
        (answer.status == 503).then(|| answer.json()["troubles"][0].clone())
    });
    assert_eq!(trouble["kind"], "collection");
    assert!(
        trouble["reason"]
            .as_str()
            .unwrap()
            .contains("<b>not yours</b>")
    );
    let page = watched.get("/").body;
    assert!(page.contains("&lt;b&gt;not yours&lt;/b&gt;"), "{page}");
    assert!(!page.contains("<b>not yours"));
    let metrics = watched.metrics();
    let failed = metrics.of("cta_forwarder_polls_total");
    let failures: f64 = failed
        .iter()
        .filter(|(labels, _)| labels["result"] == "failure")
        .map(|(_, value)| value)
        .sum();
    assert!(failures >= 1.0);
    watched.rig.cta.clear_faults();
    watched.until("ready again", is_ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_on_the_page_until_it_is_dropped() {
    let mut watched = Watched::new("").await;
    watched.publish();
    watched.rig.arrived().await;
    let refused = HecFault::Code { code: 13, event: 0 };
    watched.rig.hec.set_fault(ArmedFault::once(refused));
    watched.publish();
    watched.rig.told("is set aside").await;
    let status = watched.until("a dead letter", |watched| {
        let status = watched.get("/status").json();
        (status["letters"].as_array()?.len() == 1).then_some(status)
    });
    assert_eq!(status["letters"][0]["code"], "hec-13");
    // The terminal and the page say the same of it.
    let (code, said) = watched.rig.command(&["status", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["troubles"], status["troubles"]);
    assert_eq!(said["troubles"][0]["what"], "dead_letters");
    assert_eq!(status["spool"]["dead_letters"], 1);
    let output = [("stage", "dead_lettered"), ("output", "splunk")];
    let metrics = watched.metrics();
    assert_eq!(
        metrics.get("cta_forwarder_events_total", &output),
        Some(1.0)
    );
    assert_eq!(metrics.get("cta_forwarder_dead_letters", &[]), Some(1.0));
    let page = watched.get("/").body;
    assert!(
        page.contains("cta-forwarder dead-letters list") && page.contains("hec-13"),
        "{page}"
    );
    let (code, said) = watched
        .rig
        .command(&["dead-letters", "drop", "--all", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    let status = watched.get("/status").json();
    assert_eq!(status["letters"], Value::Array(Vec::new()));
    let output = [("stage", "discarded"), ("output", "splunk")];
    assert_eq!(
        watched.metrics().get("cta_forwarder_events_total", &output),
        Some(1.0)
    );
}
