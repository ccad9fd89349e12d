//! `docs/formats.md` is the contract: its samples are the golden files of this room, its tables are
//! compared with what the code does.

use std::sync::LazyLock;

use super::*;

const FORMATS: &str = include_str!("../../../../../docs/formats.md");
const EVENTS: &str = include_str!("../../../../../docs/events.md");

/// The version in the samples.
const SAMPLE_VERSION: &str = "0.1.0";

/// A row of the table of keys.
pub(super) struct MappingRow {
    pub(super) fields: Vec<String>,
    pub(super) cef: Vec<String>,
    pub(super) leef: String,
    pub(super) holds: String,
}

/// The table of keys.
pub(super) fn mapping() -> &'static [MappingRow] {
    static MAPPING: LazyLock<Vec<MappingRow>> = LazyLock::new(|| {
        let rows = table(FORMATS, "| field | CEF | LEEF | values |");
        let row = |cells: Vec<String>| MappingRow {
            fields: quoted(&cells[0]),
            cef: quoted(&cells[1]),
            leef: quoted(&cells[2])[0].clone(),
            holds: cells[3].clone(),
        };
        rows.into_iter().map(row).collect()
    });
    &MAPPING
}

/// All fields in the tables of `docs/events.md`.
pub(super) fn fields_of_events() -> Vec<String> {
    let mut rows = table(EVENTS, "| field | from | example |");
    rows.extend(table(EVENTS, "| field | type | example |"));
    rows.iter().flat_map(|cells| quoted(&cells[0])).collect()
}

/// As the page says: `cta`, then the words of the name, each with a capital.
pub(super) fn own_cef_key(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let capital = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_uppercase() + rest,
        None => String::new(),
    };
    format!("cta{}", words.map(capital).collect::<String>())
}

/// As the page says: letters, digits and `_`.
pub(super) fn own_leef_key(name: &str) -> String {
    replaced(name, |c| c.is_ascii_alphanumeric())
}

/// As the page says: letters, digits, `_`, `.` and `-`.
pub(super) fn own_pair_key(name: &str) -> String {
    replaced(name, |c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

fn replaced(name: &str, is_allowed: impl Fn(char) -> bool) -> String {
    let name = name.replace(|c| !is_allowed(c), "_");
    if name.is_empty() { "_".into() } else { name }
}

/// The cells of a table, found by its head.
fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let rows = page.lines().skip_while(|line| *line != head).skip(2);
    let rows: Vec<Vec<String>> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split(" | ");
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect();
    assert!(!rows.is_empty(), "no table {head}");
    rows
}

/// What stands in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The fenced block behind `<!-- NAME -->`.
fn block(name: &str) -> String {
    let marker = format!("<!-- {name} -->\n");
    let (_, rest) = FORMATS
        .split_once(&marker)
        .unwrap_or_else(|| panic!("no {marker}"));
    let (fence, rest) = rest.split_once('\n').unwrap();
    assert!(fence.starts_with("```"), "{fence}");
    rest.split_once("\n```").unwrap().0.to_owned()
}

fn sample_event(name: &str) -> Outgoing {
    let json = block(&format!("event {name}"));
    let value: Value = serde_json::from_str(&json).unwrap();
    let origin = flow("{}").origin;
    let window_end = origin.window_end;
    let event = crate::event::Event::parse(json, window_end).unwrap();
    let origin = super::super::super::super::BatchOrigin {
        service: value["service"].as_str().unwrap().into(),
        collection: value["collection"].as_str().unwrap().into(),
        window_end,
    };
    Outgoing {
        origin: std::sync::Arc::new(origin),
        event,
    }
}

/// What the words of a sample's marker configure.
fn configured(words: &[&str]) -> SyslogConfig {
    let mut config = SyslogConfig {
        severity: SyslogSeverity::Event,
        when_too_large: WhenTooLarge::Shorten,
        ..config()
    };
    for word in words {
        match *word {
            "rfc5424" => config.format = SyslogFormat::Rfc5424,
            "rfc3164" => config.format = SyslogFormat::Rfc3164,
            "json" => config.body = SyslogBody::Json,
            "cef" => config.body = SyslogBody::Cef,
            "leef" => config.body = SyslogBody::Leef,
            "key_value" => config.body = SyslogBody::KeyValue,
            "structured_data" => config.structured_data = Some("cta@32473".into()),
            limit => config.max_message_bytes = limit.parse().unwrap(),
        }
    }
    config
}

#[test]
fn every_sample_is_what_the_code_makes() {
    let markers = FORMATS.lines().filter_map(|line| {
        let marker = line.strip_prefix("<!-- sample ")?;
        marker.strip_suffix(" -->")
    });
    let mut wrong = Vec::new();
    let mut samples = 0;
    for marker in markers {
        let words: Vec<&str> = marker.split(' ').collect();
        let [event, settings @ ..] = words.as_slice() else {
            panic!("{marker}");
        };
        let made = message_of(&configured(settings), &sample_event(event));
        let made = made
            .replacen(
                &format!("Analytics|{}|", env!("CARGO_PKG_VERSION")),
                &format!("Analytics|{SAMPLE_VERSION}|"),
                1,
            )
            .replace('\t', "<TAB>");
        let shown = block(&format!("sample {marker}"));
        if made != shown {
            wrong.push(format!("<!-- sample {marker} -->\n{made}"));
        }
        samples += 1;
    }
    assert!(wrong.is_empty(), "should be\n{}", wrong.join("\n"));
    assert!(samples >= 10, "{samples} samples");
}

#[test]
fn every_field_of_an_event_has_its_keys() {
    let mut documented: Vec<String> = mapping()
        .iter()
        .flat_map(|row| row.fields.clone())
        .collect();
    let mut fields = fields_of_events();
    // Of what standard objects tell only what a dictionary knows is in the table.
    let objects = table(EVENTS, "| objects | fields |");
    let of_objects: Vec<_> = objects.iter().flat_map(|cells| quoted(&cells[1])).collect();
    documented.retain(|field| !of_objects.contains(field));
    documented.sort_unstable();
    fields.sort_unstable();
    assert_eq!(documented, fields);
}

/// A value that a key of this kind holds, and one that it does not.
fn values(holds: &str) -> (Value, Option<&'static str>) {
    let misfit = Some("n/a");
    match holds {
        "any" => ("a|b = c\\d".into(), None),
        "whole number" => ((-580).into(), misfit),
        "bytes" => (5_368_709_120_i64.into(), misfit),
        "decimal number" => ("0.75".into(), misfit),
        "port" => (443.into(), misfit),
        "address" => ("192.0.2.231".into(), misfit),
        "MAC address" => ("00:00:5e:00:53:01".into(), misfit),
        "date with a zone" => ("1970-01-01T01:00:00+01:00".into(), misfit),
        "the event's time" => (TIME_MS.into(), misfit),
        other => panic!("what is {other}?"),
    }
}

fn cef_value(json: &str, key: &str) -> Option<String> {
    let pairs = readers::cef(&body_of(SyslogBody::Cef, json)).extension;
    let pair = pairs.into_iter().find(|(found, _)| found == key);
    pair.map(|(_, value)| value)
}

fn leef_value(json: &str, key: &str) -> Option<String> {
    let pairs = readers::leef(&body_of(SyslogBody::Leef, json)).attributes;
    let pair = pairs.into_iter().find(|(found, _)| found == key);
    pair.map(|(_, value)| value)
}

#[test]
fn the_table_of_keys_is_what_the_code_does() {
    for row in mapping() {
        let (value, misfit) = values(&row.holds);
        for field in &row.fields {
            let json = object(&[(field, value.clone())]);
            let text = value.as_str().map_or(value.to_string(), str::to_owned);
            let in_cef = match row.holds.as_str() {
                "date with a zone" => "0".to_owned(),
                _ => text.clone(),
            };
            let in_leef = match row.holds.as_str() {
                "the event's time" => "2015-01-18T23:31:22.432+0000".to_owned(),
                _ => text,
            };
            assert_eq!(cef_value(&json, &row.cef[0]), Some(in_cef), "{field}");
            assert_eq!(leef_value(&json, &row.leef), Some(in_leef), "{field}");
            if let Some(misfit) = misfit {
                let json = object(&[(field, misfit.into())]);
                let own = cef_value(&json, &own_cef_key(field));
                assert_eq!(own.as_deref(), Some(misfit), "{field}");
                let in_leef = leef_value(&json, &own_leef_key(field));
                assert_eq!(in_leef.as_deref(), Some(misfit), "{field}");
            }
            if let [_, for_ipv6] = row.cef.as_slice() {
                let json = object(&[(field, "2001:db8::1".into())]);
                let value = cef_value(&json, for_ipv6);
                assert_eq!(value.as_deref(), Some("2001:db8::1"), "{field}");
                let label = cef_value(&json, &format!("{for_ipv6}Label"));
                assert!(label.unwrap().ends_with("IPv6 Address"), "{field}");
                let value = leef_value(&json, &row.leef);
                assert_eq!(value.as_deref(), Some("2001:db8::1"), "{field}");
            }
        }
    }
}

#[test]
fn custom_keys_are_labelled_with_the_name_of_the_field() {
    let custom = ["cs", "cn", "cfp", "deviceCustom"];
    let mut labelled = 0;
    for row in mapping() {
        let (value, _) = values(&row.holds);
        let json = object(&[(&row.fields[0], value)]);
        let label = cef_value(&json, &format!("{}Label", row.cef[0]));
        let is_custom = custom.iter().any(|start| row.cef[0].starts_with(start));
        assert_eq!(label.is_some(), is_custom, "{}", row.cef[0]);
        if let Some(label) = label {
            assert_eq!(label, row.fields[0]);
            labelled += 1;
        }
    }
    assert_eq!(labelled, 11);
}

#[test]
fn the_table_of_severities_is_what_the_code_does() {
    let rows = table(FORMATS, "| risk | severity | confidence Low | CEF | LEEF |");
    assert_eq!(rows.len(), 12);
    for cells in rows {
        let mut fields = Vec::new();
        if cells[0] != "unknown" {
            fields.push(("risk", Value::from(cells[0].as_str())));
        }
        let severity = |fields: &[(&str, Value)]| {
            let config = SyslogConfig {
                facility: 0,
                severity: SyslogSeverity::Event,
                ..config()
            };
            let number = readers::rfc5424(&message(&config, &object(fields))).priority;
            let words = ["crit", "err", "warning", "notice", "info"];
            format!("{number} {}", words[usize::from(number) - 2])
        };
        assert_eq!(severity(&fields), cells[1], "{cells:?}");
        let json = object(&fields);
        let cef = readers::cef(&body_of(SyslogBody::Cef, &json)).header;
        assert_eq!(cef[6], cells[3], "{cells:?}");
        assert_eq!(leef_value(&json, "sev").unwrap(), cells[4], "{cells:?}");
        fields.push(("confidence", "Low".into()));
        assert_eq!(severity(&fields), cells[2], "{cells:?}");
    }
}

#[test]
fn the_page_names_what_is_never_shortened() {
    let section = FORMATS.split_once("## What is larger").unwrap().1;
    let sentence = section.split_once("Never shortened are").unwrap().1;
    let named = quoted(sentence.split_once(".\n").unwrap().0);
    let long = "x".repeat(300);
    for field in fields_of_events() {
        let json = object(&[("eventId", "07".into()), (&field, long.as_str().into())]);
        let config = SyslogConfig {
            when_too_large: WhenTooLarge::Shorten,
            max_message_bytes: 300,
            ..config()
        };
        let made = Formatter::new(&config, "agent", 42).message(&flow(&json), 1);
        assert_eq!(made.is_err(), named.contains(&field), "{field}");
    }
}
