//! What is known of a life from outside, to judge it by: what was committed, what was acknowledged,
//! what a receiver has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::life::OUTPUTS;
use crate::event::{Event, EventId};
use crate::house::House;
use crate::letters;
use crate::spool::{About, BatchHead};
use crate::state::Record;
use crate::taxii::Timestamp;

/// So many of each.
pub(super) type Counts = BTreeMap<EventId, usize>;

#[derive(Debug, Default)]
pub(super) struct Known {
    /// The batches that were committed, by their numbers.
    batches: BTreeMap<u64, KnownBatch>,
    /// The checkpoint that was last acknowledged.
    checkpoint: Option<Timestamp>,
    /// How often each event may come again, at each output.
    again: [Counts; OUTPUTS.len()],
    /// Events that had a letter when somebody dropped it, at each output.
    pub(super) dropped: [BTreeSet<EventId>; OUTPUTS.len()],
    /// The ledger was in doubt: what lies in the spool is sent again.
    pub(super) doubts: usize,
}

#[derive(Debug)]
struct KnownBatch {
    head: Arc<BatchHead>,
    ids: Vec<EventId>,
}

impl Known {
    /// Looks at what is acknowledged now.
    pub(super) fn look(&mut self, house: &House) -> Result<(), String> {
        for head in house.spool.batches() {
            match self.batches.get(&head.seq) {
                Some(known) if known.head == head => {}
                Some(known) => {
                    return Err(format!(
                        "number {} was used twice: {:?} and {head:?}",
                        head.seq, known.head
                    ));
                }
                None => {
                    let ids = ids(house, &head)?;
                    self.batches.insert(head.seq, KnownBatch { head, ids });
                }
            }
        }
        let checkpoint = checkpoint(house);
        if let (Some(before), now) = (&self.checkpoint, &checkpoint)
            && now.as_ref().is_none_or(|now| now.time() < before.time())
        {
            return Err(format!("the checkpoint went back from {before} to {now:?}"));
        }
        self.checkpoint = checkpoint;
        Ok(())
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
                let is_owed = house.state.look(|picture| {
                    let owed = picture.batches.get(seq);
                    owed.is_some_and(|owed| owed.outputs.contains(*output))
                });
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
        for batch in self.batches.values() {
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
    match &head.record {
        Record::Polled { outputs, .. } | Record::BatchAdded { outputs, .. } => {
            outputs.iter().any(|name| name == output)
        }
        _ => false,
    }
}
