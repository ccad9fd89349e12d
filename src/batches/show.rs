//! Everything about one batch: its files are read to their ends and compared.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::account::BatchHistory;
use super::list::summarize;
use super::{BatchSummary, BatchesError, no_batch};
use crate::audit::{self, Account};
use crate::house::House;
use crate::repair::{self, FileState};
use crate::spool::{BatchHead, InspectedBatch, Place};
use crate::state::ledger::HistoryLine;
use crate::state::{Record, StoredReceipt};

/// A batch goes to the archive once, and away once.
const MAX_TRIES: u32 = 5;

/// Everything about a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownBatch {
    /// What the list says.
    #[serde(flatten)]
    pub summary: BatchSummary,
    /// Its folder.
    pub folder: PathBuf,
    /// The time of an event that states none.
    pub window_end: DateTime<Utc>,
    /// The service's ids of the messages that brought it.
    pub message_ids: Vec<String>,
    /// What is wrong with `batch.json`.
    pub head_damage: Option<String>,
    /// Its files, in order.
    pub files: Vec<ShownFile>,
    /// The ledger's record of it; none if the ledger no longer keeps it, or does not have it yet.
    pub record: Option<LedgerLine>,
    /// What became of its events at each output that owes it or has done with it, as far as the
    /// ledger is kept.
    pub outputs: Vec<Account>,
    /// What was accepted and not acknowledged.
    pub receipts: Vec<ShownReceipt>,
    /// What does not hold.
    pub differences: Vec<String>,
}

/// A file of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownFile {
    /// Its name.
    pub name: String,
    /// Events in it, as `batch.json` says.
    pub events: u64,
    /// Lines that can be read.
    pub lines: u64,
    /// Bytes on disk, as `batch.json` says.
    pub bytes: u64,
    /// CRC-32 of its lines, as `batch.json` says.
    pub crc32: String,
    /// How it is.
    pub state: ShownState,
    /// What is wrong with it; none if it is whole.
    pub damage: Option<String>,
}

/// How a file of events is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownState {
    /// As it was written.
    Whole,
    /// Damaged or gone.
    Damaged,
    /// Set aside; its window is polled again.
    BeingRepaired,
    /// Set aside, and no output waits for its lines any more.
    Settled,
}

impl From<&FileState> for ShownState {
    fn from(state: &FileState) -> Self {
        match state {
            FileState::Whole => Self::Whole,
            FileState::Damaged(_) => Self::Damaged,
            FileState::BeingRepaired => Self::BeingRepaired,
            FileState::Settled => Self::Settled,
        }
    }
}

/// A record of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerLine {
    /// Its number.
    pub number: u64,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// What it says.
    pub record: Record,
}

/// What an output's peer has accepted of a batch and not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownReceipt {
    /// The output.
    pub output: String,
    /// Its peer.
    pub peer: String,
    /// What it is asked for.
    pub ack_id: u64,
    /// Events of the batch.
    pub events: u64,
    /// When they were accepted.
    pub at: DateTime<Utc>,
}

/// Looks at a batch, in the spool or in the archive. Blocks while the disk works.
pub fn show(house: &House, seq: u64) -> Result<ShownBatch, BatchesError> {
    let (place, head, found) = inspect(house, seq)?;
    let audit = audit::audit_batch(house, seq, &found)?;
    // Afterwards: what is not owed in the audit's eyes has its record by now.
    let mut history = BatchHistory::of(seq);
    let read = house.state.history(|line| {
        if let HistoryLine::Record { number, at, record } = line {
            history.record(number, at, &record);
        }
    });
    read.map_err(BatchesError::Ledger)?;
    let mut outputs = audit.batches;
    for done in history.accounts(&head.collection, head.events()) {
        if outputs.iter().all(|known| known.output != done.output) {
            outputs.push(done);
        }
    }
    let summary = summarize(house, place, &head);
    Ok(ShownBatch {
        folder: house.spool.folder_at(place, seq),
        window_end: head.window_end,
        message_ids: message_ids(house, place, seq),
        files: files(house, &head, &found),
        head_damage: found.head_damage,
        record: history.came,
        receipts: receipts(house, &summary),
        differences: audit.differences,
        outputs,
        summary,
    })
}

/// They are told by `batch.json` alone.
fn message_ids(house: &House, place: Place, seq: u64) -> Vec<String> {
    let read = house.spool.read_head(place, seq);
    read.map_or_else(|_| Vec::new(), |head| head.message_ids)
}

/// Finds a batch and reads its files, wherever it goes meanwhile.
pub(super) fn inspect(
    house: &House,
    seq: u64,
) -> Result<(Place, Arc<BatchHead>, InspectedBatch), BatchesError> {
    for _ in 0..MAX_TRIES {
        let Some(place) = house.spool.place(seq) else {
            return Err(no_batch(house, seq));
        };
        let head = match house.head_at(place, seq) {
            Ok(head) => head,
            Err(_) if house.spool.place(seq) != Some(place) => continue,
            Err(source) => return Err(BatchesError::Head { seq, source }),
        };
        if let Some(found) = house.spool.inspect_at(place, &head) {
            return Ok((place, head, found));
        }
    }
    Err(BatchesError::Moving { seq })
}

fn files(house: &House, head: &BatchHead, found: &InspectedBatch) -> Vec<ShownFile> {
    let checked = repair::checked(house, head, found.clone()).files;
    let files = head.files.iter().zip(&found.files).zip(&checked);
    let shown = files.map(|((file, found), checked)| ShownFile {
        name: file.name.clone(),
        events: file.events,
        lines: found.lines,
        bytes: file.bytes,
        crc32: file.crc32.clone(),
        state: (&checked.state).into(),
        damage: found.damage.clone(),
    });
    shown.collect()
}

fn receipts(house: &House, summary: &BatchSummary) -> Vec<ShownReceipt> {
    let seq = summary.seq;
    let of_batch = |receipt: &StoredReceipt| -> u64 {
        let lines = receipt.lines.iter().filter(|(of, _)| *of == seq);
        lines
            .map(|(_, lines)| lines.end.saturating_sub(lines.start))
            .sum()
    };
    let mut shown = Vec::new();
    for owed in &summary.owed_by {
        for receipt in house.state.receipts(&owed.output) {
            let events = of_batch(&receipt);
            if events > 0 {
                shown.push(ShownReceipt {
                    output: owed.output.clone(),
                    peer: receipt.peer,
                    ack_id: receipt.ack_id,
                    events,
                    at: receipt.at,
                });
            }
        }
    }
    shown
}
