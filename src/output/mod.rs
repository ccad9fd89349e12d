//! Where events go: one closed enum, one file or folder a kind.
//!
//! An output encodes, sends once and says what became of it. It never waits, retries or counts:
//! that is `delivery`'s.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::event::Event;

/// An event with the batch that it came in.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The batch's origin.
    pub origin: std::sync::Arc<BatchOrigin>,
    /// The event.
    pub event: Event,
}

/// What is the same for all events of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOrigin {
    /// The configured name of the service.
    pub service: String,
    /// The collection.
    pub collection: String,
    /// The end of the window: the time of an event that states none.
    pub window_end: DateTime<Utc>,
}

/// What became of the events that one call of `send` was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All are delivered.
    Delivered {
        /// The receiver asks for less at once.
        slow_down: bool,
    },
    /// The first `delivered` are delivered, the rest may be tried again later.
    Retry {
        /// How many of the first are delivered for certain.
        delivered: usize,
        /// What happened, for the operator.
        reason: String,
        /// How long the receiver asks us to wait.
        after: Option<Duration>,
    },
    /// Nothing goes through until a person mends something.
    Hold {
        /// How many of the first are delivered for certain.
        delivered: usize,
        /// What happened.
        reason: String,
        /// What to do about it.
        mend: String,
    },
    /// The events before `index` are delivered, that one never can be, those after it were not
    /// taken and go again.
    Refused {
        /// The event's place in the slice, from 0.
        index: usize,
        /// The receiver's code, such as `hec-6`.
        code: String,
        /// What the receiver said.
        reason: String,
    },
    /// Nothing was taken since it is too much at once: send half. Of one event: refused.
    TooLarge {
        /// What the receiver said.
        reason: String,
    },
}
