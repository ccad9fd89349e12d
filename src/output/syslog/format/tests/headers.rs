//! Both headers and the frames.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::super::super::BatchOrigin;
use super::*;
use crate::event::Event;

fn at(time_ms: i64) -> Outgoing {
    let out = flow("{}");
    Outgoing {
        event: Event {
            time_ms,
            ..out.event
        },
        ..out
    }
}

fn rfc3164() -> SyslogConfig {
    SyslogConfig {
        format: SyslogFormat::Rfc3164,
        ..config()
    }
}

#[test]
fn rfc5424_to_the_letter() {
    let config = SyslogConfig {
        facility: 1,
        severity: SyslogSeverity::Fixed(6),
        ..config()
    };
    assert_eq!(
        message(&config, r#"{"a":"b"}"#),
        "<14>1 2015-01-18T23:31:22.432Z agent.example.com cta-forwarder 42 flow - {\"a\":\"b\"}"
    );
}

#[test]
fn structured_data_names_the_event_and_counts() {
    let config = SyslogConfig {
        structured_data: Some("cta@32473".into()),
        ..config()
    };
    assert_eq!(
        message(&config, "{}"),
        "<134>1 2015-01-18T23:31:22.432Z agent.example.com cta-forwarder 42 flow \
         [cta@32473 eventId=\"07070707070707070707070707070707\" collection=\"webflows\" \
         service=\"cta\"][meta sequenceId=\"7\"] {}"
    );
}

#[test]
fn no_header_is_longer_than_it_says() {
    for format in [SyslogFormat::Rfc5424, SyslogFormat::Rfc3164] {
        let config = SyslogConfig {
            format,
            facility: 23,
            structured_data: Some("cta@32473".into()),
            bom: true,
            ..config()
        };
        let formatter = Formatter::new(&config, &"h".repeat(300), u32::MAX);
        let message = formatter.message(&flow("{}"), u32::MAX).unwrap();
        assert!(message.len() <= formatter.max_header_bytes() + "{}".len());
    }
}

#[test]
fn the_sequence_begins_again_at_1() {
    assert_eq!(next_sequence_id(0), 1);
    assert_eq!(next_sequence_id(1), 2);
    assert_eq!(next_sequence_id(2_147_483_646), 2_147_483_647);
    assert_eq!(next_sequence_id(2_147_483_647), 1);
    assert_eq!(next_sequence_id(u32::MAX), 1);
}

#[test]
fn the_byte_order_mark_stands_before_the_body_of_rfc5424_alone() {
    for body in [
        SyslogBody::Json,
        SyslogBody::Cef,
        SyslogBody::Leef,
        SyslogBody::KeyValue,
    ] {
        let without = SyslogConfig { body, ..config() };
        let with = SyslogConfig {
            bom: true,
            ..without.clone()
        };
        let json = r#"{"a":"é"}"#;
        let plain = readers::rfc5424(&message(&without, json)).msg;
        let marked = readers::rfc5424(&message(&with, json)).msg;
        assert_eq!(marked, format!("\u{feff}{plain}"));
        let old = SyslogConfig {
            format: SyslogFormat::Rfc3164,
            ..with
        };
        assert!(!message(&old, json).contains('\u{feff}'));
    }
}

#[test]
fn a_time_before_1970_or_beyond_the_grammar_of_rfc5424() {
    let time = |time_ms| readers::rfc5424(&message_of(&config(), &at(time_ms))).timestamp;
    assert_eq!(time(-1), "1969-12-31T23:59:59.999Z");
    assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(time(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
    assert_eq!(time(253_402_300_800_000), "-");
    assert_eq!(time(i64::MIN), "-");
}

#[test]
fn rfc3164_to_the_letter() {
    assert_eq!(
        message(&rfc3164(), r#"{"a":"b"}"#),
        "<134>Jan 18 23:31:22 agent.example.com ctaforwarder: {\"a\":\"b\"}"
    );
    let time = |time_ms| readers::rfc3164(&message_of(&rfc3164(), &at(time_ms))).timestamp;
    assert_eq!(time(1_709_544_600_250), "Mar  4 09:30:00");
    assert_eq!(time(-1), "Dec 31 23:59:59");
    // No date at all: the end of the window stands for it.
    assert_eq!(time(i64::MIN), "Jan  1 00:00:00");
}

#[test]
fn cef_and_leef_are_their_own_tag_in_rfc3164() {
    for (body, start) in [(SyslogBody::Cef, "CEF:0|"), (SyslogBody::Leef, "LEEF:2.0|")] {
        let config = SyslogConfig { body, ..rfc3164() };
        let message = message(&config, "{}");
        let header = "<134>Jan 18 23:31:22 agent.example.com ";
        let content = message.strip_prefix(header).unwrap();
        assert!(content.starts_with(start), "{content}");
    }
}

#[test]
fn the_tag_has_letters_and_digits_and_no_more_than_32() {
    let tag = |app_name: &str| {
        let config = SyslogConfig {
            app_name: app_name.into(),
            ..rfc3164()
        };
        readers::rfc3164(&message(&config, "{}")).tag
    };
    assert_eq!(tag("cta_forwarder[7]: x"), "ctaforwarder7x");
    assert_eq!(tag(&"t".repeat(48)), "t".repeat(32));
    assert_eq!(tag("-"), "ctaforwarder");
}

/// Reads octet-counted frames as a receiver does.
fn unframe(mut stream: &str) -> Vec<String> {
    let mut messages = Vec::new();
    while !stream.is_empty() {
        let (length, rest) = stream.split_once(' ').unwrap();
        assert!(!length.starts_with('0'), "{length}");
        let (message, rest) = rest.split_at(length.parse().unwrap());
        messages.push(message.to_owned());
        stream = rest;
    }
    messages
}

fn format_and_body() -> impl Strategy<Value = (SyslogFormat, SyslogBody)> {
    let formats = [SyslogFormat::Rfc5424, SyslogFormat::Rfc3164];
    let bodies = [
        SyslogBody::Json,
        SyslogBody::Cef,
        SyslogBody::Leef,
        SyslogBody::KeyValue,
    ];
    (
        prop::sample::select(formats.to_vec()),
        prop::sample::select(bodies.to_vec()),
    )
}

proptest! {
    #[test]
    fn every_header_can_be_read_whatever_the_names_and_the_time(
        host in "(?s).{0,300}",
        app_name in "(?s).{0,60}",
        collection in r#"(?s)(.|["\\\]=\n\r\x00]){0,40}"#,
        service in r#"(?s)(.|["\\\]=\n\r\x00]){0,40}"#,
        sd_id in "(?s).{0,40}",
        facility in 0u8..=23,
        severity in 0u8..=7,
        time_ms: i64,
        sequence_id: u32,
    ) {
        let config = SyslogConfig {
            facility,
            severity: SyslogSeverity::Fixed(severity),
            app_name,
            structured_data: Some(sd_id),
            ..config()
        };
        let mut out = at(time_ms);
        out.origin = Arc::new(BatchOrigin {
            service: service.clone(),
            collection: collection.clone(),
            ..BatchOrigin::clone(&out.origin)
        });
        let message = Formatter::new(&config, &host, u32::MAX).message(&out, sequence_id).unwrap();
        prop_assert!(!message.contains(['\n', '\r', '\0']));
        let read = readers::rfc5424(&message);
        prop_assert_eq!(read.priority, facility * 8 + severity);
        prop_assert_eq!(read.host.len(), host.chars().count().clamp(1, 255));
        prop_assert_eq!(read.app_name.len(), config.app_name.chars().count().clamp(1, 48));
        prop_assert_eq!(read.process, u32::MAX.to_string());
        prop_assert_eq!(read.msgid, "flow");
        prop_assert_eq!(read.msg, "{}");
        let [(_, params), (meta, sequence)] = read.structured_data.as_slice() else {
            panic!("{message}");
        };
        let in_line = |text: &str| text.replace(['\n', '\r'], " ").replace('\0', "\u{fffd}");
        let expected = [
            ("eventId", "07".repeat(16)),
            ("collection", in_line(&collection)),
            ("service", in_line(&service)),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        prop_assert_eq!(&params[..], &expected[..]);
        prop_assert_eq!(meta, "meta");
        prop_assert_eq!(&sequence[0].0, "sequenceId");
        let number: u32 = sequence[0].1.parse().unwrap();
        prop_assert!((1..=2_147_483_647).contains(&number));

        let old = SyslogConfig { format: SyslogFormat::Rfc3164, ..config };
        let message = Formatter::new(&old, &host, 1).message(&out, sequence_id).unwrap();
        prop_assert!(!message.contains(['\n', '\r', '\0']));
        let read = readers::rfc3164(&message);
        prop_assert_eq!(read.priority, facility * 8 + severity);
        prop_assert_eq!(read.host.len(), host.chars().count().clamp(1, 255));
        prop_assert_eq!(read.content, "{}");
    }

    #[test]
    fn nothing_from_a_feed_breaks_a_frame(
        texts in prop::collection::vec(r#"(?s)(.|["\\|=\n\r\t\x00]){0,40}"#, 1..8),
        (format, body) in format_and_body(),
        pretty: bool,
    ) {
        let config = SyslogConfig { format, body, ..config() };
        let (mut counted, mut lines) = (Vec::new(), Vec::new());
        let mut messages = Vec::new();
        for text in &texts {
            let value = serde_json::json!({ "text": text, text.as_str(): [1, text] });
            let json = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            let message = message(&config, &json);
            frame(SyslogFraming::OctetCounting, &message, &mut counted);
            frame(SyslogFraming::LineFeed, &message, &mut lines);
            messages.push(message);
        }
        prop_assert_eq!(&unframe(std::str::from_utf8(&counted).unwrap()), &messages);
        let lines = String::from_utf8(lines).unwrap();
        let lines: Vec<_> = lines.split_terminator('\n').collect();
        prop_assert_eq!(lines, messages);
    }
}
