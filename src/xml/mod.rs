//! A streaming XML reader with bounds: the common ground of `taxii` and `stix`.
//!
//! It names elements and attributes by their local name, whatever the prefix or namespace, reads
//! an empty element as a start and an end, resolves references, refuses a DOCTYPE and never holds
//! more than one text or tag. Pure: the bytes come from a [`Read`].

mod error;
mod source;
mod text;

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::Prefix;
use quick_xml::reader::Reader;

use crate::tape::Tape;
pub use error::XmlError;
use error::{malformed, refuse, too_long, unsupported_encoding};
use source::Source;
pub use text::NestedText;

/// Whoever reads elements calls itself for each inside another, so no limit may be higher.
pub const HIGHEST_DEPTH: u32 = 200;
/// Deeper than this even what is passed over is given up.
const GIVEN_UP_DEPTH: u32 = 10_000;
/// A tag of this many times the limit cannot be passed over.
const GIVEN_UP_TAG_FACTOR: u64 = 4;
/// The names of open elements are kept.
const MAX_NAME_BYTES: usize = 1024;

/// Bounds on one document.
#[derive(Debug, Clone, Copy)]
pub struct XmlLimits {
    /// Bytes of the document.
    pub max_bytes: u64,
    /// Elements inside one another; at most [`HIGHEST_DEPTH`].
    pub max_depth: u32,
    /// Bytes of one text, tag or comment.
    pub max_text_bytes: u64,
}

/// What comes next in a document.
#[derive(Debug)]
pub enum Token<'x> {
    /// An element starts.
    Start(Tag<'x>),
    /// Text, a piece of it; comments give an empty one.
    Text(Cow<'x, str>),
    /// The innermost element ends.
    End,
    /// The document ends.
    Eof,
}

/// A start tag.
#[derive(Debug)]
pub struct Tag<'x> {
    start: BytesStart<'x>,
    offset: u64,
    is_empty: bool,
}

impl Tag<'_> {
    /// The element's name without its prefix.
    #[must_use]
    pub fn local(&self) -> &str {
        self.start.local_name().into_inner()
    }

    /// The prefix of its name, if it has one.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        self.start.name().prefix().map(Prefix::into_inner)
    }

    /// The tag as it is written.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let end = if self.is_empty { "/" } else { "" };
        format!("<{}{end}>", &*self.start)
    }

    /// The attribute of this name, its references resolved. A name with a prefix is another one:
    /// attributes of TAXII and STIX have none.
    pub fn attribute(&self, name: &str) -> Result<Option<Cow<'_, str>>, XmlError> {
        let mut attributes = self.start.attributes();
        for attribute in attributes.with_checks(false) {
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

    /// All attributes: prefix, local name, value with its references resolved.
    pub fn attributes(&self) -> impl Iterator<Item = Result<Attribute<'_>, XmlError>> {
        let mut attributes = self.start.attributes();
        attributes.with_checks(false);
        attributes.map(|attribute| {
            let attribute = attribute.map_err(|error| malformed(self.offset, &error))?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| malformed(self.offset, &error))?;
            let name = attribute.key.into_inner();
            let (prefix, local) = name.split_once(':').unwrap_or(("", name));
            Ok(Attribute {
                prefix,
                local,
                value,
            })
        })
    }

    /// The attribute as an owned text; absent is `None`, empty is `Some("")`.
    pub fn owned(&self, name: &str) -> Result<Option<String>, XmlError> {
        Ok(self.attribute(name)?.map(Cow::into_owned))
    }
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

/// Reads a document token by token.
pub struct Xml<'r> {
    reader: Reader<Source<'r>>,
    buffer: Vec<u8>,
    depth: u32,
    owes_end: bool,
    /// Text has no encoding, whatever its declaration says.
    is_nested: bool,
    limits: XmlLimits,
}

impl<'r> Xml<'r> {
    /// A reader of the document that `input` gives.
    pub fn new(input: &'r mut dyn Read, limits: XmlLimits) -> Self {
        let limits = XmlLimits {
            max_depth: limits.max_depth.min(HIGHEST_DEPTH),
            ..limits
        };
        let max_event_bytes = limits.max_text_bytes.saturating_mul(GIVEN_UP_TAG_FACTOR);
        Self {
            reader: Reader::from_reader(Source::new(input, limits.max_bytes, max_event_bytes)),
            buffer: Vec::new(),
            depth: 0,
            owes_end: false,
            is_nested: false,
            limits,
        }
    }

    /// A reader of a document that lies as text inside another one.
    pub fn of_nested(text: &'r mut NestedText<'_, '_>, limits: XmlLimits) -> Self {
        Self {
            is_nested: true,
            ..Self::new(text, limits)
        }
    }

    /// Lets [`Xml::start_recording`] record to this tape.
    #[must_use]
    pub fn with_recording(mut self, tape: &'r mut Tape) -> Self {
        self.reader.get_mut().record_to(tape);
        self
    }

    /// From here on the document's bytes are kept, behind `prologue`; those kept before are
    /// forgotten.
    pub fn start_recording(&mut self, prologue: &[u8]) -> Result<(), XmlError> {
        self.reader
            .get_mut()
            .start_recording(prologue)
            .map_err(|error| XmlError::Record(Arc::new(error)))
    }

    /// Ends the recording and gives what it holds.
    pub fn stop_recording(&mut self) -> Option<&mut Tape> {
        self.reader.get_mut().stop_recording()
    }

    /// The limits that this reader keeps.
    #[must_use]
    pub fn limits(&self) -> XmlLimits {
        self.limits
    }

    /// How many elements are open.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Bytes read so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.reader.get_ref().bytes_read()
    }

    /// The next token.
    #[expect(
        clippy::should_implement_trait,
        reason = "a token borrows from the reader, which no iterator allows"
    )]
    pub fn next(&mut self) -> Result<Token<'_>, XmlError> {
        if self.owes_end {
            self.owes_end = false;
            self.depth -= 1;
            return Ok(Token::End);
        }
        self.buffer.clear();
        self.reader.get_mut().begin_event();
        let offset = self.reader.get_ref().offset();
        let event = self
            .reader
            .read_event_into(&mut self.buffer)
            .map_err(|error| refuse(offset, error, self.limits))?;
        match &event {
            Event::Start(_) | Event::Empty(_) => {
                self.depth += 1;
                self.owes_end = matches!(event, Event::Empty(_));
            }
            Event::End(_) => self.depth -= 1,
            _ => {}
        }
        check_limits(&event, self.depth, self.limits)?;
        if self.reader.get_ref().event_is_cut() && !matches!(event, Event::Comment(_)) {
            return Err(too_long(self.limits));
        }
        match event {
            Event::Start(tag) | Event::Empty(tag) => Ok(Token::Start(Tag {
                start: tag,
                offset,
                is_empty: self.owes_end,
            })),
            Event::End(_) => Ok(Token::End),
            Event::Text(text) => Ok(Token::Text(normalize(text.into_inner()))),
            Event::CData(text) => Ok(Token::Text(normalize(text.into_inner()))),
            Event::GeneralRef(reference) => {
                if let Some(character) = reference
                    .resolve_char_ref()
                    .map_err(|error| malformed(offset, &error))?
                {
                    return Ok(Token::Text(Cow::Owned(character.to_string())));
                }
                let name = reference.into_inner();
                quick_xml::escape::resolve_xml_entity(&name)
                    .map(|text| Token::Text(Cow::Borrowed(text)))
                    .ok_or_else(|| {
                        malformed(offset, &format!("the entity &{name}; is not defined"))
                    })
            }
            Event::DocType(kind) => Err(XmlError::Doctype {
                html: kind
                    .get(..4)
                    .is_some_and(|name| name.eq_ignore_ascii_case("html")),
            }),
            Event::Decl(declaration) => match declaration.encoding() {
                Some(Ok(encoding))
                    if !self.is_nested
                        && !["utf-8", "utf8", "us-ascii", "ascii"]
                            .iter()
                            .any(|known| encoding.eq_ignore_ascii_case(known)) =>
                {
                    Err(unsupported_encoding(&encoding))
                }
                Some(Err(error)) => Err(malformed(offset, &error)),
                _ => Ok(Token::Text(Cow::Borrowed(""))),
            },
            Event::Comment(_) | Event::PI(_) => Ok(Token::Text(Cow::Borrowed(""))),
            Event::Eof if self.depth > 0 => Err(XmlError::Truncated { offset }),
            Event::Eof => Ok(Token::Eof),
        }
    }

    /// Appends the text of the element that has just started, up to its end; elements inside it
    /// are left out.
    pub fn text_into(&mut self, out: &mut String) -> Result<(), XmlError> {
        self.text_into_or(out, |_| {})
    }

    /// As [`Xml::text_into`]; `left_out` hears the texts of elements inside.
    pub fn text_into_or(
        &mut self,
        out: &mut String,
        mut left_out: impl FnMut(&str),
    ) -> Result<(), XmlError> {
        let depth = self.depth;
        let start = out.len();
        let limits = self.limits;
        loop {
            let own = self.depth == depth;
            match self.next()? {
                Token::Text(text) if own => {
                    if (out.len() - start + text.len()) as u64 > limits.max_text_bytes {
                        return Err(too_long(limits));
                    }
                    out.push_str(&text);
                }
                Token::End if own => return Ok(()),
                Token::Text(text) => left_out(&text),
                Token::Start(_) | Token::End => {}
                // `next` refuses an end of the document inside an element.
                Token::Eof => return Ok(()),
            }
        }
    }

    /// The text of the element that has just started.
    pub fn text(&mut self) -> Result<String, XmlError> {
        let mut text = String::new();
        self.text_into(&mut text)?;
        Ok(text)
    }

    /// Passes over the rest of the element that has just started.
    pub fn skip(&mut self) -> Result<(), XmlError> {
        self.skip_to_depth(self.depth.saturating_sub(1))
    }

    /// Passes over everything until no more than `depth` elements are open, limits that can be
    /// passed over included.
    pub fn skip_to_depth(&mut self, depth: u32) -> Result<(), XmlError> {
        while self.depth > depth {
            match self.next() {
                Ok(_) => {}
                Err(error) if error.is_recoverable() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The text document inside the element that has just started, or `None` if it holds elements
    /// or nothing.
    pub fn nested_text(&mut self) -> Result<Option<NestedText<'_, 'r>>, XmlError> {
        if self.owes_end {
            return Ok(None);
        }
        let offset = self.reader.get_ref().offset();
        let mut text = NestedText::new(self.reader.get_mut(), self.limits);
        match text.is_blank() {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Some(NestedText::new(self.reader.get_mut(), self.limits))),
            Err(error) => Err(refuse(offset, error.into(), self.limits)),
        }
    }
}

fn check_limits(event: &Event<'_>, depth: u32, limits: XmlLimits) -> Result<(), XmlError> {
    let length = match event {
        Event::Start(tag) | Event::Empty(tag) => {
            // First of all: the names of those that are passed over are kept too.
            if tag.name().into_inner().len() > MAX_NAME_BYTES {
                return Err(XmlError::TooLong {
                    limit: MAX_NAME_BYTES as u64,
                    recoverable: false,
                });
            }
            if depth > limits.max_depth {
                return Err(XmlError::TooDeep {
                    limit: limits.max_depth,
                    recoverable: depth < GIVEN_UP_DEPTH,
                });
            }
            tag.len()
        }
        Event::Text(text) => text.len(),
        Event::CData(text) => text.len(),
        _ => 0,
    };
    if length as u64 > limits.max_text_bytes {
        return Err(too_long(limits));
    }
    Ok(())
}

/// The root element of a document, as it is written: what stands before and after it is left out.
pub fn whole_element(document: &str) -> Result<&str, XmlError> {
    let limits = XmlLimits {
        max_bytes: u64::MAX,
        max_depth: HIGHEST_DEPTH,
        max_text_bytes: u64::MAX / GIVEN_UP_TAG_FACTOR,
    };
    let mut input = document.as_bytes();
    let mut xml = Xml::new(&mut input, limits);
    let (mut start, mut end) = (None, None);
    loop {
        let (before, depth) = (xml.reader.get_ref().offset(), xml.depth);
        match xml.next()? {
            Token::Start(_) if depth == 0 => {
                if start.replace(before).is_some() {
                    return Err(malformed(before, &"more than one root element"));
                }
            }
            Token::Text(text) if depth == 0 && !text.trim().is_empty() => {
                return Err(malformed(before, &"text beside the root element"));
            }
            Token::End if depth == 1 => end = Some(xml.reader.get_ref().offset()),
            Token::Start(_) | Token::Text(_) | Token::End => {}
            Token::Eof => break,
        }
    }
    let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    start
        .zip(end)
        .and_then(|(start, end)| document.get(place(start)..place(end)))
        .ok_or_else(|| malformed(0, &"no element"))
}

/// Line breaks in XML are LF, however they were written.
fn normalize(text: Cow<'_, str>) -> Cow<'_, str> {
    if memchr::memchr(b'\r', text.as_bytes()).is_none() {
        return text;
    }
    Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
}

#[cfg(test)]
mod tests;
