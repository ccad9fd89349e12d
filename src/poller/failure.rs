//! A poll failed: what is done about it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::commit::DISK_WAIT;
use super::{KeepError, Poller};
use crate::crash::{self, Point};
use crate::spool::{MEND_LETTERS, SpoolError, Staging};
use crate::state::ledger::AppendError;
use crate::state::{CollectionKey, CollectionPicture, Record};
use crate::taxii::Timestamp;
use crate::taxii::fault::{Fault, Reaction};
use crate::taxii::mend::Configured;
use crate::taxii::window::{self, PollWindow};
use crate::wake::Wake;

/// Failures of a window before it is halved.
const FAILURES_BEFORE_HALVING: u32 = 3;
/// Failures of the shortest window before it is given up.
pub(super) const FAILURES_AT_FLOOR: u32 = 6;
/// Connections that are tried in one slot, since the service has seen nothing of them.
const CONNECTS_IN_SLOT: u32 = 3;
/// How long a poll that waits for room in the spool waits at most before it looks again.
const ROOM_WAIT: Duration = Duration::from_secs(30);

const MEND_DISK: &str = "free space or mend the disk of the state folder";
const MEND_SET: &str = "raise limits.max_set_events of the service, or set deduplicate = false";
const MEND_ROOM: &str = "mend the outputs that hold what they owe (see status), or give the spool \
                         more room (state.max_spool_bytes, state.min_free_disk)";

impl Poller {
    /// Nothing of the window is kept; it is asked for again. `known` is what was known of the
    /// collection when the poll began.
    pub(super) fn failed(
        &mut self,
        index: usize,
        window: &PollWindow,
        known: &CollectionPicture,
        fault: &Fault,
        staging: Staging,
    ) -> Wake {
        let now = self.house.clock.now();
        let Some(collection) = self.collections.get_mut(index) else {
            return Wake::Asked;
        };
        let key = collection.key.clone();
        // Whatever the schedule says: this window is owed.
        collection.is_due = true;
        self.endpoints.failed(&key.collection, fault);
        self.house.board.collection(&key.to_string(), |activity| {
            activity.failures = activity.failures.saturating_add(1);
            activity.failing_since.get_or_insert(now.utc);
        });
        let mut wake = Wake::NOW;
        match fault.reaction() {
            Reaction::SameSlot => wake = self.not_connected(&key, fault),
            Reaction::NextGate => {
                tracing::warn!(collection = %key, %fault, "the poll failed; the same window again when the gate opens, nothing is lost");
            }
            Reaction::Wait(wait) => {
                collection.wait_until = Some(now.monotonic.saturating_add(wait));
                tracing::warn!(collection = %key, %fault, wait_s = wait.as_secs(), "the service asks to wait; the same window again after that, nothing is lost");
            }
            Reaction::Hold { mend } => {
                let mend = mend.text(&Configured::of(&self.service, &key.collection));
                if collection.hold(fault.to_string(), &mend, now.utc) {
                    tracing::error!(
                        collection = %key,
                        reason = %fault,
                        mend,
                        "polling is held until this is mended; it is tried again whenever the gate opens"
                    );
                }
            }
            // It cannot be asked for in pieces.
            Reaction::Shrink if self.service.is_data_set(&key.collection) => {
                tracing::warn!(collection = %key, %fault, "the answer is useless; all of the Data Set again when the gate opens, nothing is lost");
            }
            Reaction::Shrink => self.shrink(&key, window, known, fault, staging),
        }
        self.tell(index, fault.to_string());
        wake
    }

    /// The gate is open as it was, since the service has seen nothing; but not for ever.
    fn not_connected(&mut self, key: &CollectionKey, fault: &Fault) -> Wake {
        self.connects += 1;
        if self.connects < CONNECTS_IN_SLOT {
            tracing::info!(collection = %key, %fault, "cannot connect; trying again in this slot");
            return Wake::After(self.gate.interval() / 60);
        }
        self.connects = 0;
        self.gate.polled(self.house.clock.now());
        tracing::warn!(collection = %key, %fault, tries = CONNECTS_IN_SLOT, "the poll failed; the same window again when the gate opens, nothing is lost");
        Wake::NOW
    }

    /// An answer could not be read: after three times a shorter window is asked for, and the
    /// shortest is given up after six more, so that one bad answer does not stop the feed.
    fn shrink(
        &self,
        key: &CollectionKey,
        window: &PollWindow,
        known: &CollectionPicture,
        fault: &Fault,
        staging: Staging,
    ) {
        let _turn = self.house.spool.commit_turn();
        if !self.stands_at(key, known.checkpoint.as_ref()) {
            tracing::warn!(
                collection = %key,
                %fault,
                "the answer is useless, and the checkpoint was set meanwhile: the next window begins there"
            );
            return;
        }
        let length = self.length(window);
        let is_floor = |length| window::halve(length) == length;
        // Where no answer came, nothing says that it is the window's fault.
        let failures = match known.failures + 1 {
            last if last >= FAILURES_AT_FLOOR && is_floor(length) && !fault.has_answer() => {
                known.failures
            }
            count => count,
        };
        if is_floor(length) && failures >= FAILURES_AT_FLOOR {
            self.give_up(key, window, fault, staging);
            return;
        }
        let (failures, span) = if !is_floor(length) && failures >= FAILURES_BEFORE_HALVING {
            let span = window::halve(length);
            // At the floor the count begins anew.
            (if is_floor(span) { 0 } else { failures }, Some(span))
        } else {
            (failures, known.span)
        };
        tracing::warn!(
            collection = %key,
            %fault,
            failures,
            next_window_s = span.map(|span| span.as_secs()),
            "the answer is useless; the window again when the gate opens, nothing is lost"
        );
        let record = Record::PollFailed {
            key: key.clone(),
            failures,
            span,
            reason: fault.to_string(),
        };
        if let Err(error) = self.append(&record) {
            tracing::warn!(%error, "a failure could not be counted");
        }
        crash::point(Point::FailureRecorded);
    }

    /// How long a window is; one without bounds is as long as the service keeps its content.
    fn length(&self, window: &PollWindow) -> Duration {
        match (&window.exclusive_begin, &window.inclusive_end) {
            (Some(begin), Some(end)) => (end.time() - begin.time()).to_std().unwrap_or_default(),
            _ => self.service.retention,
        }
    }

    fn give_up(&self, key: &CollectionKey, window: &PollWindow, fault: &Fault, staging: Staging) {
        let Some(end) = &window.inclusive_end else {
            return;
        };
        let now = self.house.clock.now();
        let kept = tokio::task::block_in_place(|| {
            self.house.spool.quarantine_answer(staging, key, now.utc)
        });
        let file = match kept {
            Ok(file) => file,
            Err(error) => {
                tracing::error!(collection = %key, %error, "an unreadable answer cannot be moved to quarantine/; the window is polled again");
                return;
            }
        };
        crash::point(Point::AnswerQuarantined);
        let record = Record::WindowAbandoned {
            key: key.clone(),
            window: window.clone(),
            checkpoint: end.clone(),
            file: file.clone(),
        };
        if let Err(error) = self.append(&record) {
            tracing::error!(collection = %key, %error, "a window that is given up could not be recorded; it is polled again");
            return;
        }
        tracing::error!(
            collection = %key,
            begin = window.exclusive_begin.as_ref().map(Timestamp::text),
            end = end.text(),
            %fault,
            file,
            "a window is given up after many useless answers: its content is missing. The last \
             answer is in quarantine/; send it to the provider, then poll the window by hand"
        );
    }

    /// An answer cannot be kept, or nothing may be asked for: polling waits, the service keeps the
    /// history.
    pub(super) fn not_kept(
        &mut self,
        index: usize,
        error: &KeepError,
        server_now: DateTime<Utc>,
    ) -> Wake {
        match error {
            KeepError::Spool(error) => self.no_room(index, error, server_now),
            KeepError::Ledger(error) => self.ledger_failed(index, error),
        }
    }

    pub(super) fn no_room(
        &mut self,
        index: usize,
        error: &SpoolError,
        server_now: DateTime<Utc>,
    ) -> Wake {
        let is_late = self.is_late(index, server_now);
        let now = self.house.clock.now();
        let Some(collection) = self.collections.get_mut(index) else {
            return Wake::Asked;
        };
        collection.is_due = true;
        let key = collection.key.clone();
        // How much is wanted, what to mend, whether only a person can.
        let (wanted, mend, is_for_a_person) = match error {
            SpoolError::TooLarge { needed, .. } => (*needed, MEND_ROOM, false),
            SpoolError::Full { free, min_free, .. } if free <= min_free => (1, MEND_DISK, true),
            SpoolError::Full { .. } => (1, MEND_ROOM, false),
            SpoolError::SetTooLarge(_) => (0, MEND_SET, true),
            SpoolError::DeadLetter(_) => (0, MEND_LETTERS, true),
            SpoolError::Io { .. } => (0, MEND_DISK, true),
        };
        let is_new = collection.hold(error.to_string(), mend, now.utc);
        let is_alarm = is_late && collection.alarm();
        if is_alarm {
            tracing::error!(
                collection = %key,
                reason = %error,
                mend,
                "polling waits for room, and half of the time that the service keeps its content is gone"
            );
        } else if is_new && is_for_a_person {
            tracing::error!(
                collection = %key,
                reason = %error,
                mend,
                "polling waits until this is mended; the service keeps the content meanwhile"
            );
        } else if is_new {
            tracing::warn!(
                collection = %key,
                reason = %error,
                mend,
                "polling waits for room; the service keeps the content meanwhile"
            );
        }
        self.house.spool.want(&key.to_string(), wanted);
        self.tell(index, error.to_string());
        Wake::SpoolChange(ROOM_WAIT)
    }

    /// Whether half of the time that the service keeps what comes next is gone.
    fn is_late(&self, index: usize, server_now: DateTime<Utc>) -> bool {
        let half = TimeDelta::from_std(self.service.retention / 2).unwrap_or(TimeDelta::MAX);
        let Some(collection) = self.collections.get(index) else {
            return false;
        };
        self.house.state.look(|picture| {
            let known = picture.collection(&collection.key);
            let checkpoint = known.and_then(|known| known.checkpoint.as_ref());
            checkpoint.is_some_and(|stamp| server_now - stamp.time() > half)
        })
    }

    fn ledger_failed(&mut self, index: usize, error: &AppendError) -> Wake {
        let now = self.house.clock.now().utc;
        let Some(collection) = self.collections.get_mut(index) else {
            return Wake::Asked;
        };
        collection.is_due = true;
        if collection.hold(error.to_string(), MEND_DISK, now) {
            tracing::error!(
                collection = %collection.key,
                reason = %error,
                mend = MEND_DISK,
                "polling waits until this is mended; the service keeps the content meanwhile"
            );
        }
        self.tell(index, error.to_string());
        Wake::After(DISK_WAIT)
    }
}
