//! The real binary and every fault of a collector: afterwards nothing is lost, the audit holds, and
//! nothing came twice that `docs/delivery.md` does not explain.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod rig;

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::hec::{AckPolicy, HecFault, HecFaultOn, HecRules};
use rig::{IN_FLIGHT, IN_REQUEST, Rig, Setup};

/// The output asks for acknowledgement, and does not wait long for it.
const ACKNOWLEDGE: &str = "acknowledge = true\nack_interval = \"20ms\"\nack_timeout = \"2s\"\n\
                           max_in_flight = 2\n\
                           batch = { max_events = 20, max_wait = \"10ms\" }";

fn acknowledging(seed: u64, policy: AckPolicy) -> Rig {
    Rig::with(Setup {
        seed,
        rules: HecRules {
            acknowledgement: Some(policy),
            ..HecRules::default()
        },
        splunk: Some(ACKNOWLEDGE.to_owned()),
        ..Setup::default()
    })
}

fn status(status: u16) -> HecFault {
    HecFault::HttpStatus {
        status,
        retry_after: None,
    }
}

fn codes(codes: &[u8]) -> Vec<HecFault> {
    let codes = codes.iter();
    codes
        .map(|&code| HecFault::Code { code, event: 0 })
        .collect()
}

/// Each fault is met twice while events come in; then everything arrives.
async fn survive(rig: &mut Rig, faults: Vec<HecFault>, on: HecFaultOn) {
    for fault in faults {
        let shown = rig.hec.faults_shown();
        rig.hec.set_fault(ArmedFault::times(2, fault).on(on));
        let mut requests = rig.hec.requests().len();
        rig.publish();
        while rig.hec.faults_shown() < shown + 2 {
            // Each round of them brings at least one request.
            rig.publish();
            requests += 1;
            rig.within_limit(rig.hec.wait_for_requests(requests)).await;
        }
        rig.arrived().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes() {
    let mut rig = Rig::new(1);
    let mut faults = codes(&[8, 9, 18, 19, 20, 23, 26, 27]);
    faults.extend([408, 429, 500, 502, 503, 504].map(status));
    faults.extend([HecFault::Reset, HecFault::HangUp]);
    survive(&mut rig, faults, HecFaultOn::Events).await;
    assert_eq!(rig.duplicates(), 0);
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_must_mend() {
    let mut rig = Rig::new(2);
    let mut faults = codes(&[1, 2, 3, 4, 7, 10, 11, 14, 16, 17, 21, 22, 28]);
    faults.extend([204, 301, 302, 400, 401, 403, 404, 407, 415, 418].map(status));
    faults.push(HecFault::LoginPage);
    survive(&mut rig, faults, HecFaultOn::Events).await;
    assert_eq!(rig.duplicates(), 0);
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_and_asked_to_slow_down() {
    let mut rig = Rig::new(3);
    let mut faults = codes(&[24, 25]);
    // In pieces, with pauses.
    faults.push(HecFault::SlowAnswer {
        piece_bytes: 5,
        pause_ms: 5,
    });
    survive(&mut rig, faults, HecFaultOn::Events).await;
    assert_eq!(rig.duplicates(), 0);
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_or_cut_off_sends_its_request_again() {
    let mut rig = Rig::new(4);
    let faults = vec![HecFault::AnswerLost, HecFault::HalfAnswer];
    survive(&mut rig, faults, HecFaultOn::Events).await;
    let twice = rig.duplicates();
    assert!((1..=4 * IN_REQUEST).contains(&twice), "{twice}");
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_says_nothing_is_given_up() {
    let mut rig = Rig::with(Setup {
        seed: 5,
        splunk: Some("request_timeout = \"300ms\"\n".to_owned()),
        ..Setup::default()
    });
    survive(&mut rig, vec![HecFault::BlackHole], HecFaultOn::Events).await;
    assert_eq!(rig.duplicates(), 0);
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_and_comes_back() {
    let mut rig = Rig::new(6);
    for _ in 0..3 {
        rig.publish();
        rig.hec.refuse_connections().await.unwrap();
        rig.publish();
        rig.more_polls(2).await;
        rig.hec.accept_connections().await.unwrap();
        rig.arrived().await;
    }
    // A request that was cut off may have been taken.
    let twice = rig.duplicates();
    assert!(twice <= 3 * IN_FLIGHT, "{twice}");
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_whose_name_is_unknown_leaves_it_to_the_other() {
    let second = cta_forwarder::simulator::hec::HecServer::start(HecRules::default()).unwrap();
    let mut rig = Rig::with(Setup {
        seed: 7,
        endpoints: Some(vec![
            "http://no.such.host.invalid:8088".to_owned(),
            second.url(),
        ]),
        ..Setup::default()
    });
    rig.publish();
    let published = rig.cta.published_ids().len();
    rig.within_limit(second.wait_for_events(published)).await;
    assert_eq!(second.events_taken(), published);
    rig.stop_and_audit();
    assert!(rig.log().contains("no.such.host.invalid"), "{}", rig.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_that_are_late_lost_or_refused() {
    let mut rig = acknowledging(8, AckPolicy::AfterAsked(3));
    rig.publish();
    rig.arrived().await;
    let mut faults = codes(&[8, 9, 14, 4]);
    faults.extend([404, 503].map(status));
    faults.extend([HecFault::Reset, HecFault::HangUp, HecFault::LoginPage]);
    survive(&mut rig, faults, HecFaultOn::Acks).await;
    assert_eq!(
        rig.duplicates(),
        0,
        "what was not answered is only asked for again"
    );
    // The second answer of true never comes: each costs its request once more.
    rig.hec
        .change_rules(|rules| rules.acknowledgement = Some(AckPolicy::AtOnce));
    survive(&mut rig, vec![HecFault::AnswerLost], HecFaultOn::Acks).await;
    rig.drained().await;
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_that_never_come_count_for_nothing() {
    let mut rig = acknowledging(9, AckPolicy::Held);
    rig.publish();
    let published = rig.cta.published_ids().len();
    // It comes a second time, and a third.
    rig.within_limit(rig.hec.wait_for_events(3 * published))
        .await;
    rig.hec.release_acks();
    rig.hec
        .change_rules(|rules| rules.acknowledgement = Some(AckPolicy::AtOnce));
    rig.drained().await;
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_acknowledgements_are_outstanding_it_goes_on_asking() {
    let mut rig = Rig::with(Setup {
        seed: 10,
        rules: HecRules {
            acknowledgement: Some(AckPolicy::Held),
            ..HecRules::default()
        },
        splunk: Some(ACKNOWLEDGE.replace("2s", "1h")),
        ..Setup::default()
    });
    rig.publish();
    rig.arrived().await;
    let taken = rig.hec.events_taken();
    for _ in 0..3 {
        // Two answers later what was taken is written down.
        rig.more_deliveries(2).await;
        rig.kill_and_start();
    }
    rig.more_deliveries(2).await;
    let again = rig.hec.events_taken() - taken;
    assert!(again <= IN_FLIGHT, "{again} were sent again");
    rig.hec.release_acks();
    rig.hec
        .change_rules(|rules| rules.acknowledgement = Some(AckPolicy::AtOnce));
    rig.drained().await;
    rig.stop_and_audit();
}
