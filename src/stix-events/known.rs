//! A text that many others are compared with: if it is short, without calling anything for it.

/// So many bytes are compared at once.
const AT_ONCE: usize = 32;

/// A text, prepared to be found at the beginning of others.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownText {
    text: Vec<u8>,
    /// Its first bytes, and which of as many others count.
    start: [u128; 2],
    counts: [u128; 2],
}

impl KnownText {
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut known = Self::default();
        known.set(text);
        known
    }

    /// Makes it another text.
    pub(crate) fn set(&mut self, text: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(text);
        let (mut start, mut counts) = ([0; AT_ONCE], [0; AT_ONCE]);
        for ((byte, start), counts) in text.iter().zip(&mut start).zip(&mut counts) {
            (*start, *counts) = (*byte, u8::MAX);
        }
        self.start = halves(&start);
        self.counts = halves(&counts);
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// What stands behind it, if the bytes begin with it.
    #[inline]
    pub(crate) fn strip<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let Some(first) = bytes.first_chunk() else {
            return bytes.strip_prefix(self.text.as_slice());
        };
        let [low, high] = halves(first);
        let [start_low, start_high] = self.start;
        let [counts_low, counts_high] = self.counts;
        let other = (low ^ start_low) & counts_low | (high ^ start_high) & counts_high;
        if other != 0 {
            return None;
        }
        match self.text.get(AT_ONCE..) {
            None | Some([]) => bytes.get(self.text.len()..),
            Some(behind) => bytes.get(AT_ONCE..)?.strip_prefix(behind),
        }
    }
}

#[inline]
fn halves(bytes: &[u8; AT_ONCE]) -> [u128; 2] {
    let (halves, _) = bytes.as_chunks::<16>();
    let half = |at: usize| u128::from_le_bytes(halves.get(at).copied().unwrap_or_default());
    [half(0), half(1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn as_any_other_beginning(
            text in proptest::collection::vec(0..3_u8, 0..70),
            shared in 0..70_usize,
            behind in proptest::collection::vec(0..3_u8, 0..70),
        ) {
            let known = KnownText::new(&text);
            let shared = text.get(..shared).unwrap_or(&text);
            let bytes = [shared, &behind].concat();
            proptest::prop_assert_eq!(known.strip(&bytes), bytes.strip_prefix(text.as_slice()));
            let whole = [text.as_slice(), &behind].concat();
            proptest::prop_assert_eq!(known.strip(&whole), Some(behind.as_slice()));
        }
    }

    #[test]
    fn it_becomes_another() {
        let mut known = KnownText::new(b"a long text of more than thirty-two bytes");
        known.set(b"ab");
        let bytes = [b'a', b'b']
            .into_iter()
            .chain([0xff; 40])
            .collect::<Vec<u8>>();
        assert_eq!(known.strip(&bytes), bytes.get(2..));
        assert_eq!((known.as_bytes(), known.len()), (&b"ab"[..], 2));
    }
}
