//! `<PRI>Mmm dd hh:mm:ss HOST TAG: `, and nothing behind the host where the body brings its own tag.

use std::fmt::Write as _;

use chrono::DateTime;

use super::super::super::Outgoing;
use super::rfc5424::header_name;
use crate::config::{SyslogBody, SyslogConfig};

const MAX_BEFORE_HOST_BYTES: usize = "<191>Jan 18 23:31:22 ".len();
const MAX_HOST_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 32;
/// For a name without one letter or digit.
const DEFAULT_TAG: &str = "ctaforwarder";

/// What is the same in every header.
#[derive(Debug)]
pub(super) struct Rfc3164 {
    facility: u8,
    /// ` HOST TAG: `, or ` HOST ` before `CEF:` and `LEEF:`, which are the tag by their own
    /// specifications.
    after_time: String,
}

impl Rfc3164 {
    /// Names are cleaned and cut to what the header allows.
    pub(super) fn new(config: &SyslogConfig, host: &str) -> Self {
        let host = header_name(host, MAX_HOST_BYTES);
        let after_time = match config.body {
            SyslogBody::Cef | SyslogBody::Leef => format!(" {host} "),
            SyslogBody::Json | SyslogBody::KeyValue => {
                format!(" {host} {}: ", tag(&config.app_name))
            }
        };
        Self {
            facility: config.facility,
            after_time,
        }
    }

    /// Appends the header and the space behind it.
    pub(super) fn push(&self, severity: u8, out: &Outgoing, message: &mut String) {
        let priority = u16::from(self.facility) * 8 + u16::from(severity);
        let time = DateTime::from_timestamp_millis(out.event.time_ms);
        let time = time.unwrap_or(out.origin.window_end);
        // Writing to a string cannot fail.
        let _ = write!(message, "<{priority}>{}", time.format("%b %e %H:%M:%S"));
        message.push_str(&self.after_time);
    }

    /// The most that a header has.
    pub(super) fn max_bytes(&self) -> usize {
        MAX_BEFORE_HOST_BYTES + self.after_time.len()
    }
}

/// Letters and digits alone: anything else would end the tag and begin the content.
fn tag(app_name: &str) -> String {
    let tag: String = app_name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(MAX_TAG_BYTES)
        .collect();
    if tag.is_empty() {
        return DEFAULT_TAG.into();
    }
    tag
}
