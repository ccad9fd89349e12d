//! Who may read what the real binary makes, whatever the umask it is started with, and whom it
//! answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod rig;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{BadBlock, CtaFault, CtaFaultOn};
use cta_forwarder::simulator::hec::HecFault;
use rig::{Rig, Setup};

/// A shell in which nothing is kept from anybody.
const OPEN_UMASK: &[&str] = &["sh", "-c", "umask 000; exec \"$@\"", "sh"];

/// What a busy agent keeps, each of which the walk must have met: as its path begins.
const KEPT: [&str; 11] = [
    "lock",
    "control.sock",
    "ledger/",
    "state.sled/",
    "spool/staging/",
    "spool/ready/",
    "spool/dead-letters/0",
    "spool/dead-letters/block-",
    "archive/",
    "quarantine/",
    "spool",
];

#[track_caller]
fn mode(path: &Path) -> u32 {
    let found = fs::symlink_metadata(path);
    found.unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Looks at everything below a folder, which may come and go meanwhile.
fn walk(root: &Path, folder: &Path, seen: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found?,
        };
        let expect = if found.is_dir() { 0o700 } else { 0o600 };
        let mode = found.permissions().mode() & 0o7777;
        assert_eq!(mode, expect, "{} is {mode:o}", path.display());
        seen.insert(path.strip_prefix(root).unwrap().display().to_string());
        if found.is_dir() {
            match walk(root, &path, seen) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                walked => walked?,
            }
        }
    }
    Ok(())
}

/// Looks at the whole state again and again until something is there whose path begins so.
async fn walk_until(rig: &Rig, seen: &mut BTreeSet<String>, place: &str) {
    let state = rig.path("state");
    let met = async {
        // A folder tells nobody what comes into it.
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let mut met = BTreeSet::new();
        while !met.iter().any(|path: &String| path.starts_with(place)) {
            ticks.tick().await;
            met.clear();
            walk(&state, &state, &mut met).unwrap();
            seen.extend(met.iter().cloned());
        }
    };
    rig.within_limit(met).await;
    assert_eq!(mode(&state), 0o700);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_umask_the_state_is_its_owners_alone() {
    let mut rig = Rig::with(Setup {
        seed: 11,
        state: "archive = { keep_raw = true }\n".to_owned(),
        outputs: "[[output]]\nname = \"file\"\ntype = \"file\"\npath = \"{folder}/out/deep/events.jsonl\"\n\
                  rotate_bytes = \"1KB\"\n\
                  [log.file]\ndirectory = \"{folder}/logs\"\n"
            .to_owned(),
        through: OPEN_UMASK,
        ..Setup::default()
    });
    let mut seen = BTreeSet::new();

    let block = BadBlock::NotStix;
    let bad_block = ArmedFault::once(CtaFault::BadBlock { block });
    rig.cta.set_fault(bad_block.on(CtaFaultOn::Poll));
    let refused = HecFault::Code { code: 6, event: 0 };
    rig.hec.set_fault(ArmedFault::once(refused));
    for _ in 0..5 {
        rig.publish();
        rig.more_polls(1).await;
    }
    for place in ["spool/dead-letters/0", "spool/dead-letters/block-"] {
        walk_until(&rig, &mut seen, place).await;
    }
    rig.drained().await;
    walk_until(&rig, &mut seen, "archive/").await;
    // A batch more, so that the file rotates, however many the first were.
    rig.publish();
    rig.arrived().await;
    rig.drained().await;

    // What is being written now.
    let slow = CtaFault::SlowAnswer {
        piece_bytes: 500,
        pause_ms: 30,
    };
    rig.cta
        .set_fault(ArmedFault::until_cleared(slow).on(CtaFaultOn::Poll));
    for _ in 0..5 {
        rig.publish();
    }
    walk_until(&rig, &mut seen, "spool/staging/").await;
    rig.cta.clear_faults();

    // What nobody takes stays, and what cannot be read is put aside.
    rig.hec.refuse_connections().await.unwrap();
    rig.publish();
    walk_until(&rig, &mut seen, "spool/ready/").await;
    rig.stop();
    let ready = fs::read_dir(rig.path("state/spool/ready")).unwrap();
    for batch in ready {
        fs::write(batch.unwrap().path().join("batch.json"), "no head").unwrap();
    }
    // As systemd makes it unless it is told otherwise.
    set_mode(&rig.path("state"), 0o755);
    rig.start();
    rig.told("it is 700 now").await;
    walk_until(&rig, &mut seen, "quarantine/").await;

    for place in KEPT {
        assert!(
            seen.iter().any(|path| path.starts_with(place)),
            "{place} was not met among {seen:#?}"
        );
    }
    // For others to read: also what came by a rotation.
    let out = fs::read_dir(rig.path("out/deep")).unwrap();
    let files: Vec<_> = out.map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 1, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o640, "{}", file.display());
    }
    assert_eq!(mode(&rig.path("out/deep")), 0o750);
    assert_eq!(mode(&rig.path("out")), 0o750);
    assert_eq!(mode(&rig.path("logs")), 0o700);
    for log in fs::read_dir(rig.path("logs")).unwrap() {
        assert_eq!(mode(&log.unwrap().path()), 0o600);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_others_read_keeps_its_rights() {
    let rig = Rig::with(Setup {
        seed: 12,
        outputs: "[[output]]\nname = \"file\"\ntype = \"file\"\npath = \"{folder}/events.jsonl\"\n"
            .to_owned(),
        ..Setup::default()
    });
    let mut rig = rig;
    rig.publish();
    rig.arrived().await;
    rig.drained().await;
    assert_eq!(mode(&rig.path("events.jsonl")), 0o640);
    rig.stop();
    set_mode(&rig.path("events.jsonl"), 0o644);
    rig.start();
    rig.publish();
    rig.arrived().await;
    rig.drained().await;
    assert_eq!(mode(&rig.path("events.jsonl")), 0o644);
    rig.stop_and_audit();
}

/// Whom the kernel lets through, since somebody has widened the rights, the agent still refuses.
///
/// Only root can become somebody else; the decision itself is tested where it is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_is_refused_and_told_of() {
    const NOBODY: &str = "65534";
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let rig = Rig::new(13);
    rig.more_polls(1).await;
    let binary = rig.path("cta-forwarder");
    fs::copy(env!("CARGO_BIN_EXE_cta-forwarder"), &binary).unwrap();
    let config = rig.path("cta-forwarder.toml");
    let status = || {
        let asked = Command::new("setpriv")
            .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
            .arg(&binary)
            .args(["status", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        assert!(!asked.status.success(), "{asked:?}");
        String::from_utf8(asked.stderr).unwrap()
    };
    for (path, mode) in [
        (rig.folder.path(), 0o755),
        (&*binary, 0o755),
        (&*config, 0o644),
    ] {
        set_mode(path, mode);
    }
    let kernel = status();
    assert!(
        kernel.contains("cannot be used") && kernel.contains("as the agent's user or as root"),
        "{kernel}"
    );
    set_mode(&rig.path("state"), 0o755);
    set_mode(&rig.path("state/control.sock"), 0o666);
    let agent = status();
    assert!(agent.contains("and root alone"), "{agent}");
    rig.told("a command of another user was refused").await;
    assert!(rig.log().contains("user=65534"), "{}", rig.log());
    // Its owner is answered all the same.
    assert_eq!(rig.command(&["status"]).0, Some(0));
}
