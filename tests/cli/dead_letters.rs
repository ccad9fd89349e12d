//! `dead-letters`: beside an agent and without one.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::program::{Ended, run, wait_until};
use crate::simulator::Simulator;

fn letters(simulator: &Simulator, arguments: &[&str]) -> Ended {
    run(&simulator.arguments(&[&["dead-letters"][..], arguments].concat()))
}

fn done(simulator: &Simulator, arguments: &[&str]) -> String {
    let ended = letters(simulator, arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

fn listed(simulator: &Simulator) -> Vec<Value> {
    let text = done(simulator, &["list", "--json"]);
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn taken(simulator: &Simulator) -> Vec<String> {
    let events = simulator.get("/hec/events");
    let ids = events.as_array().unwrap().iter();
    ids.map(|event| event["event"]["eventId"].as_str().unwrap().to_owned())
        .collect()
}

fn audit(simulator: &Simulator) {
    let ended = run(&simulator.arguments(&["audit"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// A simulator whose collector refuses the first events that it gets, one in each request.
fn refusing(times: u32) -> Simulator {
    let simulator = Simulator::start();
    let fault = format!(r#"{{"fault": "code", "code": 12, "event": 0, "times": {times}}}"#);
    simulator.put("/hec/fault", &fault);
    simulator
}

#[test]
fn beside_an_agent_they_are_looked_at_retried_and_dropped() {
    let simulator = refusing(3);
    let agent = simulator.start_agent();
    let published = simulator.published();
    wait_until("the rest is delivered", || {
        taken(&simulator).len() + 3 == published.len()
    });
    wait_until("three are set aside", || listed(&simulator).len() == 3);
    let all = listed(&simulator);
    let id = |place: usize| all[place]["id"].as_str().unwrap();
    assert_eq!(all[0]["type"], "event");
    assert_eq!(all[0]["output"], "splunk");
    assert_eq!(all[0]["code"], "hec-12");

    let table = done(&simulator, &["list"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID        SET ASIDE"), "{table}");
    assert!(lines[1].starts_with(&id(0)[..8]), "{table}");
    assert!(lines[1].contains("  splunk  hec-12  "), "{table}");
    for command in [
        &["list"][..],
        &["retry", "--all"],
        &["export", "--all"],
        &["drop", "--all", "--yes"],
    ] {
        let ended = letters(&simulator, &[command, &["--output", "typo"]].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        let expect =
            "no output \"typo\", neither configured nor known from before; there are: splunk";
        assert!(ended.stderr.contains(expect), "{ended:?}");
    }

    let shown = done(&simulator, &["show", &id(0)[..10]]);
    assert!(shown.contains(&format!("id          {}", id(0))), "{shown}");
    assert!(shown.contains("\"incidentTitle\": "), "{shown}");

    let exported = done(&simulator, &["export", "--all"]);
    let exported: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids: BTreeSet<&str> = exported
        .iter()
        .map(|letter| letter["event"]["eventId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 3);
    audit(&simulator);

    let unasked = letters(&simulator, &["drop", id(0)]);
    assert_eq!(unasked.code, Some(2));
    assert!(unasked.stderr.contains("--yes"), "{unasked:?}");
    let dropped = done(&simulator, &["drop", id(0), "--yes"]);
    assert_eq!(dropped, "1 dead letter is dropped\n");
    audit(&simulator);
    let retried = letters(&simulator, &["retry", id(1)]);
    assert_eq!(retried.code, Some(0));
    assert!(retried.stderr.contains("as batch "), "{retried:?}");
    assert_eq!(retried.stdout, "1 dead letter is on the way again\n");
    done(&simulator, &["retry", "--all", "--output", "splunk"]);
    wait_until("they are delivered", || {
        taken(&simulator).len() + 1 == published.len()
    });
    assert_eq!(done(&simulator, &["list"]), "there are no dead letters\n");
    assert_eq!(
        done(&simulator, &["retry", "--all"]),
        "there are no dead letters\n"
    );
    let status = run(&simulator.arguments(&["status", "--json"]));
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let finished = &status["outputs"][0]["finished"];
    assert_eq!(
        (&finished["dead_letters"], &finished["discarded"]),
        (&2.into(), &1.into())
    );
    audit(&simulator);
    assert_eq!(agent.stop().code, Some(0));
    audit(&simulator);
}

#[test]
fn without_an_agent_it_is_the_same() {
    let simulator = refusing(2);
    let agent = simulator.start_agent();
    wait_until("two are set aside", || listed(&simulator).len() == 2);
    assert_eq!(agent.stop().code, Some(0));
    let all = listed(&simulator);
    let id = all[0]["id"].as_str().unwrap();
    done(&simulator, &["drop", id, "--yes"]);
    assert_eq!(listed(&simulator), all[1..]);
    done(&simulator, &["retry", "--all"]);
    assert_eq!(listed(&simulator), Vec::<Value>::new());
    audit(&simulator);
    let before = taken(&simulator).len();
    let agent = simulator.start_agent();
    wait_until("it is delivered", || taken(&simulator).len() > before);
    assert_eq!(agent.stop().code, Some(0));
    audit(&simulator);
}

#[test]
fn a_block_is_shown_and_kept_as_long_as_it_cannot_be_read() {
    let simulator = Simulator::start();
    simulator.put(
        "/cta/fault",
        r#"{"fault": "bad_block", "block": "broken", "on": "poll", "times": 1}"#,
    );
    let agent = simulator.start_agent();
    wait_until("it is set aside", || listed(&simulator).len() == 1);
    let listed = listed(&simulator);
    assert_eq!(listed[0]["type"], "block");
    let table = done(&simulator, &["list"]);
    assert!(table.contains("  -       block  "), "{table}");
    let shown = done(
        &simulator,
        &["show", &listed[0]["id"].as_str().unwrap()[..8]],
    );
    assert!(shown.contains("Content_Block"), "{shown}");
    let exported: Value = serde_json::from_str(&done(&simulator, &["export", "--all"])).unwrap();
    assert!(exported["text"].as_str().unwrap().contains("Content_Block"));
    let retried = letters(&simulator, &["retry", "--all"]);
    assert_eq!(retried.code, Some(1), "{retried:?}");
    assert!(
        retried.stderr.contains("still cannot be read"),
        "{retried:?}"
    );
    assert!(retried.stderr.contains("1 stays"), "{retried:?}");
    audit(&simulator);
    let dropped = done(&simulator, &["drop", "--all", "--yes"]);
    assert_eq!(dropped, "1 dead letter is dropped\n");
    audit(&simulator);
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let simulator = Simulator::start();
    let nothing = letters(&simulator, &["list"]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(0), ""));
    assert!(nothing.stderr.contains("there is no state"), "{nothing:?}");
    assert!(!simulator.state().exists());
    assert_eq!(simulator.start_agent().stop().code, Some(0));
    assert_eq!(done(&simulator, &["list"]), "there are no dead letters\n");
    assert_eq!(done(&simulator, &["export", "--all"]), "");
    for arguments in [
        &["show", "0"][..],
        &["retry", "0"],
        &["drop", "0", "--yes"],
        &["export", "0"],
    ] {
        let ended = letters(&simulator, arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        assert!(
            ended.stderr.contains("there is no dead letter"),
            "{ended:?}"
        );
    }
    let ended = letters(&simulator, &["retry", "--all", "--to", "nowhere"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("there are: splunk"), "{ended:?}");
    for arguments in [
        &["retry"][..],
        &["drop", "--yes"],
        &["drop", "0", "--all", "--yes"],
        &["export", "0", "--output", "splunk"],
        &["show"],
    ] {
        assert_eq!(
            letters(&simulator, arguments).code,
            Some(2),
            "{arguments:?}"
        );
    }
}
