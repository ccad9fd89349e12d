//! The bytes under the XML reader: bounded, recorded, with a look ahead.

use std::io::{self, BufRead, Read};

use crate::tape::Tape;

/// Bytes read from the input at once.
const BUFFER_BYTES: usize = 64 << 10;

/// A bound was reached; it travels inside an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SourceLimit {
    #[error("the document is larger than {limit} bytes")]
    Document { limit: u64 },
    #[error("one text, tag or comment is larger than {limit} bytes")]
    Event { limit: u64 },
}

/// A [`BufRead`] that refuses documents and single XML events beyond a limit.
pub(super) struct Source<'r> {
    input: &'r mut dyn Read,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_eof: bool,
    read: u64,
    max_bytes: u64,
    event_left: u64,
    max_event_bytes: u64,
    recording: Option<&'r mut Tape>,
    recording_error: Option<io::Error>,
    is_recording: bool,
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
            event_left: max_event_bytes,
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

    /// Allows one more event its full size.
    pub(super) fn begin_event(&mut self) {
        self.event_left = self.max_event_bytes;
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
            return Err(io::Error::other(SourceLimit::Document {
                limit: self.max_bytes,
            }));
        }
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
            return Err(error);
        }
        if self.event_left == 0 {
            return Err(io::Error::other(SourceLimit::Event {
                limit: self.max_event_bytes,
            }));
        }
        // Three at the start of the document, so that a byte order mark is seen whole.
        let wanted = if self.read == 0 { 3 } else { 1 };
        let left = usize::try_from(self.event_left).unwrap_or(usize::MAX);
        let available = self.peek(wanted)?;
        Ok(available.get(..left).unwrap_or(available))
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
