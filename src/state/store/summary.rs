//! What lies beside all values and is written with each of their changes. Pure.

#[cfg(test)]
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::held::Fingerprints;
#[cfg(test)]
use super::held::Held;
#[cfg(test)]
use super::picture_values::parse;
use super::picture_values::{Counters, json};
use super::value;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// See above.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Summary {
    #[serde(flatten)]
    pub(super) counters: Counters,
    /// That of all other values, as hexadecimal digits.
    fingerprint: String,
    /// That of the values of batches; a version that read them with all others did not write it.
    #[serde(default)]
    fingerprint_of_batches: Option<String>,
    /// The version that has written it: another may write values in another form.
    #[serde(default)]
    version: String,
    /// Up to this record the ledger is known to be durable.
    #[serde(default)]
    pub(super) durable: u64,
}

impl Summary {
    /// Its key.
    pub(super) const KEY: &str = "summary";

    pub(super) fn new(counters: Counters, durable: u64, fingerprints: Fingerprints) -> Self {
        Self {
            counters,
            fingerprint: in_words(fingerprints.all),
            fingerprint_of_batches: Some(in_words(fingerprints.batches)),
            version: VERSION.to_owned(),
            durable,
        }
    }

    /// As it lies in the table.
    pub(super) fn encode(&self) -> Vec<u8> {
        value::encode(Self::KEY, &json(self))
    }

    /// Whether all values together have this fingerprint.
    pub(super) fn tells(&self, fingerprints: Fingerprints) -> bool {
        self.fingerprint == in_words(fingerprints.all)
    }

    /// The fingerprint of the batches, if it is known without the rest.
    pub(super) fn of_batches(&self) -> Option<u64> {
        u64::from_str_radix(self.fingerprint_of_batches.as_ref()?, 16).ok()
    }

    pub(super) fn is_of_this_version(&self) -> bool {
        self.version == VERSION
    }
}

fn in_words(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

/// Puts a value into a table as another version might: all checksums are right.
#[cfg(test)]
pub(in crate::state) fn with_foreign(
    entries: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    version: &str,
    key: &str,
    json: &[u8],
) {
    entries.insert(key.as_bytes().to_vec(), value::encode(key, json));
    let mut held = Held::default();
    for (key, bytes) in entries.iter() {
        let name = str::from_utf8(key).unwrap_or_default();
        if let Some(json) = value::decode(name, bytes).filter(|_| name != Summary::KEY) {
            held.put(name, json);
        }
    }
    let Some(bytes) = entries.get_mut(Summary::KEY.as_bytes()) else {
        return;
    };
    let summary = value::decode(Summary::KEY, bytes).and_then(parse::<Summary>);
    if let Some(mut summary) = summary {
        let fingerprints = held.fingerprints();
        summary.fingerprint = in_words(fingerprints.all);
        let is_another = version != VERSION;
        summary.fingerprint_of_batches = is_another.then(|| in_words(fingerprints.batches));
        summary.version = version.to_owned();
        *bytes = summary.encode();
    }
}
