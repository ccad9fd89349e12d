//! How a command reaches the agent: through its socket, or without one by taking the state itself.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::mpsc;

use super::terminal::printable;
use super::waiting::Waiting;
use super::{CommandError, Exit, complain, load, load_without_secrets, packaged, print_line};
use crate::agent::{Agent, StartError};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, LogConfig, OutputConfig, OutputKind};
use crate::control::{CallError, Client, Reply, Request};
use crate::disk::LookingDisk;
use crate::observe::logging::{self, InitLogError, Surroundings};
use crate::state::{LockError, StateLock};

/// How long a start waits after the disk refused it.
const DISK_WAIT: Duration = Duration::from_secs(10);
/// How long a start waits for those who only look: an audit of much takes minutes.
const LOOK_PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Asks, lets `hear` have every reply but the last, and gives the message of that.
pub(super) async fn ask(
    config: Config,
    request: Request,
    hear: impl FnMut(Reply) -> Result<(), CommandError>,
) -> Result<String, CommandError> {
    let reached = reach(config, &request).await?;
    hear_all(reached, request, hear).await
}

/// Has something done, and says what was.
pub(super) async fn decide(config: Config, request: Request) -> Result<Exit, CommandError> {
    let message = ask(config, request, |reply| {
        if let Reply::Progress { message } = reply {
            complain(printable(&message));
        }
        Ok(())
    })
    .await?;
    print_line(message)?;
    Ok(Exit::Success)
}

/// Asks for things of one kind: for scripts each is printed as a line of JSON as it comes, else all
/// are given. Gives the last message too.
pub(super) async fn ask_for_all<T: Serialize>(
    config: Config,
    request: Request,
    json: bool,
    one: impl Fn(Reply) -> Option<T>,
) -> Result<(Vec<T>, String), CommandError> {
    let mut all = Vec::new();
    let mut out = BufWriter::new(io::stdout().lock());
    let last = ask(config, request, |reply| {
        match one(reply) {
            Some(one) if json => {
                let line = serde_json::to_string(&one)
                    .map_err(|error| CommandError::Failed(error.to_string()))?;
                writeln!(out, "{line}").map_err(CommandError::Print)?;
            }
            Some(one) => all.push(one),
            None => {}
        }
        Ok(())
    })
    .await?;
    out.flush().map_err(CommandError::Print)?;
    Ok((all, last))
}

/// [Asks](ask) for what is polled by hand: where no agent runs, it takes a whole one with its secrets.
pub(super) async fn ask_to_poll(
    config: &Path,
    request: Request,
    hear: impl FnMut(Reply) -> Result<(), CommandError>,
) -> Result<String, CommandError> {
    let state = load_without_secrets(config)?.state.directory;
    let reached = match Client::connect(&state).await? {
        Some(client) => Reached::Running(client),
        None => reach_with(load(config)?.config, Agent::build).await?,
    };
    hear_all(reached, request, hear).await
}

pub(super) async fn hear_all(
    reached: Reached,
    request: Request,
    mut hear: impl FnMut(Reply) -> Result<(), CommandError>,
) -> Result<String, CommandError> {
    let agent = match reached {
        Reached::Running(client) => {
            let mut call = client.call(&request).await?;
            while let Some(reply) = call.next().await? {
                if let Some(message) = hear_one(reply, &mut hear)? {
                    return Ok(message);
                }
            }
            return Err(unanswered());
        }
        Reached::Stopped(agent) => agent,
    };
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

/// Who answers for a state.
pub(super) enum Reached {
    /// An agent that runs.
    Running(Client),
    /// Nobody else: this process has the state.
    Stopped(Box<Agent>),
}

/// How the state is taken where no agent runs.
type Build = fn(Config, Arc<dyn Clock>) -> Result<Agent, StartError>;

/// Connects to the running agent. Where none runs it takes the state, or looks at it if that is enough.
pub(super) async fn reach(config: Config, request: &Request) -> Result<Reached, CommandError> {
    if request.is_look() {
        reach_to_look(config).await
    } else {
        reach_with(config, Agent::build_idle).await
    }
}

/// Connects to the running agent, or looks at the state where none runs, and changes nothing.
async fn reach_to_look(config: Config) -> Result<Reached, CommandError> {
    let mut patience = Patience::new();
    loop {
        let refused = match Client::connect(&config.state.directory).await {
            Ok(Some(client)) => return Ok(Reached::Running(client)),
            Ok(None) => None,
            // Of an agent that was killed the socket stays, and not everybody who may look may use it.
            Err(error @ CallError::Connect { .. }) => Some(error),
            Err(error) => return Err(error.into()),
        };
        log_what_is_serious()?;
        let disk = LookingDisk::default();
        match Agent::build_to_look(config.clone(), Arc::new(SystemClock::new()), &disk) {
            Ok(agent) => {
                if disk.would_change() {
                    complain(
                        "no agent runs, and a look changes nothing: what is shown is what the next \
                         start makes of the state",
                    );
                }
                return Ok(Reached::Stopped(Box::new(agent)));
            }
            Err(error) if is_in_use(&error) => match refused {
                Some(refused) => return Err(refused.into()),
                None if patience.wait().await => {}
                None => return Err(error.into()),
            },
            Err(error) if error.is_of_rights() => {
                // What may not be read either is no state without an agent.
                if let Some(refused) = refused {
                    return Err(refused.into());
                }
                refuse_another_ones_state(&config)?;
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn reach_with(config: Config, build: Build) -> Result<Reached, CommandError> {
    let mut patience = Patience::new();
    loop {
        if let Some(client) = Client::connect(&config.state.directory).await? {
            return Ok(Reached::Running(client));
        }
        refuse_another_ones_state(&config)?;
        refuse_to_make_another_ones_state(&config)?;
        log_what_is_serious()?;
        match build(config.clone(), Arc::new(SystemClock::new())) {
            Ok(agent) => return Ok(Reached::Stopped(Box::new(agent))),
            Err(error) if is_in_use(&error) && patience.wait().await => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Starts an agent. Where only a command has the state, it waits until that is done with it, longer
/// where that only looks; where
/// the disk takes nothing, until it does; where something cannot be read, for a while.
pub(super) async fn build(config: Config) -> Result<Agent, StartError> {
    let mut patience = Patience::new();
    let mut looking = None;
    let mut waiting = Waiting::default();
    loop {
        let storage = waiting.storage(Instant::now());
        let clock = Arc::new(SystemClock::new());
        let built = Agent::build_on(config.clone(), clock, &storage);
        match &built {
            Err(error) if error.is_of_the_disk() => {
                waiting.refused(error, Instant::now());
                tokio::time::sleep(DISK_WAIT).await;
                continue;
            }
            Ok(_) => waiting.is_over(),
            Err(_) => {}
        }
        if let Err(error) = &built
            && is_looked_at(error)
        {
            let patience = looking.get_or_insert_with(|| {
                tracing::warn!("{error}; the start waits for it");
                Patience::of(LOOK_PATIENCE)
            });
            if patience.wait().await {
                continue;
            }
            return built;
        }
        let is_in_use = built.as_ref().err().is_some_and(is_in_use);
        let is_running = || Client::connect(&config.state.directory);
        if !is_in_use || matches!(is_running().await, Ok(Some(_))) || !patience.wait().await {
            return built;
        }
    }
}

fn is_in_use(error: &StartError) -> bool {
    matches!(error, StartError::Lock(LockError::Held { .. })) || is_looked_at(error)
}

fn is_looked_at(error: &StartError) -> bool {
    matches!(error, StartError::Lock(LockError::LookedAt { .. }))
}

/// A command has the state for a moment, and so has an agent that has no socket yet.
struct Patience {
    end: Instant,
}

impl Patience {
    const ALL: Duration = Duration::from_secs(3);
    const STEP: Duration = Duration::from_millis(50);

    fn new() -> Self {
        Self::of(Self::ALL)
    }

    fn of(all: Duration) -> Self {
        Self {
            end: Instant::now() + all,
        }
    }

    /// Waits a little; tells whether there is any patience left.
    async fn wait(&mut self) -> bool {
        tokio::time::sleep(Self::STEP).await;
        Instant::now() < self.end
    }
}

/// A command that asks twice has its log by then.
fn log_what_is_serious() -> Result<(), CommandError> {
    let serious = LogConfig {
        level: "warn".to_owned(),
        file: None,
    };
    match logging::init(&serious, &Surroundings::of_process()) {
        // Without a file there is nothing to keep open.
        Ok(_) | Err(InitLogError::AlreadyStarted) => Ok(()),
        Err(error) => Err(CommandError::Failed(error.to_string())),
    }
}

/// What root writes into the state of another user, that user's agent can no longer open.
pub(super) fn refuse_another_ones_state(config: &Config) -> Result<(), CommandError> {
    let state = &config.state.directory;
    // Before the first start there is the folder alone.
    let lock = fs::metadata(StateLock::path(state)).or_else(|_| fs::metadata(state));
    let Ok(lock) = lock else {
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

/// Nor what root makes in the folder of a file output.
pub(super) fn refuse_another_ones_file(output: &OutputConfig) -> Result<(), CommandError> {
    let OutputKind::File(file) = &output.kind else {
        return Ok(());
    };
    let there = file
        .path
        .ancestors()
        .find_map(|place| fs::metadata(place).ok());
    let user = rustix::process::geteuid().as_raw();
    let Some(owner) = there
        .map(|there| there.uid())
        .filter(|owner| *owner != user)
    else {
        return Ok(());
    };
    Err(CommandError::Failed(format!(
        "no agent runs, and {} of the output {} belongs to the user with id {owner}: run this as that \
         user, for example with `sudo -u '#{owner}' …`, or name other outputs with --to",
        file.path.display(),
        output.name
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
        Reply::Misconfigured { message } => Err(CommandError::Misconfigured(message)),
        reply => hear(reply).map(|()| None),
    }
}

fn unanswered() -> CommandError {
    CommandError::Failed("the agent ended before it had answered".to_owned())
}

/// Before the first start root would make the state its own.
fn refuse_to_make_another_ones_state(config: &Config) -> Result<(), CommandError> {
    let state = &config.state.directory;
    if state.exists() {
        return Ok(());
    }
    let Some(user) = packaged::agent_user(None, state)? else {
        return Ok(());
    };
    Err(CommandError::Failed(format!(
        "there is no state in {} yet, and what root makes there, the agent's user cannot use: make the \
         folder with `{}`, and run this as that user, with `runuser -u {} -- cta-forwarder …`",
        state.display(),
        packaged::make_state(&user, state),
        user.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::schedule;

    fn config(folder: &std::path::Path) -> Config {
        let path = folder.join("cta-forwarder.toml");
        let toml = format!(
            "[state]\ndirectory = {:?}\n[[service]]\nname = \"cta\"\n\
             poll_url = \"http://127.0.0.1:1/\"\ncollections = [\"flows\"]\n\
             [[output]]\nname = \"local\"\ntype = \"file\"\npath = \"/none/events.jsonl\"\n",
            folder.join("state")
        );
        fs::write(&path, toml).unwrap();
        let loaded = Config::load(&path, &Environment::new("host"), schedule::check);
        loaded.unwrap().config
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn an_agent_waits_for_a_command_that_has_the_state_for_a_moment() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let command = StateLock::take(&config.state.directory).unwrap();
        // In this order: it finds the state taken, and then it is free.
        let (built, ()) = tokio::join!(build(config), async { drop(command) });
        built.unwrap();
    }
}
