use std::fmt::Write as _;

use super::*;
use crate::flatten::FlatEvent;
use crate::tape::MemoryScratch;

const LIMITS: Limits = Limits {
    max_response_bytes: 1 << 20,
    max_parts: 1,
    max_refused_blocks: 3,
    max_xml_depth: 40,
    max_text_bytes: 3000,
    max_properties: 5,
    max_observables: 5,
    max_definition_bytes: 1 << 20,
    max_package_bytes: 10_000,
    max_set_events: 100,
};

/// Writes down what it hears: a line for each block, with the property `n` of its events.
#[derive(Default)]
struct Blocks {
    lines: String,
    /// Those of the block that is being read.
    events: Vec<serde_json::Value>,
    whole_events: u64,
    raw: Vec<String>,
}

impl EventSink for Blocks {
    fn event(&mut self, event: FlatEvent<'_>) -> io::Result<()> {
        self.events.push(serde_json::from_slice(event.json)?);
        Ok(())
    }
}

impl ResponseSink for Blocks {
    fn block_read(&mut self) -> io::Result<()> {
        self.lines.push_str("block");
        self.whole_events += self.events.len() as u64;
        for event in self.events.drain(..) {
            let name = event["n"].as_str().or(event["recordType"].as_str());
            write!(self.lines, " {}", name.unwrap()).unwrap();
        }
        self.lines.push('\n');
        Ok(())
    }

    fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()> {
        self.events.clear();
        let RefusedBlock {
            number,
            binding,
            reason,
            raw,
        } = block;
        let binding = binding.unwrap_or("-");
        writeln!(self.lines, "refused {number} {binding}: {reason}").unwrap();
        let mut text = String::new();
        raw.rewind()?.read_to_string(&mut text)?;
        self.raw.push(text);
        Ok(())
    }
}

fn read_with(input: &[u8], sink: &mut Blocks) -> Result<Answer, ReadResponseError> {
    let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
    let origin = Origin {
        service: "cta",
        collection: "asked",
    };
    read_answer(&mut { input }, Some(origin), &LIMITS, &scratch, sink)
}

/// What the sink heard, and what the answer is: a part by what is set in it.
#[track_caller]
fn check(input: impl AsRef<[u8]>, expect: &str) {
    let input = input.as_ref();
    let mut sink = Blocks::default();
    let answer = match read_with(input, &mut sink) {
        Ok(Answer::Poll(part)) => {
            assert_eq!(part.counts.events, sink.whole_events);
            described(*part, input)
        }
        Ok(Answer::Status(status)) => format!("status {status}"),
        Ok(Answer::Discovery(told)) => serde_json::to_string(&told).unwrap(),
        Ok(Answer::Collections(told)) => serde_json::to_string(&told).unwrap(),
        Ok(Answer::Subscriptions(told)) => serde_json::to_string(&told).unwrap(),
        Ok(Answer::Package(counts)) => format!("package of {} incidents", counts.incidents),
        Err(error) => format!("error: {error}"),
    };
    let got = sink.lines + &answer;
    let start = &input[..input.len().min(300)];
    assert_eq!(got, expect, "of {}", String::from_utf8_lossy(start));
    for raw in &sink.raw {
        let is_there = input
            .windows(raw.len())
            .any(|piece| piece == raw.as_bytes());
        assert!(is_there, "handed over as it was received: {raw}");
    }
}

fn described(part: PollPart, input: &[u8]) -> String {
    assert_eq!(part.bytes, input.len() as u64);
    let mut text = format!("part of {} blocks", part.blocks);
    if part.refused_blocks > 0 {
        write!(text, ", {} refused", part.refused_blocks).unwrap();
    }
    let number = part.part_number.map(|number| number.to_string());
    let (begin, end) = (part.begin, part.end);
    for (name, value) in [
        ("collection", part.collection),
        ("id", part.message_id),
        ("to", part.in_response_to),
        ("more", part.more.then(|| "true".to_owned())),
        ("result", part.result_id),
        ("number", number),
        ("begin", begin.map(|stamp| stamp.time().to_rfc3339())),
        ("end", end.map(|stamp| stamp.time().to_rfc3339())),
        ("message", part.message),
    ] {
        if let Some(value) = value {
            write!(text, " {name}={value}").unwrap();
        }
    }
    for warning in part.warnings {
        write!(text, "\nwarning: {warning}").unwrap();
    }
    text
}

fn poll(children: &str) -> String {
    format!("<t:Poll_Response xmlns:t='u'>{children}</t:Poll_Response>")
}

fn block(content: &str) -> String {
    format!("<t:Content_Block><t:Content>{content}</t:Content></t:Content_Block>")
}

/// A package of one incident with an observable for each name.
fn package(names: &[&str]) -> String {
    let observable = |name: &&str| {
        format!(
            "<Observable><Object><Properties><Custom_Properties><Property name='n'>{name}</Property>\
             </Custom_Properties></Properties></Object></Observable>"
        )
    };
    let observables: String = names.iter().map(observable).collect();
    format!(
        "<s:STIX_Package><Incident><Indicator>{observables}</Indicator></Incident></s:STIX_Package>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn cdata(text: &str) -> String {
    format!("<![CDATA[{text}]]>")
}

#[test]
fn a_part_and_what_it_says() {
    check(
        "\u{feff}<?xml version='1.0' encoding='UTF-8'?><!-- c -->
        <t:Poll_Response xmlns:t='http://taxii.mitre.org/messages/taxii_xml_binding-1.1'
            message_id='7' in_response_to='23' collection_name='a &amp; b'
            more=' true ' result_id='r' result_part_number='1,000'>
          <t:Inclusive_End_Timestamp>2015-01-20T16:11:00.649+01:00</t:Inclusive_End_Timestamp>
          <t:Exclusive_Begin_Timestamp> 2015-01-17T15:11:00.648Z
          </t:Exclusive_Begin_Timestamp>
          <t:Record_Count partial_count='true'>7</t:Record_Count>
          <t:Message> some <b>no</b>thing </t:Message>
        </t:Poll_Response><!-- end -->\n",
        "part of 0 blocks collection=a & b id=7 to=23 more=true result=r number=1000 \
         begin=2015-01-17T15:11:00.648+00:00 end=2015-01-20T15:11:00.649+00:00 message=some thing",
    );
    // TAXII 1.0, in a default namespace; a timestamp without a zone is UTC.
    check(
        "<Poll_Response xmlns='http://taxii.mitre.org/messages/taxii_xml_binding-1'
            message_id='7' in_response_to='' feed_name='feed' more='0'>
          <Inclusive_Begin_Timestamp>2015-01-17T15:11:00</Inclusive_Begin_Timestamp>
        </Poll_Response>",
        "part of 0 blocks collection=feed id=7 to= begin=2015-01-17T15:11:00+00:00",
    );
    check("<Poll_Response/>", "part of 0 blocks");
}

#[test]
fn more_in_every_spelling() {
    for (more, expect) in [
        ("true", " more=true"),
        ("1", " more=true"),
        ("TRUE", " more=true"),
        ("false", ""),
        ("0", ""),
        ("", ""),
        (
            "yes",
            " more=true\nwarning: its more is \"yes\", taken as true",
        ),
    ] {
        check(
            format!("<Poll_Response more='{more}'/>"),
            &format!("part of 0 blocks{expect}"),
        );
    }
}

#[test]
fn what_is_not_as_it_should_be_is_a_warning() {
    check(
        "<Poll_Response result_part_number='one'>
           <Exclusive_Begin_Timestamp>soon</Exclusive_Begin_Timestamp>
           <Inclusive_End_Timestamp/></Poll_Response>",
        "part of 0 blocks
warning: its part number \"one\" is no number
warning: its begin \"soon\" is not a timestamp such as 2015-01-20T15:11:00.649Z
warning: its end \"\" is not a timestamp such as 2015-01-20T15:11:00.649Z",
    );
    let many = "<Inclusive_End_Timestamp>x</Inclusive_End_Timestamp>".repeat(1000);
    let Ok(Answer::Poll(part)) = read_with(poll(&many).as_bytes(), &mut Blocks::default()) else {
        panic!("a part");
    };
    assert_eq!(part.warnings.len(), 20);
}

#[test]
fn blocks_and_packages() {
    let one = package(&["1", "2"]);
    let two = package(&["3"]);
    let three = "<STIX_Package><Incident/></STIX_Package>";
    let children = [
        block(&one),
        block(&format!("<!-- c --> {two}\n{three}")),
        block("<STIX_Package/>"),
    ];
    check(
        poll(&children.concat()),
        "block 1 2\nblock 3 incident\nblock\npart of 3 blocks",
    );
}

#[test]
fn content_that_is_text() {
    let one = package(&["1 &amp; a"]);
    let two = package(&["2"]);
    let (head, tail) = two.split_at(40);
    let declared = format!("\u{feff}<?xml version='1.0' encoding='utf-16'?>\r\n{two}");
    for content in [
        escaped(&one),
        cdata(&one),
        format!("\n <!-- c -->{}\n", cdata(&one)),
        one.replace('<', "&#60;").replace("&amp;", "&#x26;amp;"),
    ] {
        check(poll(&block(&content)), "block 1 & a\npart of 1 blocks");
    }
    for content in [
        cdata(&declared),
        escaped(&declared),
        // In pieces of every kind.
        format!("{}<!-- c -->{}", cdata(head), escaped(tail)),
        format!("{}<?p i?>{}", escaped(head), cdata(tail)),
        cdata(head) + &cdata(tail),
    ] {
        check(poll(&block(&content)), "block 2\npart of 1 blocks");
    }
    check(
        poll(&block(&cdata(&(one + &two)))),
        "block 1 & a 2\npart of 1 blocks",
    );
}

/// A block that is refused stands between two that are not.
#[track_caller]
fn check_refused_block(refused: &str, reason: &str) {
    let (before, after) = (block(&package(&["1"])), block(&cdata(&package(&["2"]))));
    check(
        poll(&[before.as_str(), refused, after.as_str()].concat()),
        &format!("block 1\nrefused 2 {reason}\nblock 2\npart of 3 blocks, 1 refused"),
    );
}

#[track_caller]
fn check_refused(content: &str, reason: &str) {
    check_refused_block(&block(content), &format!("-: {reason}"));
}

#[test]
fn a_block_that_holds_something_else() {
    check_refused("", "no STIX_Package, the content is empty or plain text");
    check_refused(
        "MIIB",
        "no STIX_Package, the content is empty or plain text",
    );
    check_refused("<cap:alert/>", "no STIX_Package, the content is <alert>");
    check_refused(
        &("text ".to_owned() + &package(&["x"])),
        "no STIX_Package, the content is empty or plain text",
    );
    check_refused(
        &(cdata(&package(&["x"])) + &package(&["y"])),
        "text and the element <STIX_Package> side by side",
    );
    check_refused(
        &(package(&["x"]) + "<cap:alert/>"),
        "no STIX_Package, the content is <alert>",
    );
    check_refused_block("<t:Content_Block/>", "-: it has no Content");
    check_refused_block(
        "<t:Content_Block ></t:Content_Block>",
        "-: it has no Content",
    );
}

#[test]
fn a_block_that_is_encrypted_or_nested() {
    let binding = "<Content_Binding binding_id='application/x-pkcs7-mime|urn:stix'/>";
    let of_encrypted = |content: &str| {
        format!("<Content_Block>{binding}<Content>{content}</Content></Content_Block>")
    };
    let reason = "application/x-pkcs7-mime|urn:stix: the content is encrypted or packed as \
                  application/x-pkcs7-mime|urn:stix: no STIX_Package, the content is ";
    check_refused_block(
        &of_encrypted("<Encrypted/>"),
        &format!("{reason}<Encrypted>"),
    );
    // What a PKCS #7 envelope looks like.
    let envelope =
        "MIIBygYJKoZIhvcNAQcDoIIBuzCCAbcCAQAxggFy\nMIIBbgIBADBWMEkxCzAJBgNVBAYTAlVTMQ==\n";
    check_refused_block(
        &of_encrypted(envelope),
        &format!("{reason}empty or plain text"),
    );
    let xml_encryption = "<xenc:EncryptedData xmlns:xenc='http://www.w3.org/2001/04/xmlenc#' Type='http://www.w3.org/2001/04/xmlenc#Element'><xenc:CipherData><xenc:CipherValue>A23B45C56</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>";
    for content in [xml_encryption.to_owned(), escaped(xml_encryption)] {
        check_refused(&content, "it is encrypted (XML Encryption)");
        check_refused_block(
            &of_encrypted(&content),
            &(reason.replace("no STIX_Package, the content is ", "")
                + "it is encrypted (XML Encryption)"),
        );
    }
    // Far longer than a text may be, and cut where it is passed over.
    check_refused_block(
        &of_encrypted(&"MIIB".repeat(50_000)),
        &(reason.replace("no STIX_Package, the content is ", "")
            + "a text or tag is longer than 3000 bytes"),
    );
    let inner = block(&package(&["x"]));
    check_refused(&inner, "another Content_Block is nested in it");
    check_refused_block(
        &of_encrypted(&inner),
        &(reason.replace("no STIX_Package, the content is ", "")
            + "another Content_Block is nested in it"),
    );
    // What stands before it in the same block is no event either.
    check_refused(
        &(package(&["x"]) + &inner),
        "another Content_Block is nested in it",
    );
    check_refused_block(
        &format!("<Content_Block>{inner}</Content_Block>"),
        "-: another Content_Block is nested in it",
    );
    // TAXII 1.0 has the binding as text.
    check_refused_block(
        "<Content_Block><Content_Binding> urn:cap </Content_Binding><Content/></Content_Block>",
        "urn:cap: no STIX_Package, the content is empty or plain text",
    );
}

#[test]
fn a_block_with_broken_xml_inside_text() {
    let good = package(&["x"]);
    // So long that the inner reader has not seen the end when it fails.
    let padding = "<p>]]</p>".repeat(20_000);
    for (content, reason) in [
        (
            "<s:STIX_Package><a></s:STIX_Package>",
            "not well-formed XML",
        ),
        ("<s:STIX_Package>", "the document ends at byte 16"),
        ("<!DOCTYPE html><html/>", "a DOCTYPE is not allowed"),
        (&(good + "<a"), "the document ends at byte"),
        (
            &format!("<s:STIX_Package></a>{padding}"),
            "not well-formed XML",
        ),
    ] {
        for content in [cdata(content), escaped(content)] {
            let refused = block(&content);
            let document =
                poll(&[block(&package(&["1"])), refused, block(&package(&["2"]))].concat());
            let mut sink = Blocks::default();
            read_with(document.as_bytes(), &mut sink).unwrap();
            let expect = format!("block 1\nrefused 2 -: {reason}");
            assert!(sink.lines.starts_with(&expect), "{}", sink.lines);
            assert!(sink.lines.ends_with("\nblock 2\n"), "{}", sink.lines);
        }
    }
}

#[test]
fn a_block_over_a_limit() {
    let property = |value: &str| format!("<Property name='n'>{value}</Property>");
    let observable = |properties: &str| {
        format!("<Observable><Custom_Properties>{properties}</Custom_Properties></Observable>")
    };
    let incident = |content: &str| format!("<Incident><Indicator>{content}</Indicator></Incident>");
    let long = |bytes| "x".repeat(bytes);
    for (content, reason) in [
        (
            incident(&observable(&property("").repeat(6))),
            "more than 5 properties in one observable",
        ),
        (
            incident(&observable(&property(&long(1500)).repeat(2))),
            "more than 3000 bytes of properties in one observable",
        ),
        (
            incident(&observable("").repeat(6)),
            "more than 5 observables in one indicator",
        ),
        (
            incident(&observable(&property(&long(2000))).repeat(4))
                + &incident(&observable(&property(&long(2000)))),
            "more than 10000 bytes of one package that wait for its end",
        ),
        (
            format!(
                "<Incident>{}</Incident>",
                format!("<Title>{}</Title>", long(1000)).repeat(3)
            ),
            "more than 3000 bytes of ids, titles and names around one element",
        ),
        (
            incident(&observable(&property(&long(3001)))),
            "a text or tag is longer than 3000 bytes",
        ),
        (
            incident(&observable(&property(&long(70_000)))),
            "a text or tag is longer than 3000 bytes",
        ),
        (
            incident(&observable(&property(&cdata(&long(70_000))))),
            "a text or tag is longer than 3000 bytes",
        ),
        (
            format!("<Incident id='{}'/>", long(3001)),
            "a text or tag is longer than 3000 bytes",
        ),
        (
            "<a>".repeat(40) + &"</a>".repeat(40),
            "elements are nested more than 40 deep",
        ),
        (
            "<a>".repeat(9000) + &"</a>".repeat(9000),
            "elements are nested more than 40 deep",
        ),
    ] {
        let content = format!("<STIX_Package>{content}</STIX_Package>");
        check_refused(&content, reason);
        // The inner limits are those of the outer document.
        check_refused(&escaped(&content), reason);
    }
}

/// The reader calls itself for elements inside one another: the deepest that may be asked for
/// fits the stack of a thread.
#[test]
fn the_highest_depth_fits_the_stack() {
    let limits = Limits {
        max_xml_depth: u32::MAX,
        ..Limits::default()
    };
    let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
    for name in [
        "Incident",
        "Indicator",
        "Observable",
        "TTP",
        "Indicated_TTP",
        "x",
    ] {
        for (levels, expect) in [
            (190, "block"),
            (1000, "refused 1 -: elements are nested more than 200 deep"),
        ] {
            let (start, end) = (format!("<{name}>"), format!("</{name}>"));
            let inside = start.repeat(levels) + &end.repeat(levels);
            let document = poll(&block(&format!(
                "<STIX_Package><Incident><Indicator>{inside}</Indicator></Incident></STIX_Package>"
            )));
            let mut sink = Blocks::default();
            read_answer(&mut document.as_bytes(), None, &limits, &scratch, &mut sink).unwrap();
            assert!(sink.lines.starts_with(expect), "{name}: {}", sink.lines);
        }
    }
}

#[test]
fn gigantic_definitions_are_refused() {
    let limits = Limits {
        max_response_bytes: 1 << 30,
        ..Limits::default()
    };
    let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
    let read = |ids: &mut dyn Iterator<Item = u32>| {
        let ttp = |id| format!("<TTP id='{id}'><Title>{}</Title></TTP>", "x".repeat(100));
        let ttps: String = ids.map(ttp).collect();
        let document = poll(&block(&format!("<STIX_Package>{ttps}</STIX_Package>")));
        let mut sink = Blocks::default();
        read_answer(&mut document.as_bytes(), None, &limits, &scratch, &mut sink).unwrap();
        sink.lines
    };
    // Beside its texts each takes as much again in memory.
    assert_eq!(
        read(&mut (0..80_000)),
        "refused 1 -: more than 16777216 bytes of definitions in one package\n"
    );
    // One that is repeated counts once.
    assert_eq!(read(&mut (0..80_000).map(|id| id % 7)), "block\n");
}

#[test]
fn what_ends_the_answer() {
    let whole = block(&package(&["1"]));
    let answer = poll(&whole);
    for (document, expect) in [
        (String::new(), "error: no TAXII message: an empty answer"),
        (" \n".to_owned(), "error: no TAXII message: an empty answer"),
        (
            "Unauthorized".to_owned(),
            "error: no TAXII message: \"Unauthorized\"",
        ),
        (
            "{\"error\": 1}".to_owned(),
            "error: no TAXII message: \"{\\\"error\\\": 1}\"",
        ),
        (
            "<soap:Envelope/>".to_owned(),
            "error: no TAXII message: a document <Envelope>",
        ),
        (
            poll("") + "<a/>",
            "error: no TAXII message: more than one document",
        ),
        (
            poll("") + "text",
            "error: no TAXII message: more than one document",
        ),
        (
            format!("<!DOCTYPE t:Poll_Response>{answer}"),
            "error: a DOCTYPE is not allowed",
        ),
        (
            format!("<!DOCTYPE a [<!ENTITY b 'c'>]>{answer}"),
            "error: a DOCTYPE is not allowed",
        ),
        (
            answer.replace("</t:Poll_Response>", ""),
            "block 1\nerror: the document ends at byte 301, inside an element: it is cut off",
        ),
        (
            poll(&(whole.clone() + "<a></b>")),
            "block 1\nerror: not well-formed XML at byte 304: \
             expected `</a>`, but `</b>` was found",
        ),
        (
            poll(&(whole.clone() + "&nbsp;")),
            "block 1\nerror: not well-formed XML at byte 301: the entity &nbsp; is not defined",
        ),
        (
            poll(&block("<STIX_Package><!DOCTYPE a></STIX_Package>")),
            "error: a DOCTYPE is not allowed",
        ),
        (
            format!("<?xml version='1.0' encoding='ISO-8859-1'?>{answer}"),
            "error: the encoding \"ISO-8859-1\" is not supported, only UTF-8 is",
        ),
    ] {
        check(document, expect);
    }
    let bad = block("x").repeat(4);
    let refused = "refused N -: no STIX_Package, the content is empty or plain text";
    let refused: String = (1..=3)
        .map(|number| refused.replace('N', &number.to_string()) + "\n")
        .collect();
    check(
        poll(&bad),
        &format!(
            "{refused}error: more than 3 content blocks of the answer cannot be read \
             (limits.max_refused_blocks)"
        ),
    );
    for attribute in [
        "collection_name",
        "feed_name",
        "message_id",
        "in_response_to",
        "result_id",
    ] {
        let named = |bytes| format!("<Poll_Response {attribute}='{}'/>", "n".repeat(bytes));
        check(
            named(1025),
            &format!("error: {attribute} of the answer is longer than 1024 bytes"),
        );
        assert!(read_with(named(1024).as_bytes(), &mut Blocks::default()).is_ok());
    }
    let too_large = poll(&block(&package(&["1"])).repeat(6000));
    let mut sink = Blocks::default();
    let error = read_with(too_large.as_bytes(), &mut sink).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the document is larger than 1048576 bytes"
    );
}

#[test]
fn a_web_page_is_told_apart() {
    let html = "error: an HTML page instead of TAXII, perhaps a proxy's login page";
    for page in [
        "<!DOCTYPE html><html><head><title>Log in</title></head><body><br></body></html>",
        "\n<!doctype HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"><HTML>",
        "<html><body>",
        "<HTML lang=en>",
        "\u{feff}<!-- saved --><html xmlns='http://www.w3.org/1999/xhtml'/>",
        "<?xml version='1.0'?><!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0 Strict//EN' 'x'><html/>",
    ] {
        check(page, html);
    }
}

#[test]
fn a_status_message() {
    check(
        "<t:Status_Message status_type='FAILURE' in_response_to='23' message_id='1'>
           <t:Message>An error\n occurred.</t:Message></t:Status_Message>",
        "status FAILURE: An error occurred.",
    );
    check(
        "<Status_Message status_type='RETRY'><Status_Detail>
           <Detail name='ESTIMATED_WAIT'> 90 </Detail><Detail name='x'>y</Detail>
         </Status_Detail></Status_Message>",
        "status RETRY (ESTIMATED_WAIT: 90) (x: y)",
    );
    // TAXII 1.0 has the detail as text.
    check(
        "<Status_Message status_type='RETRY'>
           <Status_Detail>2014-12-19T00:00:00Z</Status_Detail></Status_Message>",
        "status RETRY (2014-12-19T00:00:00Z)",
    );
    check("<Status_Message status_type='NEW'/>", "status FAILURE");
    check("<Status_Message/>", "status FAILURE");
    check(
        "<Status_Message status_type='FAILURE'><Message>",
        "error: the document ends at byte 47, inside an element: it is cut off",
    );
}

#[test]
fn a_bare_package() {
    check(
        "<?xml version='1.0'?>".to_owned() + &package(&["1", "2"]),
        "block 1 2\npackage of 1 incidents",
    );
    // Nothing of it counts unless all of it can be read.
    check(
        package(&["1"]).replace("</s:STIX_Package>", ""),
        "error: the document ends at byte 197, inside an element: it is cut off",
    );
    check(
        package(&["1"]) + "<a/>",
        "error: no TAXII message: more than one document",
    );
}

#[test]
fn invalid_utf8_anywhere() {
    let document = poll(&block(&package(&["1"])));
    for place in 0..document.len() {
        let mut bytes = document.clone().into_bytes();
        bytes[place] = 0xff;
        let error = read_with(&bytes, &mut Blocks::default());
        assert!(error.is_err(), "at byte {place}");
    }
}

#[test]
fn where_events_come_from() {
    let from = |document: &str, origin: Option<Origin<'_>>| {
        #[derive(Default)]
        struct Events(Vec<serde_json::Value>);
        impl EventSink for Events {
            fn event(&mut self, event: FlatEvent<'_>) -> io::Result<()> {
                self.0.push(serde_json::from_slice(event.json)?);
                Ok(())
            }
        }
        impl ResponseSink for Events {
            fn block_read(&mut self) -> io::Result<()> {
                Ok(())
            }
            fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()> {
                panic!("{}", block.reason)
            }
        }
        let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
        let mut sink = Events::default();
        read_answer(
            &mut document.as_bytes(),
            origin,
            &LIMITS,
            &scratch,
            &mut sink,
        )
        .unwrap();
        let event = sink.0.pop().unwrap();
        ["service", "collection"]
            .map(|name| event.get(name).map(|v| v.as_str().unwrap().to_owned()))
    };
    let asked = Some(Origin {
        service: "cta",
        collection: "asked",
    });
    let answer = poll(&block(&package(&["1"])));
    let naming = answer.replace(" xmlns:t='u'", " collection_name='named'");
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(from(&naming, asked), [some("cta"), some("named")]);
    assert_eq!(from(&answer, asked), [some("cta"), some("asked")]);
    assert_eq!(from(&naming, None), [None, some("named")]);
    assert_eq!(from(&package(&["1"]), asked), [None, None]);
}

/// What was not kept is no fault of the service.
#[test]
fn a_sink_that_fails() {
    struct Full;
    impl EventSink for Full {
        fn event(&mut self, _: FlatEvent<'_>) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
    impl ResponseSink for Full {
        fn block_read(&mut self) -> io::Result<()> {
            Ok(())
        }
        fn block_refused(&mut self, _: RefusedBlock<'_>) -> io::Result<()> {
            Ok(())
        }
    }
    let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
    for content in [package(&["1"]), cdata(&package(&["1"]))] {
        let document = poll(&block(&content));
        let answer = read_answer(&mut document.as_bytes(), None, &LIMITS, &scratch, Full);
        assert!(
            matches!(answer, Err(ReadResponseError::Keep(_))),
            "{answer:?}"
        );
    }
}

/// A connection that breaks is told as that, wherever it does.
#[test]
fn a_connection_that_fails() {
    struct Breaking<'a>(&'a [u8]);
    impl Read for Breaking<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(io::ErrorKind::ConnectionReset.into()),
                read => Ok(read),
            }
        }
    }
    let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
    for content in [
        package(&["1"]),
        cdata(&package(&["1"])),
        escaped(&package(&["1"])),
    ] {
        let document = poll(&block(&content));
        for end in 0..document.len() {
            let mut input = Breaking(&document.as_bytes()[..end]);
            let answer = read_answer(&mut input, None, &LIMITS, &scratch, Blocks::default());
            assert!(
                matches!(answer, Err(ReadResponseError::Xml(XmlError::Read(_)))),
                "{answer:?} after {}",
                &document[..end]
            );
        }
    }
}
