//! A small document as a tree: files that a person names, and what the simulated services are sent. What
//! a service sends is read by `xml`.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

/// How deep the elements of a document may nest.
const MAX_DEPTH: usize = 64;

/// An element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    /// Its local name.
    pub(crate) name: String,
    /// Its namespace, or nothing.
    pub(crate) namespace: String,
    /// Its attributes by their names as written, without the declarations of namespaces.
    pub(crate) attributes: Vec<(String, String)>,
    content: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Element(Element),
    Text(String),
}

/// The text is no document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("not well-formed: {0}")]
    IllFormed(#[from] quick_xml::Error),
    #[error("not well-formed: {0}")]
    Attribute(#[from] quick_xml::events::attributes::AttrError),
    #[error("there is a DOCTYPE")]
    Doctype,
    #[error("the prefix of {name:?} is not bound to a namespace")]
    Prefix { name: String },
    #[error("the entity &{name}; is not known")]
    Entity { name: String },
    #[error("the elements nest deeper than {MAX_DEPTH}")]
    TooDeep,
    #[error("there must be exactly one element at the top, and no text beside it")]
    NotOneRoot,
    #[error("it ends before its elements do")]
    EndsEarly,
}

impl Element {
    /// Reads a document.
    pub(crate) fn read(text: &str) -> Result<Self, ReadError> {
        let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        loop {
            let node = match reader.read_event()? {
                Event::Start(start) => {
                    if open.len() == MAX_DEPTH {
                        return Err(ReadError::TooDeep);
                    }
                    open.push(Self::start(&reader, &start)?);
                    continue;
                }
                Event::Empty(start) => Node::Element(Self::start(&reader, &start)?),
                Event::End(_) => Node::Element(open.pop().ok_or(ReadError::NotOneRoot)?),
                Event::Text(text) => {
                    Node::Text(text.xml_content(XmlVersion::Implicit1_0).into_owned())
                }
                Event::CData(text) => {
                    Node::Text(text.xml_content(XmlVersion::Implicit1_0).into_owned())
                }
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref()? {
                        Some(character) => character,
                        None => predefined(&reference.xml_content(XmlVersion::Implicit1_0))?,
                    };
                    Node::Text(character.to_string())
                }
                Event::DocType(_) => return Err(ReadError::Doctype),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => continue,
                Event::Eof => break,
            };
            match (open.last_mut(), node) {
                (Some(parent), node) => parent.content.push(node),
                (None, Node::Element(element)) if root.is_none() => root = Some(element),
                (None, Node::Text(text)) if text.trim().is_empty() => {}
                (None, _) => return Err(ReadError::NotOneRoot),
            }
        }
        if !open.is_empty() {
            return Err(ReadError::EndsEarly);
        }
        root.ok_or(ReadError::NotOneRoot)
    }

    fn start(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Self, ReadError> {
        let (namespace, name) = reader.resolver().resolve_element(start.name());
        let namespace = match namespace {
            ResolveResult::Bound(Namespace(namespace)) => namespace.to_owned(),
            ResolveResult::Unbound => String::new(),
            ResolveResult::Unknown(_) => {
                return Err(ReadError::Prefix {
                    name: start.name().0.to_owned(),
                });
            }
        };
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute?;
            if attribute.key.as_namespace_binding().is_none() {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
                attributes.push((attribute.key.0.to_owned(), value.into_owned()));
            }
        }
        Ok(Self {
            name: name.as_ref().to_owned(),
            namespace,
            attributes,
            content: Vec::new(),
        })
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The elements directly in it.
    pub(crate) fn elements(&self) -> impl Iterator<Item = &Self> {
        self.content.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// All text directly in it.
    pub(crate) fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            Node::Element(_) => None,
        });
        texts.collect()
    }

    /// The elements of this name anywhere in it, in document order.
    pub(crate) fn descendants(&self, name: &str) -> Vec<&Self> {
        let mut found = Vec::new();
        for child in self.elements() {
            if child.name == name {
                found.push(child);
            }
            found.extend(child.descendants(name));
        }
        found
    }
}

fn predefined(name: &str) -> Result<char, ReadError> {
    Ok(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            return Err(ReadError::Entity {
                name: name.to_owned(),
            });
        }
    })
}

#[cfg(test)]
impl Element {
    /// Reads a document that must be good.
    pub(crate) fn parse(text: &str) -> Self {
        match Self::read(text) {
            Ok(element) => element,
            Err(error) => panic!("{error}: {text}"),
        }
    }

    /// The elements of this name directly in it.
    pub(crate) fn children(&self, name: &str) -> Vec<&Self> {
        self.elements().filter(|child| child.name == name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_namespaces_attributes_and_text() {
        let root = Element::parse(
            "\u{feff}<?xml version='1.0'?><!-- c --><a:r xmlns:a='urn:1' xmlns='urn:2' k='&lt;1'>x&amp;<!-- -->&#65;<b/><![CDATA[<]]></a:r>\n",
        );
        assert_eq!(
            (root.name.as_str(), root.namespace.as_str()),
            ("r", "urn:1")
        );
        assert_eq!(root.attributes, [("k".to_owned(), "<1".to_owned())]);
        assert_eq!(root.text(), "x&A<");
        assert_eq!(root.elements().next().unwrap().namespace, "urn:2");
    }

    #[test]
    fn refuses_what_is_no_document() {
        let deep = "<a>".repeat(MAX_DEPTH + 1) + &"</a>".repeat(MAX_DEPTH + 1);
        for (text, complaint) in [
            ("", "exactly one element"),
            ("text", "exactly one element"),
            ("<a/><b/>", "exactly one element"),
            ("<a>", "before its elements do"),
            ("<a></b>", "not well-formed"),
            ("<a k=1/>", "not well-formed"),
            ("<!DOCTYPE a><a/>", "DOCTYPE"),
            ("<x:a/>", "not bound"),
            ("<a>&nbsp;</a>", "&nbsp;"),
            (deep.as_str(), "deeper"),
        ] {
            let error = Element::read(text).unwrap_err().to_string();
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }
}
