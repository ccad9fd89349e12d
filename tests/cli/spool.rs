//! `spool`: beside an agent and without one.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Ended, Running, run, wait_until};
use crate::simulator::Simulator;

fn spool(simulator: &Simulator, arguments: &[&str]) -> Ended {
    run(&simulator.arguments(&[&["spool"][..], arguments].concat()))
}

fn done(simulator: &Simulator, arguments: &[&str]) -> String {
    let ended = spool(simulator, arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

fn refused(simulator: &Simulator, arguments: &[&str]) -> String {
    let ended = spool(simulator, arguments);
    let (code, stdout) = (ended.code, ended.stdout.as_str());
    assert_eq!((code, stdout), (Some(1), ""), "{ended:?}");
    ended.stderr
}

fn listed(simulator: &Simulator, arguments: &[&str]) -> Vec<Value> {
    let text = done(simulator, &[&["list", "--json"], arguments].concat());
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn shown(simulator: &Simulator, seq: &str) -> Value {
    serde_json::from_str(&done(simulator, &["show", seq, "--json"])).unwrap()
}

fn ids(lines: &str) -> BTreeSet<String> {
    let ids = lines.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["eventId"].as_str().unwrap().to_owned()
    });
    ids.collect()
}

/// Where the events of the only batch lie.
fn events(folder: &Path) -> PathBuf {
    let mut batches = fs::read_dir(folder).unwrap();
    let batch = batches.next().unwrap().unwrap().path();
    batch.join("events-0001.jsonl.zst")
}

/// An agent whose only batch waits in the spool, since Splunk is down.
fn with_a_batch() -> (Simulator, Running) {
    let simulator = Simulator::start();
    simulator.put("/hec/outage", "");
    let agent = simulator.start_agent();
    wait_until("a batch is in the spool", || {
        let listed = listed(&simulator, &[]);
        listed.len() == 1 && listed[0]["owed_by"][0]["output"] == "splunk"
    });
    (simulator, agent)
}

/// What a person sees of the batch is the same beside an agent and without one.
fn look(simulator: &Simulator) {
    let published = simulator.published();
    let events = published.len();
    let listed = listed(simulator, &[]);
    assert_eq!(listed[0]["seq"], 1);
    assert_eq!(listed[0]["place"], "spool");
    assert_eq!(listed[0]["collection"], simulator.collection());
    assert_eq!(listed[0]["origin"], "poll");
    assert_eq!(listed[0]["events"], events);
    assert_eq!(listed[0]["owed_by"][0]["pending"], events);
    let table = done(simulator, &["list"]);
    assert!(table.starts_with("SEQ  COLLECTION"), "{table}");
    assert!(table.contains(&format!("  splunk 0/{events}\n")), "{table}");
    let totals = format!("splunk owes {events} events of 1 batch");
    assert!(table.contains(&totals), "{table}");
    assert_eq!(
        done(simulator, &["list", "--archive"]),
        "there are no batches in the archive\n"
    );

    let shown = shown(simulator, "1");
    assert_eq!(shown["files"][0]["lines"], events);
    assert_eq!(shown["files"][0]["damage"], Value::Null);
    assert_eq!(shown["outputs"][0]["pending"], events);
    assert_eq!(shown["outputs"][0]["fetched"], events);
    assert_eq!(shown["record"]["record"]["type"], "polled");
    assert_eq!(shown["record"]["record"]["seq"], 1);
    assert_eq!(shown["message_ids"].as_array().unwrap().len(), 1);
    assert_eq!(shown["differences"], serde_json::json!([]));
    let text = done(simulator, &["show", "1"]);
    assert!(text.contains("the batch is whole"), "{text}");

    assert_eq!(ids(&done(simulator, &["export", "1"])), published);
    let pending = done(simulator, &["export", "1", "--pending", "splunk"]);
    assert_eq!(ids(&pending), published);
}

#[test]
fn what_waits_is_listed_shown_and_exported() {
    let (simulator, agent) = with_a_batch();
    look(&simulator);
    assert_eq!(agent.stop().code, Some(0));
    look(&simulator);
    let unknown = refused(&simulator, &["export", "1", "--pending", "typo"]);
    assert!(
        unknown.contains("\"typo\" does not owe batch 1; these do: splunk"),
        "{unknown}"
    );
    for command in ["show", "export"] {
        let unused = refused(&simulator, &[command, "77"]);
        assert!(unused.contains("there is no batch 77 yet"), "{unused}");
    }
}

#[test]
fn of_what_is_half_delivered_only_the_rest_is_pending() {
    let simulator = Simulator::start();
    // Three events are taken, the fourth is refused, and from then on nothing is taken.
    let refused = r#"{"fault": "code", "code": 12, "event": 3, "times": 1}"#;
    simulator.put("/hec/fault", refused);
    simulator.put("/hec/fault", r#"{"fault": "code", "code": 9}"#);
    let agent = simulator.start_agent();
    let published = simulator.published();
    let done_of = |listed: &[Value]| listed.first()?["owed_by"][0]["done"].as_u64();
    wait_until("four are done with", || {
        done_of(&listed(&simulator, &[])) == Some(4)
    });
    assert_eq!(agent.stop().code, Some(0));
    let rest = published.len() - 4;
    let table = done(&simulator, &["list"]);
    let so_far = format!("  splunk 4/{}\n", published.len());
    assert!(table.contains(&so_far), "{table}");
    let shown = shown(&simulator, "1");
    let account = &shown["outputs"][0];
    assert_eq!(account["delivered"], 3);
    assert_eq!(account["dead_letters"], 1);
    assert_eq!(account["pending"], rest);
    let whole = done(&simulator, &["export", "1"]);
    assert_eq!(ids(&whole), published);
    let pending = done(&simulator, &["export", "1", "--pending", "splunk"]);
    let expect: Vec<&str> = whole.lines().skip(4).collect();
    assert_eq!(pending.lines().collect::<Vec<_>>(), expect);

    // The list opens no file of events.
    let file = events(&simulator.state().join("spool/ready"));
    let before = listed(&simulator, &[]);
    fs::remove_file(file).unwrap();
    let after = listed(&simulator, &[]);
    let but_age = |mut listed: Vec<Value>| {
        listed[0].as_object_mut().unwrap().remove("age_s");
        listed
    };
    assert_eq!(but_age(after), but_age(before));
}

#[test]
fn what_is_delivered_is_shown_from_the_archive_and_the_ledger() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    let published = simulator.published();
    wait_until("it is archived", || {
        !listed(&simulator, &["--archive"]).is_empty()
    });
    for is_running in [true, false] {
        if !is_running {
            agent.signal(rustix::process::Signal::TERM);
            wait_until("it has stopped", || {
                !simulator.state().join("control.sock").exists()
            });
        }
        let archived = listed(&simulator, &["--archive"]);
        assert_eq!(archived[0]["place"], "archive");
        assert_eq!(archived[0]["owed_by"], serde_json::json!([]));
        assert_eq!(listed(&simulator, &[]), Vec::<Value>::new());
        let shown = shown(&simulator, "1");
        assert_eq!(shown["outputs"][0]["output"], "splunk");
        assert_eq!(shown["outputs"][0]["delivered"], published.len());
        assert_eq!(shown["outputs"][0]["pending"], 0);
        assert_eq!(ids(&done(&simulator, &["export", "1"])), published);
        let nobody = refused(&simulator, &["export", "1", "--pending", "splunk"]);
        assert!(nobody.contains("nobody does"), "{nobody}");
    }
    assert_eq!(agent.wait().code, Some(0));
    fs::remove_dir_all(simulator.state().join("archive/000000000001")).unwrap();
    let gone = refused(&simulator, &["show", "1"]);
    assert!(gone.contains("nobody owes it any more"), "{gone}");
}

#[test]
fn of_a_damaged_batch_only_what_is_asked_for_is_exported() {
    let (simulator, agent) = with_a_batch();
    let file = events(&simulator.state().join("spool/ready"));
    let text = zstd::decode_all(fs::File::open(&file).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    // Without its first line, and with another one cut.
    let (first, rest) = text.split_once('\n').unwrap();
    let spoilt = rest.replacen("\"eventId\"", "eventId", 1);
    fs::write(&file, zstd::encode_all(spoilt.as_bytes(), 1).unwrap()).unwrap();
    let count = text.lines().count();
    for is_running in [true, false] {
        if !is_running {
            agent.signal(rustix::process::Signal::TERM);
            wait_until("it has stopped", || {
                !simulator.state().join("control.sock").exists()
            });
        }
        let shown = shown(&simulator, "1");
        let damage = shown["files"][0]["damage"].as_str().unwrap();
        assert!(damage.contains("CRC"), "{damage}");
        assert_eq!(shown["outputs"][0]["pending"], count - 1);
        assert!(!shown["differences"].as_array().unwrap().is_empty());
        let said = refused(&simulator, &["export", "1"]);
        assert!(said.contains("batch 1 is damaged (events-0001"), "{said}");
        assert!(said.contains("--damaged"), "{said}");
        let taken = spool(&simulator, &["export", "1", "--damaged"]);
        assert_eq!(taken.code, Some(0), "{taken:?}");
        assert!(!taken.stdout.contains(first));
        assert_eq!(ids(&taken.stdout).len(), count - 2);
        let lost = format!("2 of {count} events cannot be read");
        assert!(taken.stderr.contains(&lost), "{taken:?}");
    }
    assert_eq!(agent.wait().code, Some(0));
}

/// What the check says, a JSON object a line, and its exit code.
fn checked(simulator: &Simulator, more: &[&str]) -> (Option<i32>, Vec<Value>) {
    let ended = spool(simulator, &[&["check", "--json"], more].concat());
    let lines = ended.stdout.lines();
    let checked = lines.map(|line| serde_json::from_str(line).unwrap());
    (ended.code, checked.collect())
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

#[test]
fn what_is_whole_is_said_to_be_and_what_is_damaged_is_named() {
    let (simulator, agent) = with_a_batch();
    let file = events(&simulator.state().join("spool/ready"));
    let whole = spool(&simulator, &["check"]);
    assert_eq!(whole.code, Some(0), "{whole:?}");
    for said in [
        "batch 1 of cta/",
        "ledger: ",
        "dead letters: 0 letters, whole",
        "everything is whole",
    ] {
        assert!(whole.stdout.contains(said), "{whole:?}");
    }
    flip(&file);
    let (code, things) = checked(&simulator, &[]);
    assert_eq!(code, Some(1), "{things:?}");
    assert_eq!(things[0]["collection"], simulator.collection());
    assert!(things[0]["window"]["inclusive_end"].is_string());
    let finding = &things[0]["findings"][0];
    assert_eq!(finding["file"], "events-0001.jsonl.zst");
    let remedy = finding["remedy"].as_str().unwrap();
    assert!(remedy.contains("--repair"), "{remedy}");
    assert!(file.exists(), "a look changes nothing");
    assert_eq!(agent.stop().code, Some(0));
    let (code, things) = checked(&simulator, &[]);
    assert_eq!(
        (code, things[0]["findings"].as_array().unwrap().len()),
        (Some(1), 1)
    );
}

#[test]
fn what_is_repaired_is_polled_again_and_arrives_once() {
    for is_running in [true, false] {
        let (simulator, agent) = with_a_batch();
        flip(&events(&simulator.state().join("spool/ready")));
        let agent = if is_running {
            Some(agent)
        } else {
            assert_eq!(agent.stop().code, Some(0));
            None
        };
        let (code, things) = checked(&simulator, &["--repair"]);
        assert_eq!(code, Some(1), "{things:?}");
        let remedy = things[0]["findings"][0]["remedy"].as_str().unwrap();
        let is_set_aside = remedy.contains("its window is polled again");
        // The agent may have come to it first.
        assert!(is_set_aside || is_running, "{remedy}");
        let agent = agent.unwrap_or_else(|| simulator.start_agent());
        wait_until("it is whole again", || {
            checked(&simulator, &[]).0 == Some(0)
        });
        simulator.delete("/hec/outage");
        let published = simulator.published();
        let taken = || {
            let events = simulator.get("/hec/events");
            let events = events.as_array().unwrap().iter();
            let ids = events.map(|event| event["event"]["eventId"].as_str().unwrap().to_owned());
            ids.collect::<Vec<_>>()
        };
        wait_until("everything is delivered", || {
            taken().len() == published.len()
        });
        assert_eq!(taken().into_iter().collect::<BTreeSet<_>>(), published);
        assert_eq!(agent.stop().code, Some(0));
    }
}

#[test]
fn what_no_poll_brings_again_is_told_and_can_be_given_up() {
    let (simulator, agent) = with_a_batch();
    assert_eq!(agent.stop().code, Some(0));
    let sound = refused(&simulator, &["give-up", "1", "--yes"]);
    assert!(sound.contains("nothing of batch 1 is damaged"), "{sound}");
    let unused = refused(&simulator, &["give-up", "7", "--yes"]);
    assert!(unused.contains("there is no batch 7 yet"), "{unused}");
    flip(&events(&simulator.state().join("spool/ready")));
    assert_eq!(checked(&simulator, &["--repair"]).0, Some(1));

    // Nobody polls its window again.
    simulator.edit(|text| text.replace(simulator.collection(), "another"));
    let mut agent = Running::start(&simulator.arguments(&["run"]));
    agent.wait_for("its collection is no longer configured");
    let asked = spool(&simulator, &["give-up", "1"]);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    let events = simulator.published().len();
    let given_up = done(&simulator, &["give-up", "1", "--yes"]);
    assert!(
        given_up.starts_with(&format!("{events} events are given up")),
        "{given_up}"
    );
    wait_until("nobody waits for it any more", || {
        listed(&simulator, &[]).is_empty()
    });
    let ended = agent.stop();
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("content is lost"), "{}", ended.stderr);
    let audit = run(&simulator.arguments(&["audit"]));
    assert_eq!(audit.code, Some(0), "{audit:?}");
}

#[test]
fn the_ledger_the_dead_letters_and_the_archive_are_checked() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    wait_until("it is archived", || {
        !listed(&simulator, &["--archive"]).is_empty()
    });
    let (code, things) = checked(&simulator, &["--archive"]);
    assert_eq!(code, Some(0), "{things:?}");
    assert_eq!(things[0]["place"], "archive");
    flip(&events(&simulator.state().join("archive")));
    assert_eq!(checked(&simulator, &[]).0, Some(0));
    let (code, things) = checked(&simulator, &["--archive", "--repair"]);
    assert_eq!(code, Some(1));
    let remedy = things[0]["findings"][0]["remedy"].as_str().unwrap();
    assert!(remedy.contains("nothing is lost"), "{remedy}");

    let letters = simulator.state().join("spool/dead-letters/00000001.jsonl");
    fs::write(&letters, "no letter\n").unwrap();
    let (code, things) = checked(&simulator, &[]);
    assert_eq!(code, Some(1));
    assert_eq!(things.last().unwrap()["kind"], "dead_letters");
    assert_eq!(
        things.last().unwrap()["findings"][0]["damage"],
        "its line 1 cannot be read"
    );
    let (code, things) = checked(&simulator, &["--repair"]);
    assert_eq!(code, Some(1));
    let finding = &things.last().unwrap()["findings"][0];
    assert_eq!(finding["file"], "spool/dead-letters/00000001.jsonl");
    let copy = simulator
        .state()
        .join("quarantine/dead-letters-00000001.jsonl");
    assert_eq!(fs::read_to_string(copy).unwrap(), "no letter\n");
    assert!(!letters.exists());
    assert_eq!(checked(&simulator, &[]).0, Some(0));

    let ledger = simulator.state().join("ledger/00000001.jsonl");
    let text = fs::read_to_string(&ledger).unwrap();
    fs::write(&ledger, text.replacen("poll_started", "poll_parted", 1)).unwrap();
    let (code, things) = checked(&simulator, &[]);
    assert_eq!(code, Some(1));
    assert_eq!(things[0]["kind"], "ledger");
    assert_eq!(things[0]["findings"][0]["file"], "ledger/00000001.jsonl");
    let (code, things) = checked(&simulator, &["--repair"]);
    assert_eq!(code, Some(0), "{things:?}");
    let (code, things) = checked(&simulator, &[]);
    assert_eq!(code, Some(0), "{things:?}");
    let remedy = things[0]["findings"][0]["remedy"].as_str().unwrap();
    assert!(remedy.contains("a later segment tells"), "{remedy}");
    assert!(simulator.state().join("ledger/00000002.jsonl").exists());
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn a_file_is_its_owners_alone_and_none_is_written_over() {
    let (simulator, agent) = with_a_batch();
    assert_eq!(agent.stop().code, Some(0));
    let path = simulator.folder.path().join("out.jsonl");
    let target = path.to_str().unwrap();
    let export = |more: &[&str]| {
        spool(
            &simulator,
            &[&["export", "1", "--output", target], more].concat(),
        )
    };
    let ended = export(&[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    assert_eq!(
        ids(&fs::read_to_string(&path).unwrap()),
        simulator.published()
    );
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    fs::write(&path, "mine").unwrap();
    let again = export(&[]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("--force"), "{again:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    assert_eq!(export(&["--force"]).code, Some(0));
    assert_eq!(
        ids(&fs::read_to_string(&path).unwrap()),
        simulator.published()
    );
    // What could not be exported leaves nothing behind, and takes nothing away.
    fs::remove_dir_all(simulator.state().join("spool/ready/000000000001")).unwrap();
    let missing = export(&["--force"]);
    assert_eq!(missing.code, Some(1));
    let why = "batch 1 is damaged (events-0001.jsonl.zst: it was set aside, and its window is polled again)";
    assert!(missing.stderr.contains(why), "{missing:?}");
    assert_eq!(
        ids(&fs::read_to_string(&path).unwrap()),
        simulator.published()
    );
    let left = fs::read_dir(simulator.folder.path()).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!left.into_iter().any(|name| name.starts_with(".cta-")));
    assert_eq!(
        shown(&simulator, "1")["files"][0]["state"],
        "being_repaired"
    );
}

#[test]
fn without_a_state_there_are_no_batches() {
    let simulator = Simulator::start();
    let nothing = spool(&simulator, &["list"]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(0), ""));
    assert!(nothing.stderr.contains("there is no state"), "{nothing:?}");
    assert_eq!(spool(&simulator, &["show", "1"]).code, Some(1));
    assert!(!simulator.state().exists());
    for arguments in [
        &["show"][..],
        &["show", "x"],
        &["export", "1", "--force"],
        &["export"],
    ] {
        assert_eq!(spool(&simulator, arguments).code, Some(2), "{arguments:?}");
    }
}
