//! `status`: what is so and what is going on.

mod rates;
mod screen;
mod table;
mod verdict;
mod watch;

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::ask::{Reached, reach};
use super::terminal::Paint;
use super::{CommandError, Exit, complain, load_without_secrets, print_line};
use crate::config::Config;
use crate::control::{Client, Reply, Request};
use crate::observe::status::Status;
use crate::observe::troubles::{self, Trouble};
use table::View;

/// Show what is polled, delivered, waiting and held
///
/// The first lines say whether all is well, or what needs a person; the reason and what to do about
/// it stand beneath each collection and output. Asks the running agent; without one it shows what the
/// next start makes of the state that the last one left, and changes nothing.
///
/// With --watch it is shown again and again: on a terminal in place, with how fast events come and
/// go, until q or Ctrl-C; elsewhere one after the other. An agent that is restarted meanwhile is
/// asked again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cta-forwarder status
  cta-forwarder status --watch --interval 1s
  cta-forwarder status --json | jq '.outputs[] | {name, pending_events, hold}'")]
pub(super) struct StatusCommand {
    /// Write JSON, for scripts: one object, a line each with --watch; times in UTC, sizes in bytes
    #[arg(long)]
    json: bool,
    /// Show it again and again
    #[arg(long, short)]
    watch: bool,
    /// How often
    #[arg(long, value_name = "TIME", default_value = "2s", requires = "watch", value_parser = interval)]
    interval: Duration,
}

/// A shorter interval would keep the agent busy with telling.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if interval < MIN_INTERVAL {
        return Err("write at least 100ms".to_owned());
    }
    Ok(interval)
}

impl StatusCommand {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        let config = load_without_secrets(config)?;
        if self.watch {
            return watch::run(config, self.interval, self.json).await;
        }
        let status = take(config).await?;
        if self.json {
            let json = serde_json::to_string_pretty(&Told::of(&status))
                .map_err(|error| CommandError::Failed(error.to_string()))?;
            print_line(json)?;
        } else {
            print_line(
                table::text(&status, Paint::of(&io::stdout()), &View::default()).trim_end(),
            )?;
        }
        Ok(Exit::Success)
    }
}

/// What scripts read.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    status: &'a Status,
    /// What is not well, the worst first.
    troubles: Vec<Trouble>,
}

impl<'a> Told<'a> {
    fn of(status: &'a Status) -> Self {
        let troubles = troubles::find(status);
        Self { status, troubles }
    }
}

async fn take(config: Config) -> Result<Status, CommandError> {
    let folder = &config.state.directory;
    if !folder.exists() {
        complain(format_args!(
            "there is no state in {} yet: the first `cta-forwarder run` makes it",
            folder.display()
        ));
    }
    match reach(config.clone(), &Request::Status).await? {
        Reached::Stopped(agent) => Ok(Status::take(agent.house(), &config, false)),
        Reached::Running(client) => ask_client(client).await,
    }
}

/// What a running agent says; none if none runs.
async fn ask_running(state: &Path) -> Result<Option<Status>, CommandError> {
    match Client::connect(state).await? {
        Some(client) => ask_client(client).await.map(Some),
        None => Ok(None),
    }
}

async fn ask_client(client: Client) -> Result<Status, CommandError> {
    let mut call = client.call(&Request::Status).await?;
    while let Some(reply) = call.next().await? {
        match reply {
            Reply::Status(taken) => return Ok(*taken),
            Reply::Failed { message } => return Err(CommandError::Failed(message)),
            _ => {}
        }
    }
    Err(CommandError::Failed("the agent told nothing".to_owned()))
}
