//! `replay`: batches that were delivered go out again.

use std::io;
use std::path::Path;

use bytesize::ByteSize;
use chrono::{DateTime, Utc};

use super::ask::{ask, decide};
use super::confirm::confirm;
use super::moment::moment_or_ago;
use super::table::Table;
use super::terminal::{Paint, Style, printable};
use super::{CommandError, Exit, complain, load_without_secrets, print_line};
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::replay::{Choice, Plan};

/// So many numbers are named, the others counted.
const NAMED: usize = 10;

/// Send batches of the archive again, to an output of your choice
///
/// For a receiver that has lost what it had, or a new one that wants the past. Batches are what polls
/// and pushes brought, kept as long as state.archive says; each goes out whole, as a new batch of
/// that output alone, with the same eventId for every event, so that what comes twice can be found.
/// No checkpoint moves and nothing is polled.
///
/// What an output got by an earlier replay is left out, so that a replay that was interrupted goes on
/// where it stopped when it is asked for again; --again sends it once more. So is what the output does not
/// take (its `collections`).
///
/// What will go out is shown first. A replay fills at most half of the spool and waits while that is
/// delivered, so that polls have the rest. What of it is damaged is named and left out; the exit code
/// is 1 then. Ctrl-C ends it after the batch that is under way.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cta-forwarder replay --to splunk --begin -3d
  cta-forwarder replay --to siem --collection webflows_1234567890_v0 \\
      --begin 2026-03-01T00:00:00Z --end 2026-03-02T00:00:00Z
  cta-forwarder replay --to siem --batch 17 --batch 18 --yes
  cta-forwarder spool list --archive          which batches there are")]
pub(super) struct Replay {
    /// The output that gets them
    #[arg(long, value_name = "OUTPUT")]
    to: String,
    /// Only this collection
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Only this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only batches whose window ends at this moment or later: such as 2026-03-01T00:00:00Z
    /// (RFC 3339), or how long ago: -3d, -90m
    #[arg(long, value_name = "TIME", value_parser = moment_or_ago, allow_hyphen_values = true)]
    begin: Option<DateTime<Utc>>,
    /// Only batches whose window begins before this moment
    #[arg(long, value_name = "TIME", value_parser = moment_or_ago, allow_hyphen_values = true)]
    end: Option<DateTime<Utc>>,
    /// These batches alone; may be repeated
    #[arg(long = "batch", value_name = "SEQ")]
    batches: Vec<u64>,
    /// Those too that the output got by an earlier replay
    #[arg(long)]
    again: bool,
    /// Those too that other outputs still owe, which are in the spool
    #[arg(long)]
    with_spool: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Replay {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        let config = load_without_secrets(config)?;
        if self.begin.is_some() && self.end.is_some() && self.begin >= self.end {
            complain("--begin must be before --end");
            return Ok(Exit::Usage);
        }
        if !config.state.directory.exists() {
            complain(format_args!(
                "there is no state in {} yet, and so there is nothing to replay",
                config.state.directory.display()
            ));
            return Ok(Exit::Success);
        }
        let mut choice = Choice {
            to: self.to,
            service: self.service,
            collection: self.collection,
            begin: self.begin,
            end: self.end,
            batches: self.batches,
            again: self.again,
            with_spool: self.with_spool,
            below: None,
        };
        let plan = plan(config.clone(), &choice).await?;
        tell(&plan, &choice.to);
        if plan.batches == 0 {
            print_line(nothing(&plan, &choice.to))?;
            return Ok(Exit::Success);
        }
        if !self.yes
            && let Some(exit) = confirm("replay", &question(&plan, &choice.to))?
        {
            return Ok(exit);
        }
        // What was agreed to, however long that took.
        choice.below = Some(plan.below);
        decide(config, Request::Replay { choice }).await
    }
}

async fn plan(config: Config, choice: &Choice) -> Result<Plan, CommandError> {
    let mut found = None;
    let request = Request::PlanReplay {
        choice: choice.clone(),
    };
    ask(config, request, |reply| {
        if let Reply::ReplayPlan(plan) = reply {
            found = Some(*plan);
        }
        Ok(())
    })
    .await?;
    found.ok_or_else(|| CommandError::Failed("the agent told nothing".to_owned()))
}

/// Why nothing goes out.
fn nothing(plan: &Plan, to: &str) -> String {
    match plan.replayed.len() {
        0 => "there is nothing to replay".to_owned(),
        count => format!(
            "there is nothing left to replay: {to} got {} by an earlier replay; --again sends {} once \
             more",
            count_of(count),
            if count == 1 { "it" } else { "them" }
        ),
    }
}

fn count_of(batches: usize) -> String {
    match batches {
        1 => "1 batch".to_owned(),
        more => format!("{more} batches"),
    }
}

/// On standard error, as the question is.
fn tell(plan: &Plan, to: &str) {
    let paint = Paint::of(&io::stderr());
    if plan.batches > 0 {
        complain(table(plan, paint));
    }
    if !plan.still_owed.is_empty() {
        complain(format_args!(
            "left out, since {to} still owes them and gets them anyway: {}",
            some(&plan.still_owed)
        ));
    }
    if !plan.replayed.is_empty() && plan.batches > 0 {
        complain(format_args!(
            "left out, since {to} got them by an earlier replay (--again sends them once more): {}",
            some(&plan.replayed)
        ));
    }
    for of in &plan.not_taken {
        let what = format!("{}/{}", of.service, of.collection);
        complain(format_args!(
            "left out, since {to} does not take {} (its `collections`): {}",
            printable(&what),
            count_of(usize::try_from(of.batches).unwrap_or(usize::MAX))
        ));
    }
    for what in &plan.unreadable {
        let what = format!(
            "left out, since its head cannot be read: {}",
            printable(what)
        );
        complain(paint.paint(Style::Doubtful, what));
    }
}

fn table(plan: &Plan, paint: Paint) -> String {
    let head = ["COLLECTION", "FROM", "TO", "BATCHES", "EVENTS", "BYTES"];
    let time = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let rows = plan.collections.iter().map(|of| {
        [
            printable(&format!("{}/{}", of.service, of.collection)),
            of.begin.map_or_else(|| "the beginning".to_owned(), time),
            time(of.end),
            of.batches.to_string(),
            of.events.to_string(),
            ByteSize(of.bytes).to_string(),
        ]
    });
    let rows: Vec<[String; 6]> = rows.collect();
    let table = Table::new(&head, &rows);
    let titles = paint.paint(Style::Bold, table.titles).to_string();
    let lines: Vec<String> = std::iter::once(titles).chain(table.rows).collect();
    lines.join("\n")
}

fn question(plan: &Plan, to: &str) -> String {
    format!(
        "{} batches with {} events, {} on disk, go to {to} again, where they may come a second time \
         with the same eventId. Send them?",
        plan.batches,
        plan.events,
        ByteSize(plan.bytes)
    )
}

fn some(numbers: &[u64]) -> String {
    let named: Vec<String> = numbers.iter().take(NAMED).map(u64::to_string).collect();
    let more = match numbers.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("batches {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_sees_what_will_go_out() {
        let plan = serde_json::json!({
            "collections": [
                {"service": "cta", "collection": "flows", "batches": 2, "events": 30,
                 "bytes": 2048, "begin": null, "end": "2026-03-01T00:00:00Z"},
                {"service": "feed", "collection": "x\u{1b}", "batches": 1, "events": 4, "bytes": 9,
                 "begin": "2026-02-01T00:00:00Z", "end": "2026-02-02T00:00:00Z"},
            ],
            "batches": 3, "events": 34, "bytes": 2057, "below": 9, "still_owed": [], "unreadable": [],
        });
        let plan: Plan = serde_json::from_value(plan).unwrap();
        let expect = "\
COLLECTION    FROM                  TO                    BATCHES  EVENTS  BYTES
cta/flows     the beginning         2026-03-01T00:00:00Z        2      30  2.0 KiB
feed/x\\u{1b}  2026-02-01T00:00:00Z  2026-02-02T00:00:00Z        1       4  9 B";
        assert_eq!(table(&plan, Paint::none()), expect);
        let question = question(&plan, "siem");
        assert!(question.starts_with("3 batches with 34 events, 2.0 KiB on disk, go to siem"));
    }

    #[test]
    fn many_numbers_are_counted() {
        assert_eq!(some(&[1, 2]), "batches 1, 2");
        let many: Vec<u64> = (1..=12).collect();
        assert!(some(&many).ends_with("9, 10 and 2 more"));
    }
}
