//! How far one output is in one batch.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The finished lines of a batch, counted from 0: all below a low-water mark, and ranges above it,
/// since several requests may be in flight.
///
/// As JSON `{"low":5,"finished":[[7,9]]}`: lines 0 to 4, 7 and 8 are finished.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "StoredCursor", try_from = "StoredCursor")]
pub struct Cursor {
    low: u64,
    /// Sorted, not empty, not touching one another, all above `low`.
    finished: Vec<Range<u64>>,
}

/// A stored cursor cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the finished range {start} to {end} of a cursor does not lie behind line {after}")]
pub struct InvalidCursor {
    start: u64,
    end: u64,
    after: u64,
}

impl Cursor {
    /// Nothing is finished.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is finished.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.low == 0 && self.finished.is_empty()
    }

    /// All lines below this one are finished, and it is not.
    #[must_use]
    pub fn low(&self) -> u64 {
        self.low
    }

    /// These lines need no more work, whatever became of them. Saying so twice does no harm.
    pub fn finish(&mut self, lines: Range<u64>) {
        if lines.is_empty() || lines.end <= self.low {
            return;
        }
        if lines.start <= self.low {
            self.raise_low(lines.end);
            return;
        }
        // Every range that overlaps or touches the new one melts into it.
        let from = self.finished.partition_point(|old| old.end < lines.start);
        let to = self.finished.partition_point(|old| old.start <= lines.end);
        let melted = self
            .finished
            .get(from..to)
            .unwrap_or_default()
            .iter()
            .fold(lines, |all, old| {
                all.start.min(old.start)..all.end.max(old.end)
            });
        self.finished.splice(from..to, [melted]);
    }

    /// What is finished in another cursor is finished in this one.
    pub fn finish_all(&mut self, other: &Self) {
        self.finish(0..other.low);
        for range in &other.finished {
            self.finish(range.clone());
        }
    }

    /// Whether this line needs no more work.
    #[must_use]
    pub fn is_finished(&self, line: u64) -> bool {
        line < self.low || self.range_around(line).is_some()
    }

    /// The first line from this one on that is not finished.
    #[must_use]
    pub fn next_unfinished(&self, from: u64) -> u64 {
        let from = from.max(self.low);
        self.range_around(from).map_or(from, |range| range.end)
    }

    /// How many lines are finished.
    #[must_use]
    pub fn count_finished(&self) -> u64 {
        self.finished
            .iter()
            .fold(self.low, |sum, range| sum + (range.end - range.start))
    }

    /// How many of these lines are finished.
    #[must_use]
    pub fn count_finished_of(&self, lines: &Range<u64>) -> u64 {
        let common = |range: &Range<u64>| {
            let (start, end) = (range.start.max(lines.start), range.end.min(lines.end));
            end.saturating_sub(start)
        };
        common(&(0..self.low)) + self.finished.iter().map(common).sum::<u64>()
    }

    /// The finished lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = u64> {
        (0..self.low).chain(self.finished.iter().cloned().flatten())
    }

    fn raise_low(&mut self, to: u64) {
        self.low = to;
        let swallowed = self.finished.partition_point(|old| old.start <= to);
        if let Some(last) = self.finished.drain(..swallowed).next_back() {
            self.low = to.max(last.end);
        }
    }

    fn range_around(&self, line: u64) -> Option<&Range<u64>> {
        let place = self.finished.partition_point(|range| range.end <= line);
        self.finished
            .get(place)
            .filter(|range| range.contains(&line))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCursor {
    low: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    finished: Vec<(u64, u64)>,
}

impl From<Cursor> for StoredCursor {
    fn from(cursor: Cursor) -> Self {
        Self {
            low: cursor.low,
            finished: cursor
                .finished
                .into_iter()
                .map(|range| (range.start, range.end))
                .collect(),
        }
    }
}

impl TryFrom<StoredCursor> for Cursor {
    type Error = InvalidCursor;

    fn try_from(stored: StoredCursor) -> Result<Self, InvalidCursor> {
        let mut after = stored.low;
        let mut finished = Vec::with_capacity(stored.finished.len());
        for (start, end) in stored.finished {
            if start <= after || end <= start {
                return Err(InvalidCursor { start, end, after });
            }
            finished.push(start..end);
            after = end;
        }
        Ok(Self {
            low: stored.low,
            finished,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn json(cursor: &Cursor) -> String {
        serde_json::to_string(cursor).unwrap()
    }

    #[test]
    fn is_small_as_json() {
        let mut cursor = Cursor::new();
        assert_eq!(json(&cursor), r#"{"low":0}"#);
        cursor.finish(0..5);
        cursor.finish(7..9);
        cursor.finish(12..13);
        assert_eq!(json(&cursor), r#"{"low":5,"finished":[[7,9],[12,13]]}"#);
        cursor.finish(5..7);
        assert_eq!(json(&cursor), r#"{"low":9,"finished":[[12,13]]}"#);
    }

    #[test]
    fn a_damaged_one_is_an_error() {
        for damaged in [
            r#"{"low":5,"finished":[[3,9]]}"#,
            r#"{"low":5,"finished":[[5,9]]}"#,
            r#"{"low":5,"finished":[[9,7]]}"#,
            r#"{"low":5,"finished":[[7,9],[9,10]]}"#,
            r#"{"low":5,"finished":[],"high":3}"#,
            r#"{"low":-1}"#,
        ] {
            assert!(
                serde_json::from_str::<Cursor>(damaged).is_err(),
                "{damaged}"
            );
        }
    }

    #[test]
    fn the_last_line_of_all_can_be_finished() {
        let mut cursor = Cursor::new();
        cursor.finish(0..u64::MAX);
        assert_eq!(cursor.count_finished(), u64::MAX);
        assert_eq!(cursor.next_unfinished(3), u64::MAX);
    }

    const LINES: u64 = 40;

    proptest! {
        #[test]
        fn agrees_with_a_set_of_lines(
            ranges in prop::collection::vec((0..LINES, 0..12_u64), 0..30),
        ) {
            let mut cursor = Cursor::new();
            let mut model = BTreeSet::new();
            for (start, length) in ranges {
                let lines = start..start + length;
                cursor.finish(lines.clone());
                model.extend(lines);

                let stored: Cursor = serde_json::from_str(&json(&cursor)).unwrap();
                prop_assert_eq!(&stored, &cursor);
                let mut copy = Cursor::new();
                copy.finish(start..start + length / 2);
                copy.finish_all(&cursor);
                prop_assert_eq!(&copy, &cursor);
                prop_assert_eq!(cursor.count_finished(), model.len() as u64);
                for line in 0..LINES + 15 {
                    prop_assert_eq!(cursor.is_finished(line), model.contains(&line));
                    let next = (line..=LINES + 15).find(|n| !model.contains(n)).unwrap();
                    prop_assert_eq!(cursor.next_unfinished(line), next);
                }
                prop_assert_eq!(cursor.low(), cursor.next_unfinished(0));
                prop_assert!(cursor.lines().eq(model.iter().copied()));
                for start in 0..LINES {
                    for end in [start, start + 1, start + 7, LINES + 15] {
                        let counted = cursor.count_finished_of(&(start..end));
                        prop_assert_eq!(counted, model.range(start..end).count() as u64);
                    }
                }
            }
        }
    }
}
