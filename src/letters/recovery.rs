//! What a start makes of the dead letters that it finds.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::choice::each;
use super::{LettersError, clear, damage, place};
use crate::crash::{self, Point};
use crate::house::House;
use crate::spool::About;
use crate::state::{EventPlace, Picture, Record, WorkChanges};

/// Clears away what a stop has left of letters that are gone, sets damage aside, and lets cursors catch
/// up with letters that are there: a letter is durable before its output's cursor.
pub fn recover(house: &House) -> Result<(), LettersError> {
    if let Err(error) = clear(house) {
        // As far as the ledger goes they are gone.
        tracing::warn!(%error, "dead letters that are gone cannot be cleared away yet");
    }
    damage::recover(house)?;
    for ((output, seq), lines) in behind(house, |_| true)? {
        catch_up(house, &output, seq, &lines)?;
    }
    damage::count_again(house)
}

/// Lets the cursors of one output that has just been added catch up with its letters. Nobody delivers
/// for it yet, and nobody else decides about letters.
pub fn catch_up_with(house: &House, output: &str) -> Result<(), LettersError> {
    let is_its_own = |place: &EventPlace| place.output == output;
    for ((output, seq), lines) in behind(house, is_its_own)? {
        catch_up(house, &output, seq, &lines)?;
    }
    Ok(())
}

/// The lines of owed events whose letters are there or dealt with.
fn behind(
    house: &House,
    is_wanted: impl Fn(&EventPlace) -> bool,
) -> Result<BTreeMap<(String, u64), BTreeSet<u64>>, LettersError> {
    let mut behind: BTreeMap<(String, u64), BTreeSet<u64>> = BTreeMap::new();
    let mut note = |place: EventPlace| {
        let events = owed_events(house, &place);
        if is_wanted(&place) && events.is_some_and(|events| place.line < events) {
            let lines = behind.entry((place.output, place.seq)).or_default();
            lines.insert(place.line);
        }
    };
    each(house, |letter, _| {
        if let Some(place) = place(&letter).filter(|place| is_of_batch(house, place.seq, letter.at))
        {
            note(place);
        }
    })?;
    for place in house.state.look(removed_lines) {
        note(place);
    }
    Ok(behind)
}

/// Whether a letter that was set aside then can be of the batch that has this number now. One from
/// before it was staged has come from elsewhere, say with a backup, and its event is another.
fn is_of_batch(house: &House, seq: u64, at: DateTime<Utc>) -> bool {
    let batch = house.spool.in_place(seq);
    batch.is_none_or(|batch| batch.staged_at <= at)
}

/// How many letters there are of each output, those of batches left out that it still owes.
pub fn count_settled(house: &House) -> Result<BTreeMap<String, u64>, LettersError> {
    count(house, |event| owed_events(house, event).is_some())
}

/// How many letters there are of an output from when it was configured before, those of the batches
/// left out that it will owe.
pub fn count_earlier(house: &House, output: &str, owes: &[u64]) -> Result<u64, LettersError> {
    let counts = count(house, |event| owes.contains(&event.seq))?;
    Ok(counts.get(output).copied().unwrap_or(0))
}

/// How many letters there are of content blocks.
pub fn count_blocks(house: &House) -> Result<u64, LettersError> {
    let mut blocks = 0;
    each(house, |letter, _| {
        blocks += u64::from(matches!(letter.about, About::Block { .. }));
    })?;
    Ok(blocks)
}

fn count(
    house: &House,
    is_owed: impl Fn(&EventPlace) -> bool,
) -> Result<BTreeMap<String, u64>, LettersError> {
    let mut events = BTreeSet::new();
    each(house, |letter, _| {
        events.extend(place(&letter).filter(|event| !is_owed(event)));
    })?;
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(event.output).or_insert(0) += 1;
    }
    Ok(counts)
}

/// The events of the batch of such an event, if its output still owes that.
fn owed_events(house: &House, event: &EventPlace) -> Option<u64> {
    house.state.look(|picture| {
        let batch = picture.batches.get(&event.seq)?;
        batch
            .outputs
            .contains(&event.output)
            .then_some(batch.events)
    })
}

/// Events of batches that are owed, whose letters a person has dealt with already.
fn removed_lines(picture: &Picture) -> Vec<EventPlace> {
    let mut places = Vec::new();
    for (seq, batch) in picture.batches.unusual_batches() {
        for (output, removed) in &batch.removed {
            let lines = removed.dropped.lines().chain(removed.retried.lines());
            places.extend(lines.map(|line| EventPlace {
                output: output.clone(),
                seq,
                line,
            }));
        }
    }
    places
}

fn catch_up(
    house: &House,
    output: &str,
    seq: u64,
    lines: &BTreeSet<u64>,
) -> Result<(), LettersError> {
    let state = &house.state;
    let before = state.progress(output, seq);
    let mut progress = before.clone();
    for line in lines {
        if !progress.cursor.is_finished(*line) {
            progress.set_aside(*line);
        }
    }
    // Where the disk refused a letter and yet kept it, its event may have been delivered after that.
    progress.dead_letters = progress.dead_letters.max(lines.len() as u64);
    if progress == before {
        return Ok(());
    }
    let events = state.look(|picture| picture.batches.get(&seq).map_or(0, |batch| batch.events));
    if !progress.is_complete(events) {
        // Where the store cannot be written, the event is sent again as if there were no letter.
        let changes = WorkChanges {
            progress: vec![(seq, progress)],
            ..WorkChanges::default()
        };
        if let Err(error) = state.keep_work(output, &changes) {
            tracing::warn!(%error, output, seq, "a cursor cannot catch up with its dead letters");
        }
        crash::point(Point::CursorCaughtUp);
        return Ok(());
    }
    let now = house.clock.now().utc;
    let record = Record::OutputFinished {
        output: output.to_owned(),
        seq,
        finished: progress.finished(events),
    };
    state.append(now, &record)?;
    house.put_away(seq, now);
    Ok(())
}
