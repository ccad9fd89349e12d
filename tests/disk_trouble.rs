//! The real binary on a disk that takes nothing for a while: full to the last byte, out of files, not
//! to be written, and a process without file descriptors. It holds, says so once, goes on by itself,
//! and has lost nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod rig;

use std::fs;
use std::time::Duration;

use rig::{IN_FLIGHT, Rig, Setup, SmallDisk};
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;

/// Takes what is left of the disk, to its last byte.
const FILL: &str = "cat /dev/zero >> state/filler 2>/dev/null || true";
const FREE: &str = "rm state/filler";

/// A rig whose state has a disk of its own; none where nobody may mount one.
fn rig_on(disk: Option<SmallDisk>, seed: u64) -> Option<Rig> {
    let disk = disk?;
    Some(Rig::with(Setup {
        seed,
        disk: Some(disk),
        state: "max_dead_letter_bytes = \"1MiB\"\n".to_owned(),
        ..Setup::default()
    }))
}

fn status(rig: &Rig) -> Option<Value> {
    let (code, said) = rig.command(&["status", "--json"]);
    (code == Some(0)).then(|| serde_json::from_str(&said).unwrap())
}

/// Waits until the status says why it is held, and what to do; gives the hold.
async fn held(rig: &Rig, of: &str) -> Value {
    held_by("true", rig, of).await
}

/// The same while a script goes on to trouble it: what the agent gives up itself is taken too.
async fn held_by(script: &str, rig: &Rig, of: &str) -> Value {
    let told = held_or(|_| false, script, rig, of).await;
    told.unwrap_or_default()
}

/// The same, unless the status says before that there is no need any more.
async fn held_or(
    is_needless: impl Fn(&Value) -> bool,
    script: &str,
    rig: &Rig,
    of: &str,
) -> Option<Value> {
    let mut told = Value::Null;
    let waiting = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        while told["hold"].is_null() && !is_needless(&told) {
            // A status tells nobody that it changes.
            ticks.tick().await;
            rig.script(script);
            if let Some(status) = status(rig) {
                told = status[of][0].clone();
            }
        }
    };
    rig.within_limit(waiting).await;
    let hold = told["hold"].take();
    if hold.is_null() {
        return None;
    }
    assert!(!hold["reason"].as_str().unwrap().is_empty(), "{hold}");
    let mend = hold["mend"].as_str().unwrap();
    assert!(mend.contains("free space or mend the disk"), "{hold}");
    Some(hold)
}

/// Waits for a word in the log, whether anybody polls or not.
async fn said(rig: &Rig, word: &str) {
    let said = async {
        // A file tells nobody that it grows.
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while !rig.log().contains(word) {
            ticks.tick().await;
        }
    };
    rig.within_limit(said).await;
}

/// Everything is there, nobody was told the same twice, and the sums hold.
async fn went_on(rig: &mut Rig, holds: &[&str]) {
    rig.arrived().await;
    rig.drained().await;
    let log = rig.log();
    for hold in holds {
        let alarms = log
            .lines()
            .filter(|line| line.contains("ERROR") && line.contains(hold));
        assert_eq!(alarms.count(), 1, "{hold:?} in {log}");
    }
    assert!(!log.contains("panicked"), "{log}");
    rig.stop_and_audit();
}

const POLLING: &str = "polling waits until this is mended";
const DELIVERY: &str = "delivery is held until this is mended";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_to_the_last_byte_it_holds_and_goes_on() {
    let Some(mut rig) = rig_on(SmallDisk::of("8m"), 31) else {
        return;
    };
    // Something to deliver, whose end cannot be written down.
    rig.hec.refuse_connections().await.unwrap();
    for _ in 0..12 {
        rig.publish();
        rig.more_polls(1).await;
    }
    rig.script(FILL);
    rig.hec.accept_connections().await.unwrap();
    rig.publish();
    // The ledger's last page may take the end of one batch, which then gives way in the archive, and so on.
    let is_done = |output: &Value| output["pending_batches"] == 0;
    let delivery = held_or(is_done, FILL, &rig, "outputs").await;
    held_by(FILL, &rig, "collections").await;
    rig.publish();
    rig.script(FREE);
    let holds = [POLLING, DELIVERY];
    let told = delivery.map_or(&holds[..0], |_| &holds[..]);
    went_on(&mut rig, told).await;
    assert!(rig.duplicates() <= IN_FLIGHT, "{}", rig.duplicates());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_files_it_holds_and_goes_on() {
    let Some(mut rig) = rig_on(SmallDisk::of_few_files("32m", 200), 32) else {
        return;
    };
    rig.publish();
    rig.arrived().await;
    rig.script("mkdir state/more; seq -f state/more/%g 300 | xargs touch 2>/dev/null || true");
    rig.publish();
    held(&rig, "collections").await;
    rig.script("rm -r state/more");
    went_on(&mut rig, &[POLLING]).await;
    assert_eq!(rig.duplicates(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_to_be_written_it_holds_and_goes_on() {
    let Some(mut rig) = rig_on(SmallDisk::of("32m"), 33) else {
        return;
    };
    rig.publish();
    rig.arrived().await;
    // Below open files no disk becomes read-only; whatever is opened from now on is.
    rig.script("mount --bind state state; mount -o remount,bind,ro state");
    rig.publish();
    held(&rig, "collections").await;
    rig.script("umount state");
    went_on(&mut rig, &[POLLING]).await;
    assert_eq!(rig.duplicates(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_at_its_start_it_waits_and_goes_on() {
    let Some(mut rig) = rig_on(SmallDisk::of("8m"), 34) else {
        return;
    };
    rig.publish();
    rig.arrived().await;
    rig.drained().await;
    rig.stop();
    rig.publish();
    rig.script(FILL);
    rig.start();
    said(&rig, "the start waits until this is mended").await;
    rig.script(FREE);
    went_on(&mut rig, &[]).await;
    assert!(rig.duplicates() <= IN_FLIGHT, "{}", rig.duplicates());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_file_descriptors_it_waits_and_goes_on() {
    let mut rig = Rig::new(35);
    rig.publish();
    rig.arrived().await;
    rig.drained().await;
    let pid = rig.pid();
    let before = getrlimit(Resource::Nofile);
    let open = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()))
        .unwrap()
        .count() as u64;
    let few = Rlimit {
        current: Some(open.saturating_sub(2)),
        maximum: before.maximum,
    };
    prlimit(Some(pid), Resource::Nofile, few).unwrap();
    rig.publish();
    said(&rig, "Too many open files").await;
    prlimit(Some(pid), Resource::Nofile, before).unwrap();
    went_on(&mut rig, &[]).await;
    assert!(rig.duplicates() <= IN_FLIGHT, "{}", rig.duplicates());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_written_costs_no_event() {
    let Some(disk) = SmallDisk::of("1m") else {
        return;
    };
    let mut rig = Rig::with(Setup {
        seed: 36,
        disk: Some(disk),
        on_disk: Some("logs"),
        outputs: "[log.file]\ndirectory = \"{folder}/logs\"\n".to_owned(),
        ..Setup::default()
    });
    rig.publish();
    rig.arrived().await;
    rig.script("cat /dev/zero > logs/filler 2>/dev/null || true");
    rig.publish();
    rig.arrived().await;
    rig.drained().await;
    rig.script("rm logs/filler");
    rig.publish();
    went_on(&mut rig, &[]).await;
    assert_eq!(rig.duplicates(), 0);
    // It is written again as soon as it can be.
    rig.script("grep -q '\"message\":\"stopped\"' logs/cta-forwarder.*.log.json");
}
