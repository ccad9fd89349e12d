//! Where tags and other markup end. What was looked at is not looked at again when more of it comes.

use crate::lanes;

/// Looks for the end of what starts at the first of some bytes, of which there are more each time.
pub(super) trait Find {
    /// How many bytes it has, if its end is among them.
    fn find(&mut self, bytes: &[u8]) -> Option<usize>;
}

/// A start tag: a bracket in an attribute's value does not end it.
#[derive(Debug, Default)]
pub(super) struct StartTag {
    seen: usize,
    quote: Option<u8>,
}

impl Find for StartTag {
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        loop {
            let unseen = bytes.get(self.seen..)?;
            let found = match self.quote {
                Some(quote) => memchr::memchr(quote, unseen),
                None => memchr::memchr3(b'>', b'"', b'\'', unseen),
            };
            let Some(found) = found else {
                self.seen = bytes.len();
                return None;
            };
            let byte = unseen.get(found).copied();
            self.seen += found + 1;
            match (byte, self.quote) {
                (Some(b'>'), None) => return Some(self.seen),
                (_, Some(_)) => self.quote = None,
                (quote, None) => self.quote = quote,
            }
        }
    }
}

/// What some text ends, of which the last byte is a bracket.
#[derive(Debug)]
pub(super) struct Until {
    end: &'static str,
    /// The first byte that may be the end's.
    start: usize,
    seen: usize,
}

impl Until {
    pub(super) fn new(end: &'static str) -> Self {
        Self {
            end,
            start: 0,
            seen: 0,
        }
    }

    /// Not among the first bytes, which are the start.
    pub(super) fn behind(start: &str, end: &'static str) -> Self {
        Self {
            end,
            start: start.len(),
            seen: start.len(),
        }
    }
}

impl Find for Until {
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        // By its last byte, a bracket, of which there are few: a search for several bytes has to be
        // prepared each time.
        while let Some(found) = memchr::memchr(b'>', bytes.get(self.seen..)?) {
            self.seen += found + 1;
            if bytes
                .get(self.start..self.seen)?
                .ends_with(self.end.as_bytes())
            {
                return Some(self.seen);
            }
        }
        self.seen = bytes.len();
        None
    }
}

/// A reference: a semicolon ends it, or markup or another one that shows that it has none.
#[derive(Debug, Default)]
pub(super) struct Reference {
    seen: usize,
}

impl Find for Reference {
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let start = self.seen.max(1);
        let found = memchr::memchr3(b';', b'<', b'&', bytes.get(start..)?);
        self.seen = bytes.len();
        found.map(|found| start + found + 1)
    }
}

/// How many bytes of white space stand first. Nearly all of it is indentation: sixteen spaces are looked
/// at at once.
#[inline]
pub(super) fn blank_bytes(bytes: &[u8]) -> usize {
    const SPACES: u128 = u128::from_le_bytes([b' '; 16]);
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        if let Some(chunk) = rest.first_chunk::<16>() {
            let others = u128::from_le_bytes(*chunk) ^ SPACES;
            if others == 0 {
                at += chunk.len();
                continue;
            }
            at += others.trailing_zeros() as usize / 8;
        }
        match bytes.get(at) {
            Some(byte) if byte.is_ascii_whitespace() => at += 1,
            _ => break,
        }
    }
    at
}

/// How many bytes of text stand before the next tag, and whether references are among them; none of them
/// takes a closer look.
#[inline]
pub(super) fn plain_text_bytes(bytes: &[u8]) -> Option<(usize, bool)> {
    let mut at = 0;
    let mut has_references = false;
    loop {
        at += markup_at(bytes.get(at..)?)?;
        let markup = bytes.get(at..)?;
        if markup.starts_with(b"<") {
            return Some((at, has_references));
        }
        let (_, reference) = plain_reference(markup)?;
        at += reference;
        has_references = true;
    }
}

/// Where a tag or a reference starts. Most texts are too short to call a search for it.
#[inline]
fn markup_at(bytes: &[u8]) -> Option<usize> {
    const SHORT: usize = 4;
    let (chunks, _) = bytes.as_chunks::<8>();
    for (number, chunk) in chunks.iter().take(SHORT).enumerate() {
        let lanes = u64::from_le_bytes(*chunk);
        let first = lanes::first(lanes::of_byte(lanes, b'<') | lanes::of_byte(lanes, b'&'));
        if first < chunk.len() {
            return Some(number * chunk.len() + first);
        }
    }
    let looked_at = chunks.len().min(SHORT) * 8;
    memchr::memchr2(b'<', b'&', bytes.get(looked_at..)?).map(|at| looked_at + at)
}

/// What a reference stands for and its bytes, where it is written as nearly everybody writes it.
#[inline]
pub(super) fn plain_reference(bytes: &[u8]) -> Option<(char, usize)> {
    /// Of the largest character, in either way of writing it.
    const MAX_DIGITS: usize = 7;
    let (radix, start) = match bytes {
        [b'&', b'#', b'x', ..] => (16, 3),
        [b'&', b'#', ..] => (10, 2),
        [b'&', b'a', b'm', b'p', b';', ..] => return Some(('&', 5)),
        [b'&', b'l', b't', b';', ..] => return Some(('<', 4)),
        [b'&', b'g', b't', b';', ..] => return Some(('>', 4)),
        [b'&', b'q', b'u', b'o', b't', b';', ..] => return Some(('"', 6)),
        [b'&', b'a', b'p', b'o', b's', b';', ..] => return Some(('\'', 6)),
        _ => return None,
    };
    let mut code = 0;
    for (at, &byte) in bytes.iter().enumerate().skip(start).take(MAX_DIGITS + 1) {
        if byte == b';' && at > start {
            let character = char::from_u32(code).filter(|character| *character != '\0')?;
            return Some((character, at + 1));
        }
        code = code * radix + char::from(byte).to_digit(radix)?;
    }
    None
}
