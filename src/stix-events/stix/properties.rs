//! The properties of one observable.

use crate::known::KnownText;

/// What stands before each text: its length in bytes, big-endian.
const LENGTH_BYTES: usize = size_of::<u32>();

/// Names and values in document order; one buffer that is used again for every observable.
///
/// They lie as the identity of their observable takes them, so that nothing is copied for it: each name,
/// and then its value, with its length before it.
#[derive(Debug, Default, Clone)]
pub struct Properties {
    texts: Vec<u8>,
    count: usize,
}

impl Properties {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.texts.len() - 2 * LENGTH_BYTES * self.count
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.count = 0;
    }

    /// Keeps no more memory than this, or than it needs.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.texts.shrink_to(bytes);
    }

    /// Appends them in the form that [`PropertiesView::decode`] reads.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.texts);
    }

    /// Adds a property.
    #[inline]
    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.push_text(name);
        self.push_text(value);
        self.count += 1;
    }

    /// Adds a property of which the name is in pieces.
    pub(super) fn push_joined(&mut self, name: &[&str], value: &str) {
        self.texts
            .extend_from_slice(&length(name.iter().map(|piece| piece.len()).sum()));
        for piece in name {
            self.texts.extend_from_slice(piece.as_bytes());
        }
        self.push_text(value);
        self.count += 1;
    }

    /// Starts a property; [`Properties::finish`] gives its value.
    #[inline]
    pub(super) fn start(&mut self, name: &str) -> StartedProperty {
        let start = self.texts.len();
        self.push_text(name);
        StartedProperty { start }
    }

    /// Ends a property with the value that `write` appends; without one it never was.
    #[inline]
    pub(super) fn finish<E>(
        &mut self,
        StartedProperty { start }: StartedProperty,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let length_at = self.texts.len();
        self.texts.extend_from_slice(&length(0));
        let value_at = self.texts.len();
        let written = write(&mut self.texts);
        match written {
            Ok(()) => {
                let value = length(self.texts.len() - value_at);
                if let Some(place) = self.texts.get_mut(length_at..value_at) {
                    place.copy_from_slice(&value);
                }
                self.count += 1;
            }
            Err(_) => self.texts.truncate(start),
        }
        written
    }

    #[inline]
    fn push_text(&mut self, text: &str) {
        self.texts.extend_from_slice(&length(text.len()));
        self.texts.extend_from_slice(text.as_bytes());
    }
}

/// No text is longer than the limit of the reader.
#[inline]
fn length(bytes: usize) -> [u8; LENGTH_BYTES] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

/// Properties that were encoded, where they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PropertiesView<'a> {
    texts: &'a [u8],
}

impl<'a> PropertiesView<'a> {
    /// Reads what [`Properties::encode`] wrote; `None` is something else.
    #[must_use]
    pub fn decode(texts: &'a [u8]) -> Option<Self> {
        let mut rest = texts;
        let mut is_name = true;
        while !rest.is_empty() {
            (_, rest) = split_text(rest)?;
            is_name = !is_name;
        }
        is_name.then_some(Self { texts })
    }

    /// All of them as the identity of the observable takes them.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.texts
    }

    /// A name, to be looked for by [`PropertiesView::value_of`].
    pub(crate) fn known_name(name: &[u8]) -> KnownText {
        KnownText::new(&[&length(name.len()), name].concat())
    }

    /// The value of the first one, if it has this name, and those behind it.
    #[inline]
    pub(crate) fn value_of(self, name: &KnownText) -> Option<(&'a [u8], Self)> {
        let (value, texts) = split_text(name.strip(self.texts)?)?;
        Some((value, Self { texts }))
    }

    /// The name and the value of the first one, in UTF-8, and those behind it.
    pub(crate) fn split_first(self) -> Option<(&'a [u8], &'a [u8], Self)> {
        let (name, behind) = split_text(self.texts)?;
        let (value, texts) = split_text(behind)?;
        Some((name, value, Self { texts }))
    }
}

#[inline]
fn split_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// A property that has a name and no value yet.
#[must_use]
pub(super) struct StartedProperty {
    start: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_and_empty_values_kept() {
        let mut properties = Properties::default();
        properties.push("a", "1");
        for (name, value) in [("", "x"), ("b", ""), ("a", "2")] {
            let started = properties.start(name);
            let finished = properties.finish(started, |text| {
                text.extend_from_slice(value.as_bytes());
                Ok::<(), ()>(())
            });
            assert_eq!(finished, Ok(()));
        }
        let started = properties.start("c");
        let refused = properties.finish(started, |text| {
            text.extend_from_slice(b"half");
            Err(())
        });
        assert_eq!(refused, Err(()));
        properties.push_joined(&["c", "d"], "3");
        let mut bytes = Vec::new();
        properties.encode(&mut bytes);
        let view = PropertiesView::decode(&bytes).unwrap();
        let text = |bytes| str::from_utf8(bytes).unwrap();
        let mut rest = view;
        let all = std::iter::from_fn(|| {
            let (name, value, behind) = rest.split_first()?;
            rest = behind;
            Some((text(name), text(value)))
        });
        let all: Vec<_> = all.collect();
        let expected = [("a", "1"), ("", "x"), ("b", ""), ("a", "2"), ("cd", "3")];
        assert_eq!(all, expected);
        assert_eq!(properties.len(), 5);
        assert_eq!(properties.text_bytes(), "a1xba2cd3".len());
        // Cut anywhere but behind a property.
        let whole = [0, 10, 19, 28, 38, 49];
        for length in 0..=bytes.len() {
            let view = PropertiesView::decode(&bytes[..length]);
            assert_eq!(view.is_some(), whole.contains(&length), "{length}");
        }
    }
}
