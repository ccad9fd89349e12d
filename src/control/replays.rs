//! Batches that go out again, as a person asks for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::task::block_in_place;

use super::{Control, Replies, Reply, reply};
use crate::delivery::Cursor;
use crate::replay::{self, Choice, PlannedBatch, ReplayError};

/// Room on the disk comes without a word: it is looked for so often.
const ROOM_INTERVAL: Duration = Duration::from_secs(5);

impl Control {
    pub(super) async fn plan_replay(
        &self,
        choice: &Choice,
        replies: &Replies,
    ) -> Result<String, String> {
        let planned = block_in_place(|| replay::plan(&self.house, choice));
        let plan = planned.map_err(|error| error.to_string())?.plan;
        reply(replies, Reply::ReplayPlan(Box::new(plan))).await;
        Ok(String::new())
    }

    /// One batch after the other; who goes ends it, and nothing is half done.
    pub(super) async fn replay(
        &self,
        choice: &Choice,
        replies: &Replies,
    ) -> Result<String, String> {
        let Some(_alone) = self.replay_alone(replies).await else {
            return Err("nobody waits any more".to_owned());
        };
        let planned = block_in_place(|| {
            let planned = replay::plan(&self.house, choice)?;
            replay::begin(&self.house, choice).map(|()| planned)
        });
        let planned = planned.map_err(|error| error.to_string())?;
        let mut anew = if choice.again {
            planned.originals()
        } else {
            Cursor::new()
        };
        let batches = planned.batches;
        let (mut sent, mut events, mut left_out) = (0_u64, 0, 0_u64);
        let so_far = |sent: u64, events: u64| {
            format!("{sent} of {} batches with {events} events", batches.len())
        };
        for (number, batch) in (1_u64..).zip(&batches) {
            let room = self.wait_for_room(batch, replies).await;
            let done = match room {
                Ok(()) => block_in_place(|| replay::send(&self.house, batch, &choice.to, &anew))
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error),
            };
            let done = done.map_err(|error| {
                let rest = batches.len() as u64 - (number - 1);
                format!(
                    "{} are {}; batch {} and those behind it, {rest} in all, are not: {error}; \
                     the same command{} goes on there",
                    so_far(sent, events),
                    self.way(),
                    batch.seq,
                    if choice.again && sent > 0 {
                        " without --again"
                    } else {
                        ""
                    }
                )
            })?;
            for what in &done.left_out {
                left_out += 1;
                let message = format!("batch {}, left out: {what}", batch.seq);
                reply(replies, Reply::Progress { message }).await;
            }
            let Some(seq) = done.seq else {
                continue;
            };
            // It is said once.
            anew = Cursor::new();
            sent += 1;
            events += done.events;
            let message = format!(
                "{number} of {}: batch {} goes out again as batch {seq}, {} events",
                batches.len(),
                batch.seq,
                done.events
            );
            if replies.send(Reply::Progress { message }).await.is_err() {
                return Err("nobody waits any more".to_owned());
            }
        }
        let told = format!(
            "{} are {} to {:?}",
            so_far(sent, events),
            self.way(),
            choice.to
        );
        match left_out {
            0 => Ok(told),
            _ => Err(format!(
                "{told}; what was left out stands above: {left_out}"
            )),
        }
    }

    /// One replay after the other: each leaves out what those before it have sent. None if nobody waits
    /// any more.
    async fn replay_alone(&self, replies: &Replies) -> Option<OwnedMutexGuard<()>> {
        let lock = Arc::clone(&self.replaying);
        if let Ok(alone) = Arc::clone(&lock).try_lock_owned() {
            return Some(alone);
        }
        let message = "waiting until another replay is over".to_owned();
        reply(replies, Reply::Progress { message }).await;
        tokio::select! {
            alone = lock.lock_owned() => Some(alone),
            () = replies.closed() => None,
        }
    }

    /// What becomes of batches that are in the spool again.
    fn way(&self) -> &'static str {
        if self.is_delivering() {
            "on their way"
        } else {
            "waiting for an agent that brings them"
        }
    }

    /// Waits while what was sent before is being delivered.
    async fn wait_for_room(&self, batch: &PlannedBatch, replies: &Replies) -> Result<(), String> {
        let mut changes = self.house.spool.changes();
        let mut is_told = false;
        loop {
            changes.mark_unchanged();
            let error = match block_in_place(|| replay::room(&self.house, batch)) {
                Ok(()) => return Ok(()),
                Err(error @ ReplayError::NoRoom { .. }) if self.is_delivering() => error,
                Err(error @ ReplayError::NoRoom { .. }) => {
                    return Err(format!(
                        "{error}; no agent runs that would deliver what is there: start it, and go on \
                         with it beside this command"
                    ));
                }
                Err(error) => return Err(error.to_string()),
            };
            if !is_told {
                let message = format!("waiting until something is delivered: {error}");
                reply(replies, Reply::Progress { message }).await;
                is_told = true;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(ROOM_INTERVAL) => {}
                () = replies.closed() => return Err("nobody waits any more".to_owned()),
            }
        }
    }
}
