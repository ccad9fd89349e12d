//! Which batches an output has got by earlier replays, as the records of the ledger tell. Pure.

use std::collections::BTreeMap;

use crate::state::{Copied, Record};

/// The records are told one after the other, from the oldest that is kept.
#[derive(Debug)]
pub(super) struct Copies<'a> {
    output: &'a str,
    /// By the batch that was copied, its copy.
    copies: BTreeMap<u64, u64>,
}

impl<'a> Copies<'a> {
    pub(super) fn at(output: &'a str) -> Self {
        Self {
            output,
            copies: BTreeMap::new(),
        }
    }

    /// Whether the output has got a copy of this batch, or will.
    pub(super) fn has(&self, seq: u64) -> bool {
        self.copies.contains_key(&seq)
    }

    pub(super) fn take_in(&mut self, record: &Record) {
        match record {
            Record::BatchAdded {
                seq,
                outputs,
                copies: Some(copied),
                ..
            } if outputs.iter().any(|output| output == self.output) => {
                self.copied(copied, *seq);
            }
            // Of a copy that waits, the record itself may not be kept any more.
            Record::Snapshot { picture } => {
                for (seq, batch) in &picture.batches {
                    let is_copy = batch.outline().is_some_and(|outline| outline.is_copy);
                    if !is_copy || !batch.outputs.contains(self.output) {
                        continue;
                    }
                    if let Some(copied) = batch.source().and_then(|source| source.copies) {
                        self.copies.insert(copied.seq, *seq);
                    }
                }
            }
            // What it gave up it has not got.
            Record::OutputFinished {
                output,
                seq,
                finished,
            } if output == self.output && finished.abandoned > 0 => {
                self.copies.retain(|_, copy| copy != seq);
            }
            Record::OutputForgotten { output, .. } if output == self.output => self.copies.clear(),
            _ => {}
        }
    }

    fn copied(&mut self, copied: &Copied, copy: u64) {
        self.copies.retain(|seq, _| !copied.anew.is_finished(*seq));
        self.copies.insert(copied.seq, copy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Cursor;
    use crate::state::{CollectionKey, Finished, Origin, Picture};

    fn copy(seq: u64, output: &str, of: u64, anew: &[u64]) -> Record {
        let mut cursor = Cursor::new();
        for seq in anew {
            cursor.finish(*seq..seq + 1);
        }
        Record::BatchAdded {
            key: CollectionKey {
                service: "s".to_owned(),
                collection: "c".to_owned(),
            },
            origin: Origin::Replay,
            seq,
            outputs: vec![output.to_owned()],
            events: 10,
            letters: Vec::new(),
            window: None,
            content: None,
            settles: None,
            copies: Some(Copied {
                seq: of,
                anew: cursor,
            }),
        }
    }

    fn finished(seq: u64, delivered: u64, abandoned: u64) -> Record {
        Record::OutputFinished {
            output: "o".to_owned(),
            seq,
            finished: Finished {
                delivered,
                abandoned,
                ..Finished::default()
            },
        }
    }

    fn forgotten(output: &str) -> Record {
        Record::OutputForgotten {
            output: output.to_owned(),
            debt: None,
        }
    }

    #[track_caller]
    fn check(records: &[Record], expect: &[u64]) {
        let mut copies = Copies::at("o");
        for record in records {
            copies.take_in(record);
        }
        let has: Vec<u64> = (0..10).filter(|seq| copies.has(*seq)).collect();
        assert_eq!(has, expect);
    }

    #[test]
    fn what_an_output_got_it_has_until_it_is_sent_anew_or_forgotten() {
        let some = [copy(11, "o", 1, &[]), copy(12, "p", 2, &[])];
        check(&some, &[1]);
        let [one, other] = some;
        let third = copy(13, "o", 3, &[]);
        let delivered = finished(11, 10, 0);
        check(&[one.clone(), delivered, third.clone()], &[1, 3]);
        // A replay of 1 to 3 begins anew.
        let anew = copy(14, "o", 1, &[1, 2, 3]);
        check(&[one.clone(), third.clone(), anew.clone()], &[1]);
        let then = copy(15, "o", 2, &[]);
        check(&[one.clone(), third.clone(), anew, then], &[1, 2]);
        check(&[one.clone(), other, forgotten("p")], &[1]);
        check(&[one.clone(), forgotten("o")], &[]);
        // The spool was full.
        check(&[one, third, finished(13, 4, 6)], &[1]);
    }

    #[test]
    fn a_copy_that_waits_is_known_from_the_snapshot() {
        let mut picture = Picture::default();
        let mut record = copy(11, "o", 1, &[]);
        if let Record::BatchAdded { content, .. } = &mut record {
            *content = Some(crate::state::BatchContent {
                staged_at: chrono::DateTime::UNIX_EPOCH,
                window_end: chrono::DateTime::UNIX_EPOCH,
                end: None,
                files: Vec::new(),
            });
        }
        picture.apply(1, chrono::DateTime::UNIX_EPOCH, &record);
        let picture = Box::new(picture);
        check(&[Record::Snapshot { picture }], &[1]);
    }
}
