//! How a command reaches the agent: through its socket, or without one by taking the state itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::CommandError;
use crate::agent::Agent;
use crate::clock::SystemClock;
use crate::config::{Config, LogConfig};
use crate::control::{Client, Reply, Request};
use crate::observe::logging::{self, LogGuard, Surroundings};
use crate::state::StateLock;

/// Asks, lets `hear` have every reply but the last, and gives the message of that.
pub(super) async fn ask(
    config: Config,
    request: Request,
    mut hear: impl FnMut(Reply) -> Result<(), CommandError>,
) -> Result<String, CommandError> {
    if let Some(client) = Client::connect(&config.state.directory).await? {
        let mut call = client.call(&request).await?;
        while let Some(reply) = call.next().await? {
            if let Some(message) = hear_one(reply, &mut hear)? {
                return Ok(message);
            }
        }
        return Err(unanswered());
    }
    let (agent, _log) = take_state(config)?;
    let (replies, mut heard) = mpsc::channel(64);
    let hearing = async {
        while let Some(reply) = heard.recv().await {
            if let Some(message) = hear_one(reply, &mut hear)? {
                return Ok(message);
            }
        }
        Err(unanswered())
    };
    let answering = async {
        agent.answer(request, replies).await;
        // Hearing ends with the last reply.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        message = hearing => message,
        () = answering => Err(unanswered()),
    }
}

/// The agent as it would start, to look at or to ask; what it logs is shown if it is serious.
pub(super) fn take_state(config: Config) -> Result<(Agent, LogGuard), CommandError> {
    refuse_another_ones_state(&config)?;
    let serious = LogConfig {
        level: "warn".to_owned(),
        file: None,
    };
    let log = logging::init(&serious, &Surroundings::of_process())
        .map_err(|error| CommandError::Failed(error.to_string()))?;
    let agent = Agent::build(config, Arc::new(SystemClock::new()))?;
    Ok((agent, log))
}

/// What root writes into the state of another user, that user's agent can no longer open.
fn refuse_another_ones_state(config: &Config) -> Result<(), CommandError> {
    let state = &config.state.directory;
    let Ok(lock) = fs::metadata(StateLock::path(state)) else {
        return Ok(());
    };
    let (owner, user) = (lock.uid(), rustix::process::geteuid().as_raw());
    if owner == user {
        return Ok(());
    }
    Err(CommandError::Failed(format!(
        "no agent runs, and the state in {} is kept by the user with id {owner}: run this as that \
         user, for example with `sudo -u '#{owner}' …`",
        state.display()
    )))
}

/// The message, if this is the last reply.
fn hear_one(
    reply: Reply,
    hear: &mut impl FnMut(Reply) -> Result<(), CommandError>,
) -> Result<Option<String>, CommandError> {
    match reply {
        Reply::Done { message } => Ok(Some(message)),
        Reply::Failed { message } => Err(CommandError::Failed(message)),
        reply => hear(reply).map(|()| None),
    }
}

fn unanswered() -> CommandError {
    CommandError::Failed("the agent ended before it had answered".to_owned())
}
