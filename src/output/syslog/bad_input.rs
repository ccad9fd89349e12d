//! What holds for whatever a receiver says, and whatever is sent to it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "what does not hold has failed the test"
)]

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use super::failure::Failure;
use super::flight::Flight;
use super::format::readers::{self, Pairs};
use super::format::{Formatter, frame};
use super::relp::Relp;
use super::session::Session;
use super::stream::Stream;
use crate::bad_input::{Pieces, assert_fit_for_a_log};
use crate::config::{
    SyslogBody, SyslogConfig, SyslogFormat, SyslogFraming, SyslogSeverity, SyslogTransport,
    TlsConfig, WhenTooLarge,
};
use crate::event::EventId;
use crate::output::bad_input::{assert_possible, event_of};
use crate::output::{FlightId, Verdict};

const MESSAGES: usize = 3;
const OPENED: &[u8] = b"1 rsp 53 200 OK\nrelp_version=0\nrelp_software=x\ncommands=syslog\n";

/// Whatever a peer says, at once or byte by byte: every flight lands once, and nothing counts as
/// delivered that has no answer.
pub fn relp_peer(input: &[u8]) {
    let mut pieces = Pieces(input);
    let is_open = pieces.byte() % 2 == 0;
    let said = pieces.0;
    let at_once = relp(is_open, [said].into_iter());
    let byte_by_byte = relp(is_open, said.chunks(1));
    assert_eq!(
        at_once, byte_by_byte,
        "the size of reads changes what is heard"
    );
    // Where nothing is answered, nothing that is said delivers.
    let mut stream = Stream::default();
    stream.launch(flight(1));
    let _ = stream.received(said);
    assert!(!stream.has_landed());
}

fn relp<'a>(is_open: bool, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<(FlightId, Verdict)> {
    let mut relp = Relp::new(2);
    relp.connected();
    relp.launch(flight(1));
    relp.launch(flight(2));
    let mut heard = Vec::new();
    let mut failure = None;
    for piece in is_open.then_some(OPENED).into_iter().chain(pieces) {
        heard.extend_from_slice(piece);
        if let Err(error) = relp.received(piece) {
            assert_fit_for_a_log(&error.clone().problem().reason);
            failure = Some(error);
            break;
        }
        // What is read in one piece must not wait for what is written between two.
        if piece.len() > 1 {
            let bytes = relp.outgoing().len();
            relp.written(bytes);
        }
    }
    let failure = failure.unwrap_or_else(|| Failure::passing("cut"));
    relp.lost(&failure);
    let landed: Vec<(FlightId, Verdict)> = std::iter::from_fn(|| relp.landed()).collect();
    let mut ids: Vec<FlightId> = landed.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2], "each lands once: {landed:?}");
    let accepted = memchr::memmem::find_iter(&heard, b" 200").count();
    let mut delivered = 0;
    for (_, verdict) in &landed {
        assert_possible(verdict, MESSAGES);
        delivered += taken(verdict);
    }
    assert!(
        delivered <= accepted,
        "{delivered} of {accepted} answers: {landed:?}"
    );
    landed
}

/// How many messages a verdict counts as delivered.
fn taken(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Delivered { .. } => MESSAGES,
        Verdict::Retry { delivered, .. } | Verdict::Hold { delivered, .. } => *delivered,
        Verdict::Refused { index, .. } => *index,
        Verdict::TooLarge { .. } => 0,
        Verdict::Scattered { delivered, then } => {
            taken(then) + delivered.iter().map(ExactSizeIterator::len).sum::<usize>()
        }
    }
}

fn flight(id: FlightId) -> Flight {
    let mut flight = Flight::new(id, MESSAGES);
    for number in 0..3_u8 {
        let event = EventId::from_bytes([number; 16]);
        flight.push(event, |text| text.extend_from_slice(b"<14>1 x"));
    }
    flight
}

/// Any event in any format: one message, within its limit, that its reader understands.
pub fn syslog_message(input: &[u8]) {
    let mut pieces = Pieces(input);
    let config = config_of(&mut pieces);
    let host = pieces.text();
    let out = event_of(pieces);
    let formatter = Formatter::new(&config, &host, 42);
    let message = match formatter.message(&out, 7) {
        Ok(message) => message,
        Err(error) => return assert_fit_for_a_log(&error.to_string()),
    };
    assert!(
        message.len() <= config.max_message_bytes,
        "{} bytes",
        message.len()
    );
    assert!(!message.contains(['\n', '\r', '\0']), "{message:?}");
    let body = match config.format {
        SyslogFormat::Rfc5424 => readers::rfc5424(&message).msg,
        SyslogFormat::Rfc3164 => {
            let readers::Rfc3164 { tag, content, .. } = readers::rfc3164(&message);
            // These bodies begin with what a reader of RFC 3164 takes for the tag.
            match config.body {
                SyslogBody::Cef | SyslogBody::Leef => format!("{tag}:{content}"),
                SyslogBody::Json | SyslogBody::KeyValue => content,
            }
        }
    };
    let body = body.strip_prefix('\u{feff}').unwrap_or(&body);
    let event: Value = serde_json::from_str(&out.event.json).unwrap();
    match config.body {
        SyslogBody::Json => {
            let read: Value = serde_json::from_str(body).expect("JSON");
            if config.when_too_large == WhenTooLarge::DeadLetter {
                assert_eq!(read, event);
            }
            assert_eq!(read["eventId"], event["eventId"]);
        }
        SyslogBody::Cef => {
            let extension = readers::cef(body).extension;
            assert_unique(&extension);
            assert_says(&extension, &event);
        }
        SyslogBody::Leef => {
            let attributes = readers::leef(body).attributes;
            assert_unique(&attributes);
            assert_says(&attributes, &event);
        }
        SyslogBody::KeyValue => assert_says(&readers::key_value(body), &event),
    }
    let mut stream = Vec::new();
    frame(config.framing, &message, &mut stream);
    frame(config.framing, &message, &mut stream);
    assert_eq!(
        messages_in(config.framing, &stream),
        [message.as_bytes(); 2]
    );
}

/// The event's identity is there.
#[track_caller]
fn assert_says(pairs: &Pairs, event: &Value) {
    let id = event["eventId"].as_str().unwrap();
    assert!(
        pairs.iter().any(|(_, value)| value == id),
        "no {id} in {pairs:?}"
    );
}

#[track_caller]
fn assert_unique(pairs: &Pairs) {
    let keys: HashSet<&String> = pairs.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), pairs.len(), "a key twice: {pairs:?}");
}

/// RFC 6587, for these tests alone.
fn messages_in(framing: SyslogFraming, mut stream: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while !stream.is_empty() {
        let (head, end) = match framing {
            SyslogFraming::LineFeed => (0, stream.iter().position(|byte| *byte == b'\n').unwrap()),
            SyslogFraming::OctetCounting => {
                let space = stream.iter().position(|byte| *byte == b' ').unwrap();
                let length = std::str::from_utf8(&stream[..space]).unwrap();
                (space + 1, space + 1 + length.parse::<usize>().unwrap())
            }
        };
        messages.push(&stream[head..end]);
        let skipped = usize::from(framing == SyslogFraming::LineFeed);
        stream = &stream[end + skipped..];
    }
    messages
}

fn config_of(pieces: &mut Pieces<'_>) -> SyslogConfig {
    let (choice, flags) = (pieces.byte(), pieces.byte());
    let limit = usize::from(pieces.byte());
    SyslogConfig {
        addresses: vec!["127.0.0.1:514".into()],
        transport: SyslogTransport::Tcp,
        framing: if flags & 1 > 0 {
            SyslogFraming::LineFeed
        } else {
            SyslogFraming::OctetCounting
        },
        format: if flags & 2 > 0 {
            SyslogFormat::Rfc3164
        } else {
            SyslogFormat::Rfc5424
        },
        body: match choice % 4 {
            0 => SyslogBody::Json,
            1 => SyslogBody::Cef,
            2 => SyslogBody::Leef,
            _ => SyslogBody::KeyValue,
        },
        facility: 16,
        severity: if flags & 4 > 0 {
            SyslogSeverity::Event
        } else {
            SyslogSeverity::Fixed(6)
        },
        app_name: "cta-forwarder".into(),
        structured_data: Some("cta@32473".to_owned()).filter(|_| flags & 8 > 0),
        bom: flags & 16 > 0,
        max_message_bytes: if flags & 32 > 0 {
            480 + 8 * limit
        } else {
            usize::MAX
        },
        when_too_large: if flags & 64 > 0 {
            WhenTooLarge::Shorten
        } else {
            WhenTooLarge::DeadLetter
        },
        tls: TlsConfig::default(),
        server_name: None,
        window: 128,
        connect_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(10),
    }
}
