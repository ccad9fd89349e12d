//! Answers of a TAXII service.

use std::io::{self, Read};
use std::sync::Arc;

use chrono::DateTime;
use quick_xml::escape::escape;

use super::{MAX_MESSAGE_CHARACTERS, Pieces, assert_fit_for_a_log};
use crate::config::Limits;
use crate::event::Event;
use crate::flatten::{EventSink, FlatEvent, Origin};
use crate::tape::{MemoryScratch, Scratch};
use crate::taxii::beside;
use crate::taxii::response::{Answer, RefusedBlock, ResponseSink, read_answer};
use crate::taxii::status::StatusType;

const ORIGIN: Origin<'_> = Origin {
    service: "s",
    collection: "c",
};

/// So low that short inputs reach them.
pub(super) const LOW: Limits = Limits {
    max_response_bytes: 1 << 20,
    max_parts: 1,
    max_refused_blocks: 4,
    max_xml_depth: 20,
    max_text_bytes: 300,
    max_properties: 5,
    max_observables: 5,
    max_definition_bytes: 2000,
    max_package_bytes: 3000,
    max_set_events: 100,
};

/// What a service that means harm may send.
pub fn answer(input: &[u8]) {
    for limits in [LOW, Limits::default()] {
        let whole = read(input, usize::MAX, &limits);
        let in_pieces = read(input, 1 + input.len() % 7, &limits);
        assert_eq!(whole, in_pieces, "the size of reads changes what is read");
    }
}

/// Status messages, as templates of theirs with the input in each place where text may stand.
pub fn status_message(input: &[u8]) {
    let mut pieces = Pieces(input);
    let name = pieces.text();
    let [kind, message, detail] = [pieces.text(), pieces.text(), pieces.text()];
    let escaped = |text: &str| escape(text).into_owned();
    let xml = format!(
        "<Status_Message status_type=\"{}\"><Status_Detail><Detail name=\"{}\">{}</Detail>\
         </Status_Detail><Message>{}</Message></Status_Message>",
        escaped(&kind),
        escaped(&name),
        escaped(&detail),
        escaped(&message),
    );
    let limits = Limits::default();
    read(xml.as_bytes(), usize::MAX, &limits);
    let status = match read_one(xml.as_bytes(), usize::MAX, &limits, &mut Heard::default()) {
        Ok(Answer::Status(status)) => status,
        // Not every byte may stand in XML.
        Err(_) => return,
        other => panic!("{other:?}"),
    };
    assert_eq!(status.status, StatusType::from_name(&kind));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = status.message.clone().unwrap_or_default();
    assert!(
        words(&message).starts_with(&said),
        "{said:?} of {message:?}"
    );
    assert_eq!(said.is_empty(), words(&message).is_empty());
    let _ = status.estimated_wait();
}

/// What was heard of an answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Heard {
    events: Vec<String>,
    pub(super) whole_events: usize,
    pub(super) refused: Vec<String>,
    /// The answer or the error, in words.
    outcome: String,
}

fn read(input: &[u8], piece_bytes: usize, limits: &Limits) -> Heard {
    let mut heard = Heard::default();
    let answer = read_one(input, piece_bytes, limits, &mut heard);
    let mut beside = Heard::default();
    let on_two = read_by(input, piece_bytes, |source, scratch| {
        beside::read_answer_at_once(source, Some(ORIGIN), limits, scratch, &mut beside)
    });
    assert_eq!(format!("{on_two:?}"), format!("{answer:?}"));
    assert!(beside == heard, "what is heard on two threads");
    heard.outcome = match answer {
        Ok(Answer::Poll(part)) => {
            assert_eq!(part.counts.events, heard.whole_events as u64);
            assert_eq!(part.refused_blocks, heard.refused.len() as u64);
            assert!(part.refused_blocks <= part.blocks);
            assert_eq!(part.bytes, input.len() as u64);
            for warning in &part.warnings {
                assert_fit_for_a_log(warning);
            }
            assert!(
                part.warnings.len() <= 20,
                "{} warnings",
                part.warnings.len()
            );
            for said in [&part.message, &part.message_id, &part.in_response_to] {
                assert!(said.as_deref().unwrap_or_default().len() <= MAX_MESSAGE_CHARACTERS);
            }
            for name in [&part.collection, &part.result_id] {
                assert!(name.as_deref().unwrap_or_default().len() <= MAX_MESSAGE_CHARACTERS);
            }
            format!("{part:?}")
        }
        Ok(Answer::Discovery(told)) => format!("{told:?}"),
        Ok(Answer::Collections(told)) => format!("{told:?}"),
        Ok(Answer::Subscriptions(told)) => format!("{told:?}"),
        Ok(Answer::Status(status)) => {
            assert_fit_for_a_log(&status.to_string());
            format!("{status:?}")
        }
        Ok(Answer::Package(counts)) => {
            assert_eq!(counts.events, heard.whole_events as u64);
            format!("{counts:?}")
        }
        Err(error) => {
            assert_fit_for_a_log(&error.to_string());
            error.to_string()
        }
    };
    heard
}

pub(super) fn read_one(
    input: &[u8],
    piece_bytes: usize,
    limits: &Limits,
    heard: &mut Heard,
) -> Result<Answer, crate::taxii::response::ReadResponseError> {
    read_by(input, piece_bytes, |source, scratch| {
        read_answer(source, Some(ORIGIN), limits, scratch, heard)
    })
}

/// Has `read` read the input in pieces.
fn read_by<T>(
    input: &[u8],
    piece_bytes: usize,
    read: impl FnOnce(&mut dyn Read, &Arc<dyn Scratch>) -> T,
) -> T {
    let scratch = Arc::new(MemoryScratch::default()) as Arc<dyn Scratch>;
    read(&mut InPieces { input, piece_bytes }, &scratch)
}

impl EventSink for Heard {
    fn event(&mut self, event: FlatEvent<'_>) -> io::Result<()> {
        let json = String::from_utf8(event.json.to_vec()).expect("an event is UTF-8");
        assert!(!json.contains('\n'), "a line break in {json:?}");
        let parsed = Event::parse(json.clone(), DateTime::UNIX_EPOCH).expect("an event is one");
        assert_eq!(
            (parsed.id, parsed.record_type),
            (event.id, event.record_type)
        );
        serde_json::from_str::<serde_json::Map<_, _>>(&json).expect("an event is an object");
        self.events.push(json);
        Ok(())
    }
}

impl ResponseSink for Heard {
    fn block_read(&mut self) -> io::Result<()> {
        self.whole_events = self.events.len();
        Ok(())
    }

    fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()> {
        self.events.truncate(self.whole_events);
        assert_fit_for_a_log(&block.reason);
        let mut raw = Vec::new();
        block.raw.rewind()?.read_to_end(&mut raw)?;
        assert!(raw.starts_with(b"<"), "{:?}", String::from_utf8_lossy(&raw));
        let raw = String::from_utf8_lossy(&raw);
        let binding = block.binding.unwrap_or_default();
        assert!(binding.len() <= MAX_MESSAGE_CHARACTERS, "{binding}");
        self.refused
            .push(format!("{} {binding} {} {raw}", block.number, block.reason));
        Ok(())
    }
}

/// Gives at most so many bytes at once.
pub(super) struct InPieces<'a> {
    pub(super) input: &'a [u8],
    pub(super) piece_bytes: usize,
}

impl Read for InPieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = out.len().min(self.piece_bytes);
        self.input.read(&mut out[..length])
    }
}
