//! What strangers bring about is told seldom, with how often it was.

use std::time::{Duration, Instant};

/// Between two lines about the same.
const INTERVAL: Duration = Duration::from_secs(60);

/// Lets a line pass once in a while.
#[derive(Debug, Default)]
pub struct Seldom {
    told: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Whether it is told now; if so, how many times before it was not.
    pub fn tell(&mut self, now: Instant) -> Option<u64> {
        let is_early = |told: Instant| now.saturating_duration_since(told) < INTERVAL;
        if self.told.is_some_and(is_early) {
            self.left_out += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_minute_with_how_often_it_was_meanwhile() {
        let mut seldom = Seldom::default();
        let begin = Instant::now();
        let mut at = |seconds| seldom.tell(begin + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(0));
        assert_eq!(at(1), None);
        assert_eq!(at(59), None);
        assert_eq!(at(60), Some(2));
        assert_eq!(at(200), Some(0));
    }
}
