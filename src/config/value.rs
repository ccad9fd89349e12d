//! Values as a person writes them: durations, sizes, counts and syslog's names.
//!
//! Each type's error says what is written and what is allowed.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::{InitialLookback, SyslogSeverity};

/// Beyond this a duration is a mistake, and sums of times would leave the calendar.
const LONGEST_PERIOD: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A duration such as `"10m"`; it may be zero.
#[derive(Clone, Copy)]
pub(super) struct Period(pub Duration);

/// A duration or `"none"`.
#[derive(Clone, Copy)]
pub(super) struct PeriodOrNone(pub Option<Duration>);

/// A duration or `"all"`.
#[derive(Clone, Copy)]
pub(super) struct PeriodOrAll(pub InitialLookback);

/// Bytes: a number, or a text such as `"2GiB"`; it may be zero.
#[derive(Clone, Copy)]
pub(super) struct Size(pub u64);

/// A whole number; it may be zero.
#[derive(Clone, Copy)]
pub(super) struct Count(pub u32);

/// A syslog facility's number, from its number or its name.
#[derive(Clone, Copy)]
pub(super) struct Facility(pub u8);

/// Where a syslog severity comes from: `"event"`, or one by its number or its name.
#[derive(Clone, Copy)]
pub(super) struct Severity(pub SyslogSeverity);

/// A duration as a person would write it: in the largest unit that has no fraction.
pub(super) fn shown(time: Duration) -> String {
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
    ];
    let millis = time.as_millis();
    let unit = units.iter().find(|(unit, _)| millis.is_multiple_of(*unit));
    unit.map_or_else(
        || format!("{millis}ms"),
        |(unit, name)| format!("{}{name}", millis / unit),
    )
}

/// The facilities in the order of their numbers.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// The severities in the order of their numbers.
const SEVERITIES: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

impl FromScalar for Period {
    fn from_scalar(written: &Scalar) -> Result<Self, String> {
        period(written, r#"such as "10m" or "3d""#).map(Self)
    }
}

impl FromScalar for PeriodOrNone {
    fn from_scalar(written: &Scalar) -> Result<Self, String> {
        match written {
            Scalar::Text(text) if text == "none" => Ok(Self(None)),
            _ => period(written, r#"such as "10m", "3d", or "none""#).map(|time| Self(Some(time))),
        }
    }
}

impl FromScalar for PeriodOrAll {
    fn from_scalar(written: &Scalar) -> Result<Self, String> {
        match written {
            Scalar::Text(text) if text == "all" => Ok(Self(InitialLookback::All)),
            _ => period(written, r#"such as "10m", "3d", or "all""#)
                .map(|time| Self(InitialLookback::Since(time))),
        }
    }
}

fn period(written: &Scalar, example: &str) -> Result<Duration, String> {
    let time = match written {
        // humantime reads "M" as a month, who writes it means a minute: better to ask.
        Scalar::Text(text) if !text.contains('M') => humantime::parse_duration(text).ok(),
        _ => None,
    };
    match time {
        Some(time) if time <= LONGEST_PERIOD => Ok(time),
        Some(_) => Err(format!("{written} is longer than 100 years")),
        None => Err(format!(
            "{written} is not a duration; write a number and a unit, {example}"
        )),
    }
}

impl FromScalar for Size {
    fn from_scalar(written: &Scalar) -> Result<Self, String> {
        let bytes = match written {
            Scalar::Text(text) => text.parse::<ByteSize>().ok().map(|size| size.as_u64()),
            Scalar::Integer(bytes) => u64::try_from(*bytes).ok(),
            Scalar::Other(_) => None,
        };
        bytes.map(Self).ok_or_else(|| {
            format!(
                "{written} is not a size; write a number of bytes or a number and a unit, such \
                 as 1000000, \"512MiB\" or \"2GiB\""
            )
        })
    }
}

impl FromScalar for Count {
    fn from_scalar(written: &Scalar) -> Result<Self, String> {
        let number = match written {
            Scalar::Integer(number) => u32::try_from(*number).ok(),
            _ => None,
        };
        number.map(Self).ok_or_else(|| {
            format!(
                "{written} is not a count; write a whole number from 1 to {}",
                u32::MAX
            )
        })
    }
}

impl FromScalar for Facility {
    fn from_scalar(written: &Scalar) -> Result<Self, String> {
        numbered(written, &FACILITIES).map(Self).ok_or_else(|| {
            format!(
                "{written} is not a syslog facility; write a number from 0 to 23 or one of {}",
                FACILITIES.join(", ")
            )
        })
    }
}

impl FromScalar for Severity {
    fn from_scalar(written: &Scalar) -> Result<Self, String> {
        if matches!(written, Scalar::Text(text) if text == "event") {
            return Ok(Self(SyslogSeverity::Event));
        }
        let number = numbered(written, &SEVERITIES).ok_or_else(|| {
            format!(
                "{written} is not a syslog severity; write \"event\", a number from 0 to 7 or one \
                 of {}",
                SEVERITIES.join(", ")
            )
        })?;
        Ok(Self(SyslogSeverity::Fixed(number)))
    }
}

/// A number below that of the names, from itself or from its name.
fn numbered(written: &Scalar, names: &[&str]) -> Option<u8> {
    let number = match written {
        Scalar::Text(text) => names.iter().position(|name| name == text),
        Scalar::Integer(number) => usize::try_from(*number).ok(),
        Scalar::Other(_) => None,
    };
    number
        .filter(|&number| number < names.len())
        .and_then(|number| u8::try_from(number).ok())
}

/// A single value as it is written.
pub(super) enum Scalar {
    Text(String),
    Integer(i64),
    /// A number with a fraction or a truth value: nothing here is written so.
    Other(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Other(written) => f.write_str(written),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(number)
            .map_or_else(|_| Scalar::Other(number.to_string()), Scalar::Integer))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other(number.to_string()))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Other(value.to_string()))
    }
}

/// Reads a value, or says what is written and what is allowed.
pub(super) trait FromScalar: Sized {
    fn from_scalar(written: &Scalar) -> Result<Self, String>;
}

pub(super) fn deserialize_scalar<'de, T: FromScalar, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    T::from_scalar(&Scalar::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// A blanket `impl<T: FromScalar> Deserialize for T` is not ours to write.
macro_rules! deserialize_from_scalar {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_scalar(deserializer)
            }
        }
    )*};
}

deserialize_from_scalar!(
    Period,
    PeriodOrNone,
    PeriodOrAll,
    Size,
    Count,
    Facility,
    Severity
);
