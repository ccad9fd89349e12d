//! The fields that the properties of an object become.
//!
//! Objects have properties of few names, and most in the order in which one before had them. What is to be
//! known of a name is found once, and it is looked for first where it is expected.

use std::collections::HashMap;

use super::fields;
use crate::known::KnownText;
use crate::stix::{ObjectKind, PropertiesView};

/// When an object has made it more than this that are known, all are forgotten.
const MAX_KNOWN: usize = 256;
/// The same of the bytes of their names, in either form.
const MAX_NAME_BYTES: usize = 32 << 10;

/// What is known of properties by their names.
#[derive(Debug, Default)]
pub(super) struct KnownProperties {
    known: Vec<KnownProperty>,
    /// Their places by their names.
    places: HashMap<Vec<u8>, usize>,
    /// By the beginning of a field the place of the first property that has it.
    fields: HashMap<Vec<u8>, usize>,
    name_bytes: usize,
    /// Those that came first in an object.
    first: Expected,
    /// How many objects there were.
    objects: u64,
    /// Whether the last one had several properties of one field.
    has_groups: bool,
}

#[derive(Debug)]
struct KnownProperty {
    /// As it lies among the properties.
    name: KnownText,
    /// What its field begins with: `"name":`.
    key: Vec<u8>,
    /// Whether its values are numbers, in a Custom object and in a standard one.
    is_number: [bool; 2],
    /// The place of the first that is known of those with the same field.
    field: usize,
    /// The last object that had this field.
    object: u64,
    /// Those that came behind it.
    next: Expected,
}

/// The places of the properties that came last where one is expected, the last one first: one may be left
/// out now and then.
#[derive(Debug, Default, Clone, Copy)]
struct Expected([usize; 2]);

/// A property of an object, and those behind it.
struct Found<'p> {
    place: usize,
    value: &'p [u8],
    behind: PropertiesView<'p>,
}

impl KnownProperties {
    /// Appends the properties of an object; those of one name become an array where the first stands.
    pub(super) fn push(
        &mut self,
        out: &mut Vec<u8>,
        kind: ObjectKind<'_>,
        properties: PropertiesView<'_>,
    ) {
        self.objects += 1;
        let start = out.len();
        // Those of one kind come one after the other.
        if self.has_groups || !self.push_each(out, kind, properties) {
            out.truncate(start);
            self.has_groups = self.push_grouped(out, kind, properties);
        }
        if self.known.len() > MAX_KNOWN || self.name_bytes > MAX_NAME_BYTES {
            *self = Self::default();
        }
    }

    /// Appends each; fails where two are of one field.
    fn push_each(
        &mut self,
        out: &mut Vec<u8>,
        kind: ObjectKind<'_>,
        properties: PropertiesView<'_>,
    ) -> bool {
        let object = self.objects;
        let mut rest = properties;
        let mut last = None;
        while let Some(found) = self.next(last, rest) {
            let field = self.known.get(found.place).map(|property| property.field);
            let field = field.and_then(|field| self.known.get_mut(field));
            let before = field.map(|field| std::mem::replace(&mut field.object, object));
            if before == Some(object) {
                return false;
            }
            if let Some(property) = self.known.get(found.place) {
                out.extend_from_slice(&property.key);
                property.push_value(out, kind, found.value);
                out.push(b',');
            }
            last = Some(found.place);
            rest = found.behind;
        }
        true
    }

    /// Appends each field with all of its values; whether some have several.
    fn push_grouped(
        &mut self,
        out: &mut Vec<u8>,
        kind: ObjectKind<'_>,
        properties: PropertiesView<'_>,
    ) -> bool {
        let mut groups: Vec<Vec<(usize, &[u8])>> = Vec::new();
        let mut group_of = HashMap::new();
        let mut rest = properties;
        let mut last = None;
        while let Some(found) = self.next(last, rest) {
            let field = self.known.get(found.place).map(|property| property.field);
            let group = *group_of.entry(field).or_insert(groups.len());
            let one = (found.place, found.value);
            match groups.get_mut(group) {
                Some(group) => group.push(one),
                None => groups.push(vec![one]),
            }
            last = Some(found.place);
            rest = found.behind;
        }
        let has_groups = groups.iter().any(|group| group.len() > 1);
        for group in groups {
            let (start, end): (&[u8], &[u8]) = match group.len() {
                1 => (b"", b","),
                _ => (b"[", b"],"),
            };
            for (number, (place, value)) in group.into_iter().enumerate() {
                let Some(property) = self.known.get(place) else {
                    continue;
                };
                if number == 0 {
                    out.extend_from_slice(&property.key);
                    out.extend_from_slice(start);
                } else {
                    out.push(b',');
                }
                property.push_value(out, kind, value);
            }
            out.extend_from_slice(end);
        }
        has_groups
    }

    /// The first of these, which come behind the `last` one.
    #[inline]
    fn next<'p>(&mut self, last: Option<usize>, rest: PropertiesView<'p>) -> Option<Found<'p>> {
        let expected = match last {
            None => self.first,
            Some(last) => self.known.get(last)?.next,
        };
        for (number, place) in expected.0.into_iter().enumerate() {
            let known = self.known.get(place);
            if let Some((value, behind)) = known.and_then(|known| rest.value_of(&known.name)) {
                if number > 0 {
                    self.expect(last, place);
                }
                return Some(Found {
                    place,
                    value,
                    behind,
                });
            }
        }
        self.look_up(last, rest)
    }

    fn look_up<'p>(&mut self, last: Option<usize>, rest: PropertiesView<'p>) -> Option<Found<'p>> {
        let (name, value, behind) = rest.split_first()?;
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => self.get_to_know(name),
        };
        self.expect(last, place);
        Some(Found {
            place,
            value,
            behind,
        })
    }

    /// This one is expected behind the `last` one from now on.
    fn expect(&mut self, last: Option<usize>, place: usize) {
        let expected = match last {
            None => Some(&mut self.first),
            Some(last) => self.known.get_mut(last).map(|last| &mut last.next),
        };
        if let Some(Expected([first, second])) = expected {
            *second = std::mem::replace(first, place);
        }
    }

    fn get_to_know(&mut self, name: &[u8]) -> usize {
        let place = self.known.len();
        let mut property = KnownProperty::new(name);
        self.name_bytes += name.len() + property.key.len();
        let first = self.fields.entry(property.key.clone());
        property.field = *first.or_insert(place);
        self.known.push(property);
        self.places.insert(name.to_owned(), place);
        place
    }
}

impl KnownProperty {
    fn new(name: &[u8]) -> Self {
        let field = fields::field_name(name);
        let mut key = Vec::new();
        fields::push_name(&mut key, &field);
        Self {
            name: PropertiesView::known_name(name),
            key,
            is_number: [false, true].map(|is_standard| fields::is_number(is_standard, &field)),
            field: 0,
            object: 0,
            next: Expected::default(),
        }
    }

    #[inline]
    fn push_value(&self, out: &mut Vec<u8>, kind: ObjectKind<'_>, value: &[u8]) {
        let [in_custom, in_standard] = self.is_number;
        let is_number = match kind {
            ObjectKind::Custom(_) => in_custom,
            ObjectKind::Standard(_) => in_standard,
        };
        fields::push_value(out, is_number, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Named = Vec<(String, String)>;

    fn pushed(known: &mut KnownProperties, kind: ObjectKind<'_>, properties: &Named) -> String {
        let texts = properties.iter().flat_map(|(name, value)| [name, value]);
        let encoded: Vec<u8> = texts
            .flat_map(|text| {
                let length = u32::try_from(text.len()).unwrap().to_be_bytes();
                [&length, text.as_bytes()].concat()
            })
            .collect();
        let view = PropertiesView::decode(&encoded).unwrap();
        let mut out = b"{".to_vec();
        known.push(&mut out, kind, view);
        String::from_utf8(out).unwrap()
    }

    fn named(properties: &[(&str, &str)]) -> Named {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        properties.iter().map(owned).collect()
    }

    #[test]
    fn of_one_name_several_are_an_array_where_the_first_stands() {
        let mut known = KnownProperties::default();
        let properties = named(&[
            ("host", "a"),
            ("sPort", "1"),
            ("x", ""),
            ("sPort", "x"),
            ("property_host", "b"),
        ]);
        for _ in 0..2 {
            let out = pushed(&mut known, ObjectKind::Custom("flow"), &properties);
            assert_eq!(out, r#"{"property_host":["a","b"],"sPort":[1,"x"],"x":"","#);
        }
    }

    #[test]
    fn the_same_names_in_other_kinds_and_numbers() {
        let mut known = KnownProperties::default();
        let port = named(&[("port", "1"), ("x", "2")]);
        let (custom, standard) = (ObjectKind::Custom("Port"), ObjectKind::Standard("Port"));
        assert_eq!(pushed(&mut known, custom, &port), r#"{"port":"1","x":"2","#);
        assert_eq!(pushed(&mut known, standard, &port), r#"{"port":1,"x":"2","#);
        let shorter = named(&[("port", "1")]);
        assert_eq!(pushed(&mut known, custom, &shorter), r#"{"port":"1","#);
        let longer = named(&[("port", "1"), ("x", "2"), ("y", "3")]);
        assert_eq!(
            pushed(&mut known, custom, &longer),
            r#"{"port":"1","x":"2","y":"3","#
        );
        assert_eq!(pushed(&mut known, custom, &Vec::new()), "{");
    }

    #[test]
    fn few_and_small_ones_are_remembered() {
        let mut known = KnownProperties::default();
        let kind = ObjectKind::Custom("flow");
        let names = |known: &KnownProperties| (known.known.len(), known.places.len());
        for number in 1..=MAX_KNOWN {
            let name = format!("name-{number}");
            pushed(&mut known, kind, &named(&[(&name, "")]));
            assert_eq!(names(&known), (number, number));
        }
        pushed(&mut known, kind, &named(&[("one", "")]));
        assert_eq!(names(&known), (0, 0));
        pushed(&mut known, kind, &named(&[("one", "")]));
        assert_eq!(names(&known), (1, 1));
        let long = "n".repeat(MAX_NAME_BYTES / 2);
        pushed(&mut known, kind, &named(&[(&long, "")]));
        assert_eq!(names(&known), (0, 0));
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
            let mut known = KnownProperties::default();
            for (number, properties) in objects.iter().enumerate() {
                let kind = if number % 3 == 0 {
                    ObjectKind::Standard("Port")
                } else {
                    ObjectKind::Custom("flow")
                };
                let expected = expected(matches!(kind, ObjectKind::Standard(_)), properties);
                prop_assert_eq!(pushed(&mut known, kind, properties), expected);
            }
        }
    }
}
