//! How bad an event is, in the words of each format. The table is in `docs/formats.md`.

use super::fields::{Fields, Item};

const CRITICAL: u8 = 2;
const ERROR: u8 = 3;
const WARNING: u8 = 4;
const NOTICE: u8 = 5;
const INFORMATIONAL: u8 = 6;

const MAX_RISK: u8 = 10;
/// What an event without a known risk counts as in CEF and LEEF.
const MIDDLE: u8 = 5;
/// A confidence in percent below this is a low one.
const LOW_CONFIDENCE_BELOW: u8 = 34;

/// What an event says of its risk and confidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rating {
    /// 0 to 10.
    risk: Option<u8>,
    is_doubtful: bool,
}

impl Rating {
    pub(super) fn of(fields: &Fields<'_>) -> Self {
        let mut rating = Self::default();
        for field in &fields.0 {
            let values = || field.value.items().iter().flat_map(values);
            match field.name.as_ref() {
                "risk" => rating.risk = values().filter_map(risk).max(),
                "confidence" => {
                    let is_low: Vec<bool> = values().filter_map(is_low).collect();
                    rating.is_doubtful = !is_low.is_empty() && is_low.iter().all(|&low| low);
                }
                _ => {}
            }
        }
        rating
    }

    /// Syslog's severity, 2 (critical) to 6 (informational).
    pub(super) fn syslog(self) -> u8 {
        let severity = match self.risk {
            Some(9..) => CRITICAL,
            Some(7..) => ERROR,
            Some(5..) => WARNING,
            Some(3..) | None => NOTICE,
            Some(_) => INFORMATIONAL,
        };
        (severity + u8::from(self.is_doubtful)).min(INFORMATIONAL)
    }

    /// CEF's Severity, 0 to 10.
    pub(super) fn cef(self) -> u8 {
        self.risk.unwrap_or(MIDDLE)
    }

    /// LEEF's sev, 1 to 10.
    pub(super) fn leef(self) -> u8 {
        self.cef().max(1)
    }
}

/// Several values of one field are joined by `"; "`.
fn values<'a>(item: &'a Item<'_>) -> impl Iterator<Item = &'a str> {
    item.as_str().split(';').map(str::trim)
}

fn risk(value: &str) -> Option<u8> {
    match value.to_ascii_lowercase().as_str() {
        "critical" => Some(10),
        "high" => Some(8),
        "medium" => Some(5),
        "low" => Some(3),
        "none" => Some(0),
        number => whole(number).map(|risk| risk.min(MAX_RISK)),
    }
}

fn is_low(confidence: &str) -> Option<bool> {
    match confidence.to_ascii_lowercase().as_str() {
        "high" | "medium" => Some(false),
        "low" | "none" => Some(true),
        number => whole(number).map(|percent| percent < LOW_CONFIDENCE_BELOW),
    }
}

/// A number without its fraction, 255 if it is larger.
fn whole(number: &str) -> Option<u8> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (is_digits(whole) && is_digits(fraction)).then(|| whole.parse().unwrap_or(u8::MAX))
}
