//! The real binary, an outage of Splunk, and a disk or a spool that is full before it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod rig;

use std::collections::BTreeSet;

use cta_forwarder::event::EventId;
use cta_forwarder::simulator::content::PackageSize;
use rig::{Rig, Setup, SmallDisk};

const FEW_KEYS: &str = "batch = { max_events = 100, max_wait = \"10ms\" }\n";
/// Events that may be on their way: `max_in_flight` requests of so many.
const UNDER_WAY: u64 = 4 * 100;

/// Packages of five hundred events.
fn with_large_packages(mut rig: Rig) -> Rig {
    let generator = rig.generator.clone();
    rig.generator = generator.with_size(PackageSize {
        incidents: 10,
        indicators: 5,
        flows: 10,
        exact: true,
    });
    rig
}

/// Publishes into the outage until the agent has no room any more, and then some more.
async fn fill(rig: &mut Rig, sign: &str) {
    rig.hec.refuse_connections().await.unwrap();
    for _ in 0..60 {
        rig.publish();
        // Each round a poll or the word that there is none.
        rig.more_polls_or(sign).await;
        if rig.log().contains(sign) {
            break;
        }
    }
    assert!(rig.log().contains(sign), "{}", rig.log());
    rig.publish();
}

/// Polling waits while there is no room; afterwards everything is there, once.
async fn hold_until_splunk_is_back(rig: &mut Rig) {
    fill(rig, "polling waits").await;
    rig.hec.accept_connections().await.unwrap();
    rig.arrived().await;
    rig.drained().await;
    assert_eq!(rig.duplicates(), 0);
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_holds_polling_until_splunk_is_back() {
    // Where nobody may mount, the spool's own limit stands in for the disk.
    let disk = SmallDisk::of("3m");
    let state = match disk {
        Some(_) => "max_dead_letter_bytes = \"1MiB\"\n".to_owned(),
        None => "max_spool_bytes = \"200KiB\"\n".to_owned(),
    };
    let mut rig = with_large_packages(Rig::with(Setup {
        seed: 1,
        state,
        disk,
        splunk: Some(FEW_KEYS.to_owned()),
        ..Setup::default()
    }));
    hold_until_splunk_is_back(&mut rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_that_holds_loses_nothing() {
    let mut rig = with_large_packages(Rig::with(Setup {
        seed: 2,
        state: "max_spool_bytes = \"200KiB\"\n".to_owned(),
        splunk: Some(FEW_KEYS.to_owned()),
        ..Setup::default()
    }));
    hold_until_splunk_is_back(&mut rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_that_releases_gives_up_the_oldest_and_says_so() {
    let mut rig = with_large_packages(Rig::with(Setup {
        seed: 3,
        state: "max_spool_bytes = \"200KiB\"\n".to_owned(),
        splunk: Some(format!("{FEW_KEYS}when_spool_full = \"release\"\n")),
        ..Setup::default()
    }));
    fill(&mut rig, "gives up its oldest events").await;
    let published: BTreeSet<EventId> = rig.cta.published_ids().into_iter().collect();
    rig.hec.accept_connections().await.unwrap();
    rig.drained().await;
    rig.stop_and_audit();
    assert_eq!(rig.duplicates(), 0);
    // What is not there is what the audit calls abandoned; of that only what was under way may be there.
    let (_, said) = rig.command(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&said).unwrap();
    let finished = &status["outputs"][0]["finished"];
    let abandoned = finished["abandoned"].as_u64().unwrap();
    assert!(abandoned > 0);
    let there: BTreeSet<EventId> = rig.hec.event_ids().into_iter().collect();
    let delivered = finished["delivered"].as_u64().unwrap();
    assert!(delivered + abandoned <= published.len() as u64);
    let most = delivered + UNDER_WAY;
    assert!((delivered..=most).contains(&(there.len() as u64)));
}
