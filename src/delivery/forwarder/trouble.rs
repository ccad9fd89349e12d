//! What the operator is told when something does not go on.

use std::time::Duration;

use super::Forwarder;
use super::keeping::KeepError;
use crate::clock::Now;
use crate::delivery::Acks;
use crate::observe::board::Hold;
use crate::output::Problem;
use crate::spool::{KeepLetterError, MEND_LETTERS};

/// How long a forwarder waits after its own disk failed.
const DISK_WAIT: Duration = Duration::from_secs(10);

impl Forwarder {
    /// A peer did not take what it was sent; that may pass.
    pub(super) fn failed(&mut self, peer: usize, now: Now, reason: &str, asked: Option<Duration>) {
        let failure = self
            .peers
            .failed(peer, now, reason, asked, &mut self.random);
        let Some(failure) = failure else { return };
        // The first failure and then fewer and fewer: a long outage must not fill the log.
        if failure.failures.is_power_of_two() {
            tracing::warn!(
                output = self.config.name,
                peer = self.name_if_several(peer),
                failures = failure.failures,
                reason,
                retry_in_ms = u64::try_from(failure.wait.as_millis()).unwrap_or(u64::MAX),
                "cannot deliver; it is tried again for ever, nothing is lost"
            );
        }
        self.tell_failure(reason);
    }

    /// A peer takes nothing until a person mends something.
    pub(super) fn held(&mut self, peer: usize, now: Now, reason: &str, mend: &str) {
        let failure = self.peers.held(peer, now, reason, mend, &mut self.random);
        let Some(failure) = failure else { return };
        if failure.is_new {
            tracing::error!(
                output = self.config.name,
                peer = self.name_if_several(peer),
                reason,
                mend,
                "delivery is held until this is mended; it is tried again by itself, nothing is lost"
            );
        }
        self.tell_failure(reason);
    }

    /// A peer is not well, as a probe or a question for acknowledgements has shown.
    pub(super) fn has_problem(&mut self, peer: usize, now: Now, problem: &Problem) {
        match &problem.mend {
            Some(mend) => self.held(peer, now, &problem.reason, mend),
            None => self.failed(peer, now, &problem.reason, problem.after),
        }
    }

    /// Nothing more is sent until what was sent can be written down, and what comes next be read.
    pub(super) fn disk_failed(&mut self, error: &KeepError) {
        self.waits_for_letter = matches!(error, KeepError::Letter(_));
        let reason = error.to_string();
        let mend = match error {
            KeepError::Letter(KeepLetterError::Full { .. }) => MEND_LETTERS,
            KeepError::Spool(_)
            | KeepError::Ledger(_)
            | KeepError::Store(_)
            | KeepError::Letter(_) => "free space or mend the disk of the state folder",
        };
        let before = self.disk_hold.take().filter(|hold| hold.mend == mend);
        if before.is_none() {
            tracing::error!(
                output = self.config.name,
                reason,
                mend,
                "delivery is held until this is mended; it is tried again by itself, nothing is lost"
            );
        }
        let now = self.house.clock.now();
        self.tell_failure(&reason);
        self.disk_hold = Some(Hold {
            reason,
            mend: mend.to_owned(),
            since: before.map_or(now.utc, |hold| hold.since),
        });
        self.disk_wait = Some(now.monotonic + DISK_WAIT);
    }

    /// The disk has done what it was asked, which says nothing of room for dead letters.
    pub(super) fn disk_mended(&mut self) {
        if !self.waits_for_letter {
            self.end_disk_hold();
        }
    }

    /// A dead letter was kept, or none is to be any more.
    pub(super) fn letters_mended(&mut self) {
        if self.waits_for_letter {
            self.waits_for_letter = false;
            self.end_disk_hold();
        }
    }

    fn end_disk_hold(&mut self) {
        if let Some(hold) = self.disk_hold.take() {
            tracing::info!(output = self.config.name, since = %hold.since, "delivery goes on");
        }
    }

    /// Writes on the board how it is.
    pub(super) fn tell(&self) {
        let hold = self.disk_hold.clone().or_else(|| self.peers.hold());
        let peers = self.peers.activities();
        let awaiting = self.acks.as_ref().map_or(0, Acks::lines);
        let failures = self.peers.failures();
        self.house.board.output(&self.config.name, |activity| {
            activity.hold = hold;
            activity.peers = peers;
            activity.awaiting_acknowledgement = awaiting;
            activity.failures = failures;
        });
    }

    fn tell_failure(&self, reason: &str) {
        self.house.board.output(&self.config.name, |activity| {
            activity.last_failure = Some(reason.to_owned());
        });
    }

    /// Whose name says something.
    pub(super) fn name_if_several(&self, peer: usize) -> Option<&str> {
        self.peers.are_several().then(|| self.peers.name(peer))
    }
}
