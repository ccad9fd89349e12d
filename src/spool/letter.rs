//! A dead letter: what it holds, and how its line is written.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::event::EventId;
use crate::state::Removal;

/// An event that an output's receiver refuses.
#[derive(Debug, Serialize)]
pub struct EventLetter {
    /// The output.
    pub output: String,
    /// The batch.
    pub seq: u64,
    /// The event's line in the batch, from 0.
    pub line: u64,
    /// The receiver's code.
    pub code: String,
    /// What the receiver said.
    pub reason: String,
    /// The event's number in the request that was refused, as the receiver counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The event.
    pub event: Box<RawValue>,
}

/// A content block that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockLetter {
    /// Its place in the answer, from 1.
    pub number: u64,
    /// Its content binding.
    pub binding: Option<String>,
    /// Why it cannot be read.
    pub reason: String,
}

/// A dead letter without what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterHead {
    /// Its name, unique in this state folder.
    pub id: String,
    /// When it was set aside.
    pub at: DateTime<Utc>,
    /// The service that it came from.
    pub service: String,
    /// The collection that it came from.
    pub collection: String,
    /// Bytes that it takes on disk.
    pub bytes: u64,
    /// What it is and why it is here.
    #[serde(flatten)]
    pub about: About,
}

/// What a dead letter is and why it is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum About {
    /// An event that an output's receiver refuses.
    Event {
        /// The output.
        output: String,
        /// The batch.
        seq: u64,
        /// The event's line in the batch, from 0.
        line: u64,
        /// The receiver's code.
        code: String,
        /// What the receiver said.
        reason: String,
        /// The event's number in the request that was refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// The event's identity.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event_id: Option<EventId>,
    },
    /// A content block that cannot be read.
    Block {
        /// What is known of it.
        #[serde(flatten)]
        letter: BlockLetter,
        /// Its raw text, beside the segment.
        file: String,
        /// Bytes of that, as it was set aside.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
    },
}

impl LetterHead {
    /// The output whose receiver refuses it; none of a content block.
    #[must_use]
    pub fn output(&self) -> Option<&str> {
        match &self.about {
            About::Event { output, .. } => Some(output),
            About::Block { .. } => None,
        }
    }

    /// Why it is here.
    #[must_use]
    pub fn reason(&self) -> &str {
        match &self.about {
            About::Event { reason, .. } => reason,
            About::Block { letter, .. } => &letter.reason,
        }
    }

    /// The file that lies beside the segment.
    pub(super) fn file(&self) -> Option<&str> {
        match &self.about {
            About::Event { .. } => None,
            About::Block { file, .. } => Some(file),
        }
    }
}

/// What is dead, as it is written.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Content {
    Event(EventLetter),
    Block {
        #[serde(flatten)]
        letter: BlockLetter,
        file: String,
        size: u64,
    },
}

/// A dead letter as it is written.
#[derive(Debug, Serialize)]
pub(super) struct NewLetter<'a> {
    pub(super) id: String,
    pub(super) at: DateTime<Utc>,
    pub(super) service: &'a str,
    pub(super) collection: &'a str,
    #[serde(flatten)]
    pub(super) content: Content,
}

/// What says that a letter is gone; the letter's own line stays as it is.
#[derive(Debug, Serialize)]
pub(super) struct Tombstone<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    at: DateTime<Utc>,
    why: Removal,
}

const REMOVED: &str = "removed";
/// What stands between a line and its CRC.
const CRC_KEY: &str = ",\"crc32\":\"";
/// What stands after that: the CRC as eight hexadecimal digits, and this.
const CRC_END: &str = "\"}";
const CRC_DIGITS: usize = 8;
/// What stands before the event of a letter.
const EVENT_KEY: &str = ",\"event\":";

/// Puts a line in words: JSON that ends with the CRC of all that stands before it, and a line break.
pub(super) fn encode(line: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line)?;
    // The closing brace comes after the checksum.
    text.pop();
    let crc = crc32fast::hash(&text);
    text.extend_from_slice(format!("{CRC_KEY}{crc:08x}{CRC_END}\n").as_bytes());
    Ok(text)
}

/// Whether a line has its checksum; none if it has none at all.
fn has_its_checksum(line: &str) -> Option<bool> {
    let (body, crc) = line.rsplit_once(CRC_KEY)?;
    let crc = crc.strip_suffix(CRC_END)?;
    let expected = crc32fast::hash(body.as_bytes());
    Some(crc == format!("{expected:08x}"))
}

/// A damaged line with this event in the place of what stands there, line break and all; none if that
/// is not what it was, as its checksum says.
#[must_use]
pub fn with_event(damaged: &str, event: &str) -> Option<Vec<u8>> {
    let (head, rest) = damaged.split_once(EVENT_KEY)?;
    let end = CRC_KEY.len() + CRC_DIGITS + CRC_END.len();
    let end = rest.get(rest.len().checked_sub(end)?..)?;
    let line = format!("{head}{EVENT_KEY}{event}{end}");
    let is_whole = has_its_checksum(&line) == Some(true) && Line::parse(&line).is_some();
    is_whole.then(|| (line + "\n").into_bytes())
}

impl<'a> Tombstone<'a> {
    pub(super) fn new(id: &'a str, at: DateTime<Utc>, why: Removal) -> Self {
        let kind = REMOVED;
        Self { kind, id, at, why }
    }
}

/// A line of a segment, read.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// A letter, with its event if it is one.
    Letter(Box<LetterHead>, Option<&'a RawValue>),
    /// The letter of this name is gone.
    Removed(u128),
}

impl<'a> Line<'a> {
    /// Reads a line without its line break; none if it is damaged. One without a checksum is taken as it
    /// is.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        if has_its_checksum(line) == Some(false) {
            return None;
        }
        let stored: StoredLine<'a> = serde_json::from_str(line).ok()?;
        if stored.kind == REMOVED {
            return key(&stored.id).map(Self::Removed);
        }
        key(&stored.id)?;
        let about = match stored.kind.as_str() {
            "event" => About::Event {
                output: stored.output?,
                seq: stored.seq?,
                line: stored.line?,
                code: stored.code?,
                reason: stored.reason?,
                number: stored.number,
                event_id: stored.event.and_then(event_id),
            },
            "block" => About::Block {
                letter: BlockLetter {
                    number: stored.number?,
                    binding: stored.binding,
                    reason: stored.reason?,
                },
                file: stored.file?,
                size: stored.size,
            },
            _ => return None,
        };
        let head = LetterHead {
            id: stored.id,
            at: stored.at,
            service: stored.service?,
            collection: stored.collection?,
            bytes: line.len() as u64 + 1,
            about,
        };
        Some(Self::Letter(Box::new(head), stored.event))
    }
}

/// The name as a number, which takes less memory.
pub(super) fn key(id: &str) -> Option<u128> {
    Uuid::parse_str(id).ok().map(|id| id.as_u128())
}

fn event_id(event: &RawValue) -> Option<EventId> {
    #[derive(Deserialize)]
    struct Identity {
        #[serde(rename = "eventId")]
        id: EventId,
    }
    let identity: Identity = serde_json::from_str(event.get()).ok()?;
    Some(identity.id)
}

/// All that a line may hold. A raw value cannot be read through tags and flattened structures.
#[derive(Deserialize)]
struct StoredLine<'a> {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    at: DateTime<Utc>,
    service: Option<String>,
    collection: Option<String>,
    output: Option<String>,
    seq: Option<u64>,
    line: Option<u64>,
    code: Option<String>,
    reason: Option<String>,
    number: Option<u64>,
    binding: Option<String>,
    file: Option<String>,
    size: Option<u64>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_400_000_000, 0).unwrap()
    }

    fn written(content: Content) -> String {
        let letter = NewLetter {
            id: Uuid::from_u128(7).to_string(),
            at: at(),
            service: "s",
            collection: "c",
            content,
        };
        serde_json::to_string(&letter).unwrap()
    }

    #[test]
    fn an_event_comes_back_byte_for_byte() {
        let event = "{\"eventId\":\"00019aff0405060708090a0b0c0d0ef0\",  \"n\":1.10}";
        let line = written(Content::Event(EventLetter {
            output: "o".into(),
            seq: 3,
            line: 4,
            code: "hec-6".into(),
            reason: "bad".into(),
            number: Some(2),
            event: RawValue::from_string(event.into()).unwrap(),
        }));
        let Some(Line::Letter(head, found)) = Line::parse(&line) else {
            panic!("{line}");
        };
        assert_eq!(found.unwrap().get(), event);
        assert_eq!(head.output(), Some("o"));
        assert_eq!(head.bytes, line.len() as u64 + 1);
        let expect = About::Event {
            output: "o".into(),
            seq: 3,
            line: 4,
            code: "hec-6".into(),
            reason: "bad".into(),
            number: Some(2),
            event_id: Some("00019aff0405060708090a0b0c0d0ef0".parse().unwrap()),
        };
        assert_eq!(head.about, expect);
        let json = serde_json::to_string(&head).unwrap();
        assert_eq!(serde_json::from_str::<LetterHead>(&json).unwrap(), *head);
    }

    #[test]
    fn no_bit_of_a_line_is_flipped_without_notice() {
        let letter = |event: &str| NewLetter {
            id: Uuid::from_u128(7).to_string(),
            at: at(),
            service: "s",
            collection: "c",
            content: Content::Event(EventLetter {
                output: "o".into(),
                seq: 3,
                line: 4,
                code: "hec-6".into(),
                reason: "bad".into(),
                number: Some(2),
                event: RawValue::from_string(event.into()).unwrap(),
            }),
        };
        let event = "{\"n\":1,\"text\":\"abc\"}";
        let line = encode(&letter(event)).unwrap();
        let text = std::str::from_utf8(&line).unwrap().trim_end();
        let Some(Line::Letter(whole, _)) = Line::parse(text) else {
            panic!("{text}");
        };
        let mut restored = 0;
        for bit in 0..text.len() * 8 {
            let mut flipped = text.as_bytes().to_owned();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = String::from_utf8_lossy(&flipped).into_owned();
            let is_text = !flipped.contains(char::REPLACEMENT_CHARACTER);
            match Line::parse(&flipped).filter(|_| is_text) {
                // It was a bit of what says that there is a checksum.
                Some(Line::Letter(head, found)) => {
                    assert_eq!(*head, *whole, "{flipped}");
                    assert_eq!(found.unwrap().get(), event, "{flipped}");
                }
                Some(found) => panic!("{found:?}"),
                None => match with_event(&flipped, event) {
                    Some(again) => {
                        assert_eq!(again, line, "{flipped}");
                        restored += 1;
                    }
                    None => assert_eq!(with_event(&flipped, "{\"n\":2}"), None),
                },
            }
        }
        // All of the event.
        assert!(restored >= event.len() * 8, "{restored}");
        assert_eq!(with_event(text, "{\"n\":2}"), None);
    }

    #[test]
    fn a_block_comes_back() {
        let letter = BlockLetter {
            number: 2,
            binding: None,
            reason: "broken".into(),
        };
        let line = written(Content::Block {
            letter: letter.clone(),
            file: "block-1.xml".into(),
            size: 70,
        });
        let Some(Line::Letter(head, None)) = Line::parse(&line) else {
            panic!("{line}");
        };
        let expect = About::Block {
            letter,
            file: "block-1.xml".to_owned(),
            size: Some(70),
        };
        assert_eq!(head.about, expect);
        let json = serde_json::to_string(&head).unwrap();
        assert_eq!(serde_json::from_str::<LetterHead>(&json).unwrap(), *head);
    }

    #[test]
    fn a_tombstone_names_its_letter() {
        let id = Uuid::from_u128(9).to_string();
        let line = serde_json::to_string(&Tombstone::new(&id, at(), Removal::Dropped)).unwrap();
        assert!(line.contains("\"type\":\"removed\"") && line.contains("\"why\":\"dropped\""));
        assert!(matches!(Line::parse(&line), Some(Line::Removed(9))));
    }

    #[test]
    fn what_is_damaged_is_none() {
        let whole = written(Content::Block {
            letter: BlockLetter {
                number: 2,
                binding: None,
                reason: "broken".into(),
            },
            file: "f".into(),
            size: 1,
        });
        for damaged in [
            "",
            "{}",
            &whole[..whole.len() / 2],
            &whole.replace("\"block\"", "\"event\""),
            &whole.replace("00000007", "0000000x"),
            &whole.replace("\"service\"", "\"servile\""),
        ] {
            assert!(Line::parse(damaged).is_none(), "{damaged}");
        }
    }
}
