//! The event: one JSON object, its identity and what an output needs to know of it.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The same content has the same id for ever, so that duplicates can be found and removed.
///
/// Shown as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId([u8; 16]);

impl EventId {
    /// How many digits show it.
    const DIGITS: usize = 32;

    /// An id from its 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The 32 digits, in ASCII.
    #[must_use]
    pub fn to_hex(&self) -> [u8; 32] {
        let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        let mut hex = [0; 32];
        let (pairs, _) = hex.as_chunks_mut::<2>();
        for ([high, low], byte) in pairs.iter_mut().zip(self.0) {
            *high = digit(byte >> 4);
            *low = digit(byte & 15);
        }
        hex
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an event id.
#[derive(Debug, thiserror::Error)]
#[error("an event id is 32 hexadecimal digits, this is {found:?}")]
pub struct ParseEventIdError {
    found: String,
}

impl FromStr for EventId {
    type Err = ParseEventIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseEventIdError {
            found: text.chars().take(40).collect(),
        };
        if text.len() != Self::DIGITS {
            return Err(error());
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(error);
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 16];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            // Of two digits, 255 is the most.
            *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).unwrap_or_default();
        }
        Ok(Self(bytes))
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordType {
    /// One observable of an incident, its indicators' included.
    Flow,
    /// An incident that has no observables.
    Incident,
    /// One observable of an indicator outside of incidents, or such an indicator without any.
    Indicator,
    /// One observable outside of incidents and indicators.
    Observable,
}

impl RecordType {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Flow,
        Self::Incident,
        Self::Indicator,
        Self::Observable,
    ];

    /// The value of the event's `recordType`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Incident => "incident",
            Self::Indicator => "indicator",
            Self::Observable => "observable",
        }
    }
}

/// One event as it lies in the spool: the JSON text and what outputs ask of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event's identity.
    pub id: EventId,
    /// What it tells of.
    pub record_type: RecordType,
    /// Milliseconds since 1970 UTC: `timestamp`, else `startTime`, else `packageTimestamp`, else
    /// the end of the window that brought it.
    pub time_ms: i64,
    /// One JSON object, without a line break.
    pub json: String,
}

/// A line of the spool is not an event.
#[derive(Debug, thiserror::Error)]
#[error("not an event: {source}")]
pub struct ParseEventError {
    #[from]
    source: serde_json::Error,
}

impl Event {
    /// Reads an event from a line that is as it was written here, which a checksum tells; `window_end` is
    /// the time of an event that states none.
    pub fn parse(json: String, window_end: DateTime<Utc>) -> Result<Self, ParseEventError> {
        let envelope = match Envelope::of_plain(&json) {
            Some(envelope) => envelope,
            None => Envelope::read(&json)?,
        };
        Ok(Self::new(json, &envelope, window_end))
    }

    /// The same of a line that may be anything: all of it is read.
    pub fn parse_unchecked(
        json: String,
        window_end: DateTime<Utc>,
    ) -> Result<Self, ParseEventError> {
        let envelope = Envelope::read(&json)?;
        Ok(Self::new(json, &envelope, window_end))
    }

    fn new(json: String, envelope: &Envelope, window_end: DateTime<Utc>) -> Self {
        let own = envelope.time_ms;
        Self {
            id: envelope.id,
            record_type: envelope.record_type,
            time_ms: own.unwrap_or_else(|| window_end.timestamp_millis()),
            json,
        }
    }
}

/// What outputs need of an event.
#[derive(Debug, PartialEq, Eq)]
struct Envelope {
    id: EventId,
    record_type: RecordType,
    /// As the event states it.
    time_ms: Option<i64>,
}

impl Envelope {
    /// Whatever the JSON looks like.
    fn read(json: &str) -> Result<Self, ParseEventError> {
        let fields: Fields<'_> = serde_json::from_str(json)?;
        Ok(Self {
            id: fields.event_id,
            record_type: fields.record_type,
            time_ms: fields.own_time_ms(),
        })
    }

    /// Of an event as it is written here, with its id and type in front, and without white space: all of
    /// it need not be read. None is something else.
    ///
    /// A key behind a comma is a key: in a text its quotes would have backslashes before them.
    fn of_plain(json: &str) -> Option<Self> {
        let rest = json.strip_prefix("{\"eventId\":\"")?;
        let (id, rest) = rest.split_at_checked(EventId::DIGITS)?;
        let rest = rest.strip_prefix("\",\"recordType\":\"")?;
        let (record_type, rest) = rest.split_once('"')?;
        let value = |key: &str| {
            let at = memchr::memmem::find(rest.as_bytes(), key.as_bytes())?;
            rest.get(at + key.len()..)
        };
        let number = |key: &str| {
            let value = value(key)?;
            let end = value.find([',', '}'])?;
            milliseconds(value.get(..end)?)
        };
        let package = || {
            let (text, _) = value(",\"packageTimestamp\":\"")?.split_once('"')?;
            // With a backslash it is no time.
            milliseconds_of_text(text)
        };
        let mut types = RecordType::ALL.into_iter();
        Some(Self {
            id: id.parse().ok()?,
            record_type: types.find(|one| one.as_str() == record_type)?,
            time_ms: number(",\"timestamp\":")
                .or_else(|| number(",\"startTime\":"))
                .or_else(package),
        })
    }
}

/// A number of milliseconds that is a time.
fn milliseconds(text: &str) -> Option<i64> {
    let number = text.parse().ok()?;
    DateTime::from_timestamp_millis(number).map(|_| number)
}

fn milliseconds_of_text(text: &str) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.timestamp_millis())
}

/// The fields of the JSON text that outputs need.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "eventId")]
    event_id: EventId,
    #[serde(rename = "recordType")]
    record_type: RecordType,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, rename = "startTime")]
    start_time: Option<&'a RawValue>,
    #[serde(borrow, rename = "packageTimestamp")]
    package_timestamp: Option<std::borrow::Cow<'a, str>>,
}

impl Fields<'_> {
    fn own_time_ms(&self) -> Option<i64> {
        let number = |value: Option<&RawValue>| milliseconds(value?.get());
        number(self.timestamp)
            .or_else(|| number(self.start_time))
            .or_else(|| milliseconds_of_text(self.package_timestamp.as_deref()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_32_digits_and_back() {
        let id = EventId::from_bytes([0, 1, 0x9a, 255, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xf0]);
        assert_eq!(id.to_string(), "00019aff0405060708090a0b0c0d0ef0");
        assert_eq!(id.to_hex(), id.to_string().as_bytes());
        assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        for bad in [
            "",
            "00019aff",
            "+0019aff0405060708090a0b0c0d0ef0",
            "é0019aff0405060708090a0b0c0d0ef",
        ] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
    }

    #[track_caller]
    fn check_time(fields: &str, expect: i64) {
        let window_end = DateTime::from_timestamp_millis(99).unwrap();
        let json = format!(
            r#"{{"eventId":"00019aff0405060708090a0b0c0d0ef0","recordType":"flow"{fields}}}"#
        );
        let plain = Envelope::of_plain(&json);
        assert_eq!(plain, Some(Envelope::read(&json).unwrap()), "{fields}");
        let event = Event::parse(json, window_end).unwrap();
        assert_eq!(event.time_ms, expect, "{fields}");
    }

    #[test]
    fn what_is_not_written_as_here_is_read_whole() {
        let id = "00019aff0405060708090a0b0c0d0ef0";
        for (json, expect) in [
            (
                format!(r#"{{"timestamp":1,"eventId":"{id}","recordType":"flow"}}"#),
                Some(1),
            ),
            (
                format!(r#"{{ "eventId": "{id}", "recordType": "flow", "timestamp": 2 }}"#),
                Some(2),
            ),
        ] {
            assert_eq!(Envelope::of_plain(&json), None, "{json}");
            assert_eq!(Envelope::read(&json).unwrap().time_ms, expect, "{json}");
        }
        // Two lines of which the break between them is damaged.
        let line = format!(r#"{{"eventId":"{id}","recordType":"flow"}}"#);
        let merged = format!("{line}\u{1}{line}");
        assert!(Event::parse_unchecked(line, DateTime::UNIX_EPOCH).is_ok());
        assert!(Event::parse_unchecked(merged, DateTime::UNIX_EPOCH).is_err());
        for bad in ["", "{}", r#"{"eventId":"00019aff","recordType":"flow"}"#] {
            assert!(
                Event::parse(bad.to_owned(), DateTime::UNIX_EPOCH).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_time_of_an_event() {
        let package = r#","packageTimestamp":"2015-01-20T16:11:02.766+01:00""#;
        check_time(&format!(r#","timestamp":1,"startTime":2{package}"#), 1);
        check_time(&format!(r#","timestamp":"soon","startTime":2{package}"#), 2);
        check_time(
            &format!(r#","timestamp":["1",2]{package}"#),
            1_421_766_662_766,
        );
        check_time(r#","timestamp":999999999999999999"#, 99);
        check_time(r#","packageTimestamp":"yesterday""#, 99);
        check_time(r#","packageTimestamp":"2015\u002d01-20T16:11:02Z\"""#, 99);
        check_time(
            r#","note":"a,\"timestamp\":5","startTime":7,"x":["1",",\"timestamp\":6"]"#,
            7,
        );
        check_time(r#","timestamp":-1"#, -1);
        check_time("", 99);
    }
}
