//! Which letters are meant.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{LettersError, place};
use crate::house::House;
use crate::spool::LetterHead;

/// Ids that can be named at once.
pub const MAX_IDS: usize = 10_000;
/// Ids that are named when several begin alike.
const SHOWN: usize = 3;

/// The letters of these ids, or all of an output and a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Ids, or how they begin; none are all.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Only this output's.
    #[serde(default)]
    pub output: Option<String>,
    /// Only this collection's.
    #[serde(default)]
    pub collection: Option<String>,
}

impl Choice {
    /// Says that no letter is meant.
    #[must_use]
    pub fn none(&self) -> String {
        let output = self.output.as_ref();
        let output = output.map(|name| format!(" of the output {name:?}"));
        let collection = self.collection.as_ref();
        let collection = collection.map(|name| format!(" of the collection {name:?}"));
        let (output, collection) = (output.unwrap_or_default(), collection.unwrap_or_default());
        let and = if output.is_empty() || collection.is_empty() {
            ""
        } else {
            " and"
        };
        format!("there are no dead letters{output}{and}{collection}")
    }

    /// Refuses an output that is neither configured nor known from before.
    pub(super) fn check(&self, house: &House) -> Result<(), LettersError> {
        let Some(name) = &self.output else {
            return Ok(());
        };
        let configured = house.outputs.now();
        let configured = configured.iter().map(|output| output.name.clone());
        let mut known: BTreeSet<String> = configured.collect();
        house
            .state
            .look(|picture| known.extend(picture.outputs.keys().cloned()));
        if known.contains(name) {
            return Ok(());
        }
        // Those of an output that was forgotten are still there.
        each(house, |letter, _| {
            known.extend(letter.output().map(str::to_owned));
        })?;
        if known.contains(name) {
            return Ok(());
        }
        Err(LettersError::NoSuchOutput {
            name: name.clone(),
            known: known.into_iter().collect::<Vec<_>>().join(", "),
        })
    }

    /// Whether a letter is of the output and the collection.
    pub(super) fn admits(&self, letter: &LetterHead) -> bool {
        let output = self.output.as_deref();
        let collection = self.collection.as_deref();
        output.is_none_or(|name| letter.output() == Some(name))
            && collection.is_none_or(|name| letter.collection == name)
    }

    /// Finds them. Letters for an event that another of them is for are among them: who decides
    /// about one decides about the event.
    pub(super) fn find(&self, house: &House) -> Result<Vec<LetterHead>, LettersError> {
        self.find_and_count(house).map(|(found, _)| found)
    }

    /// The same, and how many of them were not named themselves.
    pub(super) fn find_and_count(
        &self,
        house: &House,
    ) -> Result<(Vec<LetterHead>, usize), LettersError> {
        self.check(house)?;
        let mut all = Vec::new();
        each(house, |letter, _| all.push(letter))?;
        all.sort_by(|one, other| one.id.cmp(&other.id));
        let mut chosen: BTreeSet<usize> = BTreeSet::new();
        if self.ids.is_empty() {
            let admitted = all.iter().enumerate();
            chosen.extend(admitted.filter_map(|(n, letter)| self.admits(letter).then_some(n)));
        }
        for id in &self.ids {
            chosen.insert(find_one(&all, id)?);
        }
        let events: BTreeSet<_> = chosen.iter().filter_map(|n| place(all.get(*n)?)).collect();
        let is_chosen = |(n, letter): &(usize, LetterHead)| {
            chosen.contains(n) || place(letter).is_some_and(|place| events.contains(&place))
        };
        let mut found: Vec<LetterHead> = all
            .into_iter()
            .enumerate()
            .filter(is_chosen)
            .map(|(_, letter)| letter)
            .collect();
        found.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
        let along = found.len() - chosen.len();
        Ok((found, along))
    }
}

/// Gives each letter that is not gone as far as the ledger goes; tells how many lines cannot be
/// read.
pub fn each(
    house: &House,
    mut give: impl FnMut(LetterHead, Option<&str>),
) -> Result<u64, LettersError> {
    let removing = house.state.look(|picture| picture.removing.clone());
    let damaged = house.spool.dead_letters().each(|letter, event| {
        if !removing.contains_key(&letter.id) {
            give(letter, event);
        }
    })?;
    Ok(damaged)
}

/// The place among the sorted letters of the only one whose id begins so.
fn find_one(sorted: &[LetterHead], id: &str) -> Result<usize, LettersError> {
    let begin = id.to_ascii_lowercase();
    let from = sorted.partition_point(|letter| letter.id < begin);
    let alike = sorted.iter().skip(from);
    let alike: Vec<&LetterHead> = alike
        .take_while(|letter| letter.id.starts_with(&begin))
        .collect();
    match alike.as_slice() {
        [_] if !begin.is_empty() => Ok(from),
        [_, _, ..] if !begin.is_empty() => Err(LettersError::Ambiguous {
            id: id.to_owned(),
            count: alike.len(),
            some: ids(&alike),
        }),
        _ => Err(LettersError::Unknown { id: id.to_owned() }),
    }
}

fn ids(letters: &[&LetterHead]) -> String {
    let first: Vec<&str> = letters
        .iter()
        .take(SHOWN)
        .map(|letter| letter.id.as_str())
        .collect();
    first.join(", ")
}
