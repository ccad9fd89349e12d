//! A YAML file as Spring sees it: properties, each with a path and a text.
//!
//! Values stay the texts that they are in the file: a password of digits is no number.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

/// Deeper than any configuration of an application.
const MAX_DEPTH: usize = 32;
/// Nothing, where it is not quoted.
const NULLS: [&str; 5] = ["", "~", "null", "Null", "NULL"];

/// A document of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) properties: Vec<Property>,
    /// Where it begins, from 1.
    pub(super) line: usize,
}

/// One property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Property {
    /// Its names, outermost first; a place in a list is not a name.
    pub(super) path: Vec<String>,
    /// Empty where the file has nothing, or a null, which is the same to Spring.
    pub(super) value: String,
    /// Where its value stands, from 1.
    pub(super) line: usize,
    /// Whether it is one of a list.
    pub(super) is_item: bool,
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

/// Reads all documents in the file. The two ways to write a name are one: `a.b: c` is `a: { b: c }`.
pub(super) fn read(text: &str) -> Result<Vec<Document>, ReadPropertiesError> {
    let mut documents = Vec::new();
    let mut properties = Vec::new();
    let mut begin = 1;
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
            Event::Scalar(value, style, ..) => match levels.last_mut() {
                Some(Level::Mapping { key: key @ None }) => *key = Some(value.into_owned()),
                level => {
                    let is_null = style == ScalarStyle::Plain && NULLS.contains(&value.as_ref());
                    let in_list = matches!(level, Some(Level::List));
                    let (path, has_index) = path(&levels);
                    properties.push(Property {
                        path,
                        value: if is_null {
                            String::new()
                        } else {
                            value.into_owned()
                        },
                        line,
                        is_item: in_list || has_index,
                    });
                    ended(&mut levels);
                }
            },
            Event::DocumentStart(_) => begin = line,
            Event::DocumentEnd => documents.push(Document {
                properties: std::mem::take(&mut properties),
                line: begin,
            }),
            Event::Alias(_) => return Err(ReadPropertiesError::Alias { line }),
            _ => {}
        }
    }
    Ok(documents)
}

/// A value has ended: in a mapping another key comes next.
fn ended(levels: &mut [Level]) {
    if let Some(Level::Mapping { key }) = levels.last_mut() {
        *key = None;
    }
}

/// The names of what comes next, and whether the last has a place in a list: `feeds[0]`.
fn path(levels: &[Level]) -> (Vec<String>, bool) {
    let keys = levels.iter().filter_map(|level| match level {
        Level::Mapping { key: Some(key) } => Some(key),
        _ => None,
    });
    let mut path: Vec<String> = keys
        .flat_map(|key| key.split('.').map(str::to_owned))
        .collect();
    let indexed = path.last_mut().and_then(|last| {
        let (name, index) = last.strip_suffix(']')?.split_once('[')?;
        let is_index = !index.is_empty() && index.chars().all(|c| c.is_ascii_digit());
        let name = is_index.then(|| name.to_owned())?;
        *last = name;
        Some(())
    });
    (path, indexed.is_some())
}

impl Property {
    /// Its name, as it stands in the file.
    pub(super) fn name(&self) -> String {
        self.path.join(".")
    }

    /// Its name as Spring compares it.
    pub(super) fn canonical(&self) -> String {
        canonical(&self.name())
    }
}

/// A name as Spring compares it: neither case nor dashes matter.
pub(super) fn canonical(name: &str) -> String {
    name.replace(['-', '_'], "").to_ascii_lowercase()
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
nothing: [~, null, Null, NULL]
texts: ['~', \"null\", nullable]
feeds[1]: three
nested: { a: [ { b: c } ] }
";
        let documents = read(text).unwrap();
        let read: Vec<_> = documents
            .into_iter()
            .flat_map(|document| document.properties)
            .map(|one| (one.name(), one.value, one.line, one.is_item))
            .collect();
        let expect = [
            ("taxii-service.pollEndpoint", "https://x/y", 3, false),
            ("taxii-service.password", "0123", 4, false),
            ("taxii-service.feeds", "one", 6, true),
            ("taxii-service.feeds", "two: #2", 7, true),
            ("logging.config", "a b", 8, false),
            ("empty", "", 9, false),
            ("nothing", "", 10, true),
            ("nothing", "", 10, true),
            ("nothing", "", 10, true),
            ("nothing", "", 10, true),
            ("texts", "~", 11, true),
            ("texts", "null", 11, true),
            ("texts", "nullable", 11, true),
            ("feeds", "three", 12, true),
            ("nested.a.b", "c", 13, false),
        ];
        let expect = expect
            .map(|(name, value, line, is_item)| (name.to_owned(), value.to_owned(), line, is_item));
        assert_eq!(read, expect);
    }

    #[test]
    fn documents_are_told_apart() {
        let read = read("a: 1\n---\n# two\nb: 2\n---\n").unwrap();
        let found: Vec<_> = read
            .iter()
            .map(|document| (document.line, document.properties.len()))
            .collect();
        assert_eq!(found[0], (1, 1));
        assert_eq!(found[1], (2, 1));
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
