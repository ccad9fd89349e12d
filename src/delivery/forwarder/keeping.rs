//! What became of events is written down: cursors and receipts in the store, finished batches in
//! the ledger.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Forwarder;
use crate::crash::{self, Point};
use crate::delivery::{Cursor, Lines, Progress};
use crate::repair::RepairError;
use crate::spool::{BatchHead, KeepLetterError, SpoolError};
use crate::state::ledger::AppendError;
use crate::state::{Finished, FinishedBatches, Picture, StoreError};

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
                let is_owed = self.house.state.look(|picture| {
                    let batch = picture.batches.get(&seq);
                    batch.is_some_and(|batch| batch.outputs.contains(name))
                });
                let head = self.house.spool.batch(seq).filter(|_| is_owed)?;
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
        let done: Vec<(u64, Finished)> = open
            .map(|open| {
                let finished = open.progress.finished(open.head.events());
                (open.head.seq, finished)
            })
            .collect();
        if done.is_empty() {
            return Ok(());
        }
        let now = self.house.clock.now().utc;
        let (state, name) = (&self.house.state, &self.config.name);
        let FinishedBatches {
            finished,
            not_owed,
            error,
        } = tokio::task::block_in_place(|| state.finish_batches(now, name, &done));
        // A person has given them up meanwhile.
        self.open.retain(|seq, _| !not_owed.contains(seq));
        if !finished.is_empty() {
            crash::point(Point::FinishRecorded);
        }
        let mut put_away = Ok(());
        for (seq, done) in done.iter().filter(|(seq, _)| finished.contains(seq)) {
            tracing::debug!(
                output = self.config.name,
                seq,
                delivered = done.delivered,
                dead_letters = done.dead_letters,
                abandoned = done.abandoned,
                "done with a batch"
            );
            self.open.remove(seq);
            if let Some(acks) = &mut self.acks {
                self.changes.settled.extend(acks.forget_batch(*seq));
            }
            // It is done with, whatever becomes of the files of another.
            put_away = put_away.and(self.put_away(*seq, now));
        }
        match error {
            Some(error) => Err(error.into()),
            None => Ok(put_away?),
        }
    }

    /// A batch that nobody owes any more goes to the archive.
    fn put_away(&self, seq: u64, now: DateTime<Utc>) -> Result<(), SpoolError> {
        let is_owed = |picture: &Picture| picture.batches.contains_key(&seq);
        if self.house.state.look(is_owed) {
            return Ok(());
        }
        tokio::task::block_in_place(|| self.house.spool.done(seq, now))
    }
}
