//! The whole status as a person reads it.

use super::layout::wrap;
use super::*;
use crate::observe::specimen::unwell;

#[test]
fn what_a_person_must_know_is_there() {
    let status = serde_json::json!({
        "version": "1.2.3",
        "at": "2026-03-10T12:00:00Z",
        "pid": 77,
        "collections": [{
            "service": "cta", "collection": "flows", "checkpoint": "2026-03-10T11:50:00.5Z",
            "lag_s": 600, "polled_at": null, "events": 1234, "gaps": 1,
            "next_poll_at": "2026-03-10T12:00:30Z", "last_result": "a poll",
            "last_result_at": null,
            "hold": {"reason": "DENIED", "mend": "ask", "since": "2026-03-10T11:59:00Z"},
        }, {
            "service": "cta", "collection": "new", "checkpoint": null, "lag_s": null,
            "polled_at": null, "events": 0, "gaps": 0, "next_poll_at": null,
            "last_result": "5 events", "last_result_at": "2026-03-10T11:58:00Z", "hold": null,
        }],
        "inbox": {
            "name": "vendor", "collections": [
                {"collection": "gold", "pushed_at": "2026-03-10T11:59:00Z", "events": 70},
                {"collection": "tin", "pushed_at": null, "events": 0},
            ],
            "url": "https://0.0.0.0:9443/inbox", "messages": 3, "last_message": "7 events",
            "last_message_at": "2026-03-10T11:59:00Z", "refused": 2,
            "last_refusal": "RETRY: no room", "last_refusal_at": "2026-03-10T11:30:00Z",
            "strangers": 1, "last_stranger": "192.0.2.7:4711: no password",
            "last_stranger_at": "2026-03-10T11:00:00Z",
        },
        "outputs": [{
            "name": "gone", "type": null, "pending_batches": 2, "pending_events": 20,
            "missing_batches": 1, "repairing_events": 15,
            "finished": {"delivered": 5, "dead_letters": 1, "discarded": 2, "abandoned": 3,
                "lost": 4},
            "delivered_at": null, "delivered": 0, "failures": 4, "last_failure": "refused",
            "hold": null,
        }, {
            "name": "splunk", "type": "splunk_hec", "pending_batches": 1, "pending_events": 9,
            "finished": {"delivered": 7, "dead_letters": 0, "discarded": 0, "abandoned": 0},
            "delivered_at": null, "delivered": 7, "failures": 0, "last_failure": null,
            "hold": null, "awaiting_acknowledgement": 6, "peers": [{
                "name": "https://a", "state": "ready", "in_flight": 1, "limit": 2,
                "failures": 0, "reason": null, "mend": null, "since": null,
            }, {
                "name": "https://b", "state": "failing", "in_flight": 0, "limit": 1,
                "failures": 3, "reason": "connection refused", "mend": null,
                "since": "2026-03-10T11:59:00Z",
            }, {
                "name": "https://c", "state": "held", "in_flight": 0, "limit": 1,
                "failures": 1, "reason": "token disabled", "mend": "enable it",
                "since": "2026-03-10T11:58:00Z",
            }],
        }],
        "spool": {"batches": 2, "bytes": 2048, "max_bytes": 4_194_304,
            "oldest_at": "2026-03-10T11:00:00Z", "dead_letters": 1,
            "quarantine_bytes": 3072},
    });
    let status = serde_json::from_value(status).unwrap();
    let expect = "\
cta-forwarder 1.2.3 runs as process 77
needs you: cta/flows is held, batches of gone are missing, splunk https://c is held
have a look: output gone fails, splunk https://b fails, gaps of cta/flows, output gone is no longer configured, damage is repaired for gone, events are lost for gone, dead letters, quarantine

COLLECTION  CHECKPOINT              LAG     NEXT POLL  EVENTS  GAPS
cta/flows   2026-03-10T11:50:00.5Z  10m 0s  in 30s       1234     1
  held for 1m 0s: DENIED
  to mend it: ask
  gaps so far: 1; the log names the window: poll it by hand, the provider may still have it
cta/new     -                       -       -               0     0
  2m 0s ago: 5 events

INBOX        LAST MESSAGE  EVENTS
vendor/gold  1m 0s ago         70
vendor/tin   -                  0
  listens at https://0.0.0.0:9443/inbox; messages taken since the start: 3
  messages refused: 2; 30m 0s ago: RETRY: no room
  requests of who may not push: 1; 1h 0m ago: 192.0.2.7:4711: no password

OUTPUT  TYPE        PENDING  DELIVERED  DEAD LETTERS  GIVEN UP
gone    -                20          5             1         9
  batches that it owes and that are not in the spool: 1; `cta-forwarder audit` names them and says what can be done
  fails, it is tried again: refused
  it is no longer configured; configure it again, or `cta-forwarder output forget gone`
  events of damaged files: 15; their window is polled again as long as its collection is configured, `cta-forwarder spool check` names it
  events that damage to the spool has cost so far: 4; the log names the window: poll it by hand, the provider may still have it
splunk  splunk_hec        9          7             0         0
  https://b: fails for 1m 0s, it is tried again: connection refused
  https://c: held for 2m 0s: token disabled
  to mend it: enable it
  accepted and not yet acknowledged: 6

SPOOL  waiting batches: 2, 2.0 KiB of 4.0 MiB, the oldest 1h 0m ago; dead letters: 1; quarantine: 3.0 KiB
  1 dead letter waits for a decision; look at them with `cta-forwarder dead-letters list`, then retry or drop them
  3.0 KiB lie in quarantine/; look at what it is (the log says why it was set aside), then remove it
";
    assert_eq!(text(&status, Paint::none(), &View::default()), expect);
}

#[test]
fn long_remarks_go_on_in_the_next_line() {
    let text = "one two three four five six seven";
    let lines = ["one two three four", "five six seven"];
    assert_eq!(wrap(text, 20), lines);
    assert_eq!(wrap(&"x".repeat(45), 20).len(), 3);
    assert_eq!(wrap("", 20), [""]);
    assert_eq!(wrap(text, usize::MAX), [text]);
}

/// Beneath what it is about, and in the words that the status page has.
#[test]
fn every_trouble_stands_there_with_its_reason_and_mend() {
    let status = unwell();
    let text = text(&status, Paint::none(), &View::default());
    let troubles = troubles::find(&status);
    assert!(troubles.len() > 15, "{troubles:#?}");
    for trouble in troubles {
        for words in [Some(trouble.headline()), Some(trouble.reason), trouble.mend] {
            let words = words.unwrap_or_default();
            assert!(text.contains(&words), "no {words:?} in {text}");
        }
    }
}
