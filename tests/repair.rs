//! Damage to the spool: whatever is flipped, cut or gone, every event reaches every output as it was
//! published, and where the service answers as it did, exactly once.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that finds nothing has failed"
)]

mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cta_forwarder::event::EventId;
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{CtaFault, CtaFaultOn, CtaRules};
use proptest::prelude::*;
use tracing::Level;
use world::logs::Logs;
use world::{Setup, World, assert_same};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A part of an answer, and so a file of a batch, holds so many publications.
const PER_PART: usize = 4;

fn setup() -> Setup {
    let splunk = "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{hec}\"]\n\
                  token = { file = \"{folder}/token\" }\nbatch = { max_events = 7 }\n\
                  retry = { initial = \"1s\", max = \"1m\" }\n";
    Setup {
        rules: CtaRules {
            publications_per_part: PER_PART,
            gzip: false,
            ..CtaRules::default()
        },
        service: "initial_lookback = \"1h\"\n".to_owned(),
        outputs: splunk.to_owned(),
        ..Setup::default()
    }
}

async fn publish_for(world: &mut World, minutes: u32) {
    for _ in 0..minutes {
        world.run_for(MINUTE).await;
        world.publish();
    }
}

/// A world in which Splunk is away and owed several batches of several files; the file has them all.
async fn owing() -> World {
    let mut world = World::new(setup());
    world.hec.refuse_connections().await.unwrap();
    publish_for(&mut world, 35).await;
    // Nothing more is published: whatever is polled from here on is a repair.
    world.run_for(15 * MINUTE).await;
    assert!(batches(&world).len() > 2);
    world
}

async fn settle(world: &mut World) {
    world.hec.accept_connections().await.unwrap();
    world.run_for(4 * HOUR).await;
}

/// The folders of batches in place, oldest first.
fn batches(world: &World) -> Vec<PathBuf> {
    let ready = world.state_folder().join("spool/ready");
    let mut folders: Vec<PathBuf> = fs::read_dir(ready)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
}

/// The files of events of a batch, in order.
fn files(batch: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(batch).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "zst"))
        .collect();
    files.sort();
    files
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

fn cut(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() - 3]).unwrap();
}

fn gone(file: &Path) {
    fs::remove_file(file).unwrap();
}

/// Polls of windows that were polled before.
fn repair_polls(world: &World) -> usize {
    let mut windows: BTreeMap<_, usize> = BTreeMap::new();
    for poll in world.polls() {
        *windows.entry(poll.begin).or_default() += 1;
    }
    windows.values().map(|count| count - 1).sum()
}

/// Everything is at both outputs, once, and as it was published.
#[track_caller]
fn assert_whole(world: &World) {
    world.assert_exactly_once();
    world.assert_exactly_once_at_splunk();
    assert_unaltered(world);
}

/// What Splunk has is byte for byte what the file has, which was written before the damage.
#[track_caller]
fn assert_unaltered(world: &World) {
    let at_file: BTreeMap<String, serde_json::Value> = world
        .events_in_file()
        .into_iter()
        .map(|event| (event["eventId"].as_str().unwrap().to_owned(), event))
        .collect();
    for event in world.hec.events() {
        let event = event.event;
        let id = event["eventId"].as_str().unwrap();
        assert_eq!(Some(&event), at_file.get(id));
    }
}

/// Everything is at Splunk, so many events more than once.
#[track_caller]
fn assert_at_splunk(world: &World, twice: usize) {
    let all = world.hec.event_ids();
    let mut distinct: Vec<EventId> = all.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_same("Splunk", &world.cta.published_ids(), &distinct);
    assert_eq!(all.len() - distinct.len(), twice, "so many came twice");
    assert_unaltered(world);
    world.assert_adds_up();
}

fn records(world: &World, kind: &str) -> Vec<serde_json::Value> {
    let mut ledger = world.ledger();
    ledger.retain(|record| record["type"] == kind);
    ledger
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_file_comes_back_as_it_was() {
    for damage in [flip, cut, gone] {
        let mut world = owing().await;
        let logs = Logs::capture();
        let batch = batches(&world)[1].clone();
        damage(&files(&batch)[0]);
        let checkpoint = world.checkpoint();
        world.hec.accept_connections().await.unwrap();
        world.run_for(2 * MINUTE).await;
        // All but the damaged file is there, and it is told once.
        let published = world.cta.published_ids().len();
        let account = world.audit();
        assert!(!account.ok);
        let waits: u64 = account.batches.iter().map(|batch| batch.repairing).sum();
        assert!(waits > 0);
        assert_eq!(world.hec.event_ids().len() as u64 + waits, published as u64);
        assert!(
            account.differences[0].contains("waits for repair")
                || account.differences[0].contains("wait for repair"),
            "{account:#?}"
        );
        assert_eq!(account.differences.len(), 1, "{account:#?}");
        settle(&mut world).await;
        assert_whole(&world);
        assert_eq!(repair_polls(&world), 1);
        assert_eq!(records(&world, "mended").len(), 1);
        let alarms = logs.take_alarms();
        let errors: Vec<_> = alarms
            .iter()
            .filter(|line| line.level == Level::ERROR)
            .collect();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        let text = &errors[0].text;
        for word in [
            CtaRules::COLLECTION,
            "begin",
            "end",
            "events-0001",
            "set aside",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        let after = world.checkpoint();
        assert!(checkpoint <= after);
        world.restart();
        world.run_for(HOUR).await;
        assert_whole(&world);
    }
}
