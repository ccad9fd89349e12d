//! The message: `<PRI>1 TIMESTAMP HOST APP PROCID MSGID SD MSG`.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _, SecondsFormat};

use super::super::one_line;
use crate::config::SyslogFraming;
use crate::event::Event;

const INFORMATIONAL: u8 = 6;
const NIL: &str = "-";
const MAX_TIMESTAMP_BYTES: usize = "2015-01-18T23:31:22.432Z".len();
const MAX_MSGID_BYTES: usize = "incident".len();

/// What is the same in every message.
#[derive(Debug)]
pub(super) struct Format {
    /// `<PRI>1 `
    before_time: String,
    /// ` HOST APP PROCID `
    after_time: String,
}

impl Format {
    /// Names are cleaned and cut to what the header allows.
    pub(super) fn new(facility: u8, host: &str, app_name: &str, process: u32) -> Self {
        let priority = u16::from(facility) * 8 + u16::from(INFORMATIONAL);
        Self {
            before_time: format!("<{priority}>1 "),
            after_time: format!(
                " {} {} {process} ",
                header_name(host, 255),
                header_name(app_name, 48)
            ),
        }
    }

    /// One message, without framing and without a line break in it.
    pub(super) fn message(&self, event: &Event) -> String {
        let mut message = String::with_capacity(self.max_header_bytes() + event.json.len());
        message.push_str(&self.before_time);
        match DateTime::from_timestamp_millis(event.time_ms) {
            // The grammar has four digits for the year.
            Some(time) if (0..=9999).contains(&time.year()) => {
                message.push_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true));
            }
            _ => message.push_str(NIL),
        }
        message.push_str(&self.after_time);
        message.push_str(event.record_type.as_str());
        // No structured data.
        message.push_str(" - ");
        message.push_str(&one_line(&event.json));
        message
    }

    pub(super) fn max_header_bytes(&self) -> usize {
        self.before_time.len()
            + MAX_TIMESTAMP_BYTES
            + self.after_time.len()
            + MAX_MSGID_BYTES
            + " - ".len()
    }
}

/// A message as it travels in a stream.
pub(super) fn frame(framing: SyslogFraming, message: &str, stream: &mut String) {
    match framing {
        SyslogFraming::OctetCounting => {
            // Writing to a string cannot fail.
            let _ = write!(stream, "{} {message}", message.len());
        }
        SyslogFraming::LineFeed => {
            stream.push_str(message);
            stream.push('\n');
        }
    }
}

/// Printable ASCII without spaces, so that the next field starts where it should.
fn header_name(name: &str, max_bytes: usize) -> String {
    if name.is_empty() {
        return NIL.into();
    }
    name.chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '_' })
        .take(max_bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::loopback::outgoing_of;
    use super::*;
    use crate::event::RecordType;

    fn event(json: &str, time_ms: i64) -> Event {
        Event {
            time_ms,
            ..outgoing_of("webflows", RecordType::Incident, json).event
        }
    }

    #[test]
    fn golden() {
        let format = Format::new(1, "agent.example.com", "cta-forwarder", 42);
        let message = format.message(&event(r#"{"a":"b"}"#, 1_421_623_882_432));
        assert_eq!(
            message,
            "<14>1 2015-01-18T23:31:22.432Z agent.example.com cta-forwarder 42 incident - {\"a\":\"b\"}"
        );
        assert_eq!(message.len(), format.max_header_bytes() + 9);
    }

    #[test]
    fn a_time_before_1970_or_beyond_the_grammar() {
        let format = Format::new(23, "h", "a", 1);
        let time = |time_ms| {
            let message = format.message(&event("{}", time_ms));
            message.split(' ').nth(1).unwrap().to_owned()
        };
        assert_eq!(time(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(253_402_300_800_000), "-");
        assert_eq!(time(i64::MIN), "-");
    }

    #[test]
    fn names_fit_the_header() {
        assert_eq!(header_name("", 255), "-");
        assert_eq!(header_name("a b\nc\u{e9}", 255), "a_b_c_");
        assert_eq!(header_name(&"h".repeat(300), 255).len(), 255);
    }

    /// Reads octet-counted frames as a receiver does.
    fn unframe(mut stream: &str) -> Vec<String> {
        let mut messages = Vec::new();
        while !stream.is_empty() {
            let (length, rest) = stream.split_once(' ').unwrap();
            let (message, rest) = rest.split_at(length.parse().unwrap());
            messages.push(message.to_owned());
            stream = rest;
        }
        messages
    }

    fn json_of(message: &str) -> serde_json::Value {
        let json = message.splitn(8, ' ').nth(7).unwrap();
        serde_json::from_str(json).unwrap()
    }

    proptest! {
        #[test]
        fn nothing_from_a_feed_breaks_a_frame_or_a_header(
            texts in prop::collection::vec("(?s).{0,40}", 1..8),
            host in "(?s).{0,20}",
            time_ms: i64,
            pretty: bool,
        ) {
            let format = Format::new(16, &host, "cta-forwarder", 42);
            let (mut counted, mut lines) = (String::new(), String::new());
            for text in &texts {
                let value = serde_json::json!({ "text": text, text.as_str(): [1] });
                let json = if pretty {
                    serde_json::to_string_pretty(&value).unwrap()
                } else {
                    value.to_string()
                };
                let message = format.message(&event(&json, time_ms));
                prop_assert!(!message.contains(['\n', '\r', '\0']));
                prop_assert_eq!(json_of(&message), value);
                frame(SyslogFraming::OctetCounting, &message, &mut counted);
                frame(SyslogFraming::LineFeed, &message, &mut lines);
            }
            let counted = unframe(&counted);
            prop_assert_eq!(counted.len(), texts.len());
            let lines: Vec<_> = lines.split_terminator('\n').collect();
            prop_assert_eq!(lines, counted);
        }
    }
}
