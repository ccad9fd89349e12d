//! Which batches there are. No file of events is opened, and in the spool no file at all.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::{BatchSummary, OwedBy, SourceSummary};
use crate::delivery::Progress;
use crate::house::House;
use crate::spool::{BatchHead, Place};

/// The batches at a place, oldest first; in the spool those that are owed and not there as well.
#[must_use]
pub fn list(house: &House, place: Place) -> Vec<BatchSummary> {
    let numbers = numbers(house, place);
    let summaries = numbers
        .into_iter()
        .filter_map(|seq| summary(house, place, seq));
    summaries.collect()
}

/// The numbers of the batches at a place, oldest first; in the spool of those that are owed and not
/// there as well.
pub(super) fn numbers(house: &House, place: Place) -> Vec<u64> {
    match place {
        Place::Spool => {
            let mut numbers: BTreeSet<u64> = house.spool.numbers().into_iter().collect();
            house
                .state
                .look(|picture| numbers.extend(picture.batches.keys()));
            numbers.into_iter().collect()
        }
        Place::Archive => house.spool.archived(),
    }
}

/// A batch; none if it has left this place meanwhile.
fn summary(house: &House, place: Place, seq: u64) -> Option<BatchSummary> {
    if house.spool.place(seq) == Some(place) {
        return match house.head_at(place, seq) {
            Ok(head) => Some(summarize(house, place, &head)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(unreadable(seq, place, &error)),
        };
    }
    // It leaves the spool only when it is owed no more.
    let owed = (place == Place::Spool).then(|| house.state.owed(seq));
    let (batch, progress) = owed??;
    let owed_by = owed_by(batch.events, &progress);
    Some(BatchSummary {
        seq,
        place: None,
        source: None,
        events: batch.events,
        bytes: 0,
        owed_by,
        remark: Some("it is owed and not in the spool".to_owned()),
    })
}

pub(super) fn summarize(house: &House, place: Place, head: &BatchHead) -> BatchSummary {
    let seq = head.seq;
    let (is_recorded, owed) = (
        house.state.look(|picture| seq < picture.next_seq),
        house.state.owed(seq),
    );
    let remark = match (is_recorded, &owed) {
        (false, _) => Some("the ledger does not know of it yet"),
        (true, None) if place == Place::Spool => Some("nobody owes it any more"),
        _ => None,
    };
    BatchSummary {
        seq,
        place: Some(place),
        source: Some(SourceSummary::of(head, house.clock.now().utc)),
        events: head.events(),
        bytes: head.bytes(),
        owed_by: owed.map_or_else(Vec::new, |(batch, progress)| {
            owed_by(batch.events, &progress)
        }),
        remark: remark.map(str::to_owned),
    }
}

fn owed_by(events: u64, progress: &BTreeMap<String, Progress>) -> Vec<OwedBy> {
    let owed = progress.iter().map(|(output, progress)| {
        let pending = progress.finished(events).abandoned;
        OwedBy {
            output: output.clone(),
            done: events.saturating_sub(pending),
            pending,
        }
    });
    owed.collect()
}

fn unreadable(seq: u64, place: Place, error: &io::Error) -> BatchSummary {
    BatchSummary {
        seq,
        place: Some(place),
        source: None,
        events: 0,
        bytes: 0,
        owed_by: Vec::new(),
        remark: Some(format!("its head cannot be read: {error}")),
    }
}
