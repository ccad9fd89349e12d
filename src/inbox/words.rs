//! What a sender has written, as it may stand in a log, on a terminal and in an answer. Pure.

/// Of a text of a sender this much is repeated.
const MAX_CHARACTERS: usize = 300;

/// The text cut to what fits a line, with everything in words that is not to be seen or that would turn
/// what follows it around.
pub(super) fn printable(text: &str) -> String {
    let mut words = String::new();
    for c in text.chars().take(MAX_CHARACTERS) {
        if is_plain(c) {
            words.push(c);
        } else {
            words.extend(c.escape_unicode());
        }
    }
    words
}

fn is_plain(c: char) -> bool {
    let turns_or_breaks = matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !c.is_control() && !turns_or_breaks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_on_a_terminal_is_in_words() {
        assert_eq!(printable("böse <a>\"b\""), "böse <a>\"b\"");
        assert_eq!(printable("a\u{1b}[31m\nb\0"), "a\\u{1b}[31m\\u{a}b\\u{0}");
        assert_eq!(printable("a\u{202e}b\u{2028}"), "a\\u{202e}b\\u{2028}");
        assert_eq!(printable(&"x".repeat(1000)).len(), 300);
    }
}
