//! The fields that the properties of an object become.
//!
//! Nearly every object has properties of the same names in the same order as one before it. What is to be
//! known of the names is found once: it is the shape that both have.

use std::collections::HashMap;

use super::fields;
use crate::stix::{ObjectKind, PropertiesView};

/// So many shapes are remembered: flows of the web and of the network, and those that lack something.
const MAX_SHAPES: usize = 8;
/// Bytes of a shape that is remembered; whoever has longer names is looked at anew each time.
const MAX_SHAPE_BYTES: usize = 8 << 10;

/// The shapes of the last objects, the last one first.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    recent: Vec<Shape>,
}

impl Shapes {
    /// Appends the properties of an object; those of one name become an array where the first stands.
    pub(super) fn push_properties(
        &mut self,
        out: &mut Vec<u8>,
        kind: ObjectKind<'_>,
        properties: PropertiesView<'_>,
    ) {
        let mut recent = self.recent.iter();
        if let Some(place) = recent.position(|shape| shape.push(out, kind, properties)) {
            if let Some(before) = self.recent.get_mut(..=place) {
                before.rotate_right(1);
            }
            return;
        }
        let shape = Shape::of(kind, properties);
        let is_pushed = shape.push(out, kind, properties);
        debug_assert!(is_pushed, "an object has its own shape");
        if shape.texts.len() <= MAX_SHAPE_BYTES {
            self.recent.truncate(MAX_SHAPES - 1);
            self.recent.insert(0, shape);
        }
    }
}

/// What the names of an object's properties are, in their order.
#[derive(Debug)]
struct Shape {
    is_standard: bool,
    /// The name of each property, and then what its field begins with.
    texts: Vec<u8>,
    properties: Vec<Property>,
    /// The places of the properties of each field, if some have several.
    groups: Option<Vec<Vec<usize>>>,
}

#[derive(Debug, Clone, Copy)]
struct Property {
    name_end: usize,
    key_end: usize,
    is_number: bool,
}

/// A property as its shape knows it.
#[derive(Clone, Copy)]
struct Field<'a> {
    name: &'a [u8],
    /// `"name":`.
    key: &'a [u8],
    is_number: bool,
}

impl Shape {
    fn of(kind: ObjectKind<'_>, properties: PropertiesView<'_>) -> Self {
        let is_standard = is_standard(kind);
        let (mut texts, mut all) = (Vec::new(), Vec::new());
        for (name, _) in properties.iter() {
            texts.extend_from_slice(name);
            let name_end = texts.len();
            let field = fields::field_name(name);
            fields::push_name(&mut texts, &field);
            all.push(Property {
                name_end,
                key_end: texts.len(),
                is_number: fields::is_number(is_standard, &field),
            });
        }
        let mut shape = Self {
            is_standard,
            texts,
            properties: all,
            groups: None,
        };
        shape.groups = shape.groups();
        shape
    }

    /// The places of those of one field, in the order in which the fields come first; nothing if each has
    /// only one.
    fn groups(&self) -> Option<Vec<Vec<usize>>> {
        let mut places = HashMap::with_capacity(self.properties.len());
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (place, field) in self.fields().enumerate() {
            let group = *places.entry(field.key).or_insert(groups.len());
            match groups.get_mut(group) {
                Some(group) => group.push(place),
                None => groups.push(vec![place]),
            }
        }
        (groups.len() < self.properties.len()).then_some(groups)
    }

    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let text = |start, end| self.texts.get(start..end).unwrap_or_default();
        let mut start = 0;
        self.properties.iter().map(move |property| {
            let Property {
                name_end, key_end, ..
            } = *property;
            let name = text(std::mem::replace(&mut start, key_end), name_end);
            Field {
                name,
                key: text(name_end, key_end),
                is_number: property.is_number,
            }
        })
    }

    /// Appends the properties, if they have this shape; whether they have it.
    fn push(
        &self,
        out: &mut Vec<u8>,
        kind: ObjectKind<'_>,
        properties: PropertiesView<'_>,
    ) -> bool {
        if self.is_standard != is_standard(kind) {
            return false;
        }
        let start = out.len();
        let is_of_it = match &self.groups {
            None => self.push_each(out, properties),
            Some(groups) => self.push_groups(out, groups, properties),
        };
        if !is_of_it {
            out.truncate(start);
        }
        is_of_it
    }

    fn push_each(&self, out: &mut Vec<u8>, properties: PropertiesView<'_>) -> bool {
        let mut fields = self.fields();
        for (name, value) in properties.iter() {
            match fields.next() {
                Some(field) if field.name == name => {
                    out.extend_from_slice(field.key);
                    field.push_value(out, value);
                    out.push(b',');
                }
                _ => return false,
            }
        }
        fields.next().is_none()
    }

    fn push_groups(
        &self,
        out: &mut Vec<u8>,
        groups: &[Vec<usize>],
        properties: PropertiesView<'_>,
    ) -> bool {
        let names = self.fields().map(|field| field.name);
        if !names.eq(properties.iter().map(|(name, _)| name)) {
            return false;
        }
        let values = properties.iter().map(|(_, value)| value);
        let all: Vec<(Field<'_>, &[u8])> = self.fields().zip(values).collect();
        for group in groups {
            let mut of_it = group.iter().filter_map(|place| all.get(*place));
            let Some((field, first)) = of_it.next() else {
                continue;
            };
            out.extend_from_slice(field.key);
            if group.len() > 1 {
                out.push(b'[');
            }
            field.push_value(out, first);
            for (field, value) in of_it {
                out.push(b',');
                field.push_value(out, value);
            }
            if group.len() > 1 {
                out.push(b']');
            }
            out.push(b',');
        }
        true
    }
}

impl Field<'_> {
    #[inline]
    fn push_value(self, out: &mut Vec<u8>, value: &[u8]) {
        fields::push_value(out, self.is_number, value);
    }
}

fn is_standard(kind: ObjectKind<'_>) -> bool {
    matches!(kind, ObjectKind::Standard(_))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Named = Vec<(String, String)>;

    fn pushed(shapes: &mut Shapes, kind: ObjectKind<'_>, properties: &Named) -> String {
        let texts = properties.iter().flat_map(|(name, value)| [name, value]);
        let encoded: Vec<u8> = texts
            .flat_map(|text| {
                let length = u32::try_from(text.len()).unwrap().to_be_bytes();
                [&length, text.as_bytes()].concat()
            })
            .collect();
        let view = PropertiesView::decode(&encoded).unwrap();
        let mut out = b"{".to_vec();
        shapes.push_properties(&mut out, kind, view);
        String::from_utf8(out).unwrap()
    }

    fn named(properties: &[(&str, &str)]) -> Named {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        properties.iter().map(owned).collect()
    }

    #[test]
    fn of_one_name_several_are_an_array_where_the_first_stands() {
        let mut shapes = Shapes::default();
        let properties = named(&[
            ("host", "a"),
            ("sPort", "1"),
            ("x", ""),
            ("sPort", "x"),
            ("property_host", "b"),
        ]);
        for _ in 0..2 {
            let out = pushed(&mut shapes, ObjectKind::Custom("flow"), &properties);
            assert_eq!(out, r#"{"property_host":["a","b"],"sPort":[1,"x"],"x":"","#);
        }
    }

    #[test]
    fn one_shape_with_other_kinds_and_lengths() {
        let mut shapes = Shapes::default();
        let port = named(&[("port", "1"), ("x", "2")]);
        let (custom, standard) = (ObjectKind::Custom("Port"), ObjectKind::Standard("Port"));
        assert_eq!(
            pushed(&mut shapes, custom, &port),
            r#"{"port":"1","x":"2","#
        );
        assert_eq!(
            pushed(&mut shapes, standard, &port),
            r#"{"port":1,"x":"2","#
        );
        let shorter = named(&[("port", "1")]);
        assert_eq!(pushed(&mut shapes, custom, &shorter), r#"{"port":"1","#);
        let longer = named(&[("port", "1"), ("x", "2"), ("y", "3")]);
        assert_eq!(
            pushed(&mut shapes, custom, &longer),
            r#"{"port":"1","x":"2","y":"3","#
        );
        assert_eq!(pushed(&mut shapes, custom, &Vec::new()), "{");
    }

    #[test]
    fn few_and_small_ones_are_remembered() {
        let mut shapes = Shapes::default();
        for number in 0..MAX_SHAPES + 3 {
            let name = format!("name-{number}");
            pushed(
                &mut shapes,
                ObjectKind::Custom("flow"),
                &named(&[(&name, "")]),
            );
        }
        assert_eq!(shapes.recent.len(), MAX_SHAPES);
        let first = |shapes: &Shapes| shapes.recent.first().unwrap().texts.clone();
        let newest = first(&shapes);
        let long = "n".repeat(MAX_SHAPE_BYTES);
        pushed(
            &mut shapes,
            ObjectKind::Custom("flow"),
            &named(&[(&long, "")]),
        );
        assert_eq!(first(&shapes), newest);
        // One that is used goes to the front, the others stay in order.
        let used = format!("name-{}", MAX_SHAPES + 1);
        pushed(
            &mut shapes,
            ObjectKind::Custom("flow"),
            &named(&[(&used, "")]),
        );
        assert!(first(&shapes).starts_with(used.as_bytes()));
        assert_eq!(shapes.recent.get(1).unwrap().texts, newest);
        assert_eq!(shapes.recent.len(), MAX_SHAPES);
    }

    /// The fields as an object without a memory makes them.
    fn expected(is_standard: bool, properties: &Named) -> String {
        let mut fields: Vec<(String, Vec<String>)> = Vec::new();
        for (name, value) in properties {
            let name = match name.as_str() {
                "host" => "property_host",
                other => other,
            };
            let is_number = name == "sPort" || (is_standard && name == "port");
            let number = value.parse::<u32>().ok().filter(|_| is_number);
            let value = match number {
                Some(number) => number.to_string(),
                None => serde_json::to_string(value).unwrap(),
            };
            match fields.iter_mut().find(|(field, _)| field == name) {
                Some((_, values)) => values.push(value),
                None => fields.push((name.to_owned(), vec![value])),
            }
        }
        let field = |(name, values): &(String, Vec<String>)| {
            let name = serde_json::to_string(name).unwrap();
            match values.as_slice() {
                [value] => format!("{name}:{value},"),
                several => format!("{name}:[{}],", several.join(",")),
            }
        };
        let fields: String = fields.iter().map(field).collect();
        format!("{{{fields}")
    }

    proptest! {
        /// Whatever came before: the fields are those that the object has alone.
        #[test]
        fn what_came_before_does_not_matter(
            objects in prop::collection::vec(
                prop::collection::vec(("[a-d]|sPort|port|host|\"", "[0-9a-c\"]{0,3}"), 0..6),
                1..40,
            ),
        ) {
            let mut shapes = Shapes::default();
            for (number, properties) in objects.iter().enumerate() {
                let kind = if number % 3 == 0 {
                    ObjectKind::Standard("Port")
                } else {
                    ObjectKind::Custom("flow")
                };
                let expected = expected(is_standard(kind), properties);
                prop_assert_eq!(pushed(&mut shapes, kind, properties), expected);
            }
        }
    }
}
