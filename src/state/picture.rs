//! The current picture: what all records together say. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::damage::{Damage, SettledLines};
use super::names::Names;
use super::owed::OwedBatches;
use super::record::{
    Brought, CollectionKey, Finished, LetterCount, PolledCounts, Record, Removal, RemovedLetter,
};
use super::source::{BatchOutline, BatchSource, WrittenSource};
use crate::delivery::{Cursor, Progress};
use crate::taxii::Timestamp;

/// A window that failures have shortened is free again when it has grown to this.
const LONGEST_SPAN: Duration = Duration::from_secs(30 * 86_400);

/// What is so, as of the last record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// The number of the last record in it.
    pub number: u64,
    /// The sequence number of the next batch: never one that was used.
    pub next_seq: u64,
    /// Collections, by `service/collection`.
    pub collections: BTreeMap<String, CollectionPicture>,
    /// When each gate last closed.
    pub gates: BTreeMap<String, DateTime<Utc>>,
    /// Gates that closed for a request of which nobody knows when the service got it: no answer to it
    /// was recorded.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unanswered: BTreeSet<String>,
    /// Services' clocks minus ours, in milliseconds.
    pub clock_offsets_ms: BTreeMap<String, i64>,
    /// The outputs that were ever configured and not forgotten.
    pub outputs: BTreeMap<String, OutputPicture>,
    /// Batches that somebody owes.
    pub batches: OwedBatches,
    /// Dead letters that are gone, as far as the ledger goes, and may still lie on disk.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removing: BTreeMap<String, Removal>,
    /// Content blocks that polls have set aside as dead letters and nobody has dealt with: at least
    /// so many must be there. A poll that came to nothing may have left more.
    #[serde(default)]
    pub block_letters: u64,
    /// The last record by which damaged files came back or were settled.
    #[serde(default)]
    pub mended: u64,
    /// Records are missing, and what they may have told has not been dealt with.
    #[serde(default)]
    pub is_doubtful: bool,
}

/// What is known of a collection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CollectionPicture {
    /// Where the next window begins, in the service's own words.
    pub checkpoint: Option<Timestamp>,
    /// Failures in a row.
    #[serde(default)]
    pub failures: u32,
    /// The longest window after failures.
    #[serde(default)]
    pub span: Option<Duration>,
    /// When it was last polled with success, or when content of it was last pushed.
    #[serde(default)]
    pub polled_at: Option<DateTime<Utc>>,
    /// Events that it has brought.
    #[serde(default)]
    pub events: u64,
    /// Gaps that were found.
    #[serde(default)]
    pub gaps: u64,
}

/// What is known of an output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputPicture {
    /// What became of the events of all batches that it has done with.
    pub finished: Finished,
    /// The dead letters of those batches that nobody has dealt with: so many must be there.
    #[serde(default)]
    pub letters: u64,
    /// Of what is lost, so many were dead letters.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_letters: u64,
}

/// A batch that somebody owes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BatchPicture {
    /// Its events.
    pub events: u64,
    /// The outputs that have not done with it.
    pub outputs: Names,
    /// By output, the lines whose dead letters a person has dealt with already.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removed: BTreeMap<String, RemovedLines>,
    /// Of what it is made of, what is asked for all the time; an older version did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) outline: Option<BatchOutline>,
    /// Where it comes from and what it is made of, to write its head again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<WrittenSource>,
    /// What is damaged of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<Box<Damage>>,
    /// By output, the lines of damaged files that will not come back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settled: BTreeMap<String, SettledLines>,
    /// By output, how many dead letters are not there any more though nobody has dealt with them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost_letters: BTreeMap<String, u64>,
}

/// Lines of a batch whose dead letters a person has dealt with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RemovedLines {
    /// They were given up.
    pub dropped: Cursor,
    /// They went out again, as events of other batches.
    pub retried: Cursor,
}

impl BatchPicture {
    /// The same, of which it is known what it is made of.
    #[must_use]
    pub fn made_of(self, source: Option<&BatchSource>) -> Self {
        Self {
            outline: source.map(BatchOutline::from),
            source: source.and_then(WrittenSource::of),
            ..self
        }
    }

    /// Where it comes from and what it is made of; none if the ledger does not say.
    #[must_use]
    pub fn source(&self) -> Option<BatchSource> {
        self.source.as_ref()?.read()
    }

    /// Its collection; none if the ledger does not say.
    #[must_use]
    pub fn key(&self) -> Option<CollectionKey> {
        self.source.as_ref()?.key()
    }

    /// What of it is asked for all the time; none if the ledger does not say what it is made of.
    #[must_use]
    pub fn outline(&self) -> Option<BatchOutline> {
        self.outline
    }

    /// An older version has not written the outline.
    pub(super) fn complete(mut self: Arc<Self>) -> Arc<Self> {
        if self.outline.is_none()
            && let Some(source) = self.source()
        {
            Arc::make_mut(&mut self).outline = Some(BatchOutline::from(&source));
        }
        self
    }

    /// What became of the events that an output has done with so far: a dead letter that was
    /// dropped counts as discarded. Tells also how many letters must be there.
    #[must_use]
    pub fn settle_so_far(&self, output: &str, progress: &Progress) -> (Finished, u64) {
        // A letter is there, and may be dealt with, before its cursor knows of it.
        let is_counted = |line| progress.cursor.is_finished(line);
        self.settle(output, progress.finished(self.events), is_counted)
    }

    fn settle(
        &self,
        output: &str,
        mut finished: Finished,
        is_counted: impl Fn(u64) -> bool,
    ) -> (Finished, u64) {
        if let Some(settled) = self.settled.get(output) {
            finished.repaired = settled.repaired.min(finished.delivered);
            finished.delivered -= finished.repaired;
            finished.lost = settled.lost.min(finished.delivered);
            finished.delivered -= finished.lost;
        }
        let mut letters = finished.dead_letters;
        if let Some(lines) = self.removed.get(output) {
            let count =
                |lines: &Cursor| lines.lines().filter(|line| is_counted(*line)).count() as u64;
            let dropped = count(&lines.dropped).min(finished.dead_letters);
            finished.dead_letters -= dropped;
            finished.discarded += dropped;
            let retried = count(&lines.retried);
            letters = finished.dead_letters.saturating_sub(retried);
        }
        let lost = self.lost_letters(output).min(letters);
        finished.dead_letters -= lost;
        finished.lost += lost;
        (finished, letters - lost)
    }

    /// Whether something is to be told of its events besides how far its outputs are: files are damaged or
    /// were, letters were dealt with or are lost.
    #[must_use]
    pub fn is_unusual(&self) -> bool {
        let Self {
            events: _,
            outputs: _,
            removed,
            outline: _,
            source: _,
            damage,
            settled,
            lost_letters,
        } = self;
        let has_letters = !removed.is_empty() || !lost_letters.is_empty();
        damage.is_some() || !settled.is_empty() || has_letters
    }

    /// How many dead letters of an output are lost.
    #[must_use]
    pub fn lost_letters(&self, output: &str) -> u64 {
        self.lost_letters.get(output).copied().unwrap_or(0)
    }
}

impl OutputPicture {
    fn recount_letters(&mut self, missing: u64, back: u64) {
        let finished = &mut self.finished;
        self.letters = self.letters.saturating_sub(missing);
        // Letters from when it was configured before are in no sum.
        let lost = missing.min(finished.dead_letters);
        finished.dead_letters -= lost;
        finished.lost += lost;
        self.lost_letters += lost;
        let back = back.min(self.lost_letters).min(finished.lost);
        self.letters += back;
        self.lost_letters -= back;
        finished.lost -= back;
        finished.dead_letters += back;
    }
}

/// For what is not written where there is nothing to say.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Picture {
    /// The collection, if anything is known of it.
    #[must_use]
    pub fn collection(&self, key: &CollectionKey) -> Option<&CollectionPicture> {
        self.collections.get(&key.to_string())
    }

    /// The outputs that are known, and those that owe something: a batch may name one that no record
    /// tells of, where the ledger was lost, or an older version made it so.
    #[must_use]
    pub fn output_names(&self) -> BTreeSet<&str> {
        let owing = self.batches.sums().keys();
        self.outputs
            .keys()
            .chain(owing)
            .map(String::as_str)
            .collect()
    }

    /// Whether an output has not done with a batch.
    #[must_use]
    pub fn owes(&self, output: &str, seq: u64) -> bool {
        let batch = self.batches.get(&seq);
        batch.is_some_and(|batch| batch.outputs.contains(output))
    }

    /// Takes in a record.
    pub fn apply(&mut self, number: u64, at: DateTime<Utc>, record: &Record) {
        match record {
            Record::Snapshot { picture } => *self = (**picture).clone(),
            Record::PollStarted { gate, .. } => {
                self.gates.insert(gate.clone(), at);
                self.unanswered.insert(gate.clone());
            }
            Record::PollAnswered { gate, counts } => {
                self.unanswered.remove(gate);
                if *counts {
                    self.gates.insert(gate.clone(), at);
                } else {
                    self.gates.remove(gate);
                }
            }
            Record::Polled { .. } | Record::Pushed { .. } | Record::BatchAdded { .. } => {
                self.apply_batch(number, at, record);
            }
            Record::Damaged { .. }
            | Record::Mended { .. }
            | Record::RepairFailed { .. }
            | Record::RepairEnded { .. } => self.apply_repair(number, record),
            Record::LettersRemoved { why, letters } => self.remove_letters(letters, *why),
            Record::LettersCleared => self.removing.clear(),
            Record::LettersCounted {
                events,
                lost_blocks,
            } => self.recount_letters(events, *lost_blocks),
            Record::PollFailed {
                key,
                failures,
                span,
                ..
            } => {
                let collection = self.collections.entry(key.to_string()).or_default();
                collection.failures = *failures;
                collection.span = *span;
            }
            Record::WindowAbandoned {
                key, checkpoint, ..
            } => {
                let collection = self.collections.entry(key.to_string()).or_default();
                collection.checkpoint = Some(checkpoint.clone());
                collection.failures = 0;
                collection.gaps += 1;
            }
            Record::CheckpointSet { key, checkpoint } => {
                self.set_checkpoint(key, checkpoint.clone());
            }
            Record::OutputFinished {
                output,
                seq,
                finished,
            } => self.finished(output, *seq, finished),
            Record::OutputAdded {
                output,
                owes,
                letters,
            } => {
                self.outputs.entry(output.clone()).or_default().letters = *letters;
                for seq in owes {
                    let adds = |batch: &mut BatchPicture| batch.outputs.insert(output.clone());
                    self.batches.change(*seq, adds);
                }
            }
            Record::OutputForgotten { output, .. } => {
                self.forgotten(output);
            }
            Record::Doubted => self.is_doubtful = true,
            Record::Recovered {
                next_seq,
                gates,
                letters,
                blocks,
            } => {
                self.next_seq = self.next_seq.max(*next_seq);
                self.count_letters(letters, *blocks);
                for gate in gates {
                    self.unanswered.remove(gate);
                    self.gates.insert(gate.clone(), at);
                }
                self.is_doubtful = false;
            }
        }
        self.number = number;
    }

    /// Takes in a record that may bring a batch.
    fn apply_batch(&mut self, number: u64, at: DateTime<Utc>, record: &Record) {
        if let Some(brought) = record.brings() {
            self.added(&brought, BatchSource::of(record).as_ref());
        }
        match record {
            Record::Polled {
                key,
                checkpoint,
                counts,
                clock_offset_ms,
                gap,
                ..
            } => {
                let collection = self.came(at, key, counts);
                collection.gaps += u64::from(gap.is_some());
                if let Some(checkpoint) = checkpoint {
                    collection.checkpoint = Some(checkpoint.clone());
                    collection.failures = 0;
                    let doubled = collection.span.map(|span| span * 2);
                    collection.span = doubled.filter(|span| *span < LONGEST_SPAN);
                }
                if let Some(offset) = clock_offset_ms {
                    self.clock_offsets_ms.insert(key.service.clone(), *offset);
                }
            }
            Record::Pushed { key, counts, .. } => {
                self.came(at, key, counts);
            }
            Record::BatchAdded {
                letters,
                key,
                settles,
                ..
            } => {
                self.remove_letters(letters, Removal::Retried);
                if let Some(settles) = settles {
                    self.settles(number, key, settles);
                }
            }
            _ => {}
        }
    }

    /// Content of a collection is here.
    fn came(
        &mut self,
        at: DateTime<Utc>,
        key: &CollectionKey,
        counts: &PolledCounts,
    ) -> &mut CollectionPicture {
        self.block_letters += counts.refused_blocks;
        let collection = self.collections.entry(key.to_string()).or_default();
        collection.polled_at = Some(at);
        collection.events += counts.events;
        collection
    }

    fn set_checkpoint(&mut self, key: &CollectionKey, checkpoint: Option<Timestamp>) {
        let collection = self.collections.entry(key.to_string()).or_default();
        collection.checkpoint = checkpoint;
        // They were of windows that are not asked for any more.
        collection.failures = 0;
        collection.span = None;
    }

    /// So many dead letters there are, whatever was counted before.
    fn count_letters(&mut self, letters: &BTreeMap<String, u64>, blocks: u64) {
        for (name, output) in &mut self.outputs {
            output.letters = letters.get(name).copied().unwrap_or(0);
        }
        self.block_letters = blocks;
    }

    /// What is missing of the dead letters is lost, what has come back is not.
    fn recount_letters(&mut self, events: &[LetterCount], lost_blocks: u64) {
        self.block_letters = self.block_letters.saturating_sub(lost_blocks);
        for count in events {
            let (missing, back) = (count.missing(), count.back());
            let owes = |seq| self.owes(&count.output, seq);
            if let Some(seq) = count.seq.filter(|seq| owes(*seq)) {
                self.batches.change(seq, |batch| {
                    let lost = batch.lost_letters.entry(count.output.clone()).or_default();
                    *lost = (*lost + missing).saturating_sub(back);
                    if *lost == 0 {
                        batch.lost_letters.remove(&count.output);
                    }
                });
            } else if let Some(output) = self.outputs.get_mut(&count.output) {
                output.recount_letters(missing, back);
            }
        }
    }

    fn finished(&mut self, output: &str, seq: u64, finished: &Finished) {
        let batch = self.batches.get(&seq);
        let settle = |batch: &Arc<BatchPicture>| batch.settle(output, *finished, |_| true);
        let lost = batch.map_or(0, |batch| batch.lost_letters(output));
        let (finished, letters) = batch.map_or((*finished, finished.dead_letters), settle);
        let known = self.outputs.entry(output.to_owned()).or_default();
        known.letters += letters;
        known.lost_letters += lost;
        known.finished.add(&finished);
        self.no_longer_owes(output, seq);
    }

    /// A batch is here.
    fn added(&mut self, brought: &Brought<'_>, source: Option<&BatchSource>) {
        self.next_seq = self.next_seq.max(brought.seq + 1);
        if !brought.outputs.is_empty() {
            let batch = BatchPicture {
                events: brought.events,
                outputs: brought.outputs.iter().cloned().collect(),
                ..BatchPicture::default()
            };
            let batch = batch.made_of(source);
            self.batches.insert(brought.seq, Arc::new(batch));
        }
    }

    /// Those of batches that are done with were counted there; the others are counted when their
    /// batch is.
    fn remove_letters(&mut self, letters: &[RemovedLetter], why: Removal) {
        for letter in letters {
            self.removing.insert(letter.id.clone(), why);
            if letter.is_block {
                self.block_letters = self.block_letters.saturating_sub(1);
            }
            let Some(place) = &letter.event else {
                continue;
            };
            if self.owes(&place.output, place.seq) {
                self.batches.change(place.seq, |batch| {
                    let lines = batch.removed.entry(place.output.clone()).or_default();
                    let lines = match why {
                        Removal::Dropped => &mut lines.dropped,
                        Removal::Retried => &mut lines.retried,
                    };
                    lines.finish(place.line..place.line + 1);
                });
            } else if let Some(output) = self.outputs.get_mut(&place.output) {
                output.letters = output.letters.saturating_sub(1);
                if why == Removal::Dropped && output.finished.dead_letters > 0 {
                    output.finished.dead_letters -= 1;
                    output.finished.discarded += 1;
                }
            }
        }
    }

    fn forgotten(&mut self, output: &str) {
        self.outputs.remove(output);
        let owed: Vec<u64> = self.batches.keys().copied().collect();
        for seq in owed {
            self.no_longer_owes(output, seq);
        }
    }

    fn no_longer_owes(&mut self, output: &str, seq: u64) {
        self.batches.change(seq, |batch| {
            batch.outputs.remove(output);
            batch.removed.remove(output);
            batch.settled.remove(output);
            batch.lost_letters.remove(output);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_its_cursor_does_not_know_takes_nothing_from_another() {
        for is_dropped in [true, false] {
            let mut batch = BatchPicture {
                events: 10,
                ..BatchPicture::default()
            };
            let lines = batch.removed.entry("o".to_owned()).or_default();
            let removed = if is_dropped {
                &mut lines.dropped
            } else {
                &mut lines.retried
            };
            removed.finish(5..6);
            let mut progress = Progress::default();
            progress.delivered(0..3);
            progress.set_aside(3);
            let (so_far, letters) = batch.settle_so_far("o", &progress);
            assert_eq!(
                (so_far.dead_letters, so_far.discarded, letters),
                (1, 0, 1),
                "{is_dropped}"
            );
            progress.set_aside(5);
            let (so_far, letters) = batch.settle_so_far("o", &progress);
            let dropped = u64::from(is_dropped);
            assert_eq!(
                (so_far.dead_letters, so_far.discarded, letters),
                (2 - dropped, dropped, 1),
                "{is_dropped}"
            );
        }
    }
}
