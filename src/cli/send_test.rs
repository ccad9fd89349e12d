//! `send-test`: does an event arrive?

use std::io;
use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use serde::Serialize;

use super::ask::{refuse_another_ones_file, refuse_another_ones_state};
use super::table::Table;
use super::terminal::{Paint, Style, printable};
use super::{CommandError, Exit, complain, load, load_without_secrets, print_line};
use crate::config::{Config, OutputConfig, OutputKind};
use crate::control::{Client, Reply, Request};
use crate::event::EventId;
use crate::trial::{MARK, NAME, Trial, TrialError, TrialResult, Tried, send_directly};

/// Send one event that is marked as a test through outputs, and say what becomes of it
///
/// The event is an incident that says to be none: its title, names and addresses are those of a test,
/// and the field ctaForwarderTest is "true". Beside a running agent it goes the way of all events:
/// into the spool, and from there to each output, behind what waits there already. Without an agent
/// this command sends it itself, once, and leaves nothing to be owed.
///
/// Waits until each output has confirmed or refused it, or is held, and says what to do. The exit code
/// is 0 if all have confirmed it. What an agent has not delivered in time stays in its spool and goes
/// out later.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cta-forwarder send-test
  cta-forwarder send-test --to splunk --timeout 3m
  cta-forwarder send-test --to splunk --collection webflows_1234567890_v0   with its index")]
pub(super) struct SendTest {
    /// The output to try; may be repeated. Without it, all of them
    #[arg(long, value_name = "OUTPUT")]
    to: Vec<String>,
    /// The collection that the event says to be of: what an output does differently for one is tried
    /// with it
    #[arg(long, value_name = "NAME", default_value = NAME)]
    collection: String,
    /// The service that the event says to be of
    #[arg(long, value_name = "NAME", default_value = NAME)]
    service: String,
    /// How long is waited for the outputs
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Write one JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// What a script gets.
#[derive(Debug, Serialize)]
struct Report {
    /// The event, by which it is found at the receivers.
    event_id: EventId,
    /// Its batch; none where this command sent it itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u64>,
    outputs: Vec<Tried>,
}

impl SendTest {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        let known = load_without_secrets(config)?;
        let trial = Trial {
            to: self.to,
            service: self.service,
            collection: self.collection,
        };
        // A name that is not there is told without an agent, too.
        trial.outputs(&known.outputs).map_err(failed)?;
        let report = match Client::connect(&known.state.directory).await? {
            Some(client) => ask(client, trial, self.timeout).await?,
            None => {
                refuse_another_ones_state(&known)?;
                for output in trial.outputs(&known.outputs).map_err(failed)? {
                    refuse_another_ones_file(output)?;
                    refuse_to_mix(output, self.json)?;
                }
                send(&load(config)?.config, &trial, self.timeout).await?
            }
        };
        let is_well = |tried: &Tried| tried.result == TrialResult::Delivered;
        let exit = if report.outputs.iter().all(is_well) {
            Exit::Success
        } else {
            Exit::Failure
        };
        if self.json {
            let json = serde_json::to_string_pretty(&report);
            print_line(json.map_err(|error| CommandError::Failed(error.to_string()))?)?;
        } else {
            print_line(text(&report, Paint::of(&io::stdout())))?;
        }
        Ok(exit)
    }
}

/// What is printed for a script is one object: an event beside it would spoil it.
fn refuse_to_mix(output: &OutputConfig, json: bool) -> Result<(), CommandError> {
    if !json || !matches!(output.kind, OutputKind::Stdout) {
        return Ok(());
    }
    Err(CommandError::Failed(format!(
        "no agent runs, and the output {} would write the event to this command's standard output, \
         where --json writes its object: name the other outputs with --to, or leave --json",
        output.name
    )))
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
fn failed(error: TrialError) -> CommandError {
    CommandError::Failed(error.to_string())
}

/// The running agent delivers it.
async fn ask(client: Client, trial: Trial, timeout: Duration) -> Result<Report, CommandError> {
    let mut call = client.call(&Request::SendTest { trial, timeout }).await?;
    let (mut sent, mut is_done) = (None, false);
    let mut outputs = Vec::new();
    while let Some(reply) = call.next().await? {
        match reply {
            Reply::TrialSent { event_id, seq } => sent = Some((event_id, seq)),
            Reply::Tried(tried) => outputs.push(*tried),
            Reply::Failed { message } => return Err(CommandError::Failed(message)),
            Reply::Done { .. } => is_done = true,
            _ => {}
        }
    }
    if !is_done {
        return Err(CommandError::Failed(
            "the agent ended before every output had answered: what it has of the event goes out after \
             its next start"
                .to_owned(),
        ));
    }
    let (event_id, batch) =
        sent.ok_or_else(|| CommandError::Failed("the agent told nothing".to_owned()))?;
    Ok(Report {
        event_id,
        batch,
        outputs,
    })
}

/// Nobody else does: all outputs at once.
async fn send(config: &Config, trial: &Trial, timeout: Duration) -> Result<Report, CommandError> {
    complain("no agent runs: this command sends the event itself, past spool and state");
    let now = Utc::now();
    let event = trial.event(now).map_err(failed)?;
    let outputs = trial.outputs(&config.outputs).map_err(failed)?.into_iter();
    let sending: FuturesOrdered<_> = outputs
        .map(|output| send_directly(output, trial.origin(now), &event, timeout))
        .collect();
    Ok(Report {
        event_id: event.id,
        batch: None,
        outputs: sending.collect().await,
    })
}

fn text(report: &Report, paint: Paint) -> String {
    let rows = report.outputs.iter().map(|tried| {
        [
            printable(&tried.output),
            word(tried.result).to_owned(),
            printable(&tried.what),
        ]
    });
    let rows: Vec<[String; 3]> = rows.collect();
    let table = Table::new(&["OUTPUT", "RESULT", "WHAT"], &rows);
    let mut lines = vec![
        format!(
            "event {}: find it by eventId, or by {MARK}=true",
            report.event_id
        ),
        String::new(),
        paint.paint(Style::Bold, table.titles).to_string(),
    ];
    for (tried, row) in report.outputs.iter().zip(table.rows) {
        let style = style(tried.result);
        lines.push(paint.paint(style, row).to_string());
        if let Some(mend) = &tried.mend {
            let mend = format!("  to mend it: {}", printable(mend));
            lines.push(paint.paint(style, mend).to_string());
        }
    }
    lines.join("\n")
}

fn word(result: TrialResult) -> &'static str {
    match result {
        TrialResult::Delivered => "delivered",
        TrialResult::Refused => "refused",
        TrialResult::Held => "held",
        TrialResult::Failing => "fails",
        TrialResult::Waiting => "waits",
    }
}

fn style(result: TrialResult) -> Style {
    match result {
        TrialResult::Delivered => Style::Good,
        TrialResult::Failing | TrialResult::Waiting => Style::Doubtful,
        TrialResult::Refused | TrialResult::Held => Style::Bad,
    }
}
