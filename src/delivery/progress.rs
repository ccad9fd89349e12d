//! How far an output is in a batch, and what became of the events so far.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Cursor;
use crate::state::Finished;

/// What is kept of an output's work on a batch that it has not done with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The lines that need no more work.
    pub cursor: Cursor,
    /// How many of those are dead letters.
    pub dead_letters: u64,
}

impl Progress {
    /// Events have been delivered.
    pub fn delivered(&mut self, lines: Range<u64>) {
        self.cursor.finish(lines);
    }

    /// An event has been set aside.
    pub fn set_aside(&mut self, line: u64) {
        if self.cursor.is_finished(line) {
            return;
        }
        self.cursor.finish(line..line + 1);
        self.dead_letters += 1;
    }

    /// Whether all of a batch's events need no more work.
    #[must_use]
    pub fn is_complete(&self, events: u64) -> bool {
        self.cursor.low() >= events
    }

    /// What became of a batch of `events`: those that are not finished are given up.
    #[must_use]
    pub fn finished(&self, events: u64) -> Finished {
        let finished = self.cursor.count_finished();
        Finished {
            delivered: finished.saturating_sub(self.dead_letters),
            dead_letters: self.dead_letters,
            abandoned: events.saturating_sub(finished),
            ..Finished::default()
        }
    }
}
