//! Which syslog receiver is trusted, which of several gets the messages, and what becomes of those
//! that are too large: the real binary, over RELP and TLS, where nothing is ever lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod rig;

use std::fs;

use cta_forwarder::simulator::ServerTls;
use cta_forwarder::simulator::syslog::{SyslogReceiver, SyslogRules, SyslogTransport};
use rig::syslog::{
    SyslogRig, id_of, receiver, relp, relp_tls, server, server_for_known_clients, tls,
};
use tokio::join;

const RELP: &str = "transport = \"relp\"\nwindow = 5\n";

/// The receiver is one that the agent must not trust, or that does not trust the agent: it is held
/// until the right one takes its place.
async fn distrust(seed: u64, wrong: ServerTls, reason: &str, mend: &str) {
    let test = async |seed, transport: fn(ServerTls) -> SyslogTransport| {
        let mut rig = SyslogRig::new(seed, &transport(wrong.clone()));
        rig.publish();
        // The second time it is a probe.
        rig.more_endings(2).await;
        rig.held(reason, mend);
        rig.replace_receiver(transport(server("server"))).await;
        rig.arrived().await;
        rig.goes_on().await;
        rig.check(0).await;
    };
    join!(test(seed, tls), test(seed + 1, relp_tls));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_authority_holds_with_the_mend() {
    let mend = "set ca_file to the authority that signed the receiver's certificate";
    distrust(70, server("stranger"), "UnknownIssuer", mend).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_that_is_missing_holds_with_the_mend() {
    let mend = "set client_cert_file and client_key_file";
    distrust(80, server_for_known_clients(), "ertificate", mend).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_name_holds_until_the_configuration_is_mended() {
    let test = async |seed, transport| {
        let wrong = "server_name = \"siem.example.com\"\n";
        let mut rig = SyslogRig::with(seed, &transport, wrong);
        rig.publish();
        rig.more_endings(2).await;
        rig.held(
            "certificate not valid for name",
            "set server_name to a name that",
        );
        assert!(rig.rig.stop().success());
        assert_eq!(rig.receiver().messages_taken(), 0);
        let path = rig.rig.path("cta-forwarder.toml");
        let configuration = fs::read_to_string(&path).unwrap();
        let mended = configuration.replace("siem.example.com", "localhost");
        fs::write(path, mended).unwrap();
        rig.rig.start();
        rig.check(0).await;
    };
    join!(
        test(90, tls(server("server"))),
        test(91, relp_tls(server("server")))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_whose_name_is_unknown_leaves_it_to_the_next() {
    let receivers = vec![receiver(&relp())];
    let unknown = ["no.such.host.invalid:2514"];
    let mut rig = SyslogRig::of(
        100,
        receivers,
        &unknown,
        "transport = \"relp\"\nwindow = 5\n",
    );
    rig.publish();
    rig.check(0).await;
    assert!(rig.rig.log().contains(unknown[0]), "{}", rig.rig.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_address_that_is_well_has_everything_and_gets_it_back() {
    let receivers: Vec<_> = (0..3).map(|_| receiver(&relp())).collect();
    let mut rig = SyslogRig::of(110, receivers, &[], RELP);
    let taken = |rig: &SyslogRig| {
        let receivers = rig.receivers.iter();
        receivers
            .map(SyslogReceiver::messages_taken)
            .collect::<Vec<_>>()
    };
    for well in [0, 1, 2] {
        for (index, receiver) in rig.receivers.iter().enumerate() {
            let is_away = index < well;
            if is_away {
                receiver.refuse_connections().await.unwrap();
            }
        }
        let before = taken(&rig);
        rig.publish_events(40);
        rig.arrived().await;
        let mut after = taken(&rig);
        after[well] -= 40;
        assert_eq!(after, before);
    }
    for well in [1, 0] {
        rig.receivers[well].accept_connections().await.unwrap();
        let before = taken(&rig)[well];
        while taken(&rig)[well] == before {
            // Until it has been probed they go to the other.
            rig.publish();
            rig.arrived().await;
        }
        let before = taken(&rig);
        rig.publish_events(40);
        rig.arrived().await;
        let mut after = taken(&rig);
        after[well] -= 40;
        assert_eq!(after, before);
    }
    rig.check(0).await;
}

/// What makes an event too large here, and can be shortened: it is no part of its id.
const ACTIVITY: &str = "automatically generated domain";
/// Some messages take more without that, too.
const LIMIT_BYTES: usize = 1700;

/// Nothing longer may come, and longer ones are to.
async fn limited(seed: u64, keys: &str) -> SyslogRig {
    let receiver = SyslogReceiver::start(SyslogRules {
        max_message_bytes: LIMIT_BYTES,
        ..SyslogRules::over(relp())
    });
    let limit = format!("{RELP}max_message_bytes = {LIMIT_BYTES}\n{keys}");
    let mut rig = SyslogRig::of(seed, vec![receiver.unwrap()], &[], &limit);
    for _ in 0..10 {
        let mut publication = rig.rig.generator.publication(rig.rig.cta.now());
        let xml = publication.package_xml;
        publication.package_xml = xml.replace(ACTIVITY, &ACTIVITY.repeat(40)).into();
        rig.rig.cta.publish(publication);
    }
    rig.rig.arrived().await;
    rig.caught_up().await;
    rig
}

/// Exactly those are missing that are among the dead letters, and those were too large.
fn check_letters(rig: &mut SyslogRig) {
    let letters = rig.rig.letters();
    for letter in &letters {
        assert_eq!(letter["code"], "syslog-too-large");
        assert!(letter["bytes"].as_u64().unwrap() > LIMIT_BYTES as u64 - 200);
    }
    assert_eq!(rig.missing(), letters.iter().map(id_of).collect());
    rig.rig.stop_and_audit();
    assert_eq!(rig.duplicates(), 0);
    assert_eq!(rig.receiver().violations(), []);
}

fn shortened(rig: &SyslogRig) -> usize {
    let mut messages = rig.receiver().messages();
    messages.retain(|one| one.body.contains("\"shortened\":["));
    messages.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_set_aside_alone() {
    let mut rig = limited(120, "").await;
    assert!(!rig.missing().is_empty());
    assert_eq!(shortened(&rig), 0);
    check_letters(&mut rig);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_shortened_where_that_is_wanted_and_says_so() {
    let mut rig = limited(120, "when_too_large = \"shorten\"\n").await;
    assert!(shortened(&rig) > 0);
    // The rest has no long texts.
    check_letters(&mut rig);
}
