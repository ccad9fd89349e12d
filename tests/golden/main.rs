//! Answers in the style of the CTA service, each beside the events that it must give, line by
//! line. The reader's properties start from them too.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what is not as it should be fails the test"
)]

mod event_id;
mod properties;

use std::fs;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

use cta_forwarder::config::Limits;
use cta_forwarder::flatten::{EventSink, FlatEvent, Origin};
use cta_forwarder::tape::{Scratch, ScratchFile};
use cta_forwarder::taxii::response::{
    Answer, ReadResponseError, RefusedBlock, ResponseSink, read_answer,
};

/// One answer for each thing that the service was seen to send.
const SAMPLES: [&str; 5] = [
    "webflow",
    "swflow",
    "campaign",
    "no-observables",
    "unordered",
];

/// What other feeds send: every kind of object, and what stands in one place and is named in
/// another; STIX 1.0 and 1.2 too.
const FEEDS: [&str; 3] = ["objects", "feed", "related"];

#[test]
fn every_sample_gives_its_events() {
    for sample in SAMPLES.into_iter().chain(FEEDS) {
        let document = fs::read(path(sample, "xml")).unwrap();
        let (read, _) = read(&document).unwrap();
        let expected = fs::read_to_string(path(sample, "jsonl")).unwrap();
        for (number, (found, expected)) in read.lines().zip(expected.lines()).enumerate() {
            assert_eq!(found, expected, "{sample}, line {}", number + 1);
        }
        assert_eq!(read.lines().count(), expected.lines().count(), "{sample}");
        assert_eq!(read.refused, 0, "{sample}");
    }
}

const UNDEFINED: &str =
    "1 references to indicators, observables and objects that the package does not define";

/// What is not forwarded is counted.
#[test]
fn what_is_passed_over_is_told() {
    for sample in ["webflow", "swflow", "campaign", "unordered", "objects"] {
        assert_eq!(passed_over(sample), [""; 0], "{sample}");
    }
    assert_eq!(
        passed_over("no-observables"),
        [UNDEFINED, "1 packages that give no event"]
    );
    assert_eq!(
        passed_over("feed"),
        [
            UNDEFINED,
            "1 references to related packages",
            "1 reports (their content is read)",
            "1 TTPs that nothing names",
            "1 Test_Mechanisms elements of indicators",
            "1 Time elements of incidents in part",
            "1 other elements of reports in part",
        ]
    );
    assert_eq!(
        passed_over("related"),
        [
            "1 Description elements of package headers in part",
            "1 Title elements of observables in part",
        ]
    );
}

fn passed_over(sample: &str) -> Vec<String> {
    let document = fs::read(path(sample, "xml")).unwrap();
    let (_, answer) = read(&document).unwrap();
    match answer {
        Answer::Poll(part) => {
            let told = part.counts.passed_over.iter();
            told.map(|(what, count)| format!("{count} {what}"))
                .collect()
        }
        other => vec![format!("{other:?}")],
    }
}

fn path(sample: &str, extension: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    folder.join(format!("{sample}.{extension}"))
}

fn samples() -> Vec<Vec<u8>> {
    let read = |sample| fs::read(path(sample, "xml")).unwrap();
    SAMPLES.into_iter().map(read).collect()
}

fn all_samples() -> Vec<Vec<u8>> {
    let read = |sample| fs::read(path(sample, "xml")).unwrap();
    SAMPLES.into_iter().chain(FEEDS).map(read).collect()
}

/// The events of whole blocks.
#[derive(Debug, Default, Clone, PartialEq)]
struct Blocks {
    whole: Vec<Vec<String>>,
    refused: usize,
    open: Vec<String>,
}

impl Blocks {
    fn lines(&self) -> impl Iterator<Item = &String> {
        self.whole.iter().flatten()
    }
}

impl EventSink for Blocks {
    fn event(&mut self, event: FlatEvent<'_>) -> io::Result<()> {
        self.open
            .push(String::from_utf8(event.json.to_vec()).unwrap());
        Ok(())
    }
}

impl ResponseSink for Blocks {
    fn block_read(&mut self) -> io::Result<()> {
        self.whole.push(std::mem::take(&mut self.open));
        Ok(())
    }

    fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()> {
        let mut raw = Vec::new();
        block.raw.rewind()?.read_to_end(&mut raw)?;
        assert!(raw.starts_with(b"<"), "{}", block.reason);
        self.open.clear();
        self.refused += 1;
        Ok(())
    }
}

fn read(document: &[u8]) -> Result<(Blocks, Answer), ReadResponseError> {
    let mut blocks = Blocks::default();
    let answer = read_into(&mut { document }, &mut blocks)?;
    Ok((blocks, answer))
}

fn read_into(input: &mut dyn Read, blocks: &mut Blocks) -> Result<Answer, ReadResponseError> {
    let scratch: Arc<dyn Scratch> = Arc::new(Memory);
    let origin = Origin {
        service: "cta",
        collection: "asked",
    };
    read_answer(input, Some(origin), &Limits::default(), &scratch, blocks)
}

struct Memory;

impl Scratch for Memory {
    fn create(&self) -> io::Result<Box<dyn ScratchFile>> {
        Ok(Box::new(Cursor::new(Vec::new())))
    }
}
