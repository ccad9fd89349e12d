//! The real binary, killed, and started again on a state folder in which the store, the ledger or
//! both are damaged: it starts, says what it found, polls no earlier than it may, and loses nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod rig;

use std::fs;
use std::path::{Path, PathBuf};

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::hec::HecFault;

use rig::Rig;

/// Does something to a state folder while no agent runs.
type Damage = fn(&Path);

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut text = fs::read(path).unwrap();
    change(&mut text);
    fs::write(path, text).unwrap();
}

fn last_segment(state: &Path) -> PathBuf {
    files(&state.join("ledger")).pop().unwrap()
}

/// Flips a bit in the line that is so many before the last.
fn flip_line(state: &Path, before_last: usize) {
    change(&last_segment(state), |text| {
        let starts: Vec<usize> = text
            .split_inclusive(|&byte| byte == b'\n')
            .scan(0, |at, line| Some(std::mem::replace(at, *at + line.len())))
            .collect();
        let line = starts[starts.len() - 1 - before_last.min(starts.len() - 1)];
        text[line + 20] ^= 1;
    });
}

fn no_store(state: &Path) {
    fs::remove_dir_all(state.join("state.sled")).unwrap();
}

fn no_ledger(state: &Path) {
    fs::remove_dir_all(state.join("ledger")).unwrap();
}

fn no_sense(state: &Path) {
    for segment in files(&state.join("ledger")) {
        fs::write(segment, "nothing of this\nmakes any sense\n").unwrap();
    }
}

/// What is done, and what is said about it, if it is certain what that is.
const DAMAGES: [(&str, Damage, Option<&str>); 12] = [
    ("no store", no_store, Some("the store is gone or older")),
    (
        "rubbish in every file of the store",
        |state| {
            for file in files(&state.join("state.sled")) {
                fs::write(file, "rubbish").unwrap();
            }
        },
        // An empty one, or one that cannot be opened: as sled takes it.
        None,
    ),
    (
        "half of the store",
        |state| {
            change(&state.join("state.sled/db"), |text| {
                text.truncate(text.len() / 2);
            });
        },
        None,
    ),
    (
        "a flipped bit in the store",
        |state| {
            change(&state.join("state.sled/db"), |text| {
                let last = text.iter().rposition(|&byte| byte != 0).unwrap();
                text[last / 2] ^= 4;
            });
        },
        None,
    ),
    (
        "a flipped bit in the store's configuration",
        |state| change(&state.join("state.sled/conf"), |text| text[10] ^= 4),
        Some("the store cannot be opened"),
    ),
    (
        "a flipped bit in the last record but one",
        |state| flip_line(state, 1),
        Some("restored from the store"),
    ),
    (
        "a flipped bit in an earlier record",
        |state| flip_line(state, 2),
        Some("restored from the store"),
    ),
    (
        "the last records are gone",
        |state| {
            change(&last_segment(state), |text| {
                // The last may not have been in the store yet.
                for _ in 0..3 {
                    let end = text.len() - 1;
                    let cut = text[..end].iter().rposition(|&byte| byte == b'\n').unwrap();
                    text.truncate(cut + 1);
                }
            });
        },
        Some("restored from the store"),
    ),
    ("no ledger", no_ledger, Some("the ledger is lost")),
    (
        "a ledger that makes no sense",
        no_sense,
        Some("the ledger is lost"),
    ),
    (
        "neither ledger nor store",
        |state| {
            no_ledger(state);
            no_store(state);
        },
        Some("the ledger is lost"),
    ),
    (
        "a ledger that makes no sense, and no store",
        |state| {
            no_sense(state);
            no_store(state);
        },
        Some("the ledger is lost"),
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_damaged_it_starts_and_loses_nothing() {
    for (what, damage, said) in DAMAGES {
        let mut rig = Rig::new(11);
        for _ in 0..3 {
            rig.publish();
            rig.more_polls(1).await;
        }
        let before = rig.log().len();
        rig.kill_and_start_after(damage);
        rig.publish();
        rig.more_polls(2).await;
        rig.arrived().await;
        rig.check_gate();
        let log = rig.log()[before..].to_owned();
        if let Some(said) = said {
            assert_eq!(log.matches(said).count(), 1, "{what}: {log}");
        }
        assert!(!log.contains("panicked"), "{what}: {log}");
        rig.kill_and_start();
        rig.more_polls(1).await;
        rig.drained().await;
        if let Some(said) = said {
            let log = rig.log();
            assert_eq!(log.matches(said).count(), 1, "{what}, once: {log}");
        }
        rig.stop_and_audit();
        rig.check_gate();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_the_store_is_noticed_and_costs_nothing() {
    let mut rig = Rig::new(12);
    rig.publish();
    rig.more_polls(2).await;
    let old = tempfile::tempdir().unwrap();
    rig.kill_and_start_after(|state| {
        for file in files(&state.join("state.sled")) {
            fs::copy(&file, old.path().join(file.file_name().unwrap())).unwrap();
        }
    });
    for _ in 0..3 {
        rig.publish();
        rig.more_polls(1).await;
    }
    let before = rig.log().len();
    rig.kill_and_start_after(|state| {
        for file in files(old.path()) {
            let to = state.join("state.sled").join(file.file_name().unwrap());
            fs::copy(&file, to).unwrap();
        }
    });
    rig.publish();
    rig.more_polls(2).await;
    rig.arrived().await;
    let log = rig.log()[before..].to_owned();
    assert_eq!(
        log.matches("the store is gone or older").count(),
        1,
        "{log}"
    );
    rig.drained().await;
    rig.stop_and_audit();
    rig.check_gate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_dead_letter_is_set_aside_told_and_counted() {
    let mut rig = Rig::new(14);
    let letter_file = "spool/dead-letters/00000001.jsonl";
    for wanted in 1..=2 {
        let refusal = HecFault::Code { code: 12, event: 0 };
        rig.hec.set_fault(ArmedFault::once(refusal));
        rig.publish();
        let segment = rig.path("state").join(letter_file);
        let kept = async {
            // A file tells nobody that it grows.
            let mut ticks = tokio::time::interval(std::time::Duration::from_millis(50));
            while fs::read_to_string(&segment).map_or(0, |text| text.lines().count()) < wanted {
                ticks.tick().await;
            }
        };
        rig.within_limit(kept).await;
        rig.drained().await;
    }
    let letters = rig.letters();
    assert_eq!(letters.len(), 2);
    let collection = letters[0]["collection"].as_str().unwrap();
    let flip = |state: &Path| change(&state.join(letter_file), |text| text[20] ^= 1);
    rig.kill_and_start_after(flip);
    rig.publish();
    rig.more_polls(1).await;
    rig.drained().await;
    assert_eq!(rig.letters(), letters[1..]);
    let log = rig.log();
    let told = "a line of the dead letters cannot be read";
    let line = log.lines().find(|line| line.contains(told)).unwrap();
    for part in [collection, "begin", "end", "output", "\"seq\"", "\"event\""] {
        assert!(line.contains(part.trim_matches('"')), "{part}: {line}");
    }
    assert!(log.contains("dead letters are lost"), "{log}");
    let copy = rig.path("state/quarantine/dead-letters-00000001.jsonl");
    assert_eq!(fs::read_to_string(copy).unwrap().lines().count(), 2);
    let (code, said) = rig.command(&["spool", "check"]);
    assert_eq!(code, Some(0), "{said}");
    // Beside a running agent.
    change(&rig.path("state").join(letter_file), |text| text[20] ^= 1);
    assert_eq!(rig.command(&["audit"]).0, Some(1));
    let (code, said) = rig.command(&["spool", "check", "--repair"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("dead-letters-00000001.jsonl.2"), "{said}");
    let (code, said) = rig.command(&["audit"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(rig.letters(), Vec::<serde_json::Value>::new());
    rig.kill_and_start();
    rig.more_polls(1).await;
    rig.stop_and_audit();
    rig.check_gate();
}
