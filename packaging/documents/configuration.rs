//! The configuration file as a man page: its comments are the text, its keys the terms.
//!
//! The file is written for people in a form that is kept (its head says it, a test of the
//! configuration relies on it): prose above the keys that it explains, `#key` a default, `# key` an
//! example, titles between rulers.

use crate::roff::Page;

/// One line of the file.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Blank,
    /// `# ----…`
    Ruler,
    /// `[table]`, `# [[table]]`
    Table(&'a str),
    /// `key = …`, and whether it is set, a default or an example
    Key(&'a str, Standing),
    /// `# text`
    Prose(&'a str),
    /// `#   text`: a list or a table, laid out by hand
    Layout(&'a str),
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Standing {
    Set,
    Default,
    Example,
}

/// Comments and keys that stand together, between blank lines.
#[derive(Default)]
struct Block<'a> {
    comments: Vec<(bool, &'a str)>,
    keys: Vec<(&'a str, Standing)>,
}

/// The page of a whole configuration file.
pub(crate) fn page(file: &str, day: &str) -> String {
    let mut page = Page::new("cta-forwarder.toml", "5", day);
    page.section("name");
    page.prose("cta-forwarder.toml - configuration of cta-forwarder");
    page.section("description");
    let mut lines = file.lines().map(read).skip(1).peekable();
    let mut block = Block::default();
    while let Some(line) = lines.next() {
        match line {
            Line::Ruler => {
                block.leave(&mut page);
                if let Some(Line::Prose(title)) = lines.peek() {
                    page.section(title);
                    lines.next();
                    lines.next();
                }
            }
            Line::Blank => block.leave(&mut page),
            Line::Table(table) => {
                block.leave(&mut page);
                page.subsection(table);
            }
            Line::Prose(text) => block.comment(&mut page, false, text),
            Line::Layout(text) => block.comment(&mut page, true, text),
            Line::Key(key, standing) => block.keys.push((key, standing)),
        }
    }
    block.leave(&mut page);
    page.section("files");
    page.prose("/etc/cta-forwarder/cta-forwarder.toml");
    page.section("see also");
    page.prose("cta-forwarder(1), cta-forwarder-check(1), cta-forwarder-run(8)");
    page.into_text()
}

fn read(line: &str) -> Line<'_> {
    if line.is_empty() || line == "#" {
        return Line::Blank;
    }
    let Some(comment) = line.strip_prefix('#') else {
        return content(line, Standing::Set).unwrap_or(Line::Prose(line));
    };
    let Some(text) = comment.strip_prefix(' ') else {
        return content(comment, Standing::Default).unwrap_or(Line::Prose(comment));
    };
    if text.starts_with("---") {
        Line::Ruler
    } else if let Some(content) = content(text, Standing::Example) {
        content
    } else if text.starts_with(' ') {
        Line::Layout(text)
    } else {
        Line::Prose(text)
    }
}

fn content(text: &str, standing: Standing) -> Option<Line<'_>> {
    if text.starts_with('[') {
        return Some(Line::Table(text));
    }
    let (key, _) = text.split_once(" = ")?;
    let is_key = key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_key.then_some(Line::Key(text, standing))
}

impl<'a> Block<'a> {
    /// A comment below keys is the beginning of the next block.
    fn comment(&mut self, page: &mut Page, layout: bool, text: &'a str) {
        if !self.keys.is_empty() {
            self.leave(page);
        }
        self.comments.push((layout, text));
    }

    fn leave(&mut self, page: &mut Page) {
        let block = std::mem::take(self);
        let terms: Vec<String> = block.keys.iter().map(|key| term(*key)).collect();
        page.tagged(&terms);
        let mut first = !terms.is_empty();
        for run in block.comments.chunk_by(|a, b| a.0 == b.0) {
            let lines: Vec<&str> = run.iter().map(|(_, text)| *text).collect();
            match (run.first(), terms.is_empty()) {
                (Some((true, _)), _) => page.verbatim(&lines),
                (_, true) => page.paragraph(&lines.join(" ")),
                (_, false) if first => page.prose(&lines.join(" ")),
                (_, false) => page.indented(&lines.join(" ")),
            }
            first = false;
        }
    }
}

fn term((key, standing): (&str, Standing)) -> String {
    match standing {
        Standing::Set => key.to_owned(),
        Standing::Default => format!("{key}   (default)"),
        Standing::Example => format!("{key}   (example)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../config/cta-forwarder.toml");

    #[test]
    fn a_line_is_what_the_head_of_the_file_says() {
        for (line, expect) in [
            ("", Line::Blank),
            ("#", Line::Blank),
            ("# ------", Line::Ruler),
            ("[state]", Line::Table("[state]")),
            ("# [[output]]", Line::Table("[[output]]")),
            ("a = 1", Line::Key("a = 1", Standing::Set)),
            ("#a_b = 1", Line::Key("a_b = 1", Standing::Default)),
            ("# a = 1", Line::Key("a = 1", Standing::Example)),
            ("# What a = 1 is", Line::Prose("What a = 1 is")),
            ("#   \"udp\"  x", Line::Layout("  \"udp\"  x")),
        ] {
            assert_eq!(read(line), expect, "{line}");
        }
    }

    #[test]
    fn keys_come_before_what_is_said_of_them() {
        let page = page(
            "# title\n\n# Why,\n# and how.\n#key = 1\nother = 2\n# Next.\n# last = 3\n",
            "2026-01-02",
        );
        let (_, body) = page.split_once("DESCRIPTION\"\n").unwrap();
        assert!(
            body.starts_with(
                ".TP\n\\fBkey = 1   (default)\\fR\n.TQ\n\\fBother = 2\\fR\nWhy, and how.\n\
                 .TP\n\\fBlast = 3   (example)\\fR\nNext.\n"
            ),
            "{body}"
        );
    }

    #[test]
    fn every_key_of_the_file_is_a_term() {
        let page = page(FILE, "2026-01-02");
        let keys = FILE
            .lines()
            .filter(|line| matches!(read(line), Line::Key(..)));
        assert_eq!(page.matches("\n\\fB").count(), keys.count());
    }
}
