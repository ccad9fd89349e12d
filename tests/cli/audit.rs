//! `audit`: what it says, and its exit code.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::program::{Ended, run, wait_until};
use crate::simulator::Simulator;

fn audit(simulator: &Simulator, more: &[&str]) -> Ended {
    run(&simulator.arguments(&[&["audit"][..], more].concat()))
}

/// The files of events in the spool.
fn files(simulator: &Simulator) -> Vec<PathBuf> {
    let ready = simulator.state().join("spool/ready");
    let batches = fs::read_dir(ready).into_iter().flatten();
    let events = batches.map(|entry| entry.unwrap().path().join("events-0001.jsonl.zst"));
    events.filter(|path| path.exists()).collect()
}

#[test]
fn what_waits_is_counted_and_what_is_missing_is_named() {
    let simulator = Simulator::start();
    let ended = audit(&simulator, &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    assert!(!simulator.state().exists());

    simulator.put("/hec/outage", "");
    let agent = simulator.start_agent();
    let published = simulator.published().len();
    wait_until("it is in the spool", || !files(&simulator).is_empty());
    wait_until("it is recorded", || {
        let ended = audit(&simulator, &["--json"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let found: Value = serde_json::from_str(&ended.stdout).unwrap();
        found["outputs"][0]["pending"] == published
    });
    let ended = audit(&simulator, &[]);
    assert!(ended.stdout.starts_with("BATCH  COLLECTION"), "{ended:?}");
    assert!(ended.stdout.contains("everything is where it should be"));

    let file = files(&simulator).remove(0);
    let text = zstd::decode_all(fs::File::open(&file).unwrap()).unwrap();
    let first = text.iter().position(|byte| *byte == b'\n').unwrap();
    fs::write(&file, zstd::encode_all(&text[first + 1..], 1).unwrap()).unwrap();
    let beside = audit(&simulator, &[]);
    assert_eq!(beside.code, Some(1));
    assert!(beside.stdout.contains("1 is missing"), "{beside:?}");
    assert!(beside.stdout.contains("  -1\n"), "{beside:?}");
    assert_eq!(agent.stop().code, Some(0));
    let after = audit(&simulator, &["--json"]);
    assert_eq!(after.code, Some(1));
    let after: Value = serde_json::from_str(&after.stdout).unwrap();
    assert_eq!(after["ok"], false);
    assert_eq!(after["differences"].as_array().unwrap().len(), 2);
}
