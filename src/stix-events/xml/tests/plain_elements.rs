//! An element that is read in one step says what it says token by token.

use super::*;

const WRITTEN: &[&str] = &[
    "<p n=\"a\">text</p>",
    "<p n=\"a\">text</p>",
    "<p n=\"\"></p>",
    "<p n=\"b>\">é &amp; x</p>",
    "<p n=\"é\">größe</p>",
    "<p n=\"a\">&lt;&#x42;&#13;c&gt;</p>",
    "<p n=\"a\">x&amp;</p>",
    "<p n=\"a\">x&other;</p>",
    "<p n=\"a\">x & y</p>",
    "<p n=\"a\">&#0;</p>",
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
            if let Some(element) = xml.plain_element("p", "n") {
                let mut text = String::new();
                element.text_pieces(|piece| text.push_str(piece));
                assert!(element.text().is_none_or(|plain| plain == text));
                found.push(format!("{:?}: {text:?}", element.attribute));
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

/// What an element that is read in one step says.
fn read_at_once(xml: &mut Xml<'_>, local: &str, attribute: &str) -> Option<(String, String)> {
    let element = xml.plain_element(local, attribute)?;
    let mut text = String::new();
    element.text_pieces(|piece| text.push_str(piece));
    Some((element.attribute.to_owned(), text))
}

#[test]
fn of_one_name_all_but_the_first_are_read_at_once() {
    let document = "<r>\
        <a><x:p n=\"1\">2</x:p><x:p n=\"3\">4</x:p><x:p n=\"5\">&lt;6</x:p></a>\
        <b><x:p n=\"7\"></x:p></b>\
        </r>";
    let mut input = document.as_bytes();
    let mut xml = Xml::new(&mut input, LIMITS);
    let pair = |name: &str, text: &str| Some((name.to_owned(), text.to_owned()));
    for _ in ["r", "a"] {
        assert!(matches!(xml.next(), Ok(Token::Start(_))));
    }
    assert_eq!(read_at_once(&mut xml, "p", "n"), None);
    assert!(matches!(xml.next(), Ok(Token::Start(_))));
    assert_eq!(xml.text().unwrap(), "2");
    assert_eq!(read_at_once(&mut xml, "q", "n"), None);
    assert_eq!(read_at_once(&mut xml, "p", "m"), None);
    assert_eq!(read_at_once(&mut xml, "p", "n"), pair("3", "4"));
    assert_eq!(read_at_once(&mut xml, "p", "n"), pair("5", "<6"));
    assert_eq!(read_at_once(&mut xml, "p", "n"), None);
    assert!(matches!(xml.next(), Ok(Token::End)));
    // Where it stands as those before it, in another element.
    assert!(matches!(xml.next(), Ok(Token::Start(_))));
    assert_eq!(read_at_once(&mut xml, "p", "n"), pair("7", ""));
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
