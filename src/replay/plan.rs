//! Which batches are meant, and what a replay of them would send.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::copies::Copies;
use super::{Choice, ReplayError};
use crate::batches::no_batch;
use crate::config::{OutputConfig, find_output};
use crate::delivery::Cursor;
use crate::house::House;
use crate::roster;
use crate::spool::BatchHead;
use crate::state::ledger::HistoryLine;
use crate::state::{CollectionKey, Picture, Record};
use crate::taxii::Timestamp;

/// The batches that go out, oldest first, and what does not.
#[derive(Debug, Default)]
pub struct Planned {
    /// What goes out.
    pub batches: Vec<PlannedBatch>,
    /// What a person is told of it.
    pub plan: Plan,
}

/// A batch that goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedBatch {
    /// Its number.
    pub seq: u64,
    /// The number of what it is a copy of itself, or its own.
    pub original: u64,
    /// Its events.
    pub events: u64,
    /// Bytes of them on disk.
    pub bytes: u64,
}

/// What a replay would send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// By collection.
    pub collections: Vec<PlannedCollection>,
    /// Batches.
    pub batches: u64,
    /// Their events.
    pub events: u64,
    /// Bytes of them on disk.
    pub bytes: u64,
    /// Batches with this number or a higher one are not meant.
    pub below: u64,
    /// Batches that are left out since the output still owes them: they go there anyway.
    pub still_owed: Vec<u64>,
    /// Batches that are left out since the output got them by an earlier replay.
    #[serde(default)]
    pub replayed: Vec<u64>,
    /// What is left out since the output does not take it.
    #[serde(default)]
    pub not_taken: Vec<NotTaken>,
    /// Batches that are left out since their head cannot be read, each with the reason.
    pub unreadable: Vec<String>,
}

/// What goes out of one collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCollection {
    /// The configured name of the service.
    pub service: String,
    /// The collection.
    pub collection: String,
    /// Batches.
    pub batches: u64,
    /// Their events.
    pub events: u64,
    /// Bytes of them on disk.
    pub bytes: u64,
    /// Where the first window begins; none is open.
    pub begin: Option<DateTime<Utc>>,
    /// Where the last one ends.
    pub end: DateTime<Utc>,
}

/// Batches of a collection that the output does not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotTaken {
    /// The configured name of the service.
    pub service: String,
    /// The collection.
    pub collection: String,
    /// Batches.
    pub batches: u64,
}

/// From when to when the events of a batch are, as far as it says.
struct Span {
    begin: Option<DateTime<Utc>>,
    end: DateTime<Utc>,
}

/// Finds them. Reads heads alone; blocks while the disk works.
pub fn plan(house: &House, choice: &Choice) -> Result<Planned, ReplayError> {
    let outputs = house.outputs.now();
    let output = find_output(&outputs, &choice.to)?;
    let owed_at_first = roster::owed_at_first(house, output).unwrap_or_default();
    let copies = earlier_copies(house, choice)?;
    let below = choice.below.unwrap_or_else(|| house.spool.unused_seq());
    let mut planned = Planned::default();
    planned.plan.below = below;
    let mut by_collection: BTreeMap<CollectionKey, PlannedCollection> = BTreeMap::new();
    let mut not_taken: BTreeMap<CollectionKey, u64> = BTreeMap::new();
    let mut originals = BTreeSet::new();
    for seq in numbers(house, choice)?
        .into_iter()
        .filter(|seq| *seq < below)
    {
        let Some(place) = house.spool.place(seq) else {
            continue;
        };
        let head = match house.head_at(place, seq) {
            Ok(head) => head,
            // It has gone meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                planned
                    .plan
                    .unreadable
                    .push(format!("batch {seq}: {error}"));
                continue;
            }
        };
        if !choice.admits(&head) {
            continue;
        }
        let owes = |picture: &Picture| picture.owes(&choice.to, seq);
        if house.state.look(owes) || owed_at_first.contains(&seq) {
            planned.plan.still_owed.push(seq);
        } else if !output.takes(&head.collection) {
            *not_taken.entry(head.key()).or_default() += 1;
        } else if copies.has(head.original()) || !originals.insert(head.original()) {
            planned.plan.replayed.push(seq);
        } else {
            planned.add(&head, &mut by_collection);
        }
    }
    let plan = &mut planned.plan;
    plan.collections = by_collection.into_values().collect();
    // Part of what is named, or nothing at all, is not what was meant.
    let is_empty = plan.batches == 0 && plan.still_owed.is_empty() && plan.replayed.is_empty();
    if !not_taken.is_empty() && (is_empty || !choice.batches.is_empty()) {
        return Err(refusal(output, &not_taken));
    }
    let not_taken = not_taken.into_iter().map(|(key, batches)| NotTaken {
        service: key.service,
        collection: key.collection,
        batches,
    });
    plan.not_taken = not_taken.collect();
    Ok(planned)
}

fn refusal(output: &OutputConfig, not_taken: &BTreeMap<CollectionKey, u64>) -> ReplayError {
    let keys: Vec<String> = not_taken.keys().map(ToString::to_string).collect();
    ReplayError::NotTaken {
        output: output.name.clone(),
        what: keys.join(", "),
    }
}

/// What the output got by earlier replays, as far back as the ledger is kept; nothing where it gets
/// everything again.
fn earlier_copies<'a>(house: &House, choice: &'a Choice) -> Result<Copies<'a>, ReplayError> {
    let mut copies = Copies::at(&choice.to);
    if choice.again {
        return Ok(copies);
    }
    let read = house.state.history(|line| {
        if let HistoryLine::Record { record, .. } = line {
            copies.take_in(&record);
        }
    });
    read.map_err(ReplayError::Ledger)?;
    Ok(copies)
}

/// The numbers that are named, or all, oldest first.
fn numbers(house: &House, choice: &Choice) -> Result<Vec<u64>, ReplayError> {
    let mut numbers = choice.batches.clone();
    for seq in &numbers {
        if house.spool.place(*seq).is_none() {
            return Err(no_batch(house, *seq).into());
        }
    }
    if numbers.is_empty() {
        numbers = house.spool.archived();
        if choice.with_spool {
            numbers.extend(house.spool.numbers());
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

impl Choice {
    fn admits(&self, head: &BatchHead) -> bool {
        let is = |wanted: &Option<String>, found: &String| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        let span = Span::of(head);
        // What a replay has sent is in the archive under its first number.
        (!self.batches.is_empty() || !head.is_copy())
            && is(&self.service, &head.service)
            && is(&self.collection, &head.collection)
            && self.begin.is_none_or(|begin| span.end >= begin)
            && self
                .end
                .is_none_or(|end| span.begin.is_none_or(|begin| begin < end))
    }
}

impl Span {
    fn of(head: &BatchHead) -> Self {
        let window = match &head.record {
            Record::Polled { window, .. } => Some(window),
            Record::BatchAdded { window, .. } => window.as_ref(),
            _ => None,
        };
        match window {
            Some(window) => Self {
                begin: window.exclusive_begin.as_ref().map(Timestamp::time),
                end: head.window_end,
            },
            None => Self {
                begin: Some(head.staged_at),
                end: head.staged_at,
            },
        }
    }
}

impl Planned {
    /// The originals of all that goes out: the first copy of a replay that sends again what the output
    /// has says so of all of them, and the replay can be interrupted like any other.
    #[must_use]
    pub fn originals(&self) -> Cursor {
        let mut originals = Cursor::new();
        for batch in &self.batches {
            originals.finish(batch.original..batch.original + 1);
        }
        originals
    }

    fn add(
        &mut self,
        head: &BatchHead,
        by_collection: &mut BTreeMap<CollectionKey, PlannedCollection>,
    ) {
        let (events, bytes, span) = (head.events(), head.bytes(), Span::of(head));
        self.batches.push(PlannedBatch {
            seq: head.seq,
            original: head.original(),
            events,
            bytes,
        });
        self.plan.batches += 1;
        self.plan.events += events;
        self.plan.bytes += bytes;
        let of = by_collection
            .entry(head.key())
            .or_insert_with(|| PlannedCollection {
                service: head.service.clone(),
                collection: head.collection.clone(),
                batches: 0,
                events: 0,
                bytes: 0,
                begin: span.begin,
                end: span.end,
            });
        of.batches += 1;
        of.events += events;
        of.bytes += bytes;
        of.begin = of.begin.min(span.begin);
        of.end = of.end.max(span.end);
    }
}
