//! `run`: the agent, until it is told to stop.

use std::path::Path;

use tokio::sync::oneshot;

use super::ask;
use super::signals::Signals;
use super::{CommandError, Exit, load};
use crate::agent::{Ended, StartError};
use crate::config::Config;
use crate::observe::logging::{self, InitLogError, Surroundings};
use crate::observe::service_manager;

pub(super) async fn run(config: &Path) -> Result<Exit, CommandError> {
    let loaded = load(config)?;
    let _log = match logging::init(&loaded.config.log, &Surroundings::of_process()) {
        Ok(log) => log,
        Err(error) => return Ok(refuse(&error)),
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // Before anything is opened, so that a signal finds the agent ready for it.
    let signals = Signals::listen()?;
    match serve(loaded.config, signals).await {
        Ok(exit) => Ok(exit),
        Err(error) => {
            tracing::error!("{error}");
            Ok(Exit::Failure)
        }
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

async fn serve(config: Config, mut signals: Signals) -> Result<Exit, StartError> {
    let building = ask::build(config);
    tokio::pin!(building);
    let agent = loop {
        tokio::select! {
            built = &mut building => break built?,
            name = signals.next() => {
                tracing::info!(signal = name, "told to stop before the start was done");
                return Ok(Exit::Success);
            }
            () = tokio::time::sleep(service_manager::START_SIGN) => {
                service_manager::starting("starting: what was kept is looked through");
            }
        }
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let run = agent.run(async {
        // An error would say that the sender is gone, and with it the agent.
        let _ = stopped.await;
    });
    tokio::pin!(run);
    tokio::select! {
        ended = &mut run => return ended.map(exit_of),
        name = signals.next() => tracing::info!(signal = name, "told to stop"),
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
