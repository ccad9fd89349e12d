//! Characters that must not stand as they are.

/// What stands for NUL where there is no escape for it: the character for what cannot be shown.
/// No XML can hold a NUL, so only a broken feed has one.
pub(super) const REPLACEMENT: &str = "\u{fffd}";

/// Appends `text`; each of its ASCII characters that `escape` knows is written as it says.
pub(super) fn push_escaped(
    text: &str,
    message: &mut String,
    escape: impl Fn(u8) -> Option<&'static str>,
) {
    let mut plain = 0;
    for (place, byte) in text.bytes().enumerate() {
        if let Some(escaped) = escape(byte) {
            message.push_str(text.get(plain..place).unwrap_or_default());
            message.push_str(escaped);
            plain = place + 1;
        }
    }
    message.push_str(text.get(plain..).unwrap_or_default());
}

/// The longest beginning of `text` that has at most `max_bytes`.
pub(super) fn beginning(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
