//! `replay`: beside an agent and without one.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::program::{Ended, run, wait_until};
use crate::simulator::Simulator;

fn replay(simulator: &Simulator, arguments: &[&str]) -> Ended {
    run(&simulator.arguments(&[&["replay"][..], arguments].concat()))
}

fn taken(simulator: &Simulator) -> Vec<String> {
    let events = simulator.get("/hec/events");
    let ids = events.as_array().unwrap().iter();
    ids.map(|event| event["event"]["eventId"].as_str().unwrap().to_owned())
        .collect()
}

/// What lies in the file of the second output.
fn in_file(simulator: &Simulator) -> Vec<String> {
    let text = fs::read_to_string(file(simulator)).unwrap_or_default();
    let lines = text.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["eventId"].as_str().unwrap().to_owned()
    });
    lines.collect()
}

fn file(simulator: &Simulator) -> PathBuf {
    simulator.folder.path().join("events.jsonl")
}

fn checkpoints(simulator: &Simulator) -> String {
    let ended = run(&simulator.arguments(&["checkpoint", "show", "--json"]));
    let line: Value = serde_json::from_str(ended.stdout.lines().next().unwrap()).unwrap();
    line["checkpoint"].to_string()
}

fn archived(simulator: &Simulator) -> Vec<u64> {
    let ended = run(&simulator.arguments(&["spool", "list", "--archive", "--json"]));
    let lines = ended.stdout.lines().map(|line| {
        let batch: Value = serde_json::from_str(line).unwrap();
        batch["seq"].as_u64().unwrap()
    });
    lines.collect()
}

fn audit(simulator: &Simulator) {
    let ended = run(&simulator.arguments(&["audit"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// Everything is delivered to Splunk and archived, no agent runs, and there is a second output that
/// is new.
fn delivered() -> Simulator {
    let simulator = Simulator::start();
    // In several batches, and none that comes while the test looks.
    simulator.edit(|text| text.replace("[[output]]", "max_window = \"1d\"\n\n[[output]]"));
    let agent = simulator.start_agent();
    let published = simulator.published().len();
    wait_until("everything is delivered", || {
        taken(&simulator).len() == published
    });
    assert_eq!(agent.stop().code, Some(0));
    let path = file(&simulator);
    let path = path.to_str().unwrap();
    simulator.edit(|text| {
        let text = text.replace("interval = \"1s\"", "interval = \"1h\"");
        format!("{text}\n[[output]]\nname = \"second\"\ntype = \"file\"\npath = {path:?}\n")
    });
    simulator
}

#[test]
fn a_new_output_gets_the_past_beside_a_running_agent() {
    let simulator = delivered();
    let agent = simulator.start_agent();
    let before = (checkpoints(&simulator), archived(&simulator));
    let unasked = replay(&simulator, &["--to", "second"]);
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    assert!(unasked.stderr.contains("COLLECTION"), "{unasked:?}");
    assert!(unasked.stderr.contains("say --yes"), "{unasked:?}");
    assert!(in_file(&simulator).is_empty());

    let ended = replay(&simulator, &["--to", "second", "--yes"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("are on their way to \"second\""),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("goes out again as batch"),
        "{ended:?}"
    );
    let published = simulator.published();
    wait_until("the past is there", || {
        in_file(&simulator).len() == published.len()
    });
    assert_eq!(BTreeSet::from_iter(in_file(&simulator)), published);
    assert_eq!(
        taken(&simulator).len(),
        published.len(),
        "Splunk gets nothing of it"
    );
    wait_until("it is done with", || {
        let ended = run(&simulator.arguments(&["spool", "list", "--json"]));
        ended.stdout.is_empty()
    });
    assert_eq!((checkpoints(&simulator), archived(&simulator)), before);
    audit(&simulator);
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn without_an_agent_it_waits_for_the_next_start() {
    let simulator = delivered();
    let collection = simulator.collection().to_owned();
    let ended = replay(
        &simulator,
        &[
            "--to",
            "splunk",
            "--collection",
            &collection,
            "--begin",
            "-9d",
            "--yes",
        ],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let published = simulator.published().len();
    assert_eq!(taken(&simulator).len(), published);
    // What is on its way need not be sent again.
    let all = archived(&simulator);
    audit(&simulator);
    let agent = simulator.start_agent();
    wait_until("all is there again", || {
        taken(&simulator).len() == 2 * published
    });
    assert_eq!(agent.stop().code, Some(0));
    assert_eq!(archived(&simulator), all);
    let nothing = replay(
        &simulator,
        &["--to", "splunk", "--begin", "2999-01-01T00:00:00Z"],
    );
    assert_eq!(nothing.code, Some(0), "{nothing:?}");
    assert!(nothing.stdout.contains("nothing to replay"), "{nothing:?}");
}

#[test]
fn what_is_damaged_is_named_and_left_out() {
    let simulator = delivered();
    let all = archived(&simulator);
    let folder = simulator
        .state()
        .join("archive")
        .join(format!("{:012}", all[0]));
    let path = folder.join("events-0001.jsonl.zst");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&path, bytes).unwrap();
    let ended = replay(&simulator, &["--to", "second", "--yes"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let named = format!("batch {}, left out: events-0001.jsonl.zst", all[0]);
    assert!(ended.stderr.contains(&named), "{ended:?}");
    let rest = format!("{} of {} batches", all.len() - 1, all.len());
    assert!(ended.stderr.contains(&rest), "{ended:?}");
    fs::write(folder.join("batch.json"), "{}").unwrap();
    let ended = replay(&simulator, &["--to", "second"]);
    assert!(
        ended.stderr.contains("its head cannot be read"),
        "{ended:?}"
    );
    let agent = simulator.start_agent();
    assert_eq!(agent.stop().code, Some(0));
    audit(&simulator);
}

#[test]
fn a_replay_waits_for_room_while_an_agent_delivers() {
    let simulator = delivered();
    // So small that a second batch never fits beside one that waits.
    simulator.edit(|text| text.replace("[state]\n", "[state]\nmax_spool_bytes = \"1KiB\"\n"));
    let published = simulator.published().len();
    let count = archived(&simulator).len();
    assert!(count > 1, "one batch shows nothing");
    let stopped = replay(&simulator, &["--to", "splunk", "--yes"]);
    assert_eq!(stopped.code, Some(1), "{stopped:?}");
    assert!(
        stopped.stderr.contains("no agent runs that would deliver"),
        "{stopped:?}"
    );
    let agent = simulator.start_agent();
    let ended = replay(&simulator, &["--to", "splunk", "--yes"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // It goes on where the first one stopped.
    wait_until("all is there again", || {
        taken(&simulator).len() == 2 * published
    });
    let once_more = replay(&simulator, &["--to", "splunk", "--yes"]);
    assert_eq!(once_more.code, Some(0), "{once_more:?}");
    let expect = format!("splunk got {count} batches by an earlier replay; --again sends them");
    assert!(once_more.stdout.contains(&expect), "{once_more:?}");
    let again = replay(&simulator, &["--to", "splunk", "--again", "--yes"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    wait_until("all is there once more", || {
        taken(&simulator).len() == 3 * published
    });
    // Nothing more is on its way.
    wait_until("it is done with", || {
        let ended = run(&simulator.arguments(&["spool", "list", "--json"]));
        ended.stdout.is_empty()
    });
    assert_eq!(agent.stop().code, Some(0));
    assert_eq!(taken(&simulator).len(), 3 * published);
    audit(&simulator);
}

/// The configuration without the second output.
fn take_second_out(simulator: &Simulator) {
    simulator.edit(|text| {
        let (before, _) = text.split_once("\n[[output]]\nname = \"second\"").unwrap();
        before.to_owned()
    });
}

#[test]
fn what_an_output_owes_that_has_never_run_is_seen_and_can_be_given_up() {
    let simulator = delivered();
    let ended = replay(&simulator, &["--to", "second", "--yes"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let count = archived(&simulator).len();
    take_second_out(&simulator);
    let status = || run(&simulator.arguments(&["status"])).stdout;
    assert!(
        status().contains("cta-forwarder output forget second"),
        "{}",
        status()
    );
    let forget = || run(&simulator.arguments(&["output", "forget", "second", "--yes"]));
    let forgotten = forget();
    assert_eq!(forgotten.code, Some(0), "{forgotten:?}");
    let expect = format!("still owed: {count}");
    assert!(forgotten.stdout.contains(&expect), "{forgotten:?}");
    assert!(!status().contains("second"), "{}", status());
    let listed = run(&simulator.arguments(&["spool", "list", "--json"]));
    assert_eq!(listed.stdout, "", "nobody owes anything");
    assert_eq!(forget().code, Some(1), "it is gone");
    audit(&simulator);
}

#[test]
fn an_output_gets_nothing_that_it_does_not_take() {
    let simulator = delivered();
    simulator.edit(|text| format!("{text}collections = [\"{}\"]\n", simulator.collection()));
    // Something of another collection lies beside it.
    let other = "other_collection";
    simulator.edit(|text| text.replace(simulator.collection(), other));
    let refused = replay(&simulator, &["--to", "second", "--yes"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let expect = format!(
        "does not take cta/{} (its `collections`)",
        simulator.collection()
    );
    assert!(refused.stderr.contains(&expect), "{refused:?}");
    let listed = run(&simulator.arguments(&["spool", "list", "--json"]));
    assert_eq!(listed.stdout, "", "nothing is written");
    audit(&simulator);
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let simulator = delivered();
    for (arguments, code, expect) in [
        (
            &["--to", "nowhere", "--yes"][..],
            1,
            "there are: splunk, second",
        ),
        (
            &["--to", "splunk", "--batch", "999", "--yes"],
            1,
            "there is no batch 999",
        ),
        (
            &["--to", "splunk", "--service", "typo", "--yes"],
            1,
            "there is no collection of the service \"typo\"; there are: ",
        ),
        (&["--yes"], 2, "--to"),
        (
            &["--to", "splunk", "--begin", "-1d", "--end", "-2d"],
            2,
            "--begin must be before",
        ),
        (&["--to", "splunk", "--begin", "yesterday"], 2, "-3d"),
    ] {
        let ended = replay(&simulator, arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(code), ""),
            "{ended:?}"
        );
        assert!(ended.stderr.contains(expect), "{ended:?}");
    }
}
