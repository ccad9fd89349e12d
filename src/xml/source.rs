//! The bytes under the XML reader: bounded, recorded, with a look ahead.

use std::io::{self, BufRead, Read};

use crate::tape::Tape;

/// Bytes read from the input at once.
const BUFFER_BYTES: usize = 64 << 10;
/// What a CDATA section starts with.
pub(super) const CDATA_START: &[u8] = b"<![CDATA[";

/// Bytes after an event was cut short: what ends a CDATA section or a comment, with room.
const END_BYTES: u64 = 16;

/// Why the source gives no more bytes; it travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("the document is larger than {limit} bytes")]
    Document { limit: u64 },
    #[error("one tag is larger than {limit} bytes")]
    Event { limit: u64 },
    #[error("{0}")]
    Recording(#[source] io::Error),
}

/// A [`BufRead`] with bounds: it refuses documents and tags beyond a limit, and cuts text,
/// comments and CDATA sections short, so that the reader can go on behind them.
pub(super) struct Source<'r> {
    input: &'r mut dyn Read,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_eof: bool,
    read: u64,
    max_bytes: u64,
    /// What the event that is being read is, once its first bytes were seen.
    event: Option<EventKind>,
    event_left: u64,
    event_is_cut: bool,
    max_event_bytes: u64,
    recording: Option<&'r mut Tape>,
    recording_error: Option<io::Error>,
    is_recording: bool,
}

/// What an event is as far as cutting it short is concerned.
#[derive(Debug, Clone, Copy)]
enum EventKind {
    Text,
    Comment,
    Cdata,
    /// Tags and everything else, which cannot be cut.
    Markup,
}

impl EventKind {
    fn of(start: &[u8]) -> Self {
        if !start.starts_with(b"<") {
            Self::Text
        } else if start.starts_with(b"<!--") {
            Self::Comment
        } else if start.starts_with(CDATA_START) {
            Self::Cdata
        } else {
            Self::Markup
        }
    }

    fn delimiter(self) -> Option<&'static [u8]> {
        match self {
            Self::Comment => Some(b"-->"),
            Self::Cdata => Some(b"]]>"),
            Self::Text | Self::Markup => None,
        }
    }

    /// Where in `bytes` what ends it stands.
    fn find_end(self, bytes: &[u8]) -> Option<usize> {
        match self.delimiter() {
            Some(delimiter) => memchr::memmem::find(bytes, delimiter),
            None => memchr::memchr2(b'<', b'&', bytes),
        }
    }

    /// Whether a character or the delimiter stands on both sides of this place.
    fn is_split_at(self, bytes: &[u8], at: usize) -> bool {
        let splits_character = bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        let splits_delimiter = self.delimiter().is_some_and(|delimiter| {
            (1..delimiter.len())
                .filter_map(|before| bytes.get(at.checked_sub(before)?..))
                .any(|rest| rest.starts_with(delimiter))
        });
        splits_character || splits_delimiter
    }
}

impl<'r> Source<'r> {
    pub(super) fn new(input: &'r mut dyn Read, max_bytes: u64, max_event_bytes: u64) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            at_eof: false,
            read: 0,
            max_bytes,
            event: None,
            event_left: max_event_bytes,
            event_is_cut: false,
            max_event_bytes,
            recording: None,
            recording_error: None,
            is_recording: false,
        }
    }

    /// Everything consumed between `start_recording` and `stop_recording` goes to `tape` too.
    pub(super) fn record_to(&mut self, tape: &'r mut Tape) {
        self.recording = Some(tape);
    }

    pub(super) fn start_recording(&mut self, prologue: &[u8]) -> io::Result<()> {
        if let Some(tape) = &mut self.recording {
            tape.clear();
            tape.append(prologue)?;
            self.is_recording = true;
        }
        Ok(())
    }

    pub(super) fn stop_recording(&mut self) -> Option<&mut Tape> {
        self.is_recording = false;
        self.recording.as_deref_mut()
    }

    /// Bytes read from the input so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The place in the document: bytes that were consumed.
    pub(super) fn offset(&self) -> u64 {
        self.read - (self.end - self.start) as u64
    }

    /// Allows one more event its full size.
    pub(super) fn begin_event(&mut self) {
        self.event = None;
        self.event_left = self.max_event_bytes;
        self.event_is_cut = false;
    }

    /// Whether the event was longer than allowed, so that its end is missing.
    pub(super) fn event_is_cut(&self) -> bool {
        self.event_is_cut
    }

    /// The next bytes, at least `wanted` of them unless the input ends before; consumes none.
    pub(super) fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        while self.end - self.start < wanted && !self.at_eof {
            self.read_more()?;
        }
        Ok(self.available())
    }

    fn available(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn read_more(&mut self) -> io::Result<()> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let Some(room) = self.buffer.get_mut(self.end..) else {
            return Ok(());
        };
        let read = loop {
            match self.input.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.at_eof = read == 0;
        self.end += read;
        self.read += read as u64;
        if self.read > self.max_bytes {
            return Err(io::Error::other(SourceError::Document {
                limit: self.max_bytes,
            }));
        }
        Ok(())
    }

    /// How many of the bytes at hand the event that is being read may still have.
    fn allowed(&mut self, kind: EventKind) -> io::Result<usize> {
        const DELIMITER_BYTES: usize = 3;
        let left = usize::try_from(self.event_left).unwrap_or(usize::MAX);
        if left >= BUFFER_BYTES - DELIMITER_BYTES {
            return Ok(self.peek(1)?.len());
        }
        let available = self.peek(left + DELIMITER_BYTES)?;
        if available.len() <= left {
            return Ok(available.len());
        }
        let allowed = (left.saturating_sub(DELIMITER_BYTES)..=left)
            .rev()
            .find(|&at| !kind.is_split_at(available, at))
            .unwrap_or(left);
        self.event_left = allowed as u64;
        Ok(allowed)
    }

    /// Passes over the rest of an event that is too long, up to what ends it.
    fn cut_event(&mut self, kind: EventKind) -> io::Result<()> {
        if self.event_is_cut || matches!(kind, EventKind::Markup) {
            return Err(io::Error::other(SourceError::Event {
                limit: self.max_event_bytes,
            }));
        }
        loop {
            let next = self.peek(3)?;
            let end = kind.find_end(next);
            // All but what may be the first bytes of the end.
            let skipped =
                end.unwrap_or_else(|| next.len().saturating_sub(2).max(1).min(next.len()));
            let is_at_end = end.is_some() || next.is_empty();
            self.consume(skipped);
            if is_at_end {
                break;
            }
        }
        self.event_is_cut = true;
        self.event_left = END_BYTES;
        Ok(())
    }
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let read = available.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(error) = self.recording_error.take() {
            return Err(io::Error::other(SourceError::Recording(error)));
        }
        let kind = match self.event {
            Some(kind) => kind,
            // Enough to know the event by, and to see a byte order mark whole.
            None => EventKind::of(self.peek(CDATA_START.len())?),
        };
        self.event = Some(kind);
        let mut allowed = self.allowed(kind)?;
        if allowed == 0 && !self.peek(1)?.is_empty() {
            self.cut_event(kind)?;
            allowed = self.allowed(kind)?;
        }
        Ok(self.available().get(..allowed).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        if self.is_recording
            && let Some(tape) = &mut self.recording
            && let Some(bytes) = self.buffer.get(self.start..self.start + amount)
            && let Err(error) = tape.append(bytes)
        {
            self.recording_error = Some(error);
        }
        self.start += amount;
        self.event_left = self.event_left.saturating_sub(amount as u64);
    }
}
