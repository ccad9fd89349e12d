//! What to ask for next.

use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::config::InitialLookback;

/// The shortest window that a failing one is halved to.
pub const MIN_WINDOW: Duration = Duration::from_secs(5 * 60);

/// The range that a poll asks for: after `exclusive_begin`, up to and with `inclusive_end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollWindow {
    /// None asks from the beginning of the collection.
    pub exclusive_begin: Option<Timestamp>,
    /// None asks up to the service's present.
    pub inclusive_end: Option<Timestamp>,
}

/// What bounds the windows of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowRules {
    /// The longest range; the service would silently cut a longer one.
    pub max_window: Option<Duration>,
    /// How long the service keeps its content.
    pub retention: Duration,
    /// How far behind the service's clock a window ends: what arrives late is still in the next.
    pub settle: Duration,
    /// What to ask for without a checkpoint.
    pub initial_lookback: InitialLookback,
}

impl WindowRules {
    /// The next window, or none while there is nothing to ask for.
    ///
    /// `span` shortens it after failures. Windows follow each other oldest first, since the oldest
    /// content expires first, and adjacent ones meet exactly.
    #[must_use]
    pub fn next(
        &self,
        checkpoint: Option<&Timestamp>,
        server_now: DateTime<Utc>,
        span: Option<Duration>,
    ) -> Option<PollWindow> {
        let begin = match (checkpoint, self.initial_lookback) {
            (Some(checkpoint), _) => {
                let oldest = Timestamp::from(back(server_now, self.retention));
                if oldest.time() > checkpoint.time() {
                    oldest
                } else {
                    checkpoint.clone()
                }
            }
            (None, InitialLookback::Since(lookback)) => Timestamp::from(back(server_now, lookback)),
            (None, InitialLookback::All) => {
                return Some(PollWindow {
                    exclusive_begin: None,
                    inclusive_end: None,
                });
            }
        };
        let settled = back(server_now, self.settle);
        let longest = match (self.max_window, span) {
            (Some(max), Some(span)) => Some(max.min(span)),
            (max, span) => max.or(span),
        };
        let end = match longest.map(|longest| begin.time().checked_add_signed(delta(longest))) {
            Some(Some(farthest)) => settled.min(farthest),
            _ => settled,
        };
        (end > begin.time()).then(|| PollWindow {
            exclusive_begin: Some(begin),
            inclusive_end: Some(Timestamp::from(end)),
        })
    }

    /// Whether more than one whole window waits: then the collection is polled at every opening of
    /// its gate, whatever the schedule says.
    #[must_use]
    pub fn is_behind(&self, checkpoint: Option<&Timestamp>, server_now: DateTime<Utc>) -> bool {
        let Some(max_window) = self.max_window else {
            return false;
        };
        let begin = match (checkpoint, self.initial_lookback) {
            (Some(checkpoint), _) => checkpoint.time().max(back(server_now, self.retention)),
            (None, InitialLookback::Since(lookback)) => back(server_now, lookback),
            (None, InitialLookback::All) => return false,
        };
        back(server_now, self.settle) - begin > delta(max_window)
    }

    /// How much of the checkpoint's history the service no longer keeps.
    #[must_use]
    pub fn expired(
        &self,
        checkpoint: Option<&Timestamp>,
        server_now: DateTime<Utc>,
    ) -> Option<TimeDelta> {
        let oldest = back(server_now, self.retention);
        let missing = oldest - checkpoint?.time();
        (missing > GAP_TOLERANCE).then_some(missing)
    }
}

/// A gap of less than this is none.
pub const GAP_TOLERANCE: TimeDelta = TimeDelta::seconds(1);

/// A failing window's next span: half of it, but not below [`MIN_WINDOW`].
#[must_use]
pub fn halve(span: Duration) -> Duration {
    (span / 2).max(MIN_WINDOW.min(span))
}

/// Whole milliseconds, so that what is sent is what is meant.
fn back(from: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let moment = from
        .checked_sub_signed(delta(by))
        .unwrap_or(DateTime::<Utc>::MIN_UTC);
    moment
        .duration_trunc(TimeDelta::milliseconds(1))
        .unwrap_or(moment)
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn rules() -> WindowRules {
        WindowRules {
            max_window: Some(3 * DAY),
            retention: 30 * DAY,
            settle: Duration::from_secs(60),
            initial_lookback: InitialLookback::Since(30 * DAY),
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        Timestamp::parse(text).unwrap().time()
    }

    #[track_caller]
    fn check(rules: &WindowRules, checkpoint: Option<&str>, now: &str, expect: &str) {
        let checkpoint = checkpoint.map(|text| Timestamp::parse(text).unwrap());
        let shown = |stamp: Option<Timestamp>| stamp.map_or("-".into(), |s| s.to_string());
        let got = rules.next(checkpoint.as_ref(), at(now), None).map_or_else(
            || "nothing".to_owned(),
            |w| format!("{} .. {}", shown(w.exclusive_begin), shown(w.inclusive_end)),
        );
        assert_eq!(got, expect);
    }

    #[test]
    fn windows() {
        let now = "2015-02-01T00:00:00.1234567Z";
        // The first looks back and is cut to the longest range.
        check(
            &rules(),
            None,
            now,
            "2015-01-02T00:00:00.123Z .. 2015-01-05T00:00:00.123Z",
        );
        // A checkpoint goes back as it came.
        check(
            &rules(),
            Some("2015-01-31T00:00:00+01:00"),
            now,
            "2015-01-31T00:00:00+01:00 .. 2015-01-31T23:59:00.123Z",
        );
        // What the service no longer has is not asked for.
        check(
            &rules(),
            Some("2014-01-31T00:00:00Z"),
            now,
            "2015-01-02T00:00:00.123Z .. 2015-01-05T00:00:00.123Z",
        );
        check(&rules(), Some("2015-01-31T23:59:30Z"), now, "nothing");
        let unbounded = WindowRules {
            max_window: None,
            initial_lookback: InitialLookback::All,
            ..rules()
        };
        check(&unbounded, None, now, "- .. -");
        check(
            &unbounded,
            Some("2015-01-05T00:00:00Z"),
            now,
            "2015-01-05T00:00:00Z .. 2015-01-31T23:59:00.123Z",
        );
    }

    #[test]
    fn halving_stops_at_the_floor() {
        assert_eq!(halve(DAY), DAY / 2);
        assert_eq!(halve(Duration::from_secs(400)), MIN_WINDOW);
        assert_eq!(halve(MIN_WINDOW), MIN_WINDOW);
        assert_eq!(halve(Duration::from_secs(1)), Duration::from_secs(1));
    }

    proptest! {
        /// Under any clock, going forth and back: windows meet exactly, never overlap, are never
        /// longer than allowed and never end ahead of the service's settled time.
        #[test]
        fn consecutive_windows_meet_exactly(
            steps in prop::collection::vec(-200_000_i64..400_000, 1..200),
            span in prop::option::of(1_u64..500_000),
        ) {
            let rules = rules();
            let span = span.map(Duration::from_secs);
            let mut now = at("2015-02-01T00:00:00.0004Z");
            let mut checkpoint: Option<Timestamp> = None;
            for step in steps {
                now += TimeDelta::seconds(step);
                let Some(window) = rules.next(checkpoint.as_ref(), now, span) else {
                    continue;
                };
                let begin = window.exclusive_begin.unwrap();
                let end = window.inclusive_end.unwrap();
                if let Some(checkpoint) = &checkpoint {
                    let expired = checkpoint.time() < now - TimeDelta::days(30);
                    if !expired {
                        prop_assert_eq!(&begin, checkpoint);
                    }
                    prop_assert!(begin.time() >= checkpoint.time());
                }
                prop_assert!(end.time() > begin.time());
                prop_assert!(end.time() - begin.time() <= TimeDelta::days(3));
                prop_assert!(end.time() <= now - TimeDelta::seconds(60));
                if let Some(span) = span {
                    prop_assert!(end.time() - begin.time() <= TimeDelta::from_std(span).unwrap());
                }
                prop_assert!(end.text().len() <= "2015-01-01T00:00:00.000Z".len());
                checkpoint = Some(end);
            }
        }
    }
}
