//! Answers of any size, as the service gives them to a long outage: for benchmarks. They are written
//! as they are made, so that no memory holds one.

use std::io::{self, Write};

use chrono::{DateTime, TimeDelta, Utc};

use super::catalogue::timestamp;
use super::message::{BLOCKS_END, PollResponse, push_good_block};
use super::rules::CtaRules;
use crate::simulator::content::ContentGenerator;

/// What stands between two packages' stamps.
const STEP: TimeDelta = TimeDelta::milliseconds(100);

/// What an answer is to hold.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Makes the packages, each of which has a Content_Block of its own.
    pub content: ContentGenerator,
    /// Packages follow each other until there are so many bytes of them.
    pub min_bytes: u64,
    /// The beginning of the window.
    pub begin: DateTime<Utc>,
}

/// What was written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Packages.
    pub packages: u64,
    /// Events that must come of them.
    pub events: u64,
    /// Bytes of packages.
    pub bytes: u64,
}

/// Writes one part that is the whole answer.
pub fn write_answer(volume: &Volume, out: &mut impl Write) -> io::Result<Written> {
    let rules = CtaRules::default();
    let head = PollResponse {
        collection: CtaRules::COLLECTION.to_owned(),
        begin: Some(timestamp(volume.begin)),
        end: Some(timestamp(volume.begin + TimeDelta::days(3))),
        result: None,
        part: "1".to_owned(),
        count: None,
        publications: Vec::new(),
        bad_block: None,
    };
    out.write_all(head.head_to_xml(1, "1").as_bytes())?;
    let mut generator = volume.content.clone();
    let (mut written, mut published) = (Written::default(), volume.begin);
    while written.bytes < volume.min_bytes {
        published += STEP;
        let publication = generator.publication(published);
        written.packages += 1;
        written.events += publication.events.len() as u64;
        written.bytes += publication.package_xml.len() as u64;
        let mut block = String::new();
        push_good_block(&mut block, &[publication.into()], rules.content_style);
        out.write_all(block.as_bytes())?;
    }
    out.write_all(BLOCKS_END.as_bytes())?;
    Ok(written)
}
