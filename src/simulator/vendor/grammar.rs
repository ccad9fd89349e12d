//! What may stand in an element, and in which order: as strict as the schemas.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::status::Status;
use crate::tree::Element;

const SIGNATURES: &str = "http://www.w3.org/2000/09/xmldsig#";

/// The children of an element, to be taken in the order of the schema.
#[derive(Debug)]
pub(super) struct Children<'a> {
    of: &'a Element,
    rest: VecDeque<&'a Element>,
}

impl<'a> Children<'a> {
    /// Of an element that may have these attributes, and no text.
    pub(super) fn of(of: &'a Element, attributes: &[&str]) -> Result<Self, Status> {
        check_attributes(of, attributes)?;
        if !of.text().trim().is_empty() {
            return Err(Status::bad_message(format!("{} has text in it", of.name)));
        }
        let rest = of.elements().collect();
        Ok(Self { of, rest })
    }

    /// The next one, if that is its name.
    pub(super) fn optional(&mut self, name: &str) -> Option<&'a Element> {
        let next = *self.rest.front()?;
        if next.name != name || next.namespace != self.of.namespace {
            return None;
        }
        self.rest.pop_front()
    }

    /// The next one, which must have this name.
    pub(super) fn required(&mut self, name: &str) -> Result<&'a Element, Status> {
        self.optional(name).ok_or_else(|| self.unexpected(name))
    }

    /// All that come next and have this name.
    pub(super) fn several(&mut self, name: &str) -> Vec<&'a Element> {
        std::iter::from_fn(|| self.optional(name)).collect()
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Status> {
        match self.rest.front() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("nothing more")),
        }
    }

    /// Nothing may be left but what may end any message.
    pub(super) fn end_of_message(mut self) -> Result<(), Status> {
        let is_signature =
            |last: &&Element| last.name == "Signature" && last.namespace == SIGNATURES;
        if self.rest.front().is_some_and(is_signature) {
            self.rest.pop_front();
        }
        self.end()
    }

    fn unexpected(&self, wanted: &str) -> Status {
        let found = self.rest.front().map_or("the end", |found| &found.name);
        Status::bad_message(format!(
            "in {} there is {found} where the schema has {wanted}",
            self.of.name
        ))
    }
}

/// The text of an element that holds nothing else.
pub(super) fn text(element: &Element) -> Result<String, Status> {
    check_attributes(element, &[])?;
    if element.elements().next().is_some() {
        let message = format!("{} has elements in it", element.name);
        return Err(Status::bad_message(message));
    }
    match element.text().trim() {
        "" => Err(Status::bad_message(format!("{} is empty", element.name))),
        text => Ok(text.to_owned()),
    }
}

/// An attribute that must be there.
pub(super) fn attribute(element: &Element, name: &str) -> Result<String, Status> {
    match element.attribute(name).map(str::trim) {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(Status::bad_message(format!(
            "{} needs {name}",
            element.name
        ))),
    }
}

/// A TimestampLabel with the text that stated it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) text: String,
    pub(super) time: DateTime<Utc>,
}

/// With a zone, and at most six digits of a second's fraction.
pub(super) fn label(element: &Element) -> Result<Label, Status> {
    let text = text(element)?;
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    match DateTime::parse_from_rfc3339(&text) {
        Ok(time) if digits <= 6 && text.as_bytes().get(10) == Some(&b'T') => Ok(Label {
            time: time.to_utc(),
            text,
        }),
        _ => Err(Status::bad_message(format!("{} is {text:?}", element.name))),
    }
}

fn check_attributes(element: &Element, known: &[&str]) -> Result<(), Status> {
    let mut names = element.attributes.iter().map(|(name, _)| name.as_str());
    match names.find(|name| !name.starts_with("xsi:") && !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(Status::bad_message(format!(
            "{} has no attribute {name}",
            element.name
        ))),
    }
}
