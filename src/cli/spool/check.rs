//! `spool check`: whether what lies on disk is whole.

use std::io::{self, Write};

use super::list::{count, window};
use crate::batches::Checked;
use crate::cli::ask::ask;
use crate::cli::terminal::{Paint, Style, printable};
use crate::cli::{CommandError, Exit};
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::spool::Place;

pub(super) async fn run(
    config: Config,
    archive: bool,
    repair: bool,
    json: bool,
) -> Result<Exit, CommandError> {
    let paint = Paint::of(&io::stdout());
    let mut out = io::stdout().lock();
    let (mut damaged, mut checked_things) = (0_u64, 0_u64);
    ask(config, Request::CheckSpool { archive, repair }, |reply| {
        let Reply::Checked(checked) = reply else {
            return Ok(());
        };
        checked_things += 1;
        damaged += u64::from(!checked.is_whole());
        let line = if json {
            serde_json::to_string(&checked)
                .map_err(|error| CommandError::Failed(error.to_string()))?
        } else {
            text(&checked, paint)
        };
        writeln!(out, "{line}").map_err(CommandError::Print)
    })
    .await?;
    if !json {
        let end = match damaged {
            0 => paint.paint(Style::Good, "everything is whole".to_owned()),
            some => paint.paint(Style::Bad, format!("damaged: {some} of {checked_things}")),
        };
        writeln!(out, "{end}").map_err(CommandError::Print)?;
    }
    Ok(if damaged == 0 {
        Exit::Success
    } else {
        Exit::Failure
    })
}

/// A line for what was checked, and two for each finding.
fn text(checked: &Checked, paint: Paint) -> String {
    let what = match checked {
        Checked::Batch {
            seq,
            place,
            source,
            files,
            events,
            ..
        } => {
            let archived = match place {
                Some(Place::Archive) => "archived ",
                _ => "",
            };
            let source = source.as_ref().map_or_else(String::new, |source| {
                let key = printable(&source.key().to_string());
                format!(" of {key}, {}", window(source.window.as_ref()))
            });
            let files = count(*files, "file", "files");
            let events = count(*events, "event", "events");
            format!("{archived}batch {seq}{source}: {files}, {events}")
        }
        Checked::Ledger { records, .. } => {
            format!("ledger: {}", count(*records, "record", "records"))
        }
        Checked::DeadLetters { letters, .. } => {
            format!("dead letters: {}", count(*letters, "letter", "letters"))
        }
    };
    let (verdict, style) = match checked.is_whole() {
        true if checked.findings().is_empty() => ("whole", Style::Plain),
        true => ("mended", Style::Doubtful),
        false => ("damaged", Style::Bad),
    };
    let mut lines = vec![paint.paint(style, format!("{what}, {verdict}")).to_string()];
    for finding in checked.findings() {
        let damage = format!("  {}: {}", finding.file, finding.damage);
        lines.push(paint.paint(style, printable(&damage)).to_string());
        let remedy = format!("  {}", finding.remedy);
        lines.push(paint.paint(Style::Faint, printable(&remedy)).to_string());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_named_with_what_becomes_of_it() {
        let batch = |findings: serde_json::Value| {
            serde_json::json!({
                "kind": "batch", "seq": 7, "place": "archive", "service": "cta",
                "collection": "flows", "origin": "poll",
                "window": {"exclusive_begin": "2026-03-01T00:00:00Z",
                           "inclusive_end": "2026-03-02T00:00:00Z"},
                "staged_at": "2026-03-02T00:00:10Z", "age_s": 5, "files": 2, "events": 10,
                "findings": findings,
            })
        };
        let finding = |is_settled: bool| {
            serde_json::json!([{"file": "events-0001.jsonl.zst", "damage": "it\u{1b} is gone",
                "remedy": "look at the disk", "is_settled": is_settled}])
        };
        let line = "archived batch 7 of cta/flows, 2026-03-01T00:00:00Z .. 2026-03-02T00:00:00Z: \
                    2 files, 10 events";
        let more = "\n  events-0001.jsonl.zst: it\\u{1b} is gone\n  look at the disk";
        for (findings, expect) in [
            (serde_json::json!([]), format!("{line}, whole")),
            (finding(false), format!("{line}, damaged{more}")),
            (finding(true), format!("{line}, mended{more}")),
        ] {
            let checked: Checked = serde_json::from_value(batch(findings)).unwrap();
            assert_eq!(text(&checked, Paint::none()), expect);
        }
        let ledger = Checked::Ledger {
            records: 1,
            findings: Vec::new(),
        };
        assert_eq!(text(&ledger, Paint::none()), "ledger: 1 record, whole");
    }
}
