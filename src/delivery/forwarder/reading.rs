//! What the output owes is read from the spool into the queue.

use std::ops::Bound;
use std::sync::Arc;

use super::Forwarder;
use super::keeping::KeepError;
use super::queue::{Item, Place, Queue, lines};
use crate::clock::Now;
use crate::delivery::Cursor;
use crate::event::Event;
use crate::output::{BatchOrigin, Outgoing};
use crate::repair;
use crate::spool::{BatchHead, BatchReader, SpoolError};

/// The batch that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) head: Arc<BatchHead>,
    origin: Arc<BatchOrigin>,
    /// What an event takes beyond its JSON on its way.
    framing_bytes: usize,
    lines: BatchReader,
}

impl Forwarder {
    /// Reads events until there are enough for a flight or nothing is left to read. Blocks while the
    /// disk works.
    pub(super) fn fill(&mut self, now: Now) -> Result<(), KeepError> {
        loop {
            let error = match self.fill_from_whole_files(now) {
                Err(KeepError::Spool(error)) => error,
                outcome => return outcome,
            };
            let (Some(seq), Some(damage)) = (self.read_up_to, error.damage()) else {
                return Err(error.into());
            };
            repair::set_aside(&self.house, seq, damage)?;
            // On with the other files of the batch; what is under way is known.
            self.reading = None;
            self.read_up_to = seq.checked_sub(1);
        }
    }

    fn fill_from_whole_files(&mut self, now: Now) -> Result<(), KeepError> {
        while !self.is_full() {
            let Some(reading) = &mut self.reading else {
                if !self.open_next()? {
                    return Ok(());
                }
                continue;
            };
            let seq = reading.head.seq;
            let next = reading.lines.next_line().map_err(|source| SpoolError::Io {
                action: "reading",
                path: format!("batch {seq}").into(),
                source,
            })?;
            let Some((line, json)) = next else {
                self.reading = None;
                continue;
            };
            let is_taken = self.open.get(&seq).is_none_or(|open| open.is_taken(line));
            if is_taken {
                continue;
            }
            let window_end = reading.origin.window_end;
            let event = Event::parse(json, window_end).map_err(|error| SpoolError::Io {
                action: "reading",
                path: format!("line {line} of batch {seq}").into(),
                source: std::io::Error::other(error),
            })?;
            let item = Item {
                bytes: event.json.len() + reading.framing_bytes,
                outgoing: Outgoing {
                    origin: Arc::clone(&reading.origin),
                    event,
                },
            };
            self.queue.push(Place { seq, line }, item, now.monotonic);
        }
        Ok(())
    }

    /// Damaged files came back, or their lines need no more work.
    pub(super) fn take_in_repairs(&mut self) {
        let mended = self.house.state.look(|picture| picture.mended);
        if std::mem::replace(&mut self.mended, mended) == mended {
            return;
        }
        for (seq, open) in &mut self.open {
            let settled = self.house.state.look(|picture| {
                let batch = picture.batches.get(seq)?;
                batch.settled.get(&self.config.name).cloned()
            });
            if let Some(settled) = settled {
                open.progress.cursor.finish_all(&settled.lines);
                open.is_changed = true;
            }
        }
        self.read_again();
    }

    /// Forgets what was read and is not under way: it is read again from the cursors.
    pub(super) fn read_again(&mut self) {
        self.reading = None;
        self.read_up_to = None;
        self.queue = Queue::default();
    }

    pub(super) fn is_full(&self) -> bool {
        let batch = &self.config.batch;
        self.queue.is_full(batch.max_events, batch.max_bytes)
    }

    /// Opens the next batch that this output owes.
    fn open_next(&mut self) -> Result<bool, KeepError> {
        let after = self.read_up_to.map_or(Bound::Unbounded, Bound::Excluded);
        let name = &self.config.name;
        let next = self.house.state.look(|picture| {
            let mut owed = picture.batches.range((after, Bound::Unbounded));
            owed.find(|(_, batch)| batch.outputs.contains(name))
                .map(|(seq, _)| *seq)
        });
        let Some(seq) = next else {
            return Ok(false);
        };
        if self.house.spool.in_place(seq).is_none() {
            // Told at the start: the ledger does not know its window, and it stays owed.
            tracing::warn!(
                output = name,
                seq,
                "a batch that is owed is not in the spool; going on with the next"
            );
            self.read_up_to = Some(seq);
            return Ok(true);
        }
        let under_way = self.under_way_of(seq);
        let Some(open) = self.open_batch(seq) else {
            self.read_up_to = Some(seq);
            return Ok(true);
        };
        open.under_way = under_way;
        let head = Arc::clone(&open.head);
        let is_complete = open.progress.is_complete(head.events());
        let low = open.progress.cursor.low();
        self.read_up_to = Some(seq);
        if is_complete {
            // What it lacked was settled while nobody looked.
            self.finish(&[seq])?;
            return Ok(true);
        }
        let damaged = self
            .house
            .state
            .look(|picture| picture.batches.get(&seq).cloned())
            .unwrap_or_default();
        let is_damaged = |file: &str| damaged.is_damaged(file);
        let lines = self.house.spool.read(&head, low, is_damaged);
        let origin = Arc::new(BatchOrigin {
            service: head.service.clone(),
            collection: head.collection.clone(),
            window_end: head.window_end,
        });
        self.reading = Some(Reading {
            framing_bytes: self.output.framing_bytes(&origin),
            origin,
            head,
            lines,
        });
        Ok(true)
    }

    /// The lines of a batch that are on their way: in the queue, or with a peer, but not for certain.
    fn under_way_of(&self, seq: u64) -> Cursor {
        let mut cursor = Cursor::new();
        let in_flight = self
            .flights
            .values()
            .flat_map(|flight| lines(flight.places()));
        for (_, range) in in_flight.filter(|(of, _)| *of == seq) {
            cursor.finish(range);
        }
        for (_, range) in self.queue.lines_of(seq) {
            cursor.finish(range);
        }
        for range in self.acks.iter().flat_map(|acks| acks.lines_of(seq)) {
            cursor.finish(range);
        }
        cursor
    }
}
