//! Messages that are pushed to the inbox.

use std::sync::Arc;

use super::reader::{Heard, InPieces, LOW};
use super::{MAX_MESSAGE_CHARACTERS, assert_fit_for_a_log};
use crate::config::Limits;
use crate::flatten::Origin;
use crate::tape::{MemoryScratch, Scratch};
use crate::taxii::message::StatusReply;
use crate::taxii::response::{InboxMessage, read_inbox_content, read_inbox_message};
use crate::taxii::status::StatusType;
use crate::taxii::version::Version;

/// What a sender that means harm may push.
pub fn message(input: &[u8]) {
    for limits in [LOW, Limits::default()] {
        let (message, is_whole) = envelope(input, usize::MAX, &limits);
        let in_pieces = envelope(input, 1 + input.len() % 7, &limits);
        assert_eq!((&message, is_whole), (&in_pieces.0, in_pieces.1));
        content(input, &message, is_whole, &limits);
    }
}

fn envelope(input: &[u8], piece_bytes: usize, limits: &Limits) -> (InboxMessage, bool) {
    let mut message = InboxMessage::default();
    let mut source = InPieces { input, piece_bytes };
    let read = read_inbox_message(&mut source, limits, &mut message);
    if let Err(error) = &read {
        assert_fit_for_a_log(&error.to_string());
    }
    let id = message.message_id.as_deref().unwrap_or("0");
    assert!(id.len() <= MAX_MESSAGE_CHARACTERS, "{id}");
    assert!(message.destinations.len() <= 101);
    // Whatever it is, it can be answered.
    let reply = StatusReply::new(StatusType::Failure, "no").to_xml(Version::V1_1, "1", id);
    let mut heard = Heard::default();
    let answer = super::reader::read_one(reply.as_bytes(), usize::MAX, limits, &mut heard);
    // A NUL that a sender has put into its id may not stand in XML.
    assert!(
        answer.is_ok() || id.len() as u64 > limits.max_text_bytes / 2,
        "{reply}"
    );
    (message, read.is_ok())
}

fn content(input: &[u8], message: &InboxMessage, is_whole: bool, limits: &Limits) {
    let scratch = Arc::new(MemoryScratch::default()) as Arc<dyn Scratch>;
    let origin = Origin {
        service: "s",
        collection: "c",
    };
    let mut source = InPieces {
        input,
        piece_bytes: usize::MAX,
    };
    let mut heard = Heard::default();
    match read_inbox_content(&mut source, origin, limits, &scratch, &mut heard) {
        Ok(content) if is_whole => {
            assert_eq!(content.blocks, message.blocks, "of {message:?}");
            assert_eq!(content.refused_blocks, heard.refused.len() as u64);
            assert_eq!(content.counts.events, heard.whole_events as u64);
        }
        Ok(_) => {}
        Err(error) => assert_fit_for_a_log(&error.to_string()),
    }
}
