//! Writes messages, element after element.

use std::fmt::Write;

use super::version::TaxiiVersion;
use crate::simulator::content::{attribute, escaped};

/// Attributes, with their values as they are meant.
type Attributes<'a> = &'a [(&'a str, &'a str)];

/// Elements that stand side by side.
#[derive(Debug, Default)]
pub(super) struct Xml(String);

impl Xml {
    /// An element that holds text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.text_with(name, &[], text);
    }

    /// The same with attributes.
    pub(super) fn text_with(&mut self, name: &str, attributes: Attributes<'_>, text: &str) {
        self.raw(name, attributes, &escaped(text));
    }

    /// An element that holds elements.
    pub(super) fn nest(
        &mut self,
        name: &str,
        attributes: Attributes<'_>,
        write: impl FnOnce(&mut Self),
    ) {
        let mut children = Self("\n".to_owned());
        write(&mut children);
        self.raw(name, attributes, &children.0);
    }

    /// An element that holds XML.
    pub(super) fn raw(&mut self, name: &str, attributes: Attributes<'_>, xml: &str) {
        self.0.push('<');
        self.0.push_str(name);
        for (key, value) in attributes {
            // Writing to a String cannot fail.
            let _ = write!(self.0, " {key}=\"{}\"", attribute(value));
        }
        let _ = writeln!(self.0, ">{xml}</{name}>");
    }
}

/// A whole message.
pub(super) fn message(
    name: &str,
    version: TaxiiVersion,
    id: u64,
    attributes: Attributes<'_>,
    body: &Xml,
) -> String {
    let id = id.to_string();
    let mut all = vec![("xmlns", version.namespace()), ("message_id", id.as_str())];
    all.extend_from_slice(attributes);
    let mut document = Xml("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned());
    document.raw(name, &all, &format!("\n{}", body.0));
    document.0
}
