//! When it is not the events that are bad.
//!
//! A receiver that refuses one event after the other is more likely broken than right. Then the
//! output holds, so that no good event is set aside as a dead letter.

/// Refusals in a row, without any delivery, that hold the output.
const LIMIT: u32 = 20;

/// Counts refusals of single events.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    refusals: u32,
    batches: Batches,
}

/// What to do with a refused event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// It is a dead letter.
    SetAside,
    /// It stays where it is: the output holds.
    Hold,
}

/// Which batches the refusals in a row came from.
#[derive(Debug, Clone, Copy, Default)]
enum Batches {
    #[default]
    None,
    One(u64),
    Several,
}

impl Breaker {
    /// A receiver of good repute.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One event of the batch with this number was refused.
    ///
    /// A single batch can be bad as a whole, so it takes two to hold. A held output stays held by
    /// every further refusal, until something is delivered or `reset` is called.
    pub fn refused(&mut self, batch: u64) -> Reaction {
        self.refusals = self.refusals.saturating_add(1);
        self.batches = match self.batches {
            Batches::None => Batches::One(batch),
            Batches::One(first) if first == batch => Batches::One(first),
            Batches::One(_) | Batches::Several => Batches::Several,
        };
        if self.refusals >= LIMIT && matches!(self.batches, Batches::Several) {
            Reaction::Hold
        } else {
            Reaction::SetAside
        }
    }

    /// At least one event was delivered: the receiver takes what is good.
    pub fn delivered(&mut self) {
        self.reset();
    }

    /// A person says that the refusals are right.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses `count` events of `batch` and says how many of them were set aside.
    fn set_aside(breaker: &mut Breaker, batch: u64, count: usize) -> usize {
        (0..count)
            .filter(|_| breaker.refused(batch) == Reaction::SetAside)
            .count()
    }

    #[test]
    fn the_twentieth_refusal_of_two_batches_holds_and_is_kept() {
        let mut breaker = Breaker::new();
        assert_eq!(set_aside(&mut breaker, 1, 10), 10);
        assert_eq!(set_aside(&mut breaker, 2, 10), 9);
        assert_eq!(set_aside(&mut breaker, 2, 100), 0);
    }

    #[test]
    fn one_bad_batch_does_not_hold_but_the_next_refusal_elsewhere_does() {
        let mut breaker = Breaker::new();
        assert_eq!(set_aside(&mut breaker, 1, 1000), 1000);
        assert_eq!(set_aside(&mut breaker, 2, 1), 0);
    }

    #[test]
    fn a_delivery_starts_the_count_again() {
        let mut breaker = Breaker::new();
        assert_eq!(set_aside(&mut breaker, 1, 5), 5);
        assert_eq!(set_aside(&mut breaker, 2, 14), 14);
        breaker.delivered();
        assert_eq!(set_aside(&mut breaker, 3, 19), 19);
        assert_eq!(set_aside(&mut breaker, 4, 1), 0);
        breaker.delivered();
        assert_eq!(set_aside(&mut breaker, 4, 1), 1);
    }
}
