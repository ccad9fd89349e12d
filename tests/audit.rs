//! The audit: it holds after everything that can happen, and tells what a disk has lost.

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
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{BadBlock, CtaFault, CtaFaultOn};
use cta_forwarder::simulator::hec::HecFault;
use world::{Setup, World};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn world() -> World {
    let splunk = "[[output]]\nname = \"splunk\"\ntype = \"splunk_hec\"\nendpoints = [\"{hec}\"]\n\
                  token = { file = \"{folder}/token\" }\nbatch = { max_events = 5 }\n";
    World::new(Setup {
        service: "initial_lookback = \"1h\"\n".to_owned(),
        outputs: splunk.to_owned(),
        ..Setup::default()
    })
}

/// A world in which Splunk has one dead letter, and owes batches since it is away.
async fn owing() -> World {
    let mut world = world();
    world
        .hec
        .set_fault(ArmedFault::once(HecFault::Code { code: 12, event: 0 }));
    for _ in 0..25 {
        world.run_for(MINUTE).await;
        world.publish();
    }
    world.run_for(20 * MINUTE).await;
    world.hec.refuse_connections().await.unwrap();
    for _ in 0..25 {
        world.run_for(MINUTE).await;
        world.publish();
    }
    world.run_for(20 * MINUTE).await;
    world.assert_adds_up();
    assert_eq!(world.status().spool.dead_letters, 1);
    assert!(world.status().spool.batches > 1);
    world
}

/// The first file of events of the oldest batch.
fn file(state: &Path) -> PathBuf {
    let ready = state.join("spool/ready");
    let batches = fs::read_dir(ready).unwrap();
    let oldest = batches.map(|entry| entry.unwrap().path()).min().unwrap();
    oldest.join("events-0001.jsonl.zst")
}

/// Spoils something beside the running agent, then beside a stopped one; gives the differences.
async fn spoil(spoil: impl Fn(&Path)) -> Vec<String> {
    let mut world = owing().await;
    spoil(&world.state_folder());
    let beside = world.audit();
    assert!(!beside.ok);
    world.restart();
    assert_eq!(world.audit(), beside, "the next start finds the same");
    beside.differences
}

#[track_caller]
fn assert_told(differences: &[String], expect: &[&[&str]]) {
    assert_eq!(differences.len(), expect.len(), "{differences:#?}");
    for (difference, words) in differences.iter().zip(expect) {
        for word in *words {
            assert!(difference.contains(word), "{word:?}: {differences:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_line_that_is_gone() {
    let differences = spoil(|state| {
        let file = file(state);
        let text = zstd::decode_all(fs::File::open(&file).unwrap()).unwrap();
        let first = text.split_inclusive(|byte| *byte == b'\n').next().unwrap();
        let rest = zstd::encode_all(&text[first.len()..], 1).unwrap();
        fs::write(&file, rest).unwrap();
    })
    .await;
    let file = ["events-0001.jsonl.zst", "CRC"];
    let line = ["output \"splunk\"", "1 is missing"];
    assert_told(&differences, &[&file, &line]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_that_is_gone() {
    let differences = spoil(|state| fs::remove_file(file(state)).unwrap()).await;
    let file = ["events-0001.jsonl.zst", "No such file"];
    let lines = ["output \"splunk\"", ", 0 are accounted for"];
    assert_told(&differences, &[&file, &lines]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_byte_that_is_flipped() {
    let differences = spoil(|state| {
        let file = file(state);
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&file, bytes).unwrap();
    })
    .await;
    assert!(
        differences[0].contains("events-0001.jsonl.zst"),
        "{differences:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_head_that_says_something_else() {
    let mut world = owing().await;
    let head = file(&world.state_folder()).with_file_name("batch.json");
    let text = fs::read_to_string(&head).unwrap();
    let (before, events) = text.rsplit_once("\"events\": ").unwrap();
    fs::write(&head, format!("{before}\"events\": 1{events}")).unwrap();
    let differences = world.audit().differences;
    assert_told(
        &differences,
        &[&["batch.json", "checksum", "written again"]],
    );
    world.restart();
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn letters_that_are_gone() {
    let differences = spoil(|state| {
        let letters = state.join("spool/dead-letters");
        fs::remove_file(letters.join("00000001.jsonl")).unwrap();
    })
    .await;
    let letters = ["output \"splunk\": 1 dead letter was", "0 are in"];
    assert_told(&differences, &[&letters]);
}

/// A world whose only dead letters are two content blocks.
async fn refusing_blocks() -> World {
    let mut world = world();
    for _ in 0..2 {
        world.publish();
        let block = BadBlock::NotStix;
        let fault = ArmedFault::once(CtaFault::BadBlock { block });
        world.cta.set_fault(fault.on(CtaFaultOn::Poll));
        world.run_for(20 * MINUTE).await;
    }
    assert_eq!(world.status().spool.dead_letters, 2);
    world.assert_adds_up();
    world
}

/// The content blocks among the dead letters.
fn blocks(state: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state.join("spool/dead-letters")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "xml"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn content_blocks_that_are_gone_or_cut_short() {
    type Spoil = fn(&Path);
    let cases: [(Spoil, &[&str]); 3] = [
        (
            |state| fs::remove_file(&blocks(state)[0]).unwrap(),
            &["its content block block-", "is not in"],
        ),
        (
            |state| fs::write(&blocks(state)[0], "short").unwrap(),
            &["its content block block-", "has 5 bytes"],
        ),
        (
            |state| {
                let letters = state.join("spool/dead-letters");
                fs::remove_dir_all(&letters).unwrap();
                fs::create_dir(&letters).unwrap();
            },
            &["2 content blocks", "0 are in"],
        ),
    ];
    for (spoil, expect) in cases {
        let mut world = refusing_blocks().await;
        spoil(&world.state_folder());
        let beside = world.audit();
        assert_told(&beside.differences, &[expect]);
        world.restart();
        assert_eq!(world.audit(), beside, "the next start finds the same");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn content_blocks_that_are_dealt_with_are_missed_no_more() {
    let mut world = refusing_blocks().await;
    let all = cta_forwarder::letters::Choice::default();
    assert_eq!(
        cta_forwarder::letters::drop(world.agent.house(), &all)
            .unwrap()
            .dropped,
        2
    );
    assert_eq!(blocks(&world.state_folder()), Vec::<PathBuf>::new());
    world.assert_adds_up();
    world.restart();
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_letter_that_cannot_be_read() {
    let mut world = owing().await;
    let letters = world
        .state_folder()
        .join("spool/dead-letters/00000001.jsonl");
    let text = fs::read_to_string(&letters).unwrap();
    fs::write(&letters, text.replacen("\"type\"", "\"t\"", 1)).unwrap();
    let differences = world.audit().differences;
    let letters = ["output \"splunk\": 1 dead letter was", "0 are in"];
    assert_told(&differences, &[&["1 line in", "cannot be read"], &letters]);
    // The next start deals with it.
    world.restart();
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_that_nobody_knows() {
    let world = owing().await;
    let file = file(&world.state_folder());
    let stranger = world.state_folder().join("spool/ready/000000000999");
    fs::create_dir(&stranger).unwrap();
    fs::copy(&file, stranger.join("events-0001.jsonl.zst")).unwrap();
    let differences = world.audit().differences;
    assert_told(&differences, &[&["000000000999", "does not know"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_record_that_is_damaged_while_the_agent_runs() {
    let mut world = owing().await;
    let ledger = world.state_folder().join("ledger");
    let segments = fs::read_dir(ledger).unwrap();
    let last = segments.map(|entry| entry.unwrap().path()).max().unwrap();
    let text = fs::read_to_string(&last).unwrap();
    fs::write(&last, text.replacen("\"polled\"", "\"polked\"", 1)).unwrap();
    let differences = world.audit().differences;
    assert_told(&differences, &[&["of ledger/", "cannot be read"]]);
    // The next start deals with it, and what it deals with is told no more.
    world.restart();
    world.assert_adds_up();
    world.hec.accept_connections().await.unwrap();
    world.run_for(2 * HOUR).await;
    world.assert_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_an_agent_that_is_busy_there_is_never_a_false_difference() {
    let mut world = world();
    let house = world.agent.house().clone();
    let is_over = Arc::new(AtomicBool::new(false));
    let auditing = std::thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            let mut audits = 0;
            while !is_over.load(Ordering::Relaxed) {
                let audit = cta_forwarder::audit::audit(&house).unwrap();
                assert!(audit.ok, "{audit:#?}");
                audits += 1;
            }
            audits
        }
    });
    for round in 0..40 {
        let fault = HecFault::Code { code: 12, event: 0 };
        world.hec.set_fault(ArmedFault::once(fault));
        if round % 10 == 0 {
            world.hec.refuse_connections().await.unwrap();
        }
        for _ in 0..10 {
            world.publish();
        }
        world.run_for(11 * MINUTE).await;
        world.hec.accept_connections().await.unwrap();
        if round % 3 == 0 {
            let house = world.agent.house();
            let all = cta_forwarder::letters::Choice::default();
            if round % 2 == 0 {
                cta_forwarder::letters::drop(house, &all).unwrap();
            } else {
                let services = &world.config().services;
                cta_forwarder::letters::retry(house, services, &all, None, |_| {}).unwrap();
            }
        }
    }
    world.run_for(HOUR).await;
    is_over.store(true, Ordering::Relaxed);
    let audits = auditing.join().unwrap();
    assert!(audits > 10, "{audits}");
    world.assert_adds_up();
}
