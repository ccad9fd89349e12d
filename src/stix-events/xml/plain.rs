//! Elements that are read in one step, as nearly all of a document are.
//!
//! Only if all of one lies in the buffer and is written as nearly everybody writes it; whatever else is there
//! is left for [`Xml::next`].

use super::{Xml, markup, tag};

/// An element that is read in one step.
#[derive(Debug, Clone, Copy)]
pub struct PlainElement<'x> {
    /// The value of its attribute.
    pub attribute: &'x str,
    text: &'x str,
    has_references: bool,
}

impl<'x> PlainElement<'x> {
    /// Its text, if no reference stands in it.
    #[must_use]
    #[inline]
    pub fn text(&self) -> Option<&'x str> {
        (!self.has_references).then_some(self.text)
    }

    /// Gives its text in pieces, references resolved.
    pub fn text_pieces(&self, mut own: impl FnMut(&str)) {
        let mut rest = self.text;
        while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
            let (text, reference) = rest.split_at_checked(at).unwrap_or_default();
            own(text);
            let plain = markup::plain_reference(reference.as_bytes());
            let (character, bytes) = plain.unwrap_or(('&', 1));
            own(character.encode_utf8(&mut [0; 4]));
            rest = reference.get(bytes..).unwrap_or_default();
        }
        own(rest);
    }
}

impl Xml<'_> {
    /// The value of its one attribute and the text of the element that starts here, which ends with them;
    /// if it has this local name, and is called as the element that stood there before it: most of a document
    /// are elements of one name.
    #[inline]
    pub fn plain_element(&mut self, local: &str, attribute: &str) -> Option<PlainElement<'_>> {
        let is_plain = self.is_between_tokens() && !self.source.has_returns();
        let name = self.open.expected()?;
        if !is_plain || name.local() != local.as_bytes() || self.depth >= self.limits.max_depth {
            return None;
        }
        let rest = self.source.rest_bytes();
        let behind = name.plain()?.strip(rest.strip_prefix(b"<")?)?;
        let behind = behind.strip_prefix(b" ")?;
        let behind = behind.strip_prefix(attribute.as_bytes())?;
        let value = behind.strip_prefix(b"=\"")?;
        let value_at = rest.len() - value.len();
        let value_bytes = tag::plain_value_bytes(value, b'"')?;
        let text = value.get(value_bytes..)?.strip_prefix(b"\">")?;
        let text_at = rest.len() - text.len();
        let (text_bytes, has_references) = markup::plain_text_bytes(text)?;
        let end_bytes = name.plain_end_tag_bytes(text.get(text_bytes..)?)?;
        let bytes = text_at + text_bytes + end_bytes;
        if bytes as u64 > self.limits.max_text_bytes {
            return None;
        }
        let element = self.source.take(bytes);
        let part = |start, bytes| element.get(start..start + bytes).unwrap_or_default();
        Some(PlainElement {
            attribute: part(value_at, value_bytes),
            text: part(text_at, text_bytes),
            has_references,
        })
    }

    /// The text of the element that has just started, which ends with it.
    #[inline]
    pub(super) fn plain_text(&mut self) -> Option<&str> {
        if self.owes_end || self.source.has_returns() {
            return None;
        }
        let rest = self.source.rest_bytes();
        let bytes = memchr::memchr2(b'<', b'&', rest)?;
        let end_bytes = self.open.last()?.plain_end_tag_bytes(rest.get(bytes..)?)?;
        if bytes as u64 > self.limits.max_text_bytes {
            return None;
        }
        self.open.close();
        self.depth -= 1;
        Some(self.source.take_before(bytes, end_bytes))
    }
}
