//! What is damaged of the dead letters is set aside, and what is missing of them then is told and
//! counted as lost.

use std::collections::{BTreeMap, BTreeSet};

use super::found::FoundLetters;
use super::{LettersError, each};
use crate::house::House;
use crate::spool::{About, DamagedLine, Place, SetAside, with_event};
use crate::state::ledger::HistoryLine;
use crate::state::{LetterCount, Picture, Record, Removal, RemovedLetter};
use crate::taxii::Timestamp;
use crate::taxii::window::PollWindow;

/// More damaged lines of a segment than this are not named one by one.
const NAMED_LINES: usize = 20;

/// Sets aside what is damaged of the dead letters: the whole lines stay. With `is_asked` what the disk
/// cannot read is set aside too, and not waited for. Blocks while the disk works.
pub fn mend(house: &House, is_asked: bool) -> Result<Vec<SetAside>, LettersError> {
    let deciding = house.spool.dead_letters().decide();
    super::clear(house)?;
    let set_aside = set_aside(house, is_asked)?;
    // Of what could not be read nobody knew before.
    if !set_aside.is_empty() {
        remove_again(house)?;
    }
    count_again(house)?;
    drop(deciding);
    Ok(set_aside)
}

/// What a start sets aside. Tombstones first: what they name must not come back.
pub(super) fn recover(house: &House) -> Result<(), LettersError> {
    if house.spool.dead_letters().may_lack_letters() {
        remove_again(house)?;
        set_aside(house, false)?;
    }
    Ok(())
}

fn set_aside(house: &House, is_asked: bool) -> Result<Vec<SetAside>, LettersError> {
    let set_aside = house
        .spool
        .mend_letters(is_asked, |line| restored(house, line))?;
    for segment in &set_aside {
        segment.tell();
        tell_lines(house, segment);
    }
    Ok(set_aside)
}

/// The line as it was, if its event is what is damaged of it: that stands in the spool or in the archive
/// too.
fn restored(house: &House, line: &DamagedLine) -> Option<Vec<u8>> {
    let (seq, place) = (
        number_in(&line.text, "seq")?,
        number_in(&line.text, "line")?,
    );
    with_event(&line.text, &event(house, seq, place)?)
}

/// The text of an event, if spool or archive have it whole.
fn event(house: &House, seq: u64, line: u64) -> Option<String> {
    [Place::Spool, Place::Archive]
        .into_iter()
        .find_map(|place| {
            let head = house.head_at(place, seq).ok()?;
            let mut reader = house.spool.read_at(place, &head, line, |_| false);
            let (number, text) = reader.next_line().ok()??;
            (number == line).then_some(text)
        })
}

/// Compares what is there with what was counted: what is missing of what was damaged is lost. What has gone
/// in another way is for the audit to find.
pub(super) fn count_again(house: &House) -> Result<(), LettersError> {
    // Where records are missing, the start counts them itself.
    if house.state.look(|picture| picture.is_doubtful) {
        return Ok(());
    }
    let mut counts = Counts::take(house)?;
    if counts.events.iter().any(|count| count.back() > 0) {
        remove_again(house)?;
        counts = Counts::take(house)?;
    }
    let dead_letters = house.spool.dead_letters();
    counts.leave_out_unknown(house, dead_letters.may_lack_letters());
    if !counts.is_as_it_was() {
        counts.tell(house);
        let record = Record::LettersCounted {
            events: counts.events,
            lost_blocks: counts.lost_blocks,
        };
        house.state.append(house.clock.now().utc, &record)?;
    }
    dead_letters.are_counted()?;
    Ok(())
}

/// Letters that are gone as the ledger says, and whose tombstones were damaged, get new ones.
fn remove_again(house: &House) -> Result<(), LettersError> {
    let mut ids = BTreeSet::new();
    each(house, |letter, _| {
        ids.insert(letter.id);
    })?;
    let mut gone: BTreeMap<String, Removal> = BTreeMap::new();
    let mut note = |letters: &[RemovedLetter], why: Removal| {
        let there = letters.iter().filter(|letter| ids.contains(&letter.id));
        gone.extend(there.map(|letter| (letter.id.clone(), why)));
    };
    house.state.history(|line| {
        if let HistoryLine::Record { record, .. } = line {
            match *record {
                Record::LettersRemoved { why, letters } => note(&letters, why),
                Record::BatchAdded { letters, .. } => note(&letters, Removal::Retried),
                _ => {}
            }
        }
    })?;
    if !gone.is_empty() {
        let now = house.clock.now().utc;
        house.spool.dead_letters().remove(now, &gone)?;
    }
    Ok(())
}

/// Where the number of letters is another than the ledger's.
struct Counts {
    events: Vec<LetterCount>,
    lost_blocks: u64,
}

impl Counts {
    fn take(house: &House) -> Result<Self, LettersError> {
        let next_seq = house.spool.unused_seq();
        let moment = house.state.moment();
        let picture = &moment.picture;
        let letters = FoundLetters::read(house)?;
        let mut counts = Vec::new();
        for (name, output) in &picture.outputs {
            counts.push(LetterCount {
                output: name.clone(),
                seq: None,
                counted: output.letters,
                found: letters.of_finished(name, picture, next_seq),
            });
        }
        for ((seq, output), progress) in &moment.progress {
            let Some(batch) = picture.batches.get(seq) else {
                continue;
            };
            let (_, counted) = batch.settle_so_far(output, progress);
            counts.push(LetterCount {
                output: output.clone(),
                seq: Some(*seq),
                counted,
                found: letters.of_owed(*seq, output, progress),
            });
        }
        counts.retain(|count| count.counted != count.found);
        let blocks = letters.blocks.len() as u64;
        Ok(Self {
            events: counts,
            lost_blocks: picture.block_letters.saturating_sub(blocks),
        })
    }

    /// Letters that are missing without damage, and letters too many that were never lost, are for a
    /// person to look at.
    fn leave_out_unknown(&mut self, house: &House, is_damaged: bool) {
        let lost = |picture: &Picture, count: &LetterCount| {
            let output = &count.output;
            let lost = match count.seq {
                Some(seq) => picture.batches.get(&seq)?.lost_letters(output),
                None => picture.outputs.get(output)?.lost_letters,
            };
            Some(lost)
        };
        if !is_damaged {
            self.lost_blocks = 0;
        }
        house.state.look(|picture| {
            self.events.retain(|count| match count.missing() {
                0 => lost(picture, count) > Some(0),
                _ => is_damaged,
            });
        });
    }

    fn is_as_it_was(&self) -> bool {
        self.events.is_empty() && self.lost_blocks == 0
    }

    fn tell(&self, house: &House) {
        for count in &self.events {
            let whence = count.seq.map(|seq| Whence::of_batch(house, seq));
            let whence = whence.unwrap_or_default();
            let (missing, back) = (count.missing(), count.back());
            if missing > 0 {
                tracing::error!(
                    service = whence.service,
                    collection = whence.collection,
                    begin = whence.begin(),
                    end = whence.end(),
                    seq = count.seq,
                    output = count.output,
                    letters = missing,
                    "dead letters are lost: they were damaged, and count as lost from \
                     now on. What can be read of them is in quarantine/"
                );
            } else {
                tracing::info!(
                    seq = count.seq,
                    output = count.output,
                    letters = back,
                    "dead letters that were lost are back"
                );
            }
        }
        if self.lost_blocks > 0 {
            tracing::error!(
                blocks = self.lost_blocks,
                "dead letters of content blocks are lost: they were damaged. What can be \
                 read of them, and their blocks, is in quarantine/"
            );
        }
    }
}

/// Where a letter came from, as far as that is known.
#[derive(Debug, Default)]
struct Whence {
    service: Option<String>,
    collection: Option<String>,
    window: Option<PollWindow>,
}

impl Whence {
    /// What ledger, spool or archive know of a batch.
    fn of_batch(house: &House, seq: u64) -> Self {
        let head = house.batch(seq);
        let head = head.or_else(|| house.head_at(Place::Archive, seq).ok());
        head.map_or_else(Self::default, |head| Self {
            service: Some(head.service.clone()),
            collection: Some(head.collection.clone()),
            window: head.window(),
        })
    }

    fn begin(&self) -> Option<&str> {
        let begin = self.window.as_ref()?.exclusive_begin.as_ref();
        begin.map(Timestamp::text)
    }

    fn end(&self) -> Option<&str> {
        let end = self.window.as_ref()?.inclusive_end.as_ref();
        end.map(Timestamp::text)
    }
}

fn tell_lines(house: &House, set_aside: &SetAside) {
    let lines = set_aside.segment.lines.iter();
    let gone: Vec<_> = lines
        .filter(|line| !set_aside.restored.contains(&line.number))
        .collect();
    for line in gone.iter().take(NAMED_LINES) {
        tell_line(house, set_aside, line);
    }
    if gone.len() > NAMED_LINES {
        tracing::error!(
            segment = set_aside.segment.file,
            lines = gone.len() - NAMED_LINES,
            "and so are others"
        );
    }
}

/// What can still be told of a damaged line: its own words may be wrong.
fn tell_line(house: &House, set_aside: &SetAside, line: &DamagedLine) {
    let seq = number_in(&line.text, "seq");
    let whence = seq
        .map(|seq| Whence::of_batch(house, seq))
        .unwrap_or_default();
    let after = line.after.as_ref().map(|letter| match &letter.about {
        About::Event {
            output, seq, line, ..
        } => format!(
            "line {line} of batch {seq}, {}/{}, output {output}",
            letter.service, letter.collection
        ),
        About::Block { letter: block, .. } => format!(
            "content block {} of {}/{}",
            block.number, letter.service, letter.collection
        ),
    });
    tracing::error!(
        segment = set_aside.segment.file,
        line = line.number,
        service = whence
            .service
            .as_deref()
            .or_else(|| text_in(&line.text, "service")),
        collection = whence
            .collection
            .as_deref()
            .or_else(|| text_in(&line.text, "collection")),
        begin = whence.begin(),
        end = whence.end(),
        output = text_in(&line.text, "output"),
        seq,
        event = number_in(&line.text, "line"),
        after,
        "a line of the dead letters cannot be read: this is what can still be told of it"
    );
}

/// The text that stands for a key in damaged JSON.
fn text_in<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(&format!("\"{key}\":\""))?;
    let (text, _) = rest.split_once('"')?;
    Some(text)
}

/// The number that stands for a key in damaged JSON.
fn number_in(json: &str, key: &str) -> Option<u64> {
    let (_, rest) = json.split_once(&format!("\"{key}\":"))?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest.get(..end)?.parse().ok()
}
