//! How many flights one peer gets at once: more while its answers are quick, fewer when it is
//! busy.

use std::time::Duration;

/// An answer that took more than this many times the usual is slow.
const SLOW: f64 = 3.0;
/// How much the last answer counts for what is usual.
const WEIGHT: f64 = 0.1;

/// The present limit on flights at one peer: additive increase, multiplicative decrease.
#[derive(Debug, Clone)]
pub struct Concurrency {
    /// At least 1, at most `max`; parts of a flight count once they make a whole one.
    limit: f64,
    max: f64,
    /// What an answer usually takes, in seconds.
    usual: Option<f64>,
}

impl Concurrency {
    /// Begins with one flight; a `max` of zero is one.
    #[must_use]
    pub fn new(max: u32) -> Self {
        Self {
            limit: 1.0,
            max: f64::from(max.max(1)),
            usual: None,
        }
    }

    /// The most flights at once.
    #[must_use]
    pub fn limit(&self) -> usize {
        // Between 1 and a u32.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the limit lies between 1 and a u32"
        )]
        let limit = self.limit as usize;
        limit
    }

    /// A flight was answered well after this long. `was_full` is whether there were as many as
    /// allowed: only then does the answer say that there may be more.
    pub fn delivered(&mut self, took: Duration, was_full: bool) {
        let took = took.as_secs_f64();
        let usual = *self.usual.get_or_insert(took);
        let is_slow = took > usual * SLOW;
        self.usual = Some(usual + (took - usual) * WEIGHT);
        if is_slow {
            self.limit = (self.limit - 1.0 / self.limit).max(1.0);
        } else if was_full {
            self.limit = (self.limit + 1.0 / self.limit).min(self.max);
        }
    }

    /// The peer asked for less, or did not answer: half as many.
    pub fn congested(&mut self) {
        self.limit = (self.limit / 2.0).max(1.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUICK: Duration = Duration::from_millis(10);

    #[test]
    fn grows_by_one_a_round_up_to_the_limit_while_answers_are_quick() {
        let mut concurrency = Concurrency::new(3);
        let mut limits = Vec::new();
        for _ in 0..8 {
            limits.push(concurrency.limit());
            concurrency.delivered(QUICK, true);
        }
        assert_eq!(limits, [1, 2, 2, 2, 3, 3, 3, 3]);
    }

    #[test]
    fn does_not_grow_on_what_it_has_not_tried() {
        let mut concurrency = Concurrency::new(8);
        for _ in 0..100 {
            concurrency.delivered(QUICK, false);
        }
        assert_eq!(concurrency.limit(), 1);
    }

    #[test]
    fn a_busy_peer_gets_half_and_a_slow_one_less() {
        let mut concurrency = Concurrency::new(8);
        for _ in 0..100 {
            concurrency.delivered(QUICK, true);
        }
        assert_eq!(concurrency.limit(), 8);
        concurrency.congested();
        assert_eq!(concurrency.limit(), 4);
        for _ in 0..3 {
            concurrency.delivered(QUICK * 50, true);
        }
        assert_eq!(concurrency.limit(), 3);
    }

    proptest! {
        #[test]
        fn stays_between_one_and_the_maximum(
            max in 0..100_u32,
            answers in prop::collection::vec((0..100_000_u64, any::<bool>(), 0..5_u8), 0..300),
        ) {
            let mut concurrency = Concurrency::new(max);
            for (micros, was_full, kind) in answers {
                match kind {
                    0 => concurrency.congested(),
                    _ => concurrency.delivered(Duration::from_micros(micros), was_full),
                }
                prop_assert!((1..=max.max(1) as usize).contains(&concurrency.limit()));
            }
        }
    }
}
