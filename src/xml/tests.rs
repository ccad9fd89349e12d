use super::*;
use crate::tape::MemoryScratch;

const LIMITS: XmlLimits = XmlLimits {
    max_bytes: 1 << 20,
    max_depth: 5,
    max_text_bytes: 100,
};

/// The document's tokens in short: `<name` `text` `>`.
fn tokens(document: &str) -> Result<String, XmlError> {
    let mut input = document.as_bytes();
    let mut xml = Xml::new(&mut input, LIMITS);
    let mut seen = String::new();
    loop {
        match xml.next()? {
            Token::Start(tag) => seen.push_str(&format!("<{}", tag.local())),
            Token::Text(text) => seen.push_str(&text),
            Token::End => seen.push('>'),
            Token::Eof => return Ok(seen),
        }
    }
}

fn check(document: &str, expect: &str) {
    let got = tokens(document).unwrap_or_else(|error| format!("error: {error}"));
    assert_eq!(got, expect, "of {document}");
}

#[test]
fn local_names_whatever_the_prefix() {
    check(r#"<a:b xmlns:a="u"><c xmlns="v"/></a:b>"#, "<b<c>>");
}

#[test]
fn text_is_one_whatever_it_is_made_of() {
    check(
        "<a>x&amp;<!-- no -->y<![CDATA[<z>&amp;]]>&#65;&#x42;\r\n<?pi?>e</a>",
        "<ax&y<z>&amp;AB\ne>",
    );
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    check("\u{feff}<?xml version=\"1.0\"?><a/>", "<a>");
}

#[test]
fn bad_documents() {
    check(
        "<a><b></a>",
        "error: not well-formed XML at byte 6: ill-formed document: expected `</b>`, but `</a>` was found",
    );
    check(
        "<a><b>",
        "error: the document ends at byte 6, inside an element: it is cut off",
    );
    check(
        "<a><b",
        "error: the document ends at byte 3, inside an element: it is cut off",
    );
    check("<!DOCTYPE a><a/>", "error: a DOCTYPE is not allowed");
    check(
        "<a>&nbsp;</a>",
        "error: not well-formed XML at byte 3: the entity &nbsp; is not defined",
    );
    check(
        r#"<?xml version="1.0" encoding="UTF-16"?><a/>"#,
        "error: the encoding \"UTF-16\" is not supported, only UTF-8 is",
    );
}

#[test]
fn invalid_utf8_is_an_error() {
    let mut input: &[u8] = b"<a>\xff</a>";
    let mut xml = Xml::new(&mut input, LIMITS);
    assert!(matches!(xml.next(), Ok(Token::Start(_))));
    assert!(matches!(xml.next(), Err(XmlError::Malformed { .. })));
}

#[test]
fn a_limit_is_passed_over_where_it_can_be() {
    let long = "x".repeat(101);
    let document = format!("<a><b>{long}</b><c><d><e><f><g/></f></e></d></c><h/></a>");
    let mut input = document.as_bytes();
    let mut xml = Xml::new(&mut input, LIMITS);
    let mut seen = Vec::new();
    loop {
        match xml.next() {
            Ok(Token::Start(tag)) => seen.push(tag.local().to_owned()),
            Ok(Token::Eof) => break,
            Ok(_) => {}
            Err(error) => {
                assert!(error.is_recoverable(), "{error}");
                seen.push(format!("({error})"));
                let depth = xml.depth();
                xml.skip_to_depth(depth - 1).unwrap();
            }
        }
    }
    assert_eq!(
        seen,
        [
            "a",
            "b",
            "(a text, tag or comment is longer than 100 bytes)",
            "c",
            "d",
            "e",
            "f",
            "(elements are nested more than 5 deep)",
            "h"
        ]
    );
}

#[test]
fn what_is_far_beyond_a_limit_ends_the_document() {
    let long = "x".repeat(401);
    let error = tokens(&format!("<a>{long}</a>")).unwrap_err();
    assert!(
        matches!(
            error,
            XmlError::TooLong {
                recoverable: false,
                ..
            }
        ),
        "{error}"
    );
    let deep = "<a>".repeat(20);
    let mut input = deep.as_bytes();
    let mut xml = Xml::new(&mut input, LIMITS);
    let error = xml.skip_to_depth(0);
    assert!(error.is_ok(), "nothing is open yet");
    let error = loop {
        match xml.next() {
            Err(error) if !error.is_recoverable() => break error,
            _ => {}
        }
    };
    assert!(matches!(error, XmlError::TooDeep { .. }), "{error}");
}

#[test]
fn the_document_limit() {
    let document = format!("<a>{}</a>", "<b/>".repeat(300_000));
    let mut input = document.as_bytes();
    let mut xml = Xml::new(&mut input, LIMITS);
    xml.next().unwrap();
    let error = xml.skip().unwrap_err();
    assert!(
        matches!(error, XmlError::TooLarge { limit: 1_048_576 }),
        "{error}"
    );
}

/// What a nested document in `content` decodes to; `None` if there is none.
fn nested(content: &str) -> Option<String> {
    let document = format!("<a>{content}</a><!-- end -->");
    let mut input = OneByteAtATime(document.as_bytes());
    let mut xml = Xml::new(&mut input, LIMITS);
    xml.next().unwrap();
    let text = xml.nested_text().unwrap().map(|mut nested| {
        let mut text = String::new();
        nested.read_to_string(&mut text).unwrap();
        text
    });
    xml.skip().unwrap();
    assert!(matches!(xml.next(), Ok(Token::Text(_))));
    assert!(matches!(xml.next(), Ok(Token::Eof)));
    text
}

struct OneByteAtATime<'a>(&'a [u8]);

impl Read for OneByteAtATime<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = out.len().min(1);
        self.0.read(&mut out[..length])
    }
}

#[test]
fn nested_documents() {
    let long = "y".repeat(300);
    for (content, expect) in [
        ("", None),
        (" \n ", None),
        ("<b/>", None),
        (" <!-- x --> <?p i?> <b>text</b>", None),
        ("&lt;b/&gt;", Some("<b/>")),
        ("<![CDATA[<b>]]</b>]]>", Some("<b>]]</b>")),
        (
            " <!-- c -->&lt;b<![CDATA[>]]]]><!-- --><![CDATA[>&amp;]]>&#x41;&amp;lt;",
            Some("<b>]]>&amp;A&lt;"),
        ),
        (&format!("<![CDATA[{long}]]>"), Some(long.as_str())),
    ] {
        let expect = expect.map(str::to_owned);
        // White space and comments before the text are passed over.
        assert_eq!(nested(content), expect, "of {content}");
    }
}

#[test]
fn a_recording_holds_the_bytes_as_they_were() {
    let document = "<a><b>1</b><c x='2'>&amp;</c><d/></a>";
    let mut tape = Tape::new(std::sync::Arc::new(MemoryScratch::default()), 4, 1000);
    let mut input = document.as_bytes();
    let mut xml = Xml::new(&mut input, LIMITS).with_recording(&mut tape);
    xml.next().unwrap();
    xml.next().unwrap();
    xml.skip().unwrap();
    xml.start_recording(b"<b/>").unwrap();
    xml.next().unwrap();
    xml.skip().unwrap();
    let tape = xml.stop_recording().unwrap();
    let mut recorded = String::new();
    tape.rewind()
        .unwrap()
        .read_to_string(&mut recorded)
        .unwrap();
    assert_eq!(recorded, "<b/><c x='2'>&amp;</c>");
    xml.skip_to_depth(0).unwrap();
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let mut input = bytes.as_slice();
        let mut xml = Xml::new(&mut input, LIMITS);
        for _ in 0..1000 {
            match xml.next() {
                Ok(Token::Eof) => break,
                Ok(_) => {}
                Err(error) if error.is_recoverable() => {}
                Err(_) => break,
            }
        }
    }
}
