//! What is read back from a body is what the event says, whatever a feed wrote.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::documentation::{self, MappingRow};
use super::*;

type Event = Vec<(String, Value)>;

/// Texts full of what means something in one format or another.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => r#"(?s)([ -~]|[=|\\"\]\[{}<>\n\r\t\x00 ]|.){0,30}"#,
        1 => r#"(a=b|\\|\\n|\||\n<14>1 |CEF:0\||" x="|\tsrc=|\\=|=){1,5}"#,
        1 => prop::sample::select(vec![
            "192.0.2.231", "2001:db8::1", "443", "-580", "0.75", "00:00:5e:00:53:01", "n/a",
        ]).prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        4 => text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
    ];
    prop_oneof![
        5 => one.clone(),
        1 => prop::collection::vec(one, 1..4).prop_map(Value::from),
    ]
}

fn name() -> impl Strategy<Value = String> {
    let known: Vec<String> = documentation::fields_of_events();
    prop_oneof![
        3 => prop::sample::select(known),
        1 => text(),
        1 => r"(src|Src|dst|sev|cat|rt|cs1|cs1Label|url|a|a2|a\.|b c|b_c|b.c|é|ü){1,1}",
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop::collection::vec((name(), value()), 0..25).prop_map(|fields| {
        let mut seen = HashSet::new();
        let mut event = vec![("eventId".to_owned(), Value::from("07".repeat(16)))];
        seen.insert("eventId".to_owned());
        event.extend(
            fields
                .into_iter()
                .filter(|(name, _)| seen.insert(name.clone())),
        );
        event
    })
}

fn json_of(event: &Event) -> String {
    let fields: Vec<(&str, Value)> = event
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    object(&fields)
}

/// Name and text of each value, those of an array one after the other.
fn items(event: &Event) -> Vec<(&str, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut items = Vec::new();
    for (name, value) in event {
        match value {
            Value::Array(values) => {
                items.extend(values.iter().map(|value| (name.as_str(), text(value))));
            }
            one => items.push((name.as_str(), text(one))),
        }
    }
    items
}

fn assert_unique(pairs: &readers::Pairs) {
    let mut seen = HashSet::new();
    for (key, _) in pairs {
        assert!(seen.insert(key), "{key} twice: {pairs:?}");
    }
}

/// Whether `key` is `base`, or `base` with a number behind it.
fn is_numbered(key: &str, base: &str) -> bool {
    let digits = key.strip_prefix(base);
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn keys_of<'a>(mapping: &'a [MappingRow], name: &str) -> Option<&'a MappingRow> {
    mapping
        .iter()
        .find(|row| row.fields.iter().any(|field| field == name))
}

/// The extension without the event's time and without labels.
fn without_labels(extension: readers::Pairs) -> readers::Pairs {
    let mut pairs = readers::Pairs::new();
    for (key, value) in extension.into_iter().skip(1) {
        let is_label = pairs.last().is_some_and(|(before, _): &(String, String)| {
            !before.starts_with("cta") && key == format!("{before}Label")
        });
        if !is_label {
            pairs.push((key, value));
        }
    }
    pairs
}

fn class_id_of(items: &[(&str, String)]) -> String {
    let find = |wanted: &str| items.iter().find(|(name, _)| *name == wanted);
    match find("flowType").or(find("objectType")) {
        Some((_, text)) => format!("flow/{text}"),
        None => "flow".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn json_is_the_event_as_it_is(event in event()) {
        let json = json_of(&event);
        prop_assert_eq!(body_of(SyslogBody::Json, &json), json);
    }

    #[test]
    fn cef(event in event()) {
        let read = readers::cef(&body_of(SyslogBody::Cef, &json_of(&event)));
        assert_unique(&read.extension);
        prop_assert_eq!(&read.extension[0], &("rt".to_owned(), TIME_MS.to_string()));
        let pairs = without_labels(read.extension);
        let items = items(&event);
        prop_assert_eq!(pairs.len(), items.len());
        let mapping = documentation::mapping();
        for ((key, value), (name, expect)) in pairs.iter().zip(&items) {
            prop_assert_eq!(value, &expect.replace('\0', "\u{fffd}"));
            let row = keys_of(mapping, name);
            let has_own = is_numbered(key, &documentation::own_cef_key(name));
            prop_assert!(has_own || row.is_some_and(|row| row.cef.contains(key)), "{name} {key}");
        }
        let text_of = |wanted: &str| {
            let found = items.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, text)| text.as_str()).filter(|text| !text.is_empty())
        };
        let in_line = |text: &str| {
            text.replace(['\n', '\r'], " ").replace('\0', "\u{fffd}")
        };
        let title = text_of("activity")
            .or(text_of("incidentTitle"))
            .or(text_of("indicatorTitle"))
            .unwrap_or("flow");
        prop_assert_eq!(&read.header[5], &in_line(title));
        prop_assert_eq!(read.header[..3].join("|"), "CEF:0|Cisco|Cognitive Threat Analytics");
        let class_id = class_id_of(&items);
        prop_assert_eq!(&read.header[4], &in_line(&class_id));
    }

    #[test]
    fn leef(event in event()) {
        let read = readers::leef(&body_of(SyslogBody::Leef, &json_of(&event)));
        assert_unique(&read.attributes);
        let items = items(&event);
        prop_assert_eq!(read.attributes.len(), items.len() + 3);
        let mapping = documentation::mapping();
        for ((key, value), (name, expect)) in read.attributes.iter().skip(3).zip(&items) {
            let expect = expect.replace(['\t', '\n', '\r'], " ").replace('\0', "\u{fffd}");
            prop_assert_eq!(value, &expect);
            let own = documentation::own_leef_key(name);
            let has_own = is_numbered(key, &own) || is_numbered(key, &format!("property_{own}"));
            let row = keys_of(mapping, name);
            prop_assert!(has_own || row.is_some_and(|row| row.leef == *key), "{name} {key}");
            if row.is_none() {
                let meaning = mapping.iter().any(|row| row.leef.eq_ignore_ascii_case(key));
                prop_assert!(!meaning, "{name} pretends to be {key}");
            }
        }
        let class_id = class_id_of(&items);
        let class_id = class_id.replace(['\t', '\n', '\r', '|'], " ").replace('\0', "\u{fffd}");
        prop_assert_eq!(&read.header[3], &class_id);
    }

    #[test]
    fn key_value(event in event()) {
        let pairs = readers::key_value(&body_of(SyslogBody::KeyValue, &json_of(&event)));
        let items = items(&event);
        prop_assert_eq!(pairs.len(), items.len());
        let mut names: HashMap<&str, &str> = HashMap::new();
        for ((key, value), (name, expect)) in pairs.iter().zip(&items) {
            prop_assert_eq!(value, &expect.replace('\0', "\u{fffd}"));
            prop_assert!(is_numbered(key, &documentation::own_pair_key(name)), "{name} {key}");
            let before = names.insert(key, name);
            prop_assert!(before.is_none_or(|before| before == *name), "{key} of two fields");
        }
    }
}

#[test]
fn a_date_is_an_instant_and_what_is_no_date_goes_under_its_own_name() {
    let key_of = |text: &str| {
        let json = object(&[("packageTimestamp", text.into())]);
        let extension = readers::cef(&body_of(SyslogBody::Cef, &json)).extension;
        extension[1].clone()
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        key_of("2024-03-04T09:30:00.250+01:00"),
        pair("deviceCustomDate1", "1709541000250")
    );
    assert_eq!(
        key_of("2024-03-04T09:30:00"),
        pair("ctaPackageTimestamp", "2024-03-04T09:30:00")
    );
}

#[test]
fn a_timestamp_that_is_the_events_time_is_not_said_twice() {
    let time = object(&[("timestamp", TIME_MS.into())]);
    let other = object(&[("timestamp", "soon".into())]);
    let extension = |json: &str| readers::cef(&body_of(SyslogBody::Cef, json)).extension;
    assert_eq!(extension(&time).len(), 1);
    let own = ("ctaTimestamp".to_owned(), "soon".to_owned());
    assert_eq!(extension(&other)[1..], [own]);
    let attributes = |json: &str| readers::leef(&body_of(SyslogBody::Leef, json)).attributes;
    assert_eq!(
        attributes(&time)[1],
        ("devTime".into(), "2015-01-18T23:31:22.432+0000".into())
    );
    assert_eq!(attributes(&time).len(), 3);
    let own = ("timestamp".to_owned(), "soon".to_owned());
    assert_eq!(attributes(&other)[3..], [own]);
}

#[test]
fn leef_has_no_time_where_its_format_has_no_year_for_it() {
    let time_ms = 999_999_999_999_999;
    let mut out = flow(&object(&[("timestamp", time_ms.into())]));
    out.event.time_ms = time_ms;
    let config = SyslogConfig {
        body: SyslogBody::Leef,
        ..config()
    };
    let msg = readers::rfc5424(&message_of(&config, &out)).msg;
    let own = ("timestamp".to_owned(), time_ms.to_string());
    assert_eq!(readers::leef(&msg).attributes[1..], [own]);
}

#[test]
fn header_fields_of_cef_and_leef_are_cut_but_the_field_is_whole() {
    let long = "é".repeat(1000);
    let json = object(&[
        ("flowType", long.as_str().into()),
        ("activity", long.as_str().into()),
    ]);
    let cef = readers::cef(&body_of(SyslogBody::Cef, &json));
    assert_eq!(cef.header[4], format!("flow/{}", "é".repeat(509)));
    assert_eq!(cef.header[5], "é".repeat(256));
    assert_eq!(cef.extension[1], ("ctaFlowType".into(), long.clone()));
    assert_eq!(cef.extension[2], ("msg".into(), long.clone()));
    let leef = readers::leef(&body_of(SyslogBody::Leef, &json));
    assert_eq!(leef.header[3], format!("flow/{}", "é".repeat(125)));
    assert_eq!(leef.attributes[3], ("flowType".into(), long));
}

#[test]
fn no_property_takes_a_key_to_which_leef_gives_a_meaning() {
    for name in [
        "src",
        "usrname",
        "policy",
        "identSrc",
        "devTimeFormat",
        "sev",
        "isLoginEvent",
    ] {
        let json = object(&[(name, "x".into())]);
        let attributes = readers::leef(&body_of(SyslogBody::Leef, &json)).attributes;
        assert_eq!(attributes[3], (format!("property_{name}"), "x".into()));
    }
}

#[test]
fn of_two_fields_with_one_key_the_first_has_it() {
    let json = object(&[
        ("client.ip", "192.0.2.1".into()),
        ("cIP", "192.0.2.2".into()),
        ("cIp", "192.0.2.3".into()),
    ]);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let extension = readers::cef(&body_of(SyslogBody::Cef, &json)).extension;
    assert_eq!(
        extension[1..],
        [
            pair("src", "192.0.2.1"),
            pair("ctaCIP", "192.0.2.2"),
            pair("ctaCIp", "192.0.2.3"),
        ]
    );
    let attributes = readers::leef(&body_of(SyslogBody::Leef, &json)).attributes;
    assert_eq!(
        attributes[3..],
        [
            pair("src", "192.0.2.1"),
            pair("cIP", "192.0.2.2"),
            pair("cIp", "192.0.2.3"),
        ]
    );
}

#[test]
fn letters_beyond_ascii_are_no_letters_of_a_key() {
    let json = object(&[("größe", "x".into())]);
    let extension = readers::cef(&body_of(SyslogBody::Cef, &json)).extension;
    assert_eq!(extension[1].0, "ctaGrE");
    let attributes = readers::leef(&body_of(SyslogBody::Leef, &json)).attributes;
    assert_eq!(attributes[3].0, "gr__e");
    let pairs = readers::key_value(&body_of(SyslogBody::KeyValue, &json));
    assert_eq!(pairs[0].0, "gr__e");
}
