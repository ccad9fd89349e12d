//! A batch that is in place while the ledger cannot be told.

use std::time::Duration;

use chrono::TimeDelta;

use crate::checkpoints::{self, CheckpointChange, CheckpointError, To};
use crate::disk::refusal;
use crate::poller::{Destination, ManualPoll, ManualPollError};
use crate::simulator::cta::{CtaRules, GateScope};
use crate::taxii::Timestamp;
use crate::taxii::window::PollWindow;
use crate::world::{Setup, World};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Polls the collection "one" on a disk that refuses everything from some step on: its batch is in
/// place and has no record. "two" has a poller of its own.
async fn unrecorded() -> World {
    for step in 0.. {
        let mut world = World::new(Setup {
            rules: CtaRules {
                gate_scope: GateScope::Collection,
                ..CtaRules::for_collections(&["one", "two"])
            },
            service: "initial_lookback = \"1h\"\npoll_limit_scope = \"collection\"\n".to_owned(),
            ..Setup::default()
        });
        publish_to(&mut world, "one");
        world.run_for(HOUR).await;
        publish_to(&mut world, "one");
        world.clock.advance(10 * MINUTE);
        refusal::refuse(step, u64::MAX);
        poll(&mut world, 0).await;
        let taken = refusal::end();
        if world.agent.pollers()[0].unrecorded.is_some() {
            return world;
        }
        assert!(taken > step, "no step leaves a batch without its record");
    }
    unreachable!("the disk takes no step after the last");
}

/// Publishes until there are events.
fn publish_to(world: &mut World, collection: &str) {
    let before = world.cta.published_ids().len();
    while world.cta.published_ids().len() == before {
        world.publish_to(collection);
    }
}

async fn poll(world: &mut World, poller: usize) {
    let poller = &mut world.agent.pollers()[poller];
    poller.tick();
    poller.turn().await;
}

fn set(world: &mut World, moment: &Timestamp) -> Result<(), CheckpointError> {
    let change = CheckpointChange {
        service: None,
        collection: "one".to_owned(),
        to: To::Moment {
            moment: moment.clone(),
        },
    };
    let services = &world.config().services;
    let news = world.agent.house().spool.news();
    checkpoints::set(world.agent.house(), services, &change)?;
    // Pollers that have nothing to do look where it is now.
    assert!(news.has_changed().unwrap());
    world.forget_checkpoints();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_record_that_comes_late_leaves_a_checkpoint_that_was_set_meanwhile() {
    let mut world = unrecorded().await;
    let moment = Timestamp::from(world.utc() - TimeDelta::hours(2));
    let refused = set(&mut world, &moment).unwrap_err();
    assert!(matches!(refused, CheckpointError::Unrecorded { .. }));
    // A record of a later batch hides that the one before it has none.
    publish_to(&mut world, "two");
    world.clock.advance(10 * MINUTE);
    poll(&mut world, 1).await;
    set(&mut world, &moment).unwrap();
    poll(&mut world, 0).await;
    assert!(world.agent.pollers()[0].unrecorded.is_none());
    let known = world.collection("one");
    assert_eq!(known.checkpoint.unwrap().text(), moment.text());
    // Its events are kept all the same.
    let owed = |world: &World| world.status().spool.batches;
    assert_eq!(owed(&world), 2);
    world.run_for(HOUR).await;
    assert_eq!(owed(&world), 0);
    world.assert_adds_up();
    let mut arrived = world.ids_in_file();
    arrived.sort_unstable();
    arrived.dedup();
    crate::world::assert_same("the file", &world.cta.published_ids(), &arrived);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_is_kept_for_an_output_that_has_gone_while_the_service_was_asked() {
    let mut world = World::new(Setup::default());
    publish_to(&mut world, "webflows_1234567890_v0");
    world.clock.advance(10 * MINUTE);
    // As if a person had forgotten it and configured it again meanwhile.
    let house = world.agent.house().clone();
    let mut outputs = (*house.outputs.now()).clone();
    let mut gone = outputs[0].clone();
    gone.name = "gone".to_owned();
    outputs.push(gone);
    house.outputs.replace(outputs);
    let now = house.clock.now().utc;
    let poll = ManualPoll {
        collection: "webflows_1234567890_v0".to_owned(),
        window: PollWindow {
            exclusive_begin: Some((now - TimeDelta::hours(1)).into()),
            inclusive_end: Some((now - TimeDelta::minutes(5)).into()),
        },
        destination: Destination::Output("gone".to_owned()),
    };
    let error = world.agent.pollers()[0]
        .poll_by_hand(&poll)
        .await
        .unwrap_err();
    assert!(matches!(error, ManualPollError::NotThere(_)), "{error}");
    assert!(house.spool.numbers().is_empty());
    let is_owed = house.state.look(|picture| !picture.batches.is_empty());
    assert!(!is_owed);
}
