//! A batch that no poll and no sender has brought: in place, then in the ledger.

use chrono::{DateTime, Utc};

use crate::crash::Point;
use crate::house::House;
use crate::roster::{self, NotThere};
use crate::spool::{BatchHead, SpoolError, Staging};
use crate::state::ledger::AppendError;
use crate::state::{CollectionKey, Copied, Origin, Record};

/// What is to be said of such a batch.
#[derive(Debug, Clone)]
pub struct Addition {
    /// Where its events once came from.
    pub key: CollectionKey,
    /// Why it is here.
    pub origin: Origin,
    /// Which outputs owe it.
    pub outputs: Vec<String>,
    /// The time of an event that states none.
    pub window_end: DateTime<Utc>,
    /// What it is a copy of.
    pub copies: Option<Copied>,
}

/// The batch could not be added; nothing of it is there.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The spool cannot take it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The ledger cannot be told.
    #[error(transparent)]
    Ledger(#[from] AppendError),
    /// An output that was to owe it is gone.
    #[error(transparent)]
    NotThere(#[from] NotThere),
}

/// Puts what was staged in place, and gives its number. Its outputs have [joined](roster::join), and
/// are looked for once more when nobody can take them away any more. Blocks while the disk works.
pub fn add(house: &House, mut staging: Staging, what: Addition) -> Result<u64, AddError> {
    let spool = &house.spool;
    let now = house.clock.now().utc;
    let Addition {
        key,
        origin,
        outputs,
        window_end,
        copies,
    } = what;
    let files = spool.finish(&mut staging, now, &key.service, &key.collection)?;
    let turn = spool.commit_turn();
    roster::check(house, &outputs)?;
    let seq = spool.next_seq();
    let record = Record::BatchAdded {
        key: key.clone(),
        origin,
        seq,
        outputs,
        events: files.iter().map(|file| file.events).sum(),
        letters: Vec::new(),
        window: None,
        content: None,
        settles: None,
        copies,
    };
    let head = BatchHead {
        seq,
        staged_at: now,
        service: key.service,
        collection: key.collection,
        window_end,
        end: None,
        message_ids: Vec::new(),
        record,
        files,
    };
    house.keep_batch::<AddError>(staging, &head, now, Point::RetryCommitted)?;
    drop(turn);
    spool.announce();
    Ok(seq)
}
