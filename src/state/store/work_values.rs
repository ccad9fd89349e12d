//! How far outputs are inside batches, and what their peers have accepted, as keys and values: the table alone
//! has them, and what must lie there is kept here. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::picture_values::{json, parse};
use super::prefix;
use super::value::ValueChanges;
use crate::delivery::{Progress, ReceiptKey};
use crate::state::picture::Picture;
use crate::state::work::{StoredReceipt, WorkChanges};

/// The values of cursors and receipts.
#[derive(Debug, Default)]
pub(super) struct WorkValues(BTreeMap<String, Vec<u8>>);

impl WorkValues {
    /// The value of a key.
    pub(super) fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.0.get(key).cloned()
    }

    pub(super) fn put(&mut self, key: &str, value: &[u8]) {
        self.0.insert(key.to_owned(), value.to_owned());
    }

    /// Makes those of the changes that are of cursors or receipts.
    pub(super) fn change(&mut self, changes: &ValueChanges) {
        for (key, value) in changes.iter().filter(|(key, _)| is_of_work(key)) {
            match value {
                Some(value) => self.put(key, value),
                None => drop(self.0.remove(key)),
            }
        }
    }

    /// How far an output is inside a batch; where nothing is known, at the start.
    pub(super) fn progress(&self, output: &str, seq: u64) -> Progress {
        let stored = self.0.get(&cursor_key(output, seq));
        stored.and_then(|json| parse(json)).unwrap_or_default()
    }

    /// The batches of which some output has done something.
    pub(super) fn begun(&self) -> BTreeSet<u64> {
        let prefix = format!("{}/", prefix::CURSOR);
        let cursors = self.with_prefix(&prefix);
        let numbers = cursors.filter_map(|(key, _)| key.rsplit_once('/')?.1.parse().ok());
        numbers.collect()
    }

    /// What an output's peers have accepted and not acknowledged.
    pub(super) fn receipts(&self, output: &str) -> Vec<StoredReceipt> {
        let prefix = format!("{}/{output}/", prefix::RECEIPT);
        let stored = self.with_prefix(&prefix);
        stored.filter_map(|(_, json)| parse(json)).collect()
    }

    /// Those whose keys begin with `prefix`, in order.
    fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &[u8])> {
        let from_prefix = self.0.range(prefix.to_owned()..);
        let values = from_prefix.map(|(key, value)| (key.as_str(), value.as_slice()));
        values.take_while(move |(key, _)| key.starts_with(prefix))
    }
}

/// What has changed in an output's work.
pub(super) fn changes(output: &str, work: &WorkChanges) -> ValueChanges {
    let mut changes = ValueChanges::new();
    for (seq, progress) in &work.progress {
        changes.insert(cursor_key(output, *seq), Some(json(progress)));
    }
    for receipt in &work.accepted {
        changes.insert(receipt_key(output, receipt.key()), Some(json(receipt)));
    }
    for key in &work.settled {
        changes.insert(receipt_key(output, *key), None);
    }
    changes
}

/// Whether it is the key of a cursor or of a receipt.
pub(super) fn is_of_work(key: &str) -> bool {
    matches!(
        key.split_once('/'),
        Some((prefix::CURSOR | prefix::RECEIPT, _))
    )
}

/// Whether this version can read it.
pub(super) fn is_readable(key: &str, json: &[u8]) -> bool {
    if key.starts_with(prefix::CURSOR) {
        parse::<Progress>(json).is_some()
    } else {
        parse::<StoredReceipt>(json).is_some()
    }
}

/// Whether it is still of use: its output owes the batch, or may still ask for the receipt, and knows by
/// itself which batches are worth it.
pub(super) fn is_open(key: &str, picture: &Picture) -> bool {
    let is_open = || {
        let (prefix, rest) = key.split_once('/')?;
        if prefix == prefix::CURSOR {
            let (output, seq) = rest.rsplit_once('/')?;
            return Some(picture.owes(output, seq.parse().ok()?));
        }
        let (output, _) = rest.split_once('/')?;
        Some(picture.outputs.contains_key(output))
    };
    is_open().unwrap_or(false)
}

/// Where it lies how far an output is inside a batch.
pub(super) fn cursor_key(output: &str, seq: u64) -> String {
    format!("{}/{output}/{seq}", prefix::CURSOR)
}

fn receipt_key(output: &str, (channel, ack_id): ReceiptKey) -> String {
    format!("{}/{output}/{channel}/{ack_id}", prefix::RECEIPT)
}
