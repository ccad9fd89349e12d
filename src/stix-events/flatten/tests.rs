mod hostile;
mod markings;
mod objects;
mod references;
mod relations;
mod told;

use super::*;
use crate::stix::{Workspace, read_packages};
use crate::tape::MemoryScratch;
use crate::xml::{Xml, XmlLimits};

#[derive(Default)]
struct Lines(Vec<String>);

impl EventSink for Lines {
    fn event(&mut self, event: FlatEvent<'_>) -> io::Result<()> {
        let line = String::from_utf8(event.json.to_vec()).unwrap();
        assert!(line.starts_with(&format!("{{\"eventId\":\"{}\"", event.id)));
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        let again = serde_json::to_string(&read).unwrap();
        assert_eq!(again.len(), line.len(), "a name stands twice in {line}");
        self.0.push(line);
        Ok(())
    }
}

const LIMITS: FlattenLimits = FlattenLimits {
    max_observables: 50,
    max_definition_bytes: 1000,
    max_package_bytes: 1 << 20,
};

const XML_LIMITS: XmlLimits = XmlLimits {
    max_bytes: 1 << 20,
    max_depth: 40,
    max_text_bytes: 10_000,
};

fn flatten(document: &str) -> Result<(Vec<serde_json::Value>, Counts), ReadPackageError> {
    flatten_in(&mut Workspace::new(20), document)
}

fn flatten_in(
    workspace: &mut Workspace,
    document: &str,
) -> Result<(Vec<serde_json::Value>, Counts), ReadPackageError> {
    let mut input = document.as_bytes();
    let mut xml = Xml::new(&mut input, XML_LIMITS);
    let mut lines = Lines::default();
    let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
    let mut flattener =
        Flattener::new(Origin::default(), LIMITS, &scratch, AtOnce::new(&mut lines));
    read_packages(&mut xml, workspace, &mut flattener)?;
    let (mut counts, mut left) = flattener.finish();
    left.keep();
    counts.add(&left.finish());
    let parse = |line: &String| serde_json::from_str(line).unwrap();
    Ok((lines.0.iter().map(parse).collect(), counts))
}

fn events(document: &str) -> Vec<serde_json::Value> {
    flatten(document).unwrap().0
}

const HEADER: &str = r#"<s:STIX_Header>
    <s:Package_Intent>Incident</s:Package_Intent>
    <s:Information_Source>
      <sc:Identity id="cta:customer-42"/>
      <sc:Tools><cc:Tool id="cta:tool-cta"><cc:Name>Cognitive
        Analytics</cc:Name><cc:Vendor>Example</cc:Vendor></cc:Tool></sc:Tools>
    </s:Information_Source>
  </s:STIX_Header>"#;

const DEFINITIONS: &str = r#"<s:TTPs><s:TTP id="t-1"><ttp:Title>command and control</ttp:Title></s:TTP></s:TTPs>
  <s:Campaigns><s:Campaign id="c-1"><Names><Name>Night Owl</Name></Names></s:Campaign></s:Campaigns>"#;

const TITLE: &str = "<inc:Title> malware |\n DGA </inc:Title>";
const VICTIM: &str = "<inc:Victim><sc:Name>Jane</sc:Name></inc:Victim>";
const REST: &str = r#"<inc:Discovery_Method>Log Review</inc:Discovery_Method>
    <inc:Intended_Effect><sc:Value>9</sc:Value><sc:Description>Risk</sc:Description></inc:Intended_Effect>
    <inc:Intended_Effect><sc:Description>Risk category</sc:Description><sc:Value>data theft</sc:Value></inc:Intended_Effect>
    <inc:Confidence><sc:Value>High</sc:Value></inc:Confidence>
    <inc:Related_Campaign idref="c-1"/>
    <inc:Information_Source><sc:Tools><cc:Tool idref="cta:tool-cta"/></sc:Tools></inc:Information_Source>"#;

const TTP: &str = r#"<ind:Indicated_TTP><sc:TTP idref="t-1"/></ind:Indicated_TTP>"#;

fn flow(properties: &str) -> String {
    format!(
        r#"<c:Observable><c:Object><c:Properties custom_name="cta:webflow"><cc:Custom_Properties>{properties}</cc:Custom_Properties></c:Properties></c:Object></c:Observable>"#
    )
}

fn observables() -> String {
    let one = r#"<cc:Property name="timestamp">1421623882432</cc:Property><cc:Property name="csUrl"></cc:Property>"#;
    format!(
        r#"<ind:Observable><c:Observable_Composition operator="AND">{}<c:Observable><c:Observable_Composition operator="OR">{}</c:Observable_Composition></c:Observable></c:Observable_Composition></ind:Observable>"#,
        flow(one),
        flow(one)
    )
}

fn package(parts: &[&str]) -> String {
    format!(
        r#"<s:STIX_Package id="p-1" timestamp="2015-01-20T15:11:02.766Z">{}</s:STIX_Package>"#,
        parts.concat()
    )
}

fn incident(parts: &[&str]) -> String {
    format!(
        r#"<s:Incidents><s:Incident id="i-1" URL="https://example.com/i?a=1&amp;b=2">{}</s:Incident></s:Incidents>"#,
        parts.concat()
    )
}

fn indicators(parts: &[&str]) -> String {
    format!(
        r#"<inc:Related_Indicators><inc:Related_Indicator><sc:Indicator id="n-1">{}</sc:Indicator></inc:Related_Indicator></inc:Related_Indicators>"#,
        parts.concat()
    )
}

#[test]
fn every_field_has_its_place() {
    let document = package(&[
        HEADER,
        DEFINITIONS,
        &incident(&[TITLE, VICTIM, &indicators(&[&observables(), TTP]), REST]),
    ]);
    let events = events(&document);
    let expected = |id: &str, operator: &str| {
        serde_json::json!({
            "eventId": id,
            "recordType": "flow",
            "packageId": "p-1",
            "packageTimestamp": "2015-01-20T15:11:02.766Z",
            "packageIntent": "Incident",
            "customer": "cta:customer-42",
            "incidentId": "i-1",
            "incidentTitle": "malware | DGA",
            "incidentUrl": "https://example.com/i?a=1&b=2",
            "victim": "Jane",
            "discoveryMethod": "Log Review",
            "confidence": "High",
            "risk": "9",
            "riskCategory": "data theft",
            "tool": "cta:tool-cta",
            "toolName": "Cognitive Analytics",
            "toolVendor": "Example",
            "campaign": "c-1",
            "campaignName": "Night Owl",
            "indicatorId": "n-1",
            "activity": "command and control",
            "ttp": "t-1",
            "flowType": "cta:webflow",
            "compositionOperator": operator,
            "timestamp": 1_421_623_882_432_u64,
            "csUrl": "",
        })
    };
    assert_eq!(
        events,
        [
            // The golden values of `docs/events.md`: they never change.
            expected("6f2e922e70e600fa676ddbdd3ae6c580", "AND"),
            expected("a1919a4fe9eb1e3f5534065936738d36", "OR"),
        ]
    );
}

#[test]
fn nothing_of_a_package_that_was_given_up_is_in_the_next() {
    let address = r#"<c:Observable><c:Object id="o-1"><c:Properties xsi:type="A:AddressObjectType"><A:Address_Value>192.0.2.1</A:Address_Value></c:Properties></c:Object></c:Observable>"#;
    let one = flow(r#"<cc:Property name="x">1 &lt; 2</cc:Property>"#);
    let whole = package(&[
        DEFINITIONS,
        &incident(&[
            TITLE,
            &indicators(&[&observables(), address, &one, TTP]),
            REST,
        ]),
    ]);
    let expected = flatten(&whole).unwrap();
    let mut workspace = Workspace::new(20);
    for end in 0..whole.len() {
        assert!(flatten_in(&mut workspace, &whole[..end]).is_err(), "{end}");
        assert_eq!(
            flatten_in(&mut workspace, &whole).unwrap(),
            expected,
            "{end}"
        );
    }
}

#[test]
fn order_does_not_matter() {
    let observables = observables();
    let forward = package(&[
        HEADER,
        DEFINITIONS,
        &incident(&[TITLE, VICTIM, &indicators(&[&observables, TTP]), REST]),
    ]);
    let backward = package(&[
        &incident(&[REST, &indicators(&[TTP, &observables]), VICTIM, TITLE]),
        DEFINITIONS,
        HEADER,
    ]);
    assert_eq!(events(&forward), events(&backward));
}

#[test]
fn an_incident_without_observables_is_one_event() {
    let document = package(&[&incident(&[TITLE, REST]), &incident(&[VICTIM]), HEADER]);
    let (events, counts) = flatten(&document).unwrap();
    assert_eq!(counts.incidents, 2);
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["recordType"], "incident");
    assert_eq!(events[0]["eventId"], "f307859167de1fa6c31cc1017593c1a1");
    assert_eq!(events[0]["toolName"], "Cognitive Analytics");
    assert_eq!(events[1]["victim"], "Jane");
    assert_ne!(events[0]["eventId"], events[1]["eventId"]);
}

#[test]
fn an_observable_without_composition_or_indicator() {
    let bare = flow(r#"<cc:Property name="sIP">192.0.2.1</cc:Property>"#);
    let document = package(&[&incident(&[
        "<inc:Related_Observables><inc:Related_Observable>",
        &bare,
        "</inc:Related_Observable></inc:Related_Observables>",
        &indicators(&[&bare]),
    ])]);
    let events = events(&document);
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].get("indicatorId"), None);
    assert_eq!(events[1]["indicatorId"], "n-1");
    assert_eq!(events[1].get("compositionOperator"), None);
    assert_eq!(events[1].get("activity"), None);
}

#[test]
fn indicators_and_incidents_inside_one_another() {
    let one = |name: &str| flow(&format!(r#"<cc:Property name="n">{name}</cc:Property>"#));
    let document = package(&[&format!(
        r#"<Incident id="outer"><Title>o</Title>
          <Indicator id="a">{}<Indicator id="b">{}<Indicated_TTP><TTP><Title>inner</Title></TTP></Indicated_TTP></Indicator>{}
            <Indicated_TTP><TTP><Title>of a</Title></TTP></Indicated_TTP></Indicator>
          <Incident id="inner"/>
          <Incident idref="elsewhere"/>
          <Indicator id="c">{}</Indicator></Incident>"#,
        one("1"),
        one("2"),
        one("3"),
        one("4")
    )]);
    let rows: Vec<String> = events(&document)
        .iter()
        .map(|event| {
            [
                "incidentId",
                "incidentTitle",
                "indicatorId",
                "activity",
                "n",
            ]
            .map(|name| event[name].as_str().unwrap_or("-").to_owned())
            .join(" ")
        })
        .collect();
    assert_eq!(
        rows,
        [
            "outer o a of a 1",
            "outer o b inner 2",
            "outer o a of a 3",
            "inner - - - -",
            "outer o c - 4"
        ]
    );
}

/// So many indicators with one flow each do not fit into the memory that they may take.
const TOO_MANY: usize = 3000;

fn long_id(number: usize) -> String {
    format!("{number}-{}", "x".repeat(4000))
}

/// An incident with too many indicators, and the lines that it becomes.
fn flatten_too_many(scratch: &Arc<dyn Scratch>) -> Result<Vec<String>, ReadPackageError> {
    let indicator = |number| {
        let one = flow(&format!(
            r#"<cc:Property name="n">{number}</cc:Property><cc:Property name="fill">{}</cc:Property>"#,
            "y".repeat(4000)
        ));
        format!(r#"<Indicator id="{}">{one}</Indicator>"#, long_id(number))
    };
    let inner: String = (0..TOO_MANY).map(indicator).collect();
    let document = package(&[&format!(
        r#"<Incident id="i"><Indicator id="outer">{inner}{}</Indicator><Title>late</Title></Incident>"#,
        flow("")
    )]);
    let limits = FlattenLimits {
        max_observables: u32::MAX,
        max_package_bytes: u64::MAX,
        ..LIMITS
    };
    let xml_limits = XmlLimits {
        max_bytes: u64::MAX,
        ..XML_LIMITS
    };
    let mut input = document.as_bytes();
    let mut xml = Xml::new(&mut input, xml_limits);
    let mut lines = Lines::default();
    let mut flattener = Flattener::new(Origin::default(), limits, scratch, AtOnce::new(&mut lines));
    read_packages(&mut xml, &mut Workspace::new(20), &mut flattener)?;
    Ok(lines.0)
}

/// What waits outgrows the memory that it may take: it comes back from scratch files.
#[test]
fn a_package_that_does_not_fit_into_memory() {
    let scratch = Arc::new(MemoryScratch::default());
    let lines = flatten_too_many(&(Arc::clone(&scratch) as Arc<dyn Scratch>)).unwrap();
    let files = scratch.created.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(
        files, 2,
        "one for the contents, one for what is known of indicators"
    );
    assert_eq!(lines.len(), TOO_MANY + 1);
    for (number, line) in lines.iter().enumerate() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["incidentTitle"], "late");
        if number < TOO_MANY {
            assert_eq!(event["n"], number.to_string());
            assert_eq!(event["indicatorId"], long_id(number));
        } else {
            assert_eq!(event["indicatorId"], "outer");
        }
    }
}

/// Scratch files on a disk that keeps one letter as what is no text.
struct DamagedScratch;

struct DamagedFile(io::Cursor<Vec<u8>>);

impl Scratch for DamagedScratch {
    fn create(&self) -> io::Result<Box<dyn crate::tape::ScratchFile>> {
        Ok(Box::new(DamagedFile(io::Cursor::default())))
    }
}

impl io::Read for DamagedFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl io::Seek for DamagedFile {
    fn seek(&mut self, place: io::SeekFrom) -> io::Result<u64> {
        self.0.seek(place)
    }
}

impl io::Write for DamagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let damaged = |byte: &u8| if *byte == b'y' { 0xff } else { *byte };
        let damaged: Vec<u8> = bytes.iter().map(damaged).collect();
        self.0.write(&damaged)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_scratch_file_has_damaged_becomes_no_event() {
    let damaged: Arc<dyn Scratch> = Arc::new(DamagedScratch);
    let refused = flatten_too_many(&damaged).unwrap_err();
    let expect = "what was read cannot be kept: what was on the tape is no text any more";
    assert_eq!(refused.to_string(), expect);
}

/// Events leave for one package after the other: where one fails with scopes open, the next has none of it.
#[test]
fn nothing_of_a_package_that_failed_as_it_left_is_in_the_next() {
    let one = flow(r#"<cc:Property name="x">1</cc:Property>"#);
    let too_many = package(&[&incident(&[&indicators(&[&one.repeat(51)])])]);
    let good = package(&[&incident(&[TITLE, &indicators(&[&observables(), &one])])]);
    let expected = events(&good);
    let mut lines = Lines::default();
    let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
    let mut flattener =
        Flattener::new(Origin::default(), LIMITS, &scratch, AtOnce::new(&mut lines));
    let mut workspace = Workspace::new(20);
    let mut read = |document: &str| {
        let mut input = document.as_bytes();
        let mut xml = Xml::new(&mut input, XML_LIMITS);
        read_packages(&mut xml, &mut workspace, &mut flattener)
    };
    read(&too_many).unwrap_err();
    read(&good).unwrap();
    read(&good).unwrap();
    let parse = |line: &String| serde_json::from_str(line).unwrap();
    let all: Vec<serde_json::Value> = lines.0.iter().map(parse).collect();
    let (_, good_ones) = all.split_at(all.len() - 2 * expected.len());
    assert_eq!(good_ones, [expected.clone(), expected].concat());
}

#[test]
fn what_is_named_in_place_or_twice() {
    let incident = r#"<Incident id="i">
        <Information_Source><Tools>
          <Tool><Name>Own</Name><Vendor>Us</Vendor></Tool>
          <Tool idref="t"/><Tool idref="t"/><Tool idref="nowhere"/>
          <Tool id="u"><Name>Defined here</Name></Tool>
        </Tools></Information_Source>
        <Related_Campaigns>
          <Related_Campaign idref="c"/><Related_Campaign><Campaign idref="c"/></Related_Campaign>
          <Related_Campaign><Campaign><Title>nameless</Title></Campaign></Related_Campaign>
        </Related_Campaigns></Incident>"#;
    let definitions = r#"<Tool id="t"/><Tool id="t"><Name>First</Name></Tool><Tool id="t"><Name>Second</Name></Tool>
        <Campaign id="c"><Names><Name>n</Name></Names><Title>t</Title></Campaign>
        <TTP id="nowhere"><Title>of another kind</Title></TTP>"#;
    let event = &events(&package(&[incident, definitions]))[0];
    for (name, expect) in [
        ("tool", "t; nowhere; u"),
        ("toolName", "Own; First; Defined here"),
        ("toolVendor", "Us"),
        ("campaign", "c"),
        ("campaignName", "t; nameless"),
    ] {
        assert_eq!(event[name], expect, "{name}");
    }
}

/// A name never stands twice in one JSON object.
#[test]
fn a_header_in_two_pieces() {
    let document = package(&[
        "<STIX_Header><Package_Intent>a</Package_Intent></STIX_Header>",
        &incident(&[]),
        "<STIX_Header><Package_Intent>b</Package_Intent></STIX_Header>",
    ]);
    assert_eq!(events(&document)[0]["packageIntent"], "a; b");
}

#[test]
fn repeated_and_reserved_names() {
    let document = package(&[&incident(&[&flow(
        r#"<cc:Property name="sPort">80</cc:Property><cc:Property name="host">h</cc:Property>
           <cc:Property name="sPort">x</cc:Property><cc:Property name="property_host">g</cc:Property>
           <cc:Property>no name</cc:Property><cc:Property name="_raw">r</cc:Property>"#,
    )])]);
    let event = &events(&document)[0];
    assert_eq!(event["sPort"], serde_json::json!([80, "x"]));
    assert_eq!(event["property_host"], serde_json::json!(["h", "g"]));
    assert_eq!(event["property_"], "no name");
    assert_eq!(event["property__raw"], "r");
    assert_eq!(event.get("host"), None);
}

#[test]
fn values_are_verbatim() {
    let document = package(&[&incident(&[&flow(
        "<cc:Property name=\"csUrl\"> a&amp;b<![CDATA[<c>]]>\td<!-- x -->\u{e9} \"\\</cc:Property>",
    )])]);
    assert_eq!(events(&document)[0]["csUrl"], " a&b<c>\td\u{e9} \"\\");
}

#[track_caller]
fn check_refused(document: &str, expect: &str) {
    let error = flatten(document).unwrap_err();
    assert_eq!(error.to_string(), expect);
}

#[test]
fn what_is_no_package() {
    check_refused("<html/>", "no STIX_Package, the content is <html>");
    check_refused("", "no STIX_Package, the content is empty or plain text");
    check_refused(
        "just text",
        "no STIX_Package, the content is empty or plain text",
    );
}

#[test]
fn every_limit_is_named() {
    let property = r#"<cc:Property name="n">1</cc:Property>"#;
    let document = package(&[&incident(&[&flow(&property.repeat(21))])]);
    check_refused(&document, "more than 20 properties in one observable");
    let document = package(&[&incident(&[&indicators(&[&flow("").repeat(51)])])]);
    check_refused(&document, "more than 50 observables in one indicator");
    let document = package(&[&format!(
        r#"<TTP id="x"><Title>{}</Title></TTP>"#,
        "y".repeat(1000)
    )]);
    check_refused(
        &document,
        "more than 1000 bytes of definitions in one package",
    );
    let long = format!(
        r#"<cc:Property name="n">{}</cc:Property>"#,
        "y".repeat(9000)
    );
    let many = incident(&[&flow(&long)]).repeat(117);
    let document = package(&[&many.chars().take(1_040_000).collect::<String>()]);
    assert!(flatten(&document).is_err());
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is done to a document's bytes, the reader answers and does not panic.
        #[test]
        fn no_mutation_panics(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..20)
        ) {
            let mut bytes = package(&[
                HEADER, DEFINITIONS, &incident(&[TITLE, &indicators(&[&observables(), TTP]), REST]),
            ]).into_bytes();
            for (place, byte, change) in changes {
                if bytes.is_empty() {
                    break;
                }
                let place = place.index(bytes.len());
                match change {
                    0 => bytes[place] = byte,
                    1 => bytes.insert(place, byte),
                    2 => { bytes.remove(place); }
                    _ => bytes.truncate(place),
                }
            }
            if let Ok(text) = String::from_utf8(bytes) {
                let _ = flatten(&text);
            }
        }

        /// Two flows with different content never share an id, identical ones are told apart.
        #[test]
        fn ids_are_unique(values in prop::collection::vec("[ab]{0,2}", 1..30)) {
            let flows: String = values
                .iter()
                .map(|value| flow(&format!(r#"<cc:Property name="v">{value}</cc:Property>"#)))
                .collect();
            let events = events(&package(&[&incident(&[&indicators(&[&flows])])]));
            let ids: std::collections::HashSet<_> =
                events.iter().map(|event| event["eventId"].to_string()).collect();
            prop_assert_eq!(ids.len(), values.len());
        }
    }
}
