//! What the ways to a receiver have in common.

use std::time::Duration;

use crate::config::SyslogConfig;
use crate::output::{FlightId, Problem, Verdict};

/// What came to its end at one peer.
#[derive(Debug)]
pub(super) enum Landed {
    Sent(FlightId, Verdict),
    Probed(Result<(), Problem>),
}

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// From nothing to a connection that takes messages.
    pub(super) connect: Duration,
    /// Without any movement while something is under way.
    pub(super) write: Duration,
}

impl Timeouts {
    pub(super) fn new(config: &SyslogConfig) -> Self {
        Self {
            connect: config.connect_timeout,
            write: config.write_timeout,
        }
    }
}

/// The question whether messages could be sent.
#[derive(Debug, Default)]
pub(super) enum Probe {
    #[default]
    None,
    Asked,
    Answered(Result<(), Problem>),
}

impl Probe {
    pub(super) fn ask(&mut self) {
        *self = Self::Asked;
    }

    pub(super) fn answer(&mut self, answer: Result<(), Problem>) {
        *self = Self::Answered(answer);
    }

    pub(super) fn is_asked(&self) -> bool {
        matches!(self, Self::Asked)
    }

    pub(super) fn is_answered(&self) -> bool {
        matches!(self, Self::Answered(_))
    }

    pub(super) fn take_answer(&mut self) -> Option<Result<(), Problem>> {
        match std::mem::take(self) {
            Self::Answered(answer) => Some(answer),
            unanswered => {
                *self = unanswered;
                None
            }
        }
    }
}
