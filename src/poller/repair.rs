//! Polls the window of a damaged batch again: behind the same gate, and without moving a checkpoint.

use std::time::Duration;

use super::commit::DISK_WAIT;
use super::fetch::Manner;
use super::{KeepError, PollError, Poller};
use crate::crash::{self, Point};
use crate::repair::{self, RepairError};
use crate::state::{Damage, Record};
use crate::taxii::Timestamp;
use crate::taxii::fault::{Fault, Reaction};
use crate::taxii::status::StatusType;
use crate::taxii::window::PollWindow;
use crate::wake::Wake;

/// Answers that bring nothing of a damaged window before it is given up.
const REPAIR_TRIES: u32 = 6;

/// What a poller remembers of its repairs; a restart may forget it.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// A poll has had the last opening of the gate: if both are due the next is for a repair.
    pub(super) has_turn: bool,
    /// Not before this, on the monotonic clock.
    wait_until: Duration,
    /// The batch whose repair came to nothing the last time: the others have a turn before it.
    last: Option<u64>,
    /// Tries in a row that came to nothing, for the log.
    troubles: u32,
}

/// A batch whose window is to be polled again.
#[derive(Debug)]
pub(super) struct OwedRepair {
    seq: u64,
    damage: Damage,
    window: PollWindow,
}

impl Poller {
    /// The oldest batch of these collections that waits for its window, but for those that had their
    /// turn in vain.
    pub(super) fn owed_repair(&self) -> Option<OwedRepair> {
        let mut damaged = self.house.state.damaged_batches();
        if let Some(last) = self.repairs.last {
            let after = damaged.partition_point(|(seq, _)| *seq <= last);
            damaged.rotate_left(after);
        }
        let now = self.house.clock.now();
        damaged.into_iter().find_map(|(seq, damage)| {
            let of_ours = |known: &super::Collection| {
                known.key == damage.key && known.waits_for(now).is_zero()
            };
            let window = damage.window.clone()?;
            self.collections.iter().any(of_ours).then_some(OwedRepair {
                seq,
                damage,
                window,
            })
        })
    }

    /// How long a repair still waits after one that came to nothing.
    pub(super) fn repair_waits_for(&self) -> Duration {
        let now = self.house.clock.now().monotonic;
        self.repairs.wait_until.saturating_sub(now)
    }

    /// Polls the window of a damaged batch again, and mends the batch with what comes.
    pub(super) async fn repair(&mut self, owed: OwedRepair) -> Wake {
        let OwedRepair {
            seq,
            damage,
            window,
        } = owed;
        let house = &self.house;
        match tokio::task::block_in_place(|| repair::reclaim(house, seq)) {
            Ok(true) => {}
            Ok(false) => return Wake::NOW,
            Err(error) => return self.repair_not_kept(seq, &error),
        }
        let mut answer = match self.house.spool.stage_repair() {
            Ok(answer) => answer,
            Err(error) => return self.repair_not_kept(seq, &error.into()),
        };
        let only_its_own =
            tokio::task::block_in_place(|| house.spool.stage_only_of(&mut answer, seq));
        if let Err(error) = only_its_own {
            return self.repair_not_kept(seq, &error.into());
        }
        let window = if self.service.is_data_set(&damage.key.collection) {
            PollWindow::ALL
        } else {
            window
        };
        tracing::info!(
            collection = %damage.key,
            begin = window.exclusive_begin.as_ref().map(Timestamp::text),
            end = window.inclusive_end.as_ref().map(Timestamp::text),
            seq,
            "a damaged batch is repaired: its window is polled again"
        );
        let fetched = self
            .fetch(&damage.key, &window, None, &mut answer, Manner::default())
            .await;
        let mended = match fetched {
            Ok(_) => {
                tokio::task::block_in_place(|| repair::mend(&self.house, seq, Some(answer), ""))
            }
            Err(PollError::Fault(fault)) => return self.repair_failed(seq, &damage, &fault),
            Err(PollError::Keep(KeepError::Spool(error))) => Err(error.into()),
            Err(PollError::Keep(KeepError::Ledger(error))) => Err(error.into()),
            Err(error @ (PollError::Interrupted | PollError::Later(_))) => {
                tracing::info!(collection = %damage.key, seq, "{error}");
                return Wake::NOW;
            }
        };
        match mended {
            Ok(_) => {
                self.repairs.troubles = 0;
                Wake::NOW
            }
            Err(error) => self.repair_not_kept(seq, &error),
        }
    }

    /// The window did not come. What may pass is waited for; an answer that says that this window
    /// does not come is counted.
    fn repair_failed(&mut self, seq: u64, damage: &Damage, fault: &Fault) -> Wake {
        let wait = match fault.reaction() {
            Reaction::Wait(wait) => wait.max(self.gate.interval()),
            _ => self.gate.interval(),
        };
        let now = self.house.clock.now();
        self.repairs.wait_until = now.monotonic.saturating_add(wait);
        self.repairs.last = Some(seq);
        if !is_answer(fault) {
            self.tell_trouble(seq, &fault.to_string());
            return Wake::NOW;
        }
        let failures = damage.failures + 1;
        if failures >= REPAIR_TRIES {
            let reason = format!("the service does not give its window any more: {fault}");
            let given_up =
                tokio::task::block_in_place(|| repair::mend(&self.house, seq, None, &reason));
            return match given_up {
                Ok(_) => Wake::NOW,
                Err(error) => self.repair_not_kept(seq, &error),
            };
        }
        tracing::warn!(
            collection = %damage.key,
            seq,
            %fault,
            failures,
            given_up_after = REPAIR_TRIES,
            "the window of a damaged batch did not come; it is polled again"
        );
        let record = Record::RepairFailed {
            seq,
            failures,
            reason: fault.to_string(),
        };
        if let Err(error) = self.append(&record) {
            return self.repair_not_kept(seq, &error.into());
        }
        crash::point(Point::RepairFailureRecorded);
        Wake::NOW
    }

    fn repair_not_kept(&mut self, seq: u64, error: &RepairError) -> Wake {
        let now = self.house.clock.now();
        self.repairs.wait_until = now.monotonic.saturating_add(DISK_WAIT);
        self.repairs.last = Some(seq);
        self.tell_trouble(seq, &error.to_string());
        Wake::NOW
    }

    /// The first time and then less and less: a long outage must not fill the log.
    fn tell_trouble(&mut self, seq: u64, reason: &str) {
        self.repairs.troubles = self.repairs.troubles.saturating_add(1);
        let tries = self.repairs.troubles;
        if tries.is_power_of_two() {
            tracing::warn!(
                seq,
                tries,
                reason,
                "a damaged batch could not be repaired; it is tried again, nothing more is lost"
            );
        }
    }
}

/// Whether the service has answered, and what it said is about this window.
fn is_answer(fault: &Fault) -> bool {
    match fault {
        Fault::Unreadable { .. } | Fault::TooManyParts { .. } | Fault::NoProgress { .. } => true,
        Fault::Status { message, .. } => !matches!(
            message.status,
            StatusType::Pending | StatusType::Retry | StatusType::Unauthorized | StatusType::Denied
        ),
        Fault::Http { status, .. } => matches!(status, 400 | 405 | 406 | 410 | 413 | 422),
        Fault::Connect { .. }
        | Fault::ProxyRefused
        | Fault::Connection { .. }
        | Fault::TimedOut { .. }
        | Fault::NotFound { .. }
        | Fault::NotOffered { .. }
        | Fault::NotInVersion(_)
        | Fault::ResultExpired { .. } => false,
    }
}
