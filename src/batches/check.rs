//! Whether what lies on disk is whole: every file is read to its end and compared with what it was.
//! What is damaged is set aside if a person wants that, and the agent polls its window again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{BatchesError, SourceSummary};
use crate::audit;
use crate::crash::{self, Point};
use crate::house::House;
use crate::letters::{self, LettersError};
use crate::repair::{self, FileState};
use crate::spool::{BatchHead, DamagedSegment, FileDamage, Place, SetAside};
use crate::state::Record;
use crate::state::ledger::HistoryLine;

/// The head of a batch, in its folder.
const HEAD: &str = "batch.json";
const BEING_REPAIRED: &str = "its window is polled again by the agent; where it cannot be any more, \
                              give it up with `cta-forwarder spool give-up SEQ`";
/// What becomes of a damaged record of the segment that is written on.
const LEDGER_REMEDY: &str = "the agent knows what it told: `cta-forwarder spool check --repair` has \
                             that told again in a new segment, as a restart does. Look at the disk";
const TOLD_AGAIN: &str = "a later segment tells all that it told: nothing is lost, and nothing is to \
                          be done";
const MISSING: &str = "what it told may be missing: the start after it said so, closed the gates and \
                       sent again what waited; compare `cta-forwarder checkpoint show`";
const FOLDER_OF_LETTERS: &str = "spool/dead-letters/";
const LETTERS_REMEDY: &str = "look at it in spool/dead-letters/, or put it back from a backup while \
                              no agent runs";
const SEGMENT_REMEDY: &str = "`spool check --repair`, and each start, moves it to quarantine/ and keeps \
                              what is whole of it";
/// More damaged lines of a segment than this are not named one by one.
const NAMED_LINES: usize = 20;
const ARCHIVE_REMEDY: &str = "it was delivered, only this copy is damaged: nothing is lost, and \
                              nothing is to be done";

/// Something that was checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Checked {
    /// A batch.
    Batch {
        /// Its number.
        seq: u64,
        /// Where it lies; none if it is owed and not there.
        place: Option<Place>,
        /// Where its events come from; unknown where its head cannot be read.
        #[serde(flatten)]
        source: Option<SourceSummary>,
        /// Its files of events.
        files: u64,
        /// Its events.
        events: u64,
        /// What is not whole.
        findings: Vec<Finding>,
    },
    /// The segments of the ledger that are kept.
    Ledger {
        /// Records that can be read.
        records: u64,
        /// What is not whole.
        findings: Vec<Finding>,
    },
    /// The dead letters.
    DeadLetters {
        /// Letters that can be read.
        letters: u64,
        /// What is not whole.
        findings: Vec<Finding>,
    },
}

/// What is not whole, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub damage: String,
    /// What will be done, was done, or is to be done.
    pub remedy: String,
    /// Whether nobody waits for it any more.
    pub is_settled: bool,
}

impl Checked {
    /// What is not whole.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Batch { findings, .. }
            | Self::Ledger { findings, .. }
            | Self::DeadLetters { findings, .. } => findings,
        }
    }

    /// Whether there is nothing to do about it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings().iter().all(|finding| finding.is_settled)
    }
}

/// The numbers of the batches at a place, those that are owed and not there as well.
#[must_use]
pub fn numbers(house: &House, place: Place) -> Vec<u64> {
    super::list::numbers(house, place)
}

/// Reads a batch to its end; none if it has left this place meanwhile. With `mend` what is damaged is
/// set aside. Blocks while the disk works.
pub fn check_batch(
    house: &House,
    place: Place,
    seq: u64,
    mend: bool,
) -> Result<Option<Checked>, BatchesError> {
    if house.spool.place(seq) != Some(place) {
        return Ok(missing(house, place, seq));
    }
    let head = match house.head_at(place, seq) {
        Ok(head) => head,
        Err(_) if house.spool.place(seq) != Some(place) => return Ok(None),
        Err(error) => return Ok(Some(headless(seq, place, &error))),
    };
    let Some(found) = house.spool.inspect_at(place, &head) else {
        return Ok(None);
    };
    let found = repair::checked(house, &head, found);
    let mut findings = Vec::new();
    if let Some(damage) = found.head_damage {
        findings.push(head_finding(house, place, &head, damage, mend)?);
    }
    for file in found.files {
        findings.extend(file_finding(
            house, place, &head, &file.name, file.state, mend,
        )?);
    }
    Ok(Some(Checked::Batch {
        seq,
        place: Some(place),
        source: Some(SourceSummary::of(&head, house.clock.now().utc)),
        files: head.files.len() as u64,
        events: head.events(),
        findings,
    }))
}

/// Reads what is kept of the ledger. With `mend` what cannot be read is told again in a new segment.
/// Blocks while the disk works.
pub fn check_ledger(house: &House, mend: bool) -> Result<Checked, BatchesError> {
    let (mut records, mut findings) = (0, Vec::new());
    let read = house.state.history(|line| match line {
        HistoryLine::Record { record, .. } => {
            records += 1;
            if let Record::Snapshot { picture } = *record {
                let by = if picture.is_doubtful {
                    MISSING
                } else {
                    TOLD_AGAIN
                };
                settle(&mut findings, by);
            }
        }
        HistoryLine::Damaged { file, line } => {
            findings.push(ledger_finding(
                &file,
                format!("its line {line} cannot be read"),
            ));
        }
        HistoryLine::Unreadable { file, error } => {
            findings.push(ledger_finding(&file, format!("it cannot be read: {error}")));
        }
    });
    read.map_err(BatchesError::Ledger)?;
    if mend && findings.iter().any(|finding| !finding.is_settled) {
        house.state.retell(house.clock.now().utc)?;
        crash::point(Point::LedgerRetold);
        settle(&mut findings, TOLD_AGAIN);
    }
    Ok(Checked::Ledger { records, findings })
}

fn ledger_finding(segment: &str, damage: String) -> Finding {
    Finding {
        file: format!("ledger/{segment}"),
        damage,
        remedy: LEDGER_REMEDY.to_owned(),
        is_settled: false,
    }
}

/// A snapshot follows them: whoever wrote it has dealt with them.
fn settle(findings: &mut [Finding], remedy: &str) {
    for finding in findings.iter_mut().filter(|finding| !finding.is_settled) {
        remedy.clone_into(&mut finding.remedy);
        finding.is_settled = true;
    }
}

/// Reads the dead letters. With `mend` what is damaged is set aside. Blocks while the disk works.
pub fn check_letters(house: &House, mend: bool) -> Result<Checked, BatchesError> {
    let finding = |damage: String| Finding {
        file: FOLDER_OF_LETTERS.to_owned(),
        damage,
        remedy: LETTERS_REMEDY.to_owned(),
        is_settled: false,
    };
    let mut findings: Vec<Finding>;
    let mut is_readable = true;
    if mend {
        let set_aside = letters::mend(house, true)?;
        findings = set_aside.iter().map(mended_segment).collect();
    } else {
        let damaged = house.spool.dead_letters().damaged();
        let damaged = damaged.map_err(LettersError::Io)?;
        is_readable = damaged.iter().all(|segment| segment.unreadable.is_none());
        findings = damaged.iter().map(damaged_segment).collect();
    }
    let mut found = Vec::new();
    if is_readable {
        letters::each(house, |letter, _| found.push(letter))?;
    }
    for letter in &found {
        let damage = audit::look_at_block(&house.spool, letter)?;
        // A person may have dealt with it meanwhile.
        let is_there = || {
            house
                .state
                .look(|picture| !picture.removing.contains_key(&letter.id))
        };
        findings.extend(damage.filter(|_| is_there()).map(finding));
    }
    Ok(Checked::DeadLetters {
        letters: found.len() as u64,
        findings,
    })
}

fn damaged_segment(segment: &DamagedSegment) -> Finding {
    Finding {
        file: format!("{FOLDER_OF_LETTERS}{}", segment.file),
        damage: in_words(segment),
        remedy: SEGMENT_REMEDY.to_owned(),
        is_settled: false,
    }
}

fn mended_segment(set_aside: &SetAside) -> Finding {
    let remedy = format!(
        "it was moved to quarantine/{}, and what is whole of it stays; what is missing is named in the \
         log and counts as lost",
        set_aside.quarantined
    );
    Finding {
        remedy,
        ..damaged_segment(&set_aside.segment)
    }
}

fn in_words(segment: &DamagedSegment) -> String {
    if let Some(why) = &segment.unreadable {
        return format!("it cannot be read: {why}");
    }
    let numbers = segment.lines.iter().take(NAMED_LINES);
    let numbers: Vec<String> = numbers.map(|line| line.number.to_string()).collect();
    let more = segment.lines.len() - numbers.len();
    let numbers = numbers.join(", ");
    match (segment.lines.len(), more) {
        (1, _) => format!("its line {numbers} cannot be read"),
        (_, 0) => format!("its lines {numbers} cannot be read"),
        _ => format!("its lines {numbers} and {more} others cannot be read"),
    }
}

/// A batch that is owed and not in the spool.
fn missing(house: &House, place: Place, seq: u64) -> Option<Checked> {
    if place != Place::Spool {
        return None;
    }
    let (batch, _) = house.state.owed(seq)?;
    Some(Checked::Batch {
        seq,
        place: None,
        source: None,
        files: 0,
        events: batch.events,
        findings: vec![Finding {
            file: format!("spool/ready/{seq:012}"),
            damage: "it is owed and not there".to_owned(),
            remedy:
                "restart the agent, which polls its window again; or put it back from a backup \
                     while no agent runs"
                    .to_owned(),
            is_settled: false,
        }],
    })
}

fn headless(seq: u64, place: Place, error: &std::io::Error) -> Checked {
    Checked::Batch {
        seq,
        place: Some(place),
        source: None,
        files: 0,
        events: 0,
        findings: vec![Finding {
            file: HEAD.to_owned(),
            damage: error.to_string(),
            remedy: ARCHIVE_REMEDY.to_owned(),
            is_settled: false,
        }],
    }
}

fn head_finding(
    house: &House,
    place: Place,
    head: &Arc<BatchHead>,
    damage: String,
    mend: bool,
) -> Result<Finding, BatchesError> {
    let remedy = match place {
        Place::Archive => ARCHIVE_REMEDY,
        Place::Spool if mend => {
            if repair::restore_head(house, head)? {
                "it was written again from what the agent knows"
            } else {
                "it is whole by now"
            }
        }
        Place::Spool => {
            "`spool check --repair`, and a running agent within an hour, writes it again"
        }
    };
    Ok(Finding {
        file: HEAD.to_owned(),
        damage,
        remedy: remedy.to_owned(),
        is_settled: false,
    })
}

fn file_finding(
    house: &House,
    place: Place,
    head: &Arc<BatchHead>,
    name: &str,
    state: FileState,
    mend: bool,
) -> Result<Option<Finding>, BatchesError> {
    let (damage, remedy) = match state {
        FileState::Whole => return Ok(None),
        FileState::Damaged(damage) => {
            let remedy = match place {
                Place::Archive => ARCHIVE_REMEDY.to_owned(),
                Place::Spool if mend => set_aside(house, head, name, &damage)?,
                Place::Spool => what_will_be_done(head),
            };
            (damage, remedy)
        }
        FileState::BeingRepaired => (
            "it was damaged and is in quarantine/".to_owned(),
            BEING_REPAIRED.to_owned(),
        ),
        FileState::Settled => {
            return Ok(Some(Finding {
                file: name.to_owned(),
                damage: "it was damaged and is in quarantine/".to_owned(),
                remedy: "no output waits for its lines any more".to_owned(),
                is_settled: true,
            }));
        }
    };
    Ok(Some(Finding {
        file: name.to_owned(),
        damage,
        remedy,
        is_settled: false,
    }))
}

fn set_aside(
    house: &House,
    head: &BatchHead,
    name: &str,
    damage: &str,
) -> Result<String, BatchesError> {
    let damage = FileDamage {
        file: name.to_owned(),
        what: damage.to_owned(),
    };
    let is_set_aside = repair::set_aside(house, head.seq, &damage)?;
    Ok(match (is_set_aside, head.window()) {
        (false, _) => "nobody waits for it, or somebody else has dealt with it".to_owned(),
        (true, Some(_)) => "it was moved to quarantine/, and its window is polled again by the \
                            agent: what was not delivered of it follows"
            .to_owned(),
        (true, None) => "it was moved to quarantine/; no poll brings it again: what was not \
                         delivered of it is lost"
            .to_owned(),
    })
}

fn what_will_be_done(head: &BatchHead) -> String {
    let after = match head.window() {
        Some(_) => "its window is polled again",
        None => "no poll brings it again, so that what was not delivered of it is lost",
    };
    format!(
        "`spool check --repair`, or the agent when it comes to it, moves it to quarantine/, and {after}"
    )
}
