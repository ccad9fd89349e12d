//! All that is told at one moment: the status, and what a person wants to see beside it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Admin;
use crate::observe::board::Figures;
use crate::observe::status::Status;
use crate::observe::troubles::{self, Trouble};
use crate::spool::LetterHead;
use crate::state::DiaryEntry;
use crate::state::day::begin_of_day;

/// Dead letters that are shown.
const NEWEST_LETTERS: usize = 10;
/// Records of the ledger that are shown.
const NEWEST_RECORDS: usize = 50;

/// What is told as JSON and on the page.
#[derive(Debug, Serialize)]
pub(super) struct View {
    #[serde(flatten)]
    pub(super) status: Status,
    pub(super) started_at: DateTime<Utc>,
    /// What is not well, the worst first.
    pub(super) troubles: Vec<Trouble>,
    pub(super) day: DayView,
    /// The last records of the ledger, newest first.
    pub(super) records: Vec<DiaryEntry>,
    /// The newest dead letters, newest first.
    pub(super) letters: Vec<LetterHead>,
    #[serde(skip)]
    pub(super) figures: Figures,
}

/// Events of the last day, by quarters of an hour, oldest first.
#[derive(Debug, Serialize)]
pub(super) struct DayView {
    /// When the first quarter begins.
    pub(super) begin: DateTime<Utc>,
    pub(super) fetched: Vec<u64>,
    /// By output.
    pub(super) delivered: BTreeMap<String, Vec<u64>>,
}

impl Admin {
    /// What is so now. Blocks while the disk works.
    pub(super) fn view(&self) -> View {
        let status = self.status();
        let figures = self.house.board.figures();
        let now = status.at;
        let delivered = status.outputs.iter().map(|output| {
            let own = figures.outputs.get(&output.name);
            let quarters = own.map_or_else(Vec::new, |own| own.delivered.quarters(now));
            (output.name.clone(), quarters)
        });
        let delivered = delivered.collect();
        let (fetched, records) = self.house.state.look_back(|diary| {
            let records = diary.newest().take(NEWEST_RECORDS).cloned();
            let fetched = diary.fetched().quarters(now);
            (fetched, records.collect())
        });
        View {
            troubles: troubles::find(&status),
            started_at: self.house.started_at,
            day: DayView {
                begin: begin_of_day(now),
                fetched,
                delivered,
            },
            records,
            letters: self.newest_letters(),
            figures,
            status,
        }
    }

    fn newest_letters(&self) -> Vec<LetterHead> {
        let newest = self.house.spool.dead_letters().newest(NEWEST_LETTERS);
        newest.unwrap_or_else(|error| {
            tracing::debug!(%error, "the newest dead letters cannot be read");
            Vec::new()
        })
    }
}
