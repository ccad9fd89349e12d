//! The events of a batch, for a person or a script.

use serde::{Deserialize, Serialize};

use super::show::inspect;
use super::{BatchesError, no_batch};
use crate::delivery::Cursor;
use crate::house::House;
use crate::repair::{self, FileState};
use crate::spool::{BatchHead, InspectedBatch, Salvage};

/// Which events of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportChoice {
    /// Only those that this output still owes.
    #[serde(default)]
    pub pending: Option<String>,
    /// What can be read of a damaged batch as well.
    #[serde(default)]
    pub damaged: bool,
}

/// The events of a batch, one after the other.
#[derive(Debug)]
pub struct Export {
    events: Salvage,
    /// These are left out.
    finished: Cursor,
    damage: Option<String>,
    count: u64,
}

/// Begins to read the events of a batch, in the spool or in the archive. Blocks while the disk
/// works: the batch is read to its end first, so that nothing of a damaged one is taken for whole.
pub fn export(house: &House, seq: u64, choice: &ExportChoice) -> Result<Export, BatchesError> {
    let (_, head, found) = inspect(house, seq)?;
    let damage = damage(house, &head, found);
    if let Some(damage) = damage.clone().filter(|_| !choice.damaged) {
        return Err(BatchesError::Damaged { seq, damage });
    }
    let finished = match &choice.pending {
        Some(output) => finished(house, seq, output)?,
        None => Cursor::new(),
    };
    Ok(Export {
        events: house.spool.salvage(&head),
        finished,
        damage,
        count: 0,
    })
}

/// The lines that the output has done with.
fn finished(house: &House, seq: u64, output: &str) -> Result<Cursor, BatchesError> {
    let mut progress = match house.state.owed(seq) {
        Some((_, progress)) => progress,
        None if house.spool.place(seq).is_none() => return Err(no_batch(house, seq)),
        None => std::collections::BTreeMap::new(),
    };
    match progress.remove(output) {
        Some(progress) => Ok(progress.cursor),
        None => Err(BatchesError::NotOwed {
            seq,
            output: output.to_owned(),
            owed_by: progress.into_keys().collect(),
        }),
    }
}

/// What is wrong with the files of a batch.
fn damage(house: &House, head: &BatchHead, found: InspectedBatch) -> Option<String> {
    let files = repair::checked(house, head, found).files.into_iter();
    let damaged = files.filter_map(|file| {
        let what = match file.state {
            FileState::Whole => return None,
            FileState::Damaged(what) => what,
            FileState::BeingRepaired => {
                "it was set aside, and its window is polled again".to_owned()
            }
            FileState::Settled => "it was set aside, and nobody waits for it".to_owned(),
        };
        Some(format!("{}: {what}", file.name))
    });
    let damaged: Vec<String> = damaged.collect();
    (!damaged.is_empty()).then(|| damaged.join("; "))
}

impl Export {
    /// The next event. Blocks while the disk works.
    pub fn next_event(&mut self) -> Option<String> {
        loop {
            let (line, json) = self.events.next_event()?;
            if !self.finished.is_finished(line) {
                self.count += 1;
                return Some(json);
            }
        }
    }

    /// What is to be said when all have come.
    pub fn end(&self) -> Result<String, String> {
        let events = match self.count {
            1 => "1 event".to_owned(),
            more => format!("{more} events"),
        };
        let losses = self.events.losses();
        match (&self.damage, losses) {
            (None, []) => Ok(events),
            // It was whole a moment ago.
            (None, losses) => Err(format!("only {events} can be read: {}", losses.join("; "))),
            (Some(damage), []) => Ok(format!(
                "{events}, of which some may not be what they were ({damage})"
            )),
            (Some(damage), losses) => Ok(format!(
                "{events}, of which some may not be what they were ({damage}); lost: {}",
                losses.join("; ")
            )),
        }
    }
}
