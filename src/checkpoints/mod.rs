//! Checkpoints, as a person asks for them and sets them.
//!
//! A checkpoint that is set is one ledger record. It has the turn of a commit, so that it comes either
//! before a poll's record or after it: a poll that began at the old checkpoint keeps its batch, and
//! leaves the new one where it is.

mod change;
mod plan;
mod show;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::UnknownCollection;
use crate::crash::{self, Point};
use crate::house::House;
use crate::state::ledger::AppendError;
use crate::state::{CollectionKey, Record};
use crate::taxii::Timestamp;
pub use change::{CheckpointChange, To, plan, set};
pub use plan::Plan;
pub use show::{CheckpointStatus, GateStatus, Moved, MovedBy, show};

/// A checkpoint cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Which collection is meant is not certain.
    #[error(transparent)]
    Unknown(#[from] UnknownCollection),
    /// There would be nothing to give.
    #[error("{key} has no checkpoint that could be moved; these have one: {known}")]
    NoCheckpoint {
        /// What was asked for.
        key: String,
        /// What there is.
        known: String,
    },
    /// It would begin anew.
    #[error(
        "{key} is still configured, and without its checkpoint it would be fetched again: take it \
         out of the configuration and restart the agent first, or use `cta-forwarder checkpoint set`"
    )]
    StillConfigured {
        /// What was asked for.
        key: String,
    },
    /// Content until then would never be fetched.
    #[error(
        "{to} lies in the future, it is {now} by the service's clock: what comes until then would \
         never be fetched"
    )]
    Future {
        /// What was asked for.
        to: Timestamp,
        /// The service's present.
        now: Timestamp,
    },
    /// Nothing is that old.
    #[error(
        "{to} is no time to begin at: to begin as at the first start use `cta-forwarder checkpoint clear`"
    )]
    TooOld {
        /// What was asked for.
        to: String,
    },
    /// A poll's batch waits for its record, which would move the checkpoint again.
    #[error(
        "batch {seq} of {key} is in place and the ledger could not be told: mend the disk, and set \
         the checkpoint when that is done"
    )]
    Unrecorded {
        /// The batch.
        seq: u64,
        /// Its collection.
        key: String,
    },
    /// The ledger cannot be told.
    #[error(transparent)]
    Ledger(#[from] AppendError),
}

/// What a service's clock shows, as far as is known.
fn server_now(house: &House, service: &str) -> DateTime<Utc> {
    let offset = house
        .state
        .look(|picture| picture.clock_offsets_ms.get(service).copied());
    house.clock.now().utc + TimeDelta::milliseconds(offset.unwrap_or(0))
}

/// Writes the record.
fn append(
    house: &House,
    key: &CollectionKey,
    checkpoint: Option<Timestamp>,
) -> Result<(), CheckpointError> {
    let _turn = house.spool.commit_turn();
    let next_seq = house.state.look(|picture| picture.next_seq);
    let may_be_of_it = |seq: &u64| house.batch(*seq).is_none_or(|head| head.key() == *key);
    let mut unrecorded = house.spool.numbers().into_iter();
    if let Some(seq) = unrecorded.find(|seq| *seq >= next_seq && may_be_of_it(seq)) {
        return Err(CheckpointError::Unrecorded {
            seq,
            key: key.to_string(),
        });
    }
    let record = Record::CheckpointSet {
        key: key.clone(),
        checkpoint,
    };
    house.state.append(house.clock.now().utc, &record)?;
    crash::point(Point::CheckpointRecorded);
    // Who sets it wants to see again what comes from there on.
    if let Err(error) = house.spool.forget_set(key) {
        tracing::warn!(
            collection = %key,
            %error,
            "the set of what the last poll brought could not be forgotten: what it holds does not \
             come again with the next poll"
        );
    }
    Ok(())
}

/// A span in days, hours, minutes and seconds, without what is finer.
fn shown(span: Duration) -> String {
    let whole = if span.as_secs() > 86_400 { 60 } else { 1 };
    let seconds = span.as_secs() / whole * whole;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let rest = humantime::format_duration(Duration::from_secs(rest)).to_string();
    match (days, seconds % 86_400) {
        (0, _) => rest,
        (1, 0) => "1 day".to_owned(),
        (1, _) => format!("1 day {rest}"),
        (days, 0) => format!("{days} days"),
        (days, _) => format!("{days} days {rest}"),
    }
}

#[cfg(test)]
mod tests;
