//! A world that owes what is going to be damaged, and what must be so when it is mended.

use std::collections::BTreeMap;
use std::time::Duration;

use cta_forwarder::audit::Account;
use cta_forwarder::event::EventId;
use cta_forwarder::simulator::cta::CtaRules;

use crate::damage::batches;
use crate::world::{Setup, World, assert_same};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A part of an answer, and so a file of a batch, holds so many publications.
pub(crate) const PER_PART: usize = 4;
/// Events of a request.
pub(crate) const IN_FLIGHT: usize = 7;

pub(crate) fn setup() -> Setup {
    let splunk = format!(
        "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{{hec}}\"]\n\
         token = {{ file = \"{{folder}}/token\" }}\nbatch = {{ max_events = {IN_FLIGHT} }}\nmax_in_flight = 1\n\
         retry = {{ initial = \"1s\", max = \"1m\" }}\n"
    );
    Setup {
        rules: CtaRules {
            publications_per_part: PER_PART,
            gzip: false,
            ..CtaRules::default()
        },
        service: "initial_lookback = \"1h\"\n".to_owned(),
        outputs: splunk,
        ..Setup::default()
    }
}

pub(crate) async fn publish_for(world: &mut World, minutes: u32) {
    for _ in 0..minutes {
        world.run_for(MINUTE).await;
        world.publish();
    }
}

/// A world in which Splunk is away and owed several batches of several files; the file has them all.
pub(crate) async fn owing() -> World {
    let mut world = World::new(setup());
    world.hec.refuse_connections().await.unwrap();
    publish_for(&mut world, 35).await;
    // Nothing more is published: whatever is polled from here on is a repair.
    world.run_for(15 * MINUTE).await;
    assert!(batches(&world).len() > 2);
    world
}

/// A world in which Splunk has some events of the oldest batch.
pub(crate) async fn in_the_middle() -> World {
    let mut world = World::new(setup());
    for _ in 0..40 {
        world.publish();
    }
    let hec = std::sync::Arc::clone(&world.hec);
    assert!(world.drop_when(HOUR, hec.wait_for_requests(3)).await);
    world.hec.refuse_connections().await.unwrap();
    world.restart();
    // What the file has not yet follows.
    world.run_for(5 * MINUTE).await;
    world
}

/// Publishes something more into a window that was polled long ago: an answer is another one then.
pub(crate) fn publish_late(world: &mut World, number: usize) {
    let stamp = world.stamps[number] - chrono::TimeDelta::seconds(1);
    world.cta.publish(world.generator.publication(stamp));
}

pub(crate) async fn settle(world: &mut World) {
    world.hec.accept_connections().await.unwrap();
    world.run_for(4 * HOUR).await;
}

/// Waits until everything that is not damaged is at Splunk, while the service cannot be reached.
pub(crate) async fn settle_without_service(world: &mut World) {
    world.cta.refuse_connections().await.unwrap();
    world.hec.accept_connections().await.unwrap();
    world.run_for(HOUR).await;
    world.cta.accept_connections().await.unwrap();
}

/// Everything is at both outputs, once, and as it was published.
#[track_caller]
pub(crate) fn assert_whole(world: &World) {
    world.assert_exactly_once();
    world.assert_exactly_once_at_splunk();
    assert_unaltered(world);
}

/// What Splunk has is byte for byte what the file has, which was written before the damage.
#[track_caller]
pub(crate) fn assert_unaltered(world: &World) {
    let at_file: BTreeMap<String, serde_json::Value> = world
        .events_in_file()
        .into_iter()
        .map(|event| (event["eventId"].as_str().unwrap().to_owned(), event))
        .collect();
    let events = world.hec.events();
    let mut compared = 0;
    for event in events.iter().map(|event| &event.event) {
        // What came late came when the file had done with its batch.
        if let Some(expect) = at_file.get(event["eventId"].as_str().unwrap()) {
            assert_eq!(event, expect);
            compared += 1;
        }
    }
    assert!(compared > 0 && compared * 10 >= events.len() * 8);
}

/// Everything is at Splunk, so many events more than once.
#[track_caller]
pub(crate) fn assert_at_splunk(world: &World, twice: usize) {
    let all = world.hec.event_ids();
    let mut distinct: Vec<EventId> = all.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_same("Splunk", &world.cta.published_ids(), &distinct);
    assert_eq!(all.len() - distinct.len(), twice, "so many came twice");
    assert_unaltered(world);
    world.assert_adds_up();
}

pub(crate) fn records(world: &World, kind: &str) -> Vec<serde_json::Value> {
    let mut ledger = world.ledger();
    ledger.retain(|record| record["type"] == kind);
    ledger
}

pub(crate) fn repairing(world: &World) -> u64 {
    let audit = world.audit();
    assert_eq!(
        audit.batches.iter().map(|b| b.fetched).sum::<u64>(),
        audit.batches.iter().map(Account::total).sum::<u64>()
    );
    audit.batches.iter().map(|batch| batch.repairing).sum()
}
