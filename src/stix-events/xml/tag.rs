//! A start tag and its attributes, as they lie in the document.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::attributes::Attributes;
use quick_xml::name::QName;

use super::error::{XmlError, malformed};
use super::open_names::Name;
use crate::lanes;

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
    /// The tag of this content, in which its name stands first.
    #[inline]
    pub(super) fn new(content: &'x str, name: &Name, is_empty: bool, offset: u64) -> Self {
        Self {
            content,
            name_bytes: name.text().len(),
            local_at: name.local_at(),
            offset,
            is_empty,
        }
    }

    /// Bytes between its angle brackets.
    pub(super) fn len(&self) -> usize {
        self.content.len()
    }

    /// The element's name without its prefix.
    #[must_use]
    #[inline]
    pub fn local(&self) -> &'x str {
        let local = self.content.get(self.local_at..self.name_bytes);
        local.unwrap_or_default()
    }

    /// The prefix of its name, if it has one.
    #[must_use]
    pub fn prefix(&self) -> Option<&'x str> {
        self.content.get(..self.local_at.checked_sub(1)?)
    }

    /// What stands between its angle brackets, but for the slash of an empty element.
    #[must_use]
    pub(crate) fn content(&self) -> &'x str {
        self.content
    }

    /// The tag as it is written.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let end = if self.is_empty { "/" } else { "" };
        format!("<{}{end}>", self.content)
    }

    /// The attribute of this name, its references resolved. A name with a prefix is another one:
    /// attributes of TAXII and STIX have none.
    #[inline]
    pub fn attribute(&self, name: &str) -> Result<Option<Cow<'x, str>>, XmlError> {
        if self.content.len() == self.name_bytes {
            return Ok(None);
        }
        self.written_attribute(name)
    }

    fn written_attribute(&self, name: &str) -> Result<Option<Cow<'x, str>>, XmlError> {
        if let Some(value) = self.first_plain_attribute(name) {
            return Ok(Some(Cow::Borrowed(value)));
        }
        for written in self.written() {
            let written = written?;
            if written.name == name {
                return written.value(self.offset).map(Some);
            }
        }
        Ok(None)
    }

    /// The attribute, if it is the first one and written as nearly everybody writes it: this is asked of
    /// every property of every observable.
    #[inline]
    fn first_plain_attribute(&self, name: &str) -> Option<&'x str> {
        let written = self.content.get(self.name_bytes..)?;
        let value = written.strip_prefix(' ')?.strip_prefix(name)?;
        let value = value.strip_prefix("=\"")?;
        let bytes = plain_value_bytes(value.as_bytes(), b'"')?;
        let end = value.as_bytes().get(bytes..)?;
        matches!(end, [b'"'] | [b'"', b' ', ..]).then_some(value.get(..bytes)?)
    }

    /// All attributes: prefix, local name, value with its references resolved.
    pub fn attributes(&self) -> impl Iterator<Item = Result<Attribute<'x>, XmlError>> + use<'x> {
        let offset = self.offset;
        self.written().map(move |written| {
            let written = written?;
            let (prefix, local) = written.name.split_once(':').unwrap_or(("", written.name));
            Ok(Attribute {
                prefix,
                local,
                value: written.value(offset)?,
            })
        })
    }

    fn written(&self) -> WrittenAttributes<'x> {
        WrittenAttributes {
            content: self.content,
            at: self.name_bytes,
            offset: self.offset,
            others: None,
        }
    }

    /// The attribute as an owned text; absent is `None`, empty is `Some("")`.
    pub fn owned(&self, name: &str) -> Result<Option<String>, XmlError> {
        Ok(self.attribute(name)?.map(Cow::into_owned))
    }
}

/// How long the value is that starts here and ends with this quote, or what of it is to be taken as it is
/// written.
#[inline]
pub(super) fn plain_value_bytes(written: &[u8], quote: u8) -> Option<usize> {
    let (chunks, rest) = written.as_chunks::<8>();
    for (number, chunk) in chunks.iter().enumerate() {
        let lanes = u64::from_le_bytes(*chunk);
        let ends = lanes::of_byte(lanes, quote) | lanes::of_byte(lanes, b'&');
        let first = lanes::first(ends | lanes::below(lanes, b' '));
        if first < chunk.len() {
            return Some(number * chunk.len() + first);
        }
    }
    let is_end = |byte: &u8| *byte < b' ' || *byte == b'&' || *byte == quote;
    let place = rest.iter().position(is_end)?;
    Some(written.len() - rest.len() + place)
}

/// The attributes as they are written.
struct WrittenAttributes<'x> {
    content: &'x str,
    at: usize,
    offset: u64,
    /// From the first one on that is not written as nearly everybody writes them.
    others: Option<Attributes<'x>>,
}

struct Written<'x> {
    name: &'x str,
    value: Cow<'x, str>,
    /// Whether the value is to be taken as it is written.
    is_plain: bool,
}

impl<'x> Iterator for WrittenAttributes<'x> {
    type Item = Result<Written<'x>, XmlError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.others.is_none() {
            let (content, at) = (self.content, self.at);
            match next_plain(content, at) {
                Plain::Attribute { attribute, end } => {
                    self.at = end;
                    return Some(Ok(attribute));
                }
                Plain::End => return None,
                Plain::Unclear => {}
            }
        }
        let others = self.others.get_or_insert_with(|| {
            let mut others = Attributes::new(self.content, self.at);
            others.with_checks(false);
            others
        });
        let attribute = others
            .next()?
            .map_err(|error| malformed(self.offset, &error));
        Some(attribute.map(|attribute| Written {
            name: attribute.key.into_inner(),
            value: attribute.value,
            is_plain: false,
        }))
    }
}

impl<'x> Written<'x> {
    /// With references resolved and white space normalized.
    fn value(self, offset: u64) -> Result<Cow<'x, str>, XmlError> {
        if self.is_plain {
            return Ok(self.value);
        }
        let attribute = quick_xml::events::attributes::Attribute {
            key: QName(self.name),
            value: self.value,
        };
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        value.map_err(|error| malformed(offset, &error))
    }
}

/// What a first look tells of an attribute.
enum Plain<'x> {
    Attribute {
        attribute: Written<'x>,
        end: usize,
    },
    End,
    /// It takes a closer look.
    Unclear,
}

/// The next attribute, written as nearly everybody writes it.
fn next_plain(content: &str, mut at: usize) -> Plain<'_> {
    let bytes = content.as_bytes();
    let is_space = |at: usize| matches!(bytes.get(at), Some(b' ' | b'\n' | b'\t' | b'\r'));
    while is_space(at) {
        at += 1;
    }
    let name_at = at;
    while bytes.get(at).is_some_and(|byte| is_plain_in_name(*byte)) {
        at += 1;
    }
    let quote = match (bytes.get(at), bytes.get(at + 1)) {
        (None, _) if at == name_at => return Plain::End,
        (Some(b'='), Some(quote @ (b'"' | b'\''))) if at > name_at => *quote,
        _ => return Plain::Unclear,
    };
    let value_at = at + 2;
    let written = bytes.get(value_at..).unwrap_or_default();
    let Some((value_bytes, is_plain)) = value_bytes(written, quote) else {
        return Plain::Unclear;
    };
    let value_end = value_at + value_bytes;
    let end = value_end + 1;
    match (content.get(name_at..at), content.get(value_at..value_end)) {
        (Some(name), Some(value)) if end == bytes.len() || is_space(end) => {
            let attribute = Written {
                name,
                value: Cow::Borrowed(value),
                is_plain,
            };
            Plain::Attribute { attribute, end }
        }
        _ => Plain::Unclear,
    }
}

/// How long the value is, and whether it is to be taken as it is written.
#[inline]
fn value_bytes(written: &[u8], quote: u8) -> Option<(usize, bool)> {
    let plain = plain_value_bytes(written, quote)?;
    if written.get(plain) == Some(&quote) {
        return Some((plain, true));
    }
    memchr::memchr(quote, written).map(|bytes| (bytes, false))
}

fn is_plain_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-' | b'.')
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
