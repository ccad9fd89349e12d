//! `checkpoint`: where every collection is, and what a person makes of it.

use std::io;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use super::ask::{ask, ask_for_all, decide};
use super::confirm::confirm;
use super::moment::{moment, span};
use super::table::{Table, age};
use super::terminal::{Paint, Style, printable};
use super::{CommandError, Exit, complain, load_without_secrets, print_line};
use crate::checkpoints::{CheckpointChange, CheckpointStatus, MovedBy, Plan, To};
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::state::CollectionKey;
use crate::taxii::Timestamp;

/// See where each collection is, and say where it goes on
///
/// The checkpoint of a collection is where its next window begins. Polls move it; these commands set
/// it by hand, beside the running agent or without one. A poll that is under way meanwhile keeps its
/// events and leaves the checkpoint where it was set. Before the first start `set` makes the state.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cta-forwarder checkpoint show
  cta-forwarder checkpoint set webflows_1234567890_v0 2026-03-01T00:00:00Z
  cta-forwarder checkpoint set webflows_1234567890_v0 -3d
  cta-forwarder checkpoint move old/webflows_1234567890_v0 cta/webflows_1234567890_v0")]
pub(super) struct CheckpointCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show each collection's checkpoint, how far that is behind, and how it was last moved
    Show {
        /// Write one JSON object a line, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Set a collection's checkpoint
    ///
    /// What lies after it is fetched, also once more; what lies before it and was not fetched never
    /// is. What will happen is said before it does.
    Set {
        /// The collection
        collection: String,
        /// A moment such as 2026-03-01T00:00:00Z (RFC 3339), or how long ago: -3d, -90m
        #[arg(value_parser = to, allow_hyphen_values = true)]
        time: To,
        #[command(flatten)]
        how: How,
    },
    /// Take a collection's checkpoint away: the next poll begins as the first one did
    Clear {
        /// The collection
        collection: String,
        #[command(flatten)]
        how: How,
    },
    /// Give the checkpoint of a collection that is no longer configured to one that is
    ///
    /// For a service that got another name: without this its collections would begin anew.
    Move {
        /// The one that has it, as SERVICE/COLLECTION
        #[arg(value_parser = key)]
        from: CollectionKey,
        /// The one that gets it, as SERVICE/COLLECTION
        #[arg(value_parser = key)]
        to: CollectionKey,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
struct How {
    /// The service, where several have a collection of that name
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl CheckpointCommand {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        let config = load_without_secrets(config)?;
        let is_look = matches!(self.action, Action::Show { .. });
        // Before the first start one can be set: the state is made for it.
        let is_set = matches!(self.action, Action::Set { .. });
        if !is_set && !config.state.directory.exists() {
            complain(format_args!(
                "there is no state in {} yet, and so there are no checkpoints: the first \
                 `cta-forwarder run` makes it, and begins at initial_lookback",
                config.state.directory.display()
            ));
            return Ok(if is_look {
                Exit::Success
            } else {
                Exit::Failure
            });
        }
        let (change, yes) = match self.action {
            Action::Show { json } => return show(config, json).await,
            Action::Set {
                collection,
                time,
                how,
            } => (change(how.service, collection, time), how.yes),
            Action::Clear { collection, how } => {
                (change(how.service, collection, To::First), how.yes)
            }
            Action::Move { from, to, yes } => {
                let change = change(Some(to.service), to.collection, To::Of { key: from });
                (change, yes)
            }
        };
        set(config, change, yes).await
    }
}

fn change(service: Option<String>, collection: String, to: To) -> CheckpointChange {
    CheckpointChange {
        service,
        collection,
        to,
    }
}

/// Says what will happen, asks, and does it.
async fn set(
    config: Config,
    mut change: CheckpointChange,
    yes: bool,
) -> Result<Exit, CommandError> {
    let mut found: Option<Plan> = None;
    let request = Request::PlanCheckpoint {
        change: change.clone(),
    };
    ask(config.clone(), request, |reply| {
        if let Reply::CheckpointPlan(plan) = reply {
            found = Some(*plan);
        }
        Ok(())
    })
    .await?;
    let plan = found.ok_or_else(|| CommandError::Failed("the agent told nothing".to_owned()))?;
    for effect in &plan.effects {
        complain(printable(effect));
    }
    if !yes {
        let question = question(&plan);
        if let Some(exit) = confirm("set the checkpoint", &question)? {
            return Ok(exit);
        }
    }
    // What was agreed to, however long that took.
    if let (To::Ago { .. }, Some(moment)) = (&change.to, plan.to) {
        change.to = To::Moment { moment };
    }
    decide(config, Request::SetCheckpoint { change }).await
}

fn question(plan: &Plan) -> String {
    let shown = |checkpoint: &Option<Timestamp>| {
        checkpoint
            .as_ref()
            .map_or_else(|| "none".to_owned(), Timestamp::to_string)
    };
    format!(
        "The checkpoint of {} is {} and will be {}. Set it?",
        printable(&plan.key().to_string()),
        printable(&shown(&plan.from)),
        shown(&plan.to)
    )
}

async fn show(config: Config, json: bool) -> Result<Exit, CommandError> {
    let one = |reply| match reply {
        Reply::Checkpoint(one) => Some(*one),
        _ => None,
    };
    let (all, _) = ask_for_all(config, Request::ShowCheckpoints, json, one).await?;
    if !json {
        print_line(text(&all, Utc::now(), Paint::of(&io::stdout())))?;
    }
    Ok(Exit::Success)
}

fn text(all: &[CheckpointStatus], now: DateTime<Utc>, paint: Paint) -> String {
    let head = ["COLLECTION", "CHECKPOINT", "LAG", "GATE", "LAST MOVED"];
    let rows: Vec<[String; 5]> = all.iter().map(|one| row(one, now)).collect();
    let table = Table::new(&head, &rows);
    let mut lines = vec![paint.paint(Style::Bold, table.titles).to_string()];
    for (one, row) in all.iter().zip(table.rows) {
        lines.push(row);
        if !one.is_configured {
            let remark = "  no longer configured: `cta-forwarder checkpoint move` gives its checkpoint to another";
            lines.push(paint.paint(Style::Doubtful, remark).to_string());
        }
    }
    lines.join("\n")
}

fn row(one: &CheckpointStatus, now: DateTime<Utc>) -> [String; 5] {
    let none = || "-".to_owned();
    let checkpoint = one.checkpoint.as_ref();
    let lag = one.lag_s.map(|lag| age(TimeDelta::seconds(lag)));
    let gate = one.gate.as_ref().map(|gate| match gate.opens_at {
        Some(opens) => format!("opens in {}", age(opens - now)),
        None => "open".to_owned(),
    });
    let moved = one.moved.as_ref().map(|moved| {
        let by = match moved.by {
            MovedBy::Poll => "by a poll",
            MovedBy::WindowGivenUp => "past a window that was given up",
            MovedBy::Set => "set by hand",
            MovedBy::Cleared => "cleared by hand",
        };
        format!("{by}, {} ago", age(now - moved.at))
    });
    [
        printable(&format!("{}/{}", one.service, one.collection)),
        checkpoint.map_or_else(none, |stamp| printable(stamp.text())),
        lag.unwrap_or_else(none),
        gate.unwrap_or_else(none),
        moved.unwrap_or_else(none),
    ]
}

/// A moment, or how long ago.
fn to(text: &str) -> Result<To, String> {
    let Some(ago) = text.strip_prefix('-') else {
        let moment =
            moment(text).map_err(|hint| format!("{hint}; or how long ago, such as -3d"))?;
        let moment = Timestamp::from(moment);
        return Ok(To::Moment { moment });
    };
    Ok(To::Ago { ago: span(ago)? })
}

fn key(text: &str) -> Result<CollectionKey, String> {
    let (service, collection) = text
        .split_once('/')
        .filter(|(service, collection)| !service.is_empty() && !collection.is_empty())
        .ok_or("write the service and the collection, as SERVICE/COLLECTION")?;
    Ok(CollectionKey {
        service: service.to_owned(),
        collection: collection.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_or_how_long_ago() {
        let ago = |seconds| {
            Ok(To::Ago {
                ago: std::time::Duration::from_secs(seconds),
            })
        };
        assert_eq!(to("-3d"), ago(3 * 86_400));
        assert_eq!(to("-1h 30m"), ago(5400));
        let moment = Timestamp::parse("2026-03-01T00:00:00Z").unwrap();
        assert_eq!(to("2026-03-01T01:00:00+01:00"), Ok(To::Moment { moment }));
        for wrong in ["-", "-3", "-3M", "--3d", "3d", "yesterday", ""] {
            assert!(to(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_collection_is_named_with_its_service() {
        let told = |text| key(text).map(|key| (key.service, key.collection));
        assert_eq!(told("cta/a/b"), Ok(("cta".into(), "a/b".into())));
        for wrong in ["cta", "/a", "cta/", ""] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_person_sees_where_each_collection_is() {
        let all = serde_json::json!([
            {"service": "cta", "collection": "flows", "is_configured": true,
             "checkpoint": "2026-03-01T00:00:00.5Z", "lag_s": 3600,
             "gate": {"name": "cta", "passed_at": "2026-03-01T00:59:00Z",
                      "opens_at": "2026-03-01T01:09:01Z"},
             "moved": {"by": "poll", "at": "2026-03-01T00:59:00Z", "record": 7}},
            {"service": "cta", "collection": "new", "is_configured": true, "checkpoint": null,
             "lag_s": null, "gate": {"name": "cta", "passed_at": null, "opens_at": null},
             "moved": {"by": "cleared", "at": "2026-03-01T00:00:00Z", "record": 8}},
            {"service": "old", "collection": "flows", "is_configured": false,
             "checkpoint": "2026-02-01T00:00:00Z", "lag_s": null, "gate": null, "moved": null},
        ]);
        let all: Vec<CheckpointStatus> = serde_json::from_value(all).unwrap();
        let now = DateTime::parse_from_rfc3339("2026-03-01T01:00:00Z").unwrap();
        let expect = "\
COLLECTION  CHECKPOINT              LAG    GATE            LAST MOVED
cta/flows   2026-03-01T00:00:00.5Z  1h 0m  opens in 9m 1s  by a poll, 1m 0s ago
cta/new     -                       -      open            cleared by hand, 1h 0m ago
old/flows   2026-02-01T00:00:00Z    -      -               -
  no longer configured: `cta-forwarder checkpoint move` gives its checkpoint to another";
        assert_eq!(text(&all, now.to_utc(), Paint::none()), expect);
    }
}
