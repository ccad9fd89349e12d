//! A line of the ledger: a record as JSON, which ends with its own CRC.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::state::record::Record;

/// A record as it is written.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry<R> {
    pub(super) number: u64,
    pub(super) at: DateTime<Utc>,
    #[serde(flatten)]
    pub(super) record: R,
}

/// What stands between the record and its CRC.
const CRC_KEY: &str = ",\"crc32\":\"";

/// Puts a record in words.
pub(super) fn encode(
    number: u64,
    at: DateTime<Utc>,
    record: &Record,
) -> Result<String, serde_json::Error> {
    let mut line = serde_json::to_string(&Entry { number, at, record })?;
    // The closing brace comes after the checksum.
    line.pop();
    let crc = crc32fast::hash(line.as_bytes());
    Ok(format!("{line}{CRC_KEY}{crc:08x}\"}}\n"))
}

/// Reads a line without its line break; none if it is damaged.
pub(super) fn decode(line: &[u8]) -> Option<Entry<Record>> {
    let line = std::str::from_utf8(line).ok()?;
    let (body, crc) = line.rsplit_once(CRC_KEY)?;
    let crc = u32::from_str_radix(crc.strip_suffix("\"}")?, 16).ok()?;
    if crc32fast::hash(body.as_bytes()) != crc {
        return None;
    }
    serde_json::from_str(&format!("{body}}}")).ok()
}
