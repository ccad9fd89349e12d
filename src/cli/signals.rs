//! The signals that end a command, and the one that has it read its configuration again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CommandError;

/// SIGTERM and SIGINT, as long as this lives.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP, as long as this lives.
pub(super) struct HangUps(Signal);

impl Signals {
    /// From now on they no longer end the process.
    pub(super) fn listen() -> Result<Self, CommandError> {
        let listen = || -> io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        };
        listen().map_err(CommandError::failed("signals cannot be listened to"))
    }

    /// Waits for the next one and gives its name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

impl HangUps {
    /// From now on it no longer ends the process.
    pub(super) fn listen() -> Result<Self, CommandError> {
        let hang_ups = signal(SignalKind::hangup()).map(Self);
        hang_ups.map_err(CommandError::failed("SIGHUP cannot be listened to"))
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        self.0.recv().await;
    }
}
