//! The little of roff that man pages need.

use std::fmt::Write as _;

/// A man page as it grows.
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// Begins with what stands at the top and at the bottom of each sheet. `day` is that of the
    /// sources.
    pub(crate) fn new(title: &str, section: &str, day: &str) -> Self {
        let mut page = Self {
            text: String::new(),
        };
        let version = env!("CARGO_PKG_VERSION");
        page.line(&format!(
            ".TH {} {section} {day} \"cta-forwarder {version}\" \"cta-forwarder\"",
            title.to_uppercase()
        ));
        // Keys and commands are to be found and copied as they stand.
        page.line(".nh");
        page.line(".ad l");
        page
    }

    /// A page that somebody else began.
    pub(crate) fn going_on(text: String) -> Self {
        Self { text }
    }

    pub(crate) fn section(&mut self, title: &str) {
        self.line(&format!(".SH \"{}\"", escaped(&title.to_uppercase())));
    }

    pub(crate) fn subsection(&mut self, title: &str) {
        self.line(&format!(".SS \"{}\"", escaped(title)));
    }

    pub(crate) fn paragraph(&mut self, text: &str) {
        let below_heading = self
            .text
            .lines()
            .last()
            .is_some_and(|line| line.starts_with(".SH") || line.starts_with(".SS"));
        if !below_heading {
            self.line(".PP");
        }
        self.prose(text);
    }

    /// Terms, each on a line of its own, and what they mean.
    pub(crate) fn tagged(&mut self, terms: &[String]) {
        for (index, term) in terms.iter().enumerate() {
            self.line(if index == 0 { ".TP" } else { ".TQ" });
            self.line(&format!("\\fB{}\\fR", escaped(term)));
        }
    }

    /// Text that is filled; an empty line begins a new paragraph at the same indentation.
    pub(crate) fn prose(&mut self, text: &str) {
        self.line(&guarded(text));
    }

    /// A paragraph below a term that already has one.
    pub(crate) fn indented(&mut self, text: &str) {
        self.line(".IP");
        self.prose(text);
    }

    /// Lines that stay as they are, indented.
    pub(crate) fn verbatim(&mut self, lines: &[&str]) {
        self.line(".IP");
        self.line(".nf");
        for line in lines {
            self.line(&guarded(line));
        }
        self.line(".fi");
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn line(&mut self, line: &str) {
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// Text in which nothing is a command of roff: a dash stays a dash that can be copied.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('"', "\\(dq")
        .replace('`', "\\(ga")
        .replace('\'', "\\(aq")
}

/// As [`escaped`], for what may stand at the beginning of a line.
fn guarded(text: &str) -> String {
    let text = escaped(text);
    if text.starts_with('.') {
        format!("\\&{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_a_command() {
        let mut page = Page::going_on(String::new());
        page.prose(".TH of `--config` is \"it's\" \\n");
        assert_eq!(
            page.into_text(),
            "\\&.TH of \\(ga\\-\\-config\\(ga is \\(dqit\\(aqs\\(dq \\en\n"
        );
    }
}
