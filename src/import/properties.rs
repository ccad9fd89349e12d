//! A YAML file as Spring sees it: properties, each with a path and a text.
//!
//! Values stay the texts that they are in the file: a password of digits is no number.

use saphyr_parser::{Event, Parser, ScanError};

/// Deeper than any configuration of an application.
const MAX_DEPTH: usize = 32;

/// One property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Property {
    /// Its names, outermost first; a place in a list is not a name.
    pub(super) path: Vec<String>,
    pub(super) value: String,
    /// Where its value stands, from 1.
    pub(super) line: usize,
}

/// The file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadPropertiesError {
    /// It is no YAML.
    #[error("line {line}: it is not YAML: {source}")]
    Yaml {
        /// Where.
        line: usize,
        /// Why.
        source: ScanError,
    },
    /// Names are nested too deeply.
    #[error("line {line}: it nests deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// Where.
        line: usize,
    },
    /// What stands elsewhere in the file is not looked up.
    #[error("line {line}: write the value itself instead of an alias (*…)")]
    Alias {
        /// Where.
        line: usize,
    },
}

/// What is open: a list, or a mapping and whose value comes next.
enum Level {
    List,
    Mapping { key: Option<String> },
}

/// Reads all properties of all documents in the file. The two ways to write a name are one:
/// `a.b: c` is `a: { b: c }`.
pub(super) fn read(text: &str) -> Result<Vec<Property>, ReadPropertiesError> {
    let mut properties = Vec::new();
    let mut levels: Vec<Level> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|source| ReadPropertiesError::Yaml {
            line: source.marker().line(),
            source,
        })?;
        let line = span.start.line();
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) if levels.len() == MAX_DEPTH => {
                return Err(ReadPropertiesError::TooDeep { line });
            }
            Event::MappingStart(..) => levels.push(Level::Mapping { key: None }),
            Event::SequenceStart(..) => levels.push(Level::List),
            Event::MappingEnd | Event::SequenceEnd => {
                levels.pop();
                ended(&mut levels);
            }
            Event::Scalar(value, ..) => match levels.last_mut() {
                Some(Level::Mapping { key: key @ None }) => *key = Some(value.into_owned()),
                _ => {
                    properties.push(Property {
                        path: path(&levels),
                        value: value.into_owned(),
                        line,
                    });
                    ended(&mut levels);
                }
            },
            Event::Alias(_) => return Err(ReadPropertiesError::Alias { line }),
            _ => {}
        }
    }
    Ok(properties)
}

/// A value has ended: in a mapping another key comes next.
fn ended(levels: &mut [Level]) {
    if let Some(Level::Mapping { key }) = levels.last_mut() {
        *key = None;
    }
}

fn path(levels: &[Level]) -> Vec<String> {
    let keys = levels.iter().filter_map(|level| match level {
        Level::Mapping { key: Some(key) } => Some(key),
        _ => None,
    });
    keys.flat_map(|key| key.split('.').map(str::to_owned))
        .collect()
}

impl Property {
    /// Its name, as it stands in the file.
    pub(super) fn name(&self) -> String {
        self.path.join(".")
    }

    /// Its name as Spring compares it: neither case nor dashes matter.
    pub(super) fn canonical(&self) -> String {
        let plain = |part: &String| part.replace(['-', '_'], "").to_ascii_lowercase();
        let parts: Vec<String> = self.path.iter().map(plain).collect();
        parts.join(".")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn properties_have_their_path_their_text_and_their_line() {
        let text = "\
# a comment
taxii-service:
    pollEndpoint: https://x/y   # behind it
    password: 0123
    feeds:
        - one
        - \"two: #2\"
logging.config: 'a b'
empty:
nested: { a: [ { b: c } ] }
";
        let read: Vec<_> = read(text)
            .unwrap()
            .into_iter()
            .map(|one| (one.name(), one.value, one.line))
            .collect();
        let expect = [
            ("taxii-service.pollEndpoint", "https://x/y", 3),
            ("taxii-service.password", "0123", 4),
            ("taxii-service.feeds", "one", 6),
            ("taxii-service.feeds", "two: #2", 7),
            ("logging.config", "a b", 8),
            ("nested.a.b", "c", 10),
        ];
        let expect = expect.map(|(name, value, line)| (name.to_owned(), value.to_owned(), line));
        let without_empty: Vec<_> = read.into_iter().filter(|one| one.0 != "empty").collect();
        assert_eq!(without_empty, expect);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        let deep = format!("{}x", "- ".repeat(MAX_DEPTH + 1));
        for (text, expect) in [
            ("a: b\nc: [\n", "line 3"),
            ("a: &x 1\nb: *x\n", "line 2: write the value"),
            (deep.as_str(), "nests deeper"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a:{}&*!|>'\"#%@` \\[\\],?\\t\\n]{0,60}") {
            let _ = read(&text);
        }
    }
}
