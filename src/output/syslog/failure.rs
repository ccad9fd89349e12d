//! Why a connection cannot be had, or is no more, and whether a person must mend something.

use std::io;

use crate::output::{Problem, Verdict};
use crate::tls::fault;
use crate::tls::fault::MEND_IDENTITY;

/// What went wrong at a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    reason: String,
    /// What a person must do before anything goes through; none if it may pass by itself.
    mend: Option<String>,
}

impl Failure {
    /// It may pass by itself.
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            mend: None,
        }
    }

    /// Nothing goes through until a person has done something.
    pub(super) fn lasting(reason: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            mend: Some(mend.into()),
        }
    }

    /// What reading from, writing to or connecting to a peer came to.
    pub(super) fn of_io(error: &io::Error) -> Self {
        match fault::mend(error) {
            Some(mend) => Self::lasting(error.to_string(), mend),
            None => Self::passing(error.to_string()),
        }
    }

    /// A receiver that asked for a client certificate has gone as soon as it saw it, or saw none.
    /// Many do not say why.
    pub(super) fn of_hang_up() -> Self {
        Self::lasting(
            "it asked for a client certificate and closed the connection after the TLS handshake",
            MEND_IDENTITY,
        )
    }

    /// The connection breaks on the same message again and again.
    pub(super) fn on_message(self, message: &str) -> Self {
        Self::lasting(
            format!("{}, again and again on {message}", self.reason),
            "see what the receiver says of it: it may take no message of that size (rsyslog: \
             maxMessageSize, syslog-ng: log-msg-size); raise its limit, or lower max_message_bytes",
        )
    }

    /// The same with what was being done, and to whom.
    pub(super) fn while_doing(self, doing: &str, address: &str) -> Self {
        Self {
            reason: format!("{doing} syslog receiver {address} failed: {}", self.reason),
            ..self
        }
    }

    pub(super) fn is_lasting(&self) -> bool {
        self.mend.is_some()
    }

    /// What it means for a flight of which the first `delivered` are with the peer.
    pub(super) fn verdict(&self, delivered: usize) -> Verdict {
        let reason = self.reason.clone();
        match &self.mend {
            None => Verdict::Retry {
                delivered,
                reason,
                after: None,
            },
            Some(mend) => Verdict::Hold {
                delivered,
                reason,
                mend: mend.clone(),
            },
        }
    }

    /// What it means for a probe.
    pub(super) fn problem(self) -> Problem {
        Problem {
            reason: self.reason,
            mend: self.mend,
            after: None,
        }
    }
}
