//! What a person decides about dead letters: to look at them, to send them again, to drop them.
//!
//! A decision is a ledger record, and only then a tombstone beside the letter: whatever comes
//! between the two, the letter is gone as far as the ledger goes, and the next start or the next
//! decision clears it away. Until there is a record, the letter is there.

mod choice;
mod damage;
mod found;
mod recovery;
mod retry;
mod view;

use std::collections::BTreeSet;
use std::io;

use crate::crash::{self, Point};
use crate::house::House;
use crate::roster::NotThere;
use crate::spool::{About, KeepLetterError, LetterHead, SpoolError};
use crate::state::ledger::AppendError;
use crate::state::{EventPlace, Record, Removal, RemovedLetter};
use crate::taxii::response::ReadResponseError;
pub use choice::{Choice, MAX_IDS, each};
pub use damage::mend;
pub use found::FoundLetters;
pub use recovery::{catch_up_with, count_blocks, count_earlier, count_settled, recover};
pub use retry::{Retried, retry};
pub use view::{export, list};

/// Letters of one record; more are dealt with in several.
const MAX_LETTERS_AT_ONCE: usize = 10_000;

/// What was decided about dead letters cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum LettersError {
    /// There is no such letter.
    #[error(
        "there is no dead letter whose id begins with {id:?}: see `cta-forwarder dead-letters list`"
    )]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// There are several.
    #[error(
        "{count} dead letters have an id that begins with {id:?}: write more of it ({some}, …)"
    )]
    Ambiguous {
        /// What was asked for.
        id: String,
        /// How many there are.
        count: usize,
        /// The first of them.
        some: String,
    },
    /// The output is not configured.
    #[error(
        "there is no output {name:?} in the configuration: name another with --to; there are: {known}"
    )]
    UnknownOutput {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Letters are of an output that is not configured, and nobody has said where to send them.
    #[error(
        "there are dead letters of the output {name:?}, which is no longer configured: send them \
         elsewhere with `cta-forwarder dead-letters retry --all --output {name} --to OUTPUT`, and \
         the others of each output with --output; there are: {known}"
    )]
    OutputGone {
        /// The output that they are of.
        name: String,
        /// What there is.
        known: String,
    },
    /// Nobody knows the output whose letters are meant.
    #[error(
        "there is no output {name:?}, neither configured nor known from before; there are: {known}"
    )]
    NoSuchOutput {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No output wants what a block holds.
    #[error("no output takes the collection {collection:?}: name one with --to")]
    NoTaker {
        /// The collection.
        collection: String,
    },
    /// What a letter holds cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The letters cannot be read or written.
    #[error("the dead letters cannot be read: {0}; mend the disk")]
    Io(#[from] io::Error),
    /// A tombstone cannot be written.
    #[error(transparent)]
    Remove(#[from] KeepLetterError),
    /// The spool cannot take the batch.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The ledger cannot be told.
    #[error(transparent)]
    Ledger(#[from] AppendError),
    /// An output that was to have them is gone.
    #[error(transparent)]
    NotThere(#[from] NotThere),
}

impl From<ReadResponseError> for LettersError {
    fn from(error: ReadResponseError) -> Self {
        match error {
            ReadResponseError::Keep(error) => Self::Io(error),
            error => Self::Unreadable(error.to_string()),
        }
    }
}

/// What was dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Letters that are gone.
    pub dropped: usize,
    /// Those of them that were not named, and are for the same events as others that were.
    pub along: usize,
}

/// Gives letters up. Blocks while the disk works.
pub fn drop(house: &House, choice: &Choice) -> Result<Dropped, LettersError> {
    let _deciding = house.spool.dead_letters().decide();
    clear(house)?;
    let (letters, along) = choice.find_and_count(house)?;
    for some in letters.chunks(MAX_LETTERS_AT_ONCE) {
        let record = Record::LettersRemoved {
            why: Removal::Dropped,
            letters: removed(some),
        };
        house.state.append(house.clock.now().utc, &record)?;
        crash::point(Point::DropRecorded);
        clear(house)?;
    }
    Ok(Dropped {
        dropped: letters.len(),
        along,
    })
}

/// Removes from the disk what the ledger says is gone.
fn clear(house: &House) -> Result<(), LettersError> {
    let removing = house.state.look(|picture| picture.removing.clone());
    if removing.is_empty() {
        return Ok(());
    }
    let now = house.clock.now().utc;
    house.spool.dead_letters().remove(now, &removing)?;
    house.state.append(now, &Record::LettersCleared)?;
    crash::point(Point::ClearedRecorded);
    Ok(())
}

/// What the ledger is told of letters. Of several letters for one event it counts one.
fn removed(letters: &[LetterHead]) -> Vec<RemovedLetter> {
    let mut counted = BTreeSet::new();
    let letters = letters.iter().map(|letter| RemovedLetter {
        id: letter.id.clone(),
        event: place(letter).filter(|place| counted.insert(place.clone())),
        is_block: matches!(letter.about, About::Block { .. }),
    });
    letters.collect()
}

/// The event that a letter is; none of a content block.
#[must_use]
pub fn place(letter: &LetterHead) -> Option<EventPlace> {
    match &letter.about {
        About::Event {
            output, seq, line, ..
        } => Some(EventPlace {
            output: output.clone(),
            seq: *seq,
            line: *line,
        }),
        About::Block { .. } => None,
    }
}

#[cfg(test)]
mod tests;
