//! An element that is read in one step says what it says token by token.

use super::*;

const WRITTEN: &[&str] = &[
    "<p n=\"a\">text</p>",
    "<p n=\"a\">text</p>",
    "<p n=\"\"></p>",
    "<p n=\"b>\">é &amp; x</p>",
    "<p n=\"é\">größe</p>",
    "<p n=\"&amp;\">c</p>",
    "<p n=\"a\tb\">c</p>",
    "<p n='d'>e</p>",
    "<p n=\"a\" m=\"b\">c</p>",
    "<p  n=\"a\">c</p>",
    "<p m=\"a\">c</p>",
    "<p n=\"a\"/>",
    "<p n=\"a\">b<![CDATA[c]]></p>",
    "<p n=\"a\">b<c>d</c></p>",
    "<p n=\"a\">b</p >",
    "<p n=\"a\">b</q>",
    "<p n=\"<\">b</p>",
    "<q:p n=\"a\">b</q:p>",
    "<pp n=\"a\">b</pp>",
    "<p>b</p>",
    "<p n=\"0123456789012345678901234567890123456789\">0123456789012345678901234567890123456789</p>",
    "\n        ",
    "\n                         \t ",
    "\r\n",
    " x ",
    "&#32;",
    "<!-- - -->",
];

/// The name and the text of each element, and how it ended.
fn all(document: &str, piece_bytes: usize, limits: XmlLimits, at_once: bool) -> Vec<String> {
    let mut input = Pieces(document.as_bytes(), piece_bytes);
    let mut xml = Xml::new(&mut input, limits);
    let mut found = Vec::new();
    let ended = loop {
        if at_once {
            if let Err(error) = xml.pass_over_space() {
                break error.to_string();
            }
            if let Some((name, text)) = xml.plain_element("p", "n") {
                found.push(format!("{name:?}: {text:?}"));
                continue;
            }
        }
        let name = match xml.next_behind_space() {
            Ok(Token::Start(tag)) if tag.local() == "p" => match tag.owned("n") {
                Ok(name) => name,
                Err(error) => break error.to_string(),
            },
            Ok(Token::Eof) => break format!("at byte {}", xml.bytes_read()),
            Ok(_) => continue,
            Err(error) => break error.to_string(),
        };
        match xml.text() {
            Ok(text) => found.push(format!("{:?}: {text:?}", name.unwrap_or_default())),
            Err(error) => break error.to_string(),
        }
    };
    found.push(format!("{ended}, {} open", xml.depth()));
    found
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4000))]

    #[test]
    fn the_same_elements(
        written in proptest::collection::vec(proptest::sample::select(WRITTEN), 0..24),
        piece_bytes in 1..200_usize,
        max_text_bytes in 1..120_u64,
        max_depth in 1..4_u32,
    ) {
        let document = format!("<a>{}</a>", written.concat());
        let limits = XmlLimits { max_bytes: 1 << 20, max_depth, max_text_bytes };
        let one_by_one = all(&document, piece_bytes, limits, false);
        proptest::prop_assert_eq!(all(&document, piece_bytes, limits, true), one_by_one, "{}", document);
    }
}

#[test]
fn of_one_name_all_but_the_first_are_read_at_once() {
    let document = "<a><x:p n=\"1\">2</x:p><x:p n=\"3\">4</x:p><x:p n=\"5\"></x:p></a>";
    let mut input = document.as_bytes();
    let mut xml = Xml::new(&mut input, LIMITS);
    assert!(matches!(xml.next(), Ok(Token::Start(_))));
    assert_eq!(xml.plain_element("p", "n"), None);
    assert!(matches!(xml.next(), Ok(Token::Start(_))));
    assert_eq!(xml.text().unwrap(), "2");
    assert_eq!(xml.plain_element("q", "n"), None);
    assert_eq!(xml.plain_element("p", "m"), None);
    assert_eq!(xml.plain_element("p", "n"), Some(("3", "4")));
    assert_eq!(xml.plain_element("p", "n"), Some(("5", "")));
    assert_eq!(xml.plain_element("p", "n"), None);
    assert!(matches!(xml.next(), Ok(Token::End)));
}

#[test]
fn white_space_of_any_length() {
    for spaces in 0..40 {
        for end in ["", "<", "\t", "x", "\n<", "é"] {
            let text = format!("{}{end}", " ".repeat(spaces));
            let blank = text.len() - text.trim_ascii_start().len();
            assert_eq!(markup::blank_bytes(text.as_bytes()), blank, "{text:?}");
        }
    }
}
