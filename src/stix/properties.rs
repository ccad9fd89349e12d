//! The properties of one observable.

/// Names and values in document order; one buffer that is used again for every observable.
#[derive(Debug, Default, Clone)]
pub struct Properties {
    text: String,
    /// Where each name ends, and where its value ends.
    ends: Vec<(usize, usize)>,
}

impl Properties {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Appends them in the form that [`PropertiesView::decode`] reads.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        out.extend_from_slice(&small(self.ends.len()));
        for &(name_end, value_end) in &self.ends {
            out.extend_from_slice(&small(name_end));
            out.extend_from_slice(&small(value_end));
        }
        out.extend_from_slice(self.text.as_bytes());
    }

    /// Adds a property.
    pub(super) fn push(&mut self, name: &[&str], value: &str) {
        for piece in name {
            self.text.push_str(piece);
        }
        let name_end = self.text.len();
        self.text.push_str(value);
        self.ends.push((name_end, self.text.len()));
    }

    /// Starts a property; [`Properties::finish`] gives its value.
    pub(super) fn start(&mut self, name: &str) -> StartedProperty {
        let start = self.text.len();
        self.text.push_str(name);
        StartedProperty { start }
    }

    /// Ends a property with the value that `write` appends; without one it never was.
    pub(super) fn finish<E>(
        &mut self,
        StartedProperty { start }: StartedProperty,
        write: impl FnOnce(&mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        let name_end = self.text.len();
        let written = write(&mut self.text);
        match written {
            Ok(()) => self.ends.push((name_end, self.text.len())),
            Err(_) => self.text.truncate(start),
        }
        written
    }
}

/// Properties that were encoded, where they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PropertiesView<'a> {
    ends: &'a [[u8; 8]],
    text: &'a str,
}

impl<'a> PropertiesView<'a> {
    /// Reads what [`Properties::encode`] wrote; `None` is something else.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk()?;
        let count = u32::from_le_bytes(*count) as usize;
        let (ends, text) = rest.split_at_checked(count.checked_mul(size_of::<[u8; 8]>())?)?;
        let (ends, _) = ends.as_chunks();
        let text = str::from_utf8(text).ok()?;
        Some(Self { ends, text })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Each name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let text = self.text;
        let mut start = 0;
        self.ends
            .iter()
            .map(move |&[n0, n1, n2, n3, v0, v1, v2, v3]| {
                let name_end = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
                let value_end = u32::from_le_bytes([v0, v1, v2, v3]) as usize;
                let name = text.get(start..name_end).unwrap_or_default();
                let value = text.get(name_end..value_end).unwrap_or_default();
                start = value_end;
                (name, value)
            })
    }
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
        for (name, value) in [("a", "1"), ("", "x"), ("b", ""), ("a", "2")] {
            let started = properties.start(name);
            let finished = properties.finish(started, |text| {
                text.push_str(value);
                Ok::<(), ()>(())
            });
            assert_eq!(finished, Ok(()));
        }
        let started = properties.start("c");
        let refused = properties.finish(started, |text| {
            text.push_str("half");
            Err(())
        });
        assert_eq!(refused, Err(()));
        properties.push(&["c", "d"], "3");
        let mut bytes = Vec::new();
        properties.encode(&mut bytes);
        let view = PropertiesView::decode(&bytes).unwrap();
        let all: Vec<_> = view.iter().collect();
        let expected = [("a", "1"), ("", "x"), ("b", ""), ("a", "2"), ("cd", "3")];
        assert_eq!(all, expected);
        assert_eq!(view.len(), properties.len());
        for length in 0..44 {
            assert_eq!(PropertiesView::decode(&bytes[..length]), None, "{length}");
        }
    }
}
