//! What became of events is written down: cursors and receipts in the store, finished batches in
//! the ledger.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Forwarder;
use crate::crash::{self, Point};
use crate::delivery::{Cursor, Lines, Progress};
use crate::repair::{self, RepairError};
use crate::spool::{BatchHead, KeepLetterError, SpoolError};
use crate::state::ledger::AppendError;
use crate::state::{Finished, StoreError};

/// A batch that is being delivered.
#[derive(Debug)]
pub(super) struct OpenBatch {
    pub(super) head: Arc<BatchHead>,
    pub(super) progress: Progress,
    /// The lines that were with a peer, not for certain, when the batch was opened for reading.
    pub(super) under_way: Cursor,
    pub(super) is_changed: bool,
}

/// What was delivered or set aside could not be written down, or what comes next not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    #[error(transparent)]
    Ledger(#[from] AppendError),
    #[error("the store cannot be written: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Letter(#[from] KeepLetterError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl From<RepairError> for KeepError {
    fn from(error: RepairError) -> Self {
        match error {
            RepairError::Spool(error) => Self::Spool(error),
            RepairError::Ledger(error) => Self::Ledger(error),
        }
    }
}

impl OpenBatch {
    /// Whether a line needs no reading.
    pub(super) fn is_taken(&self, line: u64) -> bool {
        self.progress.cursor.is_finished(line) || self.under_way.is_finished(line)
    }
}

impl Forwarder {
    /// These lines are delivered; gives how many. It is for `keep` to write it down.
    pub(super) fn mark_delivered(&mut self, lines: Lines) -> u64 {
        let mut count = 0;
        for (seq, range) in lines {
            // A batch that was given up meanwhile is no longer owed.
            if let Some(open) = self.open_batch(seq) {
                count += range.end - range.start;
                open.progress.delivered(range);
                open.is_changed = true;
            }
        }
        count
    }

    /// A batch that this output owes; none if it does not, or if it is not in the spool.
    pub(super) fn open_batch(&mut self, seq: u64) -> Option<&mut OpenBatch> {
        match self.open.entry(seq) {
            Entry::Occupied(open) => Some(open.into_mut()),
            Entry::Vacant(place) => {
                let name = &self.config.name;
                if !self.house.state.look(|picture| picture.owes(name, seq)) {
                    return None;
                }
                let head = self.house.batch(seq)?;
                Some(place.insert(OpenBatch {
                    progress: self.house.state.progress(name, seq),
                    head,
                    under_way: Cursor::new(),
                    is_changed: false,
                }))
            }
        }
    }

    /// Writes down what has been done: batches that are done with in the ledger, the rest as
    /// cursors.
    pub(super) fn keep(&mut self) -> Result<(), KeepError> {
        let done: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| open.progress.is_complete(open.head.events()))
            .map(|(seq, _)| *seq)
            .collect();
        self.finish(&done)?;
        let changed = self.open.iter().filter(|(_, open)| open.is_changed);
        self.changes.progress = changed
            .map(|(seq, open)| (*seq, open.progress.clone()))
            .collect();
        if self.changes.is_empty() {
            return Ok(());
        }
        let state = &self.house.state;
        tokio::task::block_in_place(|| state.keep_work(&self.config.name, &self.changes))?;
        crash::point(Point::WorkKept);
        self.changes = crate::state::WorkChanges::default();
        for open in self.open.values_mut() {
            open.is_changed = false;
        }
        Ok(())
    }

    /// This output has done with batches; what is not finished of them is given up.
    pub(super) fn finish(&mut self, seqs: &[u64]) -> Result<(), KeepError> {
        let open = seqs.iter().filter_map(|seq| self.open.get(seq));
        let done = open.map(|open| {
            let finished = open.progress.finished(open.head.events());
            (open.head.seq, finished)
        });
        let mut rest: Vec<(u64, Finished)> = done.collect();
        for open in seqs.iter().filter_map(|seq| self.open.get(seq)) {
            // A copy goes nowhere.
            if !open.head.is_copy() {
                tokio::task::block_in_place(|| repair::keep_head(&self.house, &open.head));
            }
        }
        let now = self.house.clock.now().utc;
        while !rest.is_empty() {
            let (state, name) = (&self.house.state, &self.config.name);
            let done = tokio::task::block_in_place(|| state.finish_batches(now, name, &rest));
            if !done.finished.is_empty() {
                crash::point(Point::FinishRecorded);
            }
            for (seq, finished) in &rest {
                if done.finished.contains(seq) {
                    self.finished(*seq, finished, now);
                } else if done.not_owed.contains(seq) {
                    // A person has given it up meanwhile.
                    self.open.remove(seq);
                }
            }
            if let Some(error) = done.error {
                return Err(error.into());
            }
            rest.retain(|(seq, _)| self.open.contains_key(seq));
        }
        Ok(())
    }

    /// A batch has its record: nothing of it is needed any more, unless another owes it.
    fn finished(&mut self, seq: u64, finished: &Finished, now: DateTime<Utc>) {
        tracing::debug!(
            output = self.config.name,
            seq,
            delivered = finished.delivered,
            dead_letters = finished.dead_letters,
            abandoned = finished.abandoned,
            "done with a batch"
        );
        self.open.remove(&seq);
        if let Some(acks) = &mut self.acks {
            self.changes.settled.extend(acks.forget_batch(seq));
        }
        tokio::task::block_in_place(|| self.house.put_away(seq, now));
    }
}
