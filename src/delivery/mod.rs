//! How events leave: what to wait, when to stop, how much at once, what is done.
//!
//! The decisions are plain values, with time and chance as arguments; `forwarder` drives them.

mod backoff;
mod breaker;
mod cursor;
pub mod forwarder;
mod progress;
mod split;

pub use backoff::{Backoff, InvalidBackoff};
pub use breaker::{Breaker, Reaction};
pub use cursor::{Cursor, InvalidCursor};
pub use progress::Progress;
pub use split::{BatchSize, TooMuch};
