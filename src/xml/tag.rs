//! A start tag and its attributes, as they lie in the document.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::attributes::Attributes;

use super::error::{XmlError, malformed};

/// A start tag.
#[derive(Debug, Clone, Copy)]
pub struct Tag<'x> {
    /// What stands between the angle brackets, without the slash of an empty element.
    content: &'x str,
    name_bytes: usize,
    /// Where the name without its prefix starts.
    local_at: usize,
    offset: u64,
    is_empty: bool,
}

impl<'x> Tag<'x> {
    pub(super) fn new(content: &'x str, is_empty: bool, offset: u64) -> Self {
        let bytes = content.as_bytes();
        let is_end = |byte: &u8| byte.is_ascii_whitespace();
        let name_bytes = bytes.iter().position(is_end).unwrap_or(bytes.len());
        let name = bytes.get(..name_bytes).unwrap_or_default();
        let colon = name.iter().position(|byte| *byte == b':');
        Self {
            content,
            name_bytes,
            local_at: colon.map_or(0, |colon| colon + 1),
            offset,
            is_empty,
        }
    }

    /// Its name, with a prefix if it has one.
    pub(super) fn name(&self) -> &'x str {
        self.content.get(..self.name_bytes).unwrap_or_default()
    }

    /// Bytes between its angle brackets.
    pub(super) fn len(&self) -> usize {
        self.content.len()
    }

    /// The element's name without its prefix.
    #[must_use]
    pub fn local(&self) -> &'x str {
        let local = self.content.get(self.local_at..self.name_bytes);
        local.unwrap_or_default()
    }

    /// The prefix of its name, if it has one.
    #[must_use]
    pub fn prefix(&self) -> Option<&'x str> {
        self.content.get(..self.local_at.checked_sub(1)?)
    }

    /// The tag as it is written.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let end = if self.is_empty { "/" } else { "" };
        format!("<{}{end}>", self.content)
    }

    /// The attribute of this name, its references resolved. A name with a prefix is another one:
    /// attributes of TAXII and STIX have none.
    pub fn attribute(&self, name: &str) -> Result<Option<Cow<'x, str>>, XmlError> {
        match self.plain_attribute(name) {
            Plain::Value(value) => return Ok(Some(Cow::Borrowed(value))),
            Plain::Absent => return Ok(None),
            Plain::Unclear => {}
        }
        for attribute in self.written_attributes() {
            let attribute = attribute.map_err(|error| malformed(self.offset, &error))?;
            if attribute.key.into_inner() != name {
                continue;
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| malformed(self.offset, &error))?;
            return Ok(Some(value));
        }
        Ok(None)
    }

    /// The attribute, where all that is looked at is written as nearly everybody writes it: this is
    /// asked of every property of every observable.
    fn plain_attribute(&self, name: &str) -> Plain<'x> {
        let bytes = self.content.as_bytes();
        let mut at = self.name_bytes;
        loop {
            while bytes.get(at) == Some(&b' ') {
                at += 1;
            }
            let key_at = at;
            while bytes.get(at).is_some_and(|byte| is_plain_in_name(*byte)) {
                at += 1;
            }
            let (key, value_at) = match (bytes.get(at), bytes.get(at + 1)) {
                (None, _) if at == key_at => return Plain::Absent,
                (Some(b'='), Some(b'"' | b'\'')) => (self.content.get(key_at..at), at + 2),
                _ => return Plain::Unclear,
            };
            let quote = bytes.get(at + 1).copied().unwrap_or_default();
            let behind = bytes.get(value_at..).unwrap_or_default();
            let Some(value_bytes) = memchr::memchr(quote, behind) else {
                return Plain::Unclear;
            };
            at = value_at + value_bytes + 1;
            if !matches!(bytes.get(at), None | Some(b' ')) {
                return Plain::Unclear;
            }
            if key == Some(name) {
                let value = self.content.get(value_at..value_at + value_bytes);
                let is_plain =
                    |value: &&str| !value.bytes().any(|byte| byte < b' ' || byte == b'&');
                return value.filter(is_plain).map_or(Plain::Unclear, Plain::Value);
            }
        }
    }

    /// All attributes: prefix, local name, value with its references resolved.
    pub fn attributes(&self) -> impl Iterator<Item = Result<Attribute<'x>, XmlError>> + use<'x> {
        let offset = self.offset;
        self.written_attributes().map(move |attribute| {
            let attribute = attribute.map_err(|error| malformed(offset, &error))?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| malformed(offset, &error))?;
            let name = attribute.key.into_inner();
            let (prefix, local) = name.split_once(':').unwrap_or(("", name));
            Ok(Attribute {
                prefix,
                local,
                value,
            })
        })
    }

    fn written_attributes(&self) -> Attributes<'x> {
        let mut attributes = Attributes::new(self.content, self.name_bytes);
        attributes.with_checks(false);
        attributes
    }

    /// The attribute as an owned text; absent is `None`, empty is `Some("")`.
    pub fn owned(&self, name: &str) -> Result<Option<String>, XmlError> {
        Ok(self.attribute(name)?.map(Cow::into_owned))
    }
}

fn is_plain_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-' | b'.')
}

/// What a first look tells of an attribute.
enum Plain<'x> {
    Value(&'x str),
    Absent,
    /// It takes a closer look.
    Unclear,
}

/// An attribute of a start tag.
#[derive(Debug)]
pub struct Attribute<'x> {
    /// What stands before the colon, or the empty text.
    pub prefix: &'x str,
    /// Its name without the prefix.
    pub local: &'x str,
    /// Its value, references resolved.
    pub value: Cow<'x, str>,
}
