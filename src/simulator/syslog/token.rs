//! Words at the begin of what was read, of which more may come.

/// A word, and what stands behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Never empty.
    pub(super) rest: &'a [u8],
}

/// There is no such word.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong;

/// The word of 1 to `max_bytes` bytes of this class; nothing if more must be read.
pub(super) fn take(
    read: &[u8],
    max_bytes: usize,
    is_of_class: impl Fn(&u8) -> bool,
) -> Result<Option<Token<'_>>, Wrong> {
    let end = read.iter().position(|byte| !is_of_class(byte));
    let length = end.unwrap_or(read.len());
    if length > max_bytes || end == Some(0) {
        return Err(Wrong);
    }
    if end.is_none() {
        return Ok(None);
    }
    let (text, rest) = read.split_at_checked(length).ok_or(Wrong)?;
    let text = std::str::from_utf8(text).map_err(|_| Wrong)?;
    Ok(Some(Token { text, rest }))
}

/// The begin of what was read, for a complaint.
pub(super) fn shown(read: &[u8]) -> String {
    const MAX_BYTES: usize = 60;
    let begin = read.get(..MAX_BYTES).unwrap_or(read);
    format!("\"{}\"", begin.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_ends_where_its_class_does() {
        let digits = |read: &'static [u8]| take(read, 3, u8::is_ascii_digit);
        let token = digits(b"12 x").unwrap().unwrap();
        assert_eq!((token.text, token.rest), ("12", &b" x"[..]));
        assert_eq!(digits(b""), Ok(None));
        assert_eq!(digits(b"123"), Ok(None));
        assert_eq!(digits(b"1234"), Err(Wrong));
        assert_eq!(digits(b" 1"), Err(Wrong));
    }

    #[test]
    fn a_complaint_is_short_and_printable() {
        assert_eq!(shown(b"a\n\xff"), r#""a\n\xff""#);
        assert_eq!(shown(&[b'x'; 100]).len(), 62);
    }
}
