//! `TXNR SP COMMAND SP DATALEN [SP DATA] LF`: written whole, read in whatever pieces it comes.

use std::fmt::Write as _;

/// Nine digits, a command of 32 letters, nine digits and two spaces.
const MAX_HEADER_BYTES: usize = 9 + 1 + MAX_COMMAND_BYTES + 1 + 9;
const MAX_COMMAND_BYTES: usize = 32;
const MAX_NUMBER_DIGITS: usize = 9;
/// A server's frames are answers and hints; RELP allows no more in its first version.
const MAX_DATA_BYTES: usize = 128 << 10;

/// One frame of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) txnr: u32,
    pub(super) command: String,
    pub(super) data: Vec<u8>,
}

/// What came is no RELP, or more of it than we take.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a RELP frame's header is longer than {MAX_HEADER_BYTES} bytes")]
    LongHeader,
    #[error("a RELP frame's header is not a number, a command and a length: {0:?}")]
    Header(String),
    #[error("a RELP frame holds {0} bytes, over {MAX_DATA_BYTES}")]
    LongData(usize),
    #[error("a RELP frame does not end where its length says")]
    Trailer,
}

/// Writes a frame.
pub(super) fn write_frame(out: &mut Vec<u8>, txnr: u32, command: &str, data: &[u8]) {
    let mut header = String::with_capacity(MAX_HEADER_BYTES);
    // Writing to a string cannot fail.
    let _ = write!(header, "{txnr} {command} {}", data.len());
    out.extend_from_slice(header.as_bytes());
    if !data.is_empty() {
        out.push(b' ');
        out.extend_from_slice(data);
    }
    out.push(b'\n');
}

/// Puts frames together.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    unread: Vec<u8>,
    /// Bytes of `unread` that are read.
    start: usize,
}

impl FrameReader {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.unread.drain(..self.start);
        self.start = 0;
        self.unread.extend_from_slice(bytes);
    }

    /// The next whole frame. After an error nothing that follows can be understood.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let unread = self.unread.get(self.start..).unwrap_or_default();
        let Some(end) = header_end(unread)? else {
            return Ok(None);
        };
        let (header, rest) = unread.split_at_checked(end).unwrap_or_default();
        let (txnr, command, length) = parse_header(header)?;
        if length > MAX_DATA_BYTES {
            return Err(FrameError::LongData(length));
        }
        // Without data there is no space before it either.
        let data_start = usize::from(length > 0);
        let frame_end = data_start + length;
        let Some(end) = rest.get(frame_end) else {
            return match rest.first() {
                Some(first) if length > 0 && *first != b' ' => Err(FrameError::Trailer),
                _ => Ok(None),
            };
        };
        let begins_well = length == 0 || rest.first() == Some(&b' ');
        if *end != b'\n' || !begins_well {
            return Err(FrameError::Trailer);
        }
        let frame = Frame {
            txnr,
            command: command.to_owned(),
            data: rest
                .get(data_start..frame_end)
                .unwrap_or_default()
                .to_owned(),
        };
        self.start += header.len() + frame_end + 1;
        Ok(Some(frame))
    }
}

/// The header ends where the length does: at a space or a line feed after two spaces.
fn header_end(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let mut spaces = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if at > MAX_HEADER_BYTES {
            return Err(FrameError::LongHeader);
        }
        match byte {
            b' ' if spaces < 2 => spaces += 1,
            b' ' | b'\n' => return Ok(Some(at)),
            _ => {}
        }
    }
    if bytes.len() > MAX_HEADER_BYTES {
        return Err(FrameError::LongHeader);
    }
    Ok(None)
}

fn parse_header(header: &[u8]) -> Result<(u32, &str, usize), FrameError> {
    let parse = || {
        let header = std::str::from_utf8(header).ok()?;
        let (txnr, rest) = header.split_once(' ')?;
        let (command, length) = rest.split_once(' ')?;
        let is_command = (1..=MAX_COMMAND_BYTES).contains(&command.len())
            && command.bytes().all(|byte| byte.is_ascii_alphabetic());
        is_command.then_some((number(txnr)?, command, number(length)? as usize))
    };
    parse().ok_or_else(|| FrameError::Header(String::from_utf8_lossy(header).into_owned()))
}

fn number(digits: &str) -> Option<u32> {
    let is_number = digits.len() <= MAX_NUMBER_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
        let mut reader = FrameReader::default();
        reader.push(bytes);
        let mut frames = Vec::new();
        while let Some(frame) = reader.next()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    fn frame(txnr: u32, command: &str, data: &[u8]) -> Frame {
        Frame {
            txnr,
            command: command.into(),
            data: data.into(),
        }
    }

    #[test]
    fn frames_as_the_specification_has_them() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, 1, "open", b"relp_version=0");
        write_frame(&mut bytes, 999_999_999, "close", b"");
        assert_eq!(bytes, b"1 open 14 relp_version=0\n999999999 close 0\n");
        assert_eq!(
            read(&bytes).unwrap(),
            [
                frame(1, "open", b"relp_version=0"),
                frame(999_999_999, "close", b"")
            ]
        );
    }

    #[test]
    fn what_is_no_frame_is_refused_as_soon_as_it_shows() {
        for header in [
            "x rsp 6 200 OK\n",
            "1234567890 rsp 6 200 OK\n",
            "-1 rsp 6 200 OK\n",
            "1 r5p 6 200 OK\n",
            "1  6 200 OK\n",
            "1 rsp x \n",
            "1 rsp \n",
            "1 rsp 1234567890 ",
        ] {
            let error = read(header.as_bytes()).unwrap_err();
            assert!(matches!(error, FrameError::Header(_)), "{header}: {error}");
        }
        let long = [b'a'; MAX_HEADER_BYTES + 1];
        assert_eq!(read(&long), Err(FrameError::LongHeader));
        let command = format!("1 {} 0\n", "a".repeat(33));
        assert!(matches!(
            read(command.as_bytes()),
            Err(FrameError::Header(_))
        ));
        assert_eq!(read(b"1 rsp 131073 "), Err(FrameError::LongData(131_073)));
        assert_eq!(read(b"1 rsp 6 200 OKx"), Err(FrameError::Trailer));
        assert_eq!(read(b"1 rsp 0 x"), Err(FrameError::Trailer));
        assert_eq!(read(b"1 rsp 6\n200 OK\n"), Err(FrameError::Trailer));
        assert_eq!(read(b"1 rsp 6\n200"), Err(FrameError::Trailer));
        assert_eq!(read(b"1 rsp 6 200 O"), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn any_frames_in_any_pieces(
            frames in prop::collection::vec(
                (0u32..1_000_000_000, "[a-zA-Z]{1,32}", prop::collection::vec(any::<u8>(), 0..40)),
                0..8,
            ),
            pieces in prop::collection::vec(1usize..20, 1..20),
        ) {
            let frames: Vec<Frame> =
                frames.iter().map(|(txnr, command, data)| frame(*txnr, command, data)).collect();
            let mut bytes = Vec::new();
            for frame in &frames {
                write_frame(&mut bytes, frame.txnr, &frame.command, &frame.data);
            }
            let mut reader = FrameReader::default();
            let mut read = Vec::new();
            let mut rest = &bytes[..];
            let mut sizes = pieces.iter().cycle();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                reader.push(piece);
                while let Some(frame) = reader.next().unwrap() {
                    read.push(frame);
                }
                rest = after;
            }
            prop_assert_eq!(read, frames);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
