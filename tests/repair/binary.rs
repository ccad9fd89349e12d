//! The real binary, started on a spool that was damaged meanwhile.

use std::fs;
use std::path::PathBuf;

use crate::damage::{files, flip};
use crate::rig::Rig;

fn batches(rig: &Rig) -> Vec<PathBuf> {
    let entries = fs::read_dir(rig.path("state/spool/ready")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_damaged_while_it_was_stopped_comes_back() {
    let mut rig = Rig::new(8);
    rig.hec.refuse_connections().await.unwrap();
    rig.publish();
    rig.more_polls(1).await;
    while batches(&rig).is_empty() {
        rig.more_polls(1).await;
    }
    assert!(rig.stop().success());
    let (code, said) = rig.command(&["spool", "check"]);
    assert_eq!(code, Some(0), "{said}");
    let batch = batches(&rig).remove(0);
    flip(&files(&batch)[0]);
    let (code, said) = rig.command(&["spool", "check"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("events-0001.jsonl.zst"), "{said}");
    rig.hec.accept_connections().await.unwrap();
    rig.start();
    rig.arrived().await;
    rig.drained().await;
    assert_eq!(rig.duplicates(), 0);
    let (code, said) = rig.command(&["spool", "check"]);
    assert_eq!(code, Some(0), "{said}");
    rig.stop_and_audit();
    let log = rig.log();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{log}");
    assert!(
        errors[0].contains("a file of the spool is damaged"),
        "{log}"
    );
    rig.check_gate();
}
