//! The names of the elements that are open, and what is expected where the next one stands.
//!
//! Nearly everybody calls alike what stands equally deep, so that the name that stood there last is kept:
//! a tag of the same name needs only be compared with it.

use super::markup;
use crate::known::KnownText;

/// White space that is longer is not remembered.
const MAX_SPACE: usize = 256;

/// The names of the elements that are open, and behind them those that were open last at each depth.
#[derive(Debug, Default)]
pub(super) struct OpenNames {
    names: Vec<Name>,
    open: usize,
}

/// The name of an element.
#[derive(Debug, Default)]
pub(super) struct Name {
    text: KnownText,
    /// Whether what is written like it is a tag: a quote in it goes on behind a bracket.
    is_plain: bool,
    /// Where the name without its prefix starts.
    local_at: usize,
    /// The white space that stood before the last start tag here, and before the last end tag behind it.
    spaces: [KnownText; 2],
}

impl OpenNames {
    /// The name of the innermost element that is open.
    #[inline]
    pub(super) fn last(&self) -> Option<&Name> {
        self.names.get(self.open.checked_sub(1)?)
    }

    /// What the last element was called that stood where the next one will.
    #[inline]
    pub(super) fn expected(&self) -> Option<&Name> {
        self.names.get(self.open)
    }

    /// The name that stands first in this tag, if one does; it is expected from now on.
    #[inline]
    pub(super) fn expect(&mut self, tag: &str) -> Option<&Name> {
        if self.names.len() == self.open {
            self.names.push(Name::default());
        }
        let name = self.names.get_mut(self.open)?;
        if !name.is_of(tag) {
            name.set(tag);
        }
        (name.text.len() > 0).then_some(name)
    }

    /// How many bytes of white space stand first: most likely as many as the last time.
    #[inline]
    pub(super) fn blank_bytes(&mut self, rest: &[u8]) -> usize {
        let Some(Name { spaces, .. }) = self.names.get_mut(self.open) else {
            return markup::blank_bytes(rest);
        };
        for space in spaces.iter() {
            if space
                .strip(rest)
                .is_some_and(|behind| behind.first() == Some(&b'<'))
            {
                return space.len();
            }
        }
        let bytes = markup::blank_bytes(rest);
        let [before_start, before_end] = spaces;
        match rest.split_at_checked(bytes) {
            Some((space, [b'<', b'/', ..])) if bytes <= MAX_SPACE => before_end.set(space),
            Some((space, [b'<', ..])) if bytes <= MAX_SPACE => before_start.set(space),
            _ => {}
        }
        bytes
    }

    /// An element of the expected name is open.
    #[inline]
    pub(super) fn open(&mut self) {
        self.open += 1;
    }

    /// The innermost element is open no longer.
    #[inline]
    pub(super) fn close(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

impl Name {
    #[inline]
    pub(super) fn text(&self) -> &KnownText {
        &self.text
    }

    /// What a tag of this name begins with, and the whole name in an end tag; none if it takes a closer look.
    #[inline]
    pub(super) fn plain(&self) -> Option<&KnownText> {
        self.is_plain.then_some(&self.text)
    }

    /// How many bytes the end tag has that stands first, if it is one of this name and written as nearly
    /// everybody writes it.
    #[inline]
    pub(super) fn plain_end_tag_bytes(&self, rest: &[u8]) -> Option<usize> {
        let behind = self.plain()?.strip(rest.strip_prefix(b"</")?)?;
        (behind.first() == Some(&b'>')).then_some("</>".len() + self.text.len())
    }

    /// Where the name without its prefix starts.
    #[inline]
    pub(super) fn local_at(&self) -> usize {
        self.local_at
    }

    /// The name without its prefix.
    #[inline]
    pub(super) fn local(&self) -> &[u8] {
        self.text
            .as_bytes()
            .get(self.local_at..)
            .unwrap_or_default()
    }

    #[inline]
    fn is_of(&self, tag: &str) -> bool {
        let behind = self.text.strip(tag.as_bytes());
        behind.is_some_and(|behind| behind.first().is_none_or(u8::is_ascii_whitespace))
    }

    fn set(&mut self, tag: &str) {
        let is_space = |byte: &u8| byte.is_ascii_whitespace();
        let end = tag.as_bytes().iter().position(is_space);
        let name = tag.as_bytes().get(..end.unwrap_or(tag.len()));
        let name = name.unwrap_or_default();
        self.text.set(name);
        self.is_plain = !name.iter().any(|byte| matches!(byte, b'"' | b'\'' | b'>'));
        self.local_at = memchr::memchr(b':', name).map_or(0, |colon| colon + 1);
    }
}
