//! The body as JSON, for events of which something was shortened; all others go as they are.

use super::fields::{Fields, Item, Value};

/// Appends one object, with the fields in their order.
pub(super) fn push(fields: &Fields<'_>, message: &mut String) {
    message.push('{');
    for (place, field) in fields.0.iter().enumerate() {
        if place > 0 {
            message.push(',');
        }
        push_text(&field.name, message);
        message.push(':');
        match &field.value {
            Value::One(item) => push_item(item, message),
            Value::Several(items) => {
                message.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        message.push(',');
                    }
                    push_item(item, message);
                }
                message.push(']');
            }
        }
    }
    message.push('}');
}

fn push_item(item: &Item<'_>, message: &mut String) {
    match item {
        Item::Text(text) => push_text(text, message),
        Item::Json(json) => message.push_str(json),
    }
}

fn push_text(text: &str, message: &mut String) {
    let quoted = serde_json::to_string(text);
    debug_assert!(quoted.is_ok(), "{quoted:?}");
    message.push_str(&quoted.unwrap_or_default());
}
