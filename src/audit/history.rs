//! What the ledger tells from its oldest record that is kept: what each output was given, and
//! whether every batch that it has done with adds up. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::state::{Finished, ForgottenDebt, Picture, Record};

/// The records of the ledger, told one after the other.
#[derive(Debug, Default)]
pub(super) struct History {
    /// What the records so far say; none before the first snapshot, and where one cannot be read
    /// until the next.
    picture: Option<Picture>,
    /// By output, the events of all batches that it ever owed.
    fetched: BTreeMap<String, u64>,
    /// Where records are missing that no later snapshot makes up for.
    gap: Option<String>,
    /// Each output that was forgotten, with what became of its events in the end.
    forgotten: Vec<Forgotten>,
    findings: Vec<String>,
}

/// An output that was forgotten.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forgotten {
    pub(super) output: String,
    /// Events of all batches that it ever owed.
    pub(super) fetched: u64,
    /// What became of them, what was given up with it among the discarded.
    pub(super) finished: Finished,
}

/// What the records come to.
#[derive(Debug)]
pub(super) struct Told {
    /// By output, the events of all batches that it ever owed.
    pub(super) fetched: BTreeMap<String, u64>,
    /// The outputs that were forgotten, as far back as the ledger is kept.
    pub(super) forgotten: Vec<Forgotten>,
    /// What does not hold.
    pub(super) findings: Vec<String>,
}

impl History {
    /// A line cannot be read.
    pub(super) fn damaged(&mut self, place: &str) {
        self.picture = None;
        self.gap = Some(format!("{place} cannot be read"));
    }

    /// The next record.
    pub(super) fn record(&mut self, number: u64, at: DateTime<Utc>, record: &Record) {
        let is_next = self
            .picture
            .as_ref()
            .is_some_and(|picture| number == picture.number + 1);
        match (record, &mut self.picture) {
            (Record::Snapshot { picture }, Some(before)) if is_next => {
                let told = Picture {
                    number: before.number,
                    ..(**picture).clone()
                };
                if told == *before {
                    before.number = number;
                } else {
                    self.findings.push(format!(
                        "the ledger's snapshot {number} is not what the records before it say"
                    ));
                    self.begin(number, told);
                }
            }
            (Record::Snapshot { picture }, _) => self.begin(number, (**picture).clone()),
            (_, Some(picture)) if is_next => {
                let mut before = std::mem::take(picture);
                self.account(&before, record);
                before.apply(number, at, record);
                self.picture = Some(before);
                if matches!(record, Record::Recovered { .. }) {
                    self.begin_here();
                }
            }
            (_, Some(picture)) => {
                let last = picture.number;
                self.picture = None;
                self.gap = Some(format!(
                    "the ledger goes from record {last} on to {number}: what is between them is missing"
                ));
            }
            (_, None) => {}
        }
    }

    /// What each output was given, if the records come to what the agent knows; and what does not
    /// hold.
    pub(super) fn end(mut self, known: &Picture) -> Told {
        match (&self.picture, self.gap.take()) {
            (Some(picture), _) if picture == known => {}
            (Some(picture), _) => self.findings.push(format!(
                "the ledger's records up to {} are not what the agent knows, up to {}",
                picture.number, known.number
            )),
            (None, Some(gap)) => self.findings.push(gap),
            (None, None) => self
                .findings
                .push("the ledger has no snapshot that can be read".to_owned()),
        }
        if known.is_doubtful {
            self.findings
                .push("records are missing from the ledger: restart the agent".to_owned());
        }
        if self.picture.as_ref() != Some(known) {
            // It cannot be told apart any more: told once.
            self.begin(known.number, known.clone());
        }
        Told {
            fetched: self.fetched,
            forgotten: self.forgotten,
            findings: self.findings,
        }
    }

    fn begin(&mut self, number: u64, mut picture: Picture) {
        picture.number = number;
        self.picture = Some(picture);
        self.gap = None;
        self.begin_here();
    }

    /// What came before is believed.
    fn begin_here(&mut self) {
        self.fetched.clear();
        let Some(picture) = &self.picture else {
            return;
        };
        for (name, output) in &picture.outputs {
            self.fetched.insert(name.clone(), output.finished.total());
        }
        for batch in picture.batches.values() {
            for output in &batch.outputs {
                *self.fetched.entry(output.clone()).or_insert(0) += batch.events;
            }
        }
    }

    fn account(&mut self, before: &Picture, record: &Record) {
        if let Some(batch) = record.brings() {
            self.given(before, batch.seq, batch.outputs, batch.events);
        }
        match record {
            Record::OutputAdded { output, owes, .. } => {
                for seq in owes {
                    if let Some(batch) = before.batches.get(seq) {
                        self.given(before, *seq, std::slice::from_ref(output), batch.events);
                    }
                }
            }
            Record::OutputFinished {
                output,
                seq,
                finished,
            } => self.finished(before, output, *seq, finished),
            Record::OutputForgotten { output, debt } => {
                let fetched = self.fetched.remove(output).unwrap_or(0);
                if let Some(debt) = debt {
                    self.forgotten(before, output, fetched, debt);
                }
            }
            _ => {}
        }
    }

    fn forgotten(&mut self, before: &Picture, output: &str, fetched: u64, debt: &ForgottenDebt) {
        let known = before.outputs.get(output);
        let mut finished = known.map_or_else(Finished::default, |known| known.finished);
        finished.add(&debt.finished);
        let total = finished.total();
        if total != fetched {
            self.findings.push(format!(
                "output {output:?}: {fetched} events were fetched, {total} were accounted for when it \
                 was forgotten"
            ));
        }
        self.forgotten.push(Forgotten {
            output: output.to_owned(),
            fetched,
            finished,
        });
    }

    fn given(&mut self, before: &Picture, seq: u64, outputs: &[String], events: u64) {
        for output in outputs {
            if !before.owes(output, seq) {
                *self.fetched.entry(output.clone()).or_insert(0) += events;
            }
        }
    }

    fn finished(&mut self, before: &Picture, output: &str, seq: u64, finished: &Finished) {
        if !before.owes(output, seq) {
            self.findings.push(format!(
                "batch {seq}, output {output:?}: it is done with a batch that it did not owe"
            ));
            return;
        }
        let events = before.batches.get(&seq).map_or(0, |batch| batch.events);
        let total = finished.total();
        if total != events {
            self.findings.push(format!(
                "batch {seq}, output {output:?}: {events} events were fetched, {total} were accounted \
                 for when it was done with"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{CollectionKey, Origin};

    /// A ledger as it is written, and what it comes to.
    struct Ledger {
        records: Vec<(u64, Record)>,
        picture: Picture,
    }

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_400_000_000, 0).unwrap()
    }

    impl Ledger {
        fn new() -> Self {
            let mut ledger = Self {
                records: Vec::new(),
                picture: Picture::default(),
            };
            ledger.snapshot();
            ledger.append(Record::OutputAdded {
                output: "o".into(),
                owes: Vec::new(),
                letters: 0,
            });
            ledger
        }

        fn append(&mut self, record: Record) {
            let number = self.picture.number + 1;
            self.picture.apply(number, at(), &record);
            self.records.push((number, record));
        }

        fn snapshot(&mut self) {
            let picture = Box::new(self.picture.clone());
            self.append(Record::Snapshot { picture });
        }

        fn batch(&mut self, seq: u64, events: u64) {
            self.append(Record::BatchAdded {
                key: CollectionKey {
                    service: "s".into(),
                    collection: "c".into(),
                },
                origin: Origin::Retry,
                seq,
                outputs: vec!["o".into()],
                events,
                letters: Vec::new(),
                window: None,
                content: None,
                settles: None,
                copies: None,
            });
        }

        fn finish(&mut self, seq: u64, delivered: u64) {
            self.append(Record::OutputFinished {
                output: "o".into(),
                seq,
                finished: Finished {
                    delivered,
                    ..Finished::default()
                },
            });
        }

        fn read(&self, from: usize) -> (u64, Vec<String>) {
            let mut history = History::default();
            for (number, record) in &self.records[from..] {
                history.record(*number, at(), record);
            }
            let told = history.end(&self.picture);
            (told.fetched["o"], told.findings)
        }
    }

    fn some() -> Ledger {
        let mut ledger = Ledger::new();
        ledger.batch(1, 10);
        ledger.finish(1, 10);
        ledger.snapshot();
        ledger.batch(2, 5);
        ledger.batch(3, 6);
        ledger.finish(2, 5);
        ledger.snapshot();
        ledger
    }

    #[test]
    fn what_was_fetched_is_known_from_wherever_it_is_read() {
        let ledger = some();
        for from in [0, 1, 3, 4, 5, 6] {
            assert_eq!(ledger.read(from), (21, Vec::new()), "from {from}");
        }
    }

    #[test]
    fn a_batch_that_does_not_add_up_is_told() {
        let mut ledger = some();
        ledger.finish(3, 5);
        ledger.finish(3, 5);
        let (fetched, findings) = ledger.read(0);
        assert_eq!(fetched, 21);
        assert_eq!(
            findings,
            [
                "batch 3, output \"o\": 6 events were fetched, 5 were accounted for when it was done \
                 with",
                "batch 3, output \"o\": it is done with a batch that it did not owe"
            ]
        );
    }

    #[test]
    fn a_record_that_is_missing_is_told_unless_a_snapshot_makes_up_for_it() {
        let whole = some();
        for gone in 1..whole.records.len() {
            let mut ledger = some();
            ledger.records.remove(gone);
            let (_, findings) = ledger.read(0);
            // Only the last may be missing without a later snapshot that tells of it.
            let is_told = gone + 1 == whole.records.len();
            assert_eq!(findings.len(), usize::from(is_told), "{gone}: {findings:?}");
        }
        let mut ledger = some();
        ledger.batch(4, 1);
        ledger.finish(4, 1);
        ledger.records.remove(ledger.records.len() - 2);
        let (fetched, findings) = ledger.read(0);
        assert_eq!(fetched, 22);
        assert_eq!(findings.len(), 1, "{findings:?}");
    }

    #[test]
    fn an_output_that_is_forgotten_has_an_end_that_adds_up() {
        for (given_up, is_well) in [(4, true), (3, false)] {
            let mut ledger = some();
            let debt = ForgottenDebt {
                batches: 1,
                events: given_up,
                finished: Finished {
                    delivered: 2,
                    discarded: given_up,
                    ..Finished::default()
                },
            };
            ledger.append(Record::OutputForgotten {
                output: "o".into(),
                debt: Some(debt),
            });
            let mut history = History::default();
            for (number, record) in &ledger.records {
                history.record(*number, at(), record);
            }
            let told = history.end(&ledger.picture);
            assert_eq!(told.findings.is_empty(), is_well, "{told:?}");
            assert!(told.fetched.is_empty());
            let forgotten = &told.forgotten[0];
            assert_eq!((forgotten.fetched, forgotten.finished.delivered), (21, 17));
        }
    }

    #[test]
    fn a_damaged_line_counts_until_the_next_snapshot() {
        let ledger = some();
        let mut history = History::default();
        for (number, record) in &ledger.records[..4] {
            history.record(*number, at(), record);
        }
        history.damaged("line 5");
        let findings = history.end(&ledger.picture).findings;
        assert_eq!(findings, ["line 5 cannot be read"]);
        let mut history = History::default();
        history.damaged("line 1");
        for (number, record) in &ledger.records[4..] {
            history.record(*number, at(), record);
        }
        assert_eq!(history.end(&ledger.picture).findings, Vec::<String>::new());
    }

    #[test]
    fn a_snapshot_that_says_something_else_is_told() {
        let mut ledger = some();
        let mut other = ledger.picture.clone();
        other.next_seq += 1;
        ledger.append(Record::Snapshot {
            picture: Box::new(other),
        });
        let (_, findings) = ledger.read(0);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].contains("snapshot"), "{findings:?}");
    }
}
