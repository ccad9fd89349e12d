//! The picture as keys and values, one for each thing in it, and back. Pure.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::prefix;
use super::value::{ValueChanges, Values};
use crate::delivery::Progress;
use crate::state::picture::{BatchPicture, CollectionPicture, OutputPicture, Picture};
use crate::state::record::{Record, Removal, RemovedLetter};
use crate::state::work::StoredReceipt;

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
        // All are named, so that whoever adds one must say here or in `all` where it is kept.
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
}

/// Everything in a picture but its [`Counters`].
pub(super) fn all(picture: &Picture) -> ValueChanges {
    let mut changes = ValueChanges::new();
    for key in picture.collections.keys() {
        collection(&mut changes, key, picture);
    }
    for name in picture.gates.keys() {
        gate(&mut changes, name, picture);
    }
    for name in &picture.unanswered {
        unanswered(&mut changes, name, picture);
    }
    for service in picture.clock_offsets_ms.keys() {
        clock(&mut changes, service, picture);
    }
    for name in picture.outputs.keys() {
        output(&mut changes, name, picture);
    }
    for seq in picture.batches.keys() {
        batch(&mut changes, *seq, picture);
    }
    for id in picture.removing.keys() {
        removing(&mut changes, id, picture);
    }
    changes
}

/// What a record has changed, as it is in the picture now; none where the whole must be compared.
pub(super) fn changed_by(record: &Record, picture: &Picture) -> Option<ValueChanges> {
    let mut changes = ValueChanges::new();
    match record {
        Record::PollStarted { gate: name, .. } | Record::PollAnswered { gate: name, .. } => {
            gate(&mut changes, name, picture);
            unanswered(&mut changes, name, picture);
        }
        Record::Polled { key, seq, .. } => {
            collection(&mut changes, &key.to_string(), picture);
            clock(&mut changes, &key.service, picture);
            if let Some(seq) = seq {
                batch(&mut changes, *seq, picture);
            }
        }
        Record::Pushed { key, seq, .. } => {
            collection(&mut changes, &key.to_string(), picture);
            if let Some(seq) = seq {
                batch(&mut changes, *seq, picture);
            }
        }
        Record::PollFailed { key, .. }
        | Record::WindowAbandoned { key, .. }
        | Record::CheckpointSet { key, .. } => {
            collection(&mut changes, &key.to_string(), picture);
        }
        Record::OutputFinished {
            output: name, seq, ..
        } => {
            output(&mut changes, name, picture);
            batch(&mut changes, *seq, picture);
            changes.insert(super::cursor_key(name, *seq), None);
        }
        Record::Damaged { seq, .. }
        | Record::Mended { seq, .. }
        | Record::RepairFailed { seq, .. } => batch(&mut changes, *seq, picture),
        Record::LettersRemoved { letters, .. } => of_letters(&mut changes, letters, picture),
        // These are rare, or touch much.
        _ => return None,
    }
    Some(changes)
}

fn of_letters(changes: &mut ValueChanges, letters: &[RemovedLetter], picture: &Picture) {
    for letter in letters {
        removing(changes, &letter.id, picture);
        if let Some(place) = &letter.event {
            batch(changes, place.seq, picture);
            output(changes, &place.output, picture);
        }
    }
}

/// The picture that these values are.
pub(super) fn picture(values: &Values, counters: &Counters) -> Option<Picture> {
    let mut picture = Picture {
        number: counters.number,
        next_seq: counters.next_seq,
        block_letters: counters.block_letters,
        mended: counters.mended,
        is_doubtful: counters.is_doubtful,
        ..Picture::default()
    };
    for (key, value) in values.iter() {
        let (prefix, name) = key.split_once('/')?;
        let name = name.to_owned();
        match prefix {
            prefix::COLLECTION => drop(picture.collections.insert(name, parse(value)?)),
            prefix::GATE => drop(picture.gates.insert(name, parse(value)?)),
            prefix::UNANSWERED => drop(picture.unanswered.insert(name)),
            prefix::CLOCK => drop(picture.clock_offsets_ms.insert(name, parse(value)?)),
            prefix::OUTPUT => drop(picture.outputs.insert(name, parse(value)?)),
            prefix::BATCH => drop(picture.batches.insert(name.parse().ok()?, parse(value)?)),
            prefix::REMOVING => drop(picture.removing.insert(name, parse(value)?)),
            _ => {}
        }
    }
    Some(picture)
}

/// Whether a value is one of its key.
pub(super) fn is_readable(key: &str, value: &[u8]) -> bool {
    let Some((prefix, name)) = key.split_once('/') else {
        return false;
    };
    match prefix {
        prefix::COLLECTION => parse::<CollectionPicture>(value).is_some(),
        prefix::GATE => parse::<chrono::DateTime<chrono::Utc>>(value).is_some(),
        prefix::UNANSWERED => parse::<bool>(value).is_some(),
        prefix::CLOCK => parse::<i64>(value).is_some(),
        prefix::OUTPUT => parse::<OutputPicture>(value).is_some(),
        prefix::BATCH => name.parse::<u64>().is_ok() && parse::<BatchPicture>(value).is_some(),
        prefix::REMOVING => parse::<Removal>(value).is_some(),
        prefix::CURSOR => parse::<Progress>(value).is_some(),
        prefix::RECEIPT => parse::<StoredReceipt>(value).is_some(),
        _ => false,
    }
}

pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}

/// Numbers, texts and plain structures always have a JSON form.
pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn collection(changes: &mut ValueChanges, key: &str, picture: &Picture) {
    put(
        changes,
        prefix::COLLECTION,
        key,
        picture.collections.get(key),
    );
}

fn gate(changes: &mut ValueChanges, name: &str, picture: &Picture) {
    put(changes, prefix::GATE, name, picture.gates.get(name));
}

fn unanswered(changes: &mut ValueChanges, name: &str, picture: &Picture) {
    let is_so = picture.unanswered.contains(name);
    put(changes, prefix::UNANSWERED, name, is_so.then_some(&true));
}

fn clock(changes: &mut ValueChanges, service: &str, picture: &Picture) {
    let offset = picture.clock_offsets_ms.get(service);
    put(changes, prefix::CLOCK, service, offset);
}

fn output(changes: &mut ValueChanges, name: &str, picture: &Picture) {
    put(changes, prefix::OUTPUT, name, picture.outputs.get(name));
}

fn batch(changes: &mut ValueChanges, seq: u64, picture: &Picture) {
    let batch = picture.batches.get(&seq);
    put(changes, prefix::BATCH, &seq.to_string(), batch);
}

fn removing(changes: &mut ValueChanges, id: &str, picture: &Picture) {
    put(changes, prefix::REMOVING, id, picture.removing.get(id));
}

fn put<T: Serialize>(changes: &mut ValueChanges, prefix: &str, name: &str, value: Option<&T>) {
    changes.insert(format!("{prefix}/{name}"), value.map(json));
}
