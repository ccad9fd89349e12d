//! How events leave: what to wait, when to stop, how much at once, what is done.
//!
//! The decisions are plain values here; time and chance come as arguments.

mod backoff;
mod breaker;
mod cursor;
mod split;

pub use backoff::{Backoff, InvalidBackoff};
pub use breaker::{Breaker, Reaction};
pub use cursor::{Cursor, InvalidCursor};
pub use split::{BatchSize, TooMuch};
