//! How long a failed delivery waits: exponential, with full jitter, for ever.

use std::time::Duration;

/// The longest wait that a receiver can ask for; a broken proxy must not stop us for a week.
const MAX_ASKED_WAIT: Duration = Duration::from_secs(60 * 60);

/// Grows with each failure in a row.
#[derive(Debug, Clone)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    failures: u32,
}

/// The limits of a back-off make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBackoff {
    /// Without a wait, a fault would be a busy loop.
    #[error("the first wait must be longer than zero")]
    Zero,
    /// The ceiling is below the first wait.
    #[error("the longest wait ({max:?}) must not be shorter than the first ({initial:?})")]
    CeilingTooLow {
        /// The ceiling of the first wait.
        initial: Duration,
        /// The ceiling of every wait.
        max: Duration,
    },
}

impl Backoff {
    /// Waits up to `initial` after the first failure, up to `max` after many.
    pub fn new(initial: Duration, max: Duration) -> Result<Self, InvalidBackoff> {
        if initial.is_zero() {
            return Err(InvalidBackoff::Zero);
        }
        if max < initial {
            return Err(InvalidBackoff::CeilingTooLow { initial, max });
        }
        Ok(Self {
            initial,
            max,
            failures: 0,
        })
    }

    /// Counts a failure and says how long to wait before the next attempt.
    ///
    /// Full jitter: anything between nothing and the ceiling, so that many agents that failed
    /// together do not come back together. What the receiver asked for comes first, up to an hour.
    pub fn wait(&mut self, asked: Option<Duration>, random: &mut fastrand::Rng) -> Duration {
        let jitter = self.ceiling().mul_f64(random.f64());
        self.failures = self.failures.saturating_add(1);
        asked.unwrap_or_default().min(MAX_ASKED_WAIT) + jitter
    }

    /// An attempt went through: the next failure is a first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn ceiling(&self) -> Duration {
        2_u32
            .checked_pow(self.failures)
            .and_then(|factor| self.initial.checked_mul(factor))
            .map_or(self.max, |wait| wait.min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn ceiling_doubles_up_to_the_limit_and_starts_again_after_a_success() {
        let mut backoff = Backoff::new(seconds(1), seconds(10)).unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        let mut ceilings = Vec::new();
        for _ in 0..6 {
            ceilings.push(backoff.ceiling().as_secs());
            backoff.wait(None, &mut random);
        }
        assert_eq!(ceilings, [1, 2, 4, 8, 10, 10]);
        assert_eq!(backoff.failures(), 6);
        backoff.reset();
        assert_eq!(backoff.ceiling(), seconds(1));
    }

    #[test]
    fn waits_use_the_whole_range() {
        let mut random = fastrand::Rng::with_seed(7);
        let waits: Vec<_> = (0..1000)
            .map(|_| {
                Backoff::new(seconds(1), seconds(10))
                    .unwrap()
                    .wait(None, &mut random)
            })
            .collect();
        assert!(waits.iter().min().unwrap() < &Duration::from_millis(50));
        assert!(waits.iter().max().unwrap() > &Duration::from_millis(950));
    }

    #[test]
    fn what_the_receiver_asks_for_is_the_least() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut backoff = Backoff::new(seconds(1), seconds(10)).unwrap();
        let wait = backoff.wait(Some(seconds(120)), &mut random);
        assert!((seconds(120)..=seconds(121)).contains(&wait), "{wait:?}");
        let absurd = backoff.wait(Some(seconds(10_000_000)), &mut random);
        assert!(absurd <= MAX_ASKED_WAIT + seconds(10), "{absurd:?}");
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(
            Backoff::new(Duration::ZERO, seconds(1)).unwrap_err(),
            InvalidBackoff::Zero
        );
        let error = Backoff::new(seconds(2), seconds(1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the longest wait (1s) must not be shorter than the first (2s)"
        );
    }

    proptest! {
        #[test]
        fn never_beyond_the_ceiling(
            seed: u64,
            initial in 1..10_000_u64,
            more in 0..1_000_000_u64,
            failures in 0..200_u32,
        ) {
            let max = Duration::from_millis(initial + more);
            let mut backoff = Backoff::new(Duration::from_millis(initial), max).unwrap();
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..=failures {
                prop_assert!(backoff.wait(None, &mut random) <= max);
            }
        }
    }
}
