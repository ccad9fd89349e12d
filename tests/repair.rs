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

use cta_forwarder::audit::Account;
use cta_forwarder::event::EventId;
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{CtaFault, CtaFaultOn, CtaRules};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use tracing::Level;
use world::logs::Logs;
use world::{Setup, World, assert_same};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A part of an answer, and so a file of a batch, holds so many publications.
const PER_PART: usize = 4;
/// Events of a request.
const IN_FLIGHT: usize = 7;

fn setup() -> Setup {
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

/// Waits until everything that is not damaged is at Splunk, while the service cannot be reached.
async fn settle_without_service(world: &mut World) {
    world.cta.refuse_connections().await.unwrap();
    world.hec.accept_connections().await.unwrap();
    world.run_for(HOUR).await;
    world.cta.accept_connections().await.unwrap();
}

fn repairing(world: &World) -> u64 {
    let audit = world.audit();
    assert_eq!(
        audit.batches.iter().map(|b| b.fetched).sum::<u64>(),
        audit.batches.iter().map(Account::total).sum::<u64>()
    );
    audit.batches.iter().map(|batch| batch.repairing).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_file_comes_back_as_it_was() {
    for damage in [flip, cut, gone] {
        let mut world = owing().await;
        let logs = Logs::capture();
        let batch = batches(&world)[1].clone();
        damage(&files(&batch)[0]);
        let checkpoint = world.checkpoint();
        settle_without_service(&mut world).await;
        // All but the damaged file is there, and it is told once.
        let published = world.cta.published_ids().len();
        let audit = world.audit();
        assert!(!audit.ok);
        let waits = repairing(&world);
        assert!(waits > 0);
        assert_eq!(world.hec.event_ids().len() as u64 + waits, published as u64);
        assert!(audit.differences[0].contains("for repair"), "{audit:#?}");
        assert!(
            audit.differences[0].contains(CtaRules::COLLECTION),
            "{audit:#?}"
        );
        assert_eq!(audit.differences.len(), 1, "{audit:#?}");
        let status = world.status();
        let splunk = status.outputs.iter().find(|output| output.name == "splunk");
        assert_eq!(splunk.unwrap().repairing_events, waits);
        settle(&mut world).await;
        assert_whole(&world);
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
            "begin=",
            "end=",
            "events-0001",
            "set aside",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(checkpoint <= world.checkpoint());
        world.restart();
        world.run_for(HOUR).await;
        assert_whole(&world);
    }
}

/// What is done to one file of a batch, or to its head, while the agent runs or while it is stopped.
#[derive(Debug, Clone)]
struct Blow {
    /// As a part of what there is.
    batch: Index,
    file: Index,
    place: Index,
    kind: BlowKind,
    is_stopped: bool,
}

#[derive(Debug, Clone, Copy)]
enum BlowKind {
    Flip(u8),
    Cut,
    Gone,
    Folder,
}

fn blow() -> impl Strategy<Value = Blow> {
    let kind = prop_oneof![
        6 => (0..8_u8).prop_map(BlowKind::Flip),
        3 => Just(BlowKind::Cut),
        1 => Just(BlowKind::Gone),
        1 => Just(BlowKind::Folder),
    ];
    let part = || any::<Index>();
    (part(), part(), part(), kind, any::<bool>()).prop_map(
        |(batch, file, place, kind, is_stopped)| Blow {
            batch,
            file,
            place,
            kind,
            is_stopped,
        },
    )
}

impl Blow {
    fn strike(&self, state: &Path) {
        let ready = state.join("spool/ready");
        let mut batches: Vec<PathBuf> = fs::read_dir(ready)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        batches.sort();
        let batch = &batches[self.batch.index(batches.len())];
        let mut all = files(batch);
        all.push(batch.join("batch.json"));
        let file = &all[self.file.index(all.len())];
        match self.kind {
            BlowKind::Folder => fs::remove_dir_all(batch).unwrap(),
            BlowKind::Gone => gone(file),
            BlowKind::Flip(bit) => {
                // An earlier blow may have taken it away.
                let Ok(mut bytes) = fs::read(file) else {
                    return;
                };
                if bytes.is_empty() {
                    return;
                }
                let place = self.place.index(bytes.len());
                bytes[place] ^= 1 << bit;
                fs::write(file, bytes).unwrap();
            }
            BlowKind::Cut => {
                let Ok(bytes) = fs::read(file) else { return };
                let place = self.place.index(bytes.len().max(1));
                fs::write(file, &bytes[..place]).unwrap();
            }
        }
    }
}

#[test]
fn whatever_is_damaged_everything_comes_once() {
    let cases = std::env::var("REPAIR_CASES").ok();
    let cases = cases.and_then(|cases| cases.parse().ok()).unwrap_or(12);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 8,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let blows = prop::collection::vec(blow(), 1..7);
    let result = TestRunner::new(config).run(&blows, |blows| {
        runtime.block_on(async {
            let mut world = owing().await;
            for blow in blows {
                if blow.is_stopped {
                    world.restart_after(|state| blow.strike(state));
                } else {
                    blow.strike(&world.state_folder());
                }
                world.run_for(MINUTE).await;
            }
            settle(&mut world).await;
            // A head that was altered beside the running agent waits for nobody.
            world.restart();
            world.run_for(HOUR).await;
            assert_whole(&world);
            assert_eq!(batches(&world), Vec::<PathBuf>::new());
        });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_head_costs_nothing() {
    let mut world = owing().await;
    let (batch, logs, polls) = (
        batches(&world)[1].clone(),
        Logs::capture(),
        world.polls().len(),
    );
    world.restart_after(|_| flip(&batch.join("batch.json")));
    let alarms = logs.take_alarms();
    assert_eq!(alarms.len(), 1, "{alarms:#?}");
    assert!(alarms[0].text.contains("written again"), "{alarms:#?}");
    assert_eq!(alarms[0].level, Level::WARN);
    let kept = world.state_folder().join("quarantine");
    assert_eq!(fs::read_dir(kept).unwrap().count(), 1);
    world.restart();
    assert_eq!(logs.take_alarms(), []);
    settle_without_service(&mut world).await;
    assert_whole(&world);
    assert_eq!(world.polls().len(), polls, "nothing was polled for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_files_and_a_folder() {
    let mut world = owing().await;
    let all = batches(&world);
    for file in files(&all[0]) {
        flip(&file);
    }
    fs::remove_dir_all(&all[1]).unwrap();
    settle_without_service(&mut world).await;
    assert!(repairing(&world) > 0);
    world.restart();
    settle(&mut world).await;
    assert_whole(&world);
}

/// A world in which Splunk has some events of the oldest batch.
async fn in_the_middle() -> World {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn in_the_middle_of_a_batch() {
    for damage in [flip, cut, gone] {
        let mut world = in_the_middle().await;
        let sent = world.hec.event_ids();
        assert!(!sent.is_empty());
        let all = files(&batches(&world)[0]);
        world.restart_after(|_| all.iter().for_each(|file| damage(file)));
        settle(&mut world).await;
        world.assert_exactly_once();
        // What was under way when it was killed comes twice, and that is not the damage's doing.
        let twice = world.hec.event_ids().len() - world.cta.published_ids().len();
        assert!(twice <= IN_FLIGHT, "{twice}");
        assert_at_splunk(&world, twice);
        assert_eq!(records(&world, "mended").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn in_the_middle_of_a_batch_and_the_answer_is_another_one() {
    // Whose lines can still be read up to its end, and one whose lines cannot.
    for (damage, may_be_known) in [(cut as fn(&Path), true), (gone, false)] {
        let mut world = in_the_middle().await;
        let sent = world.hec.event_ids().len();
        let all = files(&batches(&world)[0]);
        world.restart_after(|_| all.iter().for_each(|file| damage(file)));
        publish_late(&mut world, 0);
        settle(&mut world).await;
        let twice = world.hec.event_ids().len() - world.cta.published_ids().len();
        let allowed = if may_be_known { IN_FLIGHT } else { sent };
        assert!(twice <= allowed, "{twice} came twice, {allowed} may");
        assert_at_splunk(&world, twice);
        assert_eq!(records(&world, "batch_added").len(), 1);
    }
}

/// Publishes something more into a window that was polled long ago: an answer is another one then.
fn publish_late(world: &mut World, number: usize) {
    let stamp = world.stamps[number] - chrono::TimeDelta::seconds(1);
    world.cta.publish(world.generator.publication(stamp));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_that_is_another_one_is_compared_by_the_events() {
    for restart in [false, true] {
        let mut world = owing().await;
        let batch = batches(&world)[1].clone();
        let all = files(&batch);
        assert!(all.len() > 1);
        flip(&all[0]);
        settle_without_service(&mut world).await;
        // Before all that the batch holds.
        publish_late(&mut world, 10);
        let checkpoint = world.checkpoint();
        if restart {
            let requests = world.cta.requests().len();
            let cta = std::sync::Arc::clone(&world.cta);
            // In the middle of the repair.
            world
                .kill_when(HOUR, cta.wait_for_requests(requests + 2))
                .await;
        }
        settle(&mut world).await;
        let twice = world.hec.event_ids().len() - world.cta.published_ids().len();
        let allowed = if restart { IN_FLIGHT } else { 0 };
        assert!(twice <= allowed, "{twice} came twice, {allowed} may");
        assert_at_splunk(&world, twice);
        world.assert_gate_was_kept();
        assert!(checkpoint <= world.checkpoint());
        let added = records(&world, "batch_added");
        assert_eq!(added.len(), 1, "{added:#?}");
        assert_eq!(added[0]["origin"], "repair");
        let audit = world.audit();
        let splunk = audit
            .outputs
            .iter()
            .find(|output| output.output == "splunk")
            .unwrap();
        assert!(splunk.repaired > 0);
        assert_eq!(splunk.lost, 0);
        world.restart();
        world.run_for(HOUR).await;
        // No more than what the kill above has repeated.
        assert_at_splunk(&world, twice);
        world.assert_gate_was_kept();
    }
}

/// Everything that was ever published is at Splunk, once; the file had done with it before.
#[track_caller]
fn assert_at_splunk_only(world: &World) {
    world.assert_exactly_once_at_splunk();
    world.assert_gate_was_kept();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_repair_is_repaired() {
    let mut world = owing().await;
    flip(&files(&batches(&world)[1])[0]);
    settle_without_service(&mut world).await;
    publish_late(&mut world, 10);
    world.hec.refuse_connections().await.unwrap();
    world.run_for(HOUR).await;
    // The damaged batch is done with but for Splunk's part of the repair.
    let left = batches(&world);
    let repair = left.last().unwrap();
    let head = fs::read_to_string(repair.join("batch.json")).unwrap();
    assert!(head.contains("\"repair\""), "{head}");
    // What is in memory must be read again.
    world.restart_after(|_| files(repair).iter().for_each(|file| gone(file)));
    settle(&mut world).await;
    assert_at_splunk_only(&world);
    assert_eq!(records(&world, "damaged").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_service_no_longer_has_is_lost_and_told() {
    let mut world = owing().await;
    let batch = batches(&world)[1].clone();
    for file in files(&batch) {
        flip(&file);
    }
    settle_without_service(&mut world).await;
    let waits = repairing(&world);
    let logs = Logs::capture();
    // Half of the window has gone.
    let stamp = world.stamps[15];
    let now = world.cta.now();
    world
        .cta
        .change_rules(|rules| rules.retention = now - stamp + chrono::TimeDelta::minutes(2));
    let gaps = world.collection(CtaRules::COLLECTION).gaps;
    world.run_for(10 * MINUTE).await;
    world
        .cta
        .change_rules(|rules| rules.retention = chrono::TimeDelta::days(30));
    settle(&mut world).await;
    let errors = logs.take_alarms();
    let told: Vec<_> = errors
        .iter()
        .filter(|line| line.text.contains("content is lost"))
        .collect();
    assert_eq!(told.len(), 1, "{errors:#?}");
    assert!(told[0].text.contains(CtaRules::COLLECTION) && told[0].text.contains("begin="));
    let audit = world.audit();
    assert!(audit.ok, "{audit:#?}");
    let splunk = audit
        .outputs
        .iter()
        .find(|output| output.output == "splunk")
        .unwrap();
    assert!(splunk.lost > 0 && splunk.repaired > 0, "{splunk:?}");
    assert_eq!(splunk.lost + splunk.repaired, waits);
    let missing = world.cta.published_ids().len() - world.hec.event_ids().len();
    assert_eq!(splunk.lost, missing as u64);
    assert_eq!(world.collection(CtaRules::COLLECTION).gaps, gaps + 1);
    assert_eq!(batches(&world), Vec::<PathBuf>::new());
    world.restart();
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_window_that_the_service_refuses_is_given_up() {
    let mut world = owing().await;
    flip(&files(&batches(&world)[1])[0]);
    settle_without_service(&mut world).await;
    let waits = repairing(&world);
    let fault = CtaFault::StatusMessage {
        status_type: "FAILURE".to_owned(),
        message: "no".to_owned(),
        details: Vec::new(),
    };
    world
        .cta
        .set_fault(ArmedFault::until_cleared(fault).on(CtaFaultOn::Poll));
    let logs = Logs::capture();
    world.run_for(6 * HOUR).await;
    assert_eq!(records(&world, "repair_failed").len(), 5);
    assert_eq!(records(&world, "repair_ended").len(), 1);
    world.cta.clear_faults();
    settle(&mut world).await;
    let lines = logs.take_alarms();
    assert!(
        lines
            .iter()
            .any(|line| line.text.contains("content is lost")),
        "{lines:#?}"
    );
    world.assert_adds_up();
    let missing = world.cta.published_ids().len() - world.hec.event_ids().len();
    assert_eq!(missing as u64, waits);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_window_is_waited_for_as_long_as_the_service_is_away() {
    let mut world = owing().await;
    flip(&files(&batches(&world)[1])[0]);
    settle_without_service(&mut world).await;
    world.cta.refuse_connections().await.unwrap();
    let logs = Logs::capture();
    world.run_for(48 * HOUR).await;
    let told = logs.take_alarms();
    let told = told
        .iter()
        .filter(|line| line.text.contains("repaired"))
        .count();
    assert!(told < 12, "{told} lines in two days");
    assert!(repairing(&world) > 0);
    world.cta.accept_connections().await.unwrap();
    settle(&mut world).await;
    assert_whole(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_disk_that_reads_again_needs_no_poll() {
    let mut world = owing().await;
    let file = files(&batches(&world)[1])[0].clone();
    let whole = fs::read(&file).unwrap();
    flip(&file);
    settle_without_service(&mut world).await;
    let polls = world.polls().len();
    // A person puts it back from a backup.
    fs::write(&file, whole).unwrap();
    world.cta.refuse_connections().await.unwrap();
    world.run_for(HOUR).await;
    assert_whole(&world);
    assert_eq!(world.polls().len(), polls);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_checked_by_hand_is_found_and_mended() {
    use cta_forwarder::repair::{CheckedBatch, FileState, Repaired, check, repair};
    let mut world = owing().await;
    assert!(
        check(world.agent.house())
            .iter()
            .all(CheckedBatch::is_whole)
    );
    let batch = batches(&world)[1].clone();
    flip(&files(&batch)[0]);
    fs::write(batch.join("batch.json"), "{").unwrap();
    let found = check(world.agent.house());
    assert_eq!(found.iter().filter(|batch| !batch.is_whole()).count(), 1);
    assert!(found[1].head_damage.is_some());
    assert!(matches!(found[1].files[0].state, FileState::Damaged(_)));
    assert_eq!(check(world.agent.house()), found, "nothing was changed");
    let done = repair(world.agent.house()).unwrap();
    assert_eq!(done.heads.len(), 1);
    assert_eq!(
        done.files,
        [(found[1].seq, "events-0001.jsonl.zst".to_owned())]
    );
    let after = check(world.agent.house());
    assert_eq!(after[1].files[0].state, FileState::BeingRepaired);
    assert_eq!(repair(world.agent.house()).unwrap(), Repaired::default());
    settle(&mut world).await;
    assert_whole(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn polls_and_repairs_share_the_gate() {
    let mut world = World::new(Setup {
        service: "initial_lookback = \"5h\"\nmax_window = \"20m\"\n".to_owned(),
        ..setup()
    });
    world.hec.refuse_connections().await.unwrap();
    for minute in 0..5 * 60 {
        let stamp = world.cta.now() - chrono::TimeDelta::minutes(5 * 60 - minute);
        if minute % 10 == 0 {
            world.cta.publish(world.generator.publication(stamp));
        }
    }
    world.run_for(45 * MINUTE).await;
    let before = world.collection(CtaRules::COLLECTION).polled_at;
    for batch in batches(&world) {
        gone(&files(&batch)[0]);
    }
    let damaged = u32::try_from(batches(&world).len()).unwrap();
    world.hec.accept_connections().await.unwrap();
    world.run_for(damaged * 25 * MINUTE).await;
    // Though many windows are behind, each repair has had its opening; and the windows theirs.
    assert_eq!(repairing(&world), 0);
    assert!(world.collection(CtaRules::COLLECTION).polled_at > before);
    world.assert_gate_was_kept();
    settle(&mut world).await;
    assert_whole(&world);
}
