//! The gate: no more polls than the provider allows.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::Now;

/// The longest time added to the interval, for clocks that do not run alike.
const MAX_MARGIN: Duration = Duration::from_secs(1);

/// Opens once in an interval.
///
/// Inside the process it keeps monotonic time; across restarts the moment of the last poll is kept
/// as wall clock time, and no clock can close it for longer than one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    interval: Duration,
    opens: Duration,
}

impl Gate {
    /// The gate as it is after a start; `last_poll` is the moment that the state holds.
    #[must_use]
    pub fn restore(
        min_poll_interval: Duration,
        last_poll: Option<DateTime<Utc>>,
        now: Now,
    ) -> Self {
        let interval = with_margin(min_poll_interval);
        let closed_for = last_poll.map_or(Duration::ZERO, |last| {
            match (now.utc - last).to_std() {
                Ok(passed) => interval.saturating_sub(passed),
                // The last poll lies ahead of the clock, which has been set back since.
                Err(_) => interval,
            }
        });
        Self {
            interval,
            opens: now.monotonic + closed_for,
        }
    }

    /// The same gate where the provider allows another interval: it opens that long after the last poll.
    #[must_use]
    pub fn with_interval(self, min_poll_interval: Duration) -> Self {
        let interval = with_margin(min_poll_interval);
        let shorter = self.interval.saturating_sub(interval);
        let longer = interval.saturating_sub(self.interval);
        let opens = self.opens.saturating_sub(shorter) + longer;
        Self { interval, opens }
    }

    /// A request is sent, or the head of its answer has come: the latest moment that the service
    /// can have counted from.
    pub fn polled(&mut self, now: Now) {
        self.opens = now.monotonic + self.interval;
    }

    /// Nothing was sent after all: open again.
    pub fn open(&mut self, now: Now) {
        self.opens = now.monotonic;
    }

    /// How long the gate stays closed, zero if it is open.
    #[must_use]
    pub fn closed_for(&self, now: Now) -> Duration {
        self.opens.saturating_sub(now.monotonic)
    }

    /// The time between two polls.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }
}

/// A tenth is enough where polls are seconds apart, as in tests and demonstrations.
fn with_margin(min_poll_interval: Duration) -> Duration {
    min_poll_interval + MAX_MARGIN.min(min_poll_interval / 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_secs(600);

    fn now(utc_s: i64, monotonic_s: u64) -> Now {
        Now {
            utc: DateTime::from_timestamp(1_400_000_000 + utc_s, 0).unwrap(),
            monotonic: Duration::from_secs(monotonic_s),
        }
    }

    #[test]
    fn another_interval_counts_from_the_same_poll() {
        let mut gate = Gate::restore(INTERVAL, None, now(0, 0));
        assert_eq!(gate.clone().with_interval(INTERVAL), gate);
        gate.polled(now(0, 1000));
        for interval in [INTERVAL / 2, INTERVAL, INTERVAL * 2] {
            let mut other = Gate::restore(interval, None, now(0, 0));
            other.polled(now(0, 1000));
            assert_eq!(gate.clone().with_interval(interval), other);
        }
    }

    #[test]
    fn it_opens_an_interval_and_a_second_later() {
        let mut gate = Gate::restore(INTERVAL, None, now(0, 0));
        assert_eq!(gate.closed_for(now(0, 0)), Duration::ZERO);
        gate.polled(now(0, 0));
        assert_eq!(gate.closed_for(now(0, 600)), Duration::from_secs(1));
        assert_eq!(gate.closed_for(now(0, 601)), Duration::ZERO);
    }

    #[test]
    fn a_restart_goes_on_waiting() {
        let last = now(0, 0).utc;
        for (passed, closed) in [(0, 601), (600, 1), (601, 0), (9999, 0), (-9999, 601)] {
            let gate = Gate::restore(INTERVAL, Some(last), now(passed, 7));
            let closed = Duration::from_secs(closed);
            assert_eq!(gate.closed_for(now(passed, 7)), closed, "after {passed} s");
        }
    }

    #[test]
    fn short_intervals_have_a_short_margin() {
        let gate = Gate::restore(Duration::from_secs(2), None, now(0, 0));
        assert_eq!(gate.interval(), Duration::from_millis(2200));
    }

    proptest! {
        /// Whatever the wall clock does inside a process, two polls are never closer than the
        /// interval in real time, and no clock closes the gate for longer than one interval.
        #[test]
        fn under_any_clock(steps in prop::collection::vec((0_u64..400, -5000_i64..5000, any::<bool>()), 1..200)) {
            let mut clock = now(0, 0);
            let mut gate = Gate::restore(INTERVAL, None, clock);
            let mut last_poll: Option<(Duration, DateTime<Utc>)> = None;
            for (passes, jump, restart) in steps {
                clock.monotonic += Duration::from_secs(passes);
                clock.utc += TimeDelta::seconds(i64::try_from(passes).unwrap());
                if restart {
                    // Only what the wall clock says survives a restart; here it ran true.
                    gate = Gate::restore(INTERVAL, last_poll.map(|(_, utc)| utc), clock);
                } else {
                    clock.utc += TimeDelta::seconds(jump);
                    if let Some((_, utc)) = &mut last_poll {
                        *utc += TimeDelta::seconds(jump);
                    }
                }
                prop_assert!(gate.closed_for(clock) <= gate.interval());
                if gate.closed_for(clock).is_zero() {
                    if let Some((monotonic, _)) = last_poll {
                        prop_assert!(clock.monotonic >= monotonic + gate.interval());
                    }
                    gate.polled(clock);
                    last_poll = Some((clock.monotonic, clock.utc));
                }
            }
        }
    }
}
