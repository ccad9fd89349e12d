mod against_quick_xml;
mod plain_elements;
mod recordings;

use std::io;

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
            Token::Start(tag) => {
                seen.push('<');
                seen.push_str(tag.local());
            }
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

/// A tag is cut as it is written, whatever stood there before.
#[test]
fn a_quote_in_a_name_goes_on_behind_a_bracket() {
    let first = r#"<a" "></a">"#;
    let second = r#"<a"><b c=""/></a">"#;
    for document in [
        format!("<r>{second}</r>"),
        format!("<r>{first}{second}</r>"),
    ] {
        let mut input = document.as_bytes();
        let mut xml = Xml::new(&mut input, LIMITS);
        let error = loop {
            if let Err(error) = xml.next() {
                break error.to_string();
            }
        };
        assert!(
            error.contains("but `</r>` was found"),
            "{document}: {error}"
        );
    }
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
        "error: not well-formed XML at byte 6: expected `</b>`, but `</a>` was found",
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
    let error = xml.next().unwrap_err();
    assert!(matches!(error, XmlError::Malformed { .. }), "{error}");
}

#[test]
fn an_encoding_is_that_of_bytes_and_not_of_text() {
    let declared = r#"<?xml version="1.0" encoding="utf-16"?><b/>"#;
    let document = format!("<a><![CDATA[{declared}]]></a>");
    let mut input = document.as_bytes();
    let mut xml = Xml::new(&mut input, LIMITS);
    xml.next().unwrap();
    let mut text = xml.nested_text().unwrap().unwrap();
    let mut nested = Xml::of_nested(&mut text, LIMITS);
    nested.next().unwrap();
    assert!(matches!(nested.next(), Ok(Token::Start(_))));
}

#[test]
fn a_recording_that_cannot_be_kept_is_told_apart() {
    let mut tape = Tape::new(std::sync::Arc::new(MemoryScratch::default()), 4, 10);
    let mut input: &[u8] = b"<a>01234567890123456789</a>";
    let mut xml = Xml::new(&mut input, LIMITS).with_recording(&mut tape);
    xml.next().unwrap();
    xml.start_recording(b"").unwrap();
    xml.skip().unwrap();
    let error = xml.stop_recording().unwrap_err();
    assert!(matches!(error, XmlError::Record(_)), "{error}");

    // Nor what no longer fits into the buffer.
    let document = format!("<a>{}</a>", "<b/>".repeat(BUFFER_BYTES));
    let mut tape = Tape::new(std::sync::Arc::new(MemoryScratch::default()), 4, 10);
    let mut input = document.as_bytes();
    let mut xml = Xml::new(&mut input, LIMITS).with_recording(&mut tape);
    xml.next().unwrap();
    xml.start_recording(b"").unwrap();
    let error = xml.skip().unwrap_err();
    assert!(matches!(error, XmlError::Record(_)), "{error}");
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
            "(a text or tag is longer than 100 bytes)",
            "c",
            "d",
            "e",
            "f",
            "(elements are nested more than 5 deep)",
            "h"
        ]
    );
}

/// Whatever a text, comment or CDATA section is cut inside of, the reader finds its end.
#[test]
fn what_is_far_beyond_a_limit_is_cut() {
    // Around 400 bytes, four times the limit, and around the size of the source's buffer.
    for length in (380..420).chain(65_500..65_560) {
        for (event, expect) in [
            ("x".repeat(length), "a b (too long) c"),
            ("é".repeat(length / 2), "a b (too long) c"),
            ("x".repeat(length) + "&amp;y", "a b (too long) c"),
            (
                format!("<![CDATA[{}]]>", "x".repeat(length)),
                "a b (too long) c",
            ),
            (
                format!("<![CDATA[{}]]>", "]".repeat(length)),
                "a b (too long) c",
            ),
            (
                format!("<![CDATA[{}]]>", "]>".repeat(length / 2)),
                "a b (too long) c",
            ),
            (format!("<!--{}-->", "x".repeat(length)), "a b c"),
            (format!("<!--{}-->", "- ->".repeat(length / 4)), "a b c"),
        ] {
            let document = format!("<a><b>{event}</b><c/></a>");
            let seen = starts(&mut document.as_bytes());
            assert_eq!(seen, expect, "{length} bytes of {}", &event[..20]);
            if length < 500 {
                let seen = starts(&mut Pieces(document.as_bytes(), 1));
                assert_eq!(
                    seen,
                    expect,
                    "{length} bytes of {}, byte by byte",
                    &event[..20]
                );
            }
        }
    }
}

#[test]
fn what_cannot_be_cut_ends_the_document() {
    let check = |document: String, expect: &str| {
        assert_eq!(
            starts(&mut document.as_bytes()),
            expect,
            "{}",
            &document[..20]
        );
    };
    let long = "x".repeat(500);
    check(
        format!("<a><b c='{long}'/><d/></a>"),
        "a (given up: too long)",
    );
    check(format!("<a><?b {long}?></a>"), "a (given up: too long)");
    // The names of all open elements are kept.
    let limits = XmlLimits {
        max_text_bytes: 1 << 20,
        ..LIMITS
    };
    let name = "n".repeat(MAX_NAME_BYTES + 1);
    let mut document = name_document(&name).into_bytes();
    let mut input = document.as_slice();
    let mut xml = Xml::new(&mut input, limits);
    assert!(matches!(
        xml.next(),
        Err(XmlError::TooLong {
            recoverable: false,
            ..
        })
    ));
    document = name_document(&name[1..]).into_bytes();
    let mut input = document.as_slice();
    assert!(Xml::new(&mut input, limits).next().is_ok());
}

/// Also the names of those that are too deep to be read are kept until they end.
#[test]
fn names_are_bounded_at_every_depth() {
    let long = "n".repeat(MAX_NAME_BYTES + 1);
    let limits = XmlLimits {
        max_text_bytes: 1 << 20,
        ..LIMITS
    };
    for depth in [1, 4, 5, 6, 500] {
        let document = "<a>".repeat(depth) + &name_document(&long);
        let mut input = document.as_bytes();
        let mut xml = Xml::new(&mut input, limits);
        xml.next().unwrap();
        let error = xml.skip_to_depth(0).unwrap_err();
        assert!(
            matches!(error, XmlError::TooLong { .. }),
            "{error} at {depth}"
        );
    }
}

/// Who reads a log can read on behind what a document says.
#[test]
fn what_a_message_repeats_of_a_document_is_bounded() {
    let long = "n".repeat(100_000);
    let limits = XmlLimits {
        max_bytes: 1 << 20,
        max_text_bytes: 1 << 20,
        ..LIMITS
    };
    for document in [
        format!("<a></{long}>"),
        format!("<a>&{long};</a>"),
        format!("<?xml version='1.0' encoding='{long}'?><a/>"),
    ] {
        let mut input = document.as_bytes();
        let mut xml = Xml::new(&mut input, limits);
        let error = loop {
            match xml.next() {
                Ok(Token::Eof) => panic!("{} is no error", &document[..20]),
                Ok(_) => {}
                Err(error) => break error.to_string(),
            }
        };
        assert!(
            error.contains("nnn") && error.len() < 500,
            "{} bytes",
            error.len()
        );
    }
}

fn name_document(name: &str) -> String {
    format!("<{name}></{name}>")
}

/// The names of all elements that start, and what is wrong in between.
fn starts(input: &mut dyn Read) -> String {
    let mut xml = Xml::new(input, LIMITS);
    let mut seen = Vec::new();
    loop {
        match xml.next() {
            Ok(Token::Start(tag)) => seen.push(tag.local().to_owned()),
            Ok(Token::Eof) => break,
            Ok(_) => {}
            Err(XmlError::TooLong { recoverable, .. }) => {
                seen.push(
                    if recoverable {
                        "(too long)"
                    } else {
                        "(given up: too long)"
                    }
                    .into(),
                );
                if !recoverable {
                    break;
                }
                let depth = xml.depth();
                xml.skip_to_depth(depth - 1).unwrap();
            }
            Err(error) => {
                seen.push(format!("({error})"));
                break;
            }
        }
    }
    seen.join(" ")
}

#[test]
fn depth_is_passed_over_up_to_a_bound() {
    let deep = |levels: usize| format!("<a>{}{}</a>", "<b>".repeat(levels), "</b>".repeat(levels));
    for (levels, is_passed_over) in [(4, true), (5, true), (9000, true), (10_001, false)] {
        let document = deep(levels);
        let mut input = document.as_bytes();
        let mut xml = Xml::new(&mut input, LIMITS);
        xml.next().unwrap();
        assert_eq!(xml.skip().is_ok(), is_passed_over, "{levels} levels");
    }
}

#[test]
fn the_depth_that_is_asked_for_has_a_bound() {
    let mut input: &[u8] = b"";
    let limits = XmlLimits {
        max_depth: u32::MAX,
        ..LIMITS
    };
    assert_eq!(
        Xml::new(&mut input, limits).limits().max_depth,
        HIGHEST_DEPTH
    );
}

#[test]
fn attributes() {
    let document = "<a x:id='no' id=' 1&amp;&#50;\n3&gt;' e=''/>";
    let mut input = document.as_bytes();
    let mut xml = Xml::new(&mut input, LIMITS);
    let Ok(Token::Start(tag)) = xml.next() else {
        panic!("a start tag");
    };
    assert_eq!(tag.owned("id").unwrap().as_deref(), Some(" 1&2 3>"));
    assert_eq!(tag.owned("e").unwrap().as_deref(), Some(""));
    assert_eq!(tag.owned("f").unwrap(), None);
    assert_eq!(tag.to_xml(), document);

    let mut input: &[u8] = b"<a>   <b id='&nbsp;'/></a>";
    let mut xml = Xml::new(&mut input, LIMITS);
    xml.next().unwrap();
    xml.next().unwrap();
    let Ok(Token::Start(tag)) = xml.next() else {
        panic!("a start tag");
    };
    let error = tag.owned("id").unwrap_err().to_string();
    assert!(
        error.starts_with("not well-formed XML at byte 6:"),
        "{error}"
    );
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
    let mut input = Pieces(document.as_bytes(), 1);
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

/// So many bytes at once.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = out.len().min(self.1);
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
    let tape = xml.stop_recording().unwrap().unwrap();
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

#[test]
fn the_root_element_alone() {
    for (document, expect) in [
        (
            "<?xml version='1.0'?>\n<!-- x --><a:b c='d'><e/>f</a:b>\n",
            "<a:b c='d'><e/>f</a:b>",
        ),
        ("<a/>", "<a/>"),
        (" <a></a><!-- after -->", "<a></a>"),
        ("", "not well-formed XML at byte 0: no element"),
        (
            "<a/><b/>",
            "not well-formed XML at byte 4: more than one root element",
        ),
        (
            "<a/>b",
            "not well-formed XML at byte 4: text beside the root element",
        ),
        ("<!DOCTYPE a><a/>", "a DOCTYPE is not allowed"),
        (
            "<a>",
            "the document ends at byte 3, inside an element: it is cut off",
        ),
    ] {
        let got = whole_element(document).map(str::to_owned);
        assert_eq!(got.unwrap_or_else(|error| error.to_string()), expect);
    }
}
