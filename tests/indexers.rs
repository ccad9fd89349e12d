//! What stands behind the address of a collector: indexers that restart and lose what they had not
//! acknowledged, a load balancer that leads to another one, TLS. The real binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod rig;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cta_forwarder::simulator::ServerTls;
use cta_forwarder::simulator::hec::{AckPolicy, HecRules, Sticky};
use rig::{Rig, Setup};

const ACKNOWLEDGE: &str = "acknowledge = true\nack_interval = \"20ms\"\nack_timeout = \"1s\"\n\
                           max_in_flight = 4\n\
                           batch = { max_events = 5, max_wait = \"10ms\" }\n";

fn rig(seed: u64, rules: HecRules) -> Rig {
    Rig::with(Setup {
        seed,
        rules: HecRules {
            acknowledgement: Some(AckPolicy::AtOnce),
            ..rules
        },
        splunk: Some(ACKNOWLEDGE.to_owned()),
        ..Setup::default()
    })
}

fn hold_acks(rig: &Rig, policy: AckPolicy) {
    rig.hec
        .change_rules(|rules| rules.acknowledgement = Some(policy));
}

/// How many events were accepted in the requests behind the first `requests`.
fn taken_since(rig: &Rig, requests: usize) -> usize {
    let all = rig.hec.requests();
    all[requests..].iter().map(|request| request.taken).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_indexer_loses_in_a_restart_is_sent_again() {
    let mut rig = rig(
        1,
        HecRules {
            loses_unacknowledged: true,
            ..HecRules::default()
        },
    );
    for _ in 0..3 {
        rig.publish();
        rig.arrived().await;
        rig.drained().await;
        hold_acks(&rig, AckPolicy::Held);
        let requests_before = rig.hec.requests().len();
        let published_before = rig.cta.published_ids().len();
        rig.publish();
        let published = rig.cta.published_ids().len() - published_before;
        // All of them before it restarts: one that is accepted after another on the same channel has
        // that one's number, and both are sent again.
        let accepted = async {
            let mut requests = requests_before;
            while taken_since(&rig, requests_before) < published {
                requests += 1;
                rig.hec.wait_for_requests(requests).await;
            }
        };
        rig.within_limit(accepted).await;
        rig.hec.restart_indexer(0).unwrap();
        hold_acks(&rig, AckPolicy::AtOnce);
        rig.arrived().await;
        rig.drained().await;
    }
    assert!(
        !rig.hec.lost().is_empty(),
        "nothing was lost, so nothing is shown"
    );
    // What was lost is not there twice.
    assert_eq!(rig.duplicates(), 0);
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sticky_load_balancer_that_changes_the_indexer_costs_nothing() {
    let mut rig = rig(
        2,
        HecRules {
            indexers: 3,
            sticky: Sticky::Cookie,
            acknowledgement: None,
            ..HecRules::default()
        },
    );
    hold_acks(&rig, AckPolicy::AfterAsked(2));
    for _ in 0..4 {
        rig.publish();
        rig.arrived().await;
        rig.drained().await;
        rig.hec.move_clients();
    }
    assert_eq!(rig.duplicates(), 0);
    let requests = rig.hec.requests();
    let indexers: BTreeSet<_> = requests.iter().map(|request| request.indexer).collect();
    assert!(indexers.len() > 1, "{indexers:?}");
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_balancer_that_moves_clients_while_they_wait_costs_what_was_outstanding() {
    let mut rig = rig(
        3,
        HecRules {
            indexers: 2,
            sticky: Sticky::Cookie,
            ..HecRules::default()
        },
    );
    rig.publish();
    rig.drained().await;
    hold_acks(&rig, AckPolicy::Held);
    rig.publish();
    rig.arrived().await;
    let outstanding = rig.cta.published_ids().len();
    rig.hec.move_clients();
    hold_acks(&rig, AckPolicy::AtOnce);
    rig.publish();
    rig.drained().await;
    assert!(rig.duplicates() <= outstanding);
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_balancer_that_is_not_sticky_loses_nothing_all_the_same() {
    let mut rig = rig(
        4,
        HecRules {
            indexers: 2,
            sticky: Sticky::None,
            loses_unacknowledged: true,
            ..HecRules::default()
        },
    );
    hold_acks(&rig, AckPolicy::AfterAsked(1));
    for round in 0..4 {
        for _ in 0..5 {
            rig.publish();
        }
        // Their events take at least so many requests, however they come in.
        rig.more_deliveries(3).await;
        rig.hec.restart_indexer(round % 2).unwrap();
        rig.arrived().await;
        rig.drained().await;
    }
    assert!(
        !rig.hec.lost().is_empty(),
        "nothing was lost, so nothing is shown"
    );
    rig.stop_and_audit();
}

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    fs::read_to_string(folder.join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_with_an_own_authority_and_a_client_certificate() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    let folder = folder.display();
    let tls = ServerTls {
        certificate_pem: fixture("server.pem"),
        key_pem: fixture("server.key"),
        client_ca_pem: Some(fixture("ca.pem")),
        offers_http2: false,
    };
    let mut rig = Rig::with(Setup {
        seed: 5,
        rules: HecRules {
            tls: Some(tls),
            ..HecRules::default()
        },
        splunk: Some(format!(
            "tls = {{ ca_file = \"{folder}/ca.pem\", client_cert_file = \"{folder}/client.pem\", \
             client_key_file = \"{folder}/client.key\" }}"
        )),
        ..Setup::default()
    });
    rig.publish();
    rig.check().await;
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_offers_http_2_gets_it() {
    let tls = ServerTls {
        certificate_pem: fixture("server.pem"),
        key_pem: fixture("server.key"),
        client_ca_pem: None,
        offers_http2: true,
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    let mut rig = Rig::with(Setup {
        seed: 7,
        rules: HecRules {
            tls: Some(tls),
            acknowledgement: Some(AckPolicy::AfterAsked(1)),
            ..HecRules::default()
        },
        splunk: Some(format!(
            "tls = {{ ca_file = {:?} }}\n{ACKNOWLEDGE}",
            folder.join("ca.pem")
        )),
        ..Setup::default()
    });
    for _ in 0..3 {
        rig.publish();
        rig.drained().await;
    }
    rig.arrived().await;
    assert_eq!(rig.duplicates(), 0);
    let requests = rig.hec.requests();
    let versions: BTreeSet<&str> = requests.iter().map(|one| one.version.as_str()).collect();
    assert_eq!(versions, ["HTTP/2.0"].into());
    rig.stop_and_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_nobody_we_trust_holds_and_goes_on_with_the_right_authority() {
    let tls = ServerTls {
        certificate_pem: fixture("server.pem"),
        key_pem: fixture("server.key"),
        client_ca_pem: None,
        offers_http2: false,
    };
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    // A certificate, but not of the one that signed.
    fs::write(&authority, fixture("client.pem")).unwrap();
    let mut rig = Rig::with(Setup {
        seed: 6,
        rules: HecRules {
            tls: Some(tls),
            ..HecRules::default()
        },
        splunk: Some(format!("tls = {{ ca_file = {authority:?} }}")),
        ..Setup::default()
    });
    rig.publish();
    rig.told("delivery is held until this is mended").await;
    assert!(rig.log().contains("set ca_file"), "{}", rig.log());
    assert_eq!(rig.hec.events_taken(), 0);
    fs::write(&authority, fixture("ca.pem")).unwrap();
    rig.check().await;
    rig.stop_and_audit();
}
