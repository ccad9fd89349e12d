//! The picture as keys and values, one for each thing in it, and back. Pure.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::prefix;
use crate::state::picture::{BatchPicture, CollectionPicture, OutputPicture, Picture};
use crate::state::record::{Record, Removal};

/// What of a picture is one number or word each: it lies beside the fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Counters {
    /// The number of the last record in it.
    pub(super) number: u64,
    next_seq: u64,
    block_letters: u64,
    mended: u64,
    is_doubtful: bool,
}

impl Counters {
    pub(super) fn of(picture: &Picture) -> Self {
        // All are named, so that whoever adds one must say here or in `keys` where it is kept.
        let Picture {
            number,
            next_seq,
            collections: _,
            gates: _,
            unanswered: _,
            clock_offsets_ms: _,
            outputs: _,
            batches: _,
            removing: _,
            block_letters,
            mended,
            is_doubtful,
        } = picture;
        Self {
            number: *number,
            next_seq: *next_seq,
            block_letters: *block_letters,
            mended: *mended,
            is_doubtful: *is_doubtful,
        }
    }

    /// A picture of which nothing else is known.
    pub(super) fn picture(&self) -> Picture {
        Picture {
            number: self.number,
            next_seq: self.next_seq,
            block_letters: self.block_letters,
            mended: self.mended,
            is_doubtful: self.is_doubtful,
            ..Picture::default()
        }
    }
}

/// Puts what lies under a key into a picture; none if another version has written what this one cannot
/// read.
pub(super) fn put(picture: &mut Picture, key: &str, value: &[u8]) -> Option<()> {
    let (prefix, name) = key.split_once('/')?;
    let name = name.to_owned();
    match prefix {
        prefix::COLLECTION => drop(picture.collections.insert(name, parse(value)?)),
        prefix::GATE => drop(picture.gates.insert(name, parse(value)?)),
        prefix::UNANSWERED => drop(picture.unanswered.insert(name)),
        prefix::CLOCK => drop(picture.clock_offsets_ms.insert(name, parse(value)?)),
        prefix::OUTPUT => drop(picture.outputs.insert(name, parse(value)?)),
        prefix::BATCH => picture.batches.insert(number(&name)?, parse(value)?),
        prefix::REMOVING => drop(picture.removing.insert(name, parse(value)?)),
        _ => return None,
    }
    Some(())
}

/// One thing in a picture.
#[derive(Serialize)]
#[serde(untagged)]
enum Thing<'p> {
    Collection(&'p CollectionPicture),
    Gate(&'p DateTime<Utc>),
    Unanswered(bool),
    Clock(i64),
    Output(&'p OutputPicture),
    Batch(&'p BatchPicture),
    Removing(Removal),
}

/// What of a picture has this key; none if nothing has.
fn thing<'p>(key: &str, picture: &'p Picture) -> Option<Thing<'p>> {
    let (prefix, name) = key.split_once('/')?;
    match prefix {
        prefix::COLLECTION => picture.collections.get(name).map(Thing::Collection),
        prefix::GATE => picture.gates.get(name).map(Thing::Gate),
        prefix::UNANSWERED => picture
            .unanswered
            .get(name)
            .map(|_| Thing::Unanswered(true)),
        prefix::CLOCK => picture
            .clock_offsets_ms
            .get(name)
            .copied()
            .map(Thing::Clock),
        prefix::OUTPUT => picture.outputs.get(name).map(Thing::Output),
        prefix::BATCH => picture
            .batches
            .get(&number(name)?)
            .map(|batch| Thing::Batch(batch)),
        prefix::REMOVING => picture.removing.get(name).copied().map(Thing::Removing),
        _ => None,
    }
}

/// Whether something in a picture has this key.
pub(super) fn has(key: &str, picture: &Picture) -> bool {
    thing(key, picture).is_some()
}

/// The value of what in a picture has this key.
pub(super) fn value(key: &str, picture: &Picture) -> Option<Vec<u8>> {
    thing(key, picture).map(|thing| json(&thing))
}

/// The keys of everything in a picture but its [`Counters`] and its batches.
pub(super) fn keys(picture: &Picture) -> impl Iterator<Item = String> {
    let collections = picture
        .collections
        .keys()
        .map(|name| of(prefix::COLLECTION, name));
    let gates = picture.gates.keys().map(|name| of(prefix::GATE, name));
    let unanswered = picture
        .unanswered
        .iter()
        .map(|name| of(prefix::UNANSWERED, name));
    let clocks = picture
        .clock_offsets_ms
        .keys()
        .map(|name| of(prefix::CLOCK, name));
    let outputs = picture.outputs.keys().map(|name| of(prefix::OUTPUT, name));
    let removing = picture.removing.keys().map(|id| of(prefix::REMOVING, id));
    let named = collections.chain(gates).chain(unanswered).chain(clocks);
    named.chain(outputs).chain(removing)
}

/// The keys of its batches.
pub(super) fn batch_keys(picture: &Picture) -> impl Iterator<Item = String> {
    picture.batches.keys().map(|seq| batch_key(*seq))
}

/// The key of a batch.
pub(super) fn batch_key(seq: u64) -> String {
    of(prefix::BATCH, seq)
}

/// Whether it is the key of a batch.
pub(super) fn is_of_batch(key: &str) -> bool {
    matches!(key.split_once('/'), Some((prefix::BATCH, _)))
}

/// The keys of what a record has changed; none where the whole must be compared.
pub(super) fn changed_by(record: &Record) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    match record {
        Record::PollStarted { gate, .. } | Record::PollAnswered { gate, .. } => {
            keys.push(of(prefix::GATE, gate));
            keys.push(of(prefix::UNANSWERED, gate));
        }
        Record::Polled { key, seq, .. } => {
            keys.push(of(prefix::COLLECTION, key));
            keys.push(of(prefix::CLOCK, &key.service));
            keys.extend(seq.map(batch_key));
        }
        Record::Pushed { key, seq, .. } => {
            keys.push(of(prefix::COLLECTION, key));
            keys.extend(seq.map(batch_key));
        }
        Record::PollFailed { key, .. }
        | Record::WindowAbandoned { key, .. }
        | Record::CheckpointSet { key, .. } => keys.push(of(prefix::COLLECTION, key)),
        Record::OutputFinished { output, seq, .. } => {
            keys.push(of(prefix::OUTPUT, output));
            keys.push(batch_key(*seq));
        }
        Record::Damaged { seq, .. }
        | Record::Mended { seq, .. }
        | Record::RepairFailed { seq, .. } => keys.push(batch_key(*seq)),
        Record::LettersRemoved { letters, .. } => {
            for letter in letters {
                keys.push(of(prefix::REMOVING, &letter.id));
                if let Some(place) = &letter.event {
                    keys.push(batch_key(place.seq));
                    keys.push(of(prefix::OUTPUT, &place.output));
                }
            }
        }
        // These are rare, or touch much.
        _ => return None,
    }
    Some(keys)
}

/// The number of a batch, as it is written here and in no other way.
fn number(name: &str) -> Option<u64> {
    let number: u64 = name.parse().ok()?;
    (number.to_string() == name).then_some(number)
}

fn of(prefix: &str, name: impl Display) -> String {
    format!("{prefix}/{name}")
}

pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}

/// Numbers, texts and plain structures always have a JSON form.
pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
