//! The signals that end a command.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CommandError;

/// SIGTERM and SIGINT, as long as this lives.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

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
