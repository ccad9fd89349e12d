//! `taxii`: what it sends, what it shows to scripts, and what it refuses.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Ended, run};
use crate::service::{Received, Service, message, status};

fn inbox_or_poll(request: &Received) -> String {
    if request.is("Poll_Request") {
        let count = "<Record_Count partial_count=\"true\">17</Record_Count>";
        message("Poll_Response", "collection_name=\"gold\"", count)
    } else if request.is("Inbox_Message") {
        status("SUCCESS", "thank you")
    } else {
        status("FAILURE", "not here")
    }
}

fn taxii(arguments: &[&str]) -> Ended {
    let mut all = vec!["taxii"];
    all.extend(arguments);
    run(&all)
}

#[track_caller]
fn told(ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn a_count_and_a_push_are_told_to_scripts() {
    let service = Service::of_taxii(inbox_or_poll);
    let url = service.url("all");
    let count = ["poll", "gold", "--url", &url, "--count-only"];
    assert_eq!(taxii(&count).stdout, "at least 17\n");
    let counted = taxii(&[&count[..], &["--json"]].concat());
    let expect = json!({"collection": "gold", "records": 17, "is_partial": true});
    assert_eq!(told(&counted), expect);
    // Events are JSON already.
    let events = taxii(&["poll", "gold", "--url", &url, "--json"]);
    assert_eq!(events.code, Some(2), "{events:?}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("package.xml");
    fs::write(&file, "<package/>").unwrap();
    let file = file.to_str().unwrap();
    let pushed = taxii(&["push", file, "--to", "gold", "--url", &url, "--json"]);
    let expect = json!({
        "inbox": url, "collections": ["gold"], "content_blocks": 1, "message": "thank you",
    });
    assert_eq!(told(&pushed), expect);
}

#[test]
fn headers_come_from_files_and_go_with_each_request() {
    let service = Service::of_taxii(inbox_or_poll);
    let url = service.url("poll");
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let poll = |header: &str| {
        taxii(&[
            "poll",
            "gold",
            "--url",
            &url,
            "--count-only",
            "--header",
            header,
            "--header",
            &format!("X-Tenant={}", key.display()),
        ])
    };
    let named = format!("X-Api-Key={}", key.display());
    fs::write(&key, "open=sesame\n").unwrap();
    assert_eq!(poll(&named).code, Some(0));
    let requests = service.requests();
    assert!(requests.len() > 1);
    for request in requests {
        assert_eq!(request.header("x-api-key"), Some("open=sesame"));
        assert_eq!(request.header("x-tenant"), Some("open=sesame"));
    }

    let check = |ended: Ended, code: i32, expect: &str| {
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stderr.contains(expect), "{}", ended.stderr);
        assert!(!ended.stderr.contains("sésame"), "{}", ended.stderr);
    };
    check(poll("X-Api-Key"), 2, "write NAME=FILE");
    check(poll("X Api=f"), 2, "not the name of a header");
    check(poll("Host=f"), 2, "the agent sends Host itself");
    check(poll("X-Api-Key=/nowhere"), 1, "cannot be read");
    fs::write(&key, "sésame\n").unwrap();
    check(poll(&named), 1, "a character that cannot be sent");
}
