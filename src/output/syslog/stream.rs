//! Messages one behind the other in a stream that only the peer's TCP acknowledges.

use std::collections::VecDeque;

use super::failure::Failure;
use super::flight::Flight;
use super::session::Session;
use crate::output::{FlightId, Verdict};

/// Syslog over TCP or TLS.
///
/// A flight is delivered when the peer's TCP has its last byte. That is the network's word: what
/// the peer's application had not read when the connection broke is lost, so every flight that is
/// still open then counts as not delivered at all.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Written and waiting for the peer's TCP; with the bytes that it must have, once flushed.
    written: VecDeque<(Flight, Option<u64>)>,
    /// Not wholly written.
    unwritten: VecDeque<Flight>,
    /// So many bytes of the first unwritten flight are written.
    begun: usize,
    landed: VecDeque<(FlightId, Verdict)>,
}

impl Session for Stream {
    fn launch(&mut self, flight: Flight) {
        self.unwritten.push_back(flight);
    }

    fn connected(&mut self) {}

    fn is_ready(&self) -> bool {
        true
    }

    fn outgoing(&mut self) -> &[u8] {
        // Between two flights comes a flush: only then is it known where the first one ends in a
        // stream that may be encrypted.
        if self.written.back().is_some_and(|(_, due)| due.is_none()) {
            return &[];
        }
        let first = self.unwritten.front();
        first
            .and_then(|flight| flight.bytes().get(self.begun..))
            .unwrap_or_default()
    }

    fn written(&mut self, bytes: usize) {
        self.begun += bytes;
        let first = self.unwritten.front();
        if first.is_some_and(|flight| flight.bytes().len() <= self.begun) {
            self.begun = 0;
            let flight = self.unwritten.pop_front();
            self.written.extend(flight.map(|flight| (flight, None)));
        }
    }

    fn flushed(&mut self, sent: u64) {
        if let Some((_, due @ None)) = self.written.back_mut() {
            *due = Some(sent);
        }
    }

    fn awaits_acknowledgement(&self) -> bool {
        self.written.front().is_some_and(|(_, due)| due.is_some())
    }

    fn acknowledged(&mut self, bytes: u64) {
        while let Some((_, Some(due))) = self.written.front()
            && *due <= bytes
        {
            let flight = self.written.pop_front();
            self.landed
                .extend(flight.map(|(flight, _)| flight.arrived()));
        }
    }

    /// A syslog receiver has nothing to say.
    fn received(&mut self, _: &[u8]) -> Result<bool, Failure> {
        Ok(false)
    }

    fn is_busy(&self) -> bool {
        !self.is_clean() || !self.unwritten.is_empty()
    }

    fn is_clean(&self) -> bool {
        self.written.is_empty() && self.begun == 0
    }

    fn lost(&mut self, failure: &Failure) {
        let written = self.written.drain(..).map(|(flight, _)| flight);
        for flight in written.chain(self.unwritten.drain(..)) {
            self.landed.push_back((flight.id, failure.verdict(0)));
        }
        self.begun = 0;
    }

    fn has_landed(&self) -> bool {
        !self.landed.is_empty()
    }

    fn landed(&mut self) -> Option<(FlightId, Verdict)> {
        self.landed.pop_front()
    }

    fn leave(&mut self) {}

    fn has_left(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::EventId;

    fn flight(id: FlightId, bytes: usize) -> Flight {
        let mut flight = Flight::new(id, 1);
        flight.push(EventId::from_bytes([0; 16]), |text| {
            text.extend_from_slice("x".repeat(bytes).as_bytes());
        });
        flight
    }

    #[test]
    fn the_next_flight_waits_for_the_flush() {
        let mut stream = Stream::default();
        stream.launch(flight(1, 3));
        stream.launch(flight(2, 2));
        assert!(stream.is_clean());
        stream.written(1);
        assert!(!stream.is_clean());
        assert_eq!(stream.outgoing().len(), 2);
        stream.written(2);
        assert_eq!(stream.outgoing().len(), 0);
        assert!(!stream.awaits_acknowledgement());
        stream.flushed(10);
        assert!(stream.awaits_acknowledgement());
        assert_eq!(stream.outgoing().len(), 2);
        stream.acknowledged(9);
        assert_eq!(stream.landed(), None);
        stream.acknowledged(10);
        let delivered = Verdict::Delivered { slow_down: false };
        assert_eq!(stream.landed(), Some((1, delivered)));
        assert!(stream.is_clean() && stream.is_busy());
    }

    proptest! {
        /// Writes, flushes, acknowledgements and cuts in any order, in a stream that adds bytes of
        /// its own: a flight is delivered if, and only if, its last byte was acknowledged.
        #[test]
        fn delivered_is_what_was_acknowledged(
            sizes in prop::collection::vec(1usize..50, 1..10),
            steps in prop::collection::vec((0u8..5, 1usize..40), 1..100),
        ) {
            let mut stream = Stream::default();
            let mut launched = sizes.iter().zip(0..);
            let (mut sent, mut acknowledged) = (0u64, 0u64);
            // Of each flight that is written: where it ends at the latest, once flushed.
            let mut ends: VecDeque<(FlightId, Option<u64>)> = VecDeque::new();
            let mut unwritten: VecDeque<(FlightId, usize)> = VecDeque::new();
            for (step, amount) in steps {
                match step {
                    0 => if let Some((bytes, id)) = launched.next() {
                        stream.launch(flight(id, *bytes));
                        unwritten.push_back((id, *bytes));
                    },
                    1 => {
                        let bytes = stream.outgoing().len().min(amount);
                        stream.written(bytes);
                        if bytes > 0 {
                            let first = unwritten.front_mut().unwrap();
                            first.1 -= bytes;
                            if first.1 == 0 {
                                ends.push_back((first.0, None));
                                unwritten.pop_front();
                            }
                            sent += bytes as u64;
                        }
                    }
                    2 => {
                        // What encryption adds.
                        sent += amount as u64;
                        stream.flushed(sent);
                        for (_, end) in &mut ends {
                            end.get_or_insert(sent);
                        }
                    }
                    3 => {
                        acknowledged = sent.min(acknowledged + amount as u64);
                        stream.acknowledged(acknowledged);
                        while let Some((id, Some(end))) = ends.front() && *end <= acknowledged {
                            let delivered = Verdict::Delivered { slow_down: false };
                            prop_assert_eq!(stream.landed(), Some((*id, delivered)));
                            ends.pop_front();
                        }
                        prop_assert_eq!(stream.landed(), None);
                    }
                    _ => if amount < 5 {
                        let failure = Failure::passing("cut");
                        stream.lost(&failure);
                        let open = ends.drain(..).map(|(id, _)| id);
                        for id in open.chain(unwritten.drain(..).map(|(id, _)| id)) {
                            prop_assert_eq!(stream.landed(), Some((id, failure.verdict(0))));
                        }
                        prop_assert!(!stream.is_busy());
                        (sent, acknowledged) = (0, 0);
                    },
                }
            }
        }
    }
}
