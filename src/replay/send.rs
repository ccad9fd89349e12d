//! One batch that goes out again.

use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{PlannedBatch, ReplayError};
use crate::batches::{Addition, add, no_batch};
use crate::delivery::Cursor;
use crate::event::Event;
use crate::flatten::{EventSink as _, FlatEvent};
use crate::house::House;
use crate::spool::{BatchHead, FileDamage, SpoolError, Staging};
use crate::state::{Copied, Origin};
use crate::taxii::response::ResponseSink as _;

/// Who asks the spool for room.
const BY_HAND: &str = "replay";
/// Of the room of the spool replays fill one part of so many: polls have the rest.
const PARTS: u64 = 2;
/// After so many events what was staged is handed to the compressor.
const PIECE_EVENTS: u64 = 5_000;

/// What came of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// The new batch; none if nothing could be read.
    pub seq: Option<u64>,
    /// Events in it.
    pub events: u64,
    /// What was left out of it, in words.
    pub left_out: Vec<String>,
}

/// Whether the spool has room for the copy of a batch without taking it from polls, or from the
/// archive that is read.
pub fn room(house: &House, batch: &PlannedBatch) -> Result<(), ReplayError> {
    let spool = &house.spool;
    let free = spool.spare_bytes()?;
    let (pending, share) = (spool.pending_bytes(), spool.max_bytes() / PARTS);
    if free > batch.bytes && (pending == 0 || pending.saturating_add(batch.bytes) <= share) {
        return Ok(());
    }
    Err(ReplayError::NoRoom {
        seq: batch.seq,
        bytes: batch.bytes,
        pending,
        share,
        free,
    })
}

/// Sends a batch again to an output. What of it is damaged is left out and named; `anew` are the batches
/// of which the output has no copy any more, once this one is there. Blocks while the disk works.
pub fn send(
    house: &House,
    batch: &PlannedBatch,
    to: &str,
    anew: &Cursor,
) -> Result<Replayed, ReplayError> {
    let Some(place) = house.spool.place(batch.seq) else {
        return Ok(Replayed::nothing(no_batch(house, batch.seq).to_string()));
    };
    let head = match house.head_at(place, batch.seq) {
        Ok(head) => head,
        Err(error) => return Ok(Replayed::nothing(format!("its head: {error}"))),
    };
    let mut staging = house.spool.stage(BY_HAND)?;
    let mut replayed = Replayed::default();
    stage(house, &head, &mut staging, &mut replayed)?;
    replayed.events = staging.events();
    if replayed.events == 0 {
        return Ok(replayed);
    }
    let addition = Addition {
        key: head.key(),
        origin: Origin::Replay,
        outputs: vec![to.to_owned()],
        window_end: head.window_end,
        copies: Some(Copied {
            seq: batch.original,
            anew: anew.clone(),
        }),
    };
    replayed.seq = Some(add(house, staging, addition)?);
    Ok(replayed)
}

/// Copies what can be read, file by file: each is whole before any of its lines comes.
fn stage(
    house: &House,
    head: &Arc<BatchHead>,
    staging: &mut Staging,
    replayed: &mut Replayed,
) -> Result<(), ReplayError> {
    for (first, file) in head.places() {
        let copied = copy_file(house, head, first, &file.name, staging);
        if let Err(error) = copied {
            match error {
                Copying::Read(why) => replayed
                    .left_out
                    .push(format!("{} ({} events): {why}", file.name, file.events)),
                Copying::Write(error) => {
                    return Err(SpoolError::staging(error, staging.folder()).into());
                }
            }
        }
    }
    Ok(())
}

/// A file was not copied.
enum Copying {
    /// It cannot be read, or not any more.
    Read(String),
    /// What was read cannot be staged.
    Write(io::Error),
}

fn copy_file(
    house: &House,
    head: &BatchHead,
    first: u64,
    name: &str,
    staging: &mut Staging,
) -> Result<(), Copying> {
    // It may go from the spool to the archive between the two.
    let place = house.spool.place(head.seq);
    let place = place.ok_or_else(|| Copying::Read("it is not kept any more".to_owned()))?;
    let others = |of: &str| of != name;
    let mut lines = house.spool.read_at(place, head, first, others);
    let mut count = 0;
    loop {
        let line = lines.next_line().map_err(|error| read_error(&error))?;
        let Some((_, json)) = line else {
            return staging.block_read().map_err(Copying::Write);
        };
        copy_event(json, head.window_end, staging)?;
        count += 1;
        if count % PIECE_EVENTS == 0 {
            staging.block_read().map_err(Copying::Write)?;
        }
    }
}

fn copy_event(
    json: String,
    window_end: DateTime<Utc>,
    staging: &mut Staging,
) -> Result<(), Copying> {
    let event = Event::parse(json, window_end);
    let event = event.map_err(|error| Copying::Read(error.to_string()))?;
    let flat = FlatEvent {
        id: event.id,
        record_type: event.record_type,
        json: event.json.as_bytes(),
    };
    staging.event(flat).map_err(Copying::Write)
}

fn read_error(error: &io::Error) -> Copying {
    Copying::Read(match FileDamage::of(error) {
        Some(damage) => damage.to_string(),
        None => error.to_string(),
    })
}

impl Replayed {
    fn nothing(why: String) -> Self {
        Self {
            left_out: vec![why],
            ..Self::default()
        }
    }
}
