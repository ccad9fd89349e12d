//! `spool list`: which batches there are.

use std::collections::BTreeMap;
use std::io;

use bytesize::ByteSize;
use chrono::TimeDelta;

use crate::batches::BatchSummary;
use crate::cli::ask::ask_for_all;
use crate::cli::table::{Table, age};
use crate::cli::terminal::{Paint, Style, printable};
use crate::cli::{CommandError, Exit, print_line};
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::spool::Place;
use crate::state::Origin;
use crate::taxii::Timestamp;
use crate::taxii::window::PollWindow;

pub(super) async fn run(config: Config, place: Place, json: bool) -> Result<Exit, CommandError> {
    let batch = |reply| match reply {
        Reply::Batch(batch) => Some(*batch),
        _ => None,
    };
    let request = Request::ListBatches { place };
    let (batches, _) = ask_for_all(config, request, json, batch).await?;
    if !json {
        print_line(text(&batches, place, Paint::of(&io::stdout())))?;
    }
    Ok(Exit::Success)
}

/// The batches for a person, and what they come to.
fn text(batches: &[BatchSummary], place: Place, paint: Paint) -> String {
    if batches.is_empty() {
        return match place {
            Place::Spool => "there are no batches in the spool".to_owned(),
            Place::Archive => "there are no batches in the archive".to_owned(),
        };
    }
    let head = [
        "SEQ",
        "COLLECTION",
        "WINDOW",
        "ORIGIN",
        "EVENTS",
        "SIZE",
        "AGE",
        "DONE BY",
    ];
    let rows: Vec<[String; 8]> = batches.iter().map(row).collect();
    let table = Table::new(&head, &rows);
    let mut lines = vec![paint.paint(Style::Bold, table.titles).to_string()];
    for (batch, row) in batches.iter().zip(table.rows) {
        lines.push(row);
        if let Some(remark) = &batch.remark {
            let style = if batch.source.is_some() {
                Style::Doubtful
            } else {
                Style::Bad
            };
            let remark = format!("  {}", printable(remark));
            lines.push(paint.paint(style, remark).to_string());
        }
    }
    lines.push(String::new());
    lines.push(totals(batches));
    lines.join("\n")
}

fn row(batch: &BatchSummary) -> [String; 8] {
    let none = || "-".to_owned();
    let source = batch.source.as_ref();
    let owed = batch.owed_by.iter();
    let done: Vec<String> = owed
        .map(|owed| format!("{} {}/{}", owed.output, owed.done, owed.done + owed.pending))
        .collect();
    [
        batch.seq.to_string(),
        source.map_or_else(none, |source| printable(&source.key().to_string())),
        source.map_or_else(none, |source| window(source.window.as_ref())),
        source.map_or_else(none, |source| origin(source.origin).to_owned()),
        batch.events.to_string(),
        ByteSize(batch.bytes).to_string(),
        source.map_or_else(none, |source| age(TimeDelta::seconds(source.age_s))),
        if done.is_empty() {
            none()
        } else {
            done.join(", ")
        },
    ]
}

/// What was asked for, to the second.
pub(super) fn window(window: Option<&PollWindow>) -> String {
    let Some(window) = window else {
        return "-".to_owned();
    };
    let shown = |stamp: Option<&Timestamp>, open: &str| {
        stamp.map_or_else(
            || open.to_owned(),
            |stamp| stamp.time().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        )
    };
    format!(
        "{} .. {}",
        shown(window.exclusive_begin.as_ref(), "the beginning"),
        shown(window.inclusive_end.as_ref(), "the end")
    )
}

pub(super) fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Poll => "poll",
        Origin::Manual => "manual",
        Origin::Retry => "retry",
        Origin::Repair => "repair",
        Origin::Inbox => "inbox",
        Origin::Replay => "replay",
        Origin::Test => "test",
    }
}

fn totals(batches: &[BatchSummary]) -> String {
    let events: u64 = batches.iter().map(|batch| batch.events).sum();
    let bytes = batches.iter().map(|batch| batch.bytes).sum();
    let mut sentence = format!(
        "{}, {}, {}",
        count(batches.len() as u64, "batch", "batches"),
        count(events, "event", "events"),
        ByteSize(bytes)
    );
    let mut owed: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for owing in batches.iter().flat_map(|batch| &batch.owed_by) {
        let (batches, events) = owed.entry(&owing.output).or_default();
        *batches += 1;
        *events += owing.pending;
    }
    for (output, (batches, events)) in owed {
        let events = count(events, "event", "events");
        let batches = count(batches, "batch", "batches");
        sentence = format!("{sentence}; {output} owes {events} of {batches}");
    }
    sentence
}

pub(super) fn count(number: u64, one: &str, several: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        more => format!("{more} {several}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_sees_what_waits_for_whom() {
        let batches = serde_json::json!([
            {"seq": 7, "place": null, "events": 5, "bytes": 0,
             "owed_by": [{"output": "splunk", "done": 2, "pending": 3}],
             "remark": "it is owed and not in the spool"},
            {"seq": 12, "place": "spool", "service": "cta", "collection": "fl\u{1b}ows",
             "origin": "poll",
             "window": {"exclusive_begin": null, "inclusive_end": "2026-03-01T00:00:00.123Z"},
             "staged_at": "2026-03-01T00:00:10Z", "age_s": 7260, "events": 1234, "bytes": 2048,
             "owed_by": [{"output": "siem", "done": 0, "pending": 1234},
                         {"output": "splunk", "done": 1000, "pending": 234}]},
            {"seq": 13, "place": "spool", "service": "cta", "collection": "flows",
             "origin": "retry", "window": null, "staged_at": "2026-03-01T02:00:10Z", "age_s": 5,
             "events": 1, "bytes": 100, "owed_by": [], "remark": "nobody owes it any more"},
        ]);
        let batches: Vec<BatchSummary> = serde_json::from_value(batches).unwrap();
        let expect = "\
SEQ  COLLECTION       WINDOW                                 ORIGIN  EVENTS  SIZE     AGE    DONE BY
  7  -                -                                      -            5  0 B      -      splunk 2/5
  it is owed and not in the spool
 12  cta/fl\\u{1b}ows  the beginning .. 2026-03-01T00:00:00Z  poll      1234  2.0 KiB  2h 1m  siem 0/1234, splunk 1000/1234
 13  cta/flows        -                                      retry        1  100 B    5s     -
  nobody owes it any more

3 batches, 1240 events, 2.1 KiB; siem owes 1234 events of 1 batch; splunk owes 237 events of 2 batches";
        assert_eq!(text(&batches, Place::Spool, Paint::none()), expect);
        let none = text(&[], Place::Archive, Paint::none());
        assert_eq!(none, "there are no batches in the archive");
    }
}
