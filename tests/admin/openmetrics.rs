//! A strict reader of OpenMetrics 1.0 text, which shares nothing with the writer.

use std::collections::{BTreeMap, BTreeSet};

/// Labels by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// Metrics that were read.
pub(crate) struct Metrics {
    samples: BTreeMap<(String, Labels), f64>,
}

/// A family while it is read.
#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    unit: String,
}

impl Metrics {
    /// Reads a text; whatever the specification forbids is a failure.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
        assert!(!body.contains("# EOF"), "there is one end");
        let mut names = BTreeSet::new();
        let mut family = Family::default();
        let mut samples = BTreeMap::new();
        for line in body.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let (word, rest) = comment.split_once(' ').unwrap();
                let (name, value) = rest.split_once(' ').unwrap();
                assert_name(name);
                if family.name != name {
                    assert!(names.insert(name.to_owned()), "{name} comes twice");
                    family = Family {
                        name: name.to_owned(),
                        ..Family::default()
                    };
                }
                match word {
                    "HELP" => assert!(!value.is_empty() && !value.contains('\n')),
                    "TYPE" => {
                        let kinds = ["counter", "gauge", "histogram", "info"];
                        assert!(kinds.contains(&value) && family.kind.is_empty(), "{line}");
                        value.clone_into(&mut family.kind);
                    }
                    "UNIT" => {
                        assert!(name.ends_with(&format!("_{value}")), "{line}");
                        value.clone_into(&mut family.unit);
                    }
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (name, labels, value) = sample(line);
            family.check(&name, &labels, value);
            let series = (name, labels);
            assert!(
                samples.insert(series.clone(), value).is_none(),
                "{series:?} comes twice"
            );
        }
        let metrics = Self { samples };
        metrics.check_histograms();
        metrics
    }

    /// The value of a series, its labels as `name=value`.
    pub(crate) fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter();
        let labels = labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.samples
            .get(&(name.to_owned(), labels.collect()))
            .copied()
    }

    /// All series of a name.
    pub(crate) fn of(&self, name: &str) -> Vec<(&Labels, f64)> {
        let own = self.samples.iter().filter(|((of, _), _)| of == name);
        own.map(|((_, labels), value)| (labels, *value)).collect()
    }

    /// Buckets never shrink, and the last holds all.
    fn check_histograms(&self) {
        let mut last: BTreeMap<(String, Labels), Vec<(f64, f64)>> = BTreeMap::new();
        for ((name, labels), value) in &self.samples {
            if let Some(of) = name.strip_suffix("_bucket") {
                let mut labels = labels.clone();
                let bound = labels.remove("le").expect("a bucket has a bound");
                let bound = match bound.as_str() {
                    "+Inf" => f64::INFINITY,
                    bound => bound.parse().unwrap(),
                };
                let series = last.entry((of.to_owned(), labels)).or_default();
                series.push((bound, *value));
            }
        }
        for ((name, labels), mut buckets) in last {
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(
                buckets.is_sorted_by(|one, other| one.1 <= other.1),
                "{name}"
            );
            let (bound, all) = *buckets.last().unwrap();
            let count = self.samples[&(format!("{name}_count"), labels)];
            assert!(bound.is_infinite() && (all - count).abs() < 0.5, "{name}");
        }
    }
}

impl Family {
    fn check(&self, name: &str, labels: &Labels, value: f64) {
        let suffix = name.strip_prefix(&self.name).unwrap_or_else(|| {
            panic!("{name} stands among the samples of {}", self.name);
        });
        let allowed: &[&str] = match self.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => panic!("{name} has no TYPE"),
        };
        assert!(allowed.contains(&suffix), "{name} is a {}", self.kind);
        assert!(value.is_finite(), "{name}");
        if self.kind != "gauge" {
            assert!(value >= 0.0, "{name} {value}");
        }
        assert_eq!(labels.contains_key("le"), suffix == "_bucket", "{name}");
        let has_unit = ["seconds", "bytes"]
            .iter()
            .any(|unit| self.name.ends_with(unit));
        assert_eq!(has_unit, !self.unit.is_empty(), "{name} lacks its UNIT");
    }
}

fn assert_name(name: &str) {
    let mut bytes = name.bytes();
    let first = bytes.next().unwrap();
    assert!(first.is_ascii_alphabetic() || first == b'_', "{name}");
    assert!(
        bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
        "{name}"
    );
}

fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert_name(name);
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, value) = rest.split_once("=\"").unwrap();
            assert_name(label);
            let mut text = String::new();
            let mut characters = value.char_indices();
            let end = loop {
                match characters.next().expect("a label's value ends") {
                    (at, '"') => break at,
                    (_, '\\') => match characters.next().unwrap().1 {
                        'n' => text.push('\n'),
                        escaped @ ('\\' | '"') => text.push(escaped),
                        other => panic!("\\{other} in {line}"),
                    },
                    (_, character) => text.push(character),
                }
            };
            assert!(labels.insert(label.to_owned(), text).is_none(), "{line}");
            rest = &value[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap();
    (name.to_owned(), labels, value.parse().unwrap())
}
