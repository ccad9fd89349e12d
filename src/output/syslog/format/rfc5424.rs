//! `<PRI>1 TIMESTAMP HOST APP PROCID MSGID SD `

use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _, SecondsFormat};

use super::super::super::Outgoing;
use super::escape::{REPLACEMENT, push_escaped};
use crate::config::SyslogConfig;

const NIL: &str = "-";
const MAX_PRI_BYTES: usize = "<191>1 ".len();
const MAX_TIMESTAMP_BYTES: usize = "2015-01-18T23:31:22.432Z".len();
const MAX_MSGID_BYTES: usize = "incident".len();
const MAX_HOST_BYTES: usize = 255;
const MAX_APP_NAME_BYTES: usize = 48;
const MAX_SD_NAME_BYTES: usize = 32;
/// RFC 5424, 7.3.1.
const MAX_SEQUENCE_ID: u32 = 2_147_483_647;

/// Says that the message is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The names of a collection and a service are mostly shorter than this together.
const USUAL_NAMES_BYTES: usize = 256;

/// What is the same in every header.
#[derive(Debug)]
pub(super) struct Rfc5424 {
    facility: u8,
    /// ` HOST APP PROCID `
    after_time: String,
    /// `[SD-ID eventId="`
    structured_data: Option<String>,
    bom: bool,
}

/// The number of the next message: from 1 to the largest that the RFC has, then 1 again.
pub(in super::super) fn next_sequence_id(last: u32) -> u32 {
    if last < MAX_SEQUENCE_ID { last + 1 } else { 1 }
}

impl Rfc5424 {
    /// Names are cleaned and cut to what the header allows.
    pub(super) fn new(config: &SyslogConfig, host: &str, process: u32) -> Self {
        let structured_data = config.structured_data.as_deref();
        Self {
            facility: config.facility,
            after_time: format!(
                " {} {} {process} ",
                header_name(host, MAX_HOST_BYTES),
                header_name(&config.app_name, MAX_APP_NAME_BYTES)
            ),
            structured_data: structured_data.map(|id| format!("[{} eventId=\"", sd_name(id))),
            bom: config.bom,
        }
    }

    /// Appends the header and the space behind it.
    pub(super) fn push(
        &self,
        severity: u8,
        out: &Outgoing,
        sequence_id: u32,
        message: &mut String,
    ) {
        let priority = u16::from(self.facility) * 8 + u16::from(severity);
        // Writing to a string cannot fail.
        let _ = write!(message, "<{priority}>1 ");
        match DateTime::from_timestamp_millis(out.event.time_ms) {
            // The grammar has four digits for the year.
            Some(time) if (0..=9999).contains(&time.year()) => {
                message.push_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true));
            }
            _ => message.push_str(NIL),
        }
        message.push_str(&self.after_time);
        message.push_str(out.event.record_type.as_str());
        message.push(' ');
        match &self.structured_data {
            None => message.push_str(NIL),
            Some(start) => push_structured_data(start, out, sequence_id, message),
        }
        message.push(' ');
        if self.bom {
            message.push_str(BYTE_ORDER_MARK);
        }
    }

    /// About the most that a header has.
    pub(super) fn max_bytes(&self) -> usize {
        let structured_data = self.structured_data.as_ref().map_or(NIL.len(), |start| {
            const FIXED: &str = "0123456789abcdef0123456789abcdef\" collection=\"\" service=\"\"]\
                                 [meta sequenceId=\"2147483647\"]";
            start.len() + FIXED.len() + USUAL_NAMES_BYTES
        });
        MAX_PRI_BYTES
            + MAX_TIMESTAMP_BYTES
            + self.after_time.len()
            + MAX_MSGID_BYTES
            + " ".len()
            + structured_data
            + " ".len()
            + BYTE_ORDER_MARK.len()
    }
}

fn push_structured_data(start: &str, out: &Outgoing, sequence_id: u32, message: &mut String) {
    message.push_str(start);
    let sequence_id = sequence_id.clamp(1, MAX_SEQUENCE_ID);
    let _ = write!(message, "{}\" collection=\"", out.event.id);
    push_escaped(&out.origin.collection, message, escape_param);
    message.push_str("\" service=\"");
    push_escaped(&out.origin.service, message, escape_param);
    let _ = write!(message, "\"][meta sequenceId=\"{sequence_id}\"]");
}

fn escape_param(byte: u8) -> Option<&'static str> {
    match byte {
        b'"' => Some("\\\""),
        b'\\' => Some("\\\\"),
        b']' => Some("\\]"),
        // There is no escape for these, and they could end a frame.
        b'\n' | b'\r' => Some(" "),
        0 => Some(REPLACEMENT),
        _ => None,
    }
}

/// Printable ASCII without spaces, so that the next field starts where it should.
pub(super) fn header_name(name: &str, max_bytes: usize) -> String {
    if name.is_empty() {
        return NIL.into();
    }
    name.chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '_' })
        .take(max_bytes)
        .collect()
}

/// The same without what has a meaning in structured data.
fn sd_name(name: &str) -> String {
    header_name(name, MAX_SD_NAME_BYTES).replace(['=', ']', '"'], "_")
}
