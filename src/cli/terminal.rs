//! Colours for people, plain text for everything else.

use std::fmt;
use std::io::IsTerminal;

/// Paints, or does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    colours: bool,
}

/// A colour or weight of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Bold,
    Faint,
    Good,
    Doubtful,
    Bad,
}

impl Paint {
    /// For a stream: colours only on a terminal, and not where `$NO_COLOR` is set.
    pub(super) fn of(stream: &impl IsTerminal) -> Self {
        let is_unwanted = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            colours: stream.is_terminal() && !is_unwanted("NO_COLOR") && !is_dumb,
        }
    }

    /// Without colours.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { colours: false }
    }

    /// The text in a style.
    pub(super) fn paint<T: fmt::Display>(self, style: Style, text: T) -> Painted<T> {
        let style = if self.colours { style } else { Style::Plain };
        Painted { style, text }
    }
}

/// A text with its style. A width in the format is the text's own.
pub(super) struct Painted<T> {
    style: Style,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.style {
            Style::Plain => return self.text.fmt(f),
            Style::Bold => "1",
            Style::Faint => "2",
            Style::Good => "32",
            Style::Doubtful => "33",
            Style::Bad => "31",
        };
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

/// A text of somebody else's on one line, without what a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let is_harmless = character == '\t' || !character.is_control() && !turns_text(character);
        if is_harmless {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
    }
    shown
}

/// Whether it breaks a line or changes the direction of what follows.
fn turns_text(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_is_that_of_the_text() {
        let plain = Paint::none().paint(Style::Bad, "x");
        assert_eq!(format!("{plain:>3}|"), "  x|");
        let coloured = Paint { colours: true }.paint(Style::Bad, "x");
        assert_eq!(format!("{coloured:>3}|"), "\x1b[31m  x\x1b[0m|");
    }

    #[test]
    fn a_text_of_somebody_else_moves_no_cursor() {
        let text = "é\tü\x1b[2J\r\n\u{9b}31m\u{7f}";
        let shown = "é\tü\\u{1b}[2J\\r\\n\\u{9b}31m\\u{7f}";
        assert_eq!(printable(text), shown);
    }
}
