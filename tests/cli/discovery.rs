//! What an agent makes of what services tell of themselves.

use std::fs;

use tempfile::TempDir;

use crate::program::Running;
use crate::service::{Service, message, status};

/// An agent's folder, with one service and one output.
fn folder(keys: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let toml = format!(
        "[state]\ndirectory = \"{path}/state\"\nmin_free_disk = \"1MiB\"\n\
         [[service]]\nname = \"feeds\"\nschedule = \"* * * * * *\"\nmin_poll_interval = \"100ms\"\n\
         settle = \"0s\"\n{keys}\n\
         [[output]]\nname = \"file\"\ntype = \"file\"\npath = \"{path}/events.jsonl\"\n"
    );
    fs::write(folder.path().join("agent.toml"), toml).unwrap();
    folder
}

fn start(folder: &TempDir) -> Running {
    let config = folder.path().join("agent.toml");
    Running::start(&["run", "--config", config.to_str().unwrap()])
}

#[test]
fn an_older_version_has_no_answers_that_come_later() {
    let service = Service::of_taxii(|request| {
        let is_1_0 = request.header("x-taxii-services") == Some("urn:taxii.mitre.org:services:1.0");
        if !is_1_0 {
            status("UNSUPPORTED_MESSAGE", "")
        } else if request.is("Discovery_Request") {
            message("Discovery_Response", "", "").replace("binding-1.1", "binding-1")
        } else {
            status("FAILURE", "")
        }
    });
    let url = service.url("poll");
    let folder = folder(&format!(
        "poll_url = \"{url}\"\ncollections = [\"gold\"]\nallow_asynch = true"
    ));
    let mut agent = start(&folder);
    agent.wait_for("allow_asynch does nothing");
    assert_eq!(agent.stop().code, Some(0));
}

#[test]
fn what_is_to_mend_is_what_is_configured() {
    let service = Service::of_taxii(|_| status("UNAUTHORIZED", "who are you?"));
    let url = service.url("discovery");
    let check = |keys: &str, expect: &str| {
        let folder = folder(&format!(
            "discovery_url = \"{url}\"\ncollections = [\"gold\"]\n{keys}"
        ));
        let mut agent = start(&folder);
        let held = agent.wait_for("polling is held");
        assert!(held.contains(expect), "{held}");
        assert_eq!(agent.stop().code, Some(0));
    };
    check("bearer_token = \"t0ken\"", "check bearer_token, and with");
    check(
        "headers = { X-Api-Key = \"k3y\" }",
        "check headers, and with",
    );
    check("", "none is set");
}

#[test]
fn a_collection_of_another_kind_is_told() {
    let contact = "<Protocol_Binding>urn:taxii.mitre.org:protocol:http:1.0</Protocol_Binding>\
                   <Address>/here</Address>\
                   <Message_Binding>urn:taxii.mitre.org:message:xml:1.1</Message_Binding>";
    for (kind, keys, expect) in [
        ("DATA_SET", "", "write it into data_sets"),
        (
            "DATA_FEED",
            "data_sets = [\"gold\"]",
            "take it out of data_sets",
        ),
    ] {
        let service = Service::of_taxii(move |request| {
            if request.is("Discovery_Request") {
                let instance = format!(
                    "<Service_Instance service_type=\"COLLECTION_MANAGEMENT\" available=\"true\" \
                     service_version=\"urn:taxii.mitre.org:services:1.1\">{contact}</Service_Instance>"
                );
                message("Discovery_Response", "", &instance)
            } else if request.is("Collection_Information_Request") {
                let collection = format!(
                    "<Collection collection_name=\"gold\" collection_type=\"{kind}\">\
                     <Description>x</Description><Polling_Service>{contact}</Polling_Service>\
                     </Collection>"
                );
                message("Collection_Information_Response", "", &collection)
            } else {
                status("FAILURE", "")
            }
        });
        let url = service.url("discovery");
        let folder = folder(&format!(
            "discovery_url = \"{url}\"\ncollections = [\"gold\"]\n{keys}"
        ));
        let mut agent = start(&folder);
        agent.wait_for(expect);
        assert_eq!(agent.stop().code, Some(0));
    }
}
