//! Which markings hold for which event.

use super::references::{incident_of, indicator, observable};
use super::*;

fn handling(inner: &str) -> String {
    format!("<Handling><Marking>{inner}</Marking></Handling>")
}

fn color(color: &str) -> String {
    format!(r#"<Marking_Structure xsi:type="tlp:TLPMarkingStructureType" color="{color}"/>"#)
}

fn header(inner: &str) -> String {
    format!("<STIX_Header>{inner}</STIX_Header>")
}

/// Checks `tlp` and `undefinedMarking` of each event, and how many undefined ones are counted.
#[track_caller]
fn check(parts: &[&str], expect: &[&str], undefined: u64) {
    let (events, counts) = flatten(&package(parts)).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    let told: Vec<String> = events
        .iter()
        .map(|event| [text(&event["tlp"]), text(&event["undefinedMarking"])].join(" "))
        .collect();
    assert_eq!(told, expect);
    let counted = counts.passed_over.get(&PassedOver::Marking);
    assert_eq!(counted.copied().unwrap_or_default(), undefined);
}

#[test]
fn a_marking_holds_for_what_has_it() {
    let of_package = header(&handling(&format!(
        "<Controlled_Structure>//node()</Controlled_Structure>{}",
        color("GREEN")
    )));
    let amber = handling(&color("AMBER"));
    let red = handling(&color("RED"));
    let white = handling(&color("WHITE"));
    check(
        &[
            &observable("1"),
            &indicator("x", &[&observable("2"), &amber]),
            &indicator("y", &[&observable("3"), &white]),
            &incident_of("i", &[&red, &indicator("z", &[&amber, &observable("4")])]),
            &incident_of(
                "j",
                &[
                    &indicator("z", &[&amber, &observable("5")]),
                    &observable("6"),
                ],
            ),
            &incident_of("k", &[&amber]),
            &of_package,
        ],
        &[
            "GREEN -", "AMBER -", "GREEN -", "RED -", "AMBER -", "GREEN -", "AMBER -",
        ],
        0,
    );
}

/// Whatever a part of the package that an XPath selects: it holds for all.
#[test]
fn controlled_structures_are_not_believed() {
    let of_package = header(&format!(
        "<Handling><Marking><Controlled_Structure>../../../Indicators//node()</Controlled_Structure>{}</Marking>
         <Marking><Controlled_Structure>//node()</Controlled_Structure>{}</Marking></Handling>",
        color("RED"),
        color("WHITE")
    ));
    check(&[&of_package, &observable("1")], &["RED -"], 0);
}

#[test]
fn markings_that_are_told_elsewhere() {
    let defined = format!(
        r#"<Handling><Marking id="m-1">{}<Marking_Structure id="s-1"><Statement>Ours</Statement></Marking_Structure></Marking>
           <Marking id="m-2"><Marking_Structure idref="s-2"/></Marking><Marking_Structure id="s-2" color="AMBER"/></Handling>"#,
        color("RED")
    );
    let elsewhere = incident_of("i", &[&defined]);
    let named = |idref: &str| format!(r#"<Handling><Marking idref="{idref}"/></Handling>"#);
    let parts = [
        indicator("a", &[&named("m-1"), &observable("1")]),
        indicator("b", &[&named("m-2"), &observable("2")]),
        indicator(
            "c",
            &[
                &handling(r#"<Marking_Structure idref="s-1"/>"#),
                &observable("3"),
            ],
        ),
        indicator("d", &[&observable("4")]),
    ]
    .concat();
    let expect = ["RED -", "AMBER -", "- -", "- -"];
    check(
        &[&parts, &elsewhere],
        &[&expect[..], &["RED -"]].concat(),
        0,
    );
    check(
        &[&elsewhere, &parts],
        &[&["RED -"], &expect[..]].concat(),
        0,
    );
    let events = events(&package(&[&parts, &elsewhere]));
    let statements: Vec<_> = events
        .iter()
        .map(|event| &event["markingStatement"])
        .collect();
    assert_eq!(
        statements,
        ["Ours", "", "Ours", "", "Ours"]
            .map(|text| match text {
                "" => serde_json::Value::Null,
                text => serde_json::Value::from(text),
            })
            .iter()
            .collect::<Vec<_>>()
    );
}

#[test]
fn markings_that_lead_nowhere_or_in_a_circle() {
    let green = color("GREEN");
    let red = color("RED");
    let nowhere = r#"<Marking_Structure idref="nowhere"/>"#;
    check(
        &[
            &header(&handling(&green)),
            &indicator("a", &[&handling(nowhere), &observable("1")]),
            &indicator(
                "b",
                &[&handling(&[nowhere, &red].concat()), &observable("2")],
            ),
            &observable("3"),
        ],
        &["UNKNOWN nowhere", "RED nowhere", "GREEN -"],
        2,
    );
    check(
        &[
            &header(&handling(nowhere)),
            &observable("1"),
            &indicator("a", &[&observable("2")]),
        ],
        &["UNKNOWN nowhere"; 2],
        1,
    );
    let circle = format!(
        r#"<Handling><Marking id="p"><Marking_Structure idref="q"/></Marking><Marking id="q">{green}<Marking_Structure idref="p"/></Marking></Handling>"#
    );
    check(&[&header(&circle), &observable("1")], &["GREEN -"], 0);
}

/// A chain that leads too far may end in anything; a crowd of statements is a limit.
#[test]
fn markings_without_an_end() {
    let link = |at: usize| {
        format!(
            r#"<Marking id="m-{at}"><Marking_Structure idref="m-{}"/></Marking>"#,
            at + 1
        )
    };
    // In small packages of their own: the definitions have a bound too.
    let mut markings = super::super::markings::Markings::default();
    for at in 0..1000 {
        let next = Marking {
            references: vec![format!("m-{}", at + 1)],
            ..Marking::default()
        };
        markings.add(&format!("m-{at}"), &next, usize::MAX).unwrap();
    }
    let first = Marking {
        references: vec!["m-0".to_owned()],
        ..Marking::default()
    };
    let found = markings.resolve(first);
    assert_eq!(found.tlp.as_deref(), Some("UNKNOWN"));
    assert_eq!(found.references, ["m-100"]);
    let many: String = (0..9).map(link).collect();
    check_refused(
        &package(&[&header(&format!("<Handling>{many}</Handling>"))]),
        "more than 1000 bytes of markings that have an id in one package",
    );
    let statement = |at: usize| format!("<Statement>{at}</Statement>");
    let crowd: String = (0..200).map(statement).collect();
    let places = |place: usize| {
        format!(
            "<P{place}>{}</P{place}>",
            handling(&crowd.replace("</", &format!("-{place}</")))
        )
    };
    let all: String = (0..6).map(places).collect();
    check_refused(
        &package(&[&all]),
        "more than 1000 statements, terms and references of markings that hold together",
    );
}

/// What an event tells of a TTP is as confidential as that TTP.
#[test]
fn markings_of_what_is_named() {
    let ttps = format!(
        r#"<TTPs><TTP id="t"><Title>t</Title>{}<Exploit_Targets><Exploit_Target><Exploit_Target idref="e"/></Exploit_Target></Exploit_Targets></TTP>
           <TTP id="u"><Title>u</Title></TTP><TTP id="u">{}</TTP></TTPs>
           <Exploit_Target id="e"><Title>e</Title>{}</Exploit_Target>"#,
        handling(&color("GREEN")),
        handling(&color("AMBER")),
        handling(&color("RED")),
    );
    let of = |ttp: &str| format!(r#"<Indicated_TTP><TTP idref="{ttp}"/></Indicated_TTP>"#);
    let inline = format!(
        "<Suggested_COAs><Suggested_COA><Course_Of_Action><Title>c</Title>{}</Course_Of_Action></Suggested_COA></Suggested_COAs>",
        handling(&color("AMBER+STRICT"))
    );
    check(
        &[
            &indicator("a", &[&of("t"), &observable("1")]),
            &indicator("b", &[&of("u"), &observable("2")]),
            &indicator("c", &[&inline, &observable("3")]),
            &observable("4"),
            &ttps,
        ],
        &["RED -", "AMBER -", "AMBER+STRICT -", "- -"],
        0,
    );
}

/// Of a report, of anything else, in a structure of another kind: it holds for all.
#[test]
fn markings_in_other_places() {
    for place in ["Reports><Report><Header", "Exotic"] {
        let end: Vec<&str> = place.rsplit("><").collect();
        let document = format!(
            r#"<{place}><Handling><Marking><Marking_Structure xsi:type="AIS:AISMarkingStructure"><AIS:Not_Proprietary><AIS:TLPMarking color="amber"/></AIS:Not_Proprietary></Marking_Structure></Marking></Handling></{}>"#,
            end.join("></")
        );
        check(&[&observable("1"), &document], &["AMBER -"], 0);
    }
}
