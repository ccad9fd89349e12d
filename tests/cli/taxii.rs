//! `taxii`: what it sends, what it shows to scripts, and what it refuses.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Ended, run};
use crate::service::{Received, Service, http, message, status};

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

#[test]
fn a_proxy_is_shown_who_asks() {
    // The service is without TLS, so that the proxy is asked for its content.
    let proxy = Service::start(|request| {
        // `mole:badger` in base64.
        if request.header("proxy-authorization") == Some("Basic bW9sZTpiYWRnZXI=") {
            http("200 OK", &inbox_or_poll(request))
        } else {
            http("407 Proxy Authentication Required", "no")
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    let at = proxy.url("");
    let poll = |extra: &[&str]| {
        let asked = ["poll", "gold", "--url", "http://taxii.invalid/poll"];
        let rest = ["--taxii-version", "1.1", "--count-only", "--proxy", &at];
        taxii(&[&asked[..], &rest, extra].concat())
    };
    let known = [
        "--proxy-username",
        "mole",
        "--proxy-password-file",
        password.to_str().unwrap(),
    ];
    fs::write(&password, "badger\n").unwrap();
    let counted = poll(&known);
    assert_eq!(counted.stdout, "at least 17\n", "{counted:?}");
    let first = &proxy.requests()[0];
    let line = "POST http://taxii.invalid/poll HTTP/1.1\r\n";
    assert!(first.head.starts_with(line), "{}", first.head);

    fs::write(&password, "weasel\n").unwrap();
    for refused in [poll(&known), poll(&[])] {
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let said = &refused.stderr;
        assert!(said.contains("proxy_username and proxy_password"), "{said}");
        assert!(!said.contains("weasel"), "{said}");
    }
    assert_eq!(poll(&known[..2]).code, Some(2));
}

#[test]
fn a_new_subscription_has_no_id_yet() {
    let service = Service::of_taxii(inbox_or_poll);
    let url = service.url("all");
    let asked = taxii(&["subscribe", "gold", "--url", &url, "--id", "s-1"]);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert!(asked.stderr.contains("leave --id out"), "{}", asked.stderr);
    assert_eq!(service.requests().len(), 0);
}
