//! What the keys of CEF and LEEF can hold. A value that does not fit is sent under its own name, so
//! that a receiver neither refuses the message nor drops the value.

use std::borrow::Cow;

use core::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Timelike as _};

const MAX_DIGITS: usize = 18;

/// The type of a key's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A whole number, or milliseconds since 1970 UTC.
    Integer,
    /// Bytes.
    Amount,
    /// With or without a decimal point.
    Decimal,
    Port,
    Ipv4,
    Ipv6,
    /// `00:00:5e:00:53:01`
    Mac,
    /// A date with a zone, which becomes milliseconds since 1970 UTC.
    Instant,
}

impl Kind {
    /// The value as such a key holds it, if it can.
    pub(super) fn hold(self, value: &str) -> Option<Cow<'_, str>> {
        let fits = match self {
            Self::Instant => return milliseconds(value).map(Cow::Owned),
            Self::Text => true,
            Self::Integer => is_digits(value.strip_prefix('-').unwrap_or(value)),
            Self::Amount => is_digits(value),
            Self::Decimal => is_decimal(value),
            Self::Port => is_digits(value) && value.parse::<u16>().is_ok(),
            Self::Ipv4 => value.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => value.parse::<Ipv6Addr>().is_ok(),
            Self::Mac => is_mac(value),
        };
        fits.then_some(Cow::Borrowed(value))
    }
}

fn is_digits(text: &str) -> bool {
    (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_decimal(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    is_digits(whole) && is_digits(fraction)
}

fn is_mac(text: &str) -> bool {
    let is_byte = |byte: &str| byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit());
    text.split(':').count() == 6 && text.split(':').all(is_byte)
}

/// None for what is finer than a millisecond: it would be lost.
fn milliseconds(text: &str) -> Option<String> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    let is_whole = time.nanosecond() < 1_000_000_000 && time.nanosecond() % 1_000_000 == 0;
    is_whole.then(|| time.timestamp_millis().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Kind, fit: &[&str], others: &[&str]) {
        for value in fit {
            assert_eq!(kind.hold(value).as_deref(), Some(*value), "{kind:?}");
        }
        for value in others {
            assert_eq!(kind.hold(value), None, "{kind:?} {value:?}");
        }
    }

    #[test]
    fn what_fits() {
        let no_number = ["", "-", "+1", " 1", "1 ", "n/a", "1e3", "\u{661}", "0x1"];
        check(Kind::Text, &["", "\n"], &[]);
        check(Kind::Integer, &["0", "-580", "007"], &no_number);
        check(Kind::Integer, &["999999999999999999"], &["1.5", "--1"]);
        check(Kind::Integer, &[], &["1000000000000000000"]);
        check(Kind::Amount, &["0", "5368709120"], &no_number);
        check(Kind::Amount, &[], &["-1"]);
        check(Kind::Decimal, &["0.75", "-1", "1.0"], &no_number);
        check(Kind::Decimal, &[], &["1.", ".5", "1.2.3", "1.-2"]);
        check(Kind::Port, &["0", "65535"], &no_number);
        check(Kind::Port, &[], &["65536", "-1"]);
        check(
            Kind::Ipv4,
            &["192.0.2.231"],
            &["2001:db8::1", "192.0.2", "h"],
        );
        check(Kind::Ipv6, &["2001:db8::1"], &["192.0.2.231", "[::1]", "h"]);
        check(Kind::Mac, &["00:00:5e:00:53:01"], &["00:00:5e:00:53"]);
        check(Kind::Mac, &[], &["00-00-5e-00-53-01", "+0:00:5e:00:53:01"]);
    }

    #[test]
    fn a_date_becomes_milliseconds_unless_something_would_be_lost() {
        let milliseconds = |text| Kind::Instant.hold(text).map(Cow::into_owned);
        let expect = Some("1709541000250".to_owned());
        assert_eq!(milliseconds("2024-03-04T09:30:00.250+01:00"), expect);
        assert_eq!(milliseconds("2024-03-04T08:30:00.25Z"), expect);
        assert_eq!(milliseconds("2024-03-04T08:30:00.2501Z"), None);
        assert_eq!(milliseconds("2024-03-04T08:30:00"), None);
        assert_eq!(milliseconds("2016-12-31T23:59:60Z"), None);
        assert_eq!(milliseconds("yesterday"), None);
    }
}
