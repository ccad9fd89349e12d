//! Content that means harm, and content without sense.

use proptest::prelude::*;

use super::*;

fn composed(id: &str, members: &[String]) -> String {
    format!(
        r#"<Observable id="{id}"><Observable_Composition operator="OR">{}</Observable_Composition></Observable>"#,
        members.concat()
    )
}

fn named(id: impl std::fmt::Display) -> String {
    format!(r#"<Observable idref="{id}"/>"#)
}

#[test]
fn circles_are_refused() {
    let expect = "more than 20 references inside one another";
    let incident = format!("<Incident>{}</Incident>", named("a"));
    let circle = [composed("a", &[named("b")]), composed("b", &[named("a")])].concat();
    check_refused(&package(&[&circle, &incident]), expect);
    check_refused(&package(&[&incident, &circle]), expect);
    // Nothing else leads there, and yet it is not passed over in silence.
    check_refused(&package(&[&circle]), expect);
    check_refused(&package(&[&composed("a", &[named("a")])]), expect);
    let indicators = r#"<Indicator id="x"><Composite_Indicator_Expression><Indicator idref="x"/></Composite_Indicator_Expression></Indicator>"#;
    check_refused(&package(&[indicators]), expect);
}

#[test]
fn a_thing_named_again_and_again() {
    let bomb: String = (0..9)
        .map(|level| composed(&level.to_string(), &vec![named(level + 1); 10]))
        .collect();
    let leaf = r#"<Observable id="9"><Object/></Observable>"#;
    check_refused(
        &package(&[&bomb, leaf]),
        "more than 50 observables outside of indicators in one package",
    );
    let incident = format!("<Incident>{}</Incident>", named("0"));
    check_refused(
        &package(&[&incident, &bomb, leaf]),
        "more than 50 observables in one indicator",
    );
    // Nothing but names: the end is that of what may be followed.
    check_refused(
        &package(&[&bomb, &incident]),
        "more than 1048576 bytes that the references of one package bring once more",
    );
}

#[test]
fn names_without_an_end() {
    let names: String = (0..11).map(named).collect();
    check_refused(
        &package(&[&names]),
        "more than 1000 bytes of references in one package",
    );
}

/// A piece of a package: an element with others inside it.
fn element() -> impl Strategy<Value = String> {
    let id = prop::sample::select(vec!["a", "b", "c", ""]);
    let leaf = (id.clone(), 0..8_u8).prop_map(|(id, kind)| match kind {
        0 => format!(r#"<Observable idref="{id}"/>"#),
        1 => format!(r#"<Indicator idref="{id}"/>"#),
        2 => format!(r#"<Object idref="{id}"/>"#),
        3 => format!(r#"<TTP idref="{id}"/>"#),
        4 => format!(r#"<Related_Object idref="{id}"/>"#),
        5 => "<Title>t</Title>".to_owned(),
        6 => "<Hash><Type>MD5</Type><Simple_Hash_Value>1</Simple_Hash_Value></Hash>".to_owned(),
        _ => format!(r#"<Property name="{id}">v##comma##w</Property>"#),
    });
    let names = prop::sample::select(vec![
        "Incident",
        "Indicator",
        "Observable",
        "Observable_Composition",
        "Object",
        "Related_Object",
        "Properties",
        "Properties xsi:type=\"F:FileObjectType\"",
        "Properties custom_name=\"x\"",
        "Custom_Properties",
        "Hashes",
        "Hash",
        "TTP",
        "Exploit_Target",
        "Threat_Actor",
        "Campaign",
        "Indicated_TTP",
        "Leveraged_TTPs",
        "Related_Indicators",
        "Composite_Indicator_Expression operator=\"OR\"",
        "STIX_Header",
        "Handling",
        "Marking_Structure color=\"RED\"",
        "Package",
        "Report",
        "Value",
    ]);
    leaf.prop_recursive(8, 60, 6, move |inner| {
        (
            names.clone(),
            id.clone(),
            prop::collection::vec(inner, 0..6),
        )
            .prop_map(|(name, id, children)| {
                let end = name.split(' ').next().unwrap();
                let id = if id.is_empty() {
                    String::new()
                } else {
                    format!(r#" id="{id}""#)
                };
                format!("<{name}{id}>{}</{end}>", children.concat())
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever stands in whatever: an answer or a named limit, each event a JSON object in which
    /// no name stands twice, and as many as are counted.
    #[test]
    fn no_nesting_panics(parts in prop::collection::vec(element(), 1..8)) {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match flatten(&package(&parts)) {
            Ok((events, counts)) => {
                prop_assert_eq!(events.len() as u64, counts.events);
                for event in &events {
                    prop_assert!(event["eventId"].is_string());
                }
            }
            Err(ReadPackageError::Limit { .. }) => {}
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}
