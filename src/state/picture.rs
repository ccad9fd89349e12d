//! The current picture: what all records together say. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::record::{CollectionKey, Finished, Record};
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
    /// Services' clocks minus ours, in milliseconds.
    pub clock_offsets_ms: BTreeMap<String, i64>,
    /// The outputs that were ever configured and not forgotten.
    pub outputs: BTreeMap<String, OutputPicture>,
    /// Batches that somebody owes.
    #[serde(deserialize_with = "by_number")]
    pub batches: BTreeMap<u64, BatchPicture>,
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
    /// When it was last polled with success.
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
}

/// A batch that somebody owes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BatchPicture {
    /// Its events.
    pub events: u64,
    /// The outputs that have not done with it.
    pub outputs: BTreeSet<String>,
}

impl Picture {
    /// The collection, if anything is known of it.
    #[must_use]
    pub fn collection(&self, key: &CollectionKey) -> Option<&CollectionPicture> {
        self.collections.get(&key.to_string())
    }

    /// Takes in a record.
    pub fn apply(&mut self, number: u64, at: DateTime<Utc>, record: &Record) {
        match record {
            Record::Snapshot { picture } => *self = (**picture).clone(),
            Record::PollStarted { gate, .. } | Record::PollAnswered { gate, counts: true } => {
                self.gates.insert(gate.clone(), at);
            }
            Record::PollAnswered { gate, .. } => {
                self.gates.remove(gate);
            }
            Record::Polled {
                key,
                checkpoint,
                seq,
                outputs,
                counts,
                clock_offset_ms,
                gap,
                ..
            } => {
                let collection = self.collections.entry(key.to_string()).or_default();
                collection.polled_at = Some(at);
                collection.events += counts.events;
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
                if let Some(seq) = *seq {
                    self.next_seq = self.next_seq.max(seq + 1);
                    if !outputs.is_empty() {
                        let batch = BatchPicture {
                            events: counts.events,
                            outputs: outputs.iter().cloned().collect(),
                        };
                        self.batches.insert(seq, batch);
                    }
                }
            }
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
            Record::OutputFinished {
                output,
                seq,
                finished,
            } => {
                let total = &mut self.outputs.entry(output.clone()).or_default().finished;
                total.delivered += finished.delivered;
                total.dead_letters += finished.dead_letters;
                total.discarded += finished.discarded;
                total.abandoned += finished.abandoned;
                self.no_longer_owes(output, *seq);
            }
            Record::OutputAdded { output, owes } => {
                self.outputs.entry(output.clone()).or_default();
                for seq in owes {
                    if let Some(batch) = self.batches.get_mut(seq) {
                        batch.outputs.insert(output.clone());
                    }
                }
            }
            Record::OutputForgotten { output } => {
                self.outputs.remove(output);
                let owed: Vec<u64> = self.batches.keys().copied().collect();
                for seq in owed {
                    self.no_longer_owes(output, seq);
                }
            }
            Record::Doubted => self.is_doubtful = true,
            Record::Recovered { gates } => {
                for gate in gates {
                    self.gates.insert(gate.clone(), at);
                }
                self.is_doubtful = false;
            }
        }
        self.number = number;
    }

    fn no_longer_owes(&mut self, output: &str, seq: u64) {
        if let Some(batch) = self.batches.get_mut(&seq) {
            batch.outputs.remove(output);
            if batch.outputs.is_empty() {
                self.batches.remove(&seq);
            }
        }
    }
}

/// A map by numbers. They are texts in JSON, and a record's fields are read by way of a value that
/// no longer knows that they were.
fn by_number<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<u64, T>, D::Error> {
    let by_text = BTreeMap::<String, T>::deserialize(deserializer)?;
    let number = |(text, value): (String, T)| {
        let number = text.parse().map_err(D::Error::custom)?;
        Ok((number, value))
    };
    by_text.into_iter().map(number).collect()
}
