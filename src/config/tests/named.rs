//! What is named is found, or it is said what there is.

use super::*;
use crate::config::{find_collection, find_output, is_configured};

fn two_services() -> Config {
    let second = table(
        "[[service]]",
        &SERVICE,
        "name = 'second'\npoll_url = 'https://second.example.com/poll'\ncollections = ['both', 'own']",
    );
    let first = service("name = 'first'\ncollections = ['both', 'a']");
    let loaded = Folder::new().load(&(first + &second));
    loaded.unwrap_or_else(|error| panic!("{error}")).config
}

#[test]
fn a_collection_is_found_or_those_that_there_are_are_told() {
    let config = two_services();
    let find = |service, collection| match find_collection(&config.services, service, collection) {
        Ok(service) => service.name.clone(),
        Err(error) => error.to_string(),
    };
    assert_eq!(find(None, "own"), "second");
    assert_eq!(find(Some("second"), "both"), "second");
    assert_eq!(
        find(None, "both"),
        "the collection \"both\" is polled from first and second: say which with --service"
    );
    let known = "in the configuration; there are: first/both, first/a, second/both, second/own";
    for (service, collection, asked) in [
        (None, "typo", "typo"),
        (Some("first"), "own", "first/own"),
        (Some("typo"), "own", "typo/own"),
    ] {
        let message = format!("there is no collection {asked:?} {known}");
        assert_eq!(find(service, collection), message);
    }
}

#[test]
fn a_collection_is_configured_for_its_service_alone() {
    let services = two_services().services;
    for (service, collection, expected) in [
        ("first", "both", true),
        ("second", "both", true),
        ("second", "own", true),
        ("first", "own", false),
        ("typo", "own", false),
    ] {
        let found = is_configured(&services, service, collection);
        assert_eq!(found, expected, "{service}/{collection}");
    }
}

#[test]
fn an_output_is_found_or_those_that_there_are_are_told() {
    let outputs = two_services().outputs;
    let name = &outputs[0].name;
    assert_eq!(find_output(&outputs, name).unwrap().name, *name);
    let message = format!("there is no output \"typo\" in the configuration; there are: {name}");
    let error = find_output(&outputs, "typo").unwrap_err();
    assert_eq!(error.to_string(), message);
}
