//! A document that lies as text inside another one: escaped, or in CDATA.

use std::io::{self, Read};

use super::error::refuse;
use super::source::Source;
use super::{CDATA_END, CDATA_START, COMMENT_START, XmlError};

/// The longest reference that is looked for: `&#x0010FFFF;` and some zeros.
const MAX_REFERENCE_BYTES: usize = 32;

/// Reads the character data up to the next tag, decoded: references resolved, CDATA unwrapped,
/// comments and processing instructions left out.
pub struct NestedText<'x, 'r> {
    source: &'x mut Source<'r>,
    in_cdata: bool,
    /// What a reference stands for.
    decoded: Vec<u8>,
    /// What is told once the bytes before it are read.
    error: Option<io::Error>,
}

impl<'x, 'r> NestedText<'x, 'r> {
    pub(super) fn new(source: &'x mut Source<'r>) -> Self {
        Self {
            source,
            in_cdata: false,
            decoded: Vec::new(),
            error: None,
        }
    }

    /// Whether the text, white space and comments aside, is followed by an element or the end of
    /// its parent, so that there is no text document here.
    pub(super) fn is_blank(&mut self) -> io::Result<bool> {
        loop {
            let next = self.peek(CDATA_START.len())?;
            match next.first() {
                None => return Ok(true),
                Some(byte) if byte.is_ascii_whitespace() => {
                    let blank = next.iter().take_while(|b| b.is_ascii_whitespace()).count();
                    self.source.consume(blank);
                }
                Some(b'<') if next.starts_with(COMMENT_START.as_bytes()) => {
                    self.source.pass_over("-->")?;
                }
                Some(b'<') if next.starts_with(b"<?") => {
                    self.source.pass_over("?>")?;
                }
                Some(b'<') => return Ok(!next.starts_with(CDATA_START.as_bytes())),
                Some(_) => return Ok(false),
            }
        }
    }

    /// Passes over what was not read, so that the document around it goes on behind the text.
    pub fn finish(mut self) -> Result<(), XmlError> {
        let passed_over = io::copy(&mut self, &mut io::sink());
        let offset = self.source.offset();
        passed_over.map(drop).map_err(|error| refuse(offset, error))
    }

    /// A piece of the text, if what stands here is one; nothing at the end.
    fn read_piece(&mut self, out: &mut [u8]) -> io::Result<Option<usize>> {
        if self.decoded.is_empty() {
            return if self.in_cdata {
                self.read_cdata(out)
            } else {
                self.read_text(out)
            };
        }
        let mut decoded = self.decoded.as_slice();
        let read = decoded.read(out)?;
        self.decoded.drain(..read);
        Ok(Some(read))
    }

    fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        self.source.fill(wanted)?;
        Ok(self.source.rest_bytes())
    }

    fn read_text(&mut self, out: &mut [u8]) -> io::Result<Option<usize>> {
        let next = self.peek(CDATA_START.len())?;
        let plain = memchr::memchr2(b'<', b'&', next).unwrap_or(next.len());
        if plain > 0 {
            return self.copy(plain, out).map(Some);
        }
        if next.is_empty() {
            return Ok(Some(0));
        }
        if next.starts_with(CDATA_START.as_bytes()) {
            self.source.consume(CDATA_START.len());
            self.in_cdata = true;
        } else if next.starts_with(COMMENT_START.as_bytes()) {
            self.source.pass_over("-->")?;
        } else if next.starts_with(b"<?") {
            self.source.pass_over("?>")?;
        } else if next.starts_with(b"&") {
            self.decode_reference()?;
        } else {
            return Ok(Some(0));
        }
        Ok(None)
    }

    fn read_cdata(&mut self, out: &mut [u8]) -> io::Result<Option<usize>> {
        let next = self.peek(CDATA_END.len())?;
        if next.starts_with(CDATA_END.as_bytes()) {
            self.source.consume(CDATA_END.len());
            self.in_cdata = false;
            return Ok(None);
        }
        // A bracket that does not end the section is text like any other.
        let bracket = usize::from(next.first() == Some(&b']'));
        let rest = next.get(bracket..).unwrap_or_default();
        let plain = bracket + memchr::memchr(b']', rest).unwrap_or(rest.len());
        self.copy(plain, out).map(Some)
    }

    fn copy(&mut self, amount: usize, out: &mut [u8]) -> io::Result<usize> {
        let available = self.peek(1)?;
        let mut available = available.get(..amount).unwrap_or(available);
        let read = available.read(out)?;
        self.source.consume(read);
        Ok(read)
    }

    fn decode_reference(&mut self) -> io::Result<()> {
        let next = self.peek(MAX_REFERENCE_BYTES)?;
        let reference = next
            .iter()
            .take(MAX_REFERENCE_BYTES)
            .position(|&byte| byte == b';')
            .and_then(|end| next.get(..=end))
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a lone `&` in the text"))?;
        let decoded = quick_xml::escape::unescape(reference)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let (decoded, length) = (decoded.into_owned(), reference.len());
        self.decoded = decoded.into_bytes();
        self.source.consume(length);
        Ok(())
    }
}

impl Read for NestedText<'_, '_> {
    /// As much as there is room for: a reader of escaped text would get it in very small pieces.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(room) = out.get_mut(filled..).filter(|room| !room.is_empty()) {
            let read = match self.error.take() {
                Some(error) => Err(error),
                None => self.read_piece(room),
            };
            match read {
                Ok(None) => {}
                Ok(Some(0)) => break,
                Ok(Some(read)) => filled += read,
                Err(error) if filled == 0 => return Err(error),
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        Ok(filled)
    }
}
