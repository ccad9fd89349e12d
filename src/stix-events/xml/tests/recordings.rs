//! A recording is what stands in the document, wherever it starts and ends and however much is read at once.

use std::io::Read as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const LIMITS: XmlLimits = XmlLimits {
    max_bytes: u64::MAX,
    max_depth: 5,
    max_text_bytes: 1 << 20,
};

#[derive(Debug, Clone, Copy)]
enum How {
    Not,
    Dropped,
    Kept,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_stands_there(
        blocks in prop::collection::vec(
            (
                prop::sample::select(&["a", "é", "\u{1f480}"][..]),
                prop::sample::select(&[1_usize, 100, 30_000, 100_000][..]),
                prop::sample::select(&[How::Not, How::Dropped, How::Kept, How::Kept][..]),
            ),
            1..14,
        ),
        piece_bytes in prop::sample::select(&[7_usize, 1000, 16 << 10, 1 << 20][..]),
    ) {
        let texts: Vec<String> = blocks.iter().map(|(text, count, _)| text.repeat(*count)).collect();
        let block = |text: &String| format!("<b><c>{text}</c></b>\n");
        let document = format!("<a>{}</a>", texts.iter().map(block).collect::<String>());
        let mut tape = Tape::new(Arc::new(MemoryScratch::default()), 50_000, u64::MAX);
        let mut input = Pieces(document.as_bytes(), piece_bytes);
        let mut xml = Xml::new(&mut input, LIMITS).with_recording(&mut tape);
        xml.next().unwrap();
        for (text, (_, _, how)) in texts.iter().zip(&blocks) {
            while !matches!(xml.next().unwrap(), Token::Start(_)) {}
            if !matches!(how, How::Not) {
                xml.start_recording(b"<b>").unwrap();
            }
            xml.skip().unwrap();
            match how {
                How::Not => {}
                How::Dropped => xml.drop_recording(),
                How::Kept => {
                    let mut recorded = String::new();
                    let tape = xml.stop_recording().unwrap().unwrap();
                    tape.rewind().unwrap().read_to_string(&mut recorded).unwrap();
                    prop_assert!(recorded == format!("<b><c>{text}</c></b>"), "{} bytes", recorded.len());
                }
            }
        }
    }
}
