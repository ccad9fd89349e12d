//! The properties of standard CybOX objects: element by element, whatever they are called.

use std::borrow::Cow;

use super::observable::Frame;
use super::{PackageReader, Result, fold};
use crate::stix::objects;
use crate::xml::{Tag, Token};

/// What stands between the members of a list.
const DELIMITER: &str = "##comma##";
/// The condition that a value means if it states none, more or less.
const EQUALS: &str = "Equals";
/// Attributes that say how a value is written, not what it is.
const OF_NO_MEANING: [&str; 7] = [
    "condition",
    "datatype",
    "delimiter",
    "id",
    "vocab_name",
    "vocab_reference",
    "xmlns",
];
const HASH: &str = "Hashes.Hash";

/// An element that has started.
struct Started {
    path_bytes: usize,
    text_bytes: usize,
    writing: Writing,
}

/// How an element's value is written.
#[derive(Default)]
struct Writing {
    condition: Option<String>,
    delimiter: Option<String>,
}

/// A value of a hash.
struct HashValue {
    element: &'static str,
    text: String,
    writing: Writing,
}

impl PackageReader<'_, '_> {
    /// Reads the Properties that have just started.
    pub(super) fn standard_properties(&mut self) -> Result<()> {
        self.frame.path.clear();
        self.frame.text.clear();
        self.check_properties()?;
        self.element_children()
    }

    fn element_children(&mut self) -> Result<()> {
        loop {
            match self.xml.next()? {
                Token::Start(tag) if tag.local() == "Custom_Properties" => {
                    self.custom_properties()?;
                }
                Token::Start(tag) => {
                    let started = self.frame.start(&tag)?;
                    self.object_element(&started)?;
                }
                Token::Text(text) => {
                    self.frame.text.push_str(&text);
                    self.check_properties()?;
                }
                Token::End | Token::Eof => return Ok(()),
            }
        }
    }

    fn object_element(&mut self, started: &Started) -> Result<()> {
        self.check_properties()?;
        if self.frame.path == HASH {
            self.hash()?;
        } else {
            self.element_children()?;
        }
        self.frame.end(started);
        self.check_properties()
    }

    /// A hash is named by its type, which may stand behind its value.
    fn hash(&mut self) -> Result<()> {
        let mut hash_type = String::new();
        let mut values = Vec::new();
        loop {
            match self.xml.next()? {
                Token::Start(tag) => {
                    let element = match tag.local() {
                        "Type" => {
                            hash_type = fold(&self.xml.text()?);
                            continue;
                        }
                        "Simple_Hash_Value" => "Simple_Hash_Value",
                        "Fuzzy_Hash_Value" => "Fuzzy_Hash_Value",
                        _ => {
                            let started = self.frame.start(&tag)?;
                            self.object_element(&started)?;
                            continue;
                        }
                    };
                    let writing = Writing::of(&tag)?;
                    let text = self.xml.text()?;
                    self.keep(text.len())?;
                    values.push(HashValue {
                        element,
                        text,
                        writing,
                    });
                }
                Token::Text(text) => self.within.text(&text, self.visitor),
                Token::End | Token::Eof => break,
            }
        }
        for value in values {
            self.frame.push_hash(&hash_type, &value);
            self.check_properties()?;
        }
        Ok(())
    }
}

impl Frame {
    /// The attributes of the element that the path names.
    pub(super) fn push_attributes(&mut self, tag: &Tag<'_>) -> Result<()> {
        for attribute in tag.attributes() {
            let attribute = attribute?;
            let name = attribute.local;
            let says_nothing = attribute.value.trim().is_empty()
                || !attribute.prefix.is_empty()
                || OF_NO_MEANING.contains(&name)
                || (name == "apply_condition" && attribute.value == "ANY");
            if says_nothing {
                continue;
            }
            let path_bytes = self.path.len();
            self.path.push_str(if path_bytes == 0 { "@" } else { ".@" });
            self.path.push_str(name);
            let field = objects::field(&self.kind, &self.path);
            self.properties.push(field, &attribute.value);
            self.path.truncate(path_bytes);
        }
        Ok(())
    }

    fn start(&mut self, tag: &Tag<'_>) -> Result<Started> {
        let path_bytes = self.path.len();
        if path_bytes > 0 {
            self.path.push('.');
        }
        self.path.push_str(tag.local());
        self.push_attributes(tag)?;
        Ok(Started {
            path_bytes,
            text_bytes: self.text.len(),
            writing: Writing::of(tag)?,
        })
    }

    fn end(&mut self, started: &Started) {
        let text = self.text.get(started.text_bytes..).unwrap_or_default();
        let field = objects::field(&self.kind, &self.path);
        let properties = &mut self.properties;
        started.writing.push(text, self.max_members, |more, value| {
            properties.push_joined(&[field, more], value);
        });
        self.text.truncate(started.text_bytes);
        self.path.truncate(started.path_bytes);
    }

    fn push_hash(&mut self, hash_type: &str, value: &HashValue) {
        let fuzzy = value.element == "Fuzzy_Hash_Value" && hash_type.is_empty();
        let first = value.writing.members(&value.text).next();
        let name = match objects::hash(hash_type, first.unwrap_or_default()) {
            None if fuzzy => Some("ssdeep"),
            name => name,
        };
        let properties = &mut self.properties;
        let name = match name {
            Some(name) => [name, "", ""],
            None => [HASH, ".", value.element],
        };
        if name.first() == Some(&HASH) && !hash_type.is_empty() {
            properties.push_joined(&[HASH, ".Type"], hash_type);
        }
        let [name, dot, element] = name;
        let writing = &value.writing;
        writing.push(&value.text, self.max_members, |more, value| {
            properties.push_joined(&[name, dot, element, more], value);
        });
    }
}

impl Writing {
    fn of(tag: &Tag<'_>) -> Result<Self> {
        let mut writing = Self::default();
        for attribute in tag.attributes() {
            let attribute = attribute?;
            let value = match (attribute.prefix, attribute.local) {
                ("", "condition") if attribute.value != EQUALS => &mut writing.condition,
                ("", "delimiter") if attribute.value != DELIMITER => &mut writing.delimiter,
                _ => continue,
            };
            *value = Some(Cow::into_owned(attribute.value)).filter(|value| !value.is_empty());
        }
        Ok(writing)
    }

    fn members<'t>(&'t self, text: &'t str) -> impl Iterator<Item = &'t str> {
        text.split(self.delimiter.as_deref().unwrap_or(DELIMITER))
    }

    /// Gives the members of a value, and its condition under a name of its own.
    fn push(&self, text: &str, max_members: usize, mut put: impl FnMut(&str, &str)) {
        if !text.trim().is_empty() {
            for member in self.members(text).take(max_members) {
                put("", member);
            }
        }
        if let Some(condition) = &self.condition {
            put("Condition", condition);
        }
    }
}
