//! What a message looks like: a header (RFC 5424 or RFC 3164) and a body (JSON, CEF, LEEF or
//! `key="value"`).
//!
//! Nothing that a feed wrote can end a field, a frame or a message: every body escapes or replaces
//! what could, and no message holds LF, CR or NUL. The contract is `docs/formats.md`.

mod cef;
mod escape;
mod fields;
mod frame;
mod json;
mod key_value;
mod keys;
mod kind;
mod leef;
#[cfg(any(test, fuzzing))]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "only the tests look at everything that is read")
)]
#[path = "tests/readers.rs"]
pub(super) mod readers;
mod rfc3164;
mod rfc5424;
mod severity;
mod shorten;
#[cfg(test)]
mod tests;

use super::super::{Outgoing, one_line};
use crate::config::{SyslogBody, SyslogConfig, SyslogFormat, SyslogSeverity, WhenTooLarge};

pub(super) use self::frame::frame;
pub(super) use self::rfc5424::next_sequence_id;

use self::fields::Fields;
use self::rfc3164::Rfc3164;
use self::rfc5424::Rfc5424;
use self::severity::Rating;

/// What CEF and LEEF put before the event's own: their header, times, severity, labels.
const MAX_BODY_PREFIX_BYTES: usize = 512;

/// Makes messages of events.
#[derive(Debug)]
pub(super) struct Formatter {
    header: Header,
    body: SyslogBody,
    severity: SyslogSeverity,
    max_message_bytes: usize,
    when_too_large: WhenTooLarge,
}

/// The message of an event does not fit, whatever is allowed to be cut from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the message of {bytes} bytes is over max_message_bytes ({limit}): {}",
    match rule {
        WhenTooLarge::DeadLetter => "raise it as far as the receiver allows, or set \
            when_too_large = \"shorten\"",
        WhenTooLarge::Shorten => "that is with every text shortened that may be; raise it as far \
            as the receiver allows",
    }
)]
pub(super) struct TooLarge {
    bytes: usize,
    limit: usize,
    rule: WhenTooLarge,
}

#[derive(Debug)]
enum Header {
    Rfc5424(Rfc5424),
    Rfc3164(Rfc3164),
}

impl Formatter {
    pub(super) fn new(config: &SyslogConfig, host: &str, process: u32) -> Self {
        Self {
            header: match config.format {
                SyslogFormat::Rfc5424 => Header::Rfc5424(Rfc5424::new(config, host, process)),
                SyslogFormat::Rfc3164 => Header::Rfc3164(Rfc3164::new(config, host)),
            },
            body: config.body,
            severity: config.severity,
            max_message_bytes: config.max_message_bytes,
            when_too_large: config.when_too_large,
        }
    }

    /// One message, without its frame. `sequence_id` is the place of the message among all that
    /// were sent, see [`next_sequence_id`].
    pub(super) fn message(&self, out: &Outgoing, sequence_id: u32) -> Result<String, TooLarge> {
        let json = &out.event.json;
        let fields = self.needs_fields().then(|| Fields::read(json));
        let mut message = String::with_capacity(self.max_header_bytes() + json.len());
        self.push_header(out, fields.as_ref(), sequence_id, &mut message);
        let header_bytes = message.len();
        match &fields {
            Some(fields) if self.body != SyslogBody::Json => {
                self.push_body(out, fields, &mut message);
            }
            _ => message.push_str(&one_line(json)),
        }
        let (bytes, limit) = (message.len(), self.max_message_bytes);
        if bytes <= limit {
            return Ok(message);
        }
        let too_large = |bytes| TooLarge {
            bytes,
            limit,
            rule: self.when_too_large,
        };
        if self.when_too_large == WhenTooLarge::DeadLetter {
            return Err(too_large(bytes));
        }
        let mut fields = fields.unwrap_or_else(|| Fields::read(json));
        let write = |fields: &Fields<'_>| {
            message.truncate(header_bytes);
            self.push_body(out, fields, &mut message);
            message.len()
        };
        shorten::shorten(&mut fields, limit, write).map_err(too_large)?;
        Ok(message)
    }

    /// About the most that a message has beyond the event's JSON.
    pub(super) fn max_header_bytes(&self) -> usize {
        let header = match &self.header {
            Header::Rfc5424(header) => header.max_bytes(),
            Header::Rfc3164(header) => header.max_bytes(),
        };
        match self.body {
            SyslogBody::Json | SyslogBody::KeyValue => header,
            SyslogBody::Cef | SyslogBody::Leef => header + MAX_BODY_PREFIX_BYTES,
        }
    }

    fn needs_fields(&self) -> bool {
        self.body != SyslogBody::Json || self.severity == SyslogSeverity::Event
    }

    fn push_header(
        &self,
        out: &Outgoing,
        fields: Option<&Fields<'_>>,
        sequence_id: u32,
        message: &mut String,
    ) {
        let severity = match self.severity {
            SyslogSeverity::Fixed(severity) => severity,
            SyslogSeverity::Event => fields.map(Rating::of).unwrap_or_default().syslog(),
        };
        match &self.header {
            Header::Rfc5424(header) => header.push(severity, out, sequence_id, message),
            Header::Rfc3164(header) => header.push(severity, out, message),
        }
    }

    fn push_body(&self, out: &Outgoing, fields: &Fields<'_>, message: &mut String) {
        match self.body {
            SyslogBody::Json => json::push(fields, message),
            SyslogBody::Cef => cef::push(&out.event, fields, message),
            SyslogBody::Leef => leef::push(&out.event, fields, message),
            SyslogBody::KeyValue => key_value::push(fields, message),
        }
    }
}
