//! Letters that go out again: each becomes an event of a new batch, or several if it is a content
//! block that can be read by now.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use chrono::{DateTime, Utc};

use super::choice::{Choice, each};
use super::{LettersError, MAX_LETTERS_AT_ONCE, clear, place, removed};
use crate::config::{Limits, ServiceConfig, UnknownOutput, find_output};
use crate::crash::{self, Point};
use crate::event::Event;
use crate::flatten::{EventSink, FlatEvent, Origin as EventOrigin};
use crate::house::House;
use crate::roster;
use crate::spool::{About, BatchHead, LetterHead, Staging};
use crate::state::{CollectionKey, Origin, Record, Removal, RemovedLetter};
use crate::taxii::response::{RefusedBlock, ResponseSink, read_answer};

/// Who asks the spool for room.
const BY_HAND: &str = "retry";
/// What stands around a content block; its reader goes by local names.
const BEFORE_BLOCK: &[u8] = b"<Poll_Response>";
const AFTER_BLOCK: &[u8] = b"</Poll_Response>";

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retried {
    /// Letters that are on their way again.
    pub retried: usize,
    /// Letters that stay, since they still cannot be read.
    pub kept: usize,
    /// Letters that were not named, and are for the same events as others that were.
    pub along: usize,
}

/// Sends letters again: to the output that they are of, or to `to`. Every batch and every letter
/// that stays is told. Blocks while the disk works.
pub fn retry(
    house: &House,
    services: &[ServiceConfig],
    choice: &Choice,
    to: Option<&str>,
    tell: impl FnMut(String),
) -> Result<Retried, LettersError> {
    let deciding = house.spool.dead_letters().decide();
    if let Some(to) = to {
        check_output(house, to)?;
    }
    clear(house)?;
    let mut events: BTreeMap<(CollectionKey, String), Vec<LetterHead>> = BTreeMap::new();
    let mut blocks = Vec::new();
    let (letters, along) = choice.find_and_count(house)?;
    for letter in letters {
        let key = CollectionKey {
            service: letter.service.clone(),
            collection: letter.collection.clone(),
        };
        match letter.output() {
            Some(output) => {
                let output = match to {
                    Some(to) => to.to_owned(),
                    None => own_output(house, output)?,
                };
                events.entry((key, output)).or_default().push(letter);
            }
            None => blocks.push((key, letter)),
        }
    }
    for output in house.outputs.now().iter() {
        roster::join(house, output, &deciding)?;
    }
    let mut retrying = Retrying {
        house,
        services,
        to,
        tell,
        done: Retried {
            along,
            ..Retried::default()
        },
    };
    for ((key, output), letters) in events {
        for some in letters.chunks(MAX_LETTERS_AT_ONCE) {
            retrying.events(&key, &output, some)?;
        }
    }
    for (key, letter) in blocks {
        retrying.block(&key, &letter)?;
    }
    Ok(retrying.done)
}

fn check_output(house: &House, name: &str) -> Result<(), LettersError> {
    find_output(&house.outputs.now(), name)
        .map(drop)
        .map_err(|UnknownOutput { name, known }| LettersError::UnknownOutput { name, known })
}

/// The output that a letter is of, if it still goes there.
fn own_output(house: &House, name: &str) -> Result<String, LettersError> {
    find_output(&house.outputs.now(), name)
        .map(|output| output.name.clone())
        .map_err(|UnknownOutput { name, known }| LettersError::OutputGone { name, known })
}

struct Retrying<'a, T> {
    house: &'a House,
    services: &'a [ServiceConfig],
    to: Option<&'a str>,
    tell: T,
    done: Retried,
}

impl<T: FnMut(String)> Retrying<'_, T> {
    /// Letters of one collection and one output become one batch.
    fn events(
        &mut self,
        key: &CollectionKey,
        output: &str,
        letters: &[LetterHead],
    ) -> Result<(), LettersError> {
        let mut staging = self.house.spool.stage(BY_HAND)?;
        let wanted: BTreeMap<&str, &LetterHead> = letters
            .iter()
            .map(|letter| (letter.id.as_str(), letter))
            .collect();
        let mut staged = Staged::default();
        each(self.house, |letter, event| {
            if let Some(letter) = wanted.get(letter.id.as_str()) {
                staged.add(&mut staging, letter, event);
            }
        })?;
        staged.failed?;
        staging.block_read()?;
        for (id, problem) in &staged.unreadable {
            self.keep(id, problem);
        }
        let gone: Vec<LetterHead> = letters
            .iter()
            .filter(|letter| staged.letters.contains(&letter.id))
            .cloned()
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let outputs = vec![output.to_owned()];
        let seq = self.commit(key, staging, outputs, removed(&gone), staged.latest)?;
        self.done.retried += gone.len();
        (self.tell)(format!(
            "{} of {key} to the output {output:?} as batch {seq}",
            count(gone.len()),
        ));
        Ok(())
    }

    /// A content block that can be read by now becomes a batch for whoever takes its collection.
    fn block(&mut self, key: &CollectionKey, letter: &LetterHead) -> Result<(), LettersError> {
        let About::Block { file, .. } = &letter.about else {
            return Ok(());
        };
        let outputs = match self.to {
            Some(to) => vec![to.to_owned()],
            None => self.house.takers(&key.collection),
        };
        if outputs.is_empty() {
            let collection = key.collection.clone();
            return Err(LettersError::NoTaker { collection });
        }
        let mut staging = self.house.spool.stage(BY_HAND)?;
        let read = self.read_block(key, file, &mut staging);
        match read {
            Err(LettersError::Unreadable(problem)) => {
                self.keep(&letter.id, &problem);
                return Ok(());
            }
            read => read?,
        }
        let removed = removed(std::slice::from_ref(letter));
        let events = staging.events();
        if events == 0 {
            let record = Record::LettersRemoved {
                why: Removal::Retried,
                letters: removed,
            };
            self.house
                .state
                .append(self.house.clock.now().utc, &record)?;
            self.clear();
            (self.tell)(format!(
                "content block {} can be read now and holds no events",
                letter.id
            ));
        } else {
            let to = outputs.join(", ");
            let seq = self.commit(key, staging, outputs, removed, Some(letter.at))?;
            (self.tell)(format!(
                "content block {} can be read now: {events} events to {to} as batch {seq}",
                letter.id
            ));
        }
        self.done.retried += 1;
        Ok(())
    }

    fn read_block(
        &self,
        key: &CollectionKey,
        file: &str,
        staging: &mut Staging,
    ) -> Result<(), LettersError> {
        let raw = match self.house.spool.dead_letters().block(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let problem = format!("{file} is no longer in spool/dead-letters/");
                return Err(LettersError::Unreadable(problem));
            }
            raw => io::BufReader::new(raw?),
        };
        let mut answer = io::Read::chain(io::Read::chain(BEFORE_BLOCK, raw), AFTER_BLOCK);
        let service = self
            .services
            .iter()
            .find(|service| service.name == key.service);
        let limits = service.map_or_else(Limits::default, |service| service.limits.clone());
        let origin = EventOrigin {
            service: &key.service,
            collection: &key.collection,
        };
        let scratch = staging.scratch();
        let mut reading = BlockAgain {
            staging,
            refused: None,
        };
        read_answer(&mut answer, Some(origin), &limits, &scratch, &mut reading)?;
        match reading.refused {
            Some(reason) => Err(LettersError::Unreadable(reason)),
            None => Ok(()),
        }
    }

    /// The batch in place, then the ledger's record, with which the letters are gone.
    fn commit(
        &self,
        key: &CollectionKey,
        mut staging: Staging,
        outputs: Vec<String>,
        letters: Vec<RemovedLetter>,
        window_end: Option<DateTime<Utc>>,
    ) -> Result<u64, LettersError> {
        let spool = &self.house.spool;
        let now = self.house.clock.now().utc;
        let files = spool.finish(&mut staging, now, &key.service, &key.collection)?;
        let turn = spool.commit_turn();
        roster::check(self.house, &outputs)?;
        let seq = spool.next_seq();
        let record = Record::BatchAdded {
            key: key.clone(),
            origin: Origin::Retry,
            seq,
            outputs,
            events: files.iter().map(|file| file.events).sum(),
            letters,
            window: None,
            content: None,
            settles: None,
            copies: None,
        };
        let head = BatchHead {
            seq,
            staged_at: now,
            service: key.service.clone(),
            collection: key.collection.clone(),
            window_end: window_end.unwrap_or(now),
            end: None,
            message_ids: Vec::new(),
            record,
            files,
        };
        self.house
            .keep_batch::<LettersError>(staging, &head, now, Point::RetryCommitted)?;
        std::mem::drop(turn);
        crash::point(Point::RetryRecorded);
        self.clear();
        spool.announce();
        Ok(seq)
    }

    /// The ledger says that they are gone: what is left of them can also be cleared away later.
    fn clear(&self) {
        if let Err(error) = clear(self.house) {
            tracing::warn!(%error, "dead letters that went out again cannot be cleared away yet");
        }
    }

    fn keep(&mut self, id: &str, problem: &str) {
        self.done.kept += 1;
        (self.tell)(format!("{id} still cannot be read: {problem}"));
    }
}

fn count(letters: usize) -> String {
    match letters {
        1 => "1 dead letter".to_owned(),
        more => format!("{more} dead letters"),
    }
}

/// The events of letters on their way into a batch.
struct Staged {
    failed: io::Result<()>,
    /// Letters whose event is none, and why.
    unreadable: BTreeMap<String, String>,
    /// Letters whose event is in the batch.
    letters: BTreeSet<String>,
    /// Several letters for one event send it once.
    events: BTreeSet<crate::state::EventPlace>,
    /// When the last of them was set aside: the time of an event that states none.
    latest: Option<DateTime<Utc>>,
}

impl Default for Staged {
    fn default() -> Self {
        Self {
            failed: Ok(()),
            unreadable: BTreeMap::new(),
            letters: BTreeSet::new(),
            events: BTreeSet::new(),
            latest: None,
        }
    }
}

impl Staged {
    fn add(&mut self, staging: &mut Staging, letter: &LetterHead, json: Option<&str>) {
        if self.failed.is_err() {
            return;
        }
        let Some(json) = json else {
            let problem = "its event is missing".to_owned();
            self.unreadable.insert(letter.id.clone(), problem);
            return;
        };
        let event = match Event::parse(json.to_owned(), letter.at) {
            Ok(event) => event,
            Err(error) => {
                self.unreadable.insert(letter.id.clone(), error.to_string());
                return;
            }
        };
        self.letters.insert(letter.id.clone());
        let is_new = place(letter).is_none_or(|place| self.events.insert(place));
        if is_new {
            self.latest = self.latest.max(Some(letter.at));
            self.failed = staging.event(FlatEvent {
                id: event.id,
                record_type: event.record_type,
                json: event.json.as_bytes(),
            });
        }
    }
}

/// Takes the events of a block that is read again. One that is refused again leaves its old letter
/// as it is.
struct BlockAgain<'a> {
    staging: &'a mut Staging,
    refused: Option<String>,
}

impl EventSink for BlockAgain<'_> {
    fn event(&mut self, event: FlatEvent<'_>) -> io::Result<()> {
        self.staging.event(event)
    }
}

impl ResponseSink for BlockAgain<'_> {
    fn block_read(&mut self) -> io::Result<()> {
        self.staging.block_read()
    }

    fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()> {
        self.refused = Some(block.reason);
        Ok(())
    }
}
