//! A moment as a person writes it.

use chrono::{DateTime, SubsecRound, Utc};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taxii::Timestamp;

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
