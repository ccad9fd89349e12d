//! The judgement: numbers in, verdict out. Pure.

use std::collections::BTreeMap;

use super::history::Forgotten;
use super::{Account, Audit, are, wait, were};
use crate::delivery::Cursor;
use crate::state::Finished;

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The batches that somebody owes.
    pub(super) batches: Vec<BatchFacts>,
    /// Each output that the ledger knows.
    pub(super) outputs: Vec<OutputFacts>,
    /// Those that it knows no more.
    pub(super) forgotten: Vec<Forgotten>,
    /// What was found that should not be, in words.
    pub(super) findings: Vec<String>,
}

/// A batch that somebody owes.
#[derive(Debug)]
pub(super) struct BatchFacts {
    pub(super) seq: u64,
    pub(super) collection: Option<String>,
    /// The window in words, where files of it wait for repair.
    pub(super) window: String,
    /// Events that the reader counted, as the ledger says.
    pub(super) fetched: u64,
    /// What can be read; none if the batch is not in the spool.
    pub(super) files: Option<Vec<FileFacts>>,
    pub(super) outputs: Vec<OwedFacts>,
}

/// A file of events.
#[derive(Debug)]
pub(super) struct FileFacts {
    pub(super) name: String,
    /// Its first line: lines are counted over the files, as `batch.json` says.
    pub(super) first: u64,
    /// As `batch.json` says.
    pub(super) events: u64,
    /// That can be read.
    pub(super) lines: u64,
    pub(super) damage: Option<String>,
    /// It was set aside: nothing is expected in its place.
    pub(super) is_set_aside: bool,
}

/// A batch at an output that owes it.
#[derive(Debug)]
pub(super) struct OwedFacts {
    pub(super) output: String,
    pub(super) cursor: Cursor,
    /// What became of the lines that the cursor counts; nothing is abandoned yet.
    pub(super) so_far: Finished,
    pub(super) letters: Letters,
}

/// An output, over all batches.
#[derive(Debug)]
pub(super) struct OutputFacts {
    pub(super) name: String,
    /// Events of all batches that it ever owed.
    pub(super) fetched: u64,
    /// What became of those that it has done with.
    pub(super) finished: Finished,
    /// Dead letters of those.
    pub(super) letters: Letters,
}

/// Dead letters.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Letters {
    /// That were counted and that no person has dealt with.
    pub(super) counted: u64,
    /// That are there.
    pub(super) found: u64,
}

impl Facts {
    pub(super) fn judge(self) -> Audit {
        let mut differences = self.findings;
        let mut batches = Vec::new();
        let mut open: BTreeMap<String, Account> = BTreeMap::new();
        for batch in &self.batches {
            batch.look_at_files(&mut differences);
            for owed in &batch.outputs {
                let account = batch.account(owed);
                differences.extend(account.difference());
                let place = format!("batch {}, output {:?}", batch.seq, owed.output);
                differences.extend(owed.letters.difference(&place));
                let sum = open
                    .entry(owed.output.clone())
                    .or_insert_with(|| nothing(&owed.output));
                sum.add(&account);
                batches.push(account);
            }
        }
        let mut outputs = Vec::new();
        for output in self.outputs {
            let is_open = open.remove(&output.name);
            let mut account = is_open.unwrap_or_else(|| nothing(&output.name));
            // Told of the batches already.
            let in_batches = account.difference().is_some();
            account.fetched = output.fetched;
            account.finish(&output.finished);
            differences.extend(account.difference().filter(|_| !in_batches));
            let place = format!("output {:?}", output.name);
            differences.extend(output.letters.difference(&place));
            outputs.push(account);
        }
        // Told by the history where it does not add up.
        let forgotten = self.forgotten.iter().map(Account::of_forgotten).collect();
        Audit {
            ok: differences.is_empty(),
            batches,
            outputs,
            forgotten,
            differences,
        }
    }
}

impl BatchFacts {
    fn look_at_files(&self, differences: &mut Vec<String>) {
        let seq = self.seq;
        let Some(files) = &self.files else {
            differences.push(format!(
                "batch {seq} is owed and not in the spool: restart the agent, which polls its window \
                 again; or put it back as spool/ready/{seq:012} while no agent runs"
            ));
            return;
        };
        for file in files {
            let name = &file.name;
            match &file.damage {
                _ if file.is_set_aside => {
                    let waits = self.outputs.iter().map(|owed| file.lacks(&owed.cursor)).max();
                    if let Some(waits @ 1..) = waits {
                        differences.push(format!(
                            "batch {seq}, {name}: {} for repair: it was damaged and is in \
                             quarantine/, and its window is polled again as long as its collection is \
                             configured{}",
                            wait(waits),
                            self.window
                        ));
                    }
                }
                Some(damage) => differences.push(format!(
                    "batch {seq}, {name}: {damage}. The agent sets it aside when it comes to it, or \
                     `cta-forwarder spool check --repair` does; its window is polled again by itself"
                )),
                None => {}
            }
        }
        let events: u64 = files.iter().map(|file| file.events).sum();
        if events != self.fetched {
            differences.push(format!(
                "batch {seq}: its batch.json says {events} events, the ledger {}",
                self.fetched
            ));
        }
    }

    fn account(&self, owed: &OwedFacts) -> Account {
        Account {
            seq: Some(self.seq),
            collection: self.collection.clone(),
            output: owed.output.clone(),
            fetched: self.fetched,
            delivered: owed.so_far.delivered,
            dead_letters: owed.so_far.dead_letters,
            discarded: owed.so_far.discarded,
            abandoned: 0,
            repaired: owed.so_far.repaired,
            lost: owed.so_far.lost,
            pending: self.pending(&owed.cursor),
            repairing: self.repairing(&owed.cursor),
        }
    }

    /// Lines that are there and not finished.
    fn pending(&self, cursor: &Cursor) -> u64 {
        let whole = self
            .files
            .iter()
            .flatten()
            .filter(|file| !file.is_set_aside);
        let pending = |file: &FileFacts| {
            let lines = file.first..file.first + file.lines;
            file.lines - cursor.count_finished_of(&lines)
        };
        whole.map(pending).sum()
    }

    /// Lines of files that were set aside and not finished.
    fn repairing(&self, cursor: &Cursor) -> u64 {
        let damaged = self.files.iter().flatten().filter(|file| file.is_set_aside);
        damaged.map(|file| file.lacks(cursor)).sum()
    }
}

impl FileFacts {
    /// Its lines that are not finished, there or not.
    fn lacks(&self, cursor: &Cursor) -> u64 {
        self.events - cursor.count_finished_of(&(self.first..self.first + self.events))
    }
}

impl Letters {
    fn difference(self, place: &str) -> Option<String> {
        let Self { counted, found } = self;
        (counted != found).then(|| {
            format!(
                "{place}: {} set aside and not dealt with, {} in spool/dead-letters/",
                were(counted, "dead letter"),
                are(found)
            )
        })
    }
}

impl Account {
    fn of_forgotten(forgotten: &Forgotten) -> Self {
        let mut account = Self {
            fetched: forgotten.fetched,
            ..nothing(&forgotten.output)
        };
        account.finish(&forgotten.finished);
        account
    }

    fn finish(&mut self, finished: &Finished) {
        self.delivered += finished.delivered;
        self.dead_letters += finished.dead_letters;
        self.discarded += finished.discarded;
        self.abandoned += finished.abandoned;
        self.repaired += finished.repaired;
        self.lost += finished.lost;
    }

    fn add(&mut self, other: &Self) {
        self.fetched += other.fetched;
        self.delivered += other.delivered;
        self.dead_letters += other.dead_letters;
        self.discarded += other.discarded;
        self.abandoned += other.abandoned;
        self.repaired += other.repaired;
        self.lost += other.lost;
        self.repairing += other.repairing;
        self.pending += other.pending;
    }
}

fn nothing(output: &str) -> Account {
    Account {
        seq: None,
        collection: None,
        output: output.to_owned(),
        fetched: 0,
        delivered: 0,
        dead_letters: 0,
        discarded: 0,
        abandoned: 0,
        repaired: 0,
        lost: 0,
        pending: 0,
        repairing: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of two files with ten events each, of which so many are finished.
    fn batch(finished: u64) -> BatchFacts {
        let file = |number: u64| FileFacts {
            name: format!("events-{number:04}.jsonl.zst"),
            first: (number - 1) * 10,
            events: 10,
            lines: 10,
            damage: None,
            is_set_aside: false,
        };
        let mut cursor = Cursor::new();
        cursor.finish(0..finished);
        BatchFacts {
            seq: 7,
            collection: Some("c".to_owned()),
            window: ", from A to B".to_owned(),
            fetched: 20,
            files: Some(vec![file(1), file(2)]),
            outputs: vec![OwedFacts {
                output: "splunk".to_owned(),
                cursor,
                so_far: Finished {
                    delivered: finished,
                    ..Finished::default()
                },
                letters: Letters::default(),
            }],
        }
    }

    fn facts(batch: BatchFacts) -> Facts {
        Facts {
            forgotten: Vec::new(),
            outputs: vec![OutputFacts {
                name: "splunk".to_owned(),
                fetched: 100 + batch.fetched,
                finished: Finished {
                    delivered: 90,
                    dead_letters: 4,
                    discarded: 3,
                    abandoned: 1,
                    repaired: 1,
                    lost: 1,
                },
                letters: Letters {
                    counted: 4,
                    found: 4,
                },
            }],
            batches: vec![batch],
            findings: Vec::new(),
        }
    }

    #[track_caller]
    fn check(facts: Facts, expect: &[&str]) {
        let audit = facts.judge();
        assert_eq!(audit.differences, expect);
        assert_eq!(audit.ok, expect.is_empty());
    }

    #[test]
    fn what_holds_is_ok_however_far_the_cursor_is() {
        for finished in 0..=20 {
            let audit = facts(batch(finished)).judge();
            assert_eq!(audit.differences, Vec::<String>::new());
            assert_eq!(audit.batches[0].pending, 20 - finished);
            assert_eq!(audit.outputs[0].pending, 20 - finished);
            assert_eq!(audit.outputs[0].delivered, 90 + finished);
        }
    }

    #[test]
    fn a_line_that_is_gone_is_missed_wherever_it_was() {
        let missing = "batch 7, output \"splunk\": 20 events were fetched, 19 are accounted for, 1 is missing";
        for (file, finished) in [(0, 0), (0, 5), (1, 0), (1, 10), (1, 15)] {
            let mut spoilt = batch(finished);
            spoilt.files.as_mut().unwrap()[file].lines = 9;
            check(facts(spoilt), &[missing]);
        }
    }

    #[test]
    fn a_line_that_is_delivered_is_missed_by_its_file() {
        let mut spoilt = batch(20);
        let file = &mut spoilt.files.as_mut().unwrap()[0];
        (file.lines, file.damage) = (9, Some("damaged".to_owned()));
        check(
            facts(spoilt),
            &[
                "batch 7, events-0001.jsonl.zst: damaged. The agent sets it aside when it comes to \
                 it, or `cta-forwarder spool check --repair` does; its window is polled again by \
                 itself",
            ],
        );
    }

    #[test]
    fn lines_that_wait_for_repair_are_a_state_of_their_own() {
        for finished in 0..=20 {
            let mut damaged = batch(finished);
            let file = &mut damaged.files.as_mut().unwrap()[0];
            (file.lines, file.is_set_aside) = (0, true);
            file.damage = Some("gone".to_owned());
            let audit = facts(damaged).judge();
            let account = &audit.batches[0];
            let waits = 10_u64.saturating_sub(finished);
            assert_eq!(account.repairing, waits);
            assert_eq!(account.pending, 10.min(20 - finished));
            assert_eq!(account.total(), 20);
            let told: Vec<String> = (waits > 0)
                .then(|| {
                    let waits = if waits == 1 {
                        "1 event waits".to_owned()
                    } else {
                        format!("{waits} events wait")
                    };
                    format!(
                        "batch 7, events-0001.jsonl.zst: {waits} for repair: it was damaged and is \
                         in quarantine/, and its window is polled again as long as its collection is configured, from A to B"
                    )
                })
                .into_iter()
                .collect();
            assert_eq!(audit.differences, told);
        }
    }

    #[test]
    fn a_line_too_many_is_told() {
        let mut spoilt = batch(20);
        spoilt.files.as_mut().unwrap()[1].lines = 11;
        check(
            facts(spoilt),
            &[
                "batch 7, output \"splunk\": 20 events were fetched, 21 are accounted for, 1 is too many",
            ],
        );
    }

    #[test]
    fn a_batch_that_is_gone_is_told() {
        let mut spoilt = batch(5);
        spoilt.files = None;
        check(
            facts(spoilt),
            &[
                "batch 7 is owed and not in the spool: restart the agent, which polls its window \
                 again; or put it back as spool/ready/000000000007 while no agent runs",
                "batch 7, output \"splunk\": 20 events were fetched, 5 are accounted for, 15 are missing",
            ],
        );
    }

    #[test]
    fn the_ledger_counts() {
        let mut spoilt = batch(5);
        spoilt.fetched = 21;
        let audit = facts(spoilt).judge();
        assert_eq!(
            audit.differences[0],
            "batch 7: its batch.json says 20 events, the ledger 21"
        );
        assert!(audit.differences[1].contains("1 is missing"));
    }

    #[test]
    fn letters_must_be_where_they_are_counted() {
        let mut spoilt = batch(5);
        spoilt.outputs[0].letters.counted = 1;
        let mut spoilt = facts(spoilt);
        spoilt.outputs[0].letters.found = 5;
        check(
            spoilt,
            &[
                "batch 7, output \"splunk\": 1 dead letter was set aside and not dealt with, 0 are \
                 in spool/dead-letters/",
                "output \"splunk\": 4 dead letters were set aside and not dealt with, 5 are in \
                 spool/dead-letters/",
            ],
        );
    }

    #[test]
    fn what_became_of_earlier_batches_counts() {
        let mut spoilt = facts(batch(5));
        spoilt.outputs[0].fetched += 1;
        check(
            spoilt,
            &["output \"splunk\": 121 events were fetched, 120 are accounted for, 1 is missing"],
        );
    }
}
