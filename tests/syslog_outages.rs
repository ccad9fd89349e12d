//! The real binary and every fault of a syslog receiver over TCP, TLS and UDP. Nothing is lost but
//! what the receiver's kernel had acknowledged and its application had not read; what comes twice
//! was under way when a connection broke.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod rig;

use std::collections::BTreeSet;

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::syslog::{
    SyslogEnd, SyslogFault, SyslogFaultOn, SyslogFraming, SyslogTransport,
};
use futures_util::future::join_all;
use rig::syslog::{SyslogRig, UNDER_WAY, server, tls};

/// A message in the middle of a request, on each connection.
const MIDDLE: SyslogFaultOn = SyslogFaultOn::MessageNumber(3);
const IMPATIENT: &str = "connect_timeout = \"500ms\"\nwrite_timeout = \"500ms\"\n";

/// The same with each of them at once.
async fn each<F: Future<Output = ()>>(test: impl Fn(u64, SyslogTransport) -> F) {
    let transports = [
        SyslogTransport::tcp(SyslogFraming::OctetCounting),
        SyslogTransport::tcp(SyslogFraming::LineFeed),
        tls(server("server")),
    ];
    let tests = (0..).zip(transports);
    join_all(tests.map(|(seed, transport)| test(seed, transport))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn away_or_gone_while_nothing_is_under_way_it_costs_nothing() {
    each(async |seed, transport| {
        let mut rig = SyslogRig::new(seed, &transport);
        for _ in 0..2 {
            rig.outage().await;
            rig.arrived().await;
            rig.receiver().close_connections();
            rig.publish();
            rig.arrived().await;
        }
        rig.check(0).await;
    })
    .await;
}

/// Slow enough to be met in the middle.
fn slow() -> ArmedFault<SyslogFault, SyslogFaultOn> {
    ArmedFault::until_cleared(SyslogFault::LateAnswer { pause_ms: 5 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_in_the_middle_takes_little_with_it() {
    each(async |seed, transport| {
        let mut rig = SyslogRig::new(10 + seed, &transport);
        let mut lost = BTreeSet::new();
        let faults = [
            SyslogFault::Reset,
            SyslogFault::HangUp,
            SyslogFault::AnswerLost,
        ];
        for fault in faults.clone() {
            rig.publish_events(4);
            rig.arrived_but(&lost).await;
            rig.receiver().close_connections();
            rig.receiver()
                .wait_for_endings(rig.receiver().connections())
                .await;
            rig.receiver().set_fault(ArmedFault::once(fault).on(MIDDLE));
            rig.publish_events(80);
            rig.more_endings(1).await;
            lost.extend(rig.missing());
            rig.publish_events(40);
            rig.arrived_but(&lost).await;
        }
        rig.check_but(&lost, faults.len() * UNDER_WAY).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_restarts_in_the_middle() {
    each(async |seed, transport| {
        let mut rig = SyslogRig::new(20 + seed, &transport);
        let mut lost = BTreeSet::new();
        for _ in 0..2 {
            rig.receiver().set_fault(slow());
            rig.publish_events(80);
            rig.more_messages(30).await;
            rig.receiver().refuse_connections().await.unwrap();
            lost.extend(rig.missing());
            rig.receiver().clear_faults();
            rig.receiver().accept_connections().await.unwrap();
            rig.publish_events(40);
            rig.arrived_but(&lost).await;
        }
        rig.check_but(&lost, 2 * UNDER_WAY).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_reads_nothing_is_left() {
    each(async |seed, transport| {
        let mut rig = SyslogRig::with(30 + seed, &transport, IMPATIENT);
        let hole = ArmedFault::once(SyslogFault::BlackHole).on(SyslogFaultOn::Connection);
        rig.receiver().set_fault(hole);
        // More than the kernels between the two would hold.
        rig.publish_events(800);
        let is_tls = transport == tls(server("server"));
        let words = if is_tls {
            "no answer after 500ms"
        } else {
            "nothing has moved for 500ms"
        };
        rig.logged(words).await;
        let mut lost = rig.missing();
        rig.publish_events(40);
        rig.arrived_but(&lost).await;
        rig.caught_up().await;
        lost = rig.missing();
        if is_tls {
            assert_eq!(lost, BTreeSet::new(), "no handshake, no event");
        }
        assert!(lost.len() < 400, "what no kernel had came all the same");
        rig.check_but(&lost, 0).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_it_sends_again_what_was_under_way() {
    const KILLS: usize = 3;
    each(async |seed, transport| {
        let mut rig = SyslogRig::new(40 + seed, &transport);
        rig.receiver().set_fault(slow());
        for _ in 0..KILLS {
            rig.publish_events(80);
            rig.more_messages(30).await;
            rig.rig.kill_and_start();
        }
        rig.check(KILLS * UNDER_WAY).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_in_the_middle_it_takes_leave_and_nothing_comes_twice() {
    each(async |seed, transport| {
        let mut rig = SyslogRig::new(50 + seed, &transport);
        rig.receiver().set_fault(slow());
        for number in 0..3 {
            rig.publish_events(80);
            rig.more_messages(30).await;
            assert!(rig.rig.stop().success());
            rig.rig
                .within_limit(rig.receiver().wait_for_endings(number + 1))
                .await;
            rig.rig.start();
        }
        rig.check(0).await;
        rig.receiver().wait_for_endings(4).await;
        let ends = rig.receiver().endings().into_iter().map(|one| one.end);
        assert_eq!(ends.collect::<Vec<_>>(), [SyslogEnd::Orderly; 4]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_udp_what_is_sent_counts_and_the_rest_waits() {
    let mut rig = SyslogRig::new(60, &SyslogTransport::Udp);
    let mut lost = BTreeSet::new();
    for _ in 0..3 {
        rig.outage().await;
        lost.extend(rig.missing());
        rig.publish();
        rig.arrived_but(&lost).await;
    }
    assert_eq!(rig.duplicates(), 0);
    // Of a package of four requests the first one meets the closed port.
    assert!(rig.missing().len() < 3 * 80, "all are lost");
    for _ in 0..2 {
        rig.publish_events(80);
        rig.more_messages(5).await;
        rig.rig.kill_and_start();
    }
    rig.check_but(&lost, 2 * UNDER_WAY).await;
}
