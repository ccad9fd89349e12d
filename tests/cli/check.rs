//! `check`, `--help` and the exit codes of what cannot begin.

use std::fs;

use crate::program::{Ended, run};

fn check(text: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    fs::write(&path, text).unwrap();
    run(&["check", "--config", path.to_str().unwrap()])
}

const GOOD: &str = r#"
[state]
directory = "/var/lib/somewhere"

[[service]]
name = "cta"
poll_url = "https://taxii.example.com/poll/"
username = "someone"
password = "hunter2"
collections = ["flows", "more"]

[[output]]
name = "splunk"
type = "splunk_hec"
endpoints = ["https://splunk.example.com:8088"]
token = "t0ken"
"#;

#[test]
fn a_good_configuration_is_shown_in_short_and_without_secrets() {
    let ended = check(GOOD);
    assert_eq!(ended.code, Some(0));
    for shown in [
        "is right",
        "https://taxii.example.com/poll/",
        "someone, password from the configuration itself",
        "flows, more",
        "\"0 */10 * * * *\" in UTC",
        "https://splunk.example.com:8088",
        "/var/lib/somewhere",
    ] {
        assert!(ended.stdout.contains(shown), "{shown}: {}", ended.stdout);
    }
    assert_eq!(ended.stderr.matches("warning: ").count(), 2);
    assert!(ended.stderr.contains("agent.toml:9: service[0].password:"));
    for secret in ["hunter2", "t0ken"] {
        assert!(!ended.stdout.contains(secret));
        assert!(!ended.stderr.contains(secret));
    }
    assert!(!ended.stdout.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn what_an_output_guarantees_is_shown() {
    let outputs = [
        (
            "",
            &[
                "delivered    when Splunk has accepted it\n",
                "in flight    requests to one endpoint: at most 4\n",
            ][..],
        ),
        (
            "acknowledge = true\nack_timeout = \"10m\"\n",
            &[
                "delivered    when Splunk has indexed it: asked every 2s, sent again after 10m\n",
                "in flight    requests to one endpoint: at most 4, not acknowledged at most 1000\n",
            ],
        ),
        (
            "[[output]]
name = \"siem\"
type = \"syslog\"
addresses = [\"siem-1:514\", \"siem-2:514\"]
transport = \"relp_tls\"
window = 64
body = \"cef\"
",
            &[
                "syslog       siem-1:514, siem-2:514\n",
                "transport    RELP with TLS\n",
                "message      RFC 5424 with CEF; one of more than 7.8 KiB is a dead letter\n",
                "delivered    when the receiver's application has it\n",
                "in flight    messages: at most 64\n",
            ],
        ),
        (
            "[[output]]
name = \"siem\"
type = \"syslog\"
addresses = [\"localhost:514\"]
framing = \"lf\"
format = \"rfc3164\"
when_too_large = \"shorten\"
",
            &[
                "transport    TCP, a line each\n",
                "message      RFC 3164 with JSON; one of more than 7.8 KiB is shortened\n",
                "delivered    when the receiver's TCP has it, its application may not\n",
            ],
        ),
        (
            "[[output]]
name = \"siem\"
type = \"syslog\"
addresses = [\"localhost:514\"]
transport = \"udp\"
",
            &["delivered    when it is sent, whether it arrives or not\n"],
        ),
    ];
    for (lines, facts) in outputs {
        let ended = check(&format!("{GOOD}{lines}"));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        for fact in facts {
            assert!(ended.stdout.contains(fact), "{fact}: {}", ended.stdout);
        }
    }
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let text = GOOD
        .replace("username", "user_name")
        .replace("[\"flows\", \"more\"]", "[]");
    let ended = check(&text);
    assert_eq!(ended.code, Some(78));
    assert_eq!(ended.stdout, "");
    for line in [8, 10] {
        let place = format!("agent.toml:{line}: service[0].");
        assert!(ended.stderr.contains(&place), "{}", ended.stderr);
    }
}

#[test]
fn every_command_that_needs_it_ends_with_78_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.toml");
    let path = path.to_str().unwrap();
    let window = [
        "--begin",
        "2026-03-01T00:00:00Z",
        "--end",
        "2026-03-02T00:00:00Z",
    ];
    for command in [
        &["check"][..],
        &["run"],
        &["status"],
        &["audit"],
        &["dead-letters", "list"],
        &["output", "forget", "splunk", "--yes"],
        &[&["poll", "flows"][..], &window].concat(),
    ] {
        let ended = run(&[command, &["--config", path]].concat());
        assert_eq!(ended.code, Some(78), "{command:?}");
        assert!(ended.stderr.contains("missing.toml cannot be read"));
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in [
        &[][..],
        &["fly"],
        &["flatten"],
        &["status", "--yaml"],
        &["poll", "flows", "--begin", "yesterday", "--end", "today"],
        &["poll", "flows", "--end", "2026-03-02T00:00:00Z"],
        &[
            "poll",
            "flows",
            "--begin",
            "2026-03-02T00:00:00Z",
            "--end",
            "2026-03-02T01:00:00+01:00",
        ],
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_is_an_answer() {
    let ended = run(&["--help"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("Exit codes:"));
    assert!(ended.stdout.contains("cta-forwarder demo"));
    let commands = [
        "run",
        "demo",
        "flatten",
        "check",
        "status",
        "poll",
        "dead-letters",
        "audit",
        "output",
        "replay",
        "send-test",
        "import-config",
        "simulate",
    ];
    for command in commands {
        assert!(
            ended.stdout.contains(&format!("\n  {command} ")),
            "{command}"
        );
        let ended = run(&[command, "--help"]);
        assert_eq!(ended.code, Some(0), "{command}");
    }
}
