//! The documented configuration tells the truth: it loads, it is complete, its defaults are real.

use toml::de::{DeTable, DeValue};

use super::*;
use crate::config::raw::{OutputType, RawConfig, RawSecret};

const DOCUMENTED: &str = include_str!("../../../config/cta-forwarder.toml");

/// The documented file with the lines that `uncomment` names, its files in the folder.
fn documented(uncomment: impl Fn(&str) -> Option<&str>) -> String {
    let lines: Vec<&str> = DOCUMENTED
        .lines()
        .map(|line| uncomment(line).unwrap_or(line))
        .collect();
    let text = lines.join("\n") + "\n";
    text.replace("\"/etc/cta-forwarder/ca.pem\"", "\"DIR/ca.pem\"")
        .replace("\"/etc/cta-forwarder/client.pem\"", "\"DIR/ca.pem\"")
        .replace("\"/etc/cta-forwarder/client.key\"", "\"DIR/secret\"")
        .replace("credential = \"taxii-password\"", "file = \"DIR/secret\"")
        .replace("credential = \"hec-token\"", "file = \"DIR/secret\"")
        .replace("\"/etc/cta-forwarder/hec-token\"", "\"DIR/secret\"")
        .replace("\"/etc/cta-forwarder/api-key\"", "\"DIR/secret\"")
        .replace("\"/etc/cta-forwarder/inbox-password\"", "\"DIR/secret\"")
        .replace("\"/etc/cta-forwarder/inbox.pem\"", "\"DIR/ca.pem\"")
        .replace("\"/etc/cta-forwarder/inbox.key\"", "\"DIR/secret\"")
        .replace("\"/etc/cta-forwarder/admin.pem\"", "\"DIR/ca.pem\"")
        .replace("\"/etc/cta-forwarder/admin.key\"", "\"DIR/secret\"")
        .replace("\"/etc/cta-forwarder/clients.pem\"", "\"DIR/ca.pem\"")
        .replace("\"/etc/cta-forwarder/proxy-password\"", "\"DIR/secret\"")
}

/// `# key = …` or `# [table]`
fn example(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("# ")?;
    (rest.starts_with('[') || is_assignment(rest)).then_some(rest)
}

/// `#key = …`
fn default(line: &str) -> Option<&str> {
    let rest = line.strip_prefix('#')?;
    is_assignment(rest).then_some(rest)
}

fn is_assignment(text: &str) -> bool {
    let key = text.split(" = ").next().unwrap();
    key.len() < text.len() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

fn example_or_default(line: &str) -> Option<&str> {
    example(line).or_else(|| default(line))
}

fn load(text: &str) -> String {
    let folder = Folder::new();
    let loaded = folder.load(text).unwrap_or_else(|error| panic!("{error}"));
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, [""; 0], "of\n{text}");
    let shown = format!("{:#?}", loaded.config);
    shown.replace(folder.path().to_str().unwrap(), "DIR")
}

#[test]
fn it_loads_as_it_stands() {
    load(&documented(|_| None));
}

#[test]
fn each_default_is_the_real_one() {
    let without = load(&documented(example));
    let with = load(&documented(example_or_default));
    assert_eq!(with, without);
}

#[test]
fn there_are_defaults_to_compare() {
    let defaults = DOCUMENTED.lines().filter_map(default).count();
    let examples = DOCUMENTED.lines().filter_map(example).count();
    assert!(defaults > 40 && examples > 10, "{defaults} {examples}");
}

/// Asks serde of each table which keys it knows, by a key that it cannot know.
#[test]
fn every_key_stands_there() {
    let text = documented(example_or_default);
    let root = DeTable::parse(&text).unwrap().into_inner();
    let mut written: Vec<(String, String)> = Vec::new();
    let mut known: Vec<(String, String)> = Vec::new();
    visit(&root, &mut Vec::new(), &mut |place, keys| {
        // Elements of a list are one table here: each shows some of its keys.
        let table: Vec<&str> = place.iter().map(|(key, _)| key.as_str()).collect();
        let table = table.join(".");
        let error = with_unknown_key(&text, place);
        let names = error.split_once("expected").unwrap().1;
        let names = names.split('`').skip(1).step_by(2);
        known.extend(names.map(|name| (table.clone(), name.to_owned())));
        written.extend(keys.map(|key| (table.clone(), key.to_owned())));
    });
    assert!(known.len() > 60, "{known:?}");
    let missing: Vec<_> = known.iter().filter(|key| !written.contains(key)).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
}

type Place = Vec<(String, Option<usize>)>;

fn visit(
    table: &DeTable<'_>,
    place: &mut Place,
    tell: &mut impl FnMut(&Place, &mut dyn Iterator<Item = &str>),
) {
    tell(place, &mut table.keys().map(|key| key.get_ref().as_ref()));
    for (key, value) in table {
        let mut go = |value: &DeValue<'_>, index| {
            let Some(table) = value.as_table() else {
                return;
            };
            let is_secret = RawSecret::KEYS.contains(&key.get_ref().as_ref());
            if !is_secret {
                place.push((key.get_ref().to_string(), index));
                visit(table, place, tell);
                place.pop();
            }
        };
        match value.get_ref() {
            DeValue::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    go(element.get_ref(), Some(index));
                }
            }
            value => go(value, None),
        }
    }
}

fn with_unknown_key(text: &str, place: &Place) -> String {
    let mut root: toml::Table = text.parse().unwrap();
    let mut table = &mut root;
    for (key, index) in place {
        let value = table.get_mut(key).unwrap();
        let value = match index {
            Some(index) => &mut value.as_array_mut().unwrap()[*index],
            None => value,
        };
        table = value.as_table_mut().unwrap();
    }
    // The first by the alphabet, so that it is the first that serde meets.
    table.insert("!".to_owned(), true.into());
    let error = toml::from_str::<RawConfig>(&root.to_string())
        .err()
        .unwrap();
    error.message().to_owned()
}

/// What belongs to one type must be a key at all.
#[test]
fn keys_of_the_types_are_keys() {
    let root = vec![("output".to_owned(), Some(0))];
    let error = with_unknown_key(&documented(|_| None), &root);
    let all = [
        OutputType::SplunkHec,
        OutputType::Syslog,
        OutputType::File,
        OutputType::Stdout,
    ];
    for key in all.into_iter().flat_map(OutputType::own_keys) {
        assert!(
            error.contains(&format!("`{key}`")),
            "{key} is not in {error}"
        );
    }
}
