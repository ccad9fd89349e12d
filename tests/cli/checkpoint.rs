//! `checkpoint`: beside an agent and without one.

use serde_json::Value;

use crate::program::{Ended, run, wait_until};
use crate::simulator::Simulator;

fn checkpoint(simulator: &Simulator, arguments: &[&str]) -> Ended {
    run(&simulator.arguments(&[&["checkpoint"][..], arguments].concat()))
}

fn shown(simulator: &Simulator) -> Value {
    let ended = checkpoint(simulator, &["show", "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(ended.stdout.lines().next().unwrap()).unwrap()
}

#[test]
fn beside_an_agent_it_is_shown_and_set_and_the_agent_goes_on_from_there() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    let collection = simulator.collection();
    wait_until("something is polled", || {
        shown(&simulator)["checkpoint"].is_string()
    });
    let before = shown(&simulator);
    assert_eq!(before["collection"], collection);
    assert_eq!(before["is_configured"], true);
    assert_eq!(before["moved"]["by"], "poll");
    assert!(before["gate"]["passed_at"].is_string(), "{before}");
    assert!(before["lag_s"].as_i64().unwrap() >= 0);

    let unasked = checkpoint(&simulator, &["set", collection, "-1d"]);
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    assert!(unasked.stderr.contains("is fetched again"), "{unasked:?}");
    assert!(unasked.stderr.contains("say --yes"), "{unasked:?}");
    assert_ne!(shown(&simulator)["moved"]["by"], "set");

    let set = checkpoint(&simulator, &["set", collection, "-1d", "--yes"]);
    assert_eq!(set.code, Some(0), "{set:?}");
    assert!(set.stderr.contains("with the same eventId"), "{set:?}");
    let key = format!("the checkpoint of {}/{collection} is ", "cta");
    let moment = set.stdout.strip_prefix(&key).unwrap().trim();
    wait_until("it is polled from there", || {
        let requests = simulator.get("/cta/requests");
        let mut requests = requests.as_array().unwrap().iter();
        requests.any(|request| request["begin"] == moment)
    });
    wait_until("it goes on", || shown(&simulator)["moved"]["by"] == "poll");
    assert_eq!(agent.stop().code, Some(0));
    let audit = run(&simulator.arguments(&["audit"]));
    assert_eq!(audit.code, Some(0), "{audit:?}");
}

#[test]
fn without_an_agent_it_is_set_for_the_next_start() {
    let simulator = Simulator::start();
    let nothing = checkpoint(&simulator, &["show"]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(0), ""));
    assert!(nothing.stderr.contains("there is no state"), "{nothing:?}");
    let collection = simulator.collection();
    let nothing = checkpoint(&simulator, &["clear", collection, "--yes"]);
    assert_eq!(nothing.code, Some(1), "{nothing:?}");
    assert!(!simulator.state().exists());
    // Before the first start it can be said where that begins.
    let begin = (chrono::Utc::now() - chrono::TimeDelta::days(1))
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let set = checkpoint(&simulator, &["set", collection, &begin, "--yes"]);
    assert_eq!(set.code, Some(0), "{set:?}");
    assert_eq!(shown(&simulator)["checkpoint"], begin);

    let agent = simulator.start_agent();
    wait_until("it is polled from there", || {
        let requests = simulator.get("/cta/requests");
        let mut requests = requests.as_array().unwrap().iter();
        requests.any(|request| request["begin"] == begin)
    });
    wait_until("it goes on", || shown(&simulator)["moved"]["by"] == "poll");
    assert_eq!(agent.stop().code, Some(0));
    let moment = "2020-03-01T00:00:00Z";
    let set = checkpoint(&simulator, &["set", collection, moment, "--yes"]);
    assert_eq!(set.code, Some(0), "{set:?}");
    assert!(set.stderr.contains("reports it as a gap"), "{set:?}");
    let after = shown(&simulator);
    assert_eq!(after["checkpoint"], moment);
    assert_eq!(after["moved"]["by"], "set");
    let table = checkpoint(&simulator, &["show"]).stdout;
    assert!(table.starts_with("COLLECTION"), "{table}");
    assert!(table.contains("set by hand, "), "{table}");

    let cleared = checkpoint(&simulator, &["clear", collection, "--yes"]);
    assert_eq!(cleared.code, Some(0), "{cleared:?}");
    assert!(
        cleared.stdout.contains("has no checkpoint any more"),
        "{cleared:?}"
    );
    let after = shown(&simulator);
    assert_eq!(after["checkpoint"], Value::Null);
    assert_eq!(after["moved"]["by"], "cleared");
    let status = run(&simulator.arguments(&["status", "--json"]));
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["collections"][0]["checkpoint"], Value::Null);
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let simulator = Simulator::start();
    let agent = simulator.start_agent();
    let collection = simulator.collection();
    wait_until("something is polled", || {
        shown(&simulator)["checkpoint"].is_string()
    });
    let of_typo = format!("typo/{collection}");
    let itself = format!("cta/{collection}");
    for (arguments, expect) in [
        (
            &["set", "typo", "-1d"][..],
            "there is no collection \"typo\"",
        ),
        (
            &["set", collection, "-1d", "--service", "typo"],
            "there is no collection \"typo/",
        ),
        (&["set", collection, "2999-01-01T00:00:00Z"], "the future"),
        (
            &["set", collection, "0001-01-01T00:00:00Z"],
            "checkpoint clear",
        ),
        (&["clear", "typo"], "there is no collection \"typo\""),
        (
            &["move", &of_typo, &itself],
            "has no checkpoint that could be moved",
        ),
        (&["move", &itself, &itself], "is still configured"),
    ] {
        let ended = checkpoint(&simulator, &[arguments, &["--yes"]].concat());
        let (code, stdout) = (ended.code, ended.stdout.as_str());
        assert_eq!((code, stdout), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains(expect), "{ended:?}");
    }
    for arguments in [
        &["set", collection][..],
        &["set", collection, "yesterday"],
        &["set", collection, "-3"],
        &["move", "cta", collection],
        &["clear"],
    ] {
        let ended = checkpoint(&simulator, arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?} {ended:?}");
    }
    assert_eq!(shown(&simulator)["moved"]["by"], "poll");
    assert_eq!(agent.stop().code, Some(0));
}
