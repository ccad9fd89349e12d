//! The text under the XML reader: read in pieces, checked once, recorded, with a look ahead.
//!
//! What is not consumed stays in one piece, so that a tag is borrowed where it lies.

use std::io::{self, Read};

use super::markup::{Find as _, Until};
use crate::tape::Tape;

/// Bytes read from the input at once.
pub(super) const BUFFER_BYTES: usize = 64 << 10;
/// What is consumed is forgotten together, about so many bytes: a recording that ends before needs no copy.
const FORGOTTEN_BYTES: usize = 3 * BUFFER_BYTES;
/// The longest beginning of a character that can be cut off from its end.
const MAX_CUT_BYTES: usize = 3;

/// Why the source gives no more bytes; it travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("the document is larger than {limit} bytes")]
    Document { limit: u64 },
    #[error("these bytes are no text in UTF-8")]
    NoText { offset: u64 },
    #[error("{0}")]
    Recording(#[source] io::Error),
}

/// The bytes of a document as text.
pub(super) struct Source<'r> {
    input: &'r mut dyn Read,
    /// What was read and is text.
    text: String,
    /// What of it is not consumed yet starts here.
    start: usize,
    /// What is read at once; what is left over at its beginning may be the start of a character.
    bytes: Vec<u8>,
    left_over: usize,
    at_eof: bool,
    /// Behind the text stands what is none.
    invalid: bool,
    has_returns: bool,
    read: u64,
    consumed: u64,
    max_bytes: u64,
    recording: Option<Recording<'r>>,
}

/// Where what is consumed goes too.
struct Recording<'r> {
    tape: &'r mut Tape,
    /// From here on the text is not on the tape yet; nothing is recorded without it.
    from: Option<usize>,
}

impl<'r> Source<'r> {
    pub(super) fn new(input: &'r mut dyn Read, max_bytes: u64) -> Self {
        Self {
            input,
            text: String::new(),
            start: 0,
            bytes: vec![0; BUFFER_BYTES],
            left_over: 0,
            at_eof: false,
            invalid: false,
            has_returns: false,
            read: 0,
            consumed: 0,
            max_bytes,
            recording: None,
        }
    }

    /// Everything consumed between `start_recording` and `stop_recording` goes to `tape` too.
    pub(super) fn record_to(&mut self, tape: &'r mut Tape) {
        self.recording = Some(Recording { tape, from: None });
    }

    pub(super) fn start_recording(&mut self, prologue: &[u8]) -> io::Result<()> {
        if let Some(recording) = &mut self.recording {
            recording.tape.clear();
            recording.tape.append(prologue)?;
            recording.from = Some(self.start);
        }
        Ok(())
    }

    pub(super) fn stop_recording(&mut self) -> io::Result<Option<&mut Tape>> {
        self.record()?;
        Ok(self.recording.as_mut().map(|recording| {
            recording.from = None;
            &mut *recording.tape
        }))
    }

    pub(super) fn drop_recording(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.from = None;
        }
    }

    /// What was consumed since the last time goes to the tape.
    fn record(&mut self) -> io::Result<()> {
        if let Some(Recording {
            tape,
            from: Some(from),
        }) = &mut self.recording
            && let Some(consumed) = self.text.as_bytes().get(*from..self.start)
        {
            *from = self.start;
            tape.append(consumed)?;
        }
        Ok(())
    }

    /// Bytes read from the input so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Whether a carriage return was among what was read.
    #[inline]
    pub(super) fn has_returns(&self) -> bool {
        self.has_returns
    }

    /// The place in the document: bytes that were consumed.
    #[inline]
    pub(super) fn offset(&self) -> u64 {
        self.consumed
    }

    /// What was read and is not consumed; empty inside a character.
    #[inline]
    pub(super) fn rest(&self) -> &str {
        self.text.get(self.start..).unwrap_or_default()
    }

    /// The same as bytes.
    #[inline]
    pub(super) fn rest_bytes(&self) -> &[u8] {
        self.text.as_bytes().get(self.start..).unwrap_or_default()
    }

    /// Consumes so many bytes of the rest.
    #[inline]
    pub(super) fn consume(&mut self, bytes: usize) {
        let start = self.text.len().min(self.start + bytes);
        self.consumed += (start - self.start) as u64;
        self.start = start;
    }

    /// Consumes so many bytes of the rest, and gives them.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) -> &str {
        self.take_before(bytes, 0)
    }

    /// The same of what stands before what is consumed `with` it.
    #[inline]
    pub(super) fn take_before(&mut self, bytes: usize, with: usize) -> &str {
        let start = self.start;
        self.consume(bytes + with);
        self.text.get(start..start + bytes).unwrap_or_default()
    }

    /// Consumes so many bytes of the rest, and gives what stands between these two, which were found there.
    #[inline]
    pub(super) fn take_inside(&mut self, bytes: usize, start: &str, end: &str) -> &str {
        let from = self.start;
        self.consume(bytes);
        let inside = self
            .text
            .get(from + start.len()..from + bytes.saturating_sub(end.len()));
        inside.unwrap_or_default()
    }

    /// Consumes what is left of a character that is half consumed.
    #[inline]
    pub(super) fn finish_character(&mut self) {
        while !self.text.is_char_boundary(self.start) {
            self.consume(1);
        }
    }

    /// Reads until the rest has at least `wanted` bytes or the input ends; whether it has.
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        while self.text.len() - self.start < wanted {
            if !self.read_more()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Consumes everything up to this `end` and it, or all there is where it does not come; tells whether
    /// it came.
    pub(super) fn pass_over(&mut self, end: &'static str) -> io::Result<bool> {
        loop {
            let rest = self.rest_bytes();
            if let Some(bytes) = Until::new(end).find(rest) {
                self.consume(bytes);
                return Ok(true);
            }
            // All but what may be the first bytes of the end.
            let bytes = (rest.len() + 1).saturating_sub(end.len());
            self.consume(bytes);
            if !self.read_more()? {
                self.consume(end.len());
                return Ok(false);
            }
        }
    }

    /// Makes the rest longer; false at the end of the input.
    pub(super) fn read_more(&mut self) -> io::Result<bool> {
        if self.invalid {
            return Err(self.invalid_text());
        }
        if self.at_eof {
            return Ok(false);
        }
        if self.start >= FORGOTTEN_BYTES {
            self.forget_consumed()
                .map_err(|error| io::Error::other(SourceError::Recording(error)))?;
        }
        let length = self.text.len();
        // What is read may end before the first character does.
        while self.text.len() == length && !self.at_eof && !self.invalid {
            self.read_once()?;
        }
        if self.text.len() == length && self.invalid {
            return Err(self.invalid_text());
        }
        Ok(self.text.len() > length)
    }

    /// Told with its place, however much was read at once.
    fn invalid_text(&self) -> io::Error {
        let offset = self.consumed + (self.text.len() - self.start) as u64;
        io::Error::other(SourceError::NoText { offset })
    }

    fn forget_consumed(&mut self) -> io::Result<()> {
        self.record()?;
        // Of a character that is half consumed the first half stays.
        let mut consumed = self.start;
        while !self.text.is_char_boundary(consumed) {
            consumed -= 1;
        }
        self.text.drain(..consumed);
        self.start -= consumed;
        if let Some(recording) = &mut self.recording {
            recording.from = recording.from.map(|_| self.start);
        }
        Ok(())
    }

    fn read_once(&mut self) -> io::Result<()> {
        let room = self.bytes.get_mut(self.left_over..).unwrap_or_default();
        let read = loop {
            match self.input.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.at_eof = read == 0;
        self.read += read as u64;
        if self.read > self.max_bytes {
            let limit = self.max_bytes;
            return Err(io::Error::other(SourceError::Document { limit }));
        }
        let filled = self.left_over + read;
        let bytes = self.bytes.get(..filled).unwrap_or_default();
        let valid = match simdutf8::compat::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                // Only the end of what was read may be half a character, and only if more follows.
                self.invalid = error.error_len().is_some() || self.at_eof;
                let (valid, _) = bytes
                    .split_at_checked(error.valid_up_to())
                    .unwrap_or_default();
                str::from_utf8(valid).unwrap_or_default()
            }
        };
        self.has_returns |= memchr::memchr(b'\r', valid.as_bytes()).is_some();
        self.text.push_str(valid);
        let valid = valid.len();
        self.left_over = (filled - valid).min(MAX_CUT_BYTES);
        self.bytes.copy_within(valid..valid + self.left_over, 0);
        Ok(())
    }
}
