//! Finds the facts: what the spool, the ledger, the cursors and the dead letters hold at one moment,
//! beside an agent that goes on delivering.
//!
//! The files of a batch never change, so they are read whenever there is time; what does change is
//! taken at one moment, and a batch that came in between is read then.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::verdict::{BatchFacts, Facts, FileFacts, Letters, OutputFacts, OwedFacts};
use super::{Audit, History, are, were};
use crate::house::House;
use crate::letters::{self, LettersError};
use crate::spool::{About, BatchHead, InspectedBatch, LetterHead, Spool, SpoolError};
use crate::state::ledger::HistoryLine;
use crate::state::{Damage, Moment, Picture};
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
        for head in house.spool.batches() {
            if !inspected.contains_key(&head.seq)
                && let Some(found) = house.spool.inspect(&head)
            {
                inspected.insert(head.seq, found);
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
    in_place: BTreeMap<u64, std::sync::Arc<BatchHead>>,
    /// Numbers from this one on were not used yet.
    next_seq: u64,
    /// What lies where batches do.
    folders: Vec<String>,
    /// The lines of dead letters that are there, by batch and output.
    letters: BTreeMap<(u64, String), BTreeSet<u64>>,
    /// How many letters there are of content blocks.
    block_letters: u64,
    /// What does not hold of their blocks.
    block_findings: Vec<String>,
    damaged_letters: u64,
}

impl Sight {
    fn take(house: &House) -> Result<Self, AuditError> {
        let spool = &house.spool;
        let _deciding = spool.dead_letters().decide();
        // Between a commit and its record nobody can tell whose a batch is.
        let commit = spool.commit_turn();
        // Before the moment: what is done with between the two was in place when it was owed.
        let in_place = spool.batches().into_iter().map(|head| (head.seq, head));
        let in_place = in_place.collect();
        let moment = house.state.moment();
        let next_seq = spool.unused_seq();
        let folders = spool.folders()?;
        drop(commit);
        let mut letters: BTreeMap<(u64, String), BTreeSet<u64>> = BTreeMap::new();
        let mut blocks = Vec::new();
        let damaged_letters = letters::each(house, |letter, _| {
            if let Some(place) = letters::place(&letter) {
                let key = (place.seq, place.output);
                letters.entry(key).or_default().insert(place.line);
            } else {
                blocks.push(letter);
            }
        })?;
        let mut block_findings = Vec::new();
        for letter in &blocks {
            block_findings.extend(look_at_block(spool, letter)?);
        }
        Ok(Self {
            moment,
            in_place,
            next_seq,
            folders,
            letters,
            block_letters: blocks.len() as u64,
            block_findings,
            damaged_letters,
        })
    }

    fn is_inspected(&self, inspected: &BTreeMap<u64, InspectedBatch>) -> bool {
        let mut owed = self.moment.picture.batches.keys();
        owed.all(|seq| inspected.contains_key(seq) || !self.in_place.contains_key(seq))
    }

    fn facts(
        self,
        house: &House,
        inspected: &BTreeMap<u64, InspectedBatch>,
    ) -> Result<Facts, AuditError> {
        let picture = &self.moment.picture;
        let (fetched, mut findings) = history(house, picture)?;
        findings.extend(self.unknown_folders());
        if self.damaged_letters > 0 {
            let lines = match self.damaged_letters {
                1 => "1 line".to_owned(),
                more => format!("{more} lines"),
            };
            findings.push(format!("{lines} in spool/dead-letters/ cannot be read"));
        }
        // A poll that came to nothing leaves letters that were not counted.
        let (counted, found) = (picture.block_letters, self.block_letters);
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
                    "batch {seq}, batch.json: {damage}. It is written again at the next start, or by \
                     `cta-forwarder spool check --repair`"
                ));
            }
            batches.extend(self.batch(*seq, found));
        }
        let outputs = picture.outputs.iter().map(|(name, output)| OutputFacts {
            name: name.clone(),
            fetched: fetched.get(name).copied().unwrap_or(0),
            finished: output.finished,
            letters: Letters {
                counted: output.letters,
                found: self.letters_of_finished(name),
            },
        });
        Ok(Facts {
            outputs: outputs.collect(),
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
        let window = batch.damage.as_ref().map_or_else(String::new, in_words);
        let outputs = batch.outputs.iter().map(|output| {
            let key = (seq, output.clone());
            let progress = self.moment.progress.get(&key).cloned().unwrap_or_default();
            let (mut so_far, counted) = batch.settle_so_far(output, &progress);
            so_far.abandoned = 0;
            let lines = self.letters.get(&key);
            // A letter is there before its cursor knows of it.
            let counts = |line: &&u64| progress.cursor.is_finished(**line);
            let found = lines.map_or(0, |lines| lines.iter().filter(counts).count());
            OwedFacts {
                output: output.clone(),
                cursor: progress.cursor.clone(),
                so_far,
                letters: Letters {
                    counted,
                    found: found as u64,
                },
            }
        });
        Some(BatchFacts {
            seq,
            collection: self.in_place.get(&seq).map(|head| head.collection.clone()),
            window,
            fetched: batch.events,
            files,
            outputs: outputs.collect(),
        })
    }

    /// Dead letters of the batches that an output has done with. Letters are taken a little later
    /// than the rest: what is newer than that does not count.
    fn letters_of_finished(&self, output: &str) -> u64 {
        let picture = &self.moment.picture;
        let counts = |seq: u64| {
            let batch = picture.batches.get(&seq);
            seq < self.next_seq && batch.is_none_or(|batch| !batch.outputs.contains(output))
        };
        let lines = self
            .letters
            .iter()
            .filter(|((seq, of), _)| of == output && counts(*seq));
        lines.map(|(_, lines)| lines.len() as u64).sum()
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
fn history(
    house: &House,
    picture: &Picture,
) -> Result<(BTreeMap<String, u64>, Vec<String>), AuditError> {
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
