//! The definition of `eventId` in `docs/events.md`, run a second time: by hand, from the events.

use std::fs;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{path, read};

/// The first 32 hexadecimal digits of SHA-256 over the texts, each behind its length.
fn event_id(texts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(u32::try_from(text.len()).unwrap().to_be_bytes());
        digest.update(text.as_bytes());
    }
    let digest: [u8; 32] = digest.finalize().into();
    let (first, _) = digest.split_first_chunk::<16>().unwrap();
    format!("{:032x}", u128::from_be_bytes(*first))
}

fn events(sample: &str) -> Vec<Value> {
    let (blocks, _) = read(&fs::read(path(sample, "xml")).unwrap()).unwrap();
    let parse = |line: &String| serde_json::from_str(line).unwrap();
    blocks.lines().map(parse).collect()
}

#[test]
fn of_flows() {
    let events = events("webflow");
    for (event, ordinal) in [(&events[1], "0"), (&events[2], "1")] {
        let texts = [
            "1",
            "flow",
            "cta:incident-17",
            "cta:indicator-17-0",
            "cta:webflow",
            "timestamp",
            "1709544612000",
            "sIP",
            "192.0.2.231",
            ordinal,
        ];
        assert_eq!(event["eventId"], event_id(&texts));
    }
}

#[test]
fn of_values_as_they_were_received() {
    let events = events("swflow");
    // Where there is no custom_name it is empty.
    let texts = [
        "1",
        "flow",
        "cta:incident-18",
        "cta:indicator-18-0",
        "",
        "startTime",
        "soon",
        "0",
    ];
    assert_eq!(events[2]["eventId"], event_id(&texts));
}

#[test]
fn of_incidents() {
    let events = events("no-observables");
    let texts = [
        "1",
        "incident",
        "cta:incident-20",
        "incidentTitle",
        "phishing",
        "incidentUrl",
        "https://cta.example.com/incidents/20",
        "victim",
        "jane.doe; john.doe",
        "confidence",
        "Medium",
        "risk",
        "5",
        "tool",
        "cta:tool-amp; cta:tool-cta",
    ];
    assert_eq!(events[0]["eventId"], event_id(&texts));
    assert_eq!(
        events[1]["eventId"],
        event_id(&["1", "incident", "cta:incident-21"])
    );
}

#[test]
fn of_indicators() {
    let events = events("feed");
    let texts = [
        "1",
        "indicator",
        "feed:indicator-21",
        "Address",
        "address",
        "192.0.2.21",
        "0",
    ];
    assert_eq!(events[0]["eventId"], event_id(&texts));
    let texts = [
        "1",
        "indicator",
        "feed:indicator-22",
        "indicatorTitle",
        "Only a title",
    ];
    assert_eq!(events[1]["eventId"], event_id(&texts));
}

#[test]
fn of_observables() {
    let events = events("objects");
    let texts = [
        "1",
        "observable",
        "feed:observable-1",
        "Address",
        "addressCategory",
        "ipv4-addr",
        "address",
        "192.0.2.231",
        "address",
        "192.0.2.232",
        "0",
    ];
    assert_eq!(events[0]["eventId"], event_id(&texts));
    let texts = [
        "1",
        "observable",
        "feed:observable-2",
        "DomainName",
        "@type",
        "FQDN",
        "domain",
        "xjpakmdcfuqe.example",
        "domainCondition",
        "EndsWith",
        "0",
    ];
    assert_eq!(events[1]["eventId"], event_id(&texts));
}

/// The worked example and the names of the documentation are those of the program.
#[test]
fn the_documentation_is_true() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md");
    let page = fs::read_to_string(page).unwrap();
    let shown: Vec<Value> = page
        .split("```json\n")
        .skip(1)
        .map(|text| serde_json::from_str(text.split("```").next().unwrap()).unwrap())
        .collect();
    assert_eq!(shown[0], events("webflow")[0]);
    assert_eq!(shown[1], events("no-observables")[0]);
    assert_eq!(shown.len(), 2);
    let golden: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# golden: "))
        .collect();
    let examples = [
        ("webflow", 1),
        ("webflow", 2),
        ("no-observables", 1),
        ("feed", 0),
        ("feed", 1),
        ("objects", 5),
    ];
    let known: Vec<String> = examples
        .iter()
        .map(|&(sample, at)| events(sample)[at]["eventId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(golden, known);
    for sample in super::SAMPLES.into_iter().chain(super::FEEDS) {
        for event in events(sample) {
            let names = event.as_object().unwrap().keys();
            // What has no name of its own has a path, and a condition the name of its field.
            let is_own = |name: &&String| {
                name.starts_with(char::is_lowercase) && !name.ends_with("Condition")
            };
            for name in names.filter(is_own) {
                assert!(
                    page.contains(&format!("`{name}`")),
                    "{name} is not described"
                );
            }
        }
    }
}
