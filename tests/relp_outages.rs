//! The real binary and every fault of a RELP receiver, with and without TLS: nothing is lost, the
//! audit holds, and nothing comes twice that `docs/delivery.md` does not explain. That is what had
//! no answer when a connection broke: at most the window.

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
use cta_forwarder::simulator::syslog::{SyslogEnd, SyslogFault, SyslogFaultOn, SyslogTransport};
use rig::syslog::{SyslogRig, UNDER_WAY, WINDOW, id_of, relp, relp_tls, server};
use tokio::join;

/// A message in the middle of a window, on each connection.
const MIDDLE: SyslogFaultOn = SyslogFaultOn::MessageNumber(3);
const IMPATIENT: &str = "connect_timeout = \"500ms\"\nwrite_timeout = \"500ms\"\n";

fn both() -> [SyslogTransport; 2] {
    [relp(), relp_tls(server("server"))]
}

fn answer(answer: &str) -> SyslogFault {
    let answer = answer.to_owned();
    SyslogFault::OtherAnswer { answer }
}

fn offers(offers: &str) -> SyslogFault {
    let offers = offers.to_owned();
    SyslogFault::OtherOffers { offers }
}

/// Each fault is met twice, one after the other, while events go through; then all are there.
async fn survive(rig: &mut SyslogRig, faults: &[SyslogFault], on: SyslogFaultOn) {
    let shown = rig.receiver().faults_shown();
    let mut expected = shown;
    for fault in faults {
        let fault = ArmedFault::times(2, fault.clone()).on(on);
        rig.receiver().set_fault(fault);
        expected += 2;
    }
    while rig.receiver().faults_shown() < expected {
        rig.publish_events(80);
        rig.arrived().await;
    }
    assert_eq!(rig.receiver().faults_shown(), expected);
}

/// What may come twice: each connection that broke takes at most a window with it.
fn windows(rig: &SyslogRig) -> usize {
    (rig.receiver().connections() - 1) * WINDOW
}

async fn what_breaks_the_connection(seed: u64, transport: &SyslogTransport) {
    let mut rig = SyslogRig::new(seed, transport);
    let faults = [
        SyslogFault::Reset,
        SyslogFault::HangUp,
        SyslogFault::ServerClose,
        SyslogFault::WrongTransaction,
        answer("{txnr} rsp x\n"),
        answer("{txnr} rsp 2 OK\n"),
        answer("{txnr} rsp 6 200 OK"),
        answer("{txnr} syslog 6 200 OK\n"),
        answer("HTTP/1.1 400 Bad Request\r\n\r\n"),
        SyslogFault::AnswerLost,
        SyslogFault::HalfAnswer,
    ];
    survive(&mut rig, &faults, MIDDLE).await;
    let may_come_twice = windows(&rig);
    assert!(
        rig.duplicates() >= 4,
        "an answer that is lost costs its message"
    );
    rig.check(may_come_twice).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_in_the_middle() {
    let [clear, tls] = both();
    join!(
        what_breaks_the_connection(1, &clear),
        what_breaks_the_connection(2, &tls)
    );
}

async fn what_says_nothing(seed: u64, transport: &SyslogTransport) {
    let mut rig = SyslogRig::with(seed, transport, IMPATIENT);
    let faults = [SyslogFault::Mute, SyslogFault::BlackHole];
    survive(&mut rig, &faults, MIDDLE).await;
    assert!(rig.rig.log().contains("nothing has moved for 500ms"));
    let may_come_twice = windows(&rig);
    rig.check(may_come_twice).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_says_nothing_is_given_up() {
    let [clear, tls] = both();
    join!(what_says_nothing(3, &clear), what_says_nothing(4, &tls));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_late_or_in_another_order_is_waited_for() {
    let mut rig = SyslogRig::new(5, &relp());
    let late = SyslogFault::LateAnswer { pause_ms: 200 };
    let faults = [late, SyslogFault::SwappedAnswer];
    survive(&mut rig, &faults, SyslogFaultOn::Message).await;
    assert_eq!(rig.receiver().connections(), 1);
    rig.check(0).await;
}

async fn what_does_not_open_and_passes(seed: u64, transport: &SyslogTransport) {
    let mut rig = SyslogRig::with(seed, transport, IMPATIENT);
    let faults = [SyslogFault::Reset, SyslogFault::HangUp, SyslogFault::Mute];
    survive(&mut rig, &faults, SyslogFaultOn::Connection).await;
    rig.receiver().close_connections();
    let faults = [
        SyslogFault::Reset,
        SyslogFault::HangUp,
        SyslogFault::Mute,
        SyslogFault::BlackHole,
        SyslogFault::ServerClose,
        SyslogFault::AnswerLost,
        SyslogFault::HalfAnswer,
        SyslogFault::WrongTransaction,
        answer("{txnr} rsp x\n"),
        answer("SSH-2.0-OpenSSH_9.6\r\n"),
        SyslogFault::LateAnswer { pause_ms: 100 },
    ];
    survive(&mut rig, &faults[..10], SyslogFaultOn::Open).await;
    rig.receiver().close_connections();
    let late = ArmedFault::once(faults[10].clone()).on(SyslogFaultOn::Open);
    rig.receiver().set_fault(late);
    rig.publish();
    rig.arrived().await;
    assert_eq!(rig.receiver().faults(), []);
    rig.check(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_does_not_open_is_tried_again() {
    let [clear, tls] = both();
    join!(
        what_does_not_open_and_passes(6, &clear),
        what_does_not_open_and_passes(7, &tls)
    );
}

async fn what_a_person_must_mend(seed: u64, transport: &SyslogTransport) {
    let mut rig = SyslogRig::new(seed, transport);
    for (fault, reason, mend) in [
        (
            SyslogFault::Code { code: 500 },
            "refuses to open a RELP session: 500 refused on purpose",
            "see in the receiver's log why",
        ),
        (
            offers("relp_version=0\ncommands=eventlog"),
            "does not offer the command syslog",
            "let the RELP receiver take syslog messages",
        ),
        (
            offers("commands=syslog"),
            "states no relp_version",
            "give the address of a RELP receiver",
        ),
    ] {
        let fault = ArmedFault::until_cleared(fault).on(SyslogFaultOn::Open);
        rig.receiver().set_fault(fault);
        rig.receiver().close_connections();
        rig.publish();
        // The second one is a probe.
        rig.more_endings(3).await;
        rig.held(reason, mend);
        rig.receiver().clear_faults();
        rig.arrived().await;
        rig.goes_on().await;
    }
    rig.check(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_refused_holds_with_the_mend() {
    let [clear, tls] = both();
    join!(
        what_a_person_must_mend(8, &clear),
        what_a_person_must_mend(9, &tls)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_refused_three_times_is_set_aside_and_the_rest_goes_on() {
    let mut rig = SyslogRig::new(10, &relp());
    let refusal = SyslogFault::Code { code: 500 };
    // It comes first in its window each time, and nothing is under way beside it.
    for number in [0, WINDOW, 2 * WINDOW] {
        let on = SyslogFaultOn::MessageNumber(number);
        rig.receiver()
            .set_fault(ArmedFault::once(refusal.clone()).on(on));
    }
    rig.publish_events(40);
    rig.logged("it is set aside").await;
    let letters = rig.rig.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["code"], "relp-500");
    let reason = "the receiver refuses the message: 500 refused on purpose";
    assert_eq!(letters[0]["reason"], reason);
    let aside = BTreeSet::from([id_of(&letters[0])]);
    rig.arrived_but(&aside).await;
    assert_eq!(rig.missing(), aside);
    assert_eq!(rig.receiver().connections(), 1);
    rig.check_but(&aside, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_passes_costs_nothing() {
    let mut rig = SyslogRig::new(11, &relp());
    let refusal = SyslogFault::Code { code: 500 };
    for times in [1, 2] {
        let refusal = ArmedFault::times(times, refusal.clone());
        rig.receiver().set_fault(refusal);
        rig.publish_events(40);
        rig.arrived().await;
    }
    assert_eq!(rig.receiver().faults(), []);
    assert_eq!(rig.rig.letters(), [""; 0]);
    rig.check(0).await;
}

/// Slow enough to be met in the middle.
fn slow() -> ArmedFault<SyslogFault, SyslogFaultOn> {
    ArmedFault::until_cleared(SyslogFault::LateAnswer { pause_ms: 5 })
}

async fn killed(seed: u64, transport: &SyslogTransport) {
    const KILLS: usize = 3;
    let mut rig = SyslogRig::new(seed, transport);
    rig.receiver().set_fault(slow());
    for _ in 0..KILLS {
        rig.publish_events(80);
        rig.more_messages(30).await;
        rig.rig.kill_and_start();
    }
    rig.check(KILLS * UNDER_WAY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_it_sends_again_what_was_under_way() {
    let [clear, tls] = both();
    join!(killed(12, &clear), killed(13, &tls));
}

async fn stopped(seed: u64, transport: &SyslogTransport) {
    let mut rig = SyslogRig::new(seed, transport);
    rig.receiver().set_fault(slow());
    for number in 0..3 {
        rig.publish_events(80);
        rig.more_messages(30).await;
        assert!(rig.rig.stop().success());
        rig.receiver().wait_for_endings(number + 1).await;
        rig.rig.start();
    }
    rig.arrived().await;
    rig.check(0).await;
    let ends = rig.receiver().endings().into_iter().map(|one| one.end);
    assert_eq!(ends.collect::<Vec<_>>(), [SyslogEnd::Orderly; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_in_the_middle_it_takes_leave_and_nothing_comes_twice() {
    let [clear, tls] = both();
    join!(stopped(14, &clear), stopped(15, &tls));
}

async fn receiver_restarts(seed: u64, transport: &SyslogTransport) {
    let mut rig = SyslogRig::new(seed, transport);
    for _ in 0..3 {
        // While nothing is under way.
        rig.outage().await;
        rig.arrived().await;
    }
    assert_eq!(rig.duplicates(), 0);
    rig.receiver().set_fault(slow());
    for _ in 0..2 {
        rig.publish_events(80);
        rig.more_messages(30).await;
        rig.receiver().refuse_connections().await.unwrap();
        rig.receiver().accept_connections().await.unwrap();
        // How many of the others are left by now is not known.
        rig.publish_events(80);
        rig.more_messages(10).await;
        rig.receiver().close_connections();
        rig.arrived().await;
    }
    let may_come_twice = windows(&rig);
    rig.check(may_come_twice).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_restarts() {
    let [clear, tls] = both();
    join!(receiver_restarts(16, &clear), receiver_restarts(17, &tls));
}
