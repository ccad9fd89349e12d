//! Events in memory that wait for a flight, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::delivery::Lines;
use crate::output::{BatchOrigin, Outgoing};

/// Where an event comes from: the batch, and the line in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) line: u64,
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) outgoing: Outgoing,
    /// Bytes that it takes on its way, before compression.
    pub(super) bytes: usize,
}

/// Events that are neither under way nor done with.
#[derive(Debug, Default)]
pub(super) struct Queue {
    items: BTreeMap<Place, Item>,
    bytes: usize,
    /// When the first came in, on the monotonic clock.
    since: Option<Duration>,
    /// Some were under way already.
    is_urgent: bool,
}

impl Queue {
    pub(super) fn push(&mut self, place: Place, item: Item, now: Duration) {
        self.since.get_or_insert(now);
        self.insert(place, item);
    }

    /// These go again, and soon.
    pub(super) fn put_back(&mut self, items: impl IntoIterator<Item = (Place, Item)>) {
        for (place, item) in items {
            self.is_urgent = true;
            self.insert(place, item);
        }
    }

    /// Takes the first ones out.
    pub(super) fn take(&mut self, count: usize, now: Duration) -> Vec<(Place, Item)> {
        let mut taken = Vec::with_capacity(count.min(self.items.len()));
        while taken.len() < count
            && let Some((place, item)) = self.items.pop_first()
        {
            self.bytes -= item.bytes;
            taken.push((place, item));
        }
        // What is left came later.
        self.since = (!self.items.is_empty()).then_some(now);
        self.is_urgent &= !self.items.is_empty();
        taken
    }

    /// Takes out what is of this batch.
    pub(super) fn drop_batch(&mut self, seq: u64) {
        self.items.retain(|place, _| place.seq != seq);
        self.bytes = self.items.values().map(|item| item.bytes).sum();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn is_full(&self, max_events: usize, max_bytes: usize) -> bool {
        self.items.len() >= max_events || self.bytes >= max_bytes
    }

    /// Whether some were under way already.
    pub(super) fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// How long the first event has waited.
    pub(super) fn age(&self, now: Duration) -> Option<Duration> {
        Some(now.saturating_sub(self.since?))
    }

    /// How many of the first take at most so many bytes; at least one, however large it is.
    pub(super) fn fitting(&self, max_bytes: usize) -> usize {
        let mut bytes = 0;
        let fits = self.items.values().take_while(|item| {
            let fits = bytes == 0 || bytes + item.bytes <= max_bytes;
            bytes += item.bytes;
            fits
        });
        fits.count()
    }

    /// Where the events come from, in order.
    pub(super) fn origins(&self) -> impl Iterator<Item = &Arc<BatchOrigin>> {
        self.items.values().map(|item| &item.outgoing.origin)
    }

    /// The lines of a batch that wait here.
    pub(super) fn lines_of(&self, seq: u64) -> Lines {
        let first = Place { seq, line: 0 };
        let last = Place {
            seq,
            line: u64::MAX,
        };
        lines(self.items.range(first..=last).map(|(place, _)| *place))
    }

    /// Takes these out, as far as they are here.
    pub(super) fn take_out(&mut self, places: &BTreeSet<Place>) -> Vec<(Place, Item)> {
        let mut taken = Vec::new();
        for place in places {
            if let Some(item) = self.items.remove(place) {
                self.bytes -= item.bytes;
                taken.push((*place, item));
            }
        }
        taken
    }

    fn insert(&mut self, place: Place, item: Item) {
        self.bytes += item.bytes;
        if let Some(before) = self.items.insert(place, item) {
            self.bytes -= before.bytes;
        }
    }
}

/// Neighbouring places as ranges of lines.
pub(super) fn lines(places: impl IntoIterator<Item = Place>) -> Lines {
    let mut lines: Lines = Vec::new();
    for Place { seq, line } in places {
        match lines.last_mut() {
            Some((of, range)) if *of == seq && range.end == line => range.end = line + 1,
            _ => lines.push((seq, line..line + 1)),
        }
    }
    lines
}
