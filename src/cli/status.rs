//! `status`: what is so and what is going on.

mod table;

use std::io;
use std::path::Path;

use super::ask::{Reached, reach, take_state};
use super::terminal::Paint;
use super::{CommandError, Exit, complain, load_without_secrets, print_line};
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::observe::status::Status;

/// Show what is polled, delivered, waiting and held
///
/// Asks the running agent; without one it reads the state that the last one left.
#[derive(Debug, clap::Args)]
pub(super) struct StatusCommand {
    /// Write one JSON object, for scripts: all times in UTC, all sizes in bytes
    #[arg(long)]
    json: bool,
}

impl StatusCommand {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        let status = take(load_without_secrets(config)?).await?;
        if self.json {
            let json = serde_json::to_string_pretty(&status)
                .map_err(|error| CommandError::Failed(error.to_string()))?;
            print_line(json)?;
        } else {
            print_line(table::text(&status, Paint::of(&io::stdout())).trim_end())?;
        }
        Ok(Exit::Success)
    }
}

async fn take(config: Config) -> Result<Status, CommandError> {
    let folder = &config.state.directory;
    if !folder.exists() {
        complain(format_args!(
            "there is no state in {} yet: the first `cta-forwarder run` makes it",
            folder.display()
        ));
        return of_nothing(config);
    }
    let client = match reach(config.clone()).await? {
        Reached::Stopped(agent) => return Ok(Status::take(agent.house(), &config, false)),
        Reached::Running(client) => client,
    };
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

/// What an agent would say before its first poll.
fn of_nothing(mut config: Config) -> Result<Status, CommandError> {
    let folder =
        tempfile::tempdir().map_err(CommandError::failed("a temporary folder cannot be made"))?;
    folder.path().clone_into(&mut config.state.directory);
    let agent = take_state(config.clone())?;
    Ok(Status::take(agent.house(), &config, false))
}
