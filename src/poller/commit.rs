//! A whole answer is kept: the batch in place, then its ledger record, then it is told.

use std::sync::Arc;
use std::time::Duration;

use super::{KeepError, Poller};
use crate::clock::Now;
use crate::crash::{self, Point};
use crate::spool::{BatchHead, SpoolError, Staging};
use crate::state::ledger::AppendError;
use crate::state::{CollectionKey, Origin, PolledCounts, Record};
use crate::taxii::Timestamp;
use crate::taxii::exchange::{Completed, WarningKind};
use crate::wake::Wake;

/// How long a poller waits after its own disk failed.
pub(super) const DISK_WAIT: Duration = Duration::from_secs(30);

/// Why a window is polled.
#[derive(Debug, Clone)]
pub(super) enum Reason {
    /// It follows this checkpoint, which it moves.
    Next(Option<Timestamp>),
    /// A person asks for it.
    Manual,
}

impl Reason {
    fn origin(&self) -> Origin {
        match self {
            Self::Next(_) => Origin::Poll,
            Self::Manual => Origin::Manual,
        }
    }
}

/// A window whose batch is in place, while the ledger does not know of it. Its record must follow
/// before anything else is polled: without it the window would be fetched again.
#[derive(Debug)]
pub(super) struct Unrecorded {
    key: CollectionKey,
    record: Record,
    reason: Reason,
    completed: Completed,
    started: Now,
}

impl Poller {
    /// Puts a whole answer in place and tells the ledger; gives the batch's number.
    pub(super) fn commit<E: From<KeepError>>(
        &mut self,
        key: &CollectionKey,
        reason: &Reason,
        completed: &Completed,
        mut staging: Staging,
        takers: impl FnOnce() -> Result<Vec<String>, E>,
        started: Now,
    ) -> Result<Option<u64>, E> {
        crash::point(Point::AllStaged);
        let now = self.house.clock.now();
        let mut record = self.record(key, reason.origin(), completed, now);
        let house = &self.house;
        let outcome = tokio::task::block_in_place(|| -> Result<_, E> {
            let spool = &house.spool;
            let files = spool.finish(&mut staging, now.utc, &key.service, &key.collection);
            let files = files.map_err(KeepError::from)?;
            let _turn = spool.commit_turn();
            // Who is configured now: an output that comes meanwhile counts on this batch, or on the next.
            if let Record::Polled { outputs, .. } = &mut record {
                *outputs = takers()?;
            }
            if let Reason::Next(checkpoint) = reason
                && !self.stands_at(key, checkpoint.as_ref())
            {
                leave_checkpoint(key, &mut record);
                // Who set it wants to see again what comes from there on.
                staging.keep_no_set();
            }
            if files.is_empty() {
                let appended = house.state.append(now.utc, &record);
                if appended.is_ok() {
                    tell_of_set(key, spool.replace_set(&mut staging, key));
                }
                return Ok((None, appended));
            }
            let next = spool.next_seq();
            if let Record::Polled { seq, .. } = &mut record {
                *seq = Some(next);
            }
            let head = BatchHead {
                seq: next,
                staged_at: now.utc,
                service: key.service.clone(),
                collection: key.collection.clone(),
                window_end: completed.checkpoint.time(),
                end: Some(completed.checkpoint.clone()),
                message_ids: completed.totals.message_ids.clone(),
                record: record.clone(),
                files,
            };
            record = head.told();
            spool.commit(staging, &head).map_err(KeepError::from)?;
            let appended = house.state.append(now.utc, &record);
            if appended.is_ok() {
                tell_of_set(key, spool.adopt_set(next));
            }
            Ok((Some(next), appended))
        });
        let (number, appended) = outcome?;
        if let Err(error) = appended {
            if number.is_some() {
                self.unrecorded = Some(Box::new(Unrecorded {
                    key: key.clone(),
                    record,
                    reason: reason.clone(),
                    completed: completed.clone(),
                    started,
                }));
            }
            return Err(KeepError::from(error).into());
        }
        crash::point(Point::PollRecorded);
        if let Some(seq) = number {
            self.recorded(seq);
            crash::point(Point::Announced);
        }
        Ok(number)
    }

    /// Whether a collection still stands where it stood when a poll of it began: a person may have
    /// set it somewhere else meanwhile. Who then writes a record of the poll has the commit's turn,
    /// as that person had.
    pub(super) fn stands_at(&self, key: &CollectionKey, checkpoint: Option<&Timestamp>) -> bool {
        self.house.state.look(|picture| {
            let known = picture.collection(key);
            known.and_then(|known| known.checkpoint.as_ref()) == checkpoint
        })
    }

    fn record(
        &self,
        key: &CollectionKey,
        origin: Origin,
        completed: &Completed,
        now: Now,
    ) -> Record {
        let totals = &completed.totals;
        Record::Polled {
            key: key.clone(),
            origin,
            window: completed.window.clone(),
            checkpoint: (origin == Origin::Poll).then(|| completed.checkpoint.clone()),
            seq: None,
            outputs: Vec::new(),
            counts: PolledCounts {
                events: totals.counts.events,
                incidents: totals.counts.incidents,
                packages: totals.counts.packages,
                blocks: totals.blocks,
                refused_blocks: totals.refused_blocks,
                parts: totals.parts,
                bytes: totals.bytes,
            },
            clock_offset_ms: self
                .server_clock
                .is_learnt()
                .then(|| self.server_clock.offset_ms(now)),
            gap: completed.gap.clone(),
            content: None,
        }
    }

    /// A batch is in place and the ledger knows: whoever owes it may begin.
    fn recorded(&self, seq: u64) {
        let is_owed = self
            .house
            .state
            .look(|picture| picture.batches.contains_key(&seq));
        if !is_owed && let Err(error) = self.house.spool.done(seq, self.house.clock.now().utc) {
            tracing::warn!(%error, seq, "a batch that no output takes cannot be archived; the next start does it");
        }
        self.house.spool.announce();
    }

    /// Tells the ledger what it could not be told before.
    pub(super) fn record_at_last(&mut self) -> Result<(), AppendError> {
        let Some(mut unrecorded) = self.unrecorded.take() else {
            return Ok(());
        };
        let spool = Arc::clone(&self.house.spool);
        let turn = spool.commit_turn();
        // A person may have set the checkpoint while the ledger could not be told.
        if let Reason::Next(checkpoint) = &unrecorded.reason
            && !self.stands_at(&unrecorded.key, checkpoint.as_ref())
        {
            leave_checkpoint(&unrecorded.key, &mut unrecorded.record);
            if let Record::Polled { seq: Some(seq), .. } = &unrecorded.record {
                tell_of_set(&unrecorded.key, spool.drop_set(*seq));
            }
            // From now on it moves nothing.
            unrecorded.reason = Reason::Manual;
        }
        if let Err(error) = self.append(&unrecorded.record) {
            self.unrecorded = Some(unrecorded);
            return Err(error);
        }
        drop(turn);
        let Record::Polled {
            key, origin, seq, ..
        } = &unrecorded.record
        else {
            return Ok(());
        };
        if let Some(seq) = seq {
            self.recorded(*seq);
        }
        let index = self.collections.iter().position(|known| known.key == *key);
        if let (Origin::Poll, Some(index)) = (origin, index) {
            self.polled(index, &unrecorded.completed, unrecorded.started);
        }
        Ok(())
    }

    /// As long as the ledger cannot be told, nothing else is done.
    pub(super) fn still_unrecorded(&mut self) -> Option<Wake> {
        let error = self.record_at_last().err()?;
        tracing::debug!(%error, "a committed window still cannot be recorded");
        Some(Wake::After(DISK_WAIT))
    }

    /// A window is in place.
    pub(super) fn polled(&mut self, index: usize, completed: &Completed, started: Now) {
        let now = self.house.clock.now();
        let server_now = self.server_clock.now(now);
        let Some(collection) = self.collections.get_mut(index) else {
            return;
        };
        let key = collection.key.clone();
        if let Some(hold) = collection.held() {
            tracing::info!(collection = %key, since = %hold.since, "polling goes on");
        }
        collection.succeeded();
        self.house.board.collection(&key.to_string(), |activity| {
            activity.failures = 0;
            activity.failing_since = None;
        });
        self.house.spool.want(&key.to_string(), 0);
        let known = self
            .house
            .state
            .look(|picture| picture.collection(&key).cloned());
        let known = known.unwrap_or_default();
        let checkpoint = known.checkpoint.as_ref();
        let is_behind = !self.service.is_data_set(&key.collection)
            && self.rules.is_behind(checkpoint, server_now, known.span);
        collection.is_due = is_behind;
        for warning in &completed.warnings {
            let is_each_time = warning.kind == WarningKind::RecordCount;
            if is_each_time || collection.warn_once(warning.kind) {
                tracing::warn!(collection = %key, "{}", warning.text);
            }
        }
        let totals = &completed.totals;
        if let Some(what) = totals.counts.not_forwarded() {
            tracing::info!(collection = %key, "not forwarded: {what}");
        }
        if let Some(gap) = &completed.gap {
            tracing::error!(
                collection = %key,
                after = %gap.after,
                until = %gap.until,
                "content is lost: the service no longer has it. Poll more often, or ask the \
                 provider for a longer retention"
            );
        }
        let took = now.monotonic.saturating_sub(started.monotonic);
        tracing::info!(
            collection = %key,
            begin = completed.window.exclusive_begin.as_ref().map(Timestamp::text),
            end = completed.checkpoint.text(),
            bytes = totals.bytes,
            parts = totals.parts,
            incidents = totals.counts.incidents,
            events = totals.counts.events,
            known_events = totals.known_events,
            refused_blocks = totals.refused_blocks,
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            behind = is_behind,
            "polled"
        );
        self.tell(
            index,
            format!(
                "{} events of {} incidents up to {}",
                totals.counts.events, totals.counts.incidents, completed.checkpoint
            ),
        );
    }
}

fn tell_of_set(key: &CollectionKey, kept: Result<(), SpoolError>) {
    if let Err(error) = kept {
        tracing::warn!(
            collection = %key,
            %error,
            "the set of what the poll brought could not be kept: the next poll may be compared with the \
             one before, and bring again what this one brought, with the same eventId"
        );
    }
}

/// What was polled is kept, but it moves no checkpoint, and says nothing about a gap.
fn leave_checkpoint(key: &CollectionKey, record: &mut Record) {
    if let Record::Polled {
        checkpoint, gap, ..
    } = record
    {
        (*checkpoint, *gap) = (None, None);
        tracing::warn!(
            collection = %key,
            "the checkpoint was set while a window was polled: its events are kept, and the next \
             window begins where the checkpoint was set"
        );
    }
}

#[cfg(test)]
mod tests;
