//! Finds the facts: what the spool, the ledger, the cursors and the dead letters hold at one moment,
//! beside an agent that goes on delivering.
//!
//! The files of a batch never change, so they are read whenever there is time; what does change is
//! taken at one moment, and a batch that came in between is read then.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::history::{History, Told};
use super::verdict::{BatchFacts, Facts, FileFacts, Letters, OutputFacts, OwedFacts};
use super::{Audit, are, were};
use crate::house::House;
use crate::letters::{FoundLetters, LettersError};
use crate::spool::{About, InspectedBatch, LetterHead, Spool, SpoolError};
use crate::state::ledger::HistoryLine;
use crate::state::{Damage, Finished, Moment, Picture};
use crate::taxii::Timestamp;

/// Batches come so seldom that the second round finds everything read, were it not for a test.
const MAX_ROUNDS: u32 = 100;

/// The audit cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The spool cannot be read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The dead letters cannot be read.
    #[error(transparent)]
    Letters(#[from] LettersError),
    /// The ledger cannot be read.
    #[error("the ledger cannot be read: {0}; mend the disk")]
    Ledger(#[source] io::Error),
    /// New batches come faster than they can be read.
    #[error("batches come faster than they can be read: try again later")]
    TooBusy,
}

/// Looks at everything that is there. Blocks while the disk works.
pub fn audit(house: &House) -> Result<Audit, AuditError> {
    let mut inspected = BTreeMap::new();
    for _ in 0..MAX_ROUNDS {
        for seq in house.spool.numbers() {
            if !inspected.contains_key(&seq) {
                let head = house.batch(seq);
                let found = head.and_then(|head| house.spool.inspect(&head));
                inspected.extend(found.map(|found| (seq, found)));
            }
        }
        let sight = Sight::take(house)?;
        if sight.is_inspected(&inspected) {
            return Ok(sight.facts(house, &inspected)?.judge());
        }
    }
    Err(AuditError::TooBusy)
}

/// Looks at one batch, whose files were read; nothing is told of one that nobody owes.
pub fn audit_batch(house: &House, seq: u64, found: &InspectedBatch) -> Result<Audit, AuditError> {
    let sight = Sight::take(house)?;
    let facts = Facts {
        batches: sight.batch(seq, Some(found)).into_iter().collect(),
        ..Facts::default()
    };
    Ok(facts.judge())
}

/// What changes, at one moment.
struct Sight {
    moment: Moment,
    /// The batches in place.
    in_place: BTreeSet<u64>,
    /// Numbers from this one on were not used yet.
    next_seq: u64,
    /// What lies where batches do.
    folders: Vec<String>,
    letters: FoundLetters,
    /// What does not hold of the blocks of letters.
    block_findings: Vec<String>,
}

impl Sight {
    fn take(house: &House) -> Result<Self, AuditError> {
        let spool = &house.spool;
        let _deciding = spool.dead_letters().decide();
        // Between a commit and its record nobody can tell whose a batch is.
        let commit = spool.commit_turn();
        // Before the moment: what is done with between the two was in place when it was owed.
        let in_place = spool.numbers().into_iter().collect();
        let moment = house.state.moment();
        let next_seq = spool.unused_seq();
        let folders = spool.folders()?;
        drop(commit);
        let letters = FoundLetters::read(house)?;
        let mut block_findings = Vec::new();
        for letter in &letters.blocks {
            block_findings.extend(look_at_block(spool, letter)?);
        }
        Ok(Self {
            moment,
            in_place,
            next_seq,
            folders,
            letters,
            block_findings,
        })
    }

    fn is_inspected(&self, inspected: &BTreeMap<u64, InspectedBatch>) -> bool {
        let mut owed = self.moment.picture.batches.keys();
        owed.all(|seq| inspected.contains_key(seq) || !self.in_place.contains(seq))
    }

    fn facts(
        self,
        house: &House,
        inspected: &BTreeMap<u64, InspectedBatch>,
    ) -> Result<Facts, AuditError> {
        let picture = &self.moment.picture;
        let Told {
            fetched,
            forgotten,
            mut findings,
        } = history(house, picture)?;
        findings.extend(self.unknown_folders());
        if self.letters.damaged > 0 {
            let lines = match self.letters.damaged {
                1 => "1 line".to_owned(),
                more => format!("{more} lines"),
            };
            findings.push(format!(
                "{lines} in spool/dead-letters/ cannot be read. The next start, or `cta-forwarder \
                 spool check --repair`, sets aside what is damaged"
            ));
        }
        // A poll that came to nothing leaves letters that were not counted.
        let (counted, found) = (picture.block_letters, self.letters.blocks.len() as u64);
        if found < counted {
            findings.push(format!(
                "{} set aside as dead letters and not dealt with, {} in spool/dead-letters/",
                were(counted, "content block"),
                are(found)
            ));
        }
        findings.extend(self.block_findings.iter().cloned());
        let mut batches = Vec::new();
        for seq in picture.batches.keys() {
            let found = inspected.get(seq);
            if let Some(damage) = found.and_then(|found| found.head_damage.as_ref()) {
                findings.push(format!(
                    "batch {seq}, batch.json: {damage}. It is written again within an hour by a running \
                     agent, or by `cta-forwarder spool check --repair`"
                ));
            }
            batches.extend(self.batch(*seq, found));
        }
        let outputs = picture.output_names().into_iter().map(|name| {
            // Nobody counts the letters of one that no record tells of.
            let known = picture.outputs.get(name);
            OutputFacts {
                name: name.to_owned(),
                fetched: fetched.get(name).copied().unwrap_or(0),
                finished: known.map_or_else(Finished::default, |output| output.finished),
                letters: known.map_or_else(Letters::default, |output| Letters {
                    counted: output.letters,
                    found: self.letters.of_finished(name, picture, self.next_seq),
                }),
            }
        });
        Ok(Facts {
            outputs: outputs.collect(),
            forgotten,
            batches,
            findings,
        })
    }

    fn batch(&self, seq: u64, inspected: Option<&InspectedBatch>) -> Option<BatchFacts> {
        let batch = self.moment.picture.batches.get(&seq)?;
        let files = inspected.map(|found| {
            let mut next = 0;
            let file = |file: &crate::spool::InspectedFile| {
                let first = next;
                next += file.events;
                FileFacts {
                    name: file.name.clone(),
                    first,
                    events: file.events,
                    lines: file.lines,
                    damage: file.damage.clone(),
                    is_set_aside: batch.is_damaged(&file.name),
                }
            };
            found.files.iter().map(file).collect()
        });
        let window = batch.damage.as_deref().map_or_else(String::new, in_words);
        let outputs = batch.outputs.iter().map(|output| {
            let key = (seq, output.clone());
            let progress = self.moment.progress.get(&key).cloned().unwrap_or_default();
            let (mut so_far, counted) = batch.settle_so_far(output, &progress);
            so_far.abandoned = 0;
            let found = self.letters.of_owed(seq, output, &progress);
            OwedFacts {
                output: output.clone(),
                cursor: progress.cursor.clone(),
                so_far,
                letters: Letters { counted, found },
            }
        });
        let is_there = self.in_place.contains(&seq);
        let key = is_there.then(|| batch.key()).flatten();
        Some(BatchFacts {
            seq,
            collection: key.map(|key| key.collection),
            window,
            fetched: batch.events,
            files,
            outputs: outputs.collect(),
        })
    }

    /// Batches that nobody owes are on their way out; but the ledger must know them.
    fn unknown_folders(&self) -> Vec<String> {
        let is_known = |name: &&String| {
            let seq = name.parse::<u64>();
            seq.is_ok_and(|seq| seq < self.moment.picture.next_seq)
        };
        let unknown = self.folders.iter().filter(|name| !is_known(name));
        unknown
            .map(|name| format!("spool/ready/{name} is there, and the ledger does not know of it"))
            .collect()
    }
}

/// The collection and the window that is polled again, and how often that came to nothing.
fn in_words(damage: &Damage) -> String {
    let Damage { key, window, .. } = damage;
    let Some(window) = window else {
        return String::new();
    };
    let text = |stamp: &Option<Timestamp>| {
        let text = stamp.as_ref().map(Timestamp::text);
        text.unwrap_or("the beginning").to_owned()
    };
    let (begin, end) = (text(&window.exclusive_begin), text(&window.inclusive_end));
    let failed = match damage.failures {
        0 => String::new(),
        failures => format!("; {failures} polls of it came to nothing"),
    };
    format!(" ({key}, from {begin} to {end}{failed})")
}

/// What does not hold of a letter's content block.
pub fn look_at_block(spool: &Spool, letter: &LetterHead) -> Result<Option<String>, LettersError> {
    let About::Block { file, size, .. } = &letter.about else {
        return Ok(None);
    };
    let id = &letter.id;
    let found = spool.dead_letters().block_size(file)?;
    Ok(match (found, size) {
        (None, _) => Some(format!(
            "dead letter {id}: its content block {file} is not in spool/dead-letters/"
        )),
        (Some(found), Some(size)) if found != *size => Some(format!(
            "dead letter {id}: its content block {file} has {found} bytes, {size} were set aside"
        )),
        (Some(_), _) => None,
    })
}

/// What each output was given, as all records up to the picture's last say.
fn history(house: &House, picture: &Picture) -> Result<Told, AuditError> {
    let mut history = History::default();
    let mut is_over = false;
    let read = house.state.history(|line| match line {
        HistoryLine::Record { number, .. } if number > picture.number => is_over = true,
        HistoryLine::Record { number, at, record } => history.record(number, at, &record),
        HistoryLine::Damaged { .. } | HistoryLine::Unreadable { .. } if is_over => {}
        HistoryLine::Damaged { file, line } => {
            history.damaged(&format!("line {line} of ledger/{file}"));
        }
        HistoryLine::Unreadable { file, .. } => history.damaged(&format!("ledger/{file}")),
    });
    read.map_err(AuditError::Ledger)?;
    Ok(history.end(picture))
}
