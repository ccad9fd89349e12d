//! A set of names that is asked for every element or property.

/// Most names that are asked for are not in the set: their first letter, their last and their length tell.
pub(crate) struct Names<const N: usize> {
    all: [&'static str; N],
    /// For each first byte the lengths of the names that begin with it, a bit each.
    begin: [u64; 256],
    /// The same for each last byte.
    end: [u64; 256],
}

impl<const N: usize> Names<N> {
    /// A set of names of less than 64 bytes, none of them empty.
    #[expect(
        clippy::indexing_slicing,
        reason = "a constant is made when this is compiled, and a byte is within 256"
    )]
    pub(crate) const fn new(names: [&'static str; N]) -> Self {
        let (mut begin, mut end) = ([0; 256], [0; 256]);
        let mut at = 0;
        while at < N {
            let name = names[at].as_bytes();
            begin[name[0] as usize] |= 1 << name.len();
            end[name[name.len() - 1] as usize] |= 1 << name.len();
            at += 1;
        }
        Self {
            all: names,
            begin,
            end,
        }
    }

    #[inline]
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.find(name).is_some()
    }

    /// The name as it is in the set.
    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<&'static str> {
        let (first, last) = (name.first()?, name.last()?);
        let lengths = |of: &[u64; 256], byte: u8| of.get(usize::from(byte)).copied();
        let lengths = lengths(&self.begin, *first)
            .zip(lengths(&self.end, *last))
            .map_or(0, |(begin, end)| begin & end);
        if name.len() >= 64 || (lengths >> name.len()) & 1 == 0 {
            return None;
        }
        let mut all = self.all.iter().copied();
        all.find(|one| one.as_bytes() == name)
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.all.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_put_in() {
        static NAMES: Names<3> = Names::new(["a", "index", "é"]);
        for name in NAMES.iter() {
            assert!(NAMES.contains(name.as_bytes()), "{name}");
        }
        let long = "a".repeat(64);
        for name in ["", "b", "inder", "inde", "indexes", "è", long.as_str()] {
            assert!(!NAMES.contains(name.as_bytes()), "{name}");
        }
    }
}
