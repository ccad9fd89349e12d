//! What a start makes of what it finds: a store that is gone, old or damaged, a ledger that lacks
//! records, batches at any point of their way.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cta_forwarder::event::EventId;
use cta_forwarder::simulator::cta::CtaRules;
use tracing::Level;
use world::logs::Logs;
use world::{Setup, World, assert_same};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const GATE: Duration = Duration::from_secs(601);

/// Events of one request.
const IN_FLIGHT: usize = 10;

fn setup() -> Setup {
    let splunk = format!(
        "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{{hec}}\"]\n\
         token = {{ file = \"{{folder}}/token\" }}\nbatch = {{ max_events = {IN_FLIGHT} }}\n\
         retry = {{ initial = \"1s\", max = \"1m\" }}\n"
    );
    Setup {
        rules: CtaRules {
            publications_per_part: 4,
            gzip: false,
            ..CtaRules::default()
        },
        service: "initial_lookback = \"1h\"\n".to_owned(),
        outputs: splunk,
        ..Setup::default()
    }
}

async fn publish_for(world: &mut World, minutes: u32) {
    for _ in 0..minutes {
        world.run_for(MINUTE).await;
        world.publish();
    }
}

/// A world in which Splunk is away and owed several batches.
async fn owing() -> World {
    let mut world = World::new(setup());
    publish_for(&mut world, 25).await;
    world.run_for(10 * MINUTE).await;
    world.hec.refuse_connections().await.unwrap();
    publish_for(&mut world, 40).await;
    world
}

async fn settle(world: &mut World) {
    world.hec.clear_faults();
    world.cta.clear_faults();
    world.hec.accept_connections().await.unwrap();
    world.cta.accept_connections().await.unwrap();
    world.run_for(4 * HOUR).await;
}

/// Everything is at Splunk, at most so many events more than once.
#[track_caller]
fn assert_at_splunk(world: &World, allowed: usize) {
    let all = world.hec.event_ids();
    let mut distinct = all.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_same("Splunk", &world.cta.published_ids(), &distinct);
    let twice = all.len() - distinct.len();
    assert!(twice <= allowed, "{twice} came twice, {allowed} may");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The only segment of the ledger.
fn segment(state: &Path) -> PathBuf {
    let mut segments: Vec<PathBuf> = fs::read_dir(state.join("ledger"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    segments.pop().unwrap()
}

/// Changes the lines of the ledger's last segment.
fn edit_ledger(state: &Path, edit: impl FnOnce(&mut Vec<String>)) {
    let path = segment(state);
    let mut lines: Vec<String> = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    edit(&mut lines);
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

fn last_polled(lines: &[String]) -> usize {
    let is_polled =
        |line: &String| line.contains("\"type\":\"polled\"") && !line.contains("\"seq\":null");
    lines.iter().rposition(is_polled).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_store_that_is_gone_or_old_is_made_anew_from_the_ledger() {
    for keep_old in [false, true] {
        let mut world = owing().await;
        let old = tempfile::tempdir().unwrap();
        copy(&world.state_folder().join("state.sled"), old.path());
        publish_for(&mut world, 20).await;
        let last = world.polls().last().unwrap().monotonic;
        let checkpoint = world.checkpoint();
        world.restart_after(|state| {
            let store = state.join("state.sled");
            fs::remove_dir_all(&store).unwrap();
            if keep_old {
                copy(old.path(), &store);
            }
        });
        assert_eq!(world.checkpoint(), checkpoint);
        let polls = world.polls().len();
        settle(&mut world).await;
        assert!(world.polls()[polls].monotonic >= last + GATE);
        world.assert_exactly_once();
        assert_at_splunk(&world, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_store_without_its_cursors_sends_no_more_than_the_open_batch_again() {
    let mut world = World::new(setup());
    for _ in 0..40 {
        world.publish();
    }
    let hec = Arc::clone(&world.hec);
    // In the middle of the batch.
    world.kill_when(HOUR, hec.wait_for_requests(5)).await;
    let sent = world.hec.events_taken();
    world.restart_after(|state| fs::remove_dir_all(state.join("state.sled")).unwrap());
    settle(&mut world).await;
    assert_at_splunk(&world, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_store_that_is_rubbish_is_put_aside() {
    let mut world = owing().await;
    let logs = Logs::capture();
    world.restart_after(|state| {
        let store = state.join("state.sled");
        for entry in fs::read_dir(&store).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::write(path, "rubbish").unwrap();
            }
        }
    });
    // As sled takes it: it cannot be opened, or it is empty.
    let told = logs.take_alarms();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].text.contains("the store"), "{told:?}");
    settle(&mut world).await;
    world.assert_exactly_once();
    assert_at_splunk(&world, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_in_place_without_a_record_gets_one() {
    let mut world = owing().await;
    let old = tempfile::tempdir().unwrap();
    copy(&world.state_folder().join("state.sled"), old.path());
    let owed = world.status().spool.batches;
    let mut checkpoint = world.checkpoint();
    while world.status().spool.batches == owed {
        checkpoint = world.checkpoint();
        publish_for(&mut world, 1).await;
    }
    let (polls, after) = (world.polls().len(), world.checkpoint());
    assert_ne!(checkpoint, after);
    let logs = Logs::capture();
    // The kill came after the rename and before the record.
    world.restart_after(|state| {
        edit_ledger(state, |lines| {
            // With it goes that the file has it.
            lines.truncate(last_polled(lines));
        });
        fs::remove_dir_all(state.join("state.sled")).unwrap();
        copy(old.path(), &state.join("state.sled"));
    });
    let lines = logs.take();
    assert!(
        lines
            .iter()
            .any(|line| line.text.contains("without a record")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().all(|line| line.level > Level::WARN),
        "{lines:#?}"
    );
    assert_eq!((world.checkpoint(), world.polls().len()), (after, polls));
    settle(&mut world).await;
    assert_at_splunk(&world, 0);
    world.assert_gate_was_kept();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_that_is_done_but_not_archived_is_sent_to_nobody() {
    let mut world = owing().await;
    let copies = tempfile::tempdir().unwrap();
    let ready = world.state_folder().join("spool/ready");
    copy(&ready, copies.path());
    settle(&mut world).await;
    world.restart_after(|state| {
        fs::remove_dir_all(state.join("archive")).unwrap();
        copy(copies.path(), &ready);
    });
    assert_eq!(world.status().spool.batches, 0);
    settle(&mut world).await;
    world.assert_exactly_once();
    assert_at_splunk(&world, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_archive_has_was_delivered_whatever_ledger_and_store_lack() {
    let mut world = World::new(setup());
    publish_for(&mut world, 25).await;
    let (mut turn, mut finished) = (0, false);
    while !finished {
        world.run_for(Duration::from_secs(1)).await;
        let ledger = fs::read_to_string(segment(&world.state_folder())).unwrap();
        finished = ledger.lines().last().unwrap().contains("output_finished");
        turn += 1;
        assert!(turn < 3600, "{ledger}");
    }
    let logs = Logs::capture();
    world.restart_after(|state| {
        edit_ledger(state, |lines| drop(lines.pop()));
        fs::remove_dir_all(state.join("state.sled")).unwrap();
    });
    let alarms = logs.take_alarms();
    let told = |text: &str| {
        alarms
            .iter()
            .filter(|line| line.text.contains(text))
            .count()
    };
    assert_eq!(told("the archive has it"), 1, "{alarms:#?}");
    assert!(
        alarms.iter().all(|line| line.level == Level::WARN),
        "{alarms:#?}"
    );
    assert_eq!(world.status().spool.batches, 0);
    settle(&mut world).await;
    world.assert_exactly_once();
    world.assert_gate_was_kept();
    assert_at_splunk(&world, 0);
}

/// Wherever the ledger ends, what was delivered after that lies in the archive: it is told from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_ledger_without_its_end_and_without_the_store_is_noticed_by_the_archive() {
    let mut doubts = 0;
    for lost in 1..=9 {
        let mut world = World::new(setup());
        for _ in 0..25 {
            world.publish();
            world.run_for(MINUTE).await;
        }
        let logs = Logs::capture();
        let records = fs::read_to_string(segment(&world.state_folder())).unwrap();
        let records = records.lines().count();
        world.restart_after(|state| {
            edit_ledger(state, |lines| lines.truncate(records - lost));
            fs::remove_dir_all(state.join("state.sled")).unwrap();
        });
        let alarms = logs.take_alarms();
        let told = |text: &str| alarms.iter().any(|line| line.text.contains(text));
        doubts += u32::from(told("records are missing from the ledger"));
        world.restart();
        let again = logs.take_alarms();
        assert_eq!(again, [], "{lost} lost: it is said once");
        settle(&mut world).await;
        world.assert_exactly_once();
        world.assert_gate_was_kept();
        assert_at_splunk(&world, 0);
        assert!(
            world.audit().ok,
            "{lost} lost: {:?}",
            world.audit().differences
        );
    }
    assert!(doubts > 2, "{doubts}");
}

/// After damage to the ledger: told, every gate closed for an interval even if there are more
/// restarts, and nothing lost.
async fn damaged(mut world: World, damage: impl FnOnce(&Path)) -> World {
    let logs = Logs::capture();
    let polls = world.polls().len();
    world.restart_after(damage);
    let alarms = logs.take_alarms();
    let error = alarms.iter().rev().find(|line| line.level == Level::ERROR);
    let text = &error.unwrap().text;
    assert!(
        text.contains("records are missing from the ledger"),
        "{alarms:#?}"
    );
    world.run_for(5 * MINUTE).await;
    world.restart();
    world.run_for(5 * MINUTE).await;
    assert_eq!(world.polls().len(), polls, "the gates are closed");
    assert_eq!(
        logs.take_alarms()
            .iter()
            .filter(|line| line.level == Level::ERROR)
            .count(),
        0
    );
    settle(&mut world).await;
    world
}

/// After damage to the ledger beside a store that is whole: told once, and otherwise as if nothing
/// had been.
async fn restored(mut world: World, damage: impl FnOnce(&Path)) {
    let logs = Logs::capture();
    let checkpoint = world.checkpoint();
    world.restart_after(damage);
    let alarms = logs.take_alarms();
    let told = alarms
        .iter()
        .filter(|line| line.text.contains("restored from the store"));
    assert_eq!(told.count(), 1, "{alarms:#?}");
    assert!(
        alarms.iter().all(|line| line.level == Level::WARN),
        "{alarms:#?}"
    );
    assert_eq!(world.checkpoint(), checkpoint);
    let (polls, last) = (world.polls().len(), world.polls().last().unwrap().monotonic);
    // No longer than without the damage.
    world.run_for(GATE + MINUTE).await;
    assert!(world.polls().len() > polls, "no gate waits");
    assert!(world.polls()[polls].monotonic >= last + GATE);
    logs.take();
    world.restart();
    assert_eq!(logs.take_alarms(), [], "it is said once");
    settle(&mut world).await;
    world.assert_exactly_once();
    assert_at_splunk(&world, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_ledger_that_ends_before_the_store_does_is_made_up_for_by_it() {
    for cut in [1, 4, 9] {
        restored(owing().await, |state| {
            edit_ledger(state, |lines| lines.truncate(lines.len() - cut));
        })
        .await;
    }
}

/// Damages the record of the last batch but one, or of the last.
fn damage_polled(state: &Path, is_last: bool) {
    edit_ledger(state, |lines| {
        let mut polled = last_polled(lines);
        if !is_last {
            polled = last_polled(&lines[..polled]);
        }
        lines[polled] = lines[polled].replacen("polled", "p0lled", 1);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_record_that_is_damaged_costs_nothing_beside_the_store() {
    for is_last in [false, true] {
        restored(owing().await, |state| damage_polled(state, is_last)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_record_that_is_damaged_loses_neither_batch_nor_checkpoint_without_the_store() {
    for is_last in [false, true] {
        let world = owing().await;
        let checkpoint = world.checkpoint();
        let polls = world.polls().len();
        let world = damaged(world, |state| {
            damage_polled(state, is_last);
            fs::remove_dir_all(state.join("state.sled")).unwrap();
        })
        .await;
        assert_eq!(world.polls()[polls].begin, checkpoint);
        assert_at_splunk(&world, 0);
        world.assert_gate_was_kept();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_ledger_what_is_in_the_spool_is_sent_and_no_number_used_again() {
    let mut world = World::new(setup());
    publish_for(&mut world, 45).await;
    settle(&mut world).await;
    let archived = fs::read_dir(world.state_folder().join("archive"))
        .unwrap()
        .count();
    world.hec.refuse_connections().await.unwrap();
    publish_for(&mut world, 15).await;
    let world = damaged(world, |state| {
        fs::remove_dir_all(state.join("ledger")).unwrap();
    })
    .await;
    assert_at_splunk(&world, usize::MAX);
    let ledger = world.ledger();
    let seqs = ledger.iter().filter_map(|record| record["seq"].as_u64());
    assert!(seqs.min().unwrap() > archived as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_ledger_and_store_the_archive_tells_the_checkpoint() {
    let mut world = World::new(setup());
    publish_for(&mut world, 45).await;
    // No window without events after the last batch: only the ledger knows of those.
    let polls = world.polls().len();
    while world.polls().len() == polls {
        publish_for(&mut world, 1).await;
    }
    world.run_for(MINUTE).await;
    assert_eq!(world.status().spool.batches, 0);
    let polls = world.polls().len();
    let mut archived: Vec<PathBuf> = fs::read_dir(world.state_folder().join("archive"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    archived.sort();
    let head = fs::read(archived.last().unwrap().join("batch.json")).unwrap();
    let head: serde_json::Value = serde_json::from_slice(&head).unwrap();
    let checkpoint = head["record"]["checkpoint"].as_str().unwrap().to_owned();
    let mut world = damaged(world, |state| {
        fs::remove_dir_all(state.join("ledger")).unwrap();
        fs::remove_dir_all(state.join("state.sled")).unwrap();
    })
    .await;
    assert_eq!(world.polls()[polls].begin, Some(checkpoint));
    publish_for(&mut world, 15).await;
    settle(&mut world).await;
    world.assert_gate_was_kept();
    assert_at_splunk(&world, 0);
}

#[test]
fn ids_are_what_is_compared() {
    // A guard for the comparisons above: they must notice one that is missing and one too many.
    let id = |n| EventId::from_bytes([n; 16]);
    let missing = std::panic::catch_unwind(|| assert_same("here", &[id(1), id(2)], &[id(1)]));
    let more = std::panic::catch_unwind(|| assert_same("here", &[id(1)], &[id(1), id(1)]));
    assert!(missing.is_err() && more.is_err());
}
