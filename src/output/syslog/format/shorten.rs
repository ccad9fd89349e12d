//! What is cut from an event whose message is over the limit, and how the event says so.
//!
//! The texts of the web request go first, the longest of them before the others, then any other
//! text in the same way; never what identifies the event, and nothing below a length that still
//! tells something.

use std::cmp::Reverse;

use super::escape::beginning;
use super::fields::{Field, Fields, Item, Value};

/// The field that names the shortened ones.
const MARK: &str = "shortened";
/// The mark stands behind `eventId`.
const MARK_PLACE: usize = 1;

/// What is left of every text, or the end of the character before.
const MIN_TEXT_BYTES: usize = 64;

/// What mostly makes an event long, and can best be missed.
const FIRST: [&str; 3] = ["csUrl", "csReferer", "csUserAgent"];

/// What identifies an event or what it tells of: half of it would be something else.
const NEVER: [&str; 27] = [
    "eventId",
    "recordType",
    "service",
    "collection",
    "packageId",
    "packageTimestamp",
    "customer",
    "incidentId",
    "incidentUrl",
    "tool",
    "campaign",
    "indicatorId",
    "flowType",
    "compositionOperator",
    "objectType",
    "observableId",
    "tlp",
    "md5",
    "sha1",
    "sha256",
    "sIP",
    "cIP",
    "client.ip",
    "server.ip",
    "scSHA256",
    "scMD5",
    MARK,
];

/// Cuts until `write` makes no more than `limit` bytes of the fields; the error is how many there
/// are when nothing more can be cut.
pub(super) fn shorten<'a>(
    fields: &mut Fields<'a>,
    limit: usize,
    mut write: impl FnMut(&Fields<'a>) -> usize,
) -> Result<(), usize> {
    rename_foreign_mark(fields);
    let mut names = Vec::new();
    let mut bytes = write(fields);
    while bytes > limit {
        if !cut(fields, bytes - limit, &mut names) {
            return Err(bytes);
        }
        mark(fields, &names);
        bytes = write(fields);
    }
    Ok(())
}

/// Cuts `excess` bytes, or as many as there are; false if there are none.
fn cut(fields: &mut Fields<'_>, excess: usize, names: &mut Vec<String>) -> bool {
    let mut texts = cuttable(fields);
    texts.sort_by_key(|&(is_first, ref text, _)| (!is_first, Reverse(text.len())));
    let mut left = excess;
    let mut is_cut = false;
    for (_, text, name) in texts {
        if left == 0 {
            break;
        }
        let wanted = text.len().saturating_sub(left).max(MIN_TEXT_BYTES);
        let rest = beginning(text, wanted).len();
        left = left.saturating_sub(text.len() - rest);
        text.to_mut().truncate(rest);
        is_cut = true;
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    is_cut
}

type Cuttable<'f, 'a> = (bool, &'f mut std::borrow::Cow<'a, str>, &'f str);

/// All texts that can still be cut, with whether they go first and the name of their field.
fn cuttable<'f, 'a>(fields: &'f mut Fields<'a>) -> Vec<Cuttable<'f, 'a>> {
    let mut texts = Vec::new();
    for Field { name, value } in &mut fields.0 {
        let name: &str = name;
        if NEVER.contains(&name) {
            continue;
        }
        let is_first = FIRST.contains(&name);
        for item in value.items_mut() {
            match item {
                Item::Text(text) if text.len() > MIN_TEXT_BYTES => {
                    texts.push((is_first, text, name));
                }
                Item::Text(_) | Item::Json(_) => {}
            }
        }
    }
    texts
}

fn mark(fields: &mut Fields<'_>, names: &[String]) {
    let items = names.iter().map(|name| Item::Text(name.clone().into()));
    let value = Value::Several(items.collect());
    match fields.0.iter_mut().find(|field| field.name == MARK) {
        Some(mark) => mark.value = value,
        None => {
            let place = MARK_PLACE.min(fields.0.len());
            let name = MARK.into();
            fields.0.insert(place, Field { name, value });
        }
    }
}

/// A property that happens to have the name of the mark gets another, as those do that have the
/// name of a field of ours.
fn rename_foreign_mark(fields: &mut Fields<'_>) {
    let mut name = MARK.to_owned();
    while fields.0.iter().any(|field| field.name == name) {
        name = format!("property_{name}");
    }
    for field in fields.0.iter_mut().filter(|field| field.name == MARK) {
        field.name = name.clone().into();
    }
}
