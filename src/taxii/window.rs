//! What to ask for next.

use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::config::{InitialLookback, ServiceConfig};

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

impl PollWindow {
    /// Without times: everything.
    pub const ALL: Self = Self {
        exclusive_begin: None,
        inclusive_end: None,
    };
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
    /// The rules of a service.
    #[must_use]
    pub fn of(service: &ServiceConfig) -> Self {
        Self {
            max_window: service.max_window,
            retention: service.retention,
            settle: service.settle,
            initial_lookback: service.initial_lookback,
        }
    }

    /// The next window, or none while there is nothing to ask for.
    ///
    /// `span` shortens it after failures; an unbounded first window becomes bounded by it. Windows
    /// follow each other oldest first, since the oldest content expires first, and adjacent ones
    /// meet exactly.
    #[must_use]
    pub fn next(
        &self,
        checkpoint: Option<&Timestamp>,
        server_now: DateTime<Utc>,
        span: Option<Duration>,
    ) -> Option<PollWindow> {
        let Some(begin) = self.begin(checkpoint, server_now, span) else {
            return Some(PollWindow {
                exclusive_begin: None,
                inclusive_end: None,
            });
        };
        let settled = back(server_now, self.settle);
        let end = match self
            .longest(span)
            .map(|longest| begin.time().checked_add_signed(delta(longest)))
        {
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
    pub fn is_behind(
        &self,
        checkpoint: Option<&Timestamp>,
        server_now: DateTime<Utc>,
        span: Option<Duration>,
    ) -> bool {
        self.margin(checkpoint, server_now, span)
            .is_some_and(|margin| margin < TimeDelta::zero())
    }

    /// How long until it is behind; none if it is, or never will be.
    #[must_use]
    pub fn behind_in(
        &self,
        checkpoint: Option<&Timestamp>,
        server_now: DateTime<Utc>,
        span: Option<Duration>,
    ) -> Option<Duration> {
        const A_MOMENT: Duration = Duration::from_millis(1);
        let margin = self.margin(checkpoint, server_now, span)?;
        margin.to_std().ok()?.checked_add(A_MOMENT)
    }

    /// What one window holds beyond what waits; none where nothing bounds it.
    fn margin(
        &self,
        checkpoint: Option<&Timestamp>,
        server_now: DateTime<Utc>,
        span: Option<Duration>,
    ) -> Option<TimeDelta> {
        let begin = self.begin(checkpoint, server_now, span)?;
        let waits = back(server_now, self.settle) - begin.time();
        delta(self.longest(span)?).checked_sub(&waits)
    }

    /// Where the next window begins; none at the beginning of the collection.
    #[must_use]
    pub fn begin(
        &self,
        checkpoint: Option<&Timestamp>,
        server_now: DateTime<Utc>,
        span: Option<Duration>,
    ) -> Option<Timestamp> {
        let oldest = || Timestamp::from(back(server_now, self.retention));
        match (checkpoint, self.initial_lookback) {
            (Some(checkpoint), _) if checkpoint.time() < oldest().time() => Some(oldest()),
            (Some(checkpoint), _) => Some(checkpoint.clone()),
            (None, InitialLookback::Since(lookback)) => {
                Some(Timestamp::from(back(server_now, lookback)))
            }
            // All at once has failed: from here on piece by piece.
            (None, InitialLookback::All) => span.map(|_| oldest()),
        }
    }

    fn longest(&self, span: Option<Duration>) -> Option<Duration> {
        match (self.max_window, span) {
            (Some(max), Some(span)) => Some(max.min(span)),
            (max, span) => max.or(span),
        }
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
    fn a_first_window_without_bounds_gets_them_when_it_fails() {
        let rules = WindowRules {
            max_window: None,
            initial_lookback: InitialLookback::All,
            ..rules()
        };
        let now = at("2015-02-01T00:00:00Z");
        let window = rules.next(None, now, Some(DAY)).unwrap();
        let text = |stamp: Option<Timestamp>| stamp.unwrap().to_string();
        assert_eq!(text(window.exclusive_begin), "2015-01-02T00:00:00Z");
        assert_eq!(text(window.inclusive_end), "2015-01-03T00:00:00Z");
    }

    #[test]
    fn behind_is_more_than_one_window_of_the_length_that_is_asked_for() {
        let checkpoint = Timestamp::parse("2015-01-30T00:00:00Z").unwrap();
        let behind = |rules: &WindowRules, span| {
            rules.is_behind(Some(&checkpoint), at("2015-02-01T00:00:00Z"), span)
        };
        assert!(!behind(&rules(), None));
        assert!(behind(&rules(), Some(DAY)));
        let unbounded = WindowRules {
            max_window: None,
            ..rules()
        };
        assert!(!behind(&unbounded, None));
        assert!(behind(&unbounded, Some(DAY)));
        assert!(rules().is_behind(None, at("2015-02-01T00:00:00Z"), None));
    }

    #[test]
    fn it_is_behind_when_it_was_said_to_be() {
        let checkpoint = Timestamp::parse("2015-01-31T00:00:00Z").unwrap();
        let is_behind = |now| rules().is_behind(Some(&checkpoint), now, None);
        let now = at("2015-02-01T00:00:00Z");
        let left = rules().behind_in(Some(&checkpoint), now, None).unwrap();
        assert_eq!(left, 2 * DAY + Duration::from_millis(60_001));
        let then = now + delta(left);
        assert!(is_behind(then) && !is_behind(then - TimeDelta::milliseconds(1)));
        assert_eq!(rules().behind_in(Some(&checkpoint), then, None), None);
        let unbounded = WindowRules {
            max_window: None,
            ..rules()
        };
        assert_eq!(unbounded.behind_in(Some(&checkpoint), now, None), None);
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
