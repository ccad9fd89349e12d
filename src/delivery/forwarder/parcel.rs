//! Events in memory, in order, neither delivered nor set aside.

use std::collections::VecDeque;
use std::time::Duration;

use crate::output::Outgoing;

/// Events on their way to an output.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    items: VecDeque<Item>,
    bytes: usize,
    /// When the first came in, on the monotonic clock.
    since: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Item {
    /// The batch.
    pub(super) seq: u64,
    /// The event's line in it.
    pub(super) line: u64,
    pub(super) outgoing: Outgoing,
    /// Bytes that it takes on its way, before compression.
    pub(super) bytes: usize,
}

impl Parcel {
    pub(super) fn push(&mut self, item: Item, now: Duration) {
        self.bytes += item.bytes;
        self.since.get_or_insert(now);
        self.items.push_back(item);
    }

    pub(super) fn first(&self) -> Option<&Item> {
        self.items.front()
    }

    pub(super) fn take_first(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.bytes;
        if self.items.is_empty() {
            self.since = None;
        }
        Some(item)
    }

    /// Takes out what is of this batch.
    pub(super) fn drop_batch(&mut self, seq: u64) {
        self.items.retain(|item| item.seq != seq);
        self.bytes = self.items.iter().map(|item| item.bytes).sum();
        if self.items.is_empty() {
            self.since = None;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn is_full(&self, max_events: usize, max_bytes: usize) -> bool {
        self.items.len() >= max_events || self.bytes >= max_bytes
    }

    /// How long the first event has waited.
    pub(super) fn age(&self, now: Duration) -> Option<Duration> {
        Some(now.saturating_sub(self.since?))
    }

    /// How many of the first take at most so many bytes; at least one, however large it is.
    pub(super) fn fitting(&self, max_bytes: usize) -> usize {
        let mut bytes = 0;
        let fits = self.items.iter().take_while(|item| {
            let fits = bytes == 0 || bytes + item.bytes <= max_bytes;
            bytes += item.bytes;
            fits
        });
        fits.count()
    }

    /// The first events.
    pub(super) fn outgoing(&self, count: usize) -> Vec<Outgoing> {
        let first = self.items.iter().take(count);
        first.map(|item| item.outgoing.clone()).collect()
    }
}
