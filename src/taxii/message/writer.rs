//! Writes the XML of a message.

use std::borrow::Cow;

use quick_xml::escape::escape;

/// The prefix of every element.
const PREFIX: &str = "taxii";

/// The text without the characters that XML 1.0 cannot hold.
fn allowed(text: &str) -> Cow<'_, str> {
    let is_allowed = |c: char| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    if text.chars().all(is_allowed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(|c| is_allowed(*c)).collect())
}

/// A message that is being written.
pub(super) struct Writer {
    out: String,
    open: Vec<&'static str>,
    /// Whether the last start tag still lacks its end.
    in_tag: bool,
    /// Whether the innermost element has elements inside it.
    has_children: bool,
}

impl Writer {
    /// A message of this name.
    pub(super) fn new(name: &'static str, namespace: &str) -> Self {
        let mut writer = Self {
            out: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(),
            open: Vec::new(),
            in_tag: false,
            has_children: false,
        };
        writer.start(name);
        writer.attribute("xmlns:taxii", namespace);
        writer
    }

    /// An element starts; its attributes come next.
    pub(super) fn start(&mut self, name: &'static str) {
        self.end_tag();
        if !self.open.is_empty() {
            self.new_line(self.open.len());
        }
        for part in ["<", PREFIX, ":", name] {
            self.out.push_str(part);
        }
        self.open.push(name);
        self.in_tag = true;
        self.has_children = false;
    }

    pub(super) fn attribute(&mut self, name: &str, value: &str) {
        let value = allowed(value);
        // A line break as such would be read as a space.
        let value = escape(&*value)
            .replace('\n', "&#10;")
            .replace('\t', "&#9;")
            .replace('\r', "&#13;");
        for part in [" ", name, "=\"", &value, "\""] {
            self.out.push_str(part);
        }
    }

    /// The innermost element ends.
    pub(super) fn end(&mut self) {
        let Some(name) = self.open.pop() else { return };
        if self.in_tag {
            self.out.push_str("/>");
            self.in_tag = false;
        } else {
            if self.has_children {
                self.new_line(self.open.len());
            }
            for part in ["</", PREFIX, ":", name, ">"] {
                self.out.push_str(part);
            }
        }
        self.has_children = true;
    }

    /// An element with nothing but text.
    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        self.start(name);
        self.content(text);
        self.end();
    }

    /// The text of the element that has just started.
    pub(super) fn content(&mut self, text: &str) {
        self.end_tag();
        self.out.push_str(&escape(&*allowed(text)));
    }

    /// An element with XML inside, as it is.
    pub(super) fn xml(&mut self, name: &'static str, xml: &str) {
        self.start(name);
        self.end_tag();
        self.out.push_str(xml);
        self.end();
    }

    /// The whole message.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.end();
        }
        self.out.push('\n');
        self.out
    }

    fn end_tag(&mut self) {
        if std::mem::take(&mut self.in_tag) {
            self.out.push('>');
        }
    }

    fn new_line(&mut self, depth: usize) {
        self.out.push('\n');
        for _ in 0..depth {
            self.out.push_str("  ");
        }
    }
}
