//! Letters for a person or a script to look at.

use std::collections::BTreeSet;
use std::io::{self, Read};

use serde::Serialize;
use serde_json::value::RawValue;

use super::LettersError;
use super::choice::{Choice, each};
use crate::house::House;
use crate::spool::{About, LetterHead};
use crate::tape::Tape;

/// Memory for what is on its way to a person; the rest waits in a scratch file.
const VIEW_MEMORY: usize = 4 << 20;

/// A letter with all that it holds.
#[derive(Serialize)]
struct WholeLetter<'a> {
    #[serde(flatten)]
    head: &'a LetterHead,
    /// The event.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a RawValue>,
    /// The content block as it was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// What letters are meant, each as a record of JSON without what it holds, in the order in which
/// they were set aside; with the number of lines that cannot be read.
pub fn list(house: &House, choice: &Choice) -> Result<(Tape, u64), LettersError> {
    let mut tape = new_tape(house);
    choice.check(house)?;
    let mut failed = Ok(());
    let damaged = if choice.ids.is_empty() {
        each(house, |letter, _| {
            if failed.is_ok() && choice.admits(&letter) {
                failed = append(&mut tape, &letter);
            }
        })?
    } else {
        for letter in choice.find(house)? {
            append(&mut tape, &letter)?;
        }
        0
    };
    failed.map(|()| (tape, damaged))
}

/// Letters with all that they hold, each as a record of JSON.
pub fn export(house: &House, choice: &Choice) -> Result<Tape, LettersError> {
    let _deciding = house.spool.dead_letters().decide();
    let chosen = choice.find(house)?.into_iter().map(|letter| letter.id);
    let chosen: BTreeSet<String> = chosen.collect();
    let mut tape = new_tape(house);
    let mut failed = Ok(());
    each(house, |letter, event| {
        if failed.is_ok() && chosen.contains(&letter.id) {
            failed = whole(house, &mut tape, &letter, event);
        }
    })?;
    failed.map(|()| tape)
}

fn whole(
    house: &House,
    tape: &mut Tape,
    letter: &LetterHead,
    event: Option<&str>,
) -> Result<(), LettersError> {
    let text = match &letter.about {
        About::Event { .. } => None,
        About::Block { file, .. } => block_text(house, file)?,
    };
    let whole = WholeLetter {
        head: letter,
        event: event.and_then(|json| serde_json::from_str(json).ok()),
        text,
    };
    append(tape, &whole)
}

/// The block as it was received; none if a person has taken it away.
fn block_text(house: &House, file: &str) -> io::Result<Option<String>> {
    let mut block = match house.spool.dead_letters().block(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        block => block?,
    };
    let mut bytes = Vec::new();
    block.read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn append(tape: &mut Tape, what: &impl Serialize) -> Result<(), LettersError> {
    let json = serde_json::to_vec(what).map_err(io::Error::from)?;
    tape.append_record(&json)?;
    Ok(())
}

fn new_tape(house: &House) -> Tape {
    Tape::new(house.spool.scratch(), VIEW_MEMORY, u64::MAX)
}
