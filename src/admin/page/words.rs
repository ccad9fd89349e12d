//! Numbers and times as a person reads them. Pure.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// A count, in groups of three digits.
pub(super) struct Count(pub(super) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// How many there are of something, in words.
pub(super) fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{} {}", Count(count), if count == 1 { one } else { more })
}

/// A length of time, in its two largest units.
pub(super) fn length(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let (first, second) = match (days, hours, minutes) {
        (0, 0, 0) => return format!("{rest}s"),
        (0, 0, _) => ((minutes, "m"), (rest, "s")),
        (0, ..) => ((hours, "h"), (minutes, "m")),
        _ => ((days, "d"), (hours, "h")),
    };
    let part = |(count, unit)| format!("{count}{unit}");
    match second.0 {
        0 => part(first),
        _ => format!("{} {}", part(first), part(second)),
    }
}

/// How long ago something was.
pub(super) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    if now - at < TimeDelta::seconds(2) {
        return "just now".to_owned();
    }
    format!("{} ago", length(now - at))
}

/// When something will be.
pub(super) fn ahead(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    if at <= now {
        return "now".to_owned();
    }
    format!("in {}", length(at - now))
}

/// A time for machines.
pub(super) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A time for people.
pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        for (count, expect) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(Count(count).to_string(), expect);
        }
        assert_eq!(counted(1, "event", "events"), "1 event");
        assert_eq!(counted(1200, "event", "events"), "1,200 events");
    }

    #[test]
    fn lengths() {
        for (seconds, expect) in [
            (-5, "0s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m 1s"),
            (3600, "1h"),
            (3660, "1h 1m"),
            (86_400, "1d"),
            (10 * 86_400 + 7200, "10d 2h"),
        ] {
            assert_eq!(length(TimeDelta::seconds(seconds)), expect);
        }
    }
}
