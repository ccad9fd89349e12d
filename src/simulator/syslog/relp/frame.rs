//! A frame of RELP, to the letter of its grammar.

use bytes::{Buf, Bytes, BytesMut};

use crate::simulator::syslog::token::{self, Token};

/// A frame as a client sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) transaction: u32,
    pub(super) command: String,
    pub(super) data: Bytes,
}

/// What was read is no frame.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a transaction number is 1 to 9 digits and a space: {found}")]
    Transaction { found: String },
    #[error("a command is 1 to 32 letters and a space: {found}")]
    Command { found: String },
    #[error("a data length is 1 to 9 digits and a space, without data a line feed: {found}")]
    Length { found: String },
    #[error("{length} bytes of data, but at most {max_bytes} are allowed")]
    TooLong { length: usize, max_bytes: usize },
    #[error("the data must end with a line feed: {found}")]
    Trailer { found: String },
}

/// Takes the next frame from what was read, unless it is not there yet.
pub(super) fn next(read: &mut BytesMut, max_bytes: usize) -> Result<Option<Frame>, FrameError> {
    let found = || token::shown(read);
    let wrong = || FrameError::Transaction { found: found() };
    let Some((transaction, rest)) = word(read, 9, u8::is_ascii_digit, b" ", wrong)? else {
        return Ok(None);
    };
    let wrong = || FrameError::Command { found: found() };
    let Some((command, rest)) = word(rest, 32, u8::is_ascii_alphabetic, b" ", wrong)? else {
        return Ok(None);
    };
    let wrong = || FrameError::Length { found: found() };
    let Some((digits, rest)) = word(rest, 9, u8::is_ascii_digit, b" \n", wrong)? else {
        return Ok(None);
    };
    let length: usize = digits.parse().map_err(|_| wrong())?;
    if length > max_bytes {
        return Err(FrameError::TooLong { length, max_bytes });
    }
    let head = read.len() - rest.len();
    let is_without_data = read.get(head - 1) == Some(&b'\n');
    if is_without_data != (length == 0) {
        return Err(wrong());
    }
    if !is_without_data && rest.len() <= length {
        return Ok(None);
    }
    let mut frame = Frame {
        transaction: transaction.parse().map_err(|_| wrong())?,
        command: command.to_owned(),
        data: Bytes::new(),
    };
    if !is_without_data && rest.get(length) != Some(&b'\n') {
        let found = found();
        return Err(FrameError::Trailer { found });
    }
    read.advance(head);
    if !is_without_data {
        frame.data = read.split_to(length).freeze();
        read.advance(1);
    }
    Ok(Some(frame))
}

/// A word with one of the `ends` behind it, and what stands behind that.
fn word<'a>(
    read: &'a [u8],
    max_bytes: usize,
    is_of_class: impl Fn(&u8) -> bool,
    ends: &[u8],
    wrong: impl Fn() -> FrameError,
) -> Result<Option<(&'a str, &'a [u8])>, FrameError> {
    let token = token::take(read, max_bytes, is_of_class).map_err(|token::Wrong| wrong())?;
    let Some(Token { text, rest }) = token else {
        return Ok(None);
    };
    match rest.split_first() {
        Some((end, rest)) if ends.contains(end) => Ok(Some((text, rest))),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(stream: &[u8]) -> Result<Option<Frame>, FrameError> {
        next(&mut BytesMut::from(stream), 10)
    }

    fn frame(transaction: u32, command: &str, data: &'static str) -> Frame {
        Frame {
            transaction,
            command: command.to_owned(),
            data: data.into(),
        }
    }

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        let stream = b"1 open 5 a=b\nc\n2 syslog 3 <1>\n003 close 0\n";
        let (mut read, mut frames) = (BytesMut::new(), Vec::new());
        for &byte in stream {
            read.extend_from_slice(&[byte]);
            frames.extend(next(&mut read, 10).unwrap());
        }
        let expected = [
            frame(1, "open", "a=b\nc"),
            frame(2, "syslog", "<1>"),
            frame(3, "close", ""),
        ];
        assert_eq!((frames, read.len()), (expected.to_vec(), 0));
    }

    #[test]
    fn what_is_no_frame_is_seen() {
        for (stream, complaint) in [
            (&b"x"[..], "a transaction number"),
            (b"1234567890", "a transaction number"),
            (b"1\n", "a transaction number"),
            (b"1  open", "a command"),
            (b"1 o2", "a command"),
            (b"1 abcdefghijklmnopqrstuvwxyzabcdefg", "a command"),
            (b"1 close\n", "a command"),
            (b"1 close x", "a data length"),
            (b"1 close 0 ", "a data length"),
            (b"1 syslog 3\n", "a data length"),
            (b"1 syslog 11 ", "11 bytes of data, but at most 10"),
            (b"1 syslog 3 <1>2", "the data must end"),
        ] {
            let error = first(stream).unwrap_err().to_string();
            assert!(error.starts_with(complaint), "{error}");
        }
    }

    #[test]
    fn of_what_is_not_there_yet_nothing_is_taken() {
        for stream in ["", "1", "1 ", "1 close", "1 close 0", "1 syslog 3 <1>"] {
            let mut read = BytesMut::from(stream);
            assert_eq!(next(&mut read, 10), Ok(None), "{stream}");
            assert_eq!(read, stream);
        }
    }
}
