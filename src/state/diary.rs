//! The last records in short, for a person who looks; and what came in the last day. Pure.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::day::Day;
use super::record::{CollectionKey, Finished, Record, Removal};
use super::tally::Tally;
use crate::taxii::Timestamp;
use crate::taxii::window::PollWindow;

/// Entries that are kept.
const MAX_ENTRIES: usize = 100;
/// Characters of an entry's remark.
const MAX_REMARK: usize = 300;

/// What the records told, in short.
#[derive(Debug, Default)]
pub struct Diary {
    /// Oldest first.
    entries: VecDeque<DiaryEntry>,
    /// Events that polls and pushed messages brought.
    fetched: Day,
    /// Counts since the start.
    tally: Tally,
    /// The last record before the start.
    begins_after: u64,
}

/// A record in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiaryEntry {
    /// Its number.
    pub number: u64,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// What happened.
    #[serde(rename = "type")]
    pub what: &'static str,
    /// The service and the collection that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// The output that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u64>,
    /// Where the window begins, in the service's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begin: Option<String>,
    /// Where it ends, or where the collection is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// The events that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// What else there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// Events that an output had delivered when it had done with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The output.
    pub output: String,
    /// When it had done.
    pub at: DateTime<Utc>,
    /// How many.
    pub events: u64,
}

impl Diary {
    /// Begins after this record.
    pub(super) fn beginning_after(number: u64) -> Self {
        Self {
            begins_after: number,
            ..Self::default()
        }
    }

    /// The last entries, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &DiaryEntry> {
        self.entries.iter().rev()
    }

    /// Events that polls and pushed messages brought in the last day.
    #[must_use]
    pub fn fetched(&self) -> &Day {
        &self.fetched
    }

    /// Counts since the start.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A record was written.
    pub(super) fn take_in(&mut self, number: u64, at: DateTime<Utc>, record: &Record) {
        self.tally.take_in(record);
        self.fetched.add(at, fetched(record));
        self.entries.extend(DiaryEntry::of(number, at, record));
        self.forget_the_oldest();
    }

    /// Puts what was written before the start in front of what was written since.
    pub(super) fn remember(&mut self, earlier: Earlier) {
        let Earlier { entries, fetched } = earlier;
        for entry in entries.into_iter().rev() {
            self.entries.push_front(entry);
        }
        for (at, events) in fetched {
            self.fetched.add(at, events);
        }
        self.forget_the_oldest();
    }

    /// The last record before the start.
    pub(super) fn begins_after(&self) -> u64 {
        self.begins_after
    }

    fn forget_the_oldest(&mut self) {
        while self.entries.len() > MAX_ENTRIES {
            self.entries.pop_front();
        }
    }
}

/// What records from before the start told.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    entries: VecDeque<DiaryEntry>,
    fetched: Vec<(DateTime<Utc>, u64)>,
}

impl Earlier {
    /// Takes in a record; they come oldest first.
    pub(super) fn take_in(&mut self, number: u64, at: DateTime<Utc>, record: &Record) {
        let events = fetched(record);
        if events > 0 {
            self.fetched.push((at, events));
        }
        self.entries.extend(DiaryEntry::of(number, at, record));
        while self.entries.len() > MAX_ENTRIES {
            self.entries.pop_front();
        }
    }
}

/// Events that a poll or a pushed message brought.
fn fetched(record: &Record) -> u64 {
    match record {
        Record::Polled { counts, .. } | Record::Pushed { counts, .. } => counts.events,
        _ => 0,
    }
}

impl DiaryEntry {
    /// The record in short; none of one that only keeps the books.
    #[must_use]
    pub fn of(number: u64, at: DateTime<Utc>, record: &Record) -> Option<Self> {
        let mut entry = Self {
            number,
            at,
            what: "",
            collection: None,
            output: None,
            batch: None,
            begin: None,
            end: None,
            events: None,
            remark: None,
        };
        entry.tell(record).then_some(entry)
    }

    fn tell(&mut self, record: &Record) -> bool {
        match record {
            Record::Snapshot { .. }
            | Record::PollStarted { .. }
            | Record::PollAnswered { .. }
            | Record::LettersCleared => return false,
            Record::Polled { .. } | Record::Pushed { .. } | Record::BatchAdded { .. } => {
                self.tell_of_batch(record);
            }
            Record::Damaged { .. }
            | Record::Mended { .. }
            | Record::RepairFailed { .. }
            | Record::RepairEnded { .. } => self.tell_of_damage(record),
            Record::LettersRemoved { why, letters } => {
                self.what = match why {
                    Removal::Dropped => "letters_dropped",
                    Removal::Retried => "letters_retried",
                };
                self.events = Some(letters.len() as u64);
            }
            Record::LettersCounted { events, .. } => {
                self.what = "letters_counted";
                self.events = Some(events.iter().map(|count| count.found).sum());
            }
            Record::PollFailed { key, reason, .. } => {
                self.what = "poll_failed";
                self.about(key);
                self.remark(reason);
            }
            Record::WindowAbandoned {
                key, window, file, ..
            } => {
                self.what = "window_abandoned";
                self.about(key);
                self.window(window);
                self.remark(&format!("the last answer is quarantine/{file}"));
            }
            Record::CheckpointSet { key, checkpoint } => {
                self.what = "checkpoint_set";
                self.about(key);
                self.end = checkpoint.as_ref().map(|stamp| stamp.text().to_owned());
            }
            Record::OutputFinished {
                output,
                seq,
                finished,
            } => {
                self.what = "output_finished";
                self.output = Some(output.clone());
                self.batch = Some(*seq);
                self.events = Some(finished.delivered);
                self.remark = not_delivered(finished);
            }
            Record::OutputAdded { output, .. } => {
                self.what = "output_added";
                self.output = Some(output.clone());
            }
            Record::OutputForgotten { output, debt } => {
                self.what = "output_forgotten";
                self.output = Some(output.clone());
                self.events = debt.map(|debt| debt.events);
            }
            Record::Doubted => self.what = "doubted",
            Record::Recovered { .. } => self.what = "recovered",
        }
        true
    }

    fn tell_of_batch(&mut self, record: &Record) {
        let (key, what) = match record {
            Record::Polled {
                key,
                window,
                checkpoint,
                gap,
                ..
            } => {
                self.window(window);
                // What the service says goes before what it was asked for.
                self.end = checkpoint.as_ref().map(text_of).or(self.end.take());
                if let Some(gap) = gap {
                    self.remark(&format!(
                        "gap: what came after {} and until {} is lost at the source",
                        gap.after, gap.until
                    ));
                }
                (key, "polled")
            }
            Record::Pushed {
                key, message_id, ..
            } => {
                if let Some(id) = message_id {
                    self.remark(&format!("message {id}"));
                }
                (key, "pushed")
            }
            Record::BatchAdded { key, .. } => (key, "batch_added"),
            _ => return,
        };
        self.what = what;
        self.about(key);
        let brought = record.brings();
        self.batch = brought.map(|brought| brought.seq);
        self.events = Some(brought.map_or(0, |brought| brought.events));
    }

    fn tell_of_damage(&mut self, record: &Record) {
        match record {
            Record::Damaged {
                key,
                window,
                seq,
                files,
            } => {
                self.what = "damaged";
                self.about(key);
                if let Some(window) = window {
                    self.window(window);
                }
                self.batch = Some(*seq);
                self.events = Some(files.iter().map(|file| file.events).sum());
            }
            Record::Mended { seq, .. } => {
                self.what = "mended";
                self.batch = Some(*seq);
            }
            Record::RepairFailed { seq, reason, .. } => {
                self.what = "repair_failed";
                self.batch = Some(*seq);
                self.remark(reason);
            }
            Record::RepairEnded {
                key,
                window,
                settles,
            } => {
                self.what = "repair_ended";
                self.about(key);
                if let Some(window) = window {
                    self.window(window);
                }
                self.batch = Some(settles.seq);
            }
            _ => {}
        }
    }

    fn about(&mut self, key: &CollectionKey) {
        self.collection = Some(key.to_string());
    }

    fn window(&mut self, window: &PollWindow) {
        self.begin = window.exclusive_begin.as_ref().map(text_of);
        self.end = window.inclusive_end.as_ref().map(text_of);
    }

    fn remark(&mut self, text: &str) {
        self.remark = Some(text.chars().take(MAX_REMARK).collect());
    }
}

fn text_of(stamp: &Timestamp) -> String {
    stamp.text().to_owned()
}

fn not_delivered(finished: &Finished) -> Option<String> {
    let parts = [
        (finished.dead_letters, "dead letters"),
        (finished.discarded, "discarded"),
        (finished.abandoned, "abandoned"),
        (finished.repaired, "repaired"),
        (finished.lost, "lost"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, what)| format!("{what}: {count}"))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
pub(super) mod specimens {
    //! Records for tests.

    use super::*;
    use crate::state::{
        BatchContent, EventFile, EventPlace, ForgottenDebt, Origin, PolledCounts, RemovedLetter,
    };

    pub(in crate::state) fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_400_000_000 + second, 0).unwrap()
    }

    pub(in crate::state) fn key() -> CollectionKey {
        CollectionKey {
            service: "cta".to_owned(),
            collection: "flows".to_owned(),
        }
    }

    /// A poll of so many events; each answer has a thousand bytes, each batch fifty.
    pub(in crate::state) fn polled(seq: Option<u64>, events: u64) -> Record {
        let file = EventFile {
            name: "events-0001.jsonl.zst".to_owned(),
            events,
            bytes: 50,
            crc32: "00000000".to_owned(),
        };
        Record::Polled {
            key: key(),
            origin: Origin::Poll,
            window: PollWindow {
                exclusive_begin: Some(at(0).into()),
                inclusive_end: Some(at(60).into()),
            },
            checkpoint: Some(at(50).into()),
            seq,
            outputs: vec!["splunk".to_owned()],
            counts: PolledCounts {
                events,
                bytes: 1000,
                ..PolledCounts::default()
            },
            clock_offset_ms: None,
            gap: None,
            content: seq.map(|_| BatchContent {
                staged_at: at(60),
                window_end: at(60),
                end: None,
                files: vec![file],
            }),
        }
    }

    pub(in crate::state) fn forgotten(output: &str, batches: u64, events: u64) -> Record {
        Record::OutputForgotten {
            output: output.to_owned(),
            debt: Some(ForgottenDebt {
                batches,
                events,
                ..ForgottenDebt::default()
            }),
        }
    }

    pub(in crate::state) fn finished(output: &str, delivered: u64, abandoned: u64) -> Record {
        Record::OutputFinished {
            output: output.to_owned(),
            seq: 7,
            finished: Finished {
                delivered,
                abandoned,
                ..Finished::default()
            },
        }
    }

    pub(in crate::state) fn dropped(output: &str, letters: u64) -> Record {
        let letter = |line: u64| RemovedLetter {
            id: line.to_string(),
            event: Some(EventPlace {
                output: output.to_owned(),
                seq: 7,
                line,
            }),
            is_block: false,
        };
        Record::LettersRemoved {
            why: Removal::Dropped,
            letters: (0..letters).map(letter).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::specimens::{at, dropped, finished, key, polled};
    use super::*;

    #[track_caller]
    fn check(record: &Record, expect: &serde_json::Value) {
        let entry = DiaryEntry::of(3, at(70), record).unwrap();
        let mut found = serde_json::to_value(entry).unwrap();
        let fields = found.as_object_mut().unwrap();
        assert_eq!(fields.remove("number").unwrap(), 3);
        assert_eq!(fields.remove("at").unwrap(), "2014-05-13T16:54:30Z");
        assert_eq!(found, *expect);
    }

    #[test]
    fn records_in_short() {
        check(
            &polled(Some(7), 100),
            &serde_json::json!({
                "type": "polled", "collection": "cta/flows", "batch": 7, "events": 100,
                "begin": "2014-05-13T16:53:20Z", "end": "2014-05-13T16:54:10Z",
            }),
        );
        check(
            &finished("splunk", 90, 4),
            &serde_json::json!({
                "type": "output_finished", "output": "splunk", "batch": 7, "events": 90,
                "remark": "abandoned: 4",
            }),
        );
        check(
            &dropped("splunk", 3),
            &serde_json::json!({"type": "letters_dropped", "events": 3}),
        );
        let reason = "x".repeat(1000);
        let failed = Record::PollFailed {
            key: key(),
            failures: 1,
            span: None,
            reason: reason.clone(),
        };
        check(
            &failed,
            &serde_json::json!({
                "type": "poll_failed", "collection": "cta/flows", "remark": &reason[..MAX_REMARK],
            }),
        );
        assert_eq!(DiaryEntry::of(1, at(0), &Record::LettersCleared), None);
    }

    #[test]
    fn the_last_ones_stay_and_those_from_before_stand_in_front() {
        let mut earlier = Earlier::default();
        for number in 1..=150 {
            earlier.take_in(number, at(0), &polled(None, 0));
        }
        let mut diary = Diary::beginning_after(150);
        // It is read while more is written.
        for number in 151..=170 {
            diary.take_in(number, at(0), &polled(Some(number), 2));
        }
        diary.remember(earlier);
        let numbers: Vec<u64> = diary.newest().map(|entry| entry.number).collect();
        assert_eq!(numbers, (71..=170).rev().collect::<Vec<_>>());
        assert_eq!(diary.fetched().quarters(at(0)).last(), Some(&40));
        assert_eq!(diary.tally().fetched.events, 40);
    }
}
