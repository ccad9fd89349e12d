//! How many messages a minute are taken. Pure.

use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Lets so many pass in a minute, as many as that at once after a quiet one.
#[derive(Debug)]
pub(super) struct Rate {
    /// The time that each of them stands for.
    each: Duration,
    /// The time that those stand for that have passed, less what has gone by since.
    owed: Duration,
    /// When that was so, by a clock without jumps.
    at: Duration,
}

impl Rate {
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            each: MINUTE / per_minute.max(1),
            owed: Duration::ZERO,
            at: Duration::ZERO,
        }
    }

    /// Lets one pass, or tells how long until one may.
    pub(super) fn pass(&mut self, now: Duration) -> Result<(), Duration> {
        self.owed = self.owed.saturating_sub(now.saturating_sub(self.at));
        self.at = now;
        let owed = self.owed + self.each;
        let too_much = owed.saturating_sub(MINUTE);
        if too_much.is_zero() {
            self.owed = owed;
            return Ok(());
        }
        Err(too_much)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_many_at_once_as_in_a_minute_and_then_at_an_even_pace() {
        let mut rate = Rate::new(3);
        let at = Duration::from_secs;
        for _ in 0..3 {
            assert_eq!(rate.pass(at(1)), Ok(()));
        }
        assert_eq!(rate.pass(at(1)), Err(at(20)));
        assert_eq!(rate.pass(at(20)), Err(at(1)));
        assert_eq!(rate.pass(at(21)), Ok(()));
        assert_eq!(rate.pass(at(21)), Err(at(20)));
        for _ in 0..3 {
            assert_eq!(rate.pass(at(500)), Ok(()));
        }
        assert_eq!(rate.pass(at(500)), Err(at(20)));
    }

    proptest! {
        #[test]
        fn in_any_time_no_more_than_a_burst_and_the_pace(
            per_minute in 1_u32..200,
            pauses in prop::collection::vec(0_u64..3000, 1..400),
        ) {
            let mut rate = Rate::new(per_minute);
            let (mut now, mut passed) = (Duration::ZERO, Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                if rate.pass(now).is_ok() {
                    passed.push(now);
                }
            }
            for (first, begin) in passed.iter().enumerate() {
                for (last, end) in passed.iter().enumerate().skip(first) {
                    let pace = MINUTE + end.saturating_sub(*begin);
                    // The time that each stands for is cut to nanoseconds.
                    let most = pace.as_nanos() / (MINUTE / per_minute).as_nanos();
                    prop_assert!(((last - first) as u128) < most);
                }
            }
        }

        #[test]
        fn who_waits_as_long_as_he_is_told_passes(
            per_minute in 1_u32..2000,
            tries in 1_usize..100,
        ) {
            let mut rate = Rate::new(per_minute);
            let mut now = Duration::from_secs(5);
            for _ in 0..tries {
                if let Err(wait) = rate.pass(now) {
                    prop_assert!(!wait.is_zero() && wait <= MINUTE);
                    now += wait;
                    prop_assert_eq!(rate.pass(now), Ok(()));
                }
            }
        }
    }
}
