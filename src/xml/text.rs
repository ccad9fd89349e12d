//! A document that lies as text inside another one: escaped, or in CDATA.

use std::io::{self, BufRead, Read};

use super::error::refuse;
use super::source::{CDATA_START, Source};
use super::{XmlError, XmlLimits};

/// The longest reference that is looked for: `&#x0010FFFF;` and some zeros.
const MAX_REFERENCE_BYTES: usize = 32;

/// Reads the character data up to the next tag, decoded: references resolved, CDATA unwrapped,
/// comments and processing instructions left out.
pub struct NestedText<'x, 'r> {
    source: &'x mut Source<'r>,
    limits: XmlLimits,
    in_cdata: bool,
    decoded: Vec<u8>,
}

impl<'x, 'r> NestedText<'x, 'r> {
    pub(super) fn new(source: &'x mut Source<'r>, limits: XmlLimits) -> Self {
        Self {
            source,
            limits,
            in_cdata: false,
            decoded: Vec::new(),
        }
    }

    /// Whether the text, white space and comments aside, is followed by an element or the end of
    /// its parent, so that there is no text document here.
    pub(super) fn is_blank(&mut self) -> io::Result<bool> {
        loop {
            let next = self.source.peek(CDATA_START.len())?;
            match next.first() {
                None => return Ok(true),
                Some(byte) if byte.is_ascii_whitespace() => {
                    let blank = next.iter().take_while(|b| b.is_ascii_whitespace()).count();
                    self.source.consume(blank);
                }
                Some(b'<') if next.starts_with(b"<!--") => self.skip_until(b"-->")?,
                Some(b'<') if next.starts_with(b"<?") => self.skip_until(b"?>")?,
                Some(b'<') => return Ok(!next.starts_with(CDATA_START)),
                Some(_) => return Ok(false),
            }
            self.source.begin_event();
        }
    }

    /// Passes over what was not read, so that the document around it goes on behind the text.
    pub fn finish(mut self) -> Result<(), XmlError> {
        let passed_over = io::copy(&mut self, &mut io::sink());
        let offset = self.source.offset();
        passed_over
            .map(drop)
            .map_err(|error| refuse(offset, error.into(), self.limits))
    }

    fn read_text(&mut self, out: &mut [u8]) -> io::Result<Option<usize>> {
        let next = self.source.peek(CDATA_START.len())?;
        let plain = memchr::memchr2(b'<', b'&', next).unwrap_or(next.len());
        if plain > 0 {
            return self.copy(plain, out).map(Some);
        }
        if next.is_empty() {
            return Ok(Some(0));
        }
        if next.starts_with(CDATA_START) {
            self.source.consume(CDATA_START.len());
            self.in_cdata = true;
        } else if next.starts_with(b"<!--") {
            self.skip_until(b"-->")?;
        } else if next.starts_with(b"<?") {
            self.skip_until(b"?>")?;
        } else if next.starts_with(b"&") {
            self.decode_reference()?;
        } else {
            return Ok(Some(0));
        }
        Ok(None)
    }

    fn read_cdata(&mut self, out: &mut [u8]) -> io::Result<Option<usize>> {
        let next = self.source.peek(3)?;
        if next.starts_with(b"]]>") {
            self.source.consume(3);
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
        let available = self.source.peek(1)?;
        let mut available = available.get(..amount).unwrap_or(available);
        let read = available.read(out)?;
        self.source.consume(read);
        Ok(read)
    }

    fn skip_until(&mut self, end: &[u8]) -> io::Result<()> {
        loop {
            let next = self.source.peek(end.len())?;
            if next.is_empty() {
                return Ok(());
            }
            if let Some(found) = memchr::memmem::find(next, end) {
                self.source.consume(found + end.len());
                return Ok(());
            }
            // All but what may be the first bytes of the end.
            let skipped = (next.len() + 1).saturating_sub(end.len()).max(1);
            self.source.consume(skipped);
            self.source.begin_event();
        }
    }

    fn decode_reference(&mut self) -> io::Result<()> {
        let next = self.source.peek(MAX_REFERENCE_BYTES)?;
        let reference = next
            .iter()
            .take(MAX_REFERENCE_BYTES)
            .position(|&byte| byte == b';')
            .and_then(|end| next.get(..=end))
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a lone `&` in the text"))?;
        let decoded = quick_xml::escape::unescape(reference)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        self.decoded = decoded.as_bytes().to_vec();
        self.decoded.reverse();
        let length = reference.len();
        self.source.consume(length);
        Ok(())
    }
}

impl Read for NestedText<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        // The nested reader has its own limit for one event.
        self.source.begin_event();
        loop {
            if !self.decoded.is_empty() {
                let mut read = 0;
                for slot in out.iter_mut() {
                    let Some(byte) = self.decoded.pop() else {
                        break;
                    };
                    *slot = byte;
                    read += 1;
                }
                return Ok(read);
            }
            let read = if self.in_cdata {
                self.read_cdata(out)?
            } else {
                self.read_text(out)?
            };
            if let Some(read) = read {
                return Ok(read);
            }
        }
    }
}
