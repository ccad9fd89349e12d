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

    /// Each name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, value_end)| {
            let name = self.text.get(start..name_end).unwrap_or_default();
            let value = self.text.get(name_end..value_end).unwrap_or_default();
            start = value_end;
            (name, value)
        })
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
        let all: Vec<_> = properties.iter().collect();
        assert_eq!(all, [("a", "1"), ("", "x"), ("b", ""), ("a", "2")]);
    }
}
