//! A moment as a person writes it.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// A time as TAXII can state it.
pub(super) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc().trunc_subsecs(6))
        .map_err(|_| {
            "write date, time and zone (RFC 3339), such as 2026-03-01T00:00:00Z or \
             2026-03-01T01:00:00+01:00"
                .to_owned()
        })
}

/// The same, or how long ago.
pub(super) fn moment_or_ago(text: &str) -> Result<DateTime<Utc>, String> {
    let Some(ago) = text.strip_prefix('-') else {
        return moment(text).map_err(|hint| format!("{hint}; or how long ago, such as -3d"));
    };
    let moment = TimeDelta::from_std(span(ago)?).ok();
    let moment = moment.and_then(|ago| Utc::now().checked_sub_signed(ago));
    moment.ok_or_else(|| "that is before all time".to_owned())
}

/// A time span as a person writes it.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    // humantime reads "M" as a month, who writes it means a minute: better to ask.
    let span = humantime::parse_duration(text)
        .ok()
        .filter(|_| !text.contains('M'));
    span.ok_or_else(|| "write how long ago as a number and a unit, such as -3d or -90m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taxii::Timestamp;

    #[test]
    fn how_long_ago() {
        let moment = moment_or_ago("-3d").unwrap();
        let ago = (Utc::now() - moment).num_seconds();
        assert!((3 * 86_400..3 * 86_400 + 60).contains(&ago), "{ago}");
        assert!(moment_or_ago("2026-03-01T00:00:00Z").is_ok());
        for wrong in ["-", "-3", "-3M", "--3d", "3d", "-999999999years"] {
            assert!(moment_or_ago(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments() {
        let shown = |text| moment(text).map(|time| Timestamp::from(time).text().to_owned());
        let utc = "2026-03-01T00:00:00Z";
        assert_eq!(shown(utc).unwrap(), utc);
        assert_eq!(shown("2026-03-01T01:00:00+01:00").unwrap(), utc);
        let fine = "2026-03-01T00:00:00.123456789Z";
        assert_eq!(shown(fine).unwrap(), "2026-03-01T00:00:00.123456Z");
        for wrong in ["2026-03-01", "2026-03-01T00:00:00", "yesterday", ""] {
            assert!(shown(wrong).unwrap_err().contains("RFC 3339"), "{wrong}");
        }
    }
}
