//! What happened in each quarter of an hour of the last day. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

/// Seconds of a quarter of an hour.
const QUARTER_S: i64 = 900;
/// Quarters of an hour that are told: those of a day, the running one among them.
pub const QUARTERS: i64 = 96;

/// Counts of the last day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Day {
    /// By the number of the quarter since 1970.
    counts: BTreeMap<i64, u64>,
}

impl Day {
    /// So much happened then. Times may come in any order; what is more than a day before the last
    /// one is forgotten.
    pub fn add(&mut self, at: DateTime<Utc>, count: u64) {
        if count == 0 {
            return;
        }
        *self.counts.entry(quarter(at)).or_default() += count;
        while self.counts.len() > usize::try_from(QUARTERS).unwrap_or(usize::MAX) {
            self.counts.pop_first();
        }
    }

    /// The counts of the day that ends with the quarter of `now`, oldest first.
    #[must_use]
    pub fn quarters(&self, now: DateTime<Utc>) -> Vec<u64> {
        let last = quarter(now);
        let first = last - QUARTERS + 1;
        let count = |quarter| self.counts.get(&quarter).copied().unwrap_or(0);
        (first..=last).map(count).collect()
    }
}

/// When the first quarter of the day begins that ends with the quarter of `now`.
#[must_use]
pub fn begin_of_day(now: DateTime<Utc>) -> DateTime<Utc> {
    let first = quarter(now) - QUARTERS + 1;
    DateTime::from_timestamp(first * QUARTER_S, 0).unwrap_or(now)
}

fn quarter(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(QUARTER_S)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_400_000_400 + second, 0).unwrap()
    }

    #[test]
    fn the_running_quarter_is_the_last_and_a_day_later_it_is_gone() {
        let mut day = Day::default();
        day.add(at(0), 3);
        day.add(at(899), 4);
        day.add(at(900), 5);
        day.add(at(-1), 6);
        let told = day.quarters(at(950));
        assert_eq!(told.len(), 96);
        assert_eq!(told[93..], [6, 7, 5]);
        assert_eq!(day.quarters(at(950 + 86_400 - 1800))[..2], [7, 5]);
        assert_eq!(day.quarters(at(950 + 86_400)), [0; 96]);
        assert_eq!(begin_of_day(at(0)), at(900 - 86_400));
    }

    proptest! {
        /// Whatever the order in which it is told, a day is what happened in it; and it stays small.
        #[test]
        fn a_day_is_what_happened_in_it(
            told in proptest::collection::vec((-200_000_i64..200_000, 0_u64..100), 0..300),
        ) {
            let mut in_order = told.clone();
            in_order.sort_unstable();
            let mut day = Day::default();
            for (second, count) in &in_order {
                day.add(at(*second), *count);
            }
            prop_assert!(day.counts.len() <= 96);
            let now = at(in_order.last().map_or(0, |last| last.0));
            let begin = begin_of_day(now);
            let within = in_order.iter().filter(|(second, _)| at(*second) >= begin);
            let expected: u64 = within.map(|(_, count)| count).sum();
            prop_assert_eq!(day.quarters(now).iter().sum::<u64>(), expected);
        }
    }
}
