//! The body as `key="value"` pairs with a space between.

use std::borrow::Cow;

use super::escape::{REPLACEMENT, push_escaped};
use super::fields::Fields;
use super::keys::Keys;

/// Appends all fields; one with several values stands as many times.
pub(super) fn push(fields: &Fields<'_>, message: &mut String) {
    let mut keys = Keys::for_fields(fields.0.len());
    let mut is_first = true;
    for field in &fields.0 {
        let key = keys.take_numbered(clean(&field.name));
        for item in field.value.items() {
            if !is_first {
                message.push(' ');
            }
            is_first = false;
            message.push_str(&key);
            message.push_str("=\"");
            push_escaped(item.as_str(), message, escape);
            message.push('"');
        }
    }
}

/// One character for each, so that no name can become that of another field of ours.
fn clean(name: &str) -> Cow<'_, str> {
    if name.is_empty() {
        return Cow::Borrowed("_");
    }
    let is_foreign = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if name.contains(is_foreign) {
        return Cow::Owned(name.replace(is_foreign, "_"));
    }
    Cow::Borrowed(name)
}

fn escape(byte: u8) -> Option<&'static str> {
    match byte {
        b'"' => Some("\\\""),
        b'\\' => Some("\\\\"),
        b'\n' => Some("\\n"),
        b'\r' => Some("\\r"),
        0 => Some(REPLACEMENT),
        _ => None,
    }
}
