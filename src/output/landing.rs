//! What comes back from an output.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Identifies what was launched until it has landed.
pub type FlightId = u64;

/// What came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landing {
    /// Events that were launched.
    Sent {
        /// Which.
        flight: FlightId,
        /// The peer that they went to.
        peer: usize,
        /// What became of them.
        verdict: Verdict,
        /// Whether that is only promised.
        promise: Promise,
    },
    /// A probe.
    Probed {
        /// The peer.
        peer: usize,
        /// Whether it is well, as far as a probe can tell.
        result: Result<(), Problem>,
    },
    /// A question for acknowledgements.
    Acknowledged {
        /// The peer.
        peer: usize,
        /// The channel that was asked for.
        channel: Channel,
        /// What the peer said of each id; an error where it said nothing that can be relied on.
        answer: Result<BTreeMap<u64, bool>, Problem>,
    },
}

/// What was promised of the events of a flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promise {
    /// Nothing: the verdict is the last word.
    None,
    /// What the verdict calls delivered is so only once this is acknowledged.
    Given(Receipt),
    /// There was no answer: something may have been promised, and nobody knows what.
    Lost,
}

/// These events were accepted, and are delivered once this is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Where to ask.
    pub channel: Channel,
    /// What to ask for.
    pub ack_id: u64,
}

/// Where acknowledgements of some requests are kept: at one peer, behind one indexer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its id, never used again.
    pub guid: uuid::Uuid,
    /// The cookies that lead to the indexer.
    pub cookies: BTreeMap<String, String>,
}

/// What became of the events of one flight.
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
        /// It is over a limit of ours, so the receiver was not asked.
        is_our_limit: bool,
    },
    /// These are delivered, wherever they stand; the others are as `then` says.
    Scattered {
        /// Places in the flight.
        delivered: Vec<Range<usize>>,
        /// The rest.
        then: Box<Verdict>,
    },
    /// Nothing was taken since it is too much at once: send half. Of one event: refused.
    TooLarge {
        /// What the receiver said.
        reason: String,
    },
}

/// Why a peer is not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What happened.
    pub reason: String,
    /// What to do about it; none if it may pass by itself.
    pub mend: Option<String>,
    /// How long the peer asks us to wait.
    pub after: Option<Duration>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.mend {
            Some(mend) => write!(f, ": {mend}"),
            None => Ok(()),
        }
    }
}
