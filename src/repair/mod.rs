//! Damage to the spool: how it is noticed, what it costs, and how it is mended.
//!
//! The design, in the order in which things happen:
//!
//! 1. *Noticing.* A file of events is read whole and its lines are compared with the CRC in
//!    `batch.json` before any of them is handed out: nothing is delivered altered. `batch.json` has
//!    a CRC of its own. A start reads neither of what the ledger says is owed, so that it hardly
//!    costs more the more waits; files are checked when they are read, and by [`check`].
//! 2. *The head.* The ledger knows what a batch is made of, so nobody needs the head of one that is
//!    owed; one that is damaged or gone is written again ([`check_heads`]), for a start that finds no
//!    ledger.
//! 3. *Setting aside.* A damaged file goes to `quarantine/`; a record of the ledger makes it a fact
//!    ([`set_aside`]). Outputs go on with the lines of all other files, and do not finish the batch.
//! 4. *Repair.* The poller of the collection polls the very same window again, behind the same gate
//!    (`poller/repair.rs`), and [`mend`] makes of the answer what it can: the file as it was, or a
//!    batch of origin `repair` with what the file held, as far as an output had not got it, or, where
//!    the service has it no more, the truth about what is lost.
//!
//! The lines' own CRC is the only one: it says that a file is whole, and it says that a file that was
//! written again is the old one, however the compressor came to it.

mod archived;
mod mend;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use archived::finish_archived;
pub use mend::{Mended, mend};

use crate::config::{ServiceConfig, is_configured};
use crate::crash::{self, Point};
use crate::house::House;
use crate::spool::{BatchHead, FileDamage, InspectedBatch, Spool, SpoolError};
use crate::state::ledger::AppendError;
use crate::state::{BatchPicture, CollectionKey, DamagedFile, Record, SettledCounts, Settlement};
use crate::taxii::Timestamp;

/// Damage cannot be dealt with.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The spool cannot be read or written.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The ledger cannot be written.
    #[error(transparent)]
    Ledger(#[from] AppendError),
}

/// A batch as [`check`] found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedBatch {
    /// Its number.
    pub seq: u64,
    /// The configured name of the service.
    pub service: String,
    /// The collection.
    pub collection: String,
    /// Its window's begin and end, in the service's own words, as far as there is one.
    pub window: (Option<String>, Option<String>),
    /// What is wrong with `batch.json`.
    pub head_damage: Option<String>,
    /// Its files, in order.
    pub files: Vec<CheckedFile>,
}

/// A file of events as [`check`] found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFile {
    /// Its name.
    pub name: String,
    /// Its lines.
    pub events: u64,
    /// How it is.
    pub state: FileState,
}

/// How a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// As it was written.
    Whole,
    /// Damaged or gone, and not set aside yet: in these words.
    Damaged(String),
    /// Set aside, and waits for its window to be polled again.
    BeingRepaired,
    /// Set aside, and no output waits for its lines any more.
    Settled,
}

impl CheckedBatch {
    /// Whether nothing is wrong with it, as far as outputs wait for it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_well =
            |file: &CheckedFile| matches!(file.state, FileState::Whole | FileState::Settled);
        self.head_damage.is_none() && self.files.iter().all(is_well)
    }
}

/// What [`repair`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Heads that were written again, by batch.
    pub heads: Vec<u64>,
    /// Files that were set aside, by batch and name. Their windows are polled again by the agent.
    pub files: Vec<(u64, String)>,
}

/// Reads every file of every batch to its end and says what is wrong with it; changes nothing.
/// Blocks while the disk works.
#[must_use]
pub fn check(house: &House) -> Vec<CheckedBatch> {
    let found = house.batches().filter_map(|head| {
        let found = house.spool.inspect(&head)?;
        Some(checked(house, &head, found))
    });
    found.collect()
}

/// The same for one batch; none if it is not in the spool.
#[must_use]
pub fn check_batch(house: &House, seq: u64) -> Option<CheckedBatch> {
    let head = house.batch(seq)?;
    let found = house.spool.inspect(&head)?;
    Some(checked(house, &head, found))
}

/// Sets aside what [`check`] finds damaged, and writes heads again: the agent polls their windows
/// again by itself. May be called beside a running agent. Blocks while the disk works.
pub fn repair(house: &House) -> Result<Repaired, RepairError> {
    let mut repaired = Repaired::default();
    for head in house.batches() {
        let Some(found) = check_batch(house, head.seq) else {
            continue;
        };
        if found.head_damage.is_some() && restore_head(house, &head)? {
            repaired.heads.push(head.seq);
        }
        for file in found.files {
            let FileState::Damaged(what) = file.state else {
                continue;
            };
            let damage = FileDamage {
                file: file.name.clone(),
                what,
            };
            if set_aside(house, head.seq, &damage)? {
                repaired.files.push((head.seq, file.name));
            }
        }
    }
    Ok(repaired)
}

/// What is to be said of a batch whose files were read.
#[must_use]
pub fn checked(house: &House, head: &BatchHead, found: InspectedBatch) -> CheckedBatch {
    let batch = house
        .state
        .look(|picture| picture.batches.get(&head.seq).cloned());
    let batch = batch.unwrap_or_default();
    let is_owed = house
        .state
        .damaged_batches()
        .iter()
        .any(|(seq, _)| *seq == head.seq);
    let files = found.files.into_iter().map(|file| CheckedFile {
        state: match file.damage {
            None => FileState::Whole,
            Some(_) if batch.is_damaged(&file.name) && is_owed => FileState::BeingRepaired,
            Some(_) if batch.is_damaged(&file.name) => FileState::Settled,
            Some(what) => FileState::Damaged(what),
        },
        name: file.name,
        events: file.events,
    });
    let text = |stamp: Option<Timestamp>| stamp.map(|stamp| stamp.text().to_owned());
    let window = head.window();
    CheckedBatch {
        seq: head.seq,
        service: head.service.clone(),
        collection: head.collection.clone(),
        window: window.map_or((None, None), |window| {
            (text(window.exclusive_begin), text(window.inclusive_end))
        }),
        head_damage: found.head_damage,
        files: files.collect(),
    }
}

/// Moves a damaged file of a batch to `quarantine/` and has the ledger say so; tells whether it did.
/// Where no poll brings its lines again they are given up. Blocks while the disk works.
pub fn set_aside(house: &House, seq: u64, damage: &FileDamage) -> Result<bool, RepairError> {
    let turn = house.spool.mending_turn();
    let is_new = set_aside_in_turn(house, seq, std::slice::from_ref(damage))?;
    drop(turn);
    if is_new {
        house.spool.announce_news();
        house.spool.announce();
    }
    Ok(is_new)
}

/// The same of several files. Files first, then the record: a stop between the two leaves a file that
/// is gone, which is set aside the same way.
fn set_aside_in_turn(house: &House, seq: u64, damages: &[FileDamage]) -> Result<bool, RepairError> {
    let Some(head) = house.batch(seq) else {
        return Ok(false);
    };
    let known = house
        .state
        .look(|picture| picture.batches.get(&seq).cloned());
    // What nobody owes is not needed.
    let Some(known) = known else {
        return Ok(false);
    };
    let mut files = Vec::new();
    let mut lines = 0;
    for (first, file) in head.places() {
        let Some(damage) = damages.iter().find(|damage| damage.file == file.name) else {
            continue;
        };
        // Somebody may have been faster, and even have mended it by now.
        if known.is_damaged(&file.name) || house.spool.check_file(seq, file).is_ok() {
            continue;
        }
        crash::point(Point::DamageNoticed);
        let quarantined = house.spool.set_aside(seq, &file.name)?;
        crash::point(Point::DamageSetAside);
        lines += file.events;
        tell(&head, damage, file.events, quarantined.as_deref());
        files.push(DamagedFile {
            name: file.name.clone(),
            first,
            events: file.events,
            quarantined,
        });
    }
    let window = head.window();
    if files.is_empty() {
        // The record that what no poll brings is lost may be missing.
        if window.is_none() {
            give_up_retried(house, &head)?;
        }
        return Ok(false);
    }
    let record = Record::Damaged {
        key: head.key(),
        window: window.clone(),
        seq,
        files: files.clone(),
    };
    let now = house.clock.now().utc;
    house.state.append(now, &record)?;
    crash::point(Point::DamageRecorded);
    if window.is_none() {
        give_up_retried(house, &head)?;
    }
    Ok(lines > 0)
}

/// What damaged files of a retry held is lost.
fn give_up_retried(house: &House, head: &BatchHead) -> Result<(), RepairError> {
    let names = mend::damaged(house, head.seq).into_iter();
    let names = names.map(|file| file.name).collect();
    give_up(
        house,
        head,
        &names,
        "no poll brings a retry of dead letters again",
    )?;
    Ok(())
}

fn tell(head: &BatchHead, damage: &FileDamage, lines: u64, quarantined: Option<&str>) {
    let window = head.window();
    let begin = window.as_ref().and_then(|w| w.exclusive_begin.as_ref());
    let end = window.as_ref().and_then(|w| w.inclusive_end.as_ref());
    let begin = begin.map(Timestamp::text);
    let end = end.map(Timestamp::text);
    let what = if window.is_some() {
        "a file of the spool is damaged: it is set aside, its window is polled again by itself as long \
         as its collection is configured, and what was not delivered of it follows. Look at the disk"
    } else {
        "a file of the spool is damaged: it is set aside. Look at the disk"
    };
    tracing::error!(
        service = head.service,
        collection = head.collection,
        begin,
        end,
        seq = head.seq,
        file = damage.file,
        lines,
        damage = damage.what,
        quarantine = quarantined.unwrap_or("nothing was left to keep"),
        "{what}"
    );
}

/// A person gives up what damaged files of a batch held, where no poll brings it again; gives how many
/// events are lost, none if nothing waits for a poll. Blocks while the disk works.
pub fn abandon(house: &House, seq: u64) -> Result<Option<u64>, RepairError> {
    reclaim(house, seq)?;
    let turn = house.spool.mending_turn();
    let Some(head) = house.batch(seq) else {
        return Ok(None);
    };
    let names: BTreeSet<String> = mend::damaged(house, seq)
        .into_iter()
        .map(|file| file.name)
        .collect();
    let lost = give_up(house, &head, &names, "a person has given it up")?;
    drop(turn);
    house.spool.announce();
    Ok((lost > 0).then_some(lost))
}

/// The batches with damaged files whose collection is not among these services', so that nobody polls
/// their windows again.
#[must_use]
pub fn orphans(house: &House, services: &[ServiceConfig]) -> Vec<(u64, CollectionKey)> {
    let is_polled = |key: &CollectionKey| is_configured(services, &key.service, &key.collection);
    let damaged = house.state.damaged_batches().into_iter();
    damaged
        .map(|(seq, damage)| (seq, damage.key))
        .filter(|(_, key)| !is_polled(key))
        .collect()
}

/// What these damaged files held cannot be had: whatever an output lacks of it is lost.
fn give_up(
    house: &House,
    head: &BatchHead,
    names: &BTreeSet<String>,
    reason: &str,
) -> Result<u64, RepairError> {
    let lacking = mend::lacking(house, head.seq, names);
    if lacking.is_empty() {
        return Ok(0);
    }
    let outputs = lacking.iter().map(|(output, lacks)| {
        let counts = SettledCounts {
            repaired: 0,
            lost: *lacks,
        };
        (output.clone(), counts)
    });
    let settles = Settlement {
        seq: head.seq,
        files: names.iter().cloned().collect(),
        outputs: outputs.collect(),
    };
    let lost = lacking.values().copied().max().unwrap_or(0);
    end(house, head, settles, reason)?;
    Ok(lost)
}

/// Says of damaged lines that nothing takes their place.
fn end(
    house: &House,
    head: &BatchHead,
    settles: Settlement,
    reason: &str,
) -> Result<(), RepairError> {
    tell_lost(head, &settles, reason);
    let record = Record::RepairEnded {
        key: head.key(),
        window: head.window(),
        settles,
    };
    let now = house.clock.now().utc;
    house.state.append(now, &record)?;
    crash::point(Point::RepairEnded);
    Ok(())
}

fn tell_lost(head: &BatchHead, settles: &Settlement, reason: &str) {
    let window = head.window();
    let begin = window.as_ref().and_then(|w| w.exclusive_begin.as_ref());
    let end = window.as_ref().and_then(|w| w.inclusive_end.as_ref());
    for (output, counts) in &settles.outputs {
        if counts.lost > 0 {
            tracing::error!(
                service = head.service,
                collection = head.collection,
                begin = begin.map(Timestamp::text),
                end = end.map(Timestamp::text),
                seq = settles.seq,
                output,
                events = counts.lost,
                reason,
                "content is lost: a file of the spool was damaged, and what it held cannot be had \
                 again. What is left of it is in quarantine/"
            );
        }
    }
}

/// Removes what `quarantine/` holds above its limit, but for what a repair under way may still read.
/// Blocks while the disk works.
pub fn tidy_quarantine(house: &House) {
    let _turn = house.spool.mending_turn();
    let (needed, next_seq) = house.state.look(|picture| {
        let damages = picture
            .batches
            .values()
            .filter_map(|batch| batch.damage.as_ref());
        let files = damages.flat_map(|damage| &damage.files);
        let needed = files.filter_map(|file| file.quarantined.clone());
        (needed.collect::<BTreeSet<String>>(), picture.next_seq)
    });
    let is_needed = |name: &str| needed.contains(name) || Spool::names_batch_from(name, next_seq);
    house.spool.tidy_quarantine(is_needed);
}

/// Damaged files that are whole after all come back: a disk that could not read them can, or a person
/// has put them back. Tells whether the batch still waits for its window. Blocks while the disk works.
pub fn reclaim(house: &House, seq: u64) -> Result<bool, RepairError> {
    let turn = house.spool.mending_turn();
    let damaged = mend::damaged(house, seq);
    let Some(head) = house.batch(seq) else {
        return Ok(false);
    };
    let mut back = Vec::new();
    for file in &head.files {
        let Some(damaged) = damaged.iter().find(|damaged| damaged.name == file.name) else {
            continue;
        };
        let is_whole = house.spool.check_file(seq, file).is_ok()
            || damaged
                .quarantined
                .as_deref()
                .is_some_and(|name| house.spool.take_from_quarantine(&head, file, name).is_ok());
        if is_whole {
            back.push(file.name.clone());
        }
    }
    if back.is_empty() {
        return Ok(!damaged.is_empty());
    }
    mend::tell_back(house, &head, &back)?;
    drop(turn);
    house.spool.announce();
    Ok(back.len() < damaged.len())
}

/// What a start makes of damage that it finds: batches that are gone are damaged as a whole, and what
/// nobody knows goes to `quarantine/`.
pub fn recover(house: &House) -> Result<(), RepairError> {
    let flawed = owed(house, |seq, batch| {
        batch.damage.is_some() || house.spool.in_place(seq).is_none()
    });
    for (seq, batch) in &flawed {
        if house.spool.in_place(*seq).is_some() || archived::is_done_with(house, *seq, batch) {
            continue;
        }
        let Some(head) = BatchHead::of_owed(*seq, batch) else {
            tracing::error!(
                seq,
                "a batch that is owed is not in the spool, and the ledger does not know its window: \
                 put it back from quarantine/ or from a backup"
            );
            continue;
        };
        tracing::warn!(
            seq,
            collection = %head.key(),
            "a batch that is owed is gone from the spool: its head is written again from the ledger, and \
             its files count as damaged"
        );
        house.spool.restore_batch(&head)?;
        set_aside_missing(house, *seq)?;
    }
    for (seq, batch) in &flawed {
        if batch.damage.is_some()
            && reclaim(house, *seq)?
            && let Some(head) = house.batch(*seq).filter(|head| head.window().is_none())
        {
            give_up_retried(house, &head)?;
        }
    }
    for folder in house.spool.set_aside_headless()? {
        tracing::error!(
            folder,
            "a batch has no head that can be read, and the ledger does not know of it: it is moved \
             to quarantine/. Whatever it held is polled again, or was delivered"
        );
    }
    Ok(())
}

/// Reads the heads of these batches, and writes those again that are damaged or gone: nothing is
/// delivered by them, but a ledger that is lost is told again from them. An error is that of the first
/// that cannot be read; all others are checked. Blocks while the disk works.
pub fn check_heads(house: &House, numbers: &[u64]) -> Result<(), RepairError> {
    let mut checked = Ok(());
    for seq in numbers {
        let check = || -> Result<(), RepairError> {
            if house.spool.is_head_damaged(*seq)?
                && let Some(head) = house.batch(*seq)
            {
                restore_head(house, &head)?;
            }
            Ok(())
        };
        checked = checked.and(check());
    }
    checked
}

/// The head of a batch that goes to the archive is to be whole there: where it is not, what is known of it
/// is written again.
pub fn keep_head(house: &House, head: &BatchHead) {
    let kept = match house.spool.is_head_damaged(head.seq) {
        Ok(false) => return,
        Ok(true) => restore_head(house, head).map(drop),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = kept {
        tracing::warn!(
            %error,
            seq = head.seq,
            "whether the head of a batch is whole that goes to the archive is not known: without it the \
             batch cannot be replayed. Look at the disk"
        );
    }
}

/// Writes the head of a batch in place again, if it is not whole; tells whether it did.
pub fn restore_head(house: &House, head: &BatchHead) -> Result<bool, RepairError> {
    let _turn = house.spool.mending_turn();
    let is_new = house.spool.restore_head(head)?;
    if is_new {
        tracing::warn!(
            seq = head.seq,
            collection = %head.key(),
            "the head of a batch is damaged or gone: it is written again from the ledger, nothing is \
             lost by it"
        );
    }
    Ok(is_new)
}

/// The batches among those that are owed that are `wanted`: thousands may be owed of which nothing is
/// wrong.
fn owed(
    house: &House,
    wanted: impl Fn(u64, &BatchPicture) -> bool,
) -> BTreeMap<u64, Arc<BatchPicture>> {
    house.state.look(|picture| {
        let owed = picture.batches.iter();
        let found = owed.filter(|(seq, batch)| wanted(**seq, batch));
        found
            .map(|(seq, batch)| (*seq, Arc::clone(batch)))
            .collect()
    })
}

/// The files of a batch that are not there at all.
fn set_aside_missing(house: &House, seq: u64) -> Result<(), RepairError> {
    let Some(head) = house.batch(seq) else {
        return Ok(());
    };
    let missing = head
        .files
        .iter()
        .filter(|file| !house.spool.has_file(seq, &file.name));
    let missing: Vec<FileDamage> = missing
        .map(|file| FileDamage {
            file: file.name.clone(),
            what: "it is gone".to_owned(),
        })
        .collect();
    let _turn = house.spool.mending_turn();
    set_aside_in_turn(house, seq, &missing)?;
    Ok(())
}
