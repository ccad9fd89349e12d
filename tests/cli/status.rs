//! `status`: before, beside and after an agent.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Ended, Running, command, run, wait_until};
use crate::simulator::Simulator;

fn status(simulator: &Simulator) -> Value {
    let ended = run(&simulator.arguments(&["status", "--json"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn before_the_first_run_there_is_nothing_and_it_says_so() {
    let simulator = Simulator::start();
    let ended = run(&simulator.arguments(&["status"]));
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("there is no state in"));
    assert!(ended.stdout.contains("no agent runs"));
    let status = status(&simulator);
    assert_eq!(status["pid"], Value::Null);
    assert_eq!(status["collections"][0]["checkpoint"], Value::Null);
    assert_eq!(status["outputs"][0]["name"], "splunk");
    // A look leaves nothing behind.
    assert!(!simulator.state().exists());
}

#[test]
fn beside_an_agent_and_after_it() {
    let simulator = Simulator::start();
    let mut agent = simulator.start_agent();
    let published = simulator.published().len() as u64;
    let delivered = |status: &Value| status["outputs"][0]["finished"]["delivered"].as_u64();
    wait_until("everything is delivered", || {
        delivered(&status(&simulator)) == Some(published)
    });
    let beside = status(&simulator);
    assert_eq!(beside["pid"], agent.pid());
    assert_eq!(beside["collections"][0]["events"], published);
    assert_eq!(beside["collections"][0]["hold"], Value::Null);
    assert!(beside["collections"][0]["checkpoint"].is_string());

    let fault = r#"{"fault": "status_message", "status_type": "DENIED", "message": "not yours"}"#;
    simulator.put("/cta/fault", fault);
    agent.wait_for("polling is held");
    let table = run(&simulator.arguments(&["status"])).stdout;
    assert!(table.contains(&format!("runs as process {}", agent.pid())));
    assert!(table.contains("DENIED: not yours"), "{table}");
    assert!(table.contains("to mend it: "), "{table}");

    assert_eq!(agent.stop().code, Some(0));
    let after = status(&simulator);
    assert_eq!(after["pid"], Value::Null);
    assert_eq!(delivered(&after), Some(published));
    assert!(after["collections"][0]["checkpoint"].is_string());
}

#[test]
fn who_looks_changes_nothing_though_the_configuration_has_changed() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    wait_until("something is polled", || {
        status(&simulator)["collections"][0]["checkpoint"].is_string()
    });
    assert_eq!(agent.stop().code, Some(0));
    simulator.edit(|text| {
        let (before, splunk) = text.split_once("[[output]]").unwrap();
        let new = splunk.replace("\"splunk\"", "\"new\"");
        format!("{before}[[output]]{splunk}[[output]]{new}")
    });
    let ledger = || {
        let entries = std::fs::read_dir(simulator.state().join("ledger")).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let texts = files
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap());
        texts.collect::<String>()
    };
    let before = ledger();
    assert_eq!(status(&simulator)["outputs"][0]["name"], "new");
    for look in [
        &["status"][..],
        &["audit"],
        &["dead-letters", "list"],
        &["dead-letters", "export", "--all"],
    ] {
        let ended = run(&simulator.arguments(look));
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    assert_eq!(ledger(), before);
    assert_eq!(simulator.start_agent().stop().code, Some(0));
    assert!(ledger().contains("\"output_added\",\"output\":\"new\""));
}

#[test]
fn who_asks_needs_no_secret_of_the_agent() {
    let simulator = Simulator::start();
    let mut agent = command(&simulator.arguments(&["run"]));
    let token = simulator.about["hec"]["token"].as_str().unwrap();
    agent.env("SPLUNK_TOKEN_OF_TEST", token);
    simulator.edit(|text| {
        let (before, after) = text.split_once("\ntoken = ").unwrap();
        let (_, after) = after.split_once('\n').unwrap();
        format!("{before}\ntoken = {{ env = \"SPLUNK_TOKEN_OF_TEST\" }}\n{after}")
    });
    let mut agent = Running::of(agent);
    agent.wait_for("started");
    let ask = |code| {
        let poll = [
            "poll",
            simulator.collection(),
            "--begin=2026-03-01T00:00:00Z",
            "--end=2026-03-01T00:00:01Z",
        ];
        for command in [
            &["status"][..],
            &["audit"],
            &["dead-letters", "list"],
            &["dead-letters", "retry", "--all"],
            &["dead-letters", "drop", "--all", "--yes"],
        ] {
            let ended = run(&simulator.arguments(command));
            assert_eq!(ended.code, Some(0), "{command:?}: {ended:?}");
        }
        let forget = run(&simulator.arguments(&["output", "forget", "none", "--yes"]));
        assert!(forget.stderr.contains("no output \"none\""), "{forget:?}");
        assert_eq!(run(&simulator.arguments(&poll)).code, Some(code));
    };
    ask(0);
    assert_eq!(agent.stop().code, Some(0));
    // Without an agent a poll by hand is the only one that needs it.
    ask(78);
}

#[test]
fn an_agent_that_is_stopped_keeps_nobody_waiting() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    wait_until("it answers", || status(&simulator)["pid"] == agent.pid());
    agent.signal(Signal::STOP);
    let looks = [&["status"][..], &["checkpoint", "show"], &["audit"]];
    let looks = looks.map(|look| Running::start(&simulator.arguments(look)));
    for look in looks {
        let ended = look.wait();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let whom = format!("the agent (process {}) does not answer", agent.pid());
        assert!(ended.stderr.contains(&whom), "{ended:?}");
        assert!(ended.stderr.contains("control.sock"), "{ended:?}");
        assert!(ended.stderr.contains("kill -CONT"), "{ended:?}");
    }
    agent.signal(Signal::CONT);
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn a_collection_that_nobody_knows_is_no_empty_answer() {
    let simulator = Simulator::start();
    let known = simulator.collection().to_owned();
    assert_eq!(simulator.start_agent().stop().code, Some(0));
    let ask = |arguments: &[&str], collection: &str| {
        let arguments = [arguments, &["--collection", collection]].concat();
        run(&simulator.arguments(&arguments))
    };
    let list = ["dead-letters", "list"];
    assert_eq!(ask(&list, &known).code, Some(0));
    for command in [
        &list[..],
        &["dead-letters", "export", "--all"],
        &["dead-letters", "retry", "--all"],
        &["dead-letters", "drop", "--all", "--yes"],
        &["replay", "--to", "splunk", "--yes"],
    ] {
        let ended = ask(command, "misspelt");
        assert_eq!(ended.code, Some(1), "{command:?}: {ended:?}");
        let what = "there is no collection \"misspelt\"; there are: cta/";
        assert!(ended.stderr.contains(what), "{command:?}: {ended:?}");
        assert!(ended.stderr.contains(&known), "{command:?}: {ended:?}");
    }
}

/// Everything below a folder: bytes of files, and when they and the folders were last changed.
fn everything(folder: &Path) -> Everything {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = fs::symlink_metadata(&path).unwrap();
        let bytes = found.is_file().then(|| fs::read(&path).unwrap());
        all.insert(path.clone(), (bytes, found.modified().unwrap()));
        if found.is_dir() {
            all.append(&mut everything(&path));
        }
    }
    all
}

fn flip_in_the_middle(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// The files below a folder whose name ends so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let all = everything(folder).into_iter();
    let files = all.filter(|(_, (bytes, _))| bytes.as_ref().is_some_and(|bytes| bytes.len() > 8));
    let files = files.map(|(path, _)| path);
    files
        .filter(|path| path.to_str().unwrap().ends_with(end))
        .collect()
}

/// A state with batches that wait and dead letters, of an agent that was killed; then the disk lied.
fn damaged() -> Simulator {
    let simulator = Simulator::start();
    for fault in [
        r#"{"fault": "code", "code": 12, "event": 0, "times": 1}"#,
        r#"{"fault": "http_status", "status": 503}"#,
    ] {
        simulator.put("/hec/fault", fault);
    }
    let agent = simulator.start_agent();
    wait_until("one is set aside, and the others wait", || {
        let status = status(&simulator);
        status["spool"]["dead_letters"] == 1 && status["outputs"][0]["failures"].as_u64() > Some(0)
    });
    agent.signal(Signal::KILL);
    agent.wait();
    let state = simulator.state();
    for (folder, end) in [
        ("state.sled", "db"),
        ("spool/ready", ".jsonl.zst"),
        ("spool/dead-letters", ".jsonl"),
        ("ledger", ".jsonl"),
    ] {
        let files = files(&state.join(folder), end);
        assert!(
            !files.is_empty(),
            "{folder}: {:#?}",
            everything(&state).keys()
        );
        flip_in_the_middle(files.last().unwrap());
    }
    simulator
}

const LOOKS: [&[&str]; 8] = [
    &["status"],
    &["checkpoint", "show"],
    &["audit"],
    &["spool", "list"],
    &["spool", "check"],
    &["dead-letters", "list"],
    &["dead-letters", "export", "--all"],
    &["status", "--json"],
];

#[test]
fn a_look_at_a_damaged_state_says_what_a_start_would_mend_and_mends_nothing() {
    let simulator = damaged();
    let state = simulator.state();
    let before = everything(&state);
    for look in LOOKS {
        let ended = run(&simulator.arguments(look));
        assert!(
            ended.stderr.contains("a look changes nothing"),
            "{look:?}: {ended:?}"
        );
        let after = everything(&state);
        assert!(
            after == before,
            "{look:?} has changed {:?}",
            changed(&before, &after)
        );
    }
    let told = run(&simulator.arguments(&["status"]));
    assert!(told.stdout.contains("quarantine/"), "{told:?}");
    assert!(!state.join("quarantine/state.sled-1").exists());
    // What was said is what is done.
    let agent = simulator.start_agent();
    wait_until("the damage is told", || {
        status(&simulator)["spool"]["quarantine_bytes"].as_u64() > Some(0)
    });
    assert_eq!(agent.stop().code, Some(0));
}

type Everything = BTreeMap<PathBuf, (Option<Vec<u8>>, SystemTime)>;

fn changed(before: &Everything, after: &Everything) -> Vec<PathBuf> {
    let paths = before.keys().chain(after.keys());
    let differs = |path: &&PathBuf| before.get(*path) != after.get(*path);
    paths.filter(differs).cloned().collect()
}

/// Root may write anyway; that he does not is seen above.
#[test]
fn who_may_only_read_the_state_may_look() {
    let simulator = damaged();
    let state = simulator.state();
    let set_modes = |file: u32, folder: u32| {
        for path in everything(&state).keys().chain([&state]) {
            let mode = if path.is_dir() { folder } else { file };
            // A socket that nobody may use is left.
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set_modes(0o444, 0o555);
    let ends = LOOKS.map(|look| look_as_nobody(&simulator, look));
    set_modes(0o600, 0o700);
    for (look, ended) in LOOKS.iter().zip(ends) {
        let may_find_fault = look.contains(&"check") || look.contains(&"audit");
        assert!(
            ended.code == Some(0) || may_find_fault,
            "{look:?}: {ended:?}"
        );
        assert!(
            ended.stderr.contains("a look changes nothing"),
            "{look:?}: {ended:?}"
        );
    }
}

/// Runs a command as a user who has no rights of his own, if this one may become it.
fn look_as_nobody(simulator: &Simulator, look: &[&str]) -> Ended {
    const NOBODY: u32 = 65534;
    let arguments = simulator.arguments(look);
    if !rustix::process::geteuid().is_root() {
        return run(&arguments);
    }
    let binary = simulator.folder.path().join("cta-forwarder");
    if !binary.exists() {
        fs::copy(env!("CARGO_BIN_EXE_cta-forwarder"), &binary).unwrap();
    }
    let readable = fs::Permissions::from_mode(0o755);
    for path in [simulator.folder.path(), &binary, &simulator.config()] {
        fs::set_permissions(path, readable.clone()).unwrap();
    }
    let mut command = std::process::Command::new(binary);
    command.args(arguments).uid(NOBODY).gid(NOBODY);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Running::of(command).wait()
}
