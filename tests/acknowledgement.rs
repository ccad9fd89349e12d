//! Indexer acknowledgement: what was accepted is delivered when the indexer says so, and not before.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::hec::{AckPolicy, HecFault, HecFaultOn, HecRequest, HecRequestKind};
use tracing::Level;
use world::logs::Logs;
use world::{Setup, World, assert_same};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// So that nothing is sent again before a test has looked.
const PATIENT: &str = "ack_timeout = \"2h\"";
const HOUR: Duration = Duration::from_secs(3600);

fn world(acknowledgement: Option<AckPolicy>) -> World {
    world_with(acknowledgement, "")
}

/// The same with more keys of the output.
fn world_with(acknowledgement: Option<AckPolicy>, keys: &str) -> World {
    let splunk = "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{hec}\"]\n\
                  token = { file = \"{folder}/token\" }\nacknowledge = true\n\
                  batch = { max_events = 10 }\n";
    let splunk = format!("{splunk}{keys}\n");
    let world = World::new(Setup {
        service: "initial_lookback = \"1h\"\n".to_owned(),
        outputs: splunk,
        ..Setup::default()
    });
    world
        .hec
        .change_rules(|rules| rules.acknowledgement = acknowledgement);
    world
}

async fn publish_for(world: &mut World, minutes: u32) {
    for _ in 0..minutes {
        world.run_for(MINUTE).await;
        world.publish();
    }
    world.run_for(12 * MINUTE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_endpoint_gets_no_more_than_may_be_outstanding() {
    let keys = "ack_timeout = \"2h\"\nmax_outstanding_acks = 2";
    let mut world = world_with(Some(AckPolicy::Held), keys);
    publish_for(&mut world, 25).await;
    assert!(world.cta.published_ids().len() > 40);
    // Two requests of ten.
    assert_eq!(world.hec.events_taken(), 20);
    world
        .hec
        .change_rules(|rules| rules.acknowledgement = Some(AckPolicy::AtOnce));
    world.hec.release_acks();
    world.run_for(10 * MINUTE).await;
    assert_eq!(assert_all_are_there(&world), 0);
}

fn requests(world: &World, kind: HecRequestKind) -> Vec<HecRequest> {
    let mut requests = world.hec.requests();
    requests.retain(|request| request.kind == kind);
    requests
}

/// The channels that events went to.
fn channels(world: &World) -> BTreeSet<String> {
    let requests = requests(world, HecRequestKind::Events);
    let with_events = requests.into_iter().filter(|request| request.taken > 0);
    with_events
        .map(|request| request.channel.unwrap())
        .collect()
}

/// No channel that was asked ever gets events again: whatever an indexer counts anew, a question is
/// about what was sent before it.
#[track_caller]
fn assert_nothing_follows_a_question(world: &World) {
    let mut asked = BTreeSet::new();
    for request in world.hec.requests() {
        match request.kind {
            HecRequestKind::Acks => {
                asked.insert(request.channel);
            }
            _ => assert!(!asked.contains(&request.channel), "{request:?}"),
        }
    }
}

/// Events that are not done with, and those among them that wait for their acknowledgement.
fn pending(world: &World) -> (u64, u64) {
    let status = world.status();
    let splunk = status.outputs.iter().find(|output| output.name == "splunk");
    let splunk = splunk.unwrap();
    (
        splunk.pending_events,
        splunk.activity.awaiting_acknowledgement,
    )
}

/// Everything is at Splunk; gives how many came twice.
#[track_caller]
fn assert_all_are_there(world: &World) -> usize {
    let mut ids = world.hec.event_ids();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_same("Splunk", &world.cta.published_ids(), &ids);
    assert_eq!(pending(world), (0, 0));
    all - ids.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_accepted_is_delivered_once_it_is_acknowledged() {
    let mut world = world_with(Some(AckPolicy::Held), PATIENT);
    publish_for(&mut world, 25).await;
    let published = world.cta.published_ids().len() as u64;
    assert_eq!(pending(&world), (published, published));
    assert_eq!(world.hec.events_taken() as u64, published);
    world.hec.release_acks();
    world.run_for(10 * SECOND).await;
    assert_eq!(assert_all_are_there(&world), 0);
    assert_nothing_follows_a_question(&world);
    for ask in requests(&world, HecRequestKind::Acks) {
        let json = ("content-type".to_owned(), "application/json".to_owned());
        assert!(ask.headers.contains(&json), "{ask:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_late_acknowledgement_is_waited_for() {
    // Asked every two seconds, it comes after some four minutes.
    let mut world = world(Some(AckPolicy::AfterAsked(120)));
    publish_for(&mut world, 25).await;
    world.run_for(10 * MINUTE).await;
    assert_eq!(assert_all_are_there(&world), 0);
    assert_nothing_follows_a_question(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_restart_goes_on_asking_instead_of_sending_again() {
    let mut world = world_with(Some(AckPolicy::Held), PATIENT);
    publish_for(&mut world, 25).await;
    let taken = world.hec.events_taken();
    assert!(taken > 10);
    world.restart();
    world.run_for(4 * MINUTE).await;
    assert_eq!(world.hec.events_taken(), taken);
    assert_eq!(pending(&world).1, taken as u64);
    world.hec.release_acks();
    world.run_for(10 * SECOND).await;
    assert_eq!(assert_all_are_there(&world), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_never_acknowledged_is_sent_again_on_another_channel_and_never_counts() {
    let mut world = world(Some(AckPolicy::Held));
    let logs = Logs::capture();
    publish_for(&mut world, 5).await;
    let published = world.cta.published_ids().len();
    // Accepted some time before, so not yet.
    let taken = world.hec.events_taken();
    assert_eq!(taken % published, 0);
    world.run_for(6 * MINUTE).await;
    assert_eq!(world.hec.events_taken(), taken + published);
    assert!(channels(&world).len() >= 2);
    assert_eq!(pending(&world).0, published as u64);
    let alarms = logs.take_alarms();
    let told = alarms
        .iter()
        .filter(|line| line.text.contains("ack_timeout"));
    assert!(told.count() >= 1, "{alarms:#?}");
    world.hec.release_acks();
    world.run_for(10 * SECOND).await;
    assert!(assert_all_are_there(&world) >= published);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_acknowledgement_whose_answer_is_lost_costs_its_request_twice() {
    let mut world = world(Some(AckPolicy::AtOnce));
    publish_for(&mut world, 15).await;
    assert_eq!(assert_all_are_there(&world), 0);
    let lost = ArmedFault::once(HecFault::AnswerLost).on(HecFaultOn::Acks);
    world.hec.set_fault(lost);
    publish_for(&mut world, 2).await;
    world.run_for(10 * MINUTE).await;
    let twice = assert_all_are_there(&world);
    assert!((1..=20).contains(&twice), "{twice}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_endpoint_that_does_not_answer_for_acknowledgements_delivers_nothing() {
    let status = |status| HecFault::HttpStatus {
        status,
        retry_after: None,
    };
    for (fault, level) in [
        (status(503), Level::WARN),
        (status(404), Level::ERROR),
        (HecFault::LoginPage, Level::ERROR),
        (HecFault::Code { code: 14, event: 0 }, Level::ERROR),
        (HecFault::Reset, Level::WARN),
    ] {
        let mut world = world(Some(AckPolicy::AtOnce));
        publish_for(&mut world, 15).await;
        let before = world.hec.events_taken();
        let logs = Logs::capture();
        let shown = format!("{fault:?}");
        world
            .hec
            .set_fault(ArmedFault::until_cleared(fault).on(HecFaultOn::Acks));
        publish_for(&mut world, 15).await;
        world.run_for(HOUR).await;
        let (events, awaiting) = pending(&world);
        assert!(events > 0 && awaiting > 0, "{shown}");
        let alarms = logs.take_alarms();
        assert!(
            alarms.iter().any(|line| line.level == level),
            "{shown}: {alarms:#?}"
        );
        // Nobody has said that anything is missing.
        let mut ids = world.hec.event_ids();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), world.hec.events_taken(), "{shown}");
        assert!(world.hec.events_taken() > before, "{shown}");
        world.hec.clear_faults();
        world.run_for(HOUR).await;
        assert_eq!(assert_all_are_there(&world), 0, "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_that_does_not_acknowledge_holds_before_it_gets_an_event() {
    let mut world = world(None);
    let logs = Logs::capture();
    publish_for(&mut world, 25).await;
    assert_eq!(world.hec.events_taken(), 0);
    let status = world.status();
    let splunk = status.outputs.iter().find(|output| output.name == "splunk");
    let hold = splunk.unwrap().activity.hold.clone().unwrap();
    assert!(hold.mend.contains("acknowledgement is off"), "{hold:?}");
    let alarms = logs.take_alarms();
    let errors = alarms.iter().filter(|line| line.level == Level::ERROR);
    assert_eq!(errors.count(), 1, "{alarms:#?}");
    world
        .hec
        .change_rules(|rules| rules.acknowledgement = Some(AckPolicy::AtOnce));
    world.run_for(5 * MINUTE).await;
    assert_eq!(assert_all_are_there(&world), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_indexer_that_restarts_costs_what_it_had_not_acknowledged() {
    let mut world = world_with(Some(AckPolicy::AtOnce), PATIENT);
    publish_for(&mut world, 15).await;
    assert_eq!(assert_all_are_there(&world), 0);
    world
        .hec
        .change_rules(|rules| rules.acknowledgement = Some(AckPolicy::Held));
    publish_for(&mut world, 2).await;
    let waiting = usize::try_from(pending(&world).1).unwrap();
    assert!(waiting > 0);
    world.hec.forget_acks();
    world
        .hec
        .change_rules(|rules| rules.acknowledgement = Some(AckPolicy::AtOnce));
    publish_for(&mut world, 5).await;
    // Nobody says that they are missing before it is time.
    assert_eq!(pending(&world).1, waiting as u64);
    world.run_for(2 * HOUR).await;
    let twice = assert_all_are_there(&world);
    assert!(twice <= waiting, "{twice} of {waiting}");
    assert!(twice > 0);
}
