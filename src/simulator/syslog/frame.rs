//! Where the messages of a stream end, to the letter of RFC 6587.

use bytes::{Buf, Bytes, BytesMut};

use super::rules::SyslogFraming;
use super::token::{self, Token};

/// The stream is not framed as it should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a length is 1 to 9 digits without a zero before them and a space behind: {found}")]
    Length { found: String },
    #[error("a message of more than {max_bytes} bytes")]
    TooLong { max_bytes: usize },
    #[error("an empty message")]
    Empty,
}

/// Takes the next message from what was read, unless it is not there yet.
pub(super) fn next(
    framing: SyslogFraming,
    read: &mut BytesMut,
    max_bytes: usize,
) -> Result<Option<Bytes>, FrameError> {
    match framing {
        SyslogFraming::OctetCounting => counted(read, max_bytes),
        SyslogFraming::LineFeed => line(read, max_bytes),
    }
}

fn counted(read: &mut BytesMut, max_bytes: usize) -> Result<Option<Bytes>, FrameError> {
    let wrong = || FrameError::Length {
        found: token::shown(read),
    };
    if read.first() == Some(&b'0') {
        return Err(wrong());
    }
    let Token { text, rest } = match token::take(read, 9, u8::is_ascii_digit) {
        Ok(Some(token)) => token,
        Ok(None) => return Ok(None),
        Err(token::Wrong) => return Err(wrong()),
    };
    if rest.first() != Some(&b' ') {
        return Err(wrong());
    }
    let length: usize = text.parse().map_err(|_| wrong())?;
    if length > max_bytes {
        return Err(FrameError::TooLong { max_bytes });
    }
    let head = text.len() + 1;
    if read.len() < head + length {
        return Ok(None);
    }
    read.advance(head);
    Ok(Some(read.split_to(length).freeze()))
}

fn line(read: &mut BytesMut, max_bytes: usize) -> Result<Option<Bytes>, FrameError> {
    let end = memchr::memchr(b'\n', read);
    if end.unwrap_or(read.len()) > max_bytes {
        return Err(FrameError::TooLong { max_bytes });
    }
    let Some(end) = end else {
        return Ok(None);
    };
    if end == 0 {
        return Err(FrameError::Empty);
    }
    let line = read.split_to(end).freeze();
    read.advance(1);
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All messages of a stream that comes byte by byte, and how it ends.
    fn all(framing: SyslogFraming, stream: &[u8]) -> (Vec<String>, Result<usize, FrameError>) {
        let (mut read, mut messages) = (BytesMut::new(), Vec::new());
        for &byte in stream {
            read.extend_from_slice(&[byte]);
            loop {
                match next(framing, &mut read, 20) {
                    Ok(Some(message)) => {
                        messages.push(String::from_utf8(message.to_vec()).unwrap());
                    }
                    Ok(None) => break,
                    Err(error) => return (messages, Err(error)),
                }
            }
        }
        (messages, Ok(read.len()))
    }

    #[test]
    fn a_counted_message_may_hold_anything() {
        let (messages, left) = all(SyslogFraming::OctetCounting, b"3 <1>5 a\nb 910 0123456789");
        assert_eq!(messages, ["<1>", "a\nb 9", "0123456789"]);
        assert_eq!(left, Ok(0));
        let (messages, left) = all(SyslogFraming::OctetCounting, b"3 <1>4 ab");
        assert_eq!((messages.len(), left), (1, Ok(4)));
    }

    #[test]
    fn a_line_ends_at_its_feed() {
        let (messages, left) = all(SyslogFraming::LineFeed, b"<1>a\n<2>b\r\n<3>");
        assert_eq!(messages, ["<1>a", "<2>b\r"]);
        assert_eq!(left, Ok(3));
    }

    #[test]
    fn wrong_frames_are_seen() {
        for stream in ["0 ", "03 abc", "<1>x", "1234567890 ", "12x", " 3 abc"] {
            let (_, end) = all(SyslogFraming::OctetCounting, stream.as_bytes());
            assert!(
                matches!(end, Err(FrameError::Length { .. })),
                "{stream}: {end:?}"
            );
        }
        let too_long = Err(FrameError::TooLong { max_bytes: 20 });
        assert_eq!(all(SyslogFraming::OctetCounting, b"21 ").1, too_long);
        assert_eq!(all(SyslogFraming::LineFeed, &[b'x'; 21]).1, too_long);
        let empty = all(SyslogFraming::LineFeed, b"<1>a\n\n");
        assert_eq!(empty.1, Err(FrameError::Empty));
    }
}
