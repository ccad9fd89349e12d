//! Letters in a simulated world: what was decided is done once, wherever the disk refuses, and every
//! event stays accounted for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::disk::refusal;
use crate::event::EventId;
use crate::simulator::ArmedFault;
use crate::simulator::hec::HecFault;
use crate::state::Finished;

use crate::world::{Setup, World, assert_same};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn setup() -> Setup {
    let splunk = "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{hec}\"]\n\
                  token = { file = \"{folder}/token\" }\n\
                  batch = { max_events = 7, max_wait = \"1s\" }\n";
    Setup {
        service: "initial_lookback = \"1h\"\n".to_owned(),
        outputs: splunk.to_owned(),
        ..Setup::default()
    }
}

/// A world in which Splunk has refused so many events and is done with everything.
async fn refused(count: u64) -> World {
    let mut world = World::new(setup());
    for _ in 0..8 {
        world.publish();
    }
    for _ in 0..count {
        world.hec.set_fault(ArmedFault::once(refusal_of_one()));
        for _ in 0..4 {
            world.publish();
        }
        world.run_for(20 * MINUTE).await;
    }
    assert_eq!(letters(&world).len() as u64, count);
    assert_eq!(world.status().spool.batches, 0);
    world
}

fn refusal_of_one() -> HecFault {
    HecFault::Code { code: 12, event: 0 }
}

fn letters(world: &World) -> Vec<LetterHead> {
    Choice::default().find(world.agent.house()).unwrap()
}

fn all() -> Choice {
    Choice::default()
}

fn one(id: &str) -> Choice {
    Choice {
        ids: vec![id.to_owned()],
        ..Choice::default()
    }
}

fn send_again(world: &World, choice: &Choice, to: Option<&str>) -> Result<Retried, LettersError> {
    let services = &world.config().services;
    retry(world.agent.house(), services, choice, to, |_| {})
}

fn finished(world: &World, output: &str) -> Finished {
    let outputs = world.status().outputs;
    let found = outputs.iter().find(|status| status.name == output);
    found.unwrap().finished
}

fn dead_ids(letters: &[LetterHead]) -> Vec<EventId> {
    let id = |letter: &LetterHead| match &letter.about {
        About::Event { event_id, .. } => event_id.unwrap(),
        About::Block { .. } => panic!("{letter:?}"),
    };
    letters.iter().map(id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_retried_arrives_once_and_moves_no_checkpoint() {
    let mut world = refused(3).await;
    let checkpoint = world.checkpoint();
    let before = finished(&world, "splunk");
    assert_eq!(before.dead_letters, 3);
    let retried = send_again(&world, &all(), None).unwrap();
    assert_eq!((retried.retried, retried.kept), (3, 0));
    assert_eq!(letters(&world), []);
    world.assert_adds_up();
    assert_eq!(world.checkpoint(), checkpoint);
    let added: Vec<_> = world
        .ledger()
        .into_iter()
        .filter(|record| record["type"] == "batch_added")
        .collect();
    assert_eq!(added.len(), 1, "one collection, one output, one batch");
    assert_eq!(added[0]["origin"], "retry");
    assert_eq!(added[0]["outputs"], serde_json::json!(["splunk"]));
    world.run_for(HOUR).await;
    world.assert_exactly_once_at_splunk();
    world.assert_exactly_once();
    // It stays a dead letter of its first batch, and is delivered by its second.
    let after = finished(&world, "splunk");
    assert_eq!(after.dead_letters, 3);
    assert_eq!(after.delivered, before.delivered + 3);
    assert_eq!(
        world.collection("webflows_1234567890_v0").events,
        before.total()
    );
    world.restart();
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_refused_again_is_a_letter_again() {
    let mut world = refused(1).await;
    let first = letters(&world);
    world
        .hec
        .set_fault(ArmedFault::once(HecFault::Code { code: 12, event: 0 }));
    send_again(&world, &one(&first[0].id[..6]), None).unwrap();
    world.run_for(HOUR).await;
    let second = letters(&world);
    assert_eq!(dead_ids(&second), dead_ids(&first));
    assert_ne!(second[0].id, first[0].id);
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_output_can_have_them() {
    let mut world = refused(2).await;
    let ids = dead_ids(&letters(&world));
    let error = send_again(&world, &all(), Some("nowhere")).unwrap_err();
    assert!(
        error.to_string().contains("there are: file, splunk"),
        "{error}"
    );
    send_again(&world, &all(), Some("file")).unwrap();
    world.run_for(HOUR).await;
    let in_file = world.ids_in_file();
    for id in ids {
        assert_eq!(in_file.iter().filter(|found| **found == id).count(), 2);
    }
    assert_eq!(letters(&world), []);
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_output_that_has_never_run_joins_before_it_gets_them() {
    let world = refused(1).await;
    let house = world.agent.house();
    let mut outputs = (*house.outputs.now()).clone();
    let mut new = outputs[0].clone();
    new.name = "new".to_owned();
    outputs.push(new);
    house.outputs.replace(outputs.clone());
    send_again(&world, &all(), Some("new")).unwrap();
    let types: Vec<String> = world
        .ledger()
        .iter()
        .map(|record| record["type"].as_str().unwrap().to_owned())
        .collect();
    let place = |wanted: &str| types.iter().rposition(|found| found == wanted).unwrap();
    assert!(place("output_added") < place("batch_added"), "{types:?}");
    let status = world.status();
    let new = status.outputs.iter().find(|output| output.name == "new");
    assert_eq!(new.unwrap().pending_events, 1);
    outputs.pop();
    house.outputs.replace(outputs);
    crate::roster::forget(house, "new").unwrap();
    assert_eq!(world.status().spool.batches, 0);
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_dropped_counts_as_discarded() {
    let mut world = refused(3).await;
    let before = finished(&world, "splunk");
    let id = letters(&world)[1].id.clone();
    assert_eq!(
        drop(world.agent.house(), &one(&id.to_uppercase()))
            .unwrap()
            .dropped,
        1
    );
    let after = finished(&world, "splunk");
    assert_eq!((after.dead_letters, after.discarded), (2, 1));
    assert_eq!(after.total(), before.total());
    world.assert_adds_up();
    let error = drop(world.agent.house(), &one(&id)).unwrap_err();
    assert!(matches!(error, LettersError::Unknown { .. }), "{error}");
    assert_eq!(drop(world.agent.house(), &all()).unwrap().dropped, 2);
    assert_eq!(drop(world.agent.house(), &all()).unwrap().dropped, 0);
    assert_eq!(finished(&world, "splunk").discarded, 3);
    world.restart();
    world.assert_adds_up();
    assert_eq!(finished(&world, "splunk").discarded, 3);
    // Nothing is left of them.
    let folder = world.state_folder().join("spool/dead-letters");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

/// A world in which Splunk has refused one event of a batch and is away before it is done with it.
async fn open_batch() -> World {
    let mut world = World::new(setup());
    for _ in 0..8 {
        world.publish();
    }
    world.hec.set_fault(ArmedFault::once(refusal_of_one()));
    let busy = HecFault::Code { code: 9, event: 0 };
    world.hec.set_fault(ArmedFault::until_cleared(busy));
    world.run_for(20 * MINUTE).await;
    world.hec.clear_faults();
    world.hec.refuse_connections().await.unwrap();
    world.restart();
    world.run_for(MINUTE).await;
    assert_eq!(letters(&world).len(), 1);
    assert_eq!(world.status().spool.batches, 1);
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn letters_of_a_batch_that_is_not_done_with_are_counted_with_it() {
    for is_dropped in [true, false] {
        let mut world = open_batch().await;
        world.assert_adds_up();
        if is_dropped {
            drop(world.agent.house(), &all()).unwrap();
        } else {
            send_again(&world, &all(), None).unwrap();
        }
        world.assert_adds_up();
        let so_far = finished(&world, "splunk");
        let expect = (u64::from(!is_dropped), u64::from(is_dropped));
        assert_eq!((so_far.dead_letters, so_far.discarded), expect);
        world.restart();
        world.assert_adds_up();
        assert_eq!(finished(&world, "splunk"), so_far);
        world.hec.accept_connections().await.unwrap();
        world.run_for(HOUR).await;
        world.assert_adds_up();
        let after = finished(&world, "splunk");
        assert_eq!((after.dead_letters, after.discarded), expect);
        let published = world.cta.published_ids().len() as u64;
        assert_eq!(after.total(), published + u64::from(!is_dropped));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_settles_its_event_even_where_the_cursor_is_lost() {
    for is_dropped in [true, false] {
        let mut world = open_batch().await;
        if is_dropped {
            drop(world.agent.house(), &all()).unwrap();
        }
        world.restart_after(|state| {
            std::fs::remove_dir_all(state.join("state.sled")).unwrap();
        });
        world.assert_adds_up();
        world.hec.accept_connections().await.unwrap();
        world.run_for(HOUR).await;
        world.assert_adds_up();
        let sent: BTreeSet<EventId> = world.hec.event_ids().into_iter().collect();
        assert_eq!(sent.len() + 1, world.cta.published_ids().len());
        assert_eq!(letters(&world).len(), usize::from(!is_dropped));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_block_that_can_be_read_by_now_gives_its_events() {
    let service = "initial_lookback = \"1h\"\n[service.limits]\nmax_properties = 3\n";
    let mut world = World::new(Setup {
        service: service.to_owned(),
        ..setup()
    });
    // Of several publications some have a flow.
    for _ in 0..5 {
        world.publish();
    }
    world.run_for(30 * MINUTE).await;
    let refused = letters(&world).len();
    assert!(refused > 1);
    let kept = send_again(&world, &all(), None).unwrap();
    assert_eq!((kept.retried, kept.kept), (0, refused));
    assert_eq!(letters(&world).len(), refused);
    assert_eq!(world.status().spool.batches, 0);

    world.restart_with(|toml| toml.replace("max_properties = 3\n", ""));
    let mut told = Vec::new();
    let (house, services) = (world.agent.house(), &world.config().services);
    let retried = retry(house, services, &all(), None, |what| told.push(what)).unwrap();
    assert_eq!((retried.retried, retried.kept), (refused, 0));
    assert!(told[0].contains("to file, splunk as batch"), "{told:?}");
    world.run_for(HOUR).await;
    world.assert_exactly_once();
    world.assert_exactly_once_at_splunk();
    let events = world.events_in_file();
    assert_eq!(events[0]["collection"], "webflows_1234567890_v0");
    assert_eq!(letters(&world), []);
    let folder = world.state_folder().join("spool/dead-letters");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_output_that_comes_back_has_its_letters_still() {
    let mut world = refused(2).await;
    let with_splunk = std::cell::RefCell::new(String::new());
    world.restart_with(|toml| {
        with_splunk.replace(toml.to_owned());
        let at = toml.find("[[output]]\nname = \"splunk\"").unwrap();
        toml[..at].to_owned()
    });
    let error = send_again(&world, &all(), None).unwrap_err();
    let mend = "retry --all --output splunk --to OUTPUT`";
    assert!(error.to_string().contains(mend), "{error}");
    let gone = |output: &str| Choice {
        output: Some(output.to_owned()),
        ..Choice::default()
    };
    let house = world.agent.house();
    assert_eq!(gone("splunk").find(house).unwrap().len(), 2);
    let error = gone("typo").find(house).unwrap_err().to_string();
    assert!(error.contains("no output \"typo\""), "{error}");
    assert!(error.ends_with("there are: file, splunk"), "{error}");
    crate::roster::forget(world.agent.house(), "splunk").unwrap();
    world.assert_adds_up();
    world.restart_with(|_| with_splunk.take());
    world.assert_adds_up();
    assert_eq!(drop(world.agent.house(), &all()).unwrap().dropped, 2);
    world.assert_adds_up();
}

/// A line that was changed by hand.
fn without_checksum(line: &str) -> String {
    let (body, _) = line.rsplit_once(",\"crc32\":").unwrap();
    format!("{body}}}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn several_letters_for_one_event_are_one_event() {
    let mut world = refused(1).await;
    let folder = world.state_folder().join("spool/dead-letters");
    let segment = folder.join("00000001.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap();
    let id = letters(&world)[0].id.clone();
    let other = uuid::Uuid::new_v4().to_string();
    let again = without_checksum(&text.replace(&id, &other));
    std::fs::write(&segment, text + &again).unwrap();
    world.assert_adds_up();
    let retried = send_again(&world, &one(&other), None).unwrap();
    assert_eq!((retried.retried, retried.along), (2, 1));
    world.assert_adds_up();
    world.run_for(HOUR).await;
    world.assert_exactly_once_at_splunk();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_decision_is_taken_or_not_wherever_the_disk_refuses() {
    // The disk refuses one step, and the agent goes on; or all from there on, as when it stops.
    for more in [0, u64::MAX] {
        for is_dropped in [true, false] {
            let mut step = 0;
            loop {
                let mut world = refused(2).await;
                let ids = dead_ids(&letters(&world));
                refusal::refuse(step, more);
                let decided = if is_dropped {
                    drop(world.agent.house(), &all()).map(std::mem::drop)
                } else {
                    send_again(&world, &all(), None).map(std::mem::drop)
                };
                let is_over = refusal::end() <= step;
                let place = format!("step {step}, {more} more, {decided:?}");
                if decided.is_ok() {
                    assert_eq!(letters(&world), [], "{place}");
                }
                if more == 0 {
                    let audit = world.audit();
                    assert!(audit.ok, "{place}: {audit:#?}");
                }
                world.restart();
                world.run_for(HOUR).await;
                let audit = world.audit();
                assert!(audit.ok, "{place}: {audit:#?}");
                let left = dead_ids(&letters(&world));
                let splunk = finished(&world, "splunk");
                let sent = world.hec.event_ids();
                let came = ids.iter().filter(|id| sent.contains(id)).count();
                if is_dropped {
                    assert_eq!(left.len() as u64 + splunk.discarded, 2, "{place}");
                    assert_eq!(came, 0, "{place}");
                } else {
                    // Never lost: there, or delivered.
                    assert!(left.is_empty() || came == 0, "{place}: {left:?}, {came}");
                    assert_eq!(left.len() + came, 2, "{place}");
                    assert_same(
                        "Splunk or the dead letters",
                        &world.cta.published_ids(),
                        &[sent, left].concat(),
                    );
                }
                if is_over {
                    break;
                }
                step += 1;
            }
            assert!(step > 5, "{step} steps");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn which_letter_is_meant_must_be_clear() {
    let world = refused(1).await;
    let segment = world
        .state_folder()
        .join("spool/dead-letters/00000001.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap();
    let id = letters(&world)[0].id.clone();
    let alike = format!("{}{}", &id[..35], if id.ends_with('0') { '1' } else { '0' });
    let other = text.replace(&id, &alike).replace("\"line\":", "\"line\":1");
    std::fs::write(&segment, text + &without_checksum(&other)).unwrap();
    let house = world.agent.house();
    for (begin, expect) in [
        ("", "there is no dead letter"),
        ("zz", "there is no dead letter"),
        (&id[..8], "2 dead letters"),
    ] {
        let error = one(begin).find(house).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
    assert_eq!(one(&alike).find(house).unwrap().len(), 1);
    for (output, collection, expect) in [
        (Some("splunk"), None, 2),
        (Some("file"), None, 0),
        (Some("splunk"), Some("other"), 0),
        (None, Some("webflows_1234567890_v0"), 2),
    ] {
        let choice = Choice {
            ids: Vec::new(),
            output: output.map(str::to_owned),
            collection: collection.map(str::to_owned),
        };
        assert_eq!(choice.find(house).unwrap().len(), expect);
        let (mut tape, _) = list(house, &choice).unwrap();
        assert_eq!(
            tape.rewind().unwrap().read_record(&mut Vec::new()).unwrap(),
            expect > 0
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_output_that_waits_for_room_goes_on_when_there_is_some() {
    for is_dropped in [true, false] {
        let mut world = World::new(Setup {
            state: "max_dead_letter_bytes = \"2KiB\"\n".to_owned(),
            ..setup()
        });
        world
            .hec
            .set_fault(ArmedFault::until_cleared(HecFault::Code {
                code: 12,
                event: 0,
            }));
        for _ in 0..4 {
            world.publish();
        }
        world.run_for(20 * MINUTE).await;
        let hold = |world: &World| {
            let outputs = world.status().outputs;
            let found = outputs.into_iter().find(|status| status.name == "splunk");
            found.unwrap().activity.hold
        };
        let waits = hold(&world).unwrap();
        assert!(
            waits.mend.contains("cta-forwarder dead-letters"),
            "{waits:?}"
        );
        let kept = letters(&world).len();
        assert!(kept > 0);
        world.hec.clear_faults();
        world
            .hec
            .set_fault(ArmedFault::times(1, HecFault::Code { code: 12, event: 0 }));
        if is_dropped {
            drop(world.agent.house(), &all()).unwrap();
        } else {
            send_again(&world, &all(), None).unwrap();
        }
        world.run_for(HOUR).await;
        assert_eq!(hold(&world), None);
        assert_eq!(letters(&world).len(), 1);
        assert_eq!(world.status().spool.batches, 0);
        world.assert_adds_up();
    }
}

/// A world that has lost all that the agent knew, but for one dead letter, and has fetched again
/// while Splunk was away.
async fn known_by_its_letter_alone() -> World {
    let mut world = refused(1).await;
    world.hec.refuse_connections().await.unwrap();
    world.restart_after(|state| {
        for folder in ["ledger", "state.sled", "archive"] {
            std::fs::remove_dir_all(state.join(folder)).unwrap();
        }
    });
    world.assert_adds_up();
    for _ in 0..4 {
        world.publish();
    }
    world.run_for(20 * MINUTE).await;
    assert_eq!(world.status().spool.batches, 1);
    assert_eq!(letters(&world).len(), 1);
    world.assert_adds_up();
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_settles_no_event_of_a_batch_that_came_after_the_ledger_was_lost() {
    let mut world = known_by_its_letter_alone().await;
    let named = |letter: &LetterHead| place(letter).unwrap().seq;
    let oldest = world.agent.house().spool.numbers()[0];
    assert!(named(&letters(&world)[0]) < oldest, "batch {oldest}");
    world.restart();
    world.assert_adds_up();
    let owed = world.audit().batches.pop().unwrap();
    assert_eq!(
        (owed.output.as_str(), owed.pending),
        ("splunk", owed.fetched)
    );
    world.hec.accept_connections().await.unwrap();
    world.run_for(HOUR).await;
    let sent: BTreeSet<EventId> = world.hec.event_ids().into_iter().collect();
    assert_eq!(sent, world.cta.published_ids().into_iter().collect());
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_from_before_its_batch_was_staged_settles_nothing() {
    let mut world = known_by_its_letter_alone().await;
    let Some(EventPlace { seq, .. }) = place(&letters(&world)[0]) else {
        panic!("a block");
    };
    let batch = world.agent.house().spool.numbers()[0];
    // As a backup of the folder would bring it back.
    world.restart_after(|state| {
        let segment = state.join("spool/dead-letters/00000001.jsonl");
        let text = std::fs::read_to_string(&segment).unwrap();
        let (from, to) = (format!("\"seq\":{seq},"), format!("\"seq\":{batch},"));
        assert!(text.contains(&from), "{text}");
        std::fs::write(&segment, without_checksum(&text.replace(&from, &to))).unwrap();
    });
    world.hec.accept_connections().await.unwrap();
    world.run_for(HOUR).await;
    let sent: BTreeSet<EventId> = world.hec.event_ids().into_iter().collect();
    assert_eq!(sent, world.cta.published_ids().into_iter().collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_without_its_event_stays() {
    let world = refused(2).await;
    let segment = world
        .state_folder()
        .join("spool/dead-letters/00000001.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap();
    let (first, second) = text.split_once('\n').unwrap();
    let (head, _) = first.split_once("\"event\":").unwrap();
    std::fs::write(&segment, format!("{head}\"event\":null}}\n{second}")).unwrap();
    let stays = letters(&world)[0].id.clone();
    for expect in [(1, 1), (0, 1)] {
        let mut told = Vec::new();
        let (house, services) = (world.agent.house(), &world.config().services);
        let retried = retry(house, services, &all(), None, |what| told.push(what)).unwrap();
        assert_eq!((retried.retried, retried.kept), expect);
        assert!(told[0].contains(&stays), "{told:?}");
        assert_eq!(letters(&world)[0].id, stays);
        world.assert_adds_up();
    }
}

/// Changes the text of the first segment.
fn in_segment(state: &std::path::Path, change: impl FnOnce(String) -> String) {
    let path = state.join("spool/dead-letters/00000001.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, change(text)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_letter_is_lost_alone_and_told_in_the_ledger() {
    let mut world = refused(3).await;
    let before = finished(&world, "splunk");
    let there = letters(&world);
    world.restart_after(|state| in_segment(state, |text| text.replacen("\"line\"", "\"l1ne\"", 1)));
    assert_eq!(letters(&world), there[1..]);
    world.assert_adds_up();
    let after = finished(&world, "splunk");
    assert_eq!((after.dead_letters, after.lost), (2, before.lost + 1));
    assert_eq!(after.total(), before.total());
    let quarantine = world.state_folder().join("quarantine");
    let copy = std::fs::read_to_string(quarantine.join("dead-letters-00000001.jsonl")).unwrap();
    assert_eq!(copy.lines().count(), 3);
    // A person finds out what the line was.
    world.restart_after(|state| in_segment(state, |_| copy.replacen("\"l1ne\"", "\"line\"", 1)));
    assert_eq!(letters(&world), there);
    world.assert_adds_up();
    assert_eq!(finished(&world, "splunk"), before);
    drop(world.agent.house(), &all()).unwrap();
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_whose_tombstone_is_damaged_stays_gone() {
    for how in [Removal::Dropped, Removal::Retried] {
        let mut world = refused(3).await;
        let there = letters(&world);
        match how {
            Removal::Dropped => {
                drop(world.agent.house(), &one(&there[0].id)).unwrap();
            }
            Removal::Retried => {
                send_again(&world, &one(&there[0].id), None).unwrap();
            }
        }
        world.run_for(HOUR).await;
        let before = finished(&world, "splunk");
        world.restart_after(|state| {
            in_segment(state, |text| text.replacen("removed", "rem0ved", 1));
        });
        assert_eq!(letters(&world), there[1..]);
        world.assert_adds_up();
        assert_eq!(finished(&world, "splunk"), before);
        world.restart();
        assert_eq!(letters(&world), there[1..]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_running_agent_sets_damage_aside_when_it_is_asked() {
    let mut world = refused(3).await;
    let there = letters(&world);
    in_segment(&world.state_folder(), |text| {
        text.replacen("\"line\"", "\"l1ne\"", 1)
    });
    assert!(!world.audit().ok);
    assert_eq!(mend(world.agent.house(), true).unwrap().len(), 1);
    world.assert_adds_up();
    assert_eq!(letters(&world), there[1..]);
    assert_eq!(mend(world.agent.house(), true).unwrap(), []);
    send_again(&world, &all(), None).unwrap();
    world.run_for(HOUR).await;
    world.assert_adds_up();
    assert_eq!(finished(&world, "splunk").lost, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_whose_event_is_damaged_is_restored_from_the_archive() {
    let mut world = refused(3).await;
    let before = finished(&world, "splunk");
    let there = letters(&world);
    let spoil = |text: String| {
        let event = text.find(",\"event\":").unwrap();
        let mut bytes = text.into_bytes();
        bytes[event + 40..event + 60].fill(b'#');
        String::from_utf8(bytes).unwrap()
    };
    world.restart_after(|state| in_segment(state, spoil));
    assert_eq!(letters(&world), there);
    world.assert_adds_up();
    assert_eq!(finished(&world, "splunk"), before);
    let copy = world
        .state_folder()
        .join("quarantine/dead-letters-00000001.jsonl");
    assert!(copy.exists());
    // Without the archive it is lost.
    world.restart_after(|state| {
        std::fs::remove_dir_all(state.join("archive")).unwrap();
        in_segment(state, spoil);
    });
    assert_eq!(letters(&world), there[1..]);
    world.assert_adds_up();
    assert_eq!(finished(&world, "splunk").lost, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_that_comes_back_does_not_hide_one_that_is_lost() {
    let mut world = refused(3).await;
    let there = letters(&world);
    drop(world.agent.house(), &one(&there[0].id)).unwrap();
    world.restart_after(|state| {
        in_segment(state, |text| {
            let text = text.replacen("removed", "rem0ved", 1);
            let second = text.find('\n').unwrap() + 1;
            let (first, rest) = text.split_at(second);
            first.to_owned() + &rest.replacen("\"line\"", "\"l1ne\"", 1)
        });
    });
    assert_eq!(letters(&world), there[2..]);
    world.assert_adds_up();
    assert_eq!(finished(&world, "splunk").lost, 1);
}
