//! What the output owes is read from the spool into the queue.

use std::ops::Bound;
use std::sync::Arc;

use super::Forwarder;
use super::keeping::OpenBatch;
use super::queue::{Item, Place, Queue, lines};
use crate::clock::Now;
use crate::delivery::Cursor;
use crate::event::Event;
use crate::output::{BatchOrigin, Outgoing};
use crate::spool::{BatchHead, BatchReader, SpoolError};

/// The batch that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) head: Arc<BatchHead>,
    origin: Arc<BatchOrigin>,
    lines: BatchReader,
}

impl Forwarder {
    /// Reads events until there are enough for a flight or nothing is left to read. Blocks while the
    /// disk works.
    pub(super) fn fill(&mut self, now: Now) -> Result<(), SpoolError> {
        while !self.is_full() {
            let Some(reading) = &mut self.reading else {
                if !self.open_next()? {
                    return Ok(());
                }
                continue;
            };
            let (head, origin) = (Arc::clone(&reading.head), Arc::clone(&reading.origin));
            let next = reading.lines.next_line().map_err(|source| SpoolError::Io {
                action: "reading",
                path: format!("batch {}", head.seq).into(),
                source,
            })?;
            let Some((line, json)) = next else {
                self.reading = None;
                continue;
            };
            let is_taken = self
                .open
                .get(&head.seq)
                .is_none_or(|open| open.is_taken(line));
            if is_taken {
                continue;
            }
            let event = Event::parse(json, origin.window_end).map_err(|error| SpoolError::Io {
                action: "reading",
                path: format!("line {line} of batch {}", head.seq).into(),
                source: std::io::Error::other(error),
            })?;
            let place = Place {
                seq: head.seq,
                line,
            };
            let item = Item {
                bytes: event.json.len() + self.output.framing_bytes(&origin),
                outgoing: Outgoing { origin, event },
            };
            self.queue.push(place, item, now.monotonic);
        }
        Ok(())
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
    fn open_next(&mut self) -> Result<bool, SpoolError> {
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
        let Some(head) = self.house.spool.batch(seq) else {
            // Told at the start: it lies in quarantine/ or is gone, and stays owed.
            tracing::warn!(
                output = name,
                seq,
                "a batch that is owed is not in the spool; going on with the next"
            );
            self.read_up_to = Some(seq);
            return Ok(true);
        };
        let under_way = self.under_way_of(seq);
        let state = &self.house.state;
        let open = self.open.entry(seq).or_insert_with(|| OpenBatch {
            progress: state.progress(name, seq),
            head: Arc::clone(&head),
            under_way: Cursor::new(),
            is_changed: false,
        });
        open.under_way = under_way;
        let lines = self.house.spool.read(&head, open.progress.cursor.low())?;
        self.reading = Some(Reading {
            origin: Arc::new(BatchOrigin {
                service: head.service.clone(),
                collection: head.collection.clone(),
                window_end: head.window_end,
            }),
            head,
            lines,
        });
        self.read_up_to = Some(seq);
        Ok(true)
    }

    /// The lines of a batch that a peer has, but not for certain.
    fn under_way_of(&self, seq: u64) -> Cursor {
        let mut cursor = Cursor::new();
        let in_flight = self
            .flights
            .values()
            .flat_map(|flight| lines(flight.places()));
        for (_, range) in in_flight.filter(|(of, _)| *of == seq) {
            cursor.finish(range);
        }
        for range in self.acks.iter().flat_map(|acks| acks.lines_of(seq)) {
            cursor.finish(range);
        }
        cursor
    }
}
