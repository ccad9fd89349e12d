//! How many events go out at once: halved when it is too much, grown back gently.

/// The growth after a success, as a part of the present size: six successes make good one halving,
/// so that a receiver's limit is not run into again at once.
const STEP: usize = 8;

/// The present limit on the events of one request.
#[derive(Debug, Clone)]
pub struct BatchSize {
    max: usize,
    now: usize,
}

/// What to do when a receiver says that a request was too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMuch {
    /// Send the first `limit` of them.
    Halve {
        /// Events; fewer than were sent.
        limit: usize,
    },
    /// It was one event alone, which cannot be halved: it is refused.
    Refuse,
}

impl BatchSize {
    /// Starts with the configured size; less than one event is one.
    #[must_use]
    pub fn new(max_events: usize) -> Self {
        let max = max_events.max(1);
        Self { max, now: max }
    }

    /// The most events to send at once.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.now
    }

    /// A request with `sent` events was too large.
    pub fn too_large(&mut self, sent: usize) -> TooMuch {
        if sent <= 1 {
            return TooMuch::Refuse;
        }
        self.now = (sent / 2).min(self.now);
        TooMuch::Halve { limit: self.now }
    }

    /// A request was taken, but the receiver asks for less at once.
    pub fn slow_down(&mut self) {
        self.now = (self.now / 2).max(1);
    }

    /// A request was taken.
    pub fn delivered(&mut self) {
        self.now = (self.now + (self.now / STEP).max(1)).min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_down_to_one_event_which_is_refused() {
        let mut size = BatchSize::new(1000);
        let mut limits = Vec::new();
        while let TooMuch::Halve { limit } = size.too_large(size.limit()) {
            limits.push(limit);
        }
        assert_eq!(limits, [500, 250, 125, 62, 31, 15, 7, 3, 1]);
        assert_eq!(size.limit(), 1);
    }

    #[test]
    fn a_short_batch_halves_what_was_sent() {
        let mut size = BatchSize::new(1000);
        assert_eq!(size.too_large(10), TooMuch::Halve { limit: 5 });
    }

    #[test]
    fn grows_back_in_steps_and_never_beyond() {
        let mut size = BatchSize::new(1600);
        size.too_large(1600);
        let mut limits = Vec::new();
        for _ in 0..7 {
            size.delivered();
            limits.push(size.limit());
        }
        assert_eq!(limits, [900, 1012, 1138, 1280, 1440, 1600, 1600]);
        size.slow_down();
        assert_eq!(size.limit(), 800);
        size.too_large(2);
        size.delivered();
        assert_eq!(size.limit(), 2);
    }

    proptest! {
        #[test]
        fn a_receiver_with_any_limit_gets_everything(
            max in 0..5000_usize,
            receiver_takes in 1..5000_usize,
            total in 1..20_000_usize,
        ) {
            let mut size = BatchSize::new(max);
            let mut left = total;
            let mut requests = 0;
            while left > 0 {
                let sent = size.limit().min(left);
                prop_assert!(sent >= 1);
                if sent <= receiver_takes {
                    left -= sent;
                    size.delivered();
                } else {
                    let answer = size.too_large(sent);
                    prop_assert_eq!(answer, TooMuch::Halve { limit: sent / 2 });
                }
                requests += 1;
                prop_assert!(
                    requests <= 2 * total + 20,
                    "more than one refusal for each event"
                );
            }
        }
    }
}
