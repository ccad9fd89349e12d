//! A checkpoint that a person sets, also in the middle of a poll.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

mod world;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use cta_forwarder::checkpoints::{self, CheckpointChange, To};
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{CtaFault, CtaRules};
use cta_forwarder::taxii::Timestamp;
use world::{Setup, World};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const COLLECTION: &str = CtaRules::COLLECTION;

fn setup() -> Setup {
    Setup {
        service: "initial_lookback = \"1h\"\n".to_owned(),
        ..Setup::default()
    }
}

fn change(to: To) -> CheckpointChange {
    CheckpointChange {
        service: None,
        collection: COLLECTION.to_owned(),
        to,
    }
}

fn set(world: &mut World, to: To) {
    let (house, services) = (world.agent.house(), &world.config().services);
    checkpoints::set(house, services, &change(to)).unwrap();
    world.forget_checkpoints();
}

/// A world that has polled for three hours, with something published every ten minutes.
async fn with_a_past() -> World {
    polled_for_hours(setup()).await
}

async fn polled_for_hours(setup: Setup) -> World {
    let mut world = World::new(setup);
    for _ in 0..18 {
        world.publish();
        world.run_for(10 * MINUTE).await;
    }
    world.run_for(HOUR).await;
    world.assert_exactly_once();
    world
}

/// The moment so long ago.
fn ago(world: &World, time: Duration) -> Timestamp {
    Timestamp::from(world.utc() - TimeDelta::from_std(time).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_lies_behind_it_comes_again_and_after_a_restart_too() {
    for restart in [false, true] {
        let mut world = with_a_past().await;
        let before = world.ids_in_file();
        let moment = ago(&world, 3 * HOUR);
        set(
            &mut world,
            To::Moment {
                moment: moment.clone(),
            },
        );
        if restart {
            world.restart();
        }
        assert_eq!(world.checkpoint().as_deref(), Some(moment.text()));
        world.run_for(HOUR).await;
        let again = world.ids_in_file().split_off(before.len());
        let asked: Vec<_> = world
            .stamps
            .iter()
            .filter(|stamp| **stamp > moment.time())
            .collect();
        assert!(asked.len() > 5 && !again.is_empty());
        let (mut again, mut expect) = (again, Vec::new());
        for id in &before {
            if again.contains(id) {
                expect.push(*id);
            }
        }
        again.sort_unstable();
        expect.sort_unstable();
        assert_eq!(again, expect, "with the same ids, each once");
        world.assert_gate_was_kept();
        world.assert_adds_up();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_it_skips_is_never_fetched() {
    let mut world = with_a_past().await;
    let before = world.ids_in_file().len();
    world.publish();
    world.clock.advance(2 * MINUTE);
    set(
        &mut world,
        To::Ago {
            ago: Duration::ZERO,
        },
    );
    world.run_for(HOUR).await;
    assert_eq!(world.ids_in_file().len(), before);
    world.publish();
    world.run_for(HOUR).await;
    assert!(world.ids_in_file().len() > before);
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_one_it_begins_as_at_first() {
    let mut world = with_a_past().await;
    set(&mut world, To::First);
    assert_eq!(world.checkpoint(), None);
    world.restart();
    assert_eq!(world.checkpoint(), None);
    world.run_for(10 * MINUTE).await;
    let poll = world.polls().pop().unwrap();
    let begin = Timestamp::parse(poll.begin.as_ref().unwrap()).unwrap();
    assert!((poll.at - begin.time()).num_minutes() >= 60, "{poll:?}");
    assert!(world.checkpoint().is_some());
    world.assert_adds_up();
}

/// Comes in about two seconds.
fn slow() -> CtaFault {
    CtaFault::SlowAnswer {
        piece_bytes: 2048,
        pause_ms: 300,
    }
}

/// Sets the checkpoint while a poll's answer is on its way, which takes its time.
async fn set_in_the_middle(world: &mut World, fault: CtaFault, to: To) {
    world.publish();
    world.clock.advance(11 * MINUTE);
    world.cta.set_fault(ArmedFault::once(fault));
    let seen = world.cta.requests().len();
    let cta = Arc::clone(&world.cta);
    let house = world.agent.house().clone();
    let services = world.config().services.clone();
    // On its own, since who reads an answer blocks.
    let setting = tokio::spawn(async move {
        cta.wait_for_requests(seen + 1).await;
        checkpoints::set(&house, &services, &change(to)).unwrap();
    });
    let poller = &mut world.agent.pollers()[0];
    poller.tick();
    poller.turn().await;
    setting.await.unwrap();
    let ledger = world.ledger();
    let place = |kind: &str| ledger.iter().rposition(|record| record["type"] == kind);
    assert!(place("checkpoint_set") > place("poll_started"));
    world.forget_checkpoints();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_poll_that_is_under_way_keeps_its_batch_and_leaves_the_checkpoint() {
    for restart in [false, true] {
        let mut world = with_a_past().await;
        let before = world.ids_in_file().len();
        let moment = ago(&world, 2 * HOUR);
        let to = To::Moment {
            moment: moment.clone(),
        };
        set_in_the_middle(&mut world, slow(), to).await;
        assert_eq!(world.checkpoint().as_deref(), Some(moment.text()));
        if restart {
            world.restart();
            assert_eq!(world.checkpoint().as_deref(), Some(moment.text()));
        }
        // What the poll brought is delivered, though it moved nothing.
        let batches: Vec<_> = world.agent.house().batches().collect();
        assert_eq!(batches.len(), 1);
        assert!(batches[0].events() > 0);
        world.run_for(HOUR).await;
        assert!(world.ids_in_file().len() as u64 > before as u64 + batches[0].events());
        let next = world.polls();
        let begins = next
            .iter()
            .any(|poll| poll.begin.as_deref() == Some(moment.text()));
        assert!(begins, "{:?}", next.last());
        world.assert_gate_was_kept();
        world.assert_adds_up();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_poll_that_fails_meanwhile_counts_nothing_against_the_new_windows() {
    let mut setup = setup();
    setup.service.push_str("request_timeout = \"3s\"\n");
    let mut world = polled_for_hours(setup).await;
    // Twice before, so that the next failure would halve the window.
    world
        .cta
        .set_fault(ArmedFault::times(2, CtaFault::MalformedXml));
    while world.collection(COLLECTION).failures < 2 {
        world.run_for(10 * MINUTE).await;
    }
    let moment = ago(&world, 2 * HOUR);
    let to = To::Moment {
        moment: moment.clone(),
    };
    set_in_the_middle(&mut world, CtaFault::StalledAnswer, to).await;
    let known = world.collection(COLLECTION);
    assert_eq!((known.failures, known.span), (0, None));
    assert_eq!(known.checkpoint.unwrap().text(), moment.text());
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn that_of_a_service_that_got_another_name_can_be_moved() {
    let mut world = with_a_past().await;
    let before = (world.checkpoint(), world.ids_in_file().len());
    world.restart_with(|toml| toml.replacen("name = \"cta\"", "name = \"renamed\"", 1));
    world.forget_checkpoints();
    let key = |service: &str| cta_forwarder::state::CollectionKey {
        service: service.to_owned(),
        collection: COLLECTION.to_owned(),
    };
    let (house, services) = (world.agent.house().clone(), world.config().services.clone());
    let mv = |from: &str| change(To::Of { key: key(from) });
    let error = checkpoints::set(&house, &services, &mv("renamed")).unwrap_err();
    assert!(error.to_string().contains("still configured"), "{error}");
    let error = checkpoints::set(&house, &services, &mv("typo")).unwrap_err();
    let known = format!(
        "typo/{COLLECTION} has no checkpoint that could be moved; these have one: cta/{COLLECTION}"
    );
    assert_eq!(error.to_string(), known);
    checkpoints::set(&house, &services, &mv("cta")).unwrap();
    let checkpoint = |service: &str| {
        let known = house
            .state
            .look(|picture| picture.collection(&key(service)).cloned());
        known.and_then(|known| Some(known.checkpoint?.text().to_owned()))
    };
    assert_eq!(checkpoint("renamed"), before.0);
    assert_eq!(checkpoint("cta"), None);
    drop(house);
    world.publish();
    world.run_for(HOUR).await;
    // Only what is new: nothing was fetched again.
    let all = world.ids_in_file();
    assert!(all.len() > before.1);
    let unique: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(unique.len(), all.len());
    world.assert_adds_up();
}
