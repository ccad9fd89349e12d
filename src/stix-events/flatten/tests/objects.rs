//! Standard CybOX objects.

use serde_json::{Value, json};

use super::*;

/// The fields of the object's own in the events of one observable.
pub(super) fn fields_of(children: &str) -> Vec<Value> {
    let document = package(&[&format!("<Observable>{children}</Observable>")]);
    let mut events = events(&document);
    for event in &mut events {
        let fields = event.as_object_mut().unwrap();
        for ours in ["eventId", "recordType", "packageId", "packageTimestamp"] {
            assert!(fields.remove(ours).is_some(), "{ours}");
        }
    }
    events
}

#[track_caller]
fn check(properties: &str, expect: &Value) {
    let object = format!("<Object>{properties}</Object>");
    assert_eq!(fields_of(&object), std::slice::from_ref(expect));
}

#[test]
fn addresses_in_every_way() {
    check(
        r#"<Properties xsi:type="AddressObj:AddressObjectType" category="ipv4-addr" xmlns:x="y"><Address_Value>192.0.2.1</Address_Value></Properties>"#,
        &json!({"objectType": "Address", "addressCategory": "ipv4-addr", "address": "192.0.2.1"}),
    );
    check(
        r#"<Properties xsi:type="A:AddressObjectType"><Address_Value condition="Contains">192.0.2.1##comma##192.0.2.2</Address_Value><VLAN_Num condition="Equals">7</VLAN_Num></Properties>"#,
        &json!({
            "objectType": "Address",
            "address": ["192.0.2.1", "192.0.2.2"],
            "addressCondition": "Contains",
            "VLAN_Num": "7",
        }),
    );
    check(
        r#"<Properties q:type="A:AddressObjectType"><Address_Value delimiter="|" apply_condition="ALL">a|b##comma##c</Address_Value></Properties>"#,
        &json!({
            "objectType": "Address",
            "Address_Value.@apply_condition": "ALL",
            "address": ["a", "b##comma##c"],
        }),
    );
}

#[test]
fn files_and_their_hashes() {
    let sha1 = "0123456789012345678901234567890123456789";
    check(
        &format!(
            r#"<Properties xsi:type="F:FileObjectType"><File_Name>a.exe</File_Name><Size_In_Bytes>12</Size_In_Bytes><Hashes>
              <Hash><Simple_Hash_Value condition="DoesNotEqual">x</Simple_Hash_Value><Type xsi:type="v">MD5</Type></Hash>
              <Hash><Simple_Hash_Value>{sha1}</Simple_Hash_Value></Hash>
              <Hash><Fuzzy_Hash_Value>3:a:b</Fuzzy_Hash_Value></Hash>
              <Hash><Type>Own</Type><Simple_Hash_Value>z</Simple_Hash_Value></Hash></Hashes></Properties>"#
        ),
        &json!({
            "objectType": "File",
            "fileName": "a.exe",
            "fileSize": 12,
            "md5": "x",
            "md5Condition": "DoesNotEqual",
            "sha1": sha1,
            "ssdeep": "3:a:b",
            "Hashes.Hash.Type": "Own",
            "Hashes.Hash.Simple_Hash_Value": "z",
        }),
    );
}

#[test]
fn what_nobody_knows_has_its_path() {
    check(
        r#"<Properties xsi:type="Odd"><A x="1" id="i"><B>b<C> c </C>d</B><B/></A><A><B>e</B></A><Custom_Properties><Property name="own">o</Property></Custom_Properties></Properties>"#,
        &json!({"objectType": "Odd", "A.@x": "1", "A.B.C": " c ", "A.B": ["bd", "e"], "own": "o"}),
    );
}

/// For Custom objects nothing has changed.
#[test]
fn custom_objects_tell_their_custom_properties_only() {
    let document = package(&[&incident(&[&flow(
        r#"<cc:Property name="port">80</cc:Property><cc:Property name="u">a##comma##b</cc:Property>"#,
    )])]);
    let event = &events(&document)[0];
    assert_eq!(event["port"], "80");
    assert_eq!(event["u"], "a##comma##b");
    assert_eq!(event.get("objectType"), None);
    let document = package(&[
        r#"<Observable><Object><Properties xsi:type="C:CustomObjectType"><Description>d</Description></Properties></Object></Observable>"#,
    ]);
    let (events, counts) = flatten(&document).unwrap();
    assert_eq!(events[0].get("Description"), None);
    assert_eq!(counts.passed_over[&PassedOver::OfCustomObject], 1);
}

/// Each object of an observable is an event of its own: related ones, those of an event's actions.
#[test]
fn several_objects() {
    let port = |number| {
        format!(
            r#"<Properties xsi:type="P:PortObjectType"><Port_Value>{number}</Port_Value></Properties>"#
        )
    };
    let related = format!(
        r#"<Object id="o">{}<Related_Objects><Related_Object id="p">{}</Related_Object><Related_Object idref="q"/><Related_Object>{}</Related_Object></Related_Objects></Object>"#,
        port(80),
        port(81),
        port(82)
    );
    let expect = [
        json!({"objectType": "Port", "port": 80, "objectId": "o", "relatedObject": "p; q", "relationship": "Related_To; Related_To"}),
        json!({"objectType": "Port", "port": 81, "objectId": "p", "parentObject": "o", "parentRelationship": "Related_To"}),
        json!({"objectType": "Port", "port": 82, "parentObject": "o", "parentRelationship": "Related_To"}),
    ];
    assert_eq!(fields_of(&related), expect);
    let expect = [80, 81, 82].map(|number| json!({"objectType": "Port", "port": number}));
    let actions = format!(
        "<Event><Actions><Action><Associated_Objects><Associated_Object>{}</Associated_Object><Associated_Object>{}</Associated_Object></Associated_Objects></Action><Action><Associated_Objects><Associated_Object>{}</Associated_Object></Associated_Objects></Action></Actions></Event>",
        port(80),
        port(81),
        port(82)
    );
    assert_eq!(fields_of(&actions), expect);
}

#[test]
fn a_list_without_an_end_is_a_limit() {
    let list = "a##comma##".repeat(30);
    let document = package(&[&format!(
        r#"<Observable><Object><Properties xsi:type="A:AddressObjectType"><Address_Value>{list}</Address_Value></Properties></Object></Observable>"#
    )]);
    check_refused(&document, "more than 20 properties in one observable");
}
