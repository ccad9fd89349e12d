use super::*;

fn check(xml: &str) -> Result<TaxiiRequest, String> {
    let xml = xml.replacen(' ', &format!(" xmlns=\"{NAMESPACE_1_1}\" "), 1);
    let root = document(xml.as_bytes()).map_err(|status| status.message)?;
    read(&root).map_err(|status| format!("{}: {}", status.kind, status.message))
}

fn refused(xml: &str) -> String {
    check(xml).unwrap_err()
}

#[test]
fn a_poll_is_read_with_its_window() {
    let request = check(
        "<Poll_Request message_id='1' collection_name='c'>\
         <Exclusive_Begin_Timestamp>2026-01-01T00:00:00.123456+01:00</Exclusive_Begin_Timestamp>\
         <Inclusive_End_Timestamp>2026-01-02T00:00:00Z</Inclusive_End_Timestamp>\
         <Poll_Parameters allow_asynch='0'><Response_Type>FULL</Response_Type>\
         <Content_Binding binding_id='urn:other'/>\
         <Content_Binding binding_id='urn:stix.mitre.org:xml:1.1.1'/></Poll_Parameters></Poll_Request>",
    );
    let request = request.unwrap();
    let Asked::Poll {
        begin,
        end,
        parameters,
    } = request.asked
    else {
        panic!("a poll");
    };
    assert_eq!(begin.unwrap().text, "2026-01-01T00:00:00.123456+01:00");
    assert_eq!(end.unwrap().time.to_rfc3339(), "2026-01-02T00:00:00+00:00");
    assert!(!parameters.count_only && !parameters.allow_asynch);
}

#[test]
fn a_fulfillment_is_read() {
    let xml = "<Poll_Fulfillment message_id='1' collection_name='c' result_id='r' result_part_number='2'/>";
    let asked = Asked::Fulfillment {
        result_id: "r".to_owned(),
        part: 2,
    };
    assert_eq!(check(xml).unwrap().asked, asked);
    for number in ["0", "-1", "1,000", "x", ""] {
        let complaint = refused(&xml.replace("'2'", &format!("'{number}'")));
        assert!(complaint.starts_with("BAD_MESSAGE: "), "{complaint}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let poll = |inner: &str| {
        format!("<Poll_Request message_id='1' collection_name='c'>{inner}</Poll_Request>")
    };
    let parameters = |inner: &str| {
        poll(&format!(
            "<Poll_Parameters allow_asynch='false'>{inner}</Poll_Parameters>"
        ))
    };
    let end = "<Inclusive_End_Timestamp>2026-01-02T00:00:00Z</Inclusive_End_Timestamp>";
    let good = "<Poll_Parameters allow_asynch='false'/>";
    for (xml, complaint) in [
        (
            poll(""),
            "BAD_MESSAGE: there is the end where Poll_Parameters",
        ),
        (poll("<Poll_Parameters/>"), "BAD_MESSAGE: allow_asynch"),
        (
            poll("<Poll_Parameters allow_asynch='perhaps'/>"),
            "BAD_MESSAGE: allow_asynch",
        ),
        (
            poll("<Poll_Parameters allow_async='false'/>"),
            "BAD_MESSAGE: Poll_Parameters has no attribute allow_async",
        ),
        (
            poll(&format!("{good}{end}")),
            "BAD_MESSAGE: there is Inclusive_End_Timestamp where nothing",
        ),
        (
            poll(&format!("{end}{end}{good}")),
            "BAD_MESSAGE: there is Inclusive_End_Timestamp where Poll_Parameters",
        ),
        (poll("<Subscription_ID>s</Subscription_ID>"), "NOT_FOUND: "),
        (parameters("<Query/>"), "UNSUPPORTED_QUERY: "),
        (
            parameters("<Content_Binding binding_id='x'/>"),
            "UNSUPPORTED_CONTENT: ",
        ),
        (
            parameters("<Response_Type>ALL</Response_Type>"),
            "BAD_MESSAGE: Response_Type",
        ),
        (
            parameters("<Delivery_Parameters/>"),
            "BAD_MESSAGE: there is Delivery_Parameters",
        ),
        (
            "<Poll_Request message_id='1'/>".to_owned(),
            "BAD_MESSAGE: Poll_Request needs collection_name",
        ),
        (
            "<Poll_Request collection_name='c'/>".to_owned(),
            "BAD_MESSAGE: Poll_Request needs message_id",
        ),
        (
            "<Poll_Request message_id='1' collection_name='c' more='1'/>".to_owned(),
            "BAD_MESSAGE: Poll_Request has no attribute more",
        ),
        (
            "<Discovery_Request message_id='1'/>".to_owned(),
            "BAD_MESSAGE: a poll service does not take",
        ),
    ] {
        let found = refused(&xml);
        assert!(found.starts_with(complaint), "{xml}: {found}");
    }
}

#[test]
fn timestamps_need_a_zone_and_at_most_six_digits() {
    for text in [
        "2026-01-02T00:00:00",
        "2026-01-02T00:00:00.1234567Z",
        "2026-01-02 00:00:00Z",
        "soon",
        "",
    ] {
        let xml = format!(
            "<Poll_Request message_id='1' collection_name='c'><Inclusive_End_Timestamp>{text}</Inclusive_End_Timestamp>\
             <Poll_Parameters allow_asynch='false'/></Poll_Request>"
        );
        assert!(
            refused(&xml).contains("Inclusive_End_Timestamp is"),
            "{text}"
        );
    }
}

#[test]
fn an_empty_window_is_refused() {
    let time = "2026-01-02T00:00:00Z";
    let xml = format!(
        "<Poll_Request message_id='1' collection_name='c'><Exclusive_Begin_Timestamp>{time}</Exclusive_Begin_Timestamp>\
         <Inclusive_End_Timestamp>{time}</Inclusive_End_Timestamp><Poll_Parameters allow_asynch='false'/></Poll_Request>"
    );
    assert!(refused(&xml).contains("is empty"));
}

#[test]
fn another_namespace_is_refused() {
    let xml = format!("<Poll_Request xmlns='{NAMESPACE_1_0}' message_id='1' collection_name='c'/>");
    let root = document(xml.as_bytes()).unwrap();
    assert!(read(&root).unwrap_err().message.contains("namespace"));
}

#[test]
fn headers_are_required_and_right() {
    let good = [
        ("content-type", "application/xml; charset=UTF-8"),
        ("accept", "application/xml"),
        ("user-agent", "test"),
        ("x-taxii-content-type", MESSAGE_BINDING),
        ("x-taxii-accept", MESSAGE_BINDING),
        ("x-taxii-services", SERVICES),
        ("x-taxii-protocol", PROTOCOL_BINDING),
    ];
    let headers: HeaderMap = good
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    assert_eq!(check_headers(&headers), Ok(()));
    for (name, without, wrong) in [
        ("content-type", "415", "415"),
        ("accept", "406", "406"),
        ("user-agent", "BAD_MESSAGE", ""),
        ("x-taxii-content-type", "BAD_MESSAGE", "UNSUPPORTED_MESSAGE"),
        ("x-taxii-accept", "BAD_MESSAGE", "UNSUPPORTED_MESSAGE"),
        ("x-taxii-services", "BAD_MESSAGE", "BAD_MESSAGE"),
        ("x-taxii-protocol", "BAD_MESSAGE", "UNSUPPORTED_PROTOCOL"),
    ] {
        let outcome = |headers: &HeaderMap| match check_headers(headers) {
            Ok(()) => String::new(),
            Err(Refusal::Http(status)) => status.to_string(),
            Err(Refusal::Status(status)) => status.kind,
        };
        let mut headers = headers.clone();
        headers.remove(name);
        assert_eq!(outcome(&headers), without, "without {name}");
        headers.insert(name, "*/*".parse().unwrap());
        assert_eq!(outcome(&headers), wrong, "with a wrong {name}");
    }
}
