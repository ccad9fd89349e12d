//! Replays in a simulated world: a batch goes out again once or not at all, wherever the disk refuses,
//! and nothing else moves.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::config::{OutputConfig, StartAt};
use crate::delivery::Cursor;
use crate::disk::refusal;
use crate::event::EventId;
use crate::simulator::ArmedFault;
use crate::simulator::hec::HecFault;
use crate::spool::Place;
use crate::world::{Setup, World};

const HOUR: Duration = Duration::from_secs(3600);

/// A world in which everything that was published is delivered and lies in the archive.
async fn delivered(state: &str) -> World {
    let splunk = "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{hec}\"]\n\
                  token = { file = \"{folder}/token\" }\nbatch = { max_wait = \"1s\" }\n";
    let mut world = World::new(Setup {
        service: "initial_lookback = \"1h\"\n".to_owned(),
        outputs: splunk.to_owned(),
        state: state.to_owned(),
        ..Setup::default()
    });
    for _ in 0..8 {
        world.publish();
    }
    world.run_for(HOUR).await;
    assert_eq!(world.status().spool.batches, 0);
    world
}

/// The same in several batches.
async fn delivered_in_parts() -> World {
    let mut world = delivered("").await;
    for _ in 0..2 {
        for _ in 0..8 {
            world.publish();
        }
        world.run_for(HOUR).await;
    }
    assert!(world.agent.house().spool.archived().len() > 2);
    world
}

fn choice() -> Choice {
    Choice {
        to: "splunk".to_owned(),
        ..Choice::default()
    }
}

fn all(world: &World) -> Vec<PlannedBatch> {
    plan(world.agent.house(), &choice()).unwrap().batches
}

fn replay_all(world: &World) -> Result<Vec<Replayed>, ReplayError> {
    let house = world.agent.house();
    let batches = all(world).into_iter();
    let sent = batches.map(|batch| send(house, &batch, "splunk", &Cursor::new()));
    sent.collect()
}

/// How often each published event is at Splunk.
fn times(world: &World) -> BTreeSet<usize> {
    let sent = world.hec.event_ids();
    let count = |id: &EventId| sent.iter().filter(|other| *other == id).count();
    world.cta.published_ids().iter().map(count).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_delivered_goes_out_again_and_nothing_else_moves() {
    let mut world = delivered("").await;
    let (checkpoint, polls) = (world.checkpoint(), world.polls().len());
    let archived = world.agent.house().spool.archived();
    let sent = replay_all(&world).unwrap();
    assert!(
        sent.iter()
            .all(|one| one.seq.is_some() && one.left_out.is_empty())
    );
    assert_eq!(world.checkpoint(), checkpoint);
    assert_eq!(world.polls().len(), polls);
    // Once more is enough, while it owes them and when it has them.
    assert_eq!(all(&world), []);
    world.run_for(HOUR).await;
    world.restart();
    assert_eq!(all(&world), []);
    assert_eq!(times(&world), BTreeSet::from([2]));
    // A copy is not kept beside what it is a copy of.
    let kept = world.agent.house().spool.archived();
    assert_eq!(
        kept.iter().filter(|seq| archived.contains(seq)).count(),
        archived.len()
    );
    let copies: BTreeSet<u64> = sent.iter().filter_map(|one| one.seq).collect();
    assert!(kept.iter().all(|seq| !copies.contains(seq)));
    world.assert_adds_up();
}

/// Splunk is busy from now on, and something waits for it.
async fn something_waits(world: &mut World) {
    world
        .hec
        .set_fault(ArmedFault::until_cleared(HecFault::Code {
            code: 9,
            event: 0,
        }));
    world.publish();
    world.run_for(HOUR).await;
}

/// Which batches a replay would send.
fn seqs(world: &World, choice: &Choice) -> Vec<u64> {
    let planned = plan(world.agent.house(), choice).unwrap();
    planned.batches.iter().map(|batch| batch.seq).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_replay_goes_on_where_it_stopped_also_one_that_sends_everything_again() {
    let mut world = delivered_in_parts().await;
    let archived = world.agent.house().spool.archived();
    let again = Choice {
        again: true,
        ..choice()
    };
    // Twice it is interrupted: as something new, and as what has been there.
    for (round, begun) in [(2, choice()), (3, again)] {
        let planned = plan(world.agent.house(), &begun).unwrap();
        let first = planned.batches[0];
        assert_eq!(planned.batches.len(), archived.len());
        let anew = if begun.again {
            planned.originals()
        } else {
            Cursor::new()
        };
        send(world.agent.house(), &first, "splunk", &anew).unwrap();
        world.restart();
        assert_eq!(seqs(&world, &choice()), archived[1..]);
        world.run_for(HOUR).await;
        assert_eq!(seqs(&world, &choice()), archived[1..]);
        replay_all(&world).unwrap();
        let planned = plan(world.agent.house(), &choice()).unwrap();
        assert_eq!(planned.plan.replayed, archived);
        world.run_for(HOUR).await;
        assert_eq!(times(&world), BTreeSet::from([round]));
    }
    // Another output has had nothing of it.
    let to_file = Choice {
        to: "file".to_owned(),
        ..choice()
    };
    assert_eq!(seqs(&world, &to_file), archived);
    world.assert_adds_up();
}

/// Adds an output to those that are configured, as a command finds it beside which no agent has
/// started with it.
fn configure(world: &World, change: impl FnOnce(&mut OutputConfig)) {
    let house = world.agent.house();
    let mut outputs = (*house.outputs.now()).clone();
    let mut new = outputs[0].clone();
    new.name = "new".to_owned();
    change(&mut new);
    outputs.push(new);
    house.outputs.replace(outputs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_output_gets_nothing_that_it_does_not_take() {
    let world = delivered("").await;
    configure(&world, |new| {
        new.collections = vec!["other".to_owned()];
    });
    let house = world.agent.house();
    let new = Choice {
        to: "new".to_owned(),
        ..choice()
    };
    let error = plan(house, &new).unwrap_err().to_string();
    assert!(
        error.contains("\"new\" does not take cta/webflows_1234567890_v0"),
        "{error}"
    );
    let archived = house.spool.archived();
    let one = Choice {
        batches: vec![archived[0]],
        ..new
    };
    let error = plan(house, &one).unwrap_err();
    assert!(matches!(error, ReplayError::NotTaken { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_output_joins_before_it_gets_anything_and_one_that_has_gone_gets_nothing() {
    let mut world = delivered_in_parts().await;
    something_waits(&mut world).await;
    configure(&world, |new| new.start_at = StartAt::Oldest);
    let house = world.agent.house();
    let is_known = || {
        house
            .state
            .look(|picture| picture.outputs.contains_key("new"))
    };
    let new = Choice {
        to: "new".to_owned(),
        with_spool: true,
        ..choice()
    };
    let planned = plan(house, &new).unwrap();
    assert!(!is_known(), "to ask changes nothing");
    let waiting: Vec<u64> = house.spool.numbers();
    assert_eq!(
        planned.plan.still_owed, waiting,
        "it starts with the oldest"
    );
    let send = |batch| send(house, batch, "new", &Cursor::new());
    let (first, second) = (&planned.batches[0], &planned.batches[1]);
    let error = send(first).unwrap_err();
    assert!(error.to_string().contains("was forgotten"), "{error}");
    begin(house, &new).unwrap();
    assert!(is_known());
    send(first).unwrap();
    let owed = waiting.len() + 1;
    let pending = |status: &crate::observe::status::Status| {
        let mut outputs = status.outputs.iter();
        let new = outputs.find(|output| output.name == "new");
        new.map(|new| new.pending_batches)
    };
    assert_eq!(pending(&world.status()), Some(owed as u64));

    // It leaves the configuration in the midst of it.
    let outputs = house.outputs.now();
    let without = outputs.iter().filter(|output| output.name != "new");
    house.outputs.replace(without.cloned().collect());
    let error = send(second).unwrap_err();
    assert!(error.to_string().contains("no output \"new\""), "{error}");
    let debt = crate::roster::forget(house, "new").unwrap();
    assert_eq!(debt.batches, owed as u64);
    assert_eq!(debt.events, debt.finished.discarded);
    assert_eq!(pending(&world.status()), None);
    house.outputs.replace((*outputs).clone());
    let error = send(second).unwrap_err();
    assert!(error.to_string().contains("was forgotten"), "{error}");
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn wherever_the_disk_refuses_each_batch_goes_out_once_or_not_at_all() {
    let mut step = 0;
    loop {
        let mut world = delivered("").await;
        let checkpoint = world.checkpoint();
        refusal::refuse(step, 0);
        let done = replay_all(&world);
        let is_over = refusal::end() <= step;
        let place = format!("step {step}, {done:?}");
        world.restart();
        assert_eq!(world.checkpoint(), checkpoint, "{place}");
        world.run_for(HOUR).await;
        let times = times(&world);
        assert!(
            times.iter().all(|times| (1..=2).contains(times)),
            "{place}: {times:?}"
        );
        if done.is_ok() && is_over {
            assert_eq!(times, BTreeSet::from([2]), "{place}");
        }
        let audit = world.audit();
        assert!(audit.ok, "{place}: {audit:#?}");
        if is_over {
            break;
        }
        step += 1;
    }
    assert!(step > 5, "{step} steps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn replays_leave_polls_their_room_and_the_archive_what_it_has() {
    let world = delivered("max_spool_bytes = \"1MiB\"\n").await;
    let house = world.agent.house();
    let batch = all(&world)[0];
    room(house, &batch).unwrap();
    // Nothing waits: however large it is, it could never go out otherwise.
    let large = PlannedBatch {
        bytes: 900 << 10,
        ..batch
    };
    room(house, &large).unwrap();
    send(house, &batch, "splunk", &Cursor::new()).unwrap();
    let error = room(house, &large).unwrap_err().to_string();
    assert!(
        error.contains("of which replays may fill 524288"),
        "{error}"
    );
    room(house, &batch).unwrap();
    refusal::pretend_free(Some(0));
    let error = room(house, &batch).unwrap_err();
    refusal::pretend_free(None);
    assert!(
        matches!(error, ReplayError::NoRoom { free: 0, .. }),
        "{error}"
    );
    assert!(!house.spool.archived().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn batches_are_chosen_by_what_they_are() {
    let mut world = delivered("").await;
    let count = |world: &World, choice: Choice| {
        plan(world.agent.house(), &choice).map(|planned| planned.batches.len())
    };
    let seqs: Vec<u64> = all(&world).iter().map(|batch| batch.seq).collect();
    let head = |seq| {
        let house = world.agent.house();
        house.head_at(Place::Archive, seq).unwrap()
    };
    let (first, last) = (head(seqs[0]), head(*seqs.last().unwrap()));
    let end = last.window_end;
    let begin = first.window_end;
    let is = |change: &dyn Fn(&mut Choice), expect: usize| {
        let mut choice = choice();
        change(&mut choice);
        assert_eq!(count(&world, choice.clone()).unwrap(), expect, "{choice:?}");
    };
    let second = chrono::TimeDelta::seconds(1);
    is(&|choice| choice.begin = Some(end), 1);
    is(&|choice| choice.begin = Some(end + second), 0);
    is(&|choice| choice.end = Some(begin), 1);
    is(&|choice| choice.service = Some("other".to_owned()), 0);
    is(
        &|choice| choice.collection = Some(first.collection.clone()),
        seqs.len(),
    );
    is(&|choice| choice.batches = vec![seqs[0], seqs[0]], 1);
    is(&|choice| choice.below = Some(seqs[0]), 0);
    let unknown = Choice {
        batches: vec![999],
        ..choice()
    };
    assert!(count(&world, unknown).is_err());
    let nowhere = Choice {
        to: "nowhere".to_owned(),
        ..choice()
    };
    let error = count(&world, nowhere).unwrap_err().to_string();
    assert!(error.contains("there are: file, splunk"), "{error}");

    // What waits for an output is left out for that output.
    something_waits(&mut world).await;
    let waiting = world.agent.house().spool.numbers();
    assert!(!waiting.is_empty());
    let with_spool = Choice {
        with_spool: true,
        ..choice()
    };
    let planned = plan(world.agent.house(), &with_spool).unwrap();
    assert_eq!(planned.plan.still_owed.len(), waiting.len());
    assert_eq!(planned.batches.len(), all(&world).len());
}
