//! `run`: the agent, until it is told to stop.

use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::ask;
use super::signals::{HangUps, Signals};
use super::{CommandError, Exit, load};
use crate::agent::{ConfigSource, Ended, Orders, StartError};
use crate::config::{Config, LoadError, Loaded};
use crate::observe::logging::{self, InitLogError, LogGuard, Surroundings};
use crate::observe::service_manager::{self, START_SIGN};

pub(super) async fn run(config: &Path) -> Result<Exit, CommandError> {
    let loaded = load(config)?;
    let log = match logging::init(&loaded.config.log, &Surroundings::of_process()) {
        Ok(log) => log,
        Err(error) => return Ok(refuse(&error)),
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // Before anything is opened, so that a signal finds the agent ready for it.
    let (signals, hang_ups) = (Signals::listen()?, HangUps::listen()?);
    let source = Source {
        path: config.to_owned(),
        log,
    };
    match serve(loaded.config, source, signals, hang_ups).await {
        Ok(exit) => Ok(exit),
        Err(error) => {
            tracing::error!("{error}");
            Ok(Exit::Failure)
        }
    }
}

/// Where the agent reads its configuration again.
struct Source {
    path: PathBuf,
    /// The log ends with it.
    log: LogGuard,
}

impl ConfigSource for Source {
    fn load(&self) -> Result<Loaded, LoadError> {
        load(&self.path)
    }

    fn set_level(&self, level: &str) {
        self.log.set_level(level);
    }
}

/// Tells systemd that a start which takes its time goes on, until this is dropped.
///
/// From a thread of its own: what was kept is looked through without a pause.
struct StartSigns {
    _over: std::sync::mpsc::Sender<()>,
}

impl StartSigns {
    fn begin() -> Self {
        let (over, is_over) = std::sync::mpsc::channel::<()>();
        thread::spawn(move || {
            while is_over.recv_timeout(START_SIGN) == Err(RecvTimeoutError::Timeout) {
                service_manager::starting("starting: what was kept is looked through");
            }
        });
        Self { _over: over }
    }
}

/// There is no log yet that could say so.
fn refuse(error: &InitLogError) -> Exit {
    super::complain(error);
    match error {
        InitLogError::Level { .. } => Exit::Configuration,
        _ => Exit::Failure,
    }
}

async fn serve(
    config: Config,
    source: Source,
    mut signals: Signals,
    mut hang_ups: HangUps,
) -> Result<Exit, StartError> {
    let signs = StartSigns::begin();
    let agent = tokio::select! {
        built = ask::build(config) => built?,
        name = signals.next() => {
            tracing::info!(signal = name, "told to stop before the start was done");
            return Ok(Exit::Success);
        }
    };
    drop(signs);
    let (stop, stopped) = oneshot::channel::<()>();
    let (reload, reloads) = mpsc::channel(1);
    let run = agent.run(Orders {
        stop: Box::pin(async {
            // An error would say that the sender is gone, and with it the agent.
            let _ = stopped.await;
        }),
        reloads,
        source: Box::new(source),
    });
    tokio::pin!(run);
    loop {
        tokio::select! {
            ended = &mut run => return ended.map(exit_of),
            () = hang_ups.next() => {
                // Where one waits already, that reads what this one would.
                let _ = reload.try_send(());
            }
            name = signals.next() => {
                tracing::info!(signal = name, "told to stop");
                break;
            }
        }
    }
    // It listens until it has ended.
    let _ = stop.send(());
    tokio::select! {
        ended = &mut run => ended.map(exit_of),
        name = signals.next() => {
            tracing::warn!(
                signal = name,
                "told to stop a second time: stopped at once, the next start goes on from here"
            );
            Ok(Exit::Failure)
        }
    }
}

fn exit_of(ended: Ended) -> Exit {
    match ended {
        Ended::Drained => Exit::Success,
        Ended::TimeUp => Exit::Failure,
    }
}
