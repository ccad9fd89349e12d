//! What the ledger tells of one batch: when it came, and what each output made of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::LedgerLine;
use crate::audit::Account;
use crate::state::{Finished, Record, Removal, SettledCounts, Settlement};

/// The records about one batch, told one after the other.
#[derive(Debug)]
pub(super) struct BatchHistory {
    seq: u64,
    /// What brought it.
    pub(super) came: Option<LedgerLine>,
    finished: BTreeMap<String, Finished>,
    /// The lines whose dead letters were given up, by output.
    dropped: BTreeMap<String, BTreeSet<u64>>,
    /// How many dead letters are lost, by output.
    lost_letters: BTreeMap<String, u64>,
    /// What became of the lines of damaged files, by output.
    settled: BTreeMap<String, SettledCounts>,
    /// Those files.
    settled_files: BTreeSet<String>,
}

impl BatchHistory {
    pub(super) fn of(seq: u64) -> Self {
        Self {
            seq,
            came: None,
            finished: BTreeMap::new(),
            dropped: BTreeMap::new(),
            lost_letters: BTreeMap::new(),
            settled: BTreeMap::new(),
            settled_files: BTreeSet::new(),
        }
    }

    pub(super) fn record(&mut self, number: u64, at: DateTime<Utc>, record: &Record) {
        match record {
            Record::BatchAdded {
                settles: Some(settles),
                ..
            }
            | Record::RepairEnded { settles, .. }
                if settles.seq == self.seq =>
            {
                self.settles(settles);
            }
            record if record.brings().is_some_and(|batch| batch.seq == self.seq) => {
                self.came = Some(LedgerLine {
                    number,
                    at,
                    record: record.clone(),
                });
            }
            Record::OutputFinished {
                output,
                seq,
                finished,
            } if *seq == self.seq => {
                self.finished.insert(output.clone(), *finished);
            }
            Record::LettersRemoved {
                why: Removal::Dropped,
                letters,
            } => {
                let places = letters.iter().filter_map(|letter| letter.event.as_ref());
                for place in places.filter(|place| place.seq == self.seq) {
                    let lines = self.dropped.entry(place.output.clone()).or_default();
                    lines.insert(place.line);
                }
            }
            Record::LettersCounted { events, .. } => {
                for count in events.iter().filter(|count| count.seq == Some(self.seq)) {
                    let lost = self.lost_letters.entry(count.output.clone()).or_default();
                    *lost = (*lost + count.missing()).saturating_sub(count.back());
                }
            }
            _ => {}
        }
    }

    fn settles(&mut self, settles: &Settlement) {
        let files = settles.files.iter();
        // A record that is told again settles nothing more.
        if files
            .filter(|file| self.settled_files.insert((*file).clone()))
            .count()
            == 0
        {
            return;
        }
        for (output, counts) in &settles.outputs {
            let settled = self.settled.entry(output.clone()).or_default();
            settled.repaired += counts.repaired;
            settled.lost += counts.lost;
        }
    }

    /// The sum of each output that has done with it, of which `fetched` events there were.
    pub(super) fn accounts(&self, collection: &str, fetched: u64) -> Vec<Account> {
        let accounts = self.finished.iter().map(|(output, finished)| {
            let dropped = self.dropped.get(output).map_or(0, BTreeSet::len) as u64;
            let dropped = dropped.min(finished.dead_letters);
            // The ledger counts them as lines that need no more work.
            let settled = self.settled.get(output).copied().unwrap_or_default();
            let repaired = settled.repaired.min(finished.delivered);
            let lost = settled.lost.min(finished.delivered - repaired);
            let dead_letters = finished.dead_letters - dropped;
            let lost_letters = self.lost_letters.get(output).copied().unwrap_or(0);
            let lost_letters = lost_letters.min(dead_letters);
            Account {
                seq: Some(self.seq),
                collection: Some(collection.to_owned()),
                output: output.clone(),
                fetched,
                delivered: finished.delivered - repaired - lost,
                dead_letters: dead_letters - lost_letters,
                discarded: finished.discarded + dropped,
                abandoned: finished.abandoned,
                repaired: finished.repaired + repaired,
                lost: finished.lost + lost + lost_letters,
                pending: 0,
                repairing: 0,
            }
        });
        accounts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{CollectionKey, EventPlace, Origin, RemovedLetter};

    fn added(seq: u64) -> Record {
        Record::BatchAdded {
            key: CollectionKey {
                service: "s".into(),
                collection: "c".into(),
            },
            origin: Origin::Retry,
            seq,
            outputs: vec!["o".into(), "p".into()],
            events: 10,
            letters: Vec::new(),
            window: None,
            content: None,
            settles: None,
            copies: None,
        }
    }

    fn dropped(output: &str, seq: u64, line: u64) -> Record {
        Record::LettersRemoved {
            why: Removal::Dropped,
            letters: vec![RemovedLetter {
                id: String::new(),
                event: Some(EventPlace {
                    output: output.to_owned(),
                    seq,
                    line,
                }),
                is_block: false,
            }],
        }
    }

    fn finished(output: &str, seq: u64) -> Record {
        Record::OutputFinished {
            output: output.to_owned(),
            seq,
            finished: Finished {
                delivered: 7,
                dead_letters: 3,
                ..Finished::default()
            },
        }
    }

    /// Of a damaged file of batch 5, so many lines went out with another.
    fn repaired(file: &str, repaired: u64, lost: u64) -> Record {
        let Record::BatchAdded {
            key,
            origin,
            seq,
            outputs,
            ..
        } = added(9)
        else {
            unreachable!()
        };
        let counts = SettledCounts { repaired, lost };
        Record::BatchAdded {
            key,
            origin,
            seq,
            outputs,
            events: repaired,
            letters: Vec::new(),
            window: None,
            content: None,
            settles: Some(Settlement {
                seq: 5,
                files: vec![file.to_owned()],
                outputs: [("o".to_owned(), counts)].into(),
            }),
            copies: None,
        }
    }

    #[test]
    fn a_dead_letter_is_discarded_whether_it_was_dropped_before_the_end_or_after() {
        let mut history = BatchHistory::of(5);
        let records = [
            added(4),
            added(5),
            finished("o", 4),
            dropped("o", 5, 3),
            finished("o", 5),
            dropped("o", 5, 8),
            // Once more, another output's, another batch's.
            dropped("o", 5, 8),
            dropped("p", 5, 1),
            dropped("o", 4, 2),
        ];
        for (number, record) in records.iter().enumerate() {
            history.record(number as u64, DateTime::UNIX_EPOCH, record);
        }
        assert_eq!(history.came.as_ref().map(|line| line.number), Some(1));
        let accounts = history.accounts("c", 10);
        let told: Vec<_> = accounts
            .iter()
            .map(|a| (a.output.as_str(), a.delivered, a.dead_letters, a.discarded))
            .collect();
        assert_eq!(told, [("o", 7, 1, 2)]);
        assert_eq!(accounts[0].total(), 10);
    }
    #[test]
    fn what_a_repair_sent_elsewhere_was_not_delivered_here() {
        let mut history = BatchHistory::of(5);
        let records = [
            repaired("events-0001", 2, 1),
            repaired("events-0001", 2, 1),
            repaired("events-0002", 1, 0),
            finished("o", 5),
        ];
        for (number, record) in records.iter().enumerate() {
            history.record(number as u64, DateTime::UNIX_EPOCH, record);
        }
        let account = history.accounts("c", 10).remove(0);
        let told = (account.delivered, account.repaired, account.lost);
        assert_eq!((told, account.total()), ((3, 3, 1), 10));
    }
}
