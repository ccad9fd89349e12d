//! Related objects: what each event tells of the others.

use serde_json::{Value, json};

use super::objects::fields_of;
use super::*;

fn port(number: u32) -> String {
    format!(
        r#"<Properties xsi:type="P:PortObjectType"><Port_Value>{number}</Port_Value></Properties>"#
    )
}

#[track_caller]
fn check(children: &str, expect: &[Value]) {
    let mut found = fields_of(children);
    for event in &mut found {
        assert_eq!(event["objectType"].take(), "Port");
        event.as_object_mut().unwrap().remove("objectType");
    }
    assert_eq!(found, expect);
}

#[test]
fn a_relation_is_told_at_both_ends() {
    check(
        &format!(
            r#"<Object id="a">{}<Related_Objects>
              <Related_Object id="b">{}<Related_Objects><Related_Object idref="a"><Relationship>Contained_Within</Relationship></Related_Object></Related_Objects>
                <Relationship xsi:type="v"> Contains </Relationship></Related_Object>
              <Related_Object idref="c"><Relationship>Connected_To</Relationship></Related_Object>
              <Related_Object>{}<Relationship>Deleted</Relationship></Related_Object>
              </Related_Objects></Object>"#,
            port(1),
            port(2),
            port(3)
        ),
        &[
            json!({"port": 1, "objectId": "a", "relatedObject": "b; c", "relationship": "Contains; Connected_To"}),
            json!({"port": 2, "objectId": "b", "relatedObject": "a", "relationship": "Contained_Within", "parentObject": "a", "parentRelationship": "Contains"}),
            json!({"port": 3, "parentObject": "a", "parentRelationship": "Deleted"}),
        ],
    );
}

#[test]
fn the_order_of_elements_does_not_matter() {
    check(
        &format!(
            r#"<Object id="a"><Related_Objects><Related_Object id="b"><Relationship>Contains</Relationship>{}</Related_Object></Related_Objects>{}</Object>"#,
            port(2),
            port(1)
        ),
        &[
            json!({"port": 2, "objectId": "b", "parentObject": "a", "parentRelationship": "Contains"}),
            json!({"port": 1, "objectId": "a", "relatedObject": "b", "relationship": "Contains"}),
        ],
    );
}

/// An object without Properties leaves if its relations are told nowhere else.
#[test]
fn no_relation_is_dropped() {
    let only_named = r#"<Related_Object idref="q"/>"#;
    let inline = format!(r#"<Related_Object id="b">{}</Related_Object>"#, port(2));
    let child = json!({"port": 2, "objectId": "b", "parentObject": "a", "parentRelationship": "Related_To"});
    let object = |related: &str| {
        format!(r#"<Object id="a"><Related_Objects>{related}</Related_Objects></Object>"#)
    };
    check(&object(&inline), std::slice::from_ref(&child));
    let mut found = fields_of(&object(&[only_named, &inline].concat()));
    found[0].as_object_mut().unwrap().remove("objectType");
    assert_eq!(found[0], child);
    assert_eq!(
        found[1],
        json!({"objectId": "a", "relatedObject": "q; b", "relationship": "Related_To; Related_To"})
    );
    assert_eq!(found.len(), 2);
    let empty = r#"<Related_Object id="e"><Relationship>Created</Relationship></Related_Object>"#;
    assert_eq!(
        fields_of(&object(empty)),
        [json!({"objectId": "a", "relatedObject": "e", "relationship": "Created"})]
    );
    let nameless = "<Observable><Object><Related_Objects><Related_Object><Relationship>Created</Relationship></Related_Object></Related_Objects></Object></Observable>";
    let (_, counts) = flatten(&package(&[nameless])).unwrap();
    assert_eq!(
        counts.not_forwarded().as_deref(),
        Some("1 Related_Objects elements of observables")
    );
}

/// Relations, markings and ids of objects are no part of an event's identity.
#[test]
fn identities_stay() {
    let id = |document: &str| events(document)[0]["eventId"].clone();
    let bare = format!(
        "<Observable id=\"x\"><Object>{}</Object></Observable>",
        port(1)
    );
    let rich = format!(
        r#"<Observable id="x" negate="true"><Title>t</Title><Object id="a">{}<Related_Objects><Related_Object idref="b"/></Related_Objects></Object></Observable>"#,
        port(1)
    );
    let header = r#"<STIX_Header><Title>t</Title><Handling><Marking><Marking_Structure color="RED"/></Marking></Handling></STIX_Header>"#;
    let rich = package(&[header, &rich]);
    assert_eq!(id(&package(&[&bare])), id(&rich));
    let event = &events(&rich)[0];
    assert_eq!(event["observableNegated"], "true");
    assert_eq!(event["packageTitle"], "t");
}

/// Outside of the schema: nothing is lost, and no relation is given to another object.
#[test]
fn an_observable_in_an_object() {
    check(
        &format!(
            r#"<Object id="a">{}<Related_Objects><Related_Object id="b">{}<Observable><Object id="c">{}</Object></Observable><Relationship>Contains</Relationship></Related_Object></Related_Objects></Object>"#,
            port(1),
            port(2),
            port(3)
        ),
        &[
            json!({"port": 1, "objectId": "a", "relatedObject": "b", "relationship": "Related_To"}),
            json!({"port": 2, "objectId": "b", "parentObject": "a", "parentRelationship": "Related_To"}),
            json!({"port": 3, "objectId": "c"}),
        ],
    );
}
