//! What is named in one place and told in another.

use super::*;

/// Checks record type and some fields of each event, in order.
#[track_caller]
fn check(parts: &[&str], expect: &[&str]) -> Counts {
    let (events, counts) = flatten(&package(parts)).unwrap();
    let told: Vec<String> = events
        .iter()
        .map(|event| {
            let mut words = vec![event["recordType"].as_str().unwrap().to_owned()];
            for name in [
                "incidentId",
                "indicatorId",
                "observableId",
                "compositionOperator",
                "n",
            ] {
                match &event[name] {
                    serde_json::Value::Null => {}
                    value => words.push(value.as_str().unwrap().to_owned()),
                }
            }
            words.join(" ")
        })
        .collect();
    assert_eq!(told, expect);
    let ids: std::collections::HashSet<_> = events
        .iter()
        .map(|event| event["eventId"].to_string())
        .collect();
    assert_eq!(ids.len(), events.len(), "ids that are not unique");
    counts
}

fn object(number: &str) -> String {
    format!(
        r#"<c:Object id="o-{number}"><c:Properties custom_name="k"><Custom_Properties><Property name="n">{number}</Property></Custom_Properties></c:Properties></c:Object>"#
    )
}

pub(super) fn observable(number: &str) -> String {
    format!(
        r#"<c:Observable id="b-{number}">{}</c:Observable>"#,
        object(number)
    )
}

fn named(number: &str) -> String {
    format!(r#"<c:Observable idref="b-{number}"/>"#)
}

pub(super) fn indicator(id: &str, parts: &[&str]) -> String {
    format!(r#"<Indicator id="{id}">{}</Indicator>"#, parts.concat())
}

fn composed(operator: &str, parts: &[&str]) -> String {
    format!(
        r#"<Observable_Composition operator="{operator}">{}</Observable_Composition>"#,
        parts.concat()
    )
}

pub(super) fn incident_of(id: &str, parts: &[&str]) -> String {
    format!(r#"<Incident id="{id}">{}</Incident>"#, parts.concat())
}

#[test]
fn observables_and_indicators_stand_alone() {
    let counts = check(
        &[
            &observable("1"),
            &indicator("x", &[&observable("2"), &observable("3")]),
            &indicator("empty", &["<Title>t</Title>"]),
            &incident_of("i", &[]),
        ],
        &[
            "observable b-1 1",
            "indicator x b-2 2",
            "indicator x b-3 3",
            "indicator empty",
            "incident i",
        ],
    );
    assert_eq!(counts.events, 5);
    assert!(counts.passed_over.is_empty(), "{counts:?}");
}

#[test]
fn what_an_incident_names_leaves_with_it_and_only_there() {
    let names = format!(
        "<Related_Observables><Related_Observable>{}</Related_Observable></Related_Observables>
         <Related_Indicators><Related_Indicator><Indicator idref=\"x\"/></Related_Indicator></Related_Indicators>",
        named("1")
    );
    let incident = incident_of("i", &[&names]);
    let again = incident_of("j", &[&named("1")]);
    let content = [
        observable("1"),
        observable("2"),
        indicator("x", &[&observable("3"), &named("2")]),
    ]
    .concat();
    let of_incidents = [
        "flow i b-1 1",
        "flow i x b-3 3",
        "flow i x b-2 2",
        "flow j b-1 1",
    ];
    // Before and after.
    check(&[&content, &incident, &again], &of_incidents);
    check(&[&incident, &again, &content], &of_incidents);
}

#[test]
fn compositions_name_their_members() {
    let whole = format!(
        r#"<Observable id="b-0">{}</Observable>"#,
        composed("OR", &[&named("1"), &named("2"), &observable("3")])
    );
    let content = [observable("1"), observable("2")].concat();
    let members = [
        "observable b-1 OR 1",
        "observable b-2 OR 2",
        "observable b-3 OR 3",
    ];
    check(&[&whole, &content], &members);
    check(&[&content, &whole], &members);
    check(
        &[
            &content,
            &whole,
            &indicator(
                "x",
                &[&format!(
                    "<Observable>{}</Observable>",
                    composed("AND", &[&named("0"), &observable("4")])
                )],
            ),
        ],
        &[
            "indicator x b-1 OR 1",
            "indicator x b-2 OR 2",
            "indicator x b-3 OR 3",
            "indicator x b-4 AND 4",
        ],
    );
}

#[test]
fn objects_are_named_too() {
    let names = r#"<Observable id="b-9"><Object idref="o-1"/></Observable>"#;
    let incident = incident_of("i", &[names]);
    check(&[&observable("1"), &incident], &["flow i b-9 1"]);
    check(
        &[&incident, &observable("1"), &observable("2")],
        &["flow i b-9 1", "observable b-2 2"],
    );
}

/// Related objects may stand before what the object itself tells.
#[test]
fn an_object_keeps_its_id() {
    let properties = |number| {
        format!(
            r#"<Properties custom_name="k"><Custom_Properties><Property name="n">{number}</Property></Custom_Properties></Properties>"#
        )
    };
    let around = format!(
        r#"<Observable id="b-1"><Object id="o-1"><Related_Objects><Related_Object id="p">{}</Related_Object></Related_Objects>{}</Object></Observable>"#,
        properties(2),
        properties(1)
    );
    let incident = incident_of(
        "i",
        &[r#"<Observable id="b-9"><Object idref="o-1"/></Observable>"#],
    );
    check(&[&around, &incident], &["observable b-1 2", "flow i b-9 1"]);
}

/// The operator of what names something holds as far as nothing nearer has one.
#[test]
fn operators_reach_through_references() {
    let whole = format!(
        r#"<Observable id="b-9">{}</Observable>"#,
        composed("OR", &[&named("0")])
    );
    let inner = r#"<Observable id="b-0"><Object idref="o-1"/></Observable>"#;
    check(&[&whole, inner, &observable("1")], &["observable b-0 OR 1"]);
}

#[test]
fn composite_indicators() {
    let composite = indicator(
        "x",
        &[
            "<Composite_Indicator_Expression operator=\"OR\"><Indicator idref=\"y\"/><Indicator idref=\"z\"/></Composite_Indicator_Expression>",
        ],
    );
    let members = [
        indicator("y", &[&observable("1")]),
        indicator("z", &["<Title>t</Title>"]),
    ]
    .concat();
    check(
        &[&members, &composite],
        &["indicator y b-1 1", "indicator z"],
    );
}

/// Indicators that are related name each other: each stays what it is.
#[test]
fn related_indicators_are_only_told() {
    let related = |id: &str| {
        format!(
            r#"<Related_Indicators><Related_Indicator><Indicator idref="{id}"/></Related_Indicator></Related_Indicators>"#
        )
    };
    let document = package(&[
        &indicator("x", &[&observable("1"), &related("y")]),
        &indicator("y", &[&observable("2"), &related("x")]),
    ]);
    let events = events(&document);
    let told: Vec<_> = events
        .iter()
        .map(|event| (&event["indicatorId"], &event["relatedIndicator"]))
        .collect();
    let (x, y) = (serde_json::json!("x"), serde_json::json!("y"));
    assert_eq!(told, [(&x, &y), (&y, &x)]);
}

#[test]
fn what_the_package_does_not_define() {
    let counts = check(
        &[
            &incident_of("i", &[&named("1"), r#"<Indicator idref="x"/>"#]),
            &indicator(
                "y",
                &[r#"<Observable><Object idref="o-nowhere"/></Observable>"#],
            ),
            &named("2"),
        ],
        &["incident i", "indicator y"],
    );
    assert_eq!(counts.passed_over[&PassedOver::Reference], 4);
}

/// A report, or whatever stands in nothing that becomes an event, only lists what is elsewhere.
#[test]
fn a_list_takes_nothing_away() {
    let report = format!("<Reports><Report>{}</Report></Reports>", named("1"));
    let counts = check(&[&report, &observable("1")], &["observable b-1 1"]);
    assert_eq!(counts.passed_over[&PassedOver::Report], 1);
    assert_eq!(counts.passed_over.len(), 1);
}

/// The same content has the same id, and each place where it leaves another one.
#[test]
fn ids_of_what_is_named() {
    let content = observable("1");
    let incident = incident_of("i", &[&named("1")]);
    let in_place = incident_of("i", &[&content]);
    let id = |document: &str| events(document)[0]["eventId"].clone();
    assert_eq!(
        id(&package(&[&content, &incident])),
        id(&package(&[&in_place]))
    );
    let twice = events(&package(&[
        &content,
        &incident_of("i", &[&named("1"), &named("1")]),
    ]));
    assert_eq!(twice.len(), 2);
    assert_ne!(twice[0]["eventId"], twice[1]["eventId"]);
}

#[test]
fn definitions_in_full() {
    let incident = r#"<Incident id="i">
        <Time><Incident_Reported>2024-03-05T00:00:00Z</Incident_Reported><Incident_Discovery precision="day">2024-03-04T00:00:00Z</Incident_Discovery></Time>
        <Categories><Category>Malicious  Code</Category><Category>Exercise</Category></Categories>
        <Status>New</Status><Description>A text.</Description>
        <Intended_Effect><Value>Theft</Value></Intended_Effect>
        <Leveraged_TTPs><Leveraged_TTP><TTP idref="t"/></Leveraged_TTP></Leveraged_TTPs>
        <Attributed_Threat_Actors><Threat_Actor><Relationship>x</Relationship><Threat_Actor idref="a"/></Threat_Actor></Attributed_Threat_Actors>
        <COA_Taken><Course_Of_Action><Title>Own block</Title></Course_Of_Action></COA_Taken>
        <Affected_Assets/><Strange/>
        <Handling><Marking><Marking_Structure color="GREEN"/><Marking_Structure><Statement>Ours</Statement></Marking_Structure></Marking></Handling>
        <Indicator id="n"><Indicated_TTP><TTP idref="u"/></Indicated_TTP><Observable/></Indicator></Incident>"#;
    let definitions = r#"<TTPs><TTP id="t"><Title>Drive-by</Title><Behavior><Malware><Malware_Instance><Type>Bot</Type><Name>Zeus</Name></Malware_Instance></Malware></Behavior>
          <Exploit_Targets><Exploit_Target><Exploit_Target idref="e"/></Exploit_Target></Exploit_Targets></TTP>
        <TTP id="u"><Title>Beaconing</Title></TTP><TTP id="v"><Title>nobody's</Title></TTP></TTPs>
        <Exploit_Targets><Exploit_Target id="e"><Title>Old reader</Title><Vulnerability><CVE_ID>CVE-2013-3893</CVE_ID></Vulnerability></Exploit_Target></Exploit_Targets>
        <Threat_Actors><Threat_Actor id="a"><Identity><Name>Night Owl</Name></Identity></Threat_Actor></Threat_Actors>
        <STIX_Header><Handling><Marking><Marking_Structure color="AMBER"/><Marking_Structure><Terms_Of_Use>None</Terms_Of_Use></Marking_Structure></Marking></Handling></STIX_Header>"#;
    let (events, counts) = flatten(&package(&[incident, definitions])).unwrap();
    for (name, expect) in [
        ("incidentTime", "2024-03-04T00:00:00Z"),
        ("incidentCategory", "Malicious Code; Exercise"),
        ("incidentStatus", "New"),
        ("description", "A text."),
        ("intendedEffect", "Theft"),
        ("ttp", "t; u"),
        ("ttpName", "Drive-by"),
        ("activity", "Beaconing"),
        ("malwareName", "Zeus"),
        ("exploitTarget", "e"),
        ("exploitTargetName", "Old reader"),
        ("cve", "CVE-2013-3893"),
        ("threatActor", "a"),
        ("threatActorName", "Night Owl"),
        ("courseOfActionName", "Own block"),
        ("tlp", "AMBER"),
        ("markingStatement", "Ours"),
        ("termsOfUse", "None"),
    ] {
        assert_eq!(events[0][name], expect, "{name}");
    }
    let passed: Vec<String> = counts
        .passed_over
        .iter()
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    assert_eq!(
        passed,
        [
            "1 TTPs that nothing names",
            "1 Affected_Assets elements of incidents",
            "1 other elements of incidents",
            "1 Time elements of incidents in part",
            "1 Behavior elements of TTPs in part",
            "1 other elements of threat actors in part",
        ]
    );
}

/// The marking of a package inside this one holds for all that leaves.
#[test]
fn packages_inside_a_package() {
    let inner = format!(
        r#"<Related_Packages><Related_Package><Package idref="q"/></Related_Package><Related_Package><Package id="r">
           <STIX_Header><Handling><Marking><Marking_Structure color="red"/></Marking></Handling></STIX_Header>{}</Package></Related_Package></Related_Packages>"#,
        observable("1")
    );
    let (events, counts) = flatten(&package(&[&inner])).unwrap();
    assert_eq!(events[0]["packageId"], "p-1");
    assert_eq!(events[0]["tlp"], "RED");
    assert_eq!(counts.passed_over[&PassedOver::RelatedPackage], 1);
}

#[test]
fn a_long_description_is_cut() {
    let text = "é".repeat(4000);
    let indicator = indicator("x", &["<Description>", &text, "</Description>"]);
    let event = &events(&package(&[&indicator]))[0];
    let cut = event["indicatorDescription"].as_str().unwrap();
    assert_eq!(cut, format!("{}…", "é".repeat(2048)));
}
