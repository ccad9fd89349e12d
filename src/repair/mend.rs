//! What is made of the window's content, polled again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use super::{RepairError, end, give_up, set_aside_in_turn, tell_lost};
use crate::crash::{self, Point};
use crate::event::{Event, EventId};
use crate::flatten::{EventSink as _, FlatEvent};
use crate::house::House;
use crate::spool::{BatchHead, BatchReader, FileDamage, SpoolError, Staging};
use crate::state::{
    BatchPicture, DamagedFile, EventFile, Origin, Record, SettledCounts, Settlement,
};
use crate::taxii::response::ResponseSink as _;

/// Why content is lost.
const GONE: &str = "the service no longer has it";

/// What became of a damaged batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mended {
    /// Files that are back as they were.
    pub files: Vec<String>,
    /// Batches with what others held, each with its events.
    pub batches: Vec<(u64, u64)>,
    /// The most that an output has lost.
    pub lost: u64,
}

/// Makes the best of a window's content that was polled again; none says that the service cannot
/// give it. Blocks while the disk works.
pub fn mend(
    house: &House,
    seq: u64,
    answer: Option<Staging>,
    reason: &str,
) -> Result<Mended, RepairError> {
    let turn = house.spool.mending_turn();
    let mended = mend_in_turn(house, seq, answer, reason);
    drop(turn);
    house.spool.announce_news();
    house.spool.announce();
    mended
}

fn mend_in_turn(
    house: &House,
    seq: u64,
    answer: Option<Staging>,
    reason: &str,
) -> Result<Mended, RepairError> {
    let Some(head) = house.batch(seq) else {
        return Ok(Mended::default());
    };
    let Some(mut answer) = answer else {
        let names = damaged(house, seq).into_iter().map(|file| file.name);
        let lost = give_up(house, &head, &names.collect(), reason)?;
        return Ok(Mended {
            lost,
            ..Mended::default()
        });
    };
    let names = damaged(house, seq).into_iter().map(|file| file.name);
    if lacking(house, seq, &names.collect()).is_empty() {
        // A person has given it up meanwhile.
        return Ok(Mended::default());
    }
    house.spool.finish_repair(&mut answer)?;
    crash::point(Point::AnswerStaged);
    // What the others hold must be known for certain.
    check_others(house, &head)?;
    let mut mending = Mending {
        house,
        head: &head,
        answer: &answer,
        mended: Mended::default(),
    };
    mending.put_back()?;
    let left = damaged(house, seq);
    if !left.is_empty() {
        mending.replace(&left)?;
    }
    Ok(mending.mended)
}

/// The files of a batch that are set aside.
pub(super) fn damaged(house: &House, seq: u64) -> Vec<DamagedFile> {
    house.state.look(|picture| {
        let batch = picture.batches.get(&seq);
        let damage = batch.and_then(|batch| batch.damage.as_ref());
        damage.map_or_else(Vec::new, |damage| damage.files.clone())
    })
}

/// How many lines of these damaged files each output has not done with; those that have are left out.
pub(super) fn lacking(house: &House, seq: u64, names: &BTreeSet<String>) -> BTreeMap<String, u64> {
    let Some((batch, progress)) = house.state.owed(seq) else {
        return BTreeMap::new();
    };
    let files = damaged_of(&batch, names);
    let lacks = batch.outputs.iter().map(|output| {
        let progress = progress.get(output);
        let finished =
            |file: &&DamagedFile| progress.map_or(0, |p| p.cursor.count_finished_of(&file.lines()));
        let lacks = files.iter().map(|file| file.events - finished(file)).sum();
        (output.clone(), lacks)
    });
    lacks.filter(|(_, lacks)| *lacks > 0).collect()
}

fn damaged_of<'a>(batch: &'a BatchPicture, names: &BTreeSet<String>) -> Vec<&'a DamagedFile> {
    let files = batch.damage.iter().flat_map(|damage| &damage.files);
    files.filter(|file| names.contains(&file.name)).collect()
}

/// Reads all other files of a batch: what is damaged of them is set aside too.
fn check_others(house: &House, head: &BatchHead) -> Result<(), RepairError> {
    let known: BTreeSet<String> = damaged(house, head.seq)
        .into_iter()
        .map(|file| file.name)
        .collect();
    let mut damages = Vec::new();
    for file in head.files.iter().filter(|file| !known.contains(&file.name)) {
        if let Err(error) = house.spool.check_file(head.seq, file) {
            match FileDamage::of(&error) {
                Some(damage) => damages.push(damage.clone()),
                None => return Err(reading(head.seq, error)),
            }
        }
    }
    set_aside_in_turn(house, head.seq, &damages)?;
    Ok(())
}

/// Files are back in their place.
pub(super) fn tell_back(
    house: &House,
    head: &BatchHead,
    files: &[String],
) -> Result<(), RepairError> {
    let record = Record::Mended {
        seq: head.seq,
        files: files.to_vec(),
    };
    house.state.append(house.clock.now().utc, &record)?;
    crash::point(Point::MendRecorded);
    tracing::info!(
        seq = head.seq,
        collection = %head.key(),
        files = files.join(", "),
        "damaged files are back as they were: nothing is lost, nothing comes twice"
    );
    Ok(())
}

struct Mending<'a> {
    house: &'a House,
    head: &'a BatchHead,
    answer: &'a Staging,
    mended: Mended,
}

/// How often events with these contents are held.
#[derive(Debug, Default)]
struct Held(HashMap<(EventId, u32), u64>);

impl Mending<'_> {
    /// The lines of damaged files stand in the answer where they stood: those files come back, and
    /// every cursor goes on as if nothing had been.
    fn put_back(&mut self) -> Result<(), RepairError> {
        let (house, seq) = (self.house, self.head.seq);
        let damaged = damaged(house, seq);
        let mut answer = Lines::new(house.spool.read_repair(self.answer));
        for (first, file) in self.head.places() {
            if damaged.iter().all(|damaged| damaged.name != file.name) {
                continue;
            }
            answer.skip_to(first).map_err(|error| reading(seq, error))?;
            let end = first + file.events;
            let lines = || answer.next_before(end);
            let Some(rewritten) = house.spool.rewrite(self.answer, file, lines)? else {
                continue;
            };
            house.spool.put_back(self.head, file, &rewritten)?;
            self.mended.files.push(file.name.clone());
        }
        if self.mended.files.is_empty() {
            return Ok(());
        }
        tell_back(house, self.head, &self.mended.files)
    }

    /// The answer is another one: what none of the whole files holds is what the damaged ones held.
    /// It goes to each output that lacks lines of them, but for what that output is known to have.
    fn replace(&mut self, left: &[DamagedFile]) -> Result<(), RepairError> {
        let names: BTreeSet<String> = left.iter().map(|file| file.name.clone()).collect();
        let lacking = lacking(self.house, self.head.seq, &names);
        if lacking.is_empty() {
            return Ok(());
        }
        let mut elsewhere = self.held_by_whole_files(&names)?;
        self.add_held_by_its_origin(&mut elsewhere);
        // Outputs that are known to have nothing of it share a batch.
        let mut to_all = Vec::new();
        for (output, lacks) in &lacking {
            let known = self.known_to_have(output, left);
            if known.0.is_empty() {
                to_all.push((output.as_str(), *lacks));
            } else {
                self.add_batch(&[(output, *lacks)], left, &elsewhere, known)?;
            }
        }
        if !to_all.is_empty() {
            self.add_batch(&to_all, left, &elsewhere, Held::default())?;
        }
        Ok(())
    }

    fn held_by_whole_files(
        &self,
        damaged: &BTreeSet<String>,
    ) -> Result<HashMap<EventId, u64>, RepairError> {
        let seq = self.head.seq;
        let reader = self
            .house
            .spool
            .read(self.head, 0, |name| damaged.contains(name));
        let mut held = HashMap::new();
        count_ids(reader, &mut held).map_err(|error| reading(seq, error))?;
        Ok(held)
    }

    /// A batch that a repair brought holds only what its damaged batch did not: what is left of that
    /// one is here or in the archive. Where it is nowhere, its events come again.
    fn add_held_by_its_origin(&self, held: &mut HashMap<EventId, u64>) {
        let spool = &self.house.spool;
        let mut next = self.head.settles().cloned();
        while let Some(settles) = next.take() {
            let reader = match self.house.batch(settles.seq) {
                Some(origin) => {
                    next = origin.settles().cloned();
                    let is_damaged = |name: &str| settles.files.iter().any(|file| file == name);
                    Some(spool.read(&origin, 0, is_damaged))
                }
                None => spool.read_archived(settles.seq).map(|(origin, reader)| {
                    next = origin.settles().cloned();
                    reader
                }),
            };
            // Batches before it have lower numbers, so this ends.
            next = next.filter(|before| before.seq < settles.seq);
            let counted = reader.map(|reader| count_ids(reader, held));
            if let Some(Err(error)) = counted {
                tracing::warn!(
                    %error,
                    seq = settles.seq,
                    "the batch before a repair cannot be read to its end: events of it may come twice"
                );
            }
        }
    }

    /// The events of damaged files that an output has for certain: their lines can still be read.
    fn known_to_have(&self, output: &str, left: &[DamagedFile]) -> Held {
        let progress = self.house.state.progress(output, self.head.seq);
        let mut held = Held::default();
        for file in left {
            if progress.cursor.count_finished_of(&file.lines()) == 0 {
                continue;
            }
            let written = self
                .head
                .files
                .iter()
                .find(|written| written.name == file.name);
            let (Some(name), Some(written)) = (&file.quarantined, written) else {
                continue;
            };
            let lines = self.house.spool.quarantined_lines(written, name);
            for (line, text) in file.lines().zip(lines) {
                // From the first line that is none on, lines may not be where they were.
                let Ok(event) = Event::parse_unchecked(text, self.head.window_end) else {
                    break;
                };
                if progress.cursor.is_finished(line) {
                    held.add(event.id, &event.json);
                }
            }
        }
        held
    }

    /// Puts a batch in place for outputs that lack so many lines each.
    fn add_batch(
        &mut self,
        outputs: &[(&str, u64)],
        left: &[DamagedFile],
        elsewhere: &HashMap<EventId, u64>,
        mut known: Held,
    ) -> Result<(), RepairError> {
        let (house, head) = (self.house, self.head);
        let expected: u64 = left.iter().map(|file| file.events).sum();
        let expected = expected.saturating_sub(known.count());
        let mut staging = house.spool.stage_repair()?;
        let mut elsewhere = elsewhere.clone();
        let mut rest = house.spool.read_repair(self.answer);
        let mut stage = || -> io::Result<u64> {
            let mut events = 0;
            while let Some((_, text)) = rest.next_line()? {
                let event = Event::parse(text, head.window_end).map_err(io::Error::other)?;
                if take(&mut elsewhere, &event.id) || known.take(event.id, &event.json) {
                    continue;
                }
                staging.event(FlatEvent {
                    id: event.id,
                    record_type: event.record_type,
                    json: event.json.as_bytes(),
                })?;
                events += 1;
            }
            staging.block_read()?;
            Ok(events)
        };
        let events = match stage() {
            Ok(events) => events,
            Err(error) => return Err(SpoolError::staging(error, staging.folder()).into()),
        };
        let files = house.spool.finish_repair(&mut staging)?;
        crash::point(Point::RepairStaged);
        let missing = expected.saturating_sub(events);
        let counts = outputs.iter().map(|(output, lacks)| {
            let lost = missing.min(*lacks);
            let repaired = lacks - lost;
            ((*output).to_owned(), SettledCounts { repaired, lost })
        });
        let settles = Settlement {
            seq: head.seq,
            files: left.iter().map(|file| file.name.clone()).collect(),
            outputs: counts.collect(),
        };
        let lost = settles.outputs.values().map(|counts| counts.lost).max();
        self.mended.lost = self.mended.lost.max(lost.unwrap_or(0));
        if files.is_empty() {
            return end(house, head, settles, GONE);
        }
        let seq = self.commit(staging, files, settles.clone())?;
        tell_lost(head, &settles, GONE);
        self.mended.batches.push((seq, events));
        Ok(())
    }

    /// The batch in place, then the ledger's record, with which the damaged lines need no more work.
    fn commit(
        &self,
        staging: Staging,
        files: Vec<EventFile>,
        settles: Settlement,
    ) -> Result<u64, RepairError> {
        let spool = &self.house.spool;
        let now = self.house.clock.now().utc;
        let _turn = spool.commit_turn();
        let seq = spool.next_seq();
        let outputs: Vec<String> = settles.outputs.keys().cloned().collect();
        let damaged = settles.seq;
        let events = files.iter().map(|file| file.events).sum();
        let head = BatchHead {
            seq,
            staged_at: now,
            service: self.head.service.clone(),
            collection: self.head.collection.clone(),
            window_end: self.head.window_end,
            end: self.head.end.clone(),
            message_ids: Vec::new(),
            record: Record::BatchAdded {
                key: self.head.key(),
                origin: Origin::Repair,
                seq,
                outputs,
                events,
                letters: Vec::new(),
                window: self.head.window(),
                content: None,
                settles: Some(settles),
                copies: None,
            },
            files,
        };
        self.house
            .keep_batch::<RepairError>(staging, &head, now, Point::RepairCommitted)?;
        crash::point(Point::RepairRecorded);
        tracing::info!(
            seq,
            damaged,
            collection = %self.head.key(),
            events,
            "what damaged files held goes out with a batch of its own: their window was polled again"
        );
        Ok(seq)
    }
}

impl Held {
    fn add(&mut self, id: EventId, json: &str) {
        let key = (id, crc32fast::hash(json.as_bytes()));
        *self.0.entry(key).or_insert(0) += 1;
    }

    /// Takes one out, if this very event is held.
    fn take(&mut self, id: EventId, json: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        take(&mut self.0, &(id, crc32fast::hash(json.as_bytes())))
    }

    fn count(&self) -> u64 {
        self.0.values().sum()
    }
}

fn take<K: std::hash::Hash + Eq>(held: &mut HashMap<K, u64>, key: &K) -> bool {
    match held.get_mut(key) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

fn count_ids(mut reader: BatchReader, held: &mut HashMap<EventId, u64>) -> io::Result<()> {
    while let Some((_, text)) = reader.next_line()? {
        let event = Event::parse(text, chrono::DateTime::UNIX_EPOCH).map_err(io::Error::other)?;
        *held.entry(event.id).or_insert(0) += 1;
    }
    Ok(())
}

/// The lines of the answer, in order.
struct Lines {
    reader: BatchReader,
    next: Option<(u64, String)>,
}

impl Lines {
    fn new(reader: BatchReader) -> Self {
        Self { reader, next: None }
    }

    fn skip_to(&mut self, line: u64) -> io::Result<()> {
        while self.next_before(line)?.is_some() {}
        Ok(())
    }

    /// The next line, as long as it stands before this one.
    fn next_before(&mut self, end: u64) -> io::Result<Option<String>> {
        let next = match self.next.take() {
            Some(next) => Some(next),
            None => self.reader.next_line()?,
        };
        Ok(match next {
            Some((number, text)) if number < end => Some(text),
            other => {
                self.next = other;
                None
            }
        })
    }
}

fn reading(seq: u64, source: io::Error) -> RepairError {
    SpoolError::Io {
        action: "reading",
        path: format!("batch {seq}").into(),
        source,
    }
    .into()
}
