//! `simulate`: what it tells, and the configuration that it writes.

use std::collections::BTreeSet;
use std::fs;

use crate::program::{Running, run, wait_until};
use crate::simulator::Simulator;

#[test]
fn the_agent_runs_with_the_configuration_that_it_writes() {
    let simulator = Simulator::start();
    let check = run(&simulator.arguments(&["check"]));
    assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""));
    let agent = simulator.start_agent();
    let published = simulator.published();
    let taken = || -> BTreeSet<String> {
        let events = simulator.get("/hec/events");
        let ids = events.as_array().unwrap().iter();
        ids.map(|event| event["event"]["eventId"].as_str().unwrap().to_owned())
            .collect()
    };
    wait_until("everything is delivered", || taken() == published);
    simulator.delete("/cta/fault");
    assert_eq!(agent.stop().code, Some(0));
    assert_eq!(simulator.process.stop().code, Some(0));
}

#[test]
fn the_first_line_tells_everything_to_a_script() {
    let simulator = Simulator::start();
    for place in [
        "/cta/poll_url",
        "/cta/collection",
        "/cta/username",
        "/cta/password",
        "/hec/url",
        "/hec/token",
        "/control/url",
    ] {
        let value = simulator.about.pointer(place);
        assert!(value.is_some_and(serde_json::Value::is_string), "{place}");
    }
}

#[test]
fn a_person_is_told_what_can_be_switched() {
    let mut simulate = Running::start(&["simulate", "--backlog", "0"]);
    let text: Vec<String> = std::iter::from_fn(|| {
        let line = simulate.stdout_line();
        (line != "Ctrl-C ends it.").then_some(line)
    })
    .collect();
    let text = text.join("\n");
    for told in [
        "/skym-taxii-ws/PollService/",
        "curl -X PUT",
        "--write-config",
    ] {
        assert!(text.contains(told), "{text}");
    }
    assert_eq!(simulate.stop().code, Some(0));
}

#[test]
fn a_configuration_of_somebody_else_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    fs::write(&path, "# mine\n").unwrap();
    let ended = run(&["simulate", "--write-config", path.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("not of this command"), "{ended:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\n");
}

#[test]
fn a_configuration_on_standard_output_is_whole() {
    let mut simulate = Running::start(&["simulate", "--backlog", "0", "--write-config", "-"]);
    simulate.wait_for("Ctrl-C");
    let ended = simulate.stop();
    assert_eq!(ended.code, Some(0));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    fs::write(&path, ended.stdout).unwrap();
    let check = run(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(check.code, Some(0), "{check:?}");
}
