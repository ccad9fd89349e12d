//! `output forget`: what an output owes that is no longer configured.

use std::fs;

use crate::program::{Ended, run, wait_until};
use crate::simulator::Simulator;

fn forget(simulator: &Simulator, more: &[&str]) -> Ended {
    run(&simulator.arguments(&[&["output", "forget", "gone"][..], more].concat()))
}

#[test]
fn what_is_owed_stays_until_a_person_gives_it_up() {
    let simulator = Simulator::start();
    let without = fs::read_to_string(simulator.config()).unwrap();
    simulator.edit(|text| {
        let (before, splunk) = text.split_once("[[output]]").unwrap();
        let gone = splunk.replace("\"splunk\"", "\"gone\"");
        format!("{before}[[output]]{splunk}[[output]]{gone}")
    });
    simulator.put("/hec/outage", "");
    let agent = simulator.start_agent();
    let status = || run(&simulator.arguments(&["status"])).stdout;
    wait_until("both owe something", || {
        status().contains("waiting batches: 1")
    });
    let refused = forget(&simulator, &["--yes"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("still configured"), "{refused:?}");
    assert_eq!(agent.stop().code, Some(0));

    simulator.edit(|_| without);
    assert!(status().contains("cta-forwarder output forget gone"));
    let unasked = forget(&simulator, &[]);
    assert_eq!(unasked.code, Some(2));
    assert!(unasked.stderr.contains("--yes"), "{unasked:?}");
    assert!(status().contains("gone"));

    let forgotten = forget(&simulator, &["--yes"]);
    assert_eq!(forgotten.code, Some(0), "{forgotten:?}");
    assert!(forgotten.stdout.contains("still owed: 1"));
    assert!(!status().contains("gone"));
    assert!(
        status().contains("waiting batches: 1"),
        "the other still owes"
    );
    let again = forget(&simulator, &["--yes"]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("no output \"gone\""), "{again:?}");
}
