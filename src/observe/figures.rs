//! Figures of what pollers and forwarders do, since the start. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::state::day::Day;

/// Upper bounds of the classes of a [`Histogram`], in seconds; one more holds the rest.
pub const BOUNDS_S: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Polls of a collection, by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PollFigures {
    /// The whole answer came.
    pub succeeded: u64,
    /// It did not, or could not be kept.
    pub failed: u64,
}

/// What an output has sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutputFigures {
    /// Bytes of what was taken, as they travelled: compressed, without headers and TLS.
    pub bytes: u64,
    /// Requests of which something had to be sent again.
    pub retries: u64,
    /// Events that were set aside.
    pub dead_lettered: u64,
    /// How long requests took, whatever became of them.
    pub latency: Histogram,
    /// Events that were delivered in the last day.
    pub delivered: Day,
}

/// Events of one request that the receiver took.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Those that it took.
    pub events: usize,
    /// All of the request.
    pub of: usize,
    /// Bytes of the request.
    pub bytes: u64,
}

impl OutputFigures {
    /// A request has come to its end after this time.
    pub fn landed(&mut self, took: Duration, taken: Taken) {
        self.latency.observe(took);
        if let (Ok(events), Ok(of @ 1..)) = (u64::try_from(taken.events), u64::try_from(taken.of)) {
            self.bytes += taken.bytes.saturating_mul(events.min(of)) / of;
        }
    }

    /// So many are delivered for certain.
    pub fn delivered(&mut self, at: DateTime<Utc>, events: u64) {
        self.delivered.add(at, events);
    }
}

/// How many of something took how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// By class; the last holds what was longer than every bound.
    classes: [u64; BOUNDS_S.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// One more took so long.
    pub fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let class = BOUNDS_S.iter().take_while(|bound| seconds > **bound);
        if let Some(count) = self.classes.get_mut(class.count()) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(took);
    }

    /// How many took at most as long as each bound; the last are all.
    #[must_use]
    pub fn cumulated(&self) -> Vec<u64> {
        let mut sum = 0;
        let add = |count: &u64| {
            sum += count;
            sum
        };
        self.classes.iter().map(add).collect()
    }

    /// All of their times together, in seconds.
    #[must_use]
    pub fn sum_s(&self) -> f64 {
        self.sum.as_secs_f64()
    }

    /// The bound that half of them keep, in seconds; none if there are none, or if it is beyond the
    /// last.
    #[must_use]
    pub fn median_bound_s(&self) -> Option<f64> {
        let cumulated = self.cumulated();
        let all = *cumulated.last()?;
        let half = cumulated.iter().position(|count| count * 2 >= all)?;
        BOUNDS_S.get(half).copied().filter(|_| all > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_class() {
        let mut histogram = Histogram::default();
        for millis in [0, 5, 6, 1000, 1001, 60_000, 60_001, 999_999] {
            histogram.observe(Duration::from_millis(millis));
        }
        let expect = [2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 5, 6, 8];
        assert_eq!(histogram.cumulated(), expect);
        assert!((histogram.sum_s() - 1_122.012).abs() < 1e-6);
        assert_eq!(histogram.median_bound_s(), Some(1.0));
        assert_eq!(Histogram::default().median_bound_s(), None);
    }

    #[test]
    fn a_part_of_a_request_counts_in_proportion() {
        let mut figures = OutputFigures::default();
        let took = Duration::from_millis(1);
        for events in [4, 1, 0] {
            let (of, bytes) = (4, 100);
            figures.landed(took, Taken { events, of, bytes });
        }
        assert_eq!(figures.bytes, 125);
        let nothing = Taken {
            events: 0,
            of: 0,
            bytes: 7,
        };
        figures.landed(took, nothing);
        assert_eq!(figures.bytes, 125);
    }
}
