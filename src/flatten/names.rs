//! A set of names that is asked for every property.

/// Most names that are asked for are not in the set: their first letter and their length tell.
pub(super) struct Names<const N: usize> {
    names: [&'static str; N],
    /// For each first byte the lengths of the names that begin with it, a bit each.
    lengths: [u64; 256],
}

impl<const N: usize> Names<N> {
    /// A set of names of less than 64 bytes, none of them empty.
    #[expect(
        clippy::indexing_slicing,
        reason = "a constant is made when this is compiled, and a byte is within 256"
    )]
    pub(super) const fn new(names: [&'static str; N]) -> Self {
        let mut lengths = [0; 256];
        let mut at = 0;
        while at < N {
            let name = names[at].as_bytes();
            lengths[name[0] as usize] |= 1 << name.len();
            at += 1;
        }
        Self { names, lengths }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        let lengths = name
            .as_bytes()
            .first()
            .and_then(|first| self.lengths.get(usize::from(*first)))
            .copied()
            .unwrap_or_default();
        name.len() < 64 && (lengths >> name.len()) & 1 == 1 && self.names.contains(&name)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.names.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_put_in() {
        static NAMES: Names<3> = Names::new(["a", "index", "é"]);
        for name in NAMES.iter() {
            assert!(NAMES.contains(name), "{name}");
        }
        let long = "a".repeat(64);
        for name in ["", "b", "inder", "inde", "indexes", "è", long.as_str()] {
            assert!(!NAMES.contains(name), "{name}");
        }
    }
}
