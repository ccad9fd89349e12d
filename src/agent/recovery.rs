//! What a start makes of what it finds: the state is brought to the ledger's last word.

use std::sync::{Arc, MutexGuard};

use chrono::{DateTime, Utc};

use super::StartError;
use crate::clock::Clock;
use crate::config::{Config, OutputConfig, ServiceConfig};
use crate::crash::{self, Point};
use crate::house::{DiskTurns, House, Outputs};
use crate::letters;
use crate::observe::board::Board;
use crate::poller;
use crate::repair;
use crate::roster;
use crate::spool::Spool;
use crate::state::{CollectionKey, Record, State, StateLock};
use crate::storage::Storage;
use crate::taxii::Timestamp;

pub(super) fn take_house(
    config: &Config,
    clock: Arc<dyn Clock>,
    storage: &Storage,
) -> Result<(StateLock, House), StartError> {
    let lock = StateLock::take(&config.state.directory)?;
    crash::point(Point::LockTaken);
    Ok((lock, open_house(config, clock, storage)?))
}

/// The same for who has the lock, or looks at what nobody has.
pub(super) fn open_house(
    config: &Config,
    clock: Arc<dyn Clock>,
    storage: &Storage,
) -> Result<House, StartError> {
    let now = clock.now().utc;
    let state = Arc::new(State::open(storage, &config.state.directory, now)?);
    crash::point(Point::StateOpened);
    let owed = |seq| state.look(|picture| picture.batches.get(&seq).cloned());
    let spool = Arc::new(Spool::open(
        &storage.disk,
        &config.state,
        owed,
        &compared(&config.services),
    )?);
    let house = House {
        clock,
        started_at: now,
        state,
        spool,
        board: Arc::new(Board::default()),
        watchdog: Arc::default(),
        outputs: Arc::new(Outputs::new(config.outputs.clone())),
        disk_turns: DiskTurns::default(),
    };
    recover(&house, &config.services)?;
    Ok(house)
}

/// Batches that were put in place without a record get it, those that nobody owes go.
fn recover(house: &House, services: &[ServiceConfig]) -> Result<(), StartError> {
    let now = house.clock.now().utc;
    let next_seq = house.state.look(|picture| picture.next_seq);
    // Whoever went there had its record: it is the ledger's end that is lost.
    if house.spool.last_gone() >= next_seq {
        house.state.append(now, &Record::Doubted)?;
    }
    let is_doubtful = house.state.look(|picture| picture.is_doubtful);
    let may_be_unknown =
        |seq| seq >= next_seq || is_doubtful && house.state.may_lack_records_of(seq);
    let mut delivered = Vec::new();
    if is_doubtful {
        delivered = house.spool.newest_archived(may_be_unknown);
    }
    let mut delivered = delivered.into_iter().peekable();
    // Of what is owed nothing is to be done, and thousands may be.
    let mut numbers = house.spool.numbers();
    house
        .state
        .look(|picture| numbers.retain(|seq| !picture.batches.contains_key(seq)));
    for seq in numbers {
        while let Some(delivered) = delivered.next_if(|delivered| delivered.seq < seq) {
            take_checkpoint(house, delivered.told(), now)?;
        }
        if seq >= next_seq {
            let head = house.spool.head(seq)?;
            tracing::info!(
                seq,
                collection = head.collection,
                "a batch was in place without a record; it gets one"
            );
            house.state.append(now, &head.told())?;
            crash::point(Point::BatchRecorded);
        } else if may_be_unknown(seq) {
            let head = house.spool.head(seq)?;
            house.state.append(now, &owed_again(house, head.told()))?;
        }
        if house.put_away(seq, now) {
            crash::point(Point::BatchArchived);
        }
    }
    for delivered in delivered {
        take_checkpoint(house, delivered.told(), now)?;
    }
    house
        .spool
        .begin_at(house.state.look(|picture| picture.next_seq));
    repair::recover(house)?;
    letters::recover(house)?;
    repair::finish_archived(house)?;
    crash::point(Point::LettersRecovered);
    if is_doubtful {
        tracing::error!(
            "records are missing from the ledger: whatever lies in the spool is sent again, windows \
             may be fetched again, and all gates stay closed for one interval. Look at the disk"
        );
        let gates = services.iter().flat_map(poller::gates);
        let gates = gates.map(|(gate, _)| gate).collect();
        let recovered = Record::Recovered {
            next_seq: house.spool.unused_seq(),
            gates,
            letters: letters::count_settled(house)?,
            blocks: letters::count_blocks(house)?,
        };
        house.state.append(now, &recovered)?;
        crash::point(Point::RecoveredRecorded);
    }
    Ok(())
}

/// What a collection brought is compared no more where it left the configuration, or its deduplicate.
pub(super) fn forget_idle_sets(house: &House, services: &[ServiceConfig]) {
    match house.spool.keep_sets_of(&compared(services)) {
        Ok(0) => {}
        Ok(count) => tracing::info!(
            count,
            "sets of what polls brought are removed, of collections that are not configured or not \
             deduplicated any more"
        ),
        Err(error) => {
            tracing::warn!(%error, "sets that nobody needs stay; the next start tries again");
        }
    }
}

/// The collections of which a poll is compared with the one before.
fn compared(services: &[ServiceConfig]) -> Vec<CollectionKey> {
    let compared = services.iter().flat_map(|service| {
        let collections = service.collections.iter();
        collections
            .filter(|name| service.deduplicates(name))
            .map(|name| CollectionKey {
                service: service.name.clone(),
                collection: name.clone(),
            })
    });
    compared.collect()
}

/// The record of a batch of which the ledger does not say for certain that it was delivered: it is
/// owed, and the checkpoint never goes back.
fn owed_again(house: &House, mut record: Record) -> Record {
    match &mut record {
        Record::Polled {
            key,
            checkpoint,
            gap,
            clock_offset_ms,
            ..
        } => {
            (*gap, *clock_offset_ms) = (None, None);
            let known = house.state.look(|picture| {
                let known = picture.collection(key);
                known.and_then(|known| known.checkpoint.as_ref().map(Timestamp::time))
            });
            let is_later = |end: &Timestamp| known.is_none_or(|known| end.time() > known);
            *checkpoint = checkpoint.take().filter(is_later);
        }
        Record::BatchAdded { letters, .. } => letters.clear(),
        _ => {}
    }
    record
}

/// A checkpoint that was reached cannot be wrong: its batch was here, and is delivered.
fn take_checkpoint(house: &House, record: Record, now: DateTime<Utc>) -> Result<(), StartError> {
    let mut record = owed_again(house, record);
    if let Record::Polled {
        key,
        checkpoint: Some(checkpoint),
        outputs,
        ..
    } = &mut record
    {
        tracing::info!(%key, %checkpoint, "the checkpoint is taken from a batch in the archive");
        outputs.clear();
        house.state.append(now, &record)?;
    }
    Ok(())
}

/// Outputs that the state does not know join. Whoever has the commit's turn decides about letters too,
/// and did so before: an audit takes both, in that order.
pub(super) fn add_new_outputs(
    house: &House,
    outputs: &[OutputConfig],
    deciding: &MutexGuard<'_, ()>,
) -> Result<(), StartError> {
    for output in outputs {
        roster::join(house, output, deciding)?;
    }
    Ok(())
}
