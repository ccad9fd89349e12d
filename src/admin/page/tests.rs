//! What is on the page, and what no word of others can do to it.

use serde_json::json;

use super::html;
use crate::admin::specimen::{hold, output, peer, view, well};
use crate::admin::view::View;
use crate::observe::specimen::unwell;
use crate::observe::status::Status;

/// The page as a person reads it: without tags.
fn read(view: &View) -> String {
    let page = html(view);
    let mut text = String::new();
    let mut is_tag = false;
    for character in page.chars() {
        match character {
            '<' => is_tag = true,
            '>' => {
                is_tag = false;
                text.push(' ');
            }
            character if !is_tag => text.push(character),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(view: &View, expect: &[&str]) {
    let text = read(view);
    for words in expect {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
}

fn with(change: impl FnOnce(&mut Status)) -> View {
    let mut status = well();
    change(&mut status);
    view(status)
}

#[test]
fn all_is_well() {
    check(
        &view(well()),
        &[
            "All is well – cta-forwarder",
            "18 deliveries are pending. 2 collections, 2 outputs; running for 1d 6h",
            "cta flows 1,234 events 10m behind, next poll in 30s well",
            "vendor (inbox) gold 70 events nothing pushed yet well",
            "2 batches wait 2.0 KiB of 4.0 MiB, the oldest from 1h ago",
            "splunk_hec splunk 1,107 delivered 9 pending, delivered 5s ago well",
            "Fetched 1,234 ",
            "2026-03-10T11:50:00.5Z 10m in 30s 1,234 0 20s ago : a poll",
            "Messages taken 3 , the last just now : 7 events",
            "Requests of strangers 1 , the last just now : 192.0.2.7: no password",
            "splunk splunk_hec 9 1,107 2 7 53.0 KiB https://a.example.com:8088 ready",
            "half of the requests took at most 0.05 s",
            "accepted and not yet acknowledged: 6",
            "17 1m ago poll failed cta/flows the answer is cut off",
            "0b9f7a52 cta/ flows splunk hec-6 Invalid data format",
            "cta-forwarder dead-letters list",
        ],
    );
}

#[test]
fn a_hold_comes_first_with_its_mend() {
    let view = with(|status| {
        let held = hold("HTTP 403: token disabled", "enable the token in Splunk");
        let held = output("splunk", &json!({"hold": held, "failures": 7}));
        status.outputs[0] = serde_json::from_value(held).unwrap();
        status.collections[0].activity.failures = 1;
        status.collections[0].activity.failing_since = Some(status.at);
    });
    check(
        &view,
        &[
            "1 thing needs you – cta-forwarder",
            "output splunk is held for 2m HTTP 403: token disabled To mend it: enable the token in \
             Splunk collection cta/flows fails for 0s a poll It is tried again by itself",
            "splunk 1,107 delivered 9 pending, delivered 5s ago held",
            "next poll in 30s failing",
        ],
    );
    assert!(html(&view).contains("<section class=\"verdict held\">"));
}

#[test]
fn what_fails_and_what_is_to_be_looked_at() {
    let failing = json!({
        "failures": 1, "last_failure": "connection refused",
        "peers": [peer("https://a", "failing")],
    });
    let view = with(|status| {
        status.outputs[1] = serde_json::from_value(output("archive", &failing)).unwrap();
        status.spool.quarantine_bytes = 3072;
    });
    check(
        &view,
        &[
            "Something fails, and is tried again by itself",
            "output archive fails for 1m connection refused",
            "https://a fails for 1m",
            "quarantine: 3.0 KiB",
        ],
    );
    let view = with(|status| status.spool.dead_letters = 12);
    check(
        &view,
        &[
            "there is something to look at",
            "12 dead letters wait for a decision",
        ],
    );
}

/// In the words that `cta-forwarder status` has.
#[test]
fn every_trouble_stands_there_with_its_reason_and_mend() {
    let view = view(unwell());
    let text = read(&view);
    assert!(view.troubles.len() > 15, "{:#?}", view.troubles);
    for trouble in &view.troubles {
        let mend = trouble.mend.as_deref().unwrap_or_default();
        for words in [trouble.name.as_str(), &trouble.reason, mend] {
            assert!(text.contains(words), "no {words:?} in {text}");
        }
    }
}

/// Every text of the status that somebody else can choose, chosen by somebody bad.
#[test]
fn hostile_words_are_words() {
    const BAD: &str = "</td><script>alert(1)</script><img src=x onerror=alert(1)>\"'&lt;\u{202e}";
    let mut status = serde_json::to_value(well()).unwrap();
    status["outputs"][0]["hold"] = hold(BAD, BAD);
    status["outputs"][1]["peers"] = json!([peer("https://a", "held"), peer("https://b", "ready")]);
    let mut fouled = 0;
    foul(&mut status, BAD, &mut fouled);
    assert!(fouled > 20, "{fouled}");
    let mut view = view(serde_json::from_value(status).unwrap());
    view.records[0].remark = Some(BAD.to_owned());
    view.records[0].collection = Some(BAD.to_owned());
    view.records[0].end = Some(BAD.to_owned());
    view.letters[0].service = BAD.to_owned();
    view.letters[0].collection = BAD.to_owned();
    view.day.delivered.insert(BAD.to_owned(), vec![1; 96]);
    let page = html(&view);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for wrong in ["<script>", "<img src=x", "\"'&lt;", "\u{202e}"] {
        assert!(!page.contains(wrong), "{wrong:?}");
    }
    // There are as many tags as without them, but for those of more rows.
    let quotes = page.matches('"').count();
    assert_eq!(quotes % 2, 0, "an attribute has no end");
}

/// Puts a text in the place of all that are no times and no words of ours.
fn foul(value: &mut serde_json::Value, bad: &str, count: &mut usize) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                if !["state", "at", "since"].contains(&key.as_str()) && !key.ends_with("_at") {
                    foul(value, bad, count);
                }
            }
        }
        serde_json::Value::Array(list) => {
            for value in list {
                foul(value, bad, count);
            }
        }
        serde_json::Value::String(text) => {
            bad.clone_into(text);
            *count += 1;
        }
        _ => {}
    }
}

/// Nothing is asked of anybody else, and nothing is in line that the policy forbids.
#[test]
fn everything_comes_from_here() {
    let page = html(&view(well()));
    for word in [
        "src=\"http",
        "href=\"http",
        "src=\"//",
        "href=\"//",
        " style=",
        " onclick=",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    for text in [super::STYLE, super::SCRIPT] {
        for word in [
            "http:",
            "https:",
            "url(",
            "@import",
            "innerHTML",
            "insertAdjacentHTML",
            "eval(",
        ] {
            assert!(!text.contains(word), "{word}");
        }
    }
}
