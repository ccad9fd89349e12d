//! `poll`: beside an agent, without one, and what it refuses.

use std::collections::BTreeSet;

use chrono::{SecondsFormat, TimeDelta, Utc};

use crate::program::{Ended, Running, run, wait_until};
use crate::simulator::Simulator;

fn poll(simulator: &Simulator, days: i64, more: &[&str]) -> Ended {
    begin_to_poll(simulator, days, more).wait()
}

fn begin_to_poll(simulator: &Simulator, days: i64, more: &[&str]) -> Running {
    let now = Utc::now();
    let text = |time: chrono::DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let (begin, end) = (text(now - TimeDelta::days(days)), text(now));
    let mut arguments = vec![
        "poll",
        simulator.collection(),
        "--begin",
        &begin,
        "--end",
        &end,
    ];
    arguments.extend(more);
    Running::start(&simulator.arguments(&arguments))
}

fn ids(ended: &Ended) -> BTreeSet<String> {
    let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let lines = ended.stdout.lines();
    lines
        .map(|line| event(line)["eventId"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn without_an_agent_it_polls_itself_and_waits_its_turn() {
    let simulator = Simulator::start();
    let first = poll(&simulator, 3, &[]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(ids(&first), simulator.published());
    assert!(first.stdout.contains("\"service\":\"cta\""));

    let second = poll(&simulator, 3, &["--service", "cta"]);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(second.stdout, first.stdout);
    assert!(second.stderr.contains("waiting"), "{}", second.stderr);

    let status = run(&simulator.arguments(&["status"]));
    assert!(status.stdout.contains("/webflows_1234567890_v0  -  "));
}

#[test]
fn beside_an_agent_that_polls_at_every_opening_it_has_its_turn() {
    let simulator = Simulator::start();
    let mut agent = simulator.start_agent();
    agent.wait_for("polled");
    agent.wait_for("polled");
    let ended = poll(&simulator, 3, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ids(&ended), simulator.published());
    assert!(ended.stderr.matches("waiting").count() <= 1, "{ended:?}");
    agent.wait_for("polled");
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn who_waits_is_told_when_the_service_is_read_anew_and_can_ask_again() {
    let simulator = Simulator::with(&["--min-poll-interval", "1h"]);
    let mut agent = simulator.start_agent();
    agent.wait_for("polled");
    let mut waiting = begin_to_poll(&simulator, 3, &[]);
    waiting.wait_for("for the next");
    simulator.edit(|text| text.replace("name = \"cta\"", "name = \"cta\"\nsplay = \"1ms\""));
    let told = run(&simulator.arguments(&["reload"]));
    assert_eq!(told.stdout, "service cta changed\n", "{told:?}");
    let ended = waiting.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("ask again"), "{ended:?}");
    // Who polls from now on has it wait for the same gate.
    let mut again = begin_to_poll(&simulator, 3, &[]);
    again.wait_for("for the next");
    drop(again);
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn to_an_output_it_is_a_batch_like_any_other() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    let published = simulator.published().len();
    let taken = || simulator.get("/hec/events").as_array().unwrap().len();
    wait_until("everything is delivered", || taken() == published);
    let ended = poll(&simulator, 3, &["--to", "splunk"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    assert!(ended.stderr.contains("as batch"), "{}", ended.stderr);
    wait_until("everything is there again", || taken() == 2 * published);
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let simulator = Simulator::with(&["--min-poll-interval", "1h"]);
    let check = |ended: Ended, expect: &str| {
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!(ended.stdout, "");
        assert!(ended.stderr.contains(expect), "{}", ended.stderr);
    };
    check(poll(&simulator, 4, &[]), "longer than max_window (3days)");
    check(
        poll(&simulator, 3, &["--to", "nowhere"]),
        "there are: splunk",
    );
    check(
        poll(&simulator, 3, &["--service", "other"]),
        "there is no collection",
    );
    simulator.put(
        "/cta/fault",
        r#"{"fault": "status_message", "status_type": "NOT_FOUND", "message": "none such"}"#,
    );
    check(poll(&simulator, 3, &[]), "NOT_FOUND: none such");
}
