//! `run`: how it ends, and what does not end it.

use std::fs::File;
use std::io::Read;

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Running, command, run, wait_until};
use crate::simulator::Simulator;

#[test]
fn a_signal_lets_what_is_in_flight_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let simulator = Simulator::start();
        let slow =
            r#"{"fault": "slow_answer", "on": "poll", "piece_bytes": 1000, "pause_ms": 100}"#;
        simulator.put("/cta/fault", slow);
        let agent = simulator.start_agent();
        wait_until("it polls", || simulator.polls() == 1);
        agent.signal(signal);
        let ended = agent.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("polled"), "{}", ended.stderr);
        assert!(ended.stderr.contains("stopped"), "{}", ended.stderr);
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let simulator = Simulator::start();
    simulator.put("/cta/fault", r#"{"fault": "black_hole", "on": "poll"}"#);
    // Nothing but the second signal can end it within the test's limit.
    simulator.edit(|text| format!("shutdown_timeout = \"1h\"\n{text}"));
    let mut agent = simulator.start_agent();
    wait_until("it polls", || simulator.polls() == 1);
    agent.signal(Signal::TERM);
    agent.wait_for("stopping");
    agent.signal(Signal::INT);
    let ended = agent.wait();
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("second time"), "{}", ended.stderr);
}

#[test]
fn a_service_that_takes_its_time_does_not_spoil_a_stop() {
    for fault in [
        r#"{"fault": "black_hole", "on": "poll"}"#,
        r#"{"fault": "stalled_answer", "on": "poll"}"#,
    ] {
        let simulator = Simulator::start();
        simulator.put("/cta/fault", fault);
        simulator.edit(|text| format!("shutdown_timeout = \"4s\"\n{text}"));
        let agent = simulator.start_agent();
        wait_until("it polls", || simulator.polls() == 1);
        let ended = agent.stop();
        assert_eq!(ended.code, Some(0), "{fault}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("its poll is interrupted"),
            "{fault}: {}",
            ended.stderr
        );
        // It counts as no failure, and nothing was taken of it.
        let status = run(&simulator.arguments(&["status", "--json"])).stdout;
        let status: Value = serde_json::from_str(&status).unwrap();
        assert_eq!(
            status["collections"][0]["checkpoint"],
            Value::Null,
            "{status}"
        );
        simulator.delete("/cta/fault");
        let agent = simulator.start_agent();
        wait_until("all is delivered", || {
            simulator.get("/hec/events").as_array().unwrap().len() == simulator.published().len()
        });
        assert_eq!(agent.stop().code, Some(0));
    }
}

#[test]
fn when_the_time_for_that_is_up_it_stops_too() {
    let simulator = Simulator::start();
    simulator.put("/hec/fault", r#"{"fault": "black_hole", "on": "events"}"#);
    simulator.edit(|text| format!("shutdown_timeout = \"100ms\"\n{text}"));
    let agent = simulator.start_agent();
    wait_until("it delivers", || {
        !simulator
            .get("/hec/requests")
            .as_array()
            .unwrap()
            .is_empty()
    });
    let ended = agent.stop();
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("TimeUp"), "{}", ended.stderr);
}

#[test]
fn a_reader_that_goes_away_does_not_end_it() {
    let simulator = Simulator::start();
    simulator.edit(|text| format!("{text}\n[[output]]\nname = \"screen\"\ntype = \"stdout\"\n"));
    let mut agent = command(&simulator.arguments(&["run"])).spawn().unwrap();
    let mut first = [0; 1];
    let mut stdout = agent.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    drop(agent.stderr.take());
    let polls = simulator.polls();
    wait_until("it polls on", || simulator.polls() > polls + 1);
    let status = run(&simulator.arguments(&["status"])).stdout;
    assert!(status.contains("runs as process"), "{status}");
    let pid = rustix::process::Pid::from_child(&agent);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(0));
}

#[test]
fn a_state_in_use_is_refused() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    let second = Running::start(&simulator.arguments(&["run"])).wait();
    assert_eq!(second.code, Some(1));
    let pid = agent.pid();
    assert!(second.stderr.contains(&format!("in use by process {pid}")));
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn a_start_waits_for_who_only_looks_at_the_state() {
    let simulator = Simulator::start();
    assert_eq!(simulator.start_agent().stop().code, Some(0));
    let look = File::open(simulator.state().join("lock")).unwrap();
    look.try_lock_shared().unwrap();
    let mut agent = Running::start(&simulator.arguments(&["run"]));
    let told = agent.wait_for("a command looks at the state folder");
    assert!(told.contains("the start waits"), "{told}");
    drop(look);
    agent.wait_for("started");
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn a_level_that_is_none_is_a_mistake_of_configuration() {
    let simulator = Simulator::start();
    let mut command = command(&simulator.arguments(&["run"]));
    let output = command.env("CTA_FORWARDER_LOG", "loud").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("CTA_FORWARDER_LOG"), "{stderr}");
}
