//! The dead letters that are there, counted as the ledger counts them.

use std::collections::{BTreeMap, BTreeSet};

use super::{LettersError, each, place};
use crate::delivery::Progress;
use crate::house::House;
use crate::spool::LetterHead;
use crate::state::Picture;

/// The dead letters that are there.
#[derive(Debug, Default)]
pub struct FoundLetters {
    /// The lines of batches, by batch and output. Several letters for one event count once.
    lines: BTreeMap<(u64, String), BTreeSet<u64>>,
    /// Those of content blocks.
    pub blocks: Vec<LetterHead>,
    /// Lines that cannot be read.
    pub damaged: u64,
}

impl FoundLetters {
    /// Reads all of them. Blocks while the disk works.
    pub fn read(house: &House) -> Result<Self, LettersError> {
        let mut found = Self::default();
        found.damaged = each(house, |letter, _| match place(&letter) {
            Some(place) => {
                let lines = found.lines.entry((place.seq, place.output)).or_default();
                lines.insert(place.line);
            }
            None => found.blocks.push(letter),
        })?;
        Ok(found)
    }

    /// Those of a batch that an output owes. A letter is there before its cursor knows of it.
    #[must_use]
    pub fn of_owed(&self, seq: u64, output: &str, progress: &Progress) -> u64 {
        let lines = self.lines.get(&(seq, output.to_owned()));
        let counts = |line: &&u64| progress.cursor.is_finished(**line);
        lines.map_or(0, |lines| lines.iter().filter(counts).count() as u64)
    }

    /// Those of the batches that an output has done with, among those before `next_seq`: letters are
    /// read a little later than the picture.
    #[must_use]
    pub fn of_finished(&self, output: &str, picture: &Picture, next_seq: u64) -> u64 {
        let counts = |seq| seq < next_seq && !picture.owes(output, seq);
        let lines = self
            .lines
            .iter()
            .filter(|((seq, of), _)| of == output && counts(*seq));
        lines.map(|(_, lines)| lines.len() as u64).sum()
    }
}
