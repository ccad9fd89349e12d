//! The audit: for each batch and each output that owes it, what became of every event, from what is
//! physically there.
//!
//! `fetched = delivered + dead letters + discarded + abandoned + repaired + lost + pending +
//! repairing`, where `fetched` is what the reader counted and the ledger holds, `pending` the lines
//! that can be read beyond the cursor, `repairing` those of damaged files whose window is polled
//! again.

mod facts;
mod history;
mod verdict;

use serde::{Deserialize, Serialize};

pub use facts::{AuditError, audit, audit_batch, look_at_block};

/// What the audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Whether everything is where it should be.
    pub ok: bool,
    /// Each batch at each output that owes it.
    pub batches: Vec<Account>,
    /// Each output, over all batches that it ever owed.
    pub outputs: Vec<Account>,
    /// Each output that was forgotten, as far back as the ledger is kept: what it still owed then is
    /// among the discarded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forgotten: Vec<Account>,
    /// What does not hold.
    pub differences: Vec<String>,
}

/// What became of events at one output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The batch; none of all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Its collection, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// The output.
    pub output: String,
    /// Events that the reader counted.
    pub fetched: u64,
    /// The receiver has them.
    pub delivered: u64,
    /// Set aside, since no retry can deliver them.
    pub dead_letters: u64,
    /// Given up by a person.
    pub discarded: u64,
    /// Given up since the spool was full.
    pub abandoned: u64,
    /// They went out with another batch, since their file was damaged.
    #[serde(default)]
    pub repaired: u64,
    /// Their file was damaged, and the service no longer had them.
    #[serde(default)]
    pub lost: u64,
    /// Lines that are there and wait for delivery.
    pub pending: u64,
    /// Lines of damaged files that wait for their window to be polled again.
    #[serde(default)]
    pub repairing: u64,
}

impl Account {
    /// All that is known of.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.delivered
            + self.dead_letters
            + self.discarded
            + self.abandoned
            + self.repaired
            + self.lost
            + self.pending
            + self.repairing
    }

    /// The sentence about what is missing, or is too much.
    fn difference(&self) -> Option<String> {
        let (fetched, total) = (self.fetched, self.total());
        if fetched == total {
            return None;
        }
        let place = match self.seq {
            Some(seq) => format!("batch {seq}, output {:?}", self.output),
            None => format!("output {:?}", self.output),
        };
        let what = if total < fetched {
            format!("{} missing", are(fetched - total))
        } else {
            format!("{} too many", are(total - fetched))
        };
        Some(format!(
            "{place}: {} fetched, {} accounted for, {what}",
            were(fetched, "event"),
            are(total)
        ))
    }
}

/// So many of a thing were: what is said of them follows.
fn were(count: u64, thing: &str) -> String {
    match count {
        1 => format!("1 {thing} was"),
        more => format!("{more} {thing}s were"),
    }
}

/// So many events wait: for what follows.
fn wait(count: u64) -> String {
    match count {
        1 => "1 event waits".to_owned(),
        more => format!("{more} events wait"),
    }
}

/// So many are: what is said of them follows.
fn are(count: u64) -> String {
    match count {
        1 => "1 is".to_owned(),
        more => format!("{more} are"),
    }
}
