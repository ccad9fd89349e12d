//! The batches of the spool and of the archive, as a person asks for them: which there are, all that
//! is known of one, its events, whether all of it is whole. Only a repair changes anything, and nothing
//! holds up an agent that goes on beside it: files are read outside of locks, and a batch that goes
//! meanwhile has gone.

mod abandon;
mod account;
mod add;
mod check;
mod export;
mod list;
mod show;

use std::io;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::audit::AuditError;
use crate::house::House;
use crate::letters::LettersError;
use crate::repair::RepairError;
use crate::spool::{BatchHead, Place, SpoolError};
use crate::state::ledger::AppendError;
use crate::state::{CollectionKey, Origin, Record};
use crate::taxii::window::PollWindow;
pub use abandon::abandon;
pub use add::{AddError, Addition, add};
pub use check::{Checked, Finding, check_batch, check_ledger, check_letters, numbers};
pub use export::{Export, ExportChoice, export};
pub use list::list;
pub use show::{LedgerLine, ShownBatch, ShownFile, ShownReceipt, ShownState, show};

/// What can be known of a batch without its events being read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchSummary {
    /// Its number.
    pub seq: u64,
    /// Where it lies; none if it is owed and not there.
    pub place: Option<Place>,
    /// Where its events come from; unknown if it is not there.
    #[serde(flatten)]
    pub source: Option<SourceSummary>,
    /// Its events.
    pub events: u64,
    /// Bytes of them on disk.
    pub bytes: u64,
    /// The outputs that owe it.
    pub owed_by: Vec<OwedBy>,
    /// What is out of the ordinary about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// Where the events of a batch come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceSummary {
    /// The configured name of the service.
    pub service: String,
    /// The collection.
    pub collection: String,
    /// Why it is here.
    pub origin: Origin,
    /// What was asked for; none of what no poll brought.
    pub window: Option<PollWindow>,
    /// When it was staged.
    pub staged_at: DateTime<Utc>,
    /// How long ago that is, in seconds.
    pub age_s: i64,
}

/// How far an output is in a batch that it owes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwedBy {
    /// The output.
    pub output: String,
    /// Events that need no more work.
    pub done: u64,
    /// Events that wait for delivery.
    pub pending: u64,
}

/// What was asked about batches cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum BatchesError {
    /// It never was.
    #[error("there is no batch {seq} yet: see `cta-forwarder spool list`")]
    Unused {
        /// What was asked for.
        seq: u64,
    },
    /// It is no longer kept.
    #[error(
        "batch {seq} is neither in the spool nor in the archive: nobody owes it any more, and the \
         archive does not keep it (state.archive); see `cta-forwarder spool list --archive`"
    )]
    Gone {
        /// What was asked for.
        seq: u64,
    },
    /// It is owed, and its files are not there.
    #[error(
        "batch {seq} is owed and not in the spool: `cta-forwarder spool check` says what can be done"
    )]
    Missing {
        /// What was asked for.
        seq: u64,
    },
    /// Its head cannot be read.
    #[error(
        "the head of batch {seq} cannot be read: {source}; `cta-forwarder spool check` says what can be done"
    )]
    Head {
        /// The batch.
        seq: u64,
        /// Why.
        source: io::Error,
    },
    /// It moves while it is looked at.
    #[error("batch {seq} is on its way to the archive: try again")]
    Moving {
        /// The batch.
        seq: u64,
    },
    /// It is damaged, and nobody has said to take what is left.
    #[error(
        "batch {seq} is damaged ({damage}): export what can be read of it with --damaged, or see \
         what `cta-forwarder spool check --repair` does about it"
    )]
    Damaged {
        /// The batch.
        seq: u64,
        /// Its files, and what is wrong with them.
        damage: String,
    },
    /// Nothing of it waits for a poll.
    #[error(
        "nothing of batch {seq} is damaged and waits for its window: see `cta-forwarder spool check`"
    )]
    NotDamaged {
        /// The batch.
        seq: u64,
    },
    /// The output does not owe it.
    #[error("the output {output:?} does not owe batch {seq}; {}", owing(owed_by))]
    NotOwed {
        /// The batch.
        seq: u64,
        /// The output.
        output: String,
        /// Who does.
        owed_by: Vec<String>,
    },
    /// The numbers cannot be had.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The dead letters cannot be read.
    #[error(transparent)]
    Letters(#[from] LettersError),
    /// A head cannot be written again.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// What is damaged cannot be set aside.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// The ledger cannot be written.
    #[error(transparent)]
    Retell(#[from] AppendError),
    /// The ledger cannot be read.
    #[error("the ledger cannot be read: {0}; mend the disk")]
    Ledger(#[source] io::Error),
}

fn owing(outputs: &[String]) -> String {
    match outputs {
        [] => "nobody does".to_owned(),
        outputs => format!("these do: {}", outputs.join(", ")),
    }
}

/// Why there is no such batch here.
pub(crate) fn no_batch(house: &House, seq: u64) -> BatchesError {
    let (is_owed, next_seq) = house
        .state
        .look(|picture| (picture.batches.contains_key(&seq), picture.next_seq));
    if is_owed {
        BatchesError::Missing { seq }
    } else if seq == 0 || seq >= next_seq {
        BatchesError::Unused { seq }
    } else {
        BatchesError::Gone { seq }
    }
}

impl SourceSummary {
    fn of(head: &BatchHead, now: DateTime<Utc>) -> Self {
        let (origin, window) = match &head.record {
            Record::Polled { origin, window, .. } => (*origin, Some(window.clone())),
            Record::BatchAdded { origin, window, .. } => (*origin, window.clone()),
            Record::Pushed { .. } => (Origin::Inbox, None),
            // No other record brings a batch.
            _ => (Origin::Manual, None),
        };
        Self {
            service: head.service.clone(),
            collection: head.collection.clone(),
            origin,
            window,
            staged_at: head.staged_at,
            age_s: (now - head.staged_at).num_seconds(),
        }
    }

    /// The collection with its service.
    #[must_use]
    pub fn key(&self) -> CollectionKey {
        CollectionKey {
            service: self.service.clone(),
            collection: self.collection.clone(),
        }
    }
}
