//! `demo`: everything that was published arrives, whatever happens in between.

use serde_json::Value;

use crate::program::run;

#[test]
fn everything_arrives() {
    let ended = run(&["demo", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(result["ok"], true);
    assert_eq!(result["delivered"], result["published"]);
    assert!(result["published"].as_u64().unwrap() > 1000, "{result}");
    assert!(result["polls"].as_u64().unwrap() >= 10, "{result}");
    for told in [
        "Splunk goes down",
        "cannot deliver",
        "Splunk is back",
        "the poll failed: Only one poll request",
        "kill -9",
        "no more packages",
        "has taken",
    ] {
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
}
