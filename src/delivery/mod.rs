//! How events leave: what to wait, when to stop, how much at once, what is done.
//!
//! The decisions are plain values, with time and chance as arguments; `forwarder` drives them.

mod acks;
mod backoff;
mod breaker;
mod concurrency;
mod cursor;
pub mod forwarder;
mod peers;
mod progress;
mod split;

pub use acks::{Acks, Lines, Question, ReceiptKey, Settled};
pub use backoff::{Backoff, InvalidBackoff};
pub use breaker::{Breaker, Reaction};
pub use concurrency::Concurrency;
pub use cursor::{Cursor, InvalidCursor};
pub use peers::{Choice, Failure, Peers};
pub use progress::Progress;
pub use split::{BatchSize, TooMuch};
