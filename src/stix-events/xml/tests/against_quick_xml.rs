//! Whatever a document holds, and in whatever pieces it comes: what is found in it is what quick-xml's
//! own reader finds.

use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::*;

const PIECES: &[&str] = &[
    "<a>",
    "</a>",
    "<b:c>",
    "</b:c>",
    "</a >",
    "<d/>",
    "<e f='1>2' g=\"'\"/>",
    "<h i=\"/\">",
    "</h>",
    "<a'>",
    "<a\" \">",
    "<a\">\">",
    "<h>x</h>",
    "<a>\n    <h>1</h>\n    <h>2</h>\n</a>",
    "<a><longer:name.that-has_more.than.thirty-two.bytes>1</longer:name.that-has_more.than.thirty-two.bytes></a>",
    "\n                                                <h>3</h>\n                                                ",
    "text",
    " ",
    "é",
    "\r\n",
    "\r",
    "\n",
    "&amp;",
    "&#65;",
    "&#x42;",
    "&nbsp;",
    "<![CDATA[x<y>&amp;]]>",
    "<![CDATA[]]>",
    "]]",
    "]]>",
    "<![CDATA[",
    "<!-- - -- -->",
    "<!---->",
    "<!--",
    "-->",
    "<?pi?>",
    "<?xml version='1.0'?>",
    "<?",
    "?>",
    "<!DOCTYPE a>",
    "<!",
    "\u{feff}",
    "<",
    ">",
    "/>",
    "'",
    "\"",
    "&",
    ";",
    "=",
];

const LIMITS: XmlLimits = XmlLimits {
    max_bytes: 1 << 20,
    max_depth: HIGHEST_DEPTH,
    max_text_bytes: 1 << 20,
};

/// Starts, texts that stand together as one, and ends; at last how it ended.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    tokens: Vec<String>,
    is_whole: bool,
}

impl Seen {
    fn text(&mut self, text: &str) {
        match self.tokens.last_mut() {
            _ if text.is_empty() => {}
            Some(last) if last.starts_with('"') => last.push_str(text),
            _ => self.tokens.push(format!("\"{text}")),
        }
    }

    /// Without white space, of which only what stands between elements is passed over.
    fn without_space(mut self) -> Self {
        for token in &mut self.tokens {
            token.retain(|character| !character.is_ascii_whitespace());
        }
        self.tokens.retain(|token| token != "\"");
        self
    }
}

fn ours(document: &str, piece_bytes: usize, is_behind_space: bool) -> Seen {
    let mut input = Pieces(document.as_bytes(), piece_bytes);
    let mut xml = Xml::new(&mut input, LIMITS);
    let mut seen = Seen::default();
    loop {
        let token = if is_behind_space {
            xml.next_behind_space()
        } else {
            xml.next()
        };
        match token {
            Ok(Token::Start(tag)) => seen.tokens.push(format!("<{}", tag.local())),
            Ok(Token::Text(text)) => seen.text(&text),
            Ok(Token::End) => seen.tokens.push(">".to_owned()),
            Ok(Token::Eof) => {
                seen.is_whole = true;
                return seen;
            }
            Err(_) => return seen,
        }
    }
}

fn theirs(document: &str) -> Seen {
    let mut reader = Reader::from_str(document);
    let mut seen = Seen::default();
    let mut depth = 0;
    loop {
        let Ok(event) = reader.read_event() else {
            return seen;
        };
        match event {
            Event::Start(tag) => {
                depth += 1;
                // We want a name.
                if tag.name().into_inner().is_empty() {
                    return seen;
                }
                seen.tokens
                    .push(format!("<{}", tag.local_name().into_inner()));
            }
            Event::Empty(tag) => {
                if tag.name().into_inner().is_empty() {
                    return seen;
                }
                seen.tokens
                    .push(format!("<{}", tag.local_name().into_inner()));
                seen.tokens.push(">".to_owned());
            }
            Event::End(_) => {
                depth -= 1;
                seen.tokens.push(">".to_owned());
            }
            Event::Text(text) => seen.text(&normalize(&text.into_inner())),
            Event::CData(text) => seen.text(&normalize(&text.into_inner())),
            Event::GeneralRef(reference) => {
                let name = reference.into_inner().into_owned();
                match quick_xml::escape::unescape(&format!("&{name};")) {
                    Ok(text) => seen.text(&text),
                    Err(_) => return seen,
                }
            }
            Event::DocType(_) => return seen,
            // Here too.
            Event::PI(instruction) if !instruction.starts_with(char::is_alphanumeric) => {
                return seen;
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => {
                seen.is_whole = depth == 0;
                return seen;
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4000))]

    #[test]
    fn the_same_tokens(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..24),
        piece_bytes in 1..40_usize,
    ) {
        let document = pieces.concat();
        let theirs = theirs(&document);
        for piece_bytes in [piece_bytes, document.len().max(1)] {
            let ours = |is_behind_space| ours(&document, piece_bytes, is_behind_space);
            proptest::prop_assert_eq!(&ours(false), &theirs, "{:?}", document);
            let (ours, theirs) = (ours(true).without_space(), theirs.clone().without_space());
            proptest::prop_assert_eq!(ours, theirs, "{:?}", document);
        }
    }
}

const ATTRIBUTES: &[&str] = &[
    "name='a'",
    "name=\"b\"",
    "id=''",
    "x:name='c'",
    "name = 'd'",
    "name='&amp;'",
    "name='e\tf'",
    "name",
    "=",
    "'",
    "\"",
    "name=g",
    "é='h'",
    "name='<'",
    " ",
    "\n",
];

proptest::proptest! {
    /// An attribute is found, or missed, or refused as its own iterator does.
    #[test]
    fn the_same_attribute(
        written in proptest::collection::vec(proptest::sample::select(ATTRIBUTES), 0..5),
        separator in proptest::sample::select(&[" ", "", "  "][..]),
    ) {
        let content = format!("a {}", written.join(separator));
        let mut theirs = quick_xml::events::attributes::Attributes::new(&content, 1);
        let found = theirs.with_checks(false).find(|attribute| {
            attribute.as_ref().map_or(true, |attribute| attribute.key.into_inner() == "name")
        });
        let theirs = found.map(|found| {
            let value = found.map_err(|_| ())?.normalized_value(quick_xml::XmlVersion::Implicit1_0);
            value.map(Cow::into_owned).map_err(|_| ())
        });
        let mut names = OpenNames::default();
        let ours = Tag::new(&content, names.expect(&content).unwrap(), false, 0).attribute("name");
        let ours = ours.map(|value| value.map(Cow::into_owned)).map_err(|_| ()).transpose();
        proptest::prop_assert_eq!(ours, theirs, "{:?}", content);
    }
}

/// Line breaks in XML are LF, however they were written.
fn normalize(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}
