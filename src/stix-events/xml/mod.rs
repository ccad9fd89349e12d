//! A streaming XML reader with bounds: the common ground of `taxii` and `stix`.
//!
//! It names elements and attributes by their local name, whatever the prefix or namespace, reads
//! an empty element as a start and an end, resolves references, refuses a DOCTYPE and never holds
//! more than one tag or a piece of text. Pure: the bytes come from a [`Read`].
//!
//! It finds by itself where a tag or a text ends, so that both are borrowed where they lie: of a reader
//! over any [`BufRead`](std::io::BufRead), each would be a copy. What attributes, references and
//! declarations say is read by quick-xml.

mod error;
mod markup;
mod open_names;
mod plain;
mod source;
mod tag;
mod text;

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use quick_xml::events::{BytesDecl, BytesRef, BytesStart};

use crate::tape::Tape;
pub use error::XmlError;
use error::{malformed, refuse, too_long, unsupported_encoding};
use markup::{Find, Reference, StartTag, Until};
use open_names::OpenNames;
pub use plain::PlainElement;
use source::{BUFFER_BYTES, Source};
pub use tag::{Attribute, Tag};
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
    /// Bytes of one text or tag. Comments are passed over as they come.
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

/// A token that says nothing.
const NOTHING: Token<'static> = Token::Text(Cow::Borrowed(""));
const BYTE_ORDER_MARK: &str = "\u{feff}";
const COMMENT_START: &str = "<!--";
const CDATA_START: &str = "<![CDATA[";
const CDATA_END: &str = "]]>";
/// A longer text is given in pieces of at least so many bytes.
const PIECE_BYTES: usize = BUFFER_BYTES / 2;

/// What follows in a document.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Start,
    End,
    Reference,
    Cdata,
    Comment,
    Instruction,
    Doctype { html: bool },
    ByteOrderMark,
    Eof,
}

/// Reads a document token by token.
pub struct Xml<'r> {
    source: Source<'r>,
    open: OpenNames,
    depth: u32,
    owes_end: bool,
    is_in_cdata: bool,
    /// Bytes that were given of the text or CDATA section that goes on.
    text_bytes: u64,
    /// What a reference stands for.
    character: [u8; 4],
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
        Self {
            source: Source::new(input, limits.max_bytes),
            open: OpenNames::default(),
            depth: 0,
            owes_end: false,
            is_in_cdata: false,
            text_bytes: 0,
            character: [0; 4],
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
        self.source.record_to(tape);
        self
    }

    /// From here on the document's bytes are kept, behind `prologue`; those kept before are
    /// forgotten.
    pub fn start_recording(&mut self, prologue: &[u8]) -> Result<(), XmlError> {
        let started = self.source.start_recording(prologue);
        started.map_err(|error| XmlError::Record(Arc::new(error)))
    }

    /// Ends the recording and gives what it holds.
    pub fn stop_recording(&mut self) -> Result<Option<&mut Tape>, XmlError> {
        let stopped = self.source.stop_recording();
        stopped.map_err(|error| XmlError::Record(Arc::new(error)))
    }

    /// Ends the recording, of which nobody wants anything.
    pub fn drop_recording(&mut self) {
        self.source.drop_recording();
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
        self.source.bytes_read()
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
        self.source.finish_character();
        let offset = self.source.offset();
        if self.is_in_cdata {
            return self.cdata(offset);
        }
        match self.kind(offset)? {
            Kind::Text => self.text_piece(offset),
            Kind::Start => self.start_tag(offset),
            Kind::End => self.end_tag(offset),
            Kind::Reference => self.reference(offset),
            Kind::Cdata => {
                self.source.consume(CDATA_START.len());
                self.is_in_cdata = true;
                self.cdata(offset)
            }
            Kind::Comment => {
                self.source.consume(COMMENT_START.len());
                self.pass_over(offset, "-->")?;
                Ok(NOTHING)
            }
            Kind::Instruction => self.instruction(offset),
            Kind::Doctype { html } => Err(XmlError::Doctype { html }),
            Kind::ByteOrderMark => {
                self.source.consume(BYTE_ORDER_MARK.len());
                Ok(NOTHING)
            }
            Kind::Eof if self.depth > 0 => Err(XmlError::Truncated { offset }),
            Kind::Eof => Ok(Token::Eof),
        }
    }

    /// The next token but the white space that stands before it, which says nothing between elements.
    pub fn next_behind_space(&mut self) -> Result<Token<'_>, XmlError> {
        self.pass_over_space()?;
        self.next()
    }

    /// Passes over white space between elements.
    #[inline]
    pub fn pass_over_space(&mut self) -> Result<(), XmlError> {
        if !self.is_between_tokens() {
            return Ok(());
        }
        self.source.finish_character();
        loop {
            let rest = self.source.rest_bytes();
            let (blank, all) = (self.open.blank_bytes(rest), rest.len());
            self.source.consume(blank);
            if blank < all || !self.read_more(self.source.offset())? {
                return Ok(());
            }
        }
    }

    /// Whether what follows neither goes on nor is owed.
    #[inline]
    fn is_between_tokens(&self) -> bool {
        !self.owes_end && !self.is_in_cdata && self.text_bytes == 0
    }

    /// What follows, as its first bytes tell.
    #[inline]
    fn kind(&mut self, offset: u64) -> Result<Kind, XmlError> {
        loop {
            return Ok(match self.source.rest_bytes() {
                [b'<', b'/', ..] => Kind::End,
                [b'<', b'!', ..] => return self.declaration_kind(offset),
                [b'<', b'?', ..] => Kind::Instruction,
                [b'<', _, ..] => Kind::Start,
                [b'&', ..] => Kind::Reference,
                [0xef, ..] if offset == 0 && self.source.rest().starts_with(BYTE_ORDER_MARK) => {
                    Kind::ByteOrderMark
                }
                [b'<'] | [] => {
                    let is_at_end = self.source.rest_bytes().is_empty();
                    match (self.read_more(offset)?, is_at_end) {
                        (true, _) => continue,
                        (false, true) => Kind::Eof,
                        (false, false) => return Err(XmlError::Truncated { offset }),
                    }
                }
                _ => Kind::Text,
            });
        }
    }

    /// What follows behind `<!`.
    fn declaration_kind(&mut self, offset: u64) -> Result<Kind, XmlError> {
        const DOCTYPE: &str = "<!DOCTYPE";
        /// Enough to see what a DOCTYPE is of.
        const LOOK_AHEAD: usize = 64;
        let filled = self.source.fill(CDATA_START.len());
        let is_whole = filled.map_err(|error| refuse(offset, error))?;
        let rest = self.source.rest_bytes();
        if rest.starts_with(COMMENT_START.as_bytes()) {
            return Ok(Kind::Comment);
        }
        if rest.starts_with(CDATA_START.as_bytes()) {
            return Ok(Kind::Cdata);
        }
        let name = rest.get(..DOCTYPE.len()).unwrap_or_default();
        if name.eq_ignore_ascii_case(DOCTYPE.as_bytes()) {
            let filled = self.source.fill(LOOK_AHEAD);
            filled.map_err(|error| refuse(offset, error))?;
            let rest = self.source.rest_bytes().get(DOCTYPE.len()..);
            let root = rest.unwrap_or_default().trim_ascii_start();
            let html = root
                .get(..4)
                .is_some_and(|name| name.eq_ignore_ascii_case(b"html"));
            return Ok(Kind::Doctype { html });
        }
        if is_whole {
            Err(malformed(
                offset,
                &"neither a comment nor CDATA behind `<!`",
            ))
        } else {
            Err(XmlError::Truncated { offset })
        }
    }

    fn start_tag(&mut self, offset: u64) -> Result<Token<'_>, XmlError> {
        let bytes = match self.bare_tag_bytes() {
            Some(bytes) => bytes,
            None => self.markup_bytes(offset, StartTag::default())?,
        };
        let content = self.source.take_inside(bytes, "<", ">");
        let without_slash = content.strip_suffix('/');
        let is_empty = without_slash.is_some();
        let content = without_slash.unwrap_or(content);
        let Some(name) = self.open.expect(content) else {
            return Err(malformed(offset, &"a tag without a name"));
        };
        let tag = Tag::new(content, name, is_empty, offset);
        self.depth += 1;
        self.owes_end = is_empty;
        // First of all: the names of those that are passed over are kept too.
        if name.text().len() > MAX_NAME_BYTES {
            return Err(XmlError::TooLong {
                limit: MAX_NAME_BYTES as u64,
                recoverable: false,
            });
        }
        if !is_empty {
            self.open.open();
        }
        if self.depth > self.limits.max_depth {
            return Err(XmlError::TooDeep {
                limit: self.limits.max_depth,
                recoverable: self.depth < GIVEN_UP_DEPTH,
            });
        }
        if tag.len() as u64 > self.limits.max_text_bytes {
            return Err(too_long(self.limits));
        }
        Ok(Token::Start(tag))
    }

    /// Of a start tag without attributes, if its name is the expected one.
    #[inline]
    fn bare_tag_bytes(&self) -> Option<usize> {
        let name = self.open.expected()?.plain()?;
        let tag = self.source.rest_bytes().strip_prefix(b"<")?;
        let is_bare = name.strip(tag)?.first() == Some(&b'>');
        let bytes = "<>".len() + name.len();
        (is_bare && bytes as u64 <= self.limits.max_text_bytes).then_some(bytes)
    }

    fn end_tag(&mut self, offset: u64) -> Result<Token<'_>, XmlError> {
        let rest = self.source.rest_bytes();
        let name = self.open.last();
        match name.and_then(|name| name.plain_end_tag_bytes(rest)) {
            Some(bytes) => self.source.consume(bytes),
            None => self.other_end_tag(offset)?,
        }
        self.open.close();
        self.depth -= 1;
        Ok(Token::End)
    }

    fn other_end_tag(&mut self, offset: u64) -> Result<(), XmlError> {
        let bytes = self.markup_bytes(offset, Until::new(">"))?;
        let name = self.source.take_inside(bytes, "</", ">").trim_ascii_end();
        let Some(open) = self.open.last() else {
            let message = format!("nothing is open that `</{name}>` ends");
            return Err(malformed(offset, &message));
        };
        let open = open.text().as_bytes();
        if open == name.as_bytes() {
            return Ok(());
        }
        let open = String::from_utf8_lossy(open);
        let message = format!("expected `</{open}>`, but `</{name}>` was found");
        Err(malformed(offset, &message))
    }

    fn text_piece(&mut self, offset: u64) -> Result<Token<'_>, XmlError> {
        let mut seen = 0;
        let (bytes, is_end) = loop {
            let rest = self.source.rest_bytes();
            let unseen = rest.get(seen..).unwrap_or_default();
            if let Some(end) = memchr::memchr2(b'<', b'&', unseen) {
                break (seen + end, true);
            }
            seen = rest.len();
            // A line break is not cut in two.
            let whole = rest.strip_suffix(b"\r").unwrap_or(rest).len();
            if whole >= PIECE_BYTES {
                break (whole, false);
            }
            if !self.read_more(offset)? {
                break (seen, true);
            }
        };
        self.count_text(offset, bytes, is_end)?;
        Ok(Token::Text(self.normalized(bytes, 0)))
    }

    fn cdata(&mut self, offset: u64) -> Result<Token<'_>, XmlError> {
        let mut end = Until::new(CDATA_END);
        let (bytes, is_end) = loop {
            let rest = self.source.rest_bytes();
            if let Some(end) = end.find(rest) {
                break (end - CDATA_END.len(), true);
            }
            // Neither that nor a line break is cut in two.
            let is_cut = |byte: &u8| matches!(byte, b']' | b'\r');
            let whole = rest.len() - rest.iter().rev().take(2).take_while(|b| is_cut(b)).count();
            if whole >= PIECE_BYTES {
                break (whole, false);
            }
            if !self.read_more(offset)? {
                return Err(XmlError::Truncated { offset });
            }
        };
        self.count_text(offset, bytes, is_end)?;
        if is_end {
            self.is_in_cdata = false;
        }
        let end = if is_end { CDATA_END.len() } else { 0 };
        Ok(Token::Text(self.normalized(bytes, end)))
    }

    /// So many bytes of text, and what is consumed `with` them. Line breaks in XML are LF, however they
    /// were written.
    #[inline]
    fn normalized(&mut self, bytes: usize, with: usize) -> Cow<'_, str> {
        let has_returns = self.source.has_returns();
        let text = self.source.take_before(bytes, with);
        if has_returns && text.contains('\r') {
            Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
        } else {
            Cow::Borrowed(text)
        }
    }

    /// A text that is too long is passed over to its end.
    #[inline]
    fn count_text(&mut self, offset: u64, bytes: usize, is_end: bool) -> Result<(), XmlError> {
        self.text_bytes += bytes as u64;
        let is_too_long = self.text_bytes > self.limits.max_text_bytes;
        if is_end || is_too_long {
            self.text_bytes = 0;
        }
        if !is_too_long {
            return Ok(());
        }
        if self.is_in_cdata {
            self.pass_over(offset, CDATA_END)?;
            self.is_in_cdata = false;
        } else {
            self.pass_over_text(offset)?;
        }
        Err(too_long(self.limits))
    }

    fn pass_over_text(&mut self, offset: u64) -> Result<(), XmlError> {
        loop {
            let rest = self.source.rest_bytes();
            let end = memchr::memchr2(b'<', b'&', rest);
            let bytes = end.unwrap_or(rest.len());
            self.source.consume(bytes);
            if end.is_some() || !self.read_more(offset)? {
                return Ok(());
            }
        }
    }

    /// Passes over everything up to this `end`.
    fn pass_over(&mut self, offset: u64, end: &'static str) -> Result<(), XmlError> {
        match self.source.pass_over(end) {
            Ok(true) => Ok(()),
            Ok(false) => Err(XmlError::Truncated { offset }),
            Err(error) => Err(refuse(offset, error)),
        }
    }

    fn reference(&mut self, offset: u64) -> Result<Token<'_>, XmlError> {
        if let Some((character, bytes)) = markup::plain_reference(self.source.rest_bytes()) {
            self.source.consume(bytes);
            let text = character.encode_utf8(&mut self.character);
            return Ok(Token::Text(Cow::Borrowed(text)));
        }
        let bytes = self.markup_bytes(offset, Reference::default())?;
        let written = self.source.take(bytes);
        let name = written.strip_prefix('&');
        let Some(name) = name.and_then(|name| name.strip_suffix(';')) else {
            let message = "a reference that no `;` ends: a lone `&` is written `&amp;`";
            return Err(malformed(offset, &message));
        };
        let character = BytesRef::new(name).resolve_char_ref();
        if let Some(character) = character.map_err(|error| malformed(offset, &error))? {
            let text = character.encode_utf8(&mut self.character);
            return Ok(Token::Text(Cow::Borrowed(text)));
        }
        quick_xml::escape::resolve_xml_entity(name)
            .map(|text| Token::Text(Cow::Borrowed(text)))
            .ok_or_else(|| malformed(offset, &format!("the entity &{name}; is not defined")))
    }

    fn instruction(&mut self, offset: u64) -> Result<Token<'_>, XmlError> {
        let bytes = self.markup_bytes(offset, Until::behind("<?", "?>"))?;
        let content = self.source.take_inside(bytes, "<?", "?>");
        if !content.starts_with(|c: char| c.is_alphanumeric() || "_:".contains(c)) {
            return Err(malformed(
                offset,
                &"a processing instruction without a name",
            ));
        }
        let is_declaration = content.strip_prefix("xml").is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_whitespace())
        });
        if !is_declaration || self.is_nested {
            return Ok(NOTHING);
        }
        let declaration = BytesDecl::from_start(BytesStart::from_content(content, "xml".len()));
        match declaration.encoding() {
            Some(Ok(encoding)) => {
                let known = ["utf-8", "utf8", "us-ascii", "ascii"];
                if !known
                    .iter()
                    .any(|known| encoding.eq_ignore_ascii_case(known))
                {
                    return Err(unsupported_encoding(&encoding));
                }
            }
            Some(Err(error)) => return Err(malformed(offset, &error)),
            None => {}
        }
        Ok(NOTHING)
    }

    /// The length of the markup that starts here.
    fn markup_bytes(&mut self, offset: u64, mut end: impl Find) -> Result<usize, XmlError> {
        let limit = self.limits.max_text_bytes;
        let given_up = limit.saturating_mul(GIVEN_UP_TAG_FACTOR);
        loop {
            let rest = self.source.rest_bytes();
            let found = end.find(rest);
            if found.unwrap_or(rest.len()) as u64 > given_up {
                return Err(XmlError::TooLong {
                    limit,
                    recoverable: false,
                });
            }
            if let Some(bytes) = found {
                return Ok(bytes);
            }
            if !self.read_more(offset)? {
                return Err(XmlError::Truncated { offset });
            }
        }
    }

    fn read_more(&mut self, offset: u64) -> Result<bool, XmlError> {
        let more = self.source.read_more();
        more.map_err(|error| refuse(offset, error))
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
        left_out: impl FnMut(&str),
    ) -> Result<(), XmlError> {
        self.text_pieces(|piece| out.push_str(piece), left_out)
    }

    /// As [`Xml::text_into_or`], for whom `own` keeps the text in a way of its own.
    pub fn text_pieces(
        &mut self,
        mut own: impl FnMut(&str),
        mut left_out: impl FnMut(&str),
    ) -> Result<(), XmlError> {
        if let Some(text) = self.plain_text() {
            own(text);
            return Ok(());
        }
        let depth = self.depth;
        let mut bytes = 0;
        let limits = self.limits;
        loop {
            let is_own = self.depth == depth;
            match self.next()? {
                Token::Text(text) if is_own => {
                    bytes += text.len() as u64;
                    if bytes > limits.max_text_bytes {
                        return Err(too_long(limits));
                    }
                    own(&text);
                }
                Token::End if is_own => return Ok(()),
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
        let offset = self.source.offset();
        match NestedText::new(&mut self.source).is_blank() {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Some(NestedText::new(&mut self.source))),
            Err(error) => Err(refuse(offset, error)),
        }
    }
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
        let (before, depth) = (xml.source.offset(), xml.depth);
        match xml.next()? {
            Token::Start(_) if depth == 0 => {
                if start.replace(before).is_some() {
                    return Err(malformed(before, &"more than one root element"));
                }
            }
            Token::Text(text) if depth == 0 && !text.trim().is_empty() => {
                return Err(malformed(before, &"text beside the root element"));
            }
            Token::End if depth == 1 => end = Some(xml.source.offset()),
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

#[cfg(test)]
mod tests;
