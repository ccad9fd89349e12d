//! `status`: before, beside and after an agent.

use serde_json::Value;

use crate::program::{Running, command, run, wait_until};
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
