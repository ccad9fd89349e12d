//! The signals that end a command, and the one that has it read its configuration again.

use std::io;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CommandError;

/// Signals that end a command, as long as this lives.
pub(super) struct Signals(Vec<(&'static str, Signal)>);

/// SIGHUP, as long as this lives.
pub(super) struct HangUps(Signal);

impl Signals {
    /// From now on SIGTERM and SIGINT no longer end the process.
    pub(super) fn listen() -> Result<Self, CommandError> {
        Self::listen_to(&[
            ("SIGTERM", SignalKind::terminate()),
            ("SIGINT", SignalKind::interrupt()),
        ])
    }

    /// Nor do SIGHUP and SIGQUIT: for who has a terminal to give back.
    pub(super) fn listen_on_terminal() -> Result<Self, CommandError> {
        Self::listen_to(&[
            ("SIGTERM", SignalKind::terminate()),
            ("SIGINT", SignalKind::interrupt()),
            ("SIGHUP", SignalKind::hangup()),
            ("SIGQUIT", SignalKind::quit()),
        ])
    }

    fn listen_to(kinds: &[(&'static str, SignalKind)]) -> Result<Self, CommandError> {
        let listen = |(name, kind): &(_, SignalKind)| Ok((*name, signal(*kind)?));
        let all: io::Result<Vec<_>> = kinds.iter().map(listen).collect();
        all.map(Self)
            .map_err(CommandError::failed("signals cannot be listened to"))
    }

    /// Waits for the next one and gives its name.
    pub(super) async fn next(&mut self) -> &'static str {
        std::future::poll_fn(|context| {
            for (name, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*name);
                }
            }
            Poll::Pending
        })
        .await
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
