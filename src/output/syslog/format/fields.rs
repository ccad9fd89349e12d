//! The fields of an event, in the order of its JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::super::one_line;

/// Most events have fewer.
const USUAL_FIELDS: usize = 40;

/// All fields of an event.
#[derive(Debug, PartialEq)]
pub(super) struct Fields<'a>(pub(super) Vec<Field<'a>>);

/// A name with its value.
#[derive(Debug, PartialEq)]
pub(super) struct Field<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) value: Value<'a>,
}

/// One item, or those of an array.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    One(Item<'a>),
    Several(Vec<Item<'a>>),
}

/// What a field says.
#[derive(Debug, PartialEq)]
pub(super) enum Item<'a> {
    Text(Cow<'a, str>),
    /// A number, a word of JSON or what else we never write: its JSON, on one line.
    Json(Cow<'a, str>),
}

impl<'a> Fields<'a> {
    /// Reads an event. What is no JSON object is one field, so that nothing is lost.
    pub(super) fn read(json: &'a str) -> Self {
        serde_json::from_str(json).unwrap_or_else(|_| {
            Self(vec![Field {
                name: "event".into(),
                value: Value::One(Item::Text(json.into())),
            }])
        })
    }

    /// What the first field of this name says first.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|field| field.name == name)?;
        field.value.items().first().map(Item::as_str)
    }
}

impl<'a> Value<'a> {
    pub(super) fn items(&self) -> &[Item<'a>] {
        match self {
            Self::One(item) => std::slice::from_ref(item),
            Self::Several(items) => items,
        }
    }

    pub(super) fn items_mut(&mut self) -> &mut [Item<'a>] {
        match self {
            Self::One(item) => std::slice::from_mut(item),
            Self::Several(items) => items,
        }
    }

    fn of(raw: &'a RawValue) -> Self {
        if raw.get().starts_with('[')
            && let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get())
            && !items.is_empty()
        {
            return Self::Several(items.into_iter().map(Item::of).collect());
        }
        Self::One(Item::of(raw))
    }
}

impl<'a> Item<'a> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Json(text) => text,
        }
    }

    fn of(raw: &'a RawValue) -> Self {
        if raw.get().starts_with('"')
            && let Ok(Text(text)) = serde_json::from_str(raw.get())
        {
            return Self::Text(text);
        }
        Self::Json(one_line(raw.get()))
    }
}

/// A text that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Vec<Field<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(USUAL_FIELDS);
        while let Some((Text(name), raw)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
            let value = Value::of(raw);
            fields.push(Field { name, value });
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_whatever_they_are() {
        let fields = Fields::read(
            "{ \"b\": \"\\u00e9\\n\", \"a\":1.50,\n\"c\":[\"x\",2,[3]],\"d\":[],\"e\":{\"f\":\r\n null}}",
        );
        let text = |text: &'static str| Item::Text(text.into());
        let json = |json: &'static str| Item::Json(json.into());
        let field = |name: &'static str, value| Field {
            name: name.into(),
            value,
        };
        assert_eq!(
            fields.0,
            [
                field("b", Value::One(text("\u{e9}\n"))),
                field("a", Value::One(json("1.50"))),
                field("c", Value::Several(vec![text("x"), json("2"), json("[3]")])),
                field("d", Value::One(json("[]"))),
                field("e", Value::One(json("{\"f\":   null}"))),
            ]
        );
        assert_eq!(fields.get("c"), Some("x"));
        assert_eq!(fields.get("x"), None);
    }

    #[test]
    fn what_is_no_object_is_one_field() {
        for json in ["\"text\"", "[1]", "{\"a\":1", "{\"a\":1} x", ""] {
            assert_eq!(Fields::read(json).get("event"), Some(json), "{json}");
        }
    }

    #[test]
    fn half_a_surrogate_stays_as_it_was_written() {
        let fields = Fields::read(r#"{"a":"\ud800"}"#);
        assert_eq!(fields.get("a"), Some(r#""\ud800""#));
    }
}
