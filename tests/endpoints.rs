//! Several endpoints of one collector: they share the events, and each has a circuit of its own.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

mod world;

use std::time::Duration;

use cta_forwarder::event::EventId;
use cta_forwarder::observe::board::{PeerActivity, PeerState};
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::content::{ContentGenerator, PackageSize};
use cta_forwarder::simulator::hec::{AckPolicy, HecFault, HecRules, HecServer};
use tracing::Level;
use world::logs::Logs;
use world::{SEED, Setup, World, assert_same};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A world whose output has the world's own endpoint and another one.
fn world(keys: &str) -> (World, HecServer) {
    let second = HecServer::start(HecRules::default()).unwrap();
    let splunk = format!(
        "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{{hec}}\", {:?}]\n\
         token = {{ file = \"{{folder}}/token\" }}\nbatch = {{ max_events = 10 }}\n{keys}\n",
        second.url()
    );
    let mut world = World::new(Setup {
        service: "initial_lookback = \"1h\"\n".to_owned(),
        outputs: splunk,
        ..Setup::default()
    });
    world.generator = ContentGenerator::new(SEED).with_size(PackageSize {
        incidents: 5,
        indicators: 3,
        flows: 8,
        exact: true,
    });
    (world, second)
}

async fn publish_for(world: &mut World, minutes: u32) {
    for _ in 0..minutes {
        world.run_for(MINUTE).await;
        world.publish();
    }
    world.run_for(12 * MINUTE).await;
}

fn peers(world: &World) -> Vec<PeerActivity> {
    let outputs = world.status().outputs;
    let splunk = outputs.iter().find(|output| output.name == "splunk");
    splunk.unwrap().activity.peers.clone()
}

fn states(world: &World) -> Vec<PeerState> {
    peers(world).iter().map(|peer| peer.state).collect()
}

fn both(world: &World, second: &HecServer) -> Vec<EventId> {
    [world.hec.event_ids(), second.event_ids()].concat()
}

#[track_caller]
fn assert_exactly_once(world: &World, second: &HecServer) {
    assert_same("Splunk", &world.cta.published_ids(), &both(world, second));
    assert_eq!(world.status().spool.batches, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn they_share_the_events() {
    let (mut world, second) = world("");
    publish_for(&mut world, 25).await;
    assert_exactly_once(&world, &second);
    let (first, second) = (world.hec.events_taken(), second.events_taken());
    let all = first + second;
    assert!(first * 3 > all && second * 3 > all, "{first} and {second}");
    // Answers were quick, so there may be more than one at once by now.
    assert!(peers(&world).iter().all(|peer| peer.limit > 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_one_does_not_take_the_other_has_at_once() {
    let (mut world, second) = world("");
    publish_for(&mut world, 5).await;
    let logs = Logs::capture();
    world.hec.refuse_connections().await.unwrap();
    publish_for(&mut world, 5).await;
    assert_exactly_once(&world, &second);
    assert_eq!(states(&world), [PeerState::Failing, PeerState::Ready]);
    let alarms = logs.take_alarms();
    assert!(alarms.iter().all(|line| line.level == Level::WARN));
    assert!(alarms[0].text.contains(&world.hec.url()), "{alarms:#?}");
    // What is well again is found by a probe, which costs no event its time.
    world.hec.accept_connections().await.unwrap();
    let before = world.hec.events_taken();
    publish_for(&mut world, 20).await;
    assert_exactly_once(&world, &second);
    assert!(world.hec.events_taken() > before);
    assert_eq!(states(&world), [PeerState::Ready, PeerState::Ready]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_that_is_misconfigured_is_held_and_the_other_goes_on() {
    let (mut world, second) = world("");
    publish_for(&mut world, 5).await;
    let logs = Logs::capture();
    second.change_rules(|rules| rules.enabled = false);
    publish_for(&mut world, 10).await;
    world.run_for(HOUR).await;
    assert_exactly_once(&world, &second);
    assert_eq!(states(&world), [PeerState::Ready, PeerState::Held]);
    let held = &peers(&world)[1];
    assert!(held.mend.as_ref().unwrap().contains("token is disabled"));
    let status = world.status();
    let output = status.outputs.iter().find(|output| output.name == "splunk");
    assert_eq!(output.unwrap().activity.hold, None);
    let alarms = logs.take_alarms();
    assert_eq!(alarms.len(), 1, "{alarms:#?}");
    assert_eq!(alarms[0].level, Level::ERROR);
    assert!(alarms[0].text.contains(&second.url()), "{alarms:#?}");
    second.change_rules(|rules| rules.enabled = true);
    let before = second.events_taken();
    publish_for(&mut world, 20).await;
    assert_exactly_once(&world, &second);
    assert!(second.events_taken() > before);
    assert_eq!(states(&world), [PeerState::Ready, PeerState::Ready]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn when_none_is_well_everything_waits_and_goes_on_by_itself() {
    let (mut world, second) = world("");
    publish_for(&mut world, 5).await;
    world.hec.refuse_connections().await.unwrap();
    second.set_fault(ArmedFault::until_cleared(HecFault::Code {
        code: 9,
        event: 0,
    }));
    publish_for(&mut world, 5).await;
    let status = world.status();
    let output = status.outputs.iter().find(|output| output.name == "splunk");
    assert!(output.unwrap().pending_events > 0);
    assert!(output.unwrap().activity.failures > 0);
    world.hec.accept_connections().await.unwrap();
    world.run_for(10 * MINUTE).await;
    assert_exactly_once(&world, &second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_black_hole_gets_one_flight_and_then_probes() {
    let (mut world, second) = world("request_timeout = \"2s\"");
    publish_for(&mut world, 5).await;
    let taken = second.requests().len();
    second.set_fault(ArmedFault::until_cleared(HecFault::BlackHole));
    publish_for(&mut world, 5).await;
    assert_same("Splunk", &world.cta.published_ids(), &both(&world, &second));
    let requests = second.requests();
    let with_events = requests[taken..]
        .iter()
        .filter(|request| request.body_bytes > 0);
    // Those that were under way at once when it went silent.
    assert!(with_events.count() <= 4);
    second.clear_faults();
    world.run_for(10 * SECOND).await;
    assert_exactly_once(&world, &second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_is_asked_for_what_it_has_accepted_and_what_one_cannot_say_goes_to_the_other() {
    let (mut world, second) = world("acknowledge = true\nack_timeout = \"5m\"");
    for hec in [&*world.hec, &second] {
        hec.change_rules(|rules| rules.acknowledgement = Some(AckPolicy::AfterAsked(2)));
    }
    publish_for(&mut world, 15).await;
    assert_exactly_once(&world, &second);
    assert!(world.hec.events_taken() > 0 && second.events_taken() > 0);
    let taken = second.events_taken();
    second.change_rules(|rules| rules.acknowledgement = Some(AckPolicy::Held));
    publish_for(&mut world, 2).await;
    let held = second.events_taken() - taken;
    assert!(held > 0);
    // It is gone for good, and nobody can be asked.
    second.refuse_connections().await.unwrap();
    world.run_for(HOUR).await;
    assert_eq!(world.status().spool.batches, 0);
    let mut ids = both(&world, &second);
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_same("Splunk", &world.cta.published_ids(), &ids);
    assert!(all - ids.len() <= held, "more than what it had came twice");
}
