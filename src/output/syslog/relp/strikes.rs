//! How often in a row a receiver has refused the same event.

use std::collections::HashMap;

use crate::event::EventId;

/// A `500` may pass (a full disk, a queue that is not there yet), so an event is given up only when
/// it was refused this often.
const OUT: u32 = 3;
/// Events that are remembered. More refused ones at a time are no fault of theirs.
const MAX_EVENTS: usize = 1024;

/// Refused events; kept across connections.
#[derive(Debug, Default)]
pub(super) struct Strikes {
    of: HashMap<EventId, u32>,
}

impl Strikes {
    /// The event was refused.
    pub(super) fn add(&mut self, event: Option<EventId>) {
        let Some(event) = event else {
            return;
        };
        if self.of.len() >= MAX_EVENTS && !self.of.contains_key(&event) {
            self.of.clear();
        }
        *self.of.entry(event).or_default() += 1;
    }

    /// The event was accepted, or given up.
    pub(super) fn clear(&mut self, event: Option<EventId>) {
        if !self.of.is_empty()
            && let Some(event) = event
        {
            self.of.remove(&event);
        }
    }

    /// Whether the event was refused too often.
    pub(super) fn are_out(&self, event: Option<EventId>) -> bool {
        event
            .and_then(|event| self.of.get(&event))
            .is_some_and(|count| *count >= OUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u64) -> EventId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        EventId::from_bytes(bytes)
    }

    #[test]
    fn three_in_a_row_are_out() {
        let mut strikes = Strikes::default();
        strikes.add(Some(event(1)));
        strikes.add(Some(event(1)));
        strikes.add(Some(event(2)));
        assert!(!strikes.are_out(Some(event(1))));
        strikes.clear(Some(event(1)));
        strikes.add(Some(event(1)));
        strikes.add(Some(event(1)));
        assert!(!strikes.are_out(Some(event(1))));
        strikes.add(Some(event(1)));
        assert!(strikes.are_out(Some(event(1))));
        assert!(!strikes.are_out(Some(event(2))));
    }

    #[test]
    fn memory_is_bounded() {
        let mut strikes = Strikes::default();
        for n in 0..5000 {
            strikes.add(Some(event(n)));
            assert!(strikes.of.len() <= MAX_EVENTS);
        }
    }
}
