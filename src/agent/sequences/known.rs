//! What is known of a life from outside, to judge it by: what was committed, what was acknowledged,
//! what a receiver has.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::life::OUTPUTS;
use super::standing::Standing;
use crate::event::{Event, EventId};
use crate::house::House;
use crate::letters;
use crate::spool::{About, BatchHead};
use crate::state::{Origin, Record};
use crate::taxii::Timestamp;

/// So many of each.
pub(super) type Counts = BTreeMap<EventId, usize>;

#[derive(Debug, Default)]
pub(super) struct Known {
    /// The batches that were committed, by their numbers.
    batches: BTreeMap<u64, KnownBatch>,
    /// Those whose numbers were used again, when the ledger was in doubt and they were gone.
    earlier: Vec<KnownBatch>,
    /// Where the collection stands.
    pub(super) standing: Standing,
    /// How often each event may come again, at each output.
    again: [Counts; OUTPUTS.len()],
    /// Events that had a letter when somebody dropped it, at each output.
    pub(super) dropped: [BTreeSet<EventId>; OUTPUTS.len()],
    /// The ledger was in doubt: what lies in the spool is sent again.
    pub(super) doubts: usize,
}

#[derive(Debug)]
struct KnownBatch {
    head: BatchHead,
    ids: Vec<EventId>,
    /// Something of it was damaged.
    is_damaged: bool,
}

impl Known {
    /// Looks at what is acknowledged now.
    pub(super) fn look(&mut self, house: &House) -> Result<(), String> {
        for seq in house.spool.numbers() {
            let Some(head) = house.batch(seq) else {
                return Err(format!("nobody knows what batch {seq} is made of"));
            };
            match self.batches.get(&seq) {
                // The ledger knows what is needed of it, and no more.
                Some(known) if known.head.is_of(&head) => {}
                Some(known) if self.doubts == 0 => {
                    return Err(format!(
                        "number {seq} was used twice: {:?} and {head:?}",
                        known.head
                    ));
                }
                _ => {
                    // The ledger tells of those outputs alone that owe it still.
                    let head = house.spool.head(seq).map_err(|error| error.to_string())?;
                    let ids = ids(house, &head)?;
                    let batch = KnownBatch {
                        head,
                        ids,
                        is_damaged: false,
                    };
                    let before = self.batches.insert(batch.head.seq, batch);
                    self.earlier.extend(before);
                }
            }
        }
        Ok(())
    }

    /// Something of a batch is damaged.
    pub(super) fn damage(&mut self, seq: u64) {
        if let Some(batch) = self.batches.get_mut(&seq) {
            batch.is_damaged = true;
        }
    }

    /// Whether this batch is known, and whether it was damaged.
    pub(super) fn is_damaged(&self, seq: u64) -> Option<bool> {
        self.batches.get(&seq).map(|batch| batch.is_damaged)
    }

    /// When the window of a batch ends.
    pub(super) fn window_end(&self, seq: u64) -> Option<DateTime<Utc>> {
        let batch = self.batches.get(&seq)?;
        batch.head.window().map(|_| batch.head.window_end)
    }

    /// The batches that were damaged.
    pub(super) fn damaged(&self) -> impl Iterator<Item = u64> {
        let damaged = self.batches.iter().filter(|(_, batch)| batch.is_damaged);
        damaged.map(|(seq, _)| *seq)
    }

    /// The batches that repairs brought.
    pub(super) fn repairs(&self) -> usize {
        let is_repair = |batch: &&KnownBatch| {
            let record = &batch.head.record;
            matches!(
                record,
                Record::BatchAdded {
                    origin: Origin::Repair,
                    ..
                }
            )
        };
        self.batches.values().filter(is_repair).count()
    }

    /// After a start: what had been sent and is not known to have been may come again. Gives how
    /// many events that are.
    pub(super) fn note_what_may_come_again(
        &mut self,
        house: &House,
        delivered: &[Counts],
    ) -> usize {
        let mut most = 0;
        for (number, output) in OUTPUTS.iter().enumerate() {
            let (mut finished, mut open) = (Counts::new(), Counts::new());
            let receipts = house.state.receipts(output);
            for (seq, batch) in &self.batches {
                if !owes(&batch.head, output) {
                    continue;
                }
                let is_owed = house.state.look(|picture| picture.owes(output, *seq));
                let progress = house.state.progress(output, *seq);
                for (line, id) in (0..).zip(&batch.ids) {
                    let has_receipt = receipts.iter().flat_map(|receipt| &receipt.lines);
                    let has_receipt = has_receipt
                        .filter(|(of, _)| of == seq)
                        .any(|(_, lines)| lines.contains(&line));
                    let is_finished = !is_owed || progress.cursor.is_finished(line);
                    let counts = match (is_finished, has_receipt) {
                        (true, _) => &mut finished,
                        (false, true) => {
                            // That it is indexed may have been told, once, and not been heard.
                            *self.again[number].entry(*id).or_default() += 1;
                            &mut finished
                        }
                        (false, false) => &mut open,
                    };
                    *counts.entry(*id).or_default() += 1;
                }
            }
            let mut count = 0;
            for (id, open) in open {
                let sent = delivered[number].get(&id).copied().unwrap_or(0);
                let known = finished.get(&id).copied().unwrap_or(0);
                let again = sent.saturating_sub(known).min(open);
                *self.again[number].entry(id).or_default() += again;
                count += again;
            }
            most = most.max(count);
        }
        most
    }

    /// Whether the events at an output are those that were committed for it, and so often.
    pub(super) fn judge(
        &self,
        house: &House,
        number: usize,
        delivered: &Counts,
        published: &BTreeSet<EventId>,
    ) -> Result<(), String> {
        let output = OUTPUTS[number];
        let mut committed = Counts::new();
        let mut may_be_lost: BTreeSet<EventId> = BTreeSet::new();
        for batch in self.batches.values().chain(&self.earlier) {
            if batch.is_damaged && batch.head.window().is_none() {
                // No poll brings a retry again.
                may_be_lost.extend(&batch.ids);
            }
            if owes(&batch.head, output) {
                for id in &batch.ids {
                    *committed.entry(*id).or_default() += 1;
                }
            }
        }
        for (id, count) in delivered {
            let Some(committed) = committed.get(id) else {
                return Err(format!("{id} came to {output} and was never committed"));
            };
            let again = self.again[number].get(id).copied().unwrap_or(0);
            if *count > committed + again && self.doubts == 0 {
                return Err(format!(
                    "{id} came {count} times to {output}: it was committed {committed} times, and \
                     {again} times it may come again"
                ));
            }
        }
        let letters = letters(house, output)?;
        for id in published.iter().chain(committed.keys()) {
            if !delivered.contains_key(id)
                && !letters.contains(id)
                && !self.dropped[number].contains(id)
                && !may_be_lost.contains(id)
            {
                return Err(format!(
                    "{id} is lost: neither at {output} nor a dead letter; committed {:?} times",
                    committed.get(id)
                ));
            }
        }
        Ok(())
    }
}

pub(super) fn checkpoint(house: &House) -> Option<Timestamp> {
    house.state.look(|picture| {
        let mut collections = picture.collections.values();
        collections
            .next()
            .and_then(|known| known.checkpoint.clone())
    })
}

/// The events of an output that are dead letters.
pub(super) fn letters(house: &House, output: &str) -> Result<BTreeSet<EventId>, String> {
    let mut found = BTreeSet::new();
    let read = letters::each(house, |letter, _| {
        if letter.output() == Some(output)
            && let About::Event {
                event_id: Some(id), ..
            } = letter.about
        {
            found.insert(id);
        }
    });
    match read {
        Ok(0) => Ok(found),
        Ok(damaged) => Err(format!("{damaged} lines of the dead letters are damaged")),
        Err(error) => Err(format!("the dead letters cannot be read: {error}")),
    }
}

fn ids(house: &House, head: &BatchHead) -> Result<Vec<EventId>, String> {
    let mut lines = house.spool.read(head, 0, |_| false);
    let mut ids = Vec::new();
    loop {
        match lines.next_line() {
            Ok(Some((_, json))) => match Event::parse(json, head.window_end) {
                Ok(event) => ids.push(event.id),
                Err(error) => return Err(format!("batch {} is not whole: {error}", head.seq)),
            },
            Ok(None) => return Ok(ids),
            Err(error) => return Err(format!("batch {} is not whole: {error}", head.seq)),
        }
    }
}

fn owes(head: &BatchHead, output: &str) -> bool {
    let batch = head.record.brings();
    batch.is_some_and(|batch| batch.outputs.iter().any(|name| name == output))
}
