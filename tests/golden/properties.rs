//! What holds for every answer, however it is damaged, cut, ordered or delivered.

use std::io::{self, Read};

use proptest::prelude::*;
use proptest::sample::Index;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::{Blocks, all_samples, read, read_into, samples};

/// One thing that is done to a document's bytes.
#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Insert(Index, u8),
    /// What the reader looks for in particular.
    Markup(Index, &'static str),
    Delete(Index, usize),
    Repeat(Index, usize),
    Truncate(Index),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        let place = any::<Index>;
        let markup = prop::sample::select(vec![
            "<",
            ">",
            "&",
            "]]>",
            "<![CDATA[",
            "<!--",
            "-->",
            "<?",
            "/>",
            "</",
            "\"",
            "&#0;",
            "&x;",
            "<!DOCTYPE a>",
            "\u{feff}",
            "\u{10ffff}",
        ]);
        prop_oneof![
            4 => (place(), any::<u8>()).prop_map(|(at, byte)| Self::Flip(at, byte)),
            2 => (place(), any::<u8>()).prop_map(|(at, byte)| Self::Insert(at, byte)),
            4 => (place(), markup).prop_map(|(at, text)| Self::Markup(at, text)),
            2 => (place(), 1..200_usize).prop_map(|(at, length)| Self::Delete(at, length)),
            2 => (place(), 1..2000_usize).prop_map(|(at, length)| Self::Repeat(at, length)),
            1 => place().prop_map(Self::Truncate),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        let range = |at: &Index, length: usize| {
            let start = at.index(bytes.len() + 1);
            start..(start + length).min(bytes.len())
        };
        match self {
            Self::Flip(at, byte) => {
                for place in range(at, 1) {
                    bytes[place] ^= byte;
                }
            }
            Self::Insert(at, byte) => bytes.insert(range(at, 0).start, *byte),
            Self::Markup(at, text) => {
                let place = range(at, 0);
                bytes.splice(place, text.bytes());
            }
            Self::Delete(at, length) => {
                let place = range(at, *length);
                bytes.drain(place);
            }
            Self::Repeat(at, length) => {
                let repeated = bytes[range(at, *length)].to_vec();
                let place = range(at, 0);
                bytes.splice(place, repeated);
            }
            Self::Truncate(at) => bytes.truncate(range(at, 0).start),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The reader answers and does not panic; events that it gives are JSON objects.
    #[test]
    fn no_damage_makes_it_panic(
        sample in any::<Index>(),
        damages in prop::collection::vec(Damage::any(), 1..8),
    ) {
        let mut bytes = sample.get(&all_samples()).clone();
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        if let Ok((blocks, _)) = read(&bytes) {
            for line in blocks.lines() {
                let event: serde_json::Value = serde_json::from_str(line).unwrap();
                prop_assert!(event["eventId"].is_string());
            }
        }
    }
}

#[test]
fn an_answer_that_is_cut_off_is_an_error_and_gives_whole_blocks_only() {
    for document in samples() {
        let (all, _) = read(&document).unwrap();
        let end = document.trim_ascii_end().len();
        for length in 0..end {
            let mut blocks = Blocks::default();
            let answer = read_into(&mut &document[..length], &mut blocks);
            assert!(answer.is_err(), "after {length} bytes");
            let whole = &all.whole[..blocks.whole.len()];
            assert_eq!(blocks.whole, whole, "after {length} bytes");
            assert_eq!(blocks.refused, 0, "after {length} bytes");
        }
    }
}

/// Gives at most so many bytes at once.
struct Chunks<'a> {
    bytes: &'a [u8],
    sizes: Vec<usize>,
    given: usize,
}

impl Read for Chunks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.given % self.sizes.len()].min(out.len());
        self.given += 1;
        self.bytes.read(&mut out[..size])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_size_of_reads_changes_nothing(
        sample in any::<Index>(),
        sizes in prop::collection::vec(1..50_usize, 1..20),
    ) {
        let documents = all_samples();
        let bytes = sample.get(&documents);
        let mut chunks = Chunks { bytes, sizes, given: 0 };
        let mut blocks = Blocks::default();
        let answer = read_into(&mut chunks, &mut blocks).unwrap();
        prop_assert_eq!((blocks, answer), read(bytes).unwrap());
    }

    /// Children of different names in any order: the same events.
    #[test]
    fn the_order_of_children_changes_nothing(sample in any::<Index>(), seed: u64) {
        let documents = samples();
        let bytes = sample.get(&documents);
        let mut random = fastrand::Rng::with_seed(seed);
        let (shuffled, moved) = shuffled(bytes, &mut random);
        prop_assert!(moved > 0, "nothing was shuffled");
        prop_assert_eq!(
            read(shuffled.as_bytes()).unwrap().0,
            read(bytes).unwrap().0,
            "{}",
            shuffled
        );
    }
}

/// An element, or a piece of text that is written back as it was.
enum Node {
    Element {
        name: String,
        start: String,
        children: Vec<Node>,
    },
    Text(String),
}

/// The document with the children of its elements in another order, those of one name among
/// themselves in the same; and how many elements were treated so.
fn shuffled(document: &[u8], random: &mut fastrand::Rng) -> (String, usize) {
    let text = std::str::from_utf8(document).unwrap();
    let mut reader = Reader::from_str(text);
    let mut open = vec![Vec::new()];
    let mut starts = Vec::new();
    loop {
        let before = usize::try_from(reader.buffer_position()).unwrap();
        let event = reader.read_event().unwrap();
        let raw = text[before..usize::try_from(reader.buffer_position()).unwrap()].to_owned();
        match event {
            Event::Start(tag) => {
                starts.push((tag.local_name().into_inner().to_owned(), raw));
                open.push(Vec::new());
            }
            Event::End(_) => {
                let (name, start) = starts.pop().unwrap();
                let children = open.pop().unwrap();
                let end = Node::Text(raw);
                let element = Node::Element {
                    name,
                    start,
                    children: children.into_iter().chain([end]).collect(),
                };
                open.last_mut().unwrap().push(element);
            }
            Event::Empty(tag) => {
                let element = Node::Element {
                    name: tag.local_name().into_inner().to_owned(),
                    start: raw,
                    children: Vec::new(),
                };
                open.last_mut().unwrap().push(element);
            }
            Event::Eof => break,
            _ => open.last_mut().unwrap().push(Node::Text(raw)),
        }
    }
    let mut out = String::new();
    let mut moved = 0;
    for node in open.remove(0) {
        node.write(&mut out, random, &mut moved);
    }
    (out, moved)
}

impl Node {
    fn write(self, out: &mut String, random: &mut fastrand::Rng, moved: &mut usize) {
        match self {
            Self::Text(text) => out.push_str(&text),
            Self::Element {
                start,
                mut children,
                ..
            } => {
                out.push_str(&start);
                let end = children.pop();
                let is_mixed = children.iter().any(Self::is_words);
                if !is_mixed && children.iter().any(|child| child.name().is_some()) {
                    children.retain(|child| child.name().is_some());
                    let salt = random.u64(..);
                    children.sort_by_key(|child| child.name().map(|name| salted(name, salt)));
                    *moved += 1;
                }
                for child in children.into_iter().chain(end) {
                    child.write(out, random, moved);
                }
            }
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Element { name, .. } => Some(name),
            Self::Text(_) => None,
        }
    }

    fn is_words(&self) -> bool {
        matches!(self, Self::Text(text) if !text.trim().is_empty() && !text.starts_with("<!--"))
    }
}

fn salted(name: &str, salt: u64) -> u64 {
    let seed = name.bytes().fold(salt, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    fastrand::Rng::with_seed(seed).u64(..)
}
