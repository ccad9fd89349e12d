//! Small records, read whole: what a service tells of itself.

use super::ReadResponseError;
use crate::xml::{Attribute, Tag, Token, Xml, XmlError};

/// Bytes of all names, attributes and texts that one message about services, collections or
/// subscriptions may hold.
pub const MAX_INFORMATION_BYTES: u64 = 16 << 20;
/// What an element takes in memory beside its texts, roughly.
const OVERHEAD_BYTES: u64 = 100;

/// An element with all that is in it.
#[derive(Debug, Default)]
pub(super) struct Record {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Record>,
}

/// What may still be kept of a message.
pub(super) struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_INFORMATION_BYTES)
    }
}

impl Budget {
    fn take(&mut self, bytes: usize) -> Result<(), ReadResponseError> {
        let left = self.0.checked_sub(bytes as u64);
        self.0 = left.ok_or(ReadResponseError::Xml(XmlError::TooLarge {
            limit: MAX_INFORMATION_BYTES,
        }))?;
        Ok(())
    }
}

/// The start tag of a record.
pub(super) fn start(tag: &Tag<'_>, budget: &mut Budget) -> Result<Record, ReadResponseError> {
    let pair = |attribute: Result<Attribute<'_>, XmlError>| {
        let Attribute { local, value, .. } = attribute?;
        Ok((local.to_owned(), value.into_owned()))
    };
    let attributes: Result<_, XmlError> = tag.attributes().map(pair).collect();
    let record = Record {
        name: tag.local().to_owned(),
        attributes: attributes?,
        ..Record::default()
    };
    let attributes = record.attributes.iter();
    let bytes: usize = attributes
        .map(|(name, value)| name.len() + value.len())
        .sum();
    budget.take(bytes + record.name.len())?;
    budget.take(usize::try_from(OVERHEAD_BYTES).unwrap_or_default())?;
    Ok(record)
}

impl Record {
    /// Reads what follows the start tag.
    pub(super) fn read(
        mut self,
        xml: &mut Xml<'_>,
        budget: &mut Budget,
    ) -> Result<Self, ReadResponseError> {
        // Not by recursion: how deep it goes is the service's choice.
        let mut around: Vec<Self> = Vec::new();
        loop {
            match xml.next()? {
                Token::Start(tag) => {
                    let child = start(&tag, budget)?;
                    around.push(std::mem::replace(&mut self, child));
                }
                Token::Text(text) => {
                    budget.take(text.len())?;
                    self.text.push_str(&text);
                }
                Token::End | Token::Eof => {
                    let Some(mut parent) = around.pop() else {
                        return Ok(self);
                    };
                    std::mem::swap(&mut parent, &mut self);
                    self.children.push(parent);
                }
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The attribute, unless it is empty.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let mut attributes = self.attributes.iter();
        let (_, value) = attributes.find(|(known, _)| known == name)?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Its own text, on one line.
    pub(super) fn text(&self) -> String {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        words.join(" ")
    }

    /// The elements of this name inside it.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first element of this name inside it, unless it is empty.
    pub(super) fn text_of(&self, name: &str) -> Option<String> {
        let text = self.all(name).next()?.text();
        Some(text).filter(|text| !text.is_empty())
    }

    /// The texts of the elements of this name inside it.
    pub(super) fn texts_of(&self, name: &str) -> Vec<String> {
        self.all(name).map(Self::text).collect()
    }
}
