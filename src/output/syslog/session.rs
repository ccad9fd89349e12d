//! What is said on a connection, apart from the connection itself: bytes in, bytes out.

use std::fmt::Debug;

use super::failure::Failure;
use super::flight::Flight;
use crate::output::{FlightId, Verdict};

/// The flights of one peer, and what must be said to deliver them.
///
/// It outlives connections: a flight of which nothing was written may wait for the next one.
pub(super) trait Session: Debug + Send {
    /// Takes a flight; it lands sooner or later.
    fn launch(&mut self, flight: Flight);

    /// A connection is there.
    fn connected(&mut self);

    /// Whether the peer has agreed to take messages.
    fn is_ready(&self) -> bool;

    /// What is to be written next; nothing while something must happen first.
    fn outgoing(&mut self) -> &[u8];

    /// So many bytes of `outgoing` are with the connection.
    fn written(&mut self, bytes: usize);

    /// Everything written so far is with the kernel, `sent` bytes since the connection was made.
    fn flushed(&mut self, sent: u64);

    /// Whether flights wait for the peer's TCP.
    fn awaits_acknowledgement(&self) -> bool;

    /// The peer's TCP has so many bytes.
    fn acknowledged(&mut self, bytes: u64);

    /// What the peer said. True if it was what we wait for.
    fn received(&mut self, bytes: &[u8]) -> Result<bool, Failure>;

    /// Whether a flight is under way or waits.
    fn is_busy(&self) -> bool;

    /// Whether of no flight anything was written, so that a lost connection took nothing with it.
    fn is_clean(&self) -> bool;

    /// The connection is no more, or could not be had: all flights land.
    fn lost(&mut self, failure: &Failure);

    fn has_landed(&self) -> bool;

    /// A flight that has landed.
    fn landed(&mut self) -> Option<(FlightId, Verdict)>;

    /// Says goodbye; nothing is launched any more.
    fn leave(&mut self);

    /// Whether the peer has heard it.
    fn has_left(&self) -> bool;
}
