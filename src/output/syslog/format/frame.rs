//! How messages are told apart in a stream.

use std::io::Write as _;

use crate::config::SyslogFraming;

/// Appends a message as it travels in a stream.
pub(in super::super) fn frame(framing: SyslogFraming, message: &str, stream: &mut Vec<u8>) {
    match framing {
        SyslogFraming::OctetCounting => {
            // Writing to a vector cannot fail.
            let _ = write!(stream, "{} {message}", message.len());
        }
        SyslogFraming::LineFeed => {
            stream.extend_from_slice(message.as_bytes());
            stream.push(b'\n');
        }
    }
}
