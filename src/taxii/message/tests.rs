//! Messages in both bindings, as they are written. That they follow the schemas is shown with
//! libtaxii in the interoperability tests.

use super::*;

fn stamp(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn poll(terms: PollTerms) -> PollAsk {
    PollAsk {
        collection: "a\"<b>".into(),
        window: PollWindow {
            exclusive_begin: Some(stamp("2015-01-16T00:00:00+00:00")),
            inclusive_end: Some(stamp("2015-01-17T00:00:00Z")),
        },
        terms,
    }
}

fn parameters(response_type: ResponseType) -> PollTerms {
    PollTerms::Parameters {
        allow_asynch: true,
        response_type,
        bindings: vec![ContentBinding {
            id: "urn:x".into(),
            subtypes: vec!["s".into()],
        }],
    }
}

#[track_caller]
fn check(ask: Ask<'_>, version: Version, expect: &str) {
    let got = match Request::new(ask, version, "7".into()) {
        Ok(request) => {
            let xml = request
                .xml
                .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
            let namespace = format!(" xmlns:taxii=\"{}\" message_id=\"7\"", version.namespace());
            xml.unwrap().replacen(&namespace, "", 1)
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(got.trim_end(), expect);
}

#[test]
fn a_poll_request() {
    let default = poll(PollTerms::default());
    let request = Request::new(Ask::Poll(&default), Version::V1_1, "7".into()).unwrap();
    assert_eq!(
        request.xml,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<taxii:Poll_Request xmlns:taxii="http://taxii.mitre.org/messages/taxii_xml_binding-1.1" message_id="7" collection_name="a&quot;&lt;b&gt;">
  <taxii:Exclusive_Begin_Timestamp>2015-01-16T00:00:00+00:00</taxii:Exclusive_Begin_Timestamp>
  <taxii:Inclusive_End_Timestamp>2015-01-17T00:00:00Z</taxii:Inclusive_End_Timestamp>
  <taxii:Poll_Parameters allow_asynch="false">
    <taxii:Response_Type>FULL</taxii:Response_Type>
  </taxii:Poll_Parameters>
</taxii:Poll_Request>
"#
    );
    let request = Request::new(Ask::Poll(&default), Version::V1_0, "7".into()).unwrap();
    assert_eq!(
        request.xml,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<taxii:Poll_Request xmlns:taxii="http://taxii.mitre.org/messages/taxii_xml_binding-1" message_id="7" feed_name="a&quot;&lt;b&gt;">
  <taxii:Exclusive_Begin_Timestamp>2015-01-16T00:00:00+00:00</taxii:Exclusive_Begin_Timestamp>
  <taxii:Inclusive_End_Timestamp>2015-01-17T00:00:00Z</taxii:Inclusive_End_Timestamp>
</taxii:Poll_Request>
"#
    );
}

#[test]
fn polls_with_terms() {
    let set = |terms| PollAsk {
        collection: "c".into(),
        window: PollWindow {
            exclusive_begin: None,
            inclusive_end: None,
        },
        terms,
    };
    let subscribed = set(PollTerms::Subscription("s&1".into()));
    check(
        Ask::Poll(&subscribed),
        Version::V1_1,
        "<taxii:Poll_Request collection_name=\"c\">\n  \
         <taxii:Subscription_ID>s&amp;1</taxii:Subscription_ID>\n</taxii:Poll_Request>",
    );
    check(
        Ask::Poll(&subscribed),
        Version::V1_0,
        "<taxii:Poll_Request feed_name=\"c\" subscription_id=\"s&amp;1\"/>",
    );
    let counted = set(parameters(ResponseType::CountOnly));
    check(
        Ask::Poll(&counted),
        Version::V1_1,
        "<taxii:Poll_Request collection_name=\"c\">\n  \
         <taxii:Poll_Parameters allow_asynch=\"true\">\n    \
         <taxii:Response_Type>COUNT_ONLY</taxii:Response_Type>\n    \
         <taxii:Content_Binding binding_id=\"urn:x\">\n      \
         <taxii:Subtype subtype_id=\"s\"/>\n    \
         </taxii:Content_Binding>\n  </taxii:Poll_Parameters>\n</taxii:Poll_Request>",
    );
    check(
        Ask::Poll(&counted),
        Version::V1_0,
        "TAXII 1.0 has no polls that ask for counts only",
    );
    check(
        Ask::Poll(&set(parameters(ResponseType::Full))),
        Version::V1_0,
        "TAXII 1.0 has no subtypes of content bindings",
    );
    let bound = PollTerms::Parameters {
        allow_asynch: false,
        response_type: ResponseType::Full,
        bindings: vec!["urn:x".into()],
    };
    check(
        Ask::Poll(&set(bound)),
        Version::V1_0,
        "<taxii:Poll_Request feed_name=\"c\">\n  \
         <taxii:Content_Binding>urn:x</taxii:Content_Binding>\n</taxii:Poll_Request>",
    );
}

#[test]
fn a_fulfillment() {
    let ask = Ask::Fulfillment {
        collection: "c",
        result_id: "r&1",
        part_number: 1000,
    };
    check(
        ask,
        Version::V1_1,
        "<taxii:Poll_Fulfillment collection_name=\"c\" result_id=\"r&amp;1\" \
         result_part_number=\"1000\"/>",
    );
    check(ask, Version::V1_0, "TAXII 1.0 has no Poll_Fulfillment");
}

#[test]
fn questions_about_the_service() {
    check(Ask::Discovery, Version::V1_1, "<taxii:Discovery_Request/>");
    check(Ask::Discovery, Version::V1_0, "<taxii:Discovery_Request/>");
    let collections = "<taxii:Collection_Information_Request/>";
    check(Ask::Collections, Version::V1_1, collections);
    let feeds = "<taxii:Feed_Information_Request/>";
    check(Ask::Collections, Version::V1_0, feeds);
}

fn subscription(action: SubscriptionAction) -> SubscriptionAsk {
    SubscriptionAsk {
        action,
        collection: "c".into(),
        subscription_id: None,
        response_type: ResponseType::Full,
        bindings: Vec::new(),
        push: None,
    }
}

#[test]
fn subscriptions() {
    let pushed = SubscriptionAsk {
        bindings: vec!["urn:x".into()],
        push: Some(PushParameters {
            protocol: "urn:p".into(),
            address: "https://here/".into(),
            message_binding: "urn:m".into(),
        }),
        ..subscription(SubscriptionAction::Subscribe)
    };
    check(
        Ask::Subscription(&pushed),
        Version::V1_1,
        "<taxii:Subscription_Management_Request action=\"SUBSCRIBE\" collection_name=\"c\">\n  \
         <taxii:Subscription_Parameters>\n    \
         <taxii:Response_Type>FULL</taxii:Response_Type>\n    \
         <taxii:Content_Binding binding_id=\"urn:x\"/>\n  \
         </taxii:Subscription_Parameters>\n  <taxii:Push_Parameters>\n    \
         <taxii:Protocol_Binding>urn:p</taxii:Protocol_Binding>\n    \
         <taxii:Address>https://here/</taxii:Address>\n    \
         <taxii:Message_Binding>urn:m</taxii:Message_Binding>\n  \
         </taxii:Push_Parameters>\n</taxii:Subscription_Management_Request>",
    );
    check(
        Ask::Subscription(&pushed),
        Version::V1_0,
        "<taxii:Subscription_Management_Request action=\"SUBSCRIBE\" feed_name=\"c\">\n  \
         <taxii:Push_Parameters>\n    \
         <taxii:Protocol_Binding>urn:p</taxii:Protocol_Binding>\n    \
         <taxii:Address>https://here/</taxii:Address>\n    \
         <taxii:Message_Binding>urn:m</taxii:Message_Binding>\n    \
         <taxii:Content_Binding>urn:x</taxii:Content_Binding>\n  \
         </taxii:Push_Parameters>\n</taxii:Subscription_Management_Request>",
    );
    let ended = SubscriptionAsk {
        subscription_id: Some("s1".into()),
        ..subscription(SubscriptionAction::Unsubscribe)
    };
    check(
        Ask::Subscription(&ended),
        Version::V1_1,
        "<taxii:Subscription_Management_Request action=\"UNSUBSCRIBE\" collection_name=\"c\">\n  \
         <taxii:Subscription_ID>s1</taxii:Subscription_ID>\n\
         </taxii:Subscription_Management_Request>",
    );
    check(
        Ask::Subscription(&ended),
        Version::V1_0,
        "<taxii:Subscription_Management_Request action=\"UNSUBSCRIBE\" feed_name=\"c\" \
         subscription_id=\"s1\"/>",
    );
    check(
        Ask::Subscription(&subscription(SubscriptionAction::Pause)),
        Version::V1_0,
        "TAXII 1.0 has no subscriptions that can be paused",
    );
    check(
        Ask::Subscription(&subscription(SubscriptionAction::Status)),
        Version::V1_1,
        "<taxii:Subscription_Management_Request action=\"STATUS\" collection_name=\"c\"/>",
    );
}

#[test]
fn pushed_content() {
    let ask = InboxAsk {
        destinations: vec!["c".into()],
        blocks: vec![ContentBlock {
            binding: "urn:x".into(),
            xml: "<a b=\"1\"/>".into(),
            at: Some(stamp("2015-01-17T00:00:00Z").time()),
        }],
    };
    check(
        Ask::Inbox(&ask),
        Version::V1_1,
        "<taxii:Inbox_Message>\n  \
         <taxii:Destination_Collection_Name>c</taxii:Destination_Collection_Name>\n  \
         <taxii:Record_Count>1</taxii:Record_Count>\n  <taxii:Content_Block>\n    \
         <taxii:Content_Binding binding_id=\"urn:x\"/>\n    \
         <taxii:Content><a b=\"1\"/></taxii:Content>\n    \
         <taxii:Timestamp_Label>2015-01-17T00:00:00Z</taxii:Timestamp_Label>\n  \
         </taxii:Content_Block>\n</taxii:Inbox_Message>",
    );
    check(
        Ask::Inbox(&ask),
        Version::V1_0,
        "TAXII 1.0 has no destination collections; its inbox takes what it is sent",
    );
    let anywhere = InboxAsk {
        destinations: Vec::new(),
        ..ask
    };
    check(
        Ask::Inbox(&anywhere),
        Version::V1_0,
        "<taxii:Inbox_Message>\n  <taxii:Content_Block>\n    \
         <taxii:Content_Binding>urn:x</taxii:Content_Binding>\n    \
         <taxii:Content><a b=\"1\"/></taxii:Content>\n    \
         <taxii:Timestamp_Label>2015-01-17T00:00:00Z</taxii:Timestamp_Label>\n  \
         </taxii:Content_Block>\n</taxii:Inbox_Message>",
    );
}

#[test]
fn an_inbox_answers() {
    use crate::taxii::status::StatusType;
    let reply = StatusReply::new(StatusType::DestinationCollectionError, "not <here>")
        .detail("ACCEPTABLE_DESTINATION", "a&b");
    let of = |version| {
        let xml = reply.to_xml(version, "1", "2");
        xml.split_once("message_id")
            .unwrap()
            .1
            .trim_end()
            .to_owned()
    };
    assert_eq!(
        of(Version::V1_1),
        "=\"1\" in_response_to=\"2\" status_type=\"DESTINATION_COLLECTION_ERROR\">\n  \
         <taxii:Status_Detail>\n    \
         <taxii:Detail name=\"ACCEPTABLE_DESTINATION\">a&amp;b</taxii:Detail>\n  \
         </taxii:Status_Detail>\n  <taxii:Message>not &lt;here&gt;</taxii:Message>\n\
         </taxii:Status_Message>"
    );
    assert_eq!(
        of(Version::V1_0),
        "=\"1\" in_response_to=\"2\" status_type=\"FAILURE\">\n  \
         <taxii:Status_Detail>a&amp;b</taxii:Status_Detail>\n  \
         <taxii:Message>not &lt;here&gt;</taxii:Message>\n</taxii:Status_Message>"
    );
}

#[test]
fn each_version_says_in_its_own_way_when_to_come_again() {
    let now = Timestamp::parse("2015-01-01T00:00:00Z").unwrap().time();
    let reply = StatusReply::retry("full", std::time::Duration::from_secs(90), now);
    let said = reply.to_xml(Version::V1_1, "1", "2");
    assert!(
        said.contains("<taxii:Detail name=\"ESTIMATED_WAIT\">90</taxii:Detail>"),
        "{said}"
    );
    let said = reply.to_xml(Version::V1_0, "1", "2");
    assert!(
        said.contains("<taxii:Status_Detail>2015-01-01T00:01:30Z</taxii:Status_Detail>"),
        "{said}"
    );
}
