//! `spool show`: everything about one batch.

use std::fmt::Write as _;
use std::io;

use bytesize::ByteSize;
use chrono::TimeDelta;

use super::list::{origin, window};
use crate::batches::{ShownBatch, ShownState};
use crate::cli::account;
use crate::cli::ask::ask;
use crate::cli::table::{Table, age};
use crate::cli::terminal::{Paint, Style, printable};
use crate::cli::{CommandError, Exit, print_line};
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::spool::Place;

pub(super) async fn run(config: Config, seq: u64, json: bool) -> Result<Exit, CommandError> {
    let mut found = None;
    ask(config, Request::ShowBatch { seq }, |reply| {
        if let Reply::ShownBatch(shown) = reply {
            found = Some(*shown);
        }
        Ok(())
    })
    .await?;
    let shown = found.ok_or_else(|| CommandError::Failed("the agent told nothing".to_owned()))?;
    if json {
        let json = serde_json::to_string_pretty(&shown)
            .map_err(|error| CommandError::Failed(error.to_string()))?;
        print_line(json)?;
    } else {
        print_line(text(&shown, Paint::of(&io::stdout())).trim_end())?;
    }
    Ok(Exit::Success)
}

fn text(shown: &ShownBatch, paint: Paint) -> String {
    let mut page = String::new();
    for (name, value) in facts(shown) {
        // Writing to a text does not fail.
        let _ = writeln!(page, "{name:<14}{}", printable(&value));
    }
    let mut section = |title: &str, table: Option<(Table, Vec<Style>)>| {
        let Some((table, styles)) = table else {
            return;
        };
        let _ = writeln!(page, "\n{}", paint.paint(Style::Bold, title));
        let _ = writeln!(page, "{}", paint.paint(Style::Faint, table.titles));
        for (row, style) in table.rows.into_iter().zip(styles) {
            let _ = writeln!(page, "{}", paint.paint(style, row));
        }
    };
    section("FILES", Some(files(shown)));
    section(
        "OUTPUTS",
        (!shown.outputs.is_empty()).then(|| outputs(shown)),
    );
    section(
        "ACCEPTED AND NOT ACKNOWLEDGED",
        (!shown.receipts.is_empty()).then(|| receipts(shown)),
    );
    page.push('\n');
    let damaged = shown.files.iter().filter(|file| file.damage.is_some());
    match damaged.count() {
        0 if shown.head_damage.is_none() && shown.differences.is_empty() => {
            let well = paint.paint(Style::Good, "the batch is whole");
            let _ = writeln!(page, "{well}");
        }
        _ => {
            for difference in &shown.differences {
                let difference = paint.paint(Style::Bad, printable(difference));
                let _ = writeln!(page, "{difference}");
            }
        }
    }
    page
}

/// What is known of it, a line each.
fn facts(shown: &ShownBatch) -> Vec<(&'static str, String)> {
    let summary = &shown.summary;
    let mut facts = vec![("batch", summary.seq.to_string())];
    let place = match summary.place {
        Some(Place::Spool) => "spool",
        Some(Place::Archive) => "archive",
        None => "-",
    };
    facts.push(("place", format!("{place}, {}", shown.folder.display())));
    if let Some(source) = &summary.source {
        facts.push(("collection", source.key().to_string()));
        facts.push(("origin", origin(source.origin).to_owned()));
        facts.push(("window", window(source.window.as_ref())));
        let ago = age(TimeDelta::seconds(source.age_s));
        let staged = source.staged_at.format("%Y-%m-%dT%H:%M:%SZ");
        facts.push(("staged", format!("{staged}, {ago} ago")));
    }
    facts.push((
        "events",
        format!("{} in {}", summary.events, ByteSize(summary.bytes)),
    ));
    for id in &shown.message_ids {
        facts.push(("message", id.clone()));
    }
    let record = shown.record.as_ref();
    facts.push((
        "ledger",
        record.map_or_else(
            || "no record that is still kept".to_owned(),
            |line| {
                let at = line.at.format("%Y-%m-%dT%H:%M:%SZ");
                format!("record {} of {at}", line.number)
            },
        ),
    ));
    if let Some(remark) = &summary.remark {
        facts.push(("remark", remark.clone()));
    }
    if let Some(damage) = &shown.head_damage {
        facts.push(("batch.json", damage.clone()));
    }
    facts
}

fn files(shown: &ShownBatch) -> (Table, Vec<Style>) {
    let head = ["FILE", "EVENTS", "SIZE", "CRC-32", "STATE"];
    let rows: Vec<[String; 5]> = shown
        .files
        .iter()
        .map(|file| {
            [
                printable(&file.name),
                file.events.to_string(),
                ByteSize(file.bytes).to_string(),
                file.crc32.clone(),
                match (file.state, &file.damage) {
                    (ShownState::BeingRepaired, _) => {
                        "set aside, its window is polled again".to_owned()
                    }
                    (ShownState::Settled, _) => "set aside, nobody waits for it".to_owned(),
                    (_, None) => "whole".to_owned(),
                    (_, Some(damage)) => {
                        let (lines, events) = (file.lines, file.events);
                        let damage = printable(damage);
                        format!("damaged, {lines} of {events} lines can be read: {damage}")
                    }
                },
            ]
        })
        .collect();
    let style = |is_damaged| if is_damaged { Style::Bad } else { Style::Plain };
    let damaged = shown.files.iter().map(|file| style(file.damage.is_some()));
    (Table::new(&head, &rows), damaged.collect())
}

fn outputs(shown: &ShownBatch) -> (Table, Vec<Style>) {
    let rows: Vec<_> = shown.outputs.iter().map(account::cells).collect();
    let styles = shown.outputs.iter().map(account::style);
    (Table::new(&account::TITLES, &rows), styles.collect())
}

fn receipts(shown: &ShownBatch) -> (Table, Vec<Style>) {
    let head = ["OUTPUT", "PEER", "ACK ID", "EVENTS", "ACCEPTED"];
    let rows: Vec<[String; 5]> = shown
        .receipts
        .iter()
        .map(|receipt| {
            [
                receipt.output.clone(),
                printable(&receipt.peer),
                receipt.ack_id.to_string(),
                receipt.events.to_string(),
                receipt.at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            ]
        })
        .collect();
    let styles = vec![Style::Plain; rows.len()];
    (Table::new(&head, &rows), styles)
}
