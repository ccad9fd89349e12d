//! Which collections are behind which gate of a service, and when a gate was last passed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::{PollLimitScope, ServiceConfig};
use crate::state::Picture;

/// Between the time of a record and its being durable passes no more than this, as a rule.
pub(super) const SLOW_RECORD: Duration = Duration::from_secs(1);

/// The gates of a service, by their names in the ledger, with the collections behind each.
#[must_use]
pub fn gates(service: &ServiceConfig) -> Vec<(String, Vec<String>)> {
    match service.poll_limit_scope {
        PollLimitScope::Service => vec![(service.name.clone(), service.collections.to_vec())],
        PollLimitScope::Collection => {
            let gate = |name: &String| (format!("{}/{name}", service.name), vec![name.clone()]);
            service.collections.iter().map(gate).collect()
        }
    }
}

/// The latest moment at which the last poll can have passed a gate. A change of the scope must not
/// open it: a poll of the service counts for each collection then, and one of a collection for the
/// service.
#[must_use]
pub fn last_poll(
    picture: &Picture,
    gate: &str,
    service: &str,
    connect_timeout: Duration,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let of_collections = format!("{service}/");
    let all = &picture.gates;
    let own = [gate, service].into_iter();
    let own = own.filter_map(|name| all.get_key_value(name));
    let of_all = all
        .range(of_collections.clone()..)
        .take_while(|(name, _)| gate == service && name.starts_with(&of_collections));
    let polls = own.chain(of_all);
    // The service counts from when it got the request, and that may have taken as long as it takes to
    // write the record and to connect, but not longer than until now.
    let sending = connect_timeout.saturating_add(SLOW_RECORD);
    let sending = TimeDelta::from_std(sending).unwrap_or(TimeDelta::MAX);
    let latest = |(name, at): (&String, &DateTime<Utc>)| {
        if !picture.unanswered.contains(name) {
            return *at;
        }
        let sent = at.checked_add_signed(sending).unwrap_or(now);
        sent.min(now.max(*at))
    };
    polls.map(latest).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{CollectionKey, Record};
    use crate::taxii::window::PollWindow;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_400_000_000 + second, 0).unwrap()
    }

    /// When the service can have counted the last poll at most, in seconds.
    fn latest(records: &[(i64, Record)], now: i64) -> Option<i64> {
        let mut picture = Picture::default();
        for (number, (second, record)) in (1..).zip(records) {
            picture.apply(number, at(*second), record);
        }
        let found = last_poll(&picture, "s", "s", Duration::from_secs(10), at(now));
        found.map(|found| (found - at(0)).num_seconds())
    }

    fn started() -> Record {
        Record::PollStarted {
            gate: "s".into(),
            key: CollectionKey {
                service: "s".into(),
                collection: "c".into(),
            },
            window: PollWindow {
                exclusive_begin: None,
                inclusive_end: None,
            },
        }
    }

    fn answered(counts: bool) -> Record {
        let gate = "s".into();
        Record::PollAnswered { gate, counts }
    }

    #[test]
    fn a_poll_without_an_answer_may_have_been_counted_until_now() {
        assert_eq!(latest(&[(0, started())], 4), Some(4));
        // It was connected by then, or it never was.
        assert_eq!(latest(&[(0, started())], 400), Some(11));
        // Our clock was set back.
        assert_eq!(latest(&[(0, started())], -50), Some(0));
        // Before the answer came another was never under way.
        assert_eq!(latest(&[(0, started()), (3, answered(true))], 400), Some(3));
        assert_eq!(latest(&[(0, started()), (3, answered(false))], 400), None);
    }
}
