//! `reload` and SIGHUP: another configuration while the agent runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Ended, Running, run, wait_until};
use crate::simulator::Simulator;

fn reload(simulator: &Simulator) -> Ended {
    run(&simulator.arguments(&["reload"]))
}

fn status(simulator: &Simulator) -> Value {
    let status = run(&simulator.arguments(&["status", "--json"]));
    serde_json::from_str(&status.stdout).unwrap()
}

/// The ids of what a simulated Splunk has, as often as it has them.
fn delivered(simulator: &Simulator) -> Vec<String> {
    let events = simulator.get("/hec/events");
    let events = events.as_array().unwrap().iter();
    let id = |event: &Value| event["event"]["eventId"].as_str().unwrap().to_owned();
    events.map(id).collect()
}

#[track_caller]
fn assert_exactly_once(simulator: &Simulator) {
    let delivered = delivered(simulator);
    let set: BTreeSet<String> = delivered.iter().cloned().collect();
    assert_eq!(set, simulator.published());
    assert_eq!(set.len(), delivered.len());
}

fn polled_on(simulator: &Simulator) {
    let polls = simulator.polls();
    wait_until("it polls on", || simulator.polls() > polls + 1);
}

/// A file output in the folder of the simulator.
fn file_output(simulator: &Simulator, name: &str) -> (String, PathBuf) {
    let path = simulator.folder.path().join(name);
    let output = format!(
        "\n[[output]]\nname = \"{name}\"\ntype = \"file\"\npath = \"{}\"\n\
         start_at = \"oldest\"\n",
        path.display()
    );
    (output, path)
}

#[test]
fn outputs_come_change_and_go_while_all_else_goes_on() {
    let simulator = Simulator::start();
    let original = fs::read_to_string(simulator.config()).unwrap();
    simulator.put("/hec/outage", "");
    let agent = simulator.start_agent();
    wait_until("something is owed", || {
        status(&simulator)["spool"]["batches"] == 1
    });
    let (file, path) = file_output(&simulator, "local");
    simulator.edit(|text| format!("{text}{file}"));
    let told = reload(&simulator);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert_eq!(told.stdout, "output local added\n");
    // It starts with the oldest batch, which the other still owes.
    let published = simulator.published().len();
    wait_until("the new output has all", || {
        fs::read_to_string(&path).is_ok_and(|text| text.lines().count() == published)
    });

    let other = path.with_extension("other");
    simulator.edit(|text| text.replace(path.to_str().unwrap(), other.to_str().unwrap()));
    assert_eq!(reload(&simulator).stdout, "output local changed\n");

    simulator.edit(|_| original);
    assert_eq!(reload(&simulator).stdout, "output local removed\n");
    assert_eq!(reload(&simulator).stdout, "nothing changed\n");
    let names = status(&simulator);
    let names: Vec<&Value> = names["outputs"].as_array().unwrap().iter().collect();
    assert_eq!(names[0]["name"], "local");
    assert_eq!(
        names[0]["type"],
        Value::Null,
        "it is known, and not configured"
    );
    simulator.delete("/hec/outage");
    wait_until("Splunk has all", || {
        delivered(&simulator).len() == simulator.published().len()
    });
    assert_exactly_once(&simulator);
    assert_eq!(agent.stop().code, Some(0));
    assert_eq!(run(&simulator.arguments(&["audit"])).code, Some(0));
}

#[test]
fn a_configuration_with_a_mistake_is_refused_and_the_old_one_goes_on() {
    let simulator = Simulator::start();
    let mut agent = simulator.start_agent();
    simulator.edit(|text| text.replace("name = \"splunk\"", "name = \"splunk\"\nindx = \"main\""));
    let told = reload(&simulator);
    assert_eq!(told.code, Some(78), "{told:?}");
    assert!(told.stderr.contains("indx"), "{told:?}");
    assert!(told.stderr.contains("stays as it was"), "{told:?}");
    agent.signal(Signal::HUP);
    let line = agent.wait_for("stays as it was");
    assert!(line.contains("ERROR"), "{line}");
    polled_on(&simulator);
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn what_takes_a_restart_is_named() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    let state = simulator.state();
    simulator.edit(|text| text.replace("[state]", "[state]\nmax_spool_bytes = \"1GiB\""));
    assert!(state.exists());
    let told = reload(&simulator);
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(
        told.stderr
            .contains("[state] changed, which takes a restart"),
        "{told:?}"
    );
    polled_on(&simulator);
    assert_eq!(agent.stop().code, Some(0));
    let told = reload(&simulator);
    assert_eq!(told.code, Some(1));
    assert!(told.stderr.contains("no agent runs"), "{told:?}");
}

#[test]
fn a_poll_that_is_under_way_is_finished_and_the_gate_keeps_its_time() {
    let simulator = Simulator::with(&["--min-poll-interval", "1h"]);
    let slow = r#"{"fault": "slow_answer", "on": "poll", "piece_bytes": 1500, "pause_ms": 50}"#;
    simulator.put("/cta/fault", slow);
    let mut agent = simulator.start_agent();
    wait_until("it polls", || simulator.polls() == 1);
    simulator.edit(|text| text.replace("settle = \"1s\"", "settle = \"30s\""));
    agent.signal(Signal::HUP);
    agent.wait_for("polled");
    agent.wait_for("goes on with the new configuration");
    agent.wait_for("the configuration was read again: service cta changed");
    wait_until("Splunk has all", || {
        delivered(&simulator).len() == simulator.published().len()
    });
    assert_exactly_once(&simulator);
    // A new poller would have polled at once, if the gate had been forgotten.
    let next = status(&simulator)["collections"][0]["next_poll_at"].clone();
    assert!(next.is_string(), "{next}");
    assert_eq!(simulator.polls(), 1);
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn a_delivery_that_is_under_way_is_finished() {
    let simulator = Simulator::start();
    let slow = r#"{"fault": "slow_answer", "on": "events", "piece_bytes": 5, "pause_ms": 100}"#;
    simulator.put("/hec/fault", slow);
    let agent = simulator.start_agent();
    wait_until("it delivers", || !delivered(&simulator).is_empty());
    simulator.edit(|text| text.replace("name = \"splunk\"", "name = \"splunk\"\nsource = \"new\""));
    let told = reload(&simulator);
    assert_eq!(told.stdout, "output splunk changed\n", "{told:?}");
    wait_until("Splunk has all", || {
        delivered(&simulator).len() == simulator.published().len()
    });
    assert_exactly_once(&simulator);
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn secrets_in_files_and_the_level_of_the_log_change() {
    let simulator = Simulator::start();
    let token = simulator.folder.path().join("token");
    let right = simulator.about["hec"]["token"].as_str().unwrap().to_owned();
    fs::write(&token, "wrong").unwrap();
    simulator.edit(|text| {
        let line = text.lines().find(|line| line.starts_with("token")).unwrap();
        text.replace(line, &format!("token = {{ file = {token:?} }}"))
            // No probe mends it meanwhile.
            .replace(
                "initial = \"200ms\", max = \"1s\"",
                "initial = \"1h\", max = \"1h\"",
            )
    });
    let mut agent = simulator.start_agent();
    wait_until("the output is held", || {
        status(&simulator)["outputs"][0]["hold"].is_object()
    });
    fs::write(&token, right).unwrap();
    simulator.edit(|text| format!("{text}\n[log]\nlevel = \"debug\"\n"));
    let told = reload(&simulator);
    assert_eq!(
        told.stdout, "output splunk changed, log level debug\n",
        "{told:?}"
    );
    wait_until("Splunk has all", || {
        delivered(&simulator).len() == simulator.published().len()
    });
    agent.wait_for("DEBUG");
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn services_come_and_go() {
    let simulator = Simulator::start();
    let original = fs::read_to_string(simulator.config()).unwrap();
    let agent = simulator.start_agent();
    polled_on(&simulator);
    simulator.edit(|text| text.replace("name = \"cta\"", "name = \"other\""));
    assert_eq!(
        reload(&simulator).stdout,
        "service cta removed, service other added\n"
    );
    polled_on(&simulator);
    let collections = status(&simulator)["collections"].clone();
    assert_eq!(collections.as_array().unwrap().len(), 1);
    assert_eq!(collections[0]["service"], "other");
    simulator.edit(|_| original);
    assert_eq!(reload(&simulator).code, Some(0));
    polled_on(&simulator);
    assert_eq!(status(&simulator)["collections"][0]["service"], "cta");
    assert_eq!(agent.stop().code, Some(0));
    let audit = run(&simulator.arguments(&["audit"]));
    assert_eq!(audit.code, Some(0), "{audit:?}");
}

#[test]
fn another_reload_may_come_while_one_is_under_way() {
    let simulator = Simulator::start();
    simulator.put("/cta/fault", r#"{"fault": "black_hole", "on": "poll"}"#);
    simulator.edit(|text| format!("shutdown_timeout = \"2s\"\n{text}"));
    let agent: Running = simulator.start_agent();
    wait_until("it polls", || simulator.polls() == 1);
    for settle in ["10s", "20s"] {
        simulator.edit(|text| {
            let before = text.lines().find(|line| line.starts_with("settle"));
            text.replace(before.unwrap(), &format!("settle = \"{settle}\""))
        });
        let told = reload(&simulator);
        assert_eq!(
            told.stdout,
            "service cta changed; service cta finishes what is under way and goes on with it then\n",
            "{told:?}"
        );
    }
    // A stop waits for none of them.
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn who_pushes_to_the_inbox_is_never_refused_meanwhile() {
    const PUSHES: usize = 12;
    let simulator = Simulator::start();
    simulator.edit(|text| {
        format!("{text}\n[inbox]\nlisten = \"127.0.0.1:0\"\ncollections = [\"gold\"]\n")
    });
    let agent = simulator.start_agent();
    let inbox = || status(&simulator)["inbox"].clone();
    wait_until("the inbox listens", || inbox()["url"].is_string());
    let url = inbox()["url"].as_str().unwrap().to_owned();
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/webflow.xml");
    std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            (0..PUSHES).for_each(|_| {
                let pushed = run(&["taxii", "push", package, "--to", "gold", "--url", &url]);
                assert_eq!(pushed.code, Some(0), "{pushed:?}");
            });
        });
        let mut rate = 1000;
        while !pushing.is_finished() {
            rate += 1;
            simulator.edit(|text| {
                let (before, _) = text.split_once("\nmax_messages").unwrap_or((&text, ""));
                format!("{before}\nmax_messages_per_minute = {rate}\n")
            });
            let told = reload(&simulator);
            assert!(told.stdout.starts_with("inbox changed"), "{told:?}");
        }
        pushing.join().unwrap();
        assert!(rate > 1001, "it was reloaded meanwhile");
    });
    assert_eq!(inbox()["messages"], PUSHES);
    assert_eq!(inbox()["url"], *url, "it stays where it is");
    simulator.edit(|text| text.split_once("\n[inbox]").unwrap().0.to_owned());
    assert_eq!(reload(&simulator).stdout, "inbox removed\n");
    let pushed = run(&["taxii", "push", package, "--to", "gold", "--url", &url]);
    assert_eq!(pushed.code, Some(1), "{pushed:?}");
    assert_eq!(agent.stop().code, Some(0));
}
