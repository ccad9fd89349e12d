//! Events on their way: their messages, and what may become of them.

use std::ops::Range;

use crate::event::EventId;
use crate::output::{FlightId, Verdict};

/// The messages of events that were launched together, as they travel.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) id: FlightId,
    /// One behind the other.
    text: Vec<u8>,
    /// Where each ends, and whose it is.
    messages: Vec<(usize, EventId)>,
    refusal: Option<Refusal>,
}

/// The event behind the messages of a flight: it can never be sent.
#[derive(Debug)]
struct Refusal {
    code: &'static str,
    reason: String,
}

impl Flight {
    /// A flight of this many events, without a message yet.
    pub(super) fn new(id: FlightId, events: usize) -> Self {
        Self {
            id,
            text: Vec::new(),
            messages: Vec::with_capacity(events),
            refusal: None,
        }
    }

    /// Adds the next event's message; `write` appends it.
    pub(super) fn push(&mut self, event: EventId, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text);
        self.messages.push((self.text.len(), event));
    }

    /// The next event has no message and never will: those behind it are not for this flight.
    pub(super) fn refuse(&mut self, code: &'static str, reason: String) {
        self.refusal = Some(Refusal { code, reason });
    }

    /// From this message on nothing can be sent.
    pub(super) fn cut(&mut self, message: usize, code: &'static str, reason: String) {
        self.messages.truncate(message);
        let end = self.messages.last().map_or(0, |(end, _)| *end);
        self.text.truncate(end);
        self.refuse(code, reason);
    }

    /// How many messages there are.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// All messages, one behind the other.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// One message and its event.
    pub(super) fn message(&self, index: usize) -> Option<(&[u8], EventId)> {
        let (end, event) = *self.messages.get(index)?;
        let range = Range {
            start: self.end_before(index),
            end,
        };
        Some((self.text.get(range)?, event))
    }

    /// What became of it when all its messages are delivered.
    pub(super) fn arrived(self) -> (FlightId, Verdict) {
        let index = self.messages.len();
        let verdict = match self.refusal {
            None => Verdict::Delivered { slow_down: false },
            Some(Refusal { code, reason }) => Verdict::Refused {
                index,
                code: code.to_owned(),
                reason,
                is_our_limit: true,
            },
        };
        (self.id, verdict)
    }

    fn end_before(&self, index: usize) -> usize {
        let before = index.checked_sub(1).and_then(|i| self.messages.get(i));
        before.map_or(0, |(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(messages: &[&str]) -> Flight {
        let mut flight = Flight::new(7, messages.len());
        for (n, message) in (0..).zip(messages) {
            flight.push(EventId::from_bytes([n; 16]), |text| {
                text.extend_from_slice(message.as_bytes());
            });
        }
        flight
    }

    #[test]
    fn messages_are_found_again_with_their_events() {
        let flight = flight(&["one", "", "three"]);
        assert_eq!(flight.bytes(), b"onethree");
        let of = |index| flight.message(index).unwrap();
        assert_eq!(of(0), (&b"one"[..], EventId::from_bytes([0; 16])));
        assert_eq!(of(1), (&b""[..], EventId::from_bytes([1; 16])));
        assert_eq!(of(2), (&b"three"[..], EventId::from_bytes([2; 16])));
        assert_eq!(flight.message(3), None);
        assert_eq!(
            flight.arrived(),
            (7, Verdict::Delivered { slow_down: false })
        );
    }

    #[test]
    fn what_is_cut_off_is_refused_behind_the_rest() {
        let mut flight = flight(&["one", "two", "three"]);
        flight.cut(1, "syslog-too-large", "so large".into());
        assert_eq!((flight.len(), flight.bytes()), (1, &b"one"[..]));
        let refused = Verdict::Refused {
            index: 1,
            code: "syslog-too-large".into(),
            reason: "so large".into(),
            is_our_limit: true,
        };
        assert_eq!(flight.arrived(), (7, refused));
    }
}
