//! A timestamp with the text that it was written in.

use std::fmt;

use chrono::{DateTime, DurationRound, NaiveDateTime, SecondsFormat, TimeDelta, Utc};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

/// A moment, and its text as the service wrote it: what is sent back is what was received.
#[derive(Clone, PartialEq, Eq)]
pub struct Timestamp {
    time: DateTime<Utc>,
    text: String,
}

/// The text is not a timestamp.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text:?} is not a timestamp such as 2015-01-20T15:11:00.649Z")]
pub struct ParseTimestampError {
    text: String,
}

impl Timestamp {
    /// Reads an xs:dateTime; without a zone, which TAXII forbids, it is taken as UTC.
    pub fn parse(text: &str) -> Result<Self, ParseTimestampError> {
        const MAX_BYTES: usize = 64;
        let text = text.trim();
        let error = || ParseTimestampError {
            text: text.chars().take(MAX_BYTES).collect(),
        };
        // A fraction may have any number of digits, and all of them would be kept and sent back.
        if text.len() > MAX_BYTES {
            return Err(error());
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self {
                time: time.to_utc(),
                text: text.to_owned(),
            });
        }
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .map(|time| Self::from(time.and_utc()))
            .map_err(|_| error())
    }

    /// The moment.
    #[must_use]
    pub fn time(&self) -> DateTime<Utc> {
        self.time
    }

    /// The text, as it was received.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl From<DateTime<Utc>> for Timestamp {
    /// TAXII allows at most six fraction digits; what is finer is cut off.
    fn from(time: DateTime<Utc>) -> Self {
        let time = time
            .duration_trunc(TimeDelta::microseconds(1))
            .unwrap_or(time);
        Self {
            time,
            text: time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a timestamp")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let got = Timestamp::parse(text).map_or_else(
            |error| error.to_string(),
            |stamp| format!("{} {}", stamp.text(), stamp.time().to_rfc3339()),
        );
        assert_eq!(got, expect);
    }

    #[test]
    fn what_is_sent_has_at_most_six_fraction_digits() {
        let nanoseconds = Timestamp::parse("2015-01-20T15:11:00.123456789Z").unwrap();
        let stamp = Timestamp::from(nanoseconds.time());
        assert_eq!(stamp.text(), "2015-01-20T15:11:00.123456Z");
        assert_eq!(Timestamp::parse(stamp.text()).unwrap(), stamp);
    }

    #[test]
    fn texts_are_kept() {
        check(
            " 2015-01-20T16:11:00.649000+01:00 ",
            "2015-01-20T16:11:00.649000+01:00 2015-01-20T15:11:00.649+00:00",
        );
        check(
            "2015-01-20T15:11:00",
            "2015-01-20T15:11:00Z 2015-01-20T15:11:00+00:00",
        );
        check(
            "yesterday",
            "\"yesterday\" is not a timestamp such as 2015-01-20T15:11:00.649Z",
        );
    }
}
