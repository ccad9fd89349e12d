//! The file as TOML: where every key stands, and what of it serde refuses.
//!
//! Neither a line of the file nor a value below a secret's key is ever quoted: the error types of
//! `toml` do both.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::problem::Problem;
use super::raw::RawSecret;
use super::spelling;

/// Where something stands in the text, in bytes.
pub(super) type Span = Range<usize>;

/// A configuration file that is TOML at least.
pub(super) struct Document<'a> {
    file: &'a Path,
    text: &'a str,
    root: DeTable<'a>,
}

impl<'a> Document<'a> {
    /// Reads the text as TOML. What comes after a syntax error is not looked at: it may be the
    /// rest of a secret.
    pub(super) fn parse(file: &'a Path, text: &'a str) -> Result<Self, Problem> {
        match DeTable::parse(text) {
            Ok(root) => Ok(Self {
                file,
                text,
                root: root.into_inner(),
            }),
            Err(error) => Err(Problem {
                file: file.to_owned(),
                line: error.span().map(|span| line_of(text, span.start)),
                key: String::new(),
                what: format!("not TOML: {}", error.message()),
            }),
        }
    }

    /// Reads a `T`. Each entry that serde refuses becomes a problem and counts as left out, so
    /// that one wrong entry hides no other.
    pub(super) fn deserialize<T: DeserializeOwned>(
        &self,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let mut rest = self.root.clone();
        loop {
            let error = match T::deserialize(Deserializer::from(Spanned::new(0..0, rest.clone()))) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            let span = error.span().unwrap_or_default();
            let node = self.node_at(&span);
            let (span, what) = match node.as_ref().and_then(|node| node.secret.clone()) {
                Some(secret) => (secret, RawSecret::ALLOWED.to_owned()),
                None => (span, reword(error.message())),
            };
            let problem = self.problem(&span, what);
            if problems.last() != Some(&problem) {
                problems.push(problem);
            }
            if !remove(&mut rest, &span) {
                return None;
            }
        }
    }

    /// A problem with what stands there.
    pub(super) fn problem(&self, span: &Span, what: impl Into<String>) -> Problem {
        self.at(span, self.key_at(span), what.into())
    }

    /// A problem with a key that a table lacks; no table is the whole file.
    pub(super) fn missing(&self, table: Option<&Span>, key: &str, what: &str) -> Problem {
        let what = format!("missing; {what}");
        match table {
            Some(table) => self.at(table, format!("{}.{key}", self.key_at(table)), what),
            None => Problem {
                file: self.file.to_owned(),
                line: None,
                key: key.to_owned(),
                what,
            },
        }
    }

    /// The keys of a table, with their places.
    pub(super) fn keys_of(&self, table: &Span) -> Vec<(&str, Span)> {
        let entries = self.node_at(table).and_then(|node| node.value.as_table());
        entries
            .into_iter()
            .flatten()
            .map(|(key, _)| (key.get_ref().as_ref(), key.span()))
            .collect()
    }

    fn at(&self, span: &Span, key: String, what: String) -> Problem {
        Problem {
            file: self.file.to_owned(),
            line: Some(line_of(self.text, span.start)),
            key,
            what,
        }
    }

    fn key_at(&self, span: &Span) -> String {
        self.node_at(span).map(|node| node.key).unwrap_or_default()
    }

    fn node_at(&self, span: &Span) -> Option<Node<'_, 'a>> {
        find(&self.root, span, "", None)
    }
}

/// An entry of a table, or an element of a list.
struct Node<'t, 'a> {
    /// Its full path.
    key: String,
    value: &'t DeValue<'a>,
    /// The secret that it is or belongs to.
    secret: Option<Span>,
}

/// The innermost entry whose key or value stands there: a list of tables and its first table
/// share a place.
fn find<'t, 'a>(
    table: &'t DeTable<'a>,
    span: &Span,
    path: &str,
    secret: Option<&Span>,
) -> Option<Node<'t, 'a>> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        let key_path = match path {
            "" => shown(name),
            _ => format!("{path}.{}", shown(name)),
        };
        let value_span = value.span();
        let is_secret = RawSecret::KEYS.contains(&name.as_ref());
        let secret = secret.or_else(|| is_secret.then_some(&value_span));
        let here = key.span() == *span;
        find_in_value(value, span, &key_path, secret).or_else(|| {
            here.then(|| Node {
                key: key_path,
                value: value.get_ref(),
                secret: secret.cloned(),
            })
        })
    })
}

fn find_in_value<'t, 'a>(
    value: &'t Spanned<DeValue<'a>>,
    span: &Span,
    path: &str,
    secret: Option<&Span>,
) -> Option<Node<'t, 'a>> {
    let below = match value.get_ref() {
        DeValue::Table(table) => find(table, span, path, secret),
        DeValue::Array(elements) => elements.iter().enumerate().find_map(|(index, element)| {
            find_in_value(element, span, &format!("{path}[{index}]"), secret)
        }),
        _ => None,
    };
    below.or_else(|| {
        (value.span() == *span).then(|| Node {
            key: path.to_owned(),
            value: value.get_ref(),
            secret: secret.cloned(),
        })
    })
}

/// Removes what [`find`] finds.
fn remove(table: &mut DeTable<'_>, span: &Span) -> bool {
    if table.iter_mut().any(|(_, value)| remove_below(value, span)) {
        return true;
    }
    let key = table
        .iter()
        .find(|(key, value)| key.span() == *span || value.span() == *span)
        .map(|(key, _)| key.get_ref().clone().into_owned());
    key.is_some_and(|key| table.remove(key.as_str()).is_some())
}

fn remove_below(value: &mut Spanned<DeValue<'_>>, span: &Span) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => remove(table, span),
        DeValue::Array(elements) => {
            if elements
                .iter_mut()
                .any(|element| remove_below(element, span))
            {
                return true;
            }
            let kept: DeArray<'_> = elements
                .iter()
                .filter(|element| element.span() != *span)
                .cloned()
                .collect();
            let removed = kept.len() < elements.len();
            *elements = kept;
            removed
        }
        _ => false,
    }
}

/// A key as it stands in a path.
fn shown(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

/// A message of serde in our words, without the value that it quotes: a URL with a password in it
/// may stand where a list is expected.
fn reword(message: &str) -> String {
    if message == "invalid type: map, expected a sequence" {
        return "a table where a list is expected; write each heading in two brackets, as in \
                [[service]]"
            .to_owned();
    }
    if let Some(types) = message.strip_prefix("invalid type: ")
        && let Some((found, expected)) = types.rsplit_once(", expected ")
    {
        let found = found.split([' ', '`']).next().unwrap_or_default();
        return format!("{} where {} is expected", type_of(found), type_of(expected));
    }
    let Some(names) = message.strip_prefix("unknown field ") else {
        return message.to_owned();
    };
    let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
    match names.split_first() {
        Some((written, known)) => unknown_key(written, known),
        None => "unknown key".to_owned(),
    }
}

/// The word that users of TOML know for a type of serde.
fn type_of(name: &str) -> &str {
    match name {
        "map" | "a map" => "a table",
        "sequence" | "a sequence" => "a list",
        "string" | "a string" | "path string" => "a text in quotes",
        "boolean" | "a boolean" => "true or false",
        "integer" => "a number",
        "floating" => "a number with a fraction",
        other => other,
    }
}

fn unknown_key(written: &str, known: &[&str]) -> String {
    match spelling::nearest(written, known) {
        Some(meant) => format!("unknown key; did you mean \"{meant}\"?"),
        None => format!("unknown key; allowed are {}", known.join(", ")),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|&&byte| byte == b'\n').count()
}
