//! HTML in which whatever comes from outside is text. Pure.

use std::fmt::{Display, Write as _};

/// HTML that is being written.
#[derive(Debug, Default)]
pub(super) struct Html {
    text: String,
}

impl Html {
    /// Appends markup of ours; each `{}` in it is filled with a value as text. It may stand between
    /// tags and in quoted attributes.
    pub(super) fn put(&mut self, markup: &'static str, values: &[&dyn Display]) {
        let mut values = values.iter();
        let mut parts = markup.split("{}");
        self.text.extend(parts.next());
        for part in parts {
            if let Some(value) = values.next() {
                self.escape(&value.to_string());
            }
            self.text.push_str(part);
        }
        debug_assert!(
            values.next().is_none(),
            "no place for a value in {markup:?}"
        );
    }

    /// The whole.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn escape(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&#39;"),
                // What cannot stand in HTML, or turns the text around it the other way.
                strange if is_strange(strange) => {
                    let _ = write!(self.text, "\\u{{{:x}}}", u32::from(strange));
                }
                character => self.text.push(character),
            }
        }
    }
}

fn is_strange(character: char) -> bool {
    let turns = ['\u{200e}', '\u{200f}', '\u{61c}'].contains(&character)
        || ('\u{202a}'..='\u{202e}').contains(&character)
        || ('\u{2066}'..='\u{2069}').contains(&character);
    turns || (character.is_control() && !['\n', '\t'].contains(&character))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_text() {
        let mut html = Html::default();
        html.put("<p title=\"{}\">{}</p>", &[&"a\"b'c", &"<i>&\u{202e}\u{7}"]);
        let expect = "<p title=\"a&quot;b&#39;c\">&lt;i&gt;&amp;\\u{202e}\\u{7}</p>";
        assert_eq!(html.finish(), expect);
    }

    proptest! {
        #[test]
        fn no_value_makes_or_ends_a_tag(value in any::<String>()) {
            let mut html = Html::default();
            html.put("{}", &[&value]);
            let text = html.finish();
            prop_assert!(!text.contains(['<', '>', '"', '\'']), "{text}");
            let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
            for (at, _) in text.match_indices('&') {
                prop_assert!(known.iter().any(|name| text[at..].starts_with(name)), "{text}");
            }
        }
    }
}
