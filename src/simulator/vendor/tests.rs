//! What is asked and answered; `tests/pushing.rs` is about what is pushed.

mod pushing;

use std::sync::Arc;

use super::*;
use crate::clock::SimulatedClock;
use crate::simulator::content::ContentGenerator;
use crate::simulator::raw_client::exchange;
use crate::simulator::tls;
use crate::tree::Element;

use TaxiiVersion::{V1_0, V1_1};

const CUSTOMER: &str = "customer.com";
const INBOX: &str = "https://www.customer.com/taxii/inbox";

fn service() -> VendorService {
    service_of(TaxiiVersion::ALL.to_vec())
}

fn service_of(versions: Vec<TaxiiVersion>) -> VendorService {
    let pushes_as = PusherTls {
        ca_pem: tls::fixture::pem("ca.pem"),
        certificate_pem: tls::fixture::pem("client.pem"),
        key_pem: tls::fixture::pem("client.key"),
    };
    let rules = VendorRules {
        versions,
        destinations: vec!["from-vendor".to_owned()],
        ..VendorRules::new(tls::fixture::server_for_known_clients(), pushes_as)
    };
    let clock = SimulatedClock::at("2026-03-10T12:00:00Z".parse().unwrap());
    VendorService::start(&rules, Arc::new(clock)).unwrap()
}

impl VendorService {
    fn sign(&self, feeds: &[&str]) {
        let certificate = tls::fixture::pem("client.pem");
        self.sign_contract(CUSTOMER, &certificate, feeds).unwrap();
    }

    /// The answer to a message, which is one of the same version and in response to it.
    async fn ask(&self, version: TaxiiVersion, path: &str, name: &str, rest: &str) -> Element {
        let namespace = version.namespace();
        let body = format!("<{name} xmlns=\"{namespace}\" message_id=\"17\" {rest}</{name}>");
        let answer = self.send(&headers(version), path, &body).await;
        assert_eq!(answer.status, 200, "{body}");
        let binding = version.message_binding();
        assert_eq!(answer.header("x-taxii-content-type"), Some(binding));
        assert_eq!(answer.header("x-taxii-services"), Some(version.services()));
        assert_eq!(answer.header("x-taxii-protocol"), Some(PROTOCOL));
        let root = Element::parse(answer.text());
        assert_eq!(root.namespace, namespace);
        assert_eq!(root.attribute("in_response_to"), Some("17"));
        root
    }

    async fn send(
        &self,
        headers: &[(&str, &str)],
        path: &str,
        body: &str,
    ) -> crate::simulator::raw_client::RawAnswer {
        let stream = tls::fixture::connect(self.server.address(), true).await;
        let stream = stream.unwrap();
        let sent = exchange(stream, "POST", path, headers, body.as_bytes()).await;
        sent.unwrap()
    }

    async fn subscribe(&self, version: TaxiiVersion, address: &str) -> String {
        let name = "Subscription_Management_Request";
        let rest = subscribe(version, "Gold", address);
        let told = self.ask(version, FEEDS_PATH, name, &rest).await;
        subscription_id(&told)
    }
}

const PROTOCOL: &str = "urn:taxii.mitre.org:protocol:https:1.0";

fn headers(version: TaxiiVersion) -> Vec<(&'static str, &'static str)> {
    vec![
        ("Content-Type", "application/xml"),
        ("Accept", "application/xml"),
        ("X-TAXII-Content-Type", version.message_binding()),
        ("X-TAXII-Accept", version.message_binding()),
        ("X-TAXII-Protocol", PROTOCOL),
        ("X-TAXII-Services", version.services()),
    ]
}

/// The rest of a SUBSCRIBE.
fn subscribe(version: TaxiiVersion, feed: &str, address: &str) -> String {
    let attribute = version.feed_attribute();
    let parameters = match version {
        V1_0 => "",
        V1_1 => {
            "<Subscription_Parameters><Response_Type>FULL</Response_Type></Subscription_Parameters>"
        }
    };
    let binding = version.message_binding();
    format!(
        "action=\"SUBSCRIBE\" {attribute}=\"{feed}\">{parameters}<Push_Parameters>\
         <Protocol_Binding>{PROTOCOL}</Protocol_Binding><Address>{address}</Address>\
         <Message_Binding>{binding}</Message_Binding></Push_Parameters>"
    )
}

/// The rest of another action on a subscription to Gold.
fn action(version: TaxiiVersion, action: &str, id: &str) -> String {
    match version {
        V1_0 => format!("action=\"{action}\" feed_name=\"Gold\" subscription_id=\"{id}\">"),
        V1_1 => format!(
            "action=\"{action}\" collection_name=\"Gold\"><Subscription_ID>{id}</Subscription_ID>"
        ),
    }
}

fn poll(version: TaxiiVersion, id: &str, window: &str) -> String {
    match version {
        V1_0 => format!("feed_name=\"Gold\" subscription_id=\"{id}\">{window}"),
        V1_1 => format!("collection_name=\"Gold\">{window}<Subscription_ID>{id}</Subscription_ID>"),
    }
}

fn subscription_id(told: &Element) -> String {
    assert_eq!(told.name, "Subscription_Management_Response", "{told:?}");
    let known = told.children("Subscription");
    assert_eq!(known.len(), 1);
    match known[0].attribute("subscription_id") {
        Some(id) => id.to_owned(),
        None => known[0].children("Subscription_ID")[0].text(),
    }
}

#[track_caller]
fn assert_status(answer: &Element, kind: &str) {
    assert_eq!(answer.name, "Status_Message", "{answer:?}");
    assert_eq!(answer.attribute("status_type"), Some(kind), "{answer:?}");
}

fn available(answer: &Element, item: &str) -> Vec<String> {
    let items = answer.children(item).into_iter();
    items
        .map(|item| item.attribute("available").unwrap().to_owned())
        .collect()
}

async fn tells_what_there_is_and_sells_it(version: TaxiiVersion) {
    let vendor = service();
    let (information, item) = match version {
        V1_0 => ("Feed_Information_Request", "Feed"),
        V1_1 => ("Collection_Information_Request", "Collection"),
    };
    let services = vendor
        .ask(version, DISCOVERY_PATH, "Discovery_Request", ">")
        .await;
    let addresses = services.descendants("Address");
    assert_eq!(addresses[0].text(), vendor.discovery_url());
    assert_eq!(addresses[1].text(), vendor.feeds_url());
    assert_eq!(
        available(&services, "Service_Instance"),
        ["true", "true", "false"].repeat(2)
    );
    let feeds = vendor.ask(version, FEEDS_PATH, information, ">").await;
    assert_eq!(available(&feeds, item), ["false", "false"]);

    let name = "Subscription_Management_Request";
    for feed in ["Gold", "None such"] {
        let asked = subscribe(version, feed, INBOX);
        let refused = vendor.ask(version, FEEDS_PATH, name, &asked).await;
        assert_status(&refused, "UNAUTHORIZED");
    }
    vendor.sign(&["Gold"]);
    let feeds = vendor.ask(version, FEEDS_PATH, information, ">").await;
    assert_eq!(available(&feeds, item), ["false", "true"]);
    for (feed, status) in [("Platinum", "UNAUTHORIZED"), ("None such", "NOT_FOUND")] {
        let asked = subscribe(version, feed, INBOX);
        let refused = vendor.ask(version, FEEDS_PATH, name, &asked).await;
        assert_status(&refused, status);
    }
    let id = vendor.subscribe(version, INBOX).await;
    assert_eq!(id, "customer.com-JGK8H84BF");
    assert_eq!(vendor.subscribe(version, INBOX).await, id, "the same again");
    let other = vendor
        .subscribe(version, "https://other.customer.com/")
        .await;
    assert!(other.starts_with("customer.com-") && other != id, "{other}");
    let customers = vendor.requests();
    let mut customers = customers.iter().map(|request| request.customer.as_deref());
    assert_eq!(customers.clone().filter(Option::is_none).count(), 4);
    assert_eq!(customers.next_back().unwrap(), Some(CUSTOMER));
}

#[tokio::test]
async fn tells_what_there_is_and_sells_it_in_1_0() {
    tells_what_there_is_and_sells_it(V1_0).await;
}

#[tokio::test]
async fn tells_what_there_is_and_sells_it_in_1_1() {
    tells_what_there_is_and_sells_it(V1_1).await;
}

async fn serves_subscribers(version: TaxiiVersion) {
    let vendor = service();
    let mut generator = ContentGenerator::new(3);
    let at = |minute: i64| vendor.now() - chrono::TimeDelta::minutes(minute);
    let history = [30, 20, 10].map(|minute| generator.publication(at(minute)));
    vendor.publish("Gold", history);
    vendor.sign(&["Gold"]);
    let id = vendor.subscribe(version, INBOX).await;
    let ask = async |rest: String| vendor.ask(version, FEEDS_PATH, "Poll_Request", &rest).await;
    let blocks = |answer: &Element| {
        let labels = answer.descendants("Timestamp_Label");
        labels.iter().map(|label| label.text()).collect::<Vec<_>>()
    };
    let all = ask(poll(version, &id, "")).await;
    assert_eq!(
        blocks(&all),
        [
            "2026-03-10T11:30:00.000000Z",
            "2026-03-10T11:40:00.000000Z",
            "2026-03-10T11:50:00.000000Z"
        ]
    );
    let end = all.children("Inclusive_End_Timestamp")[0].text();
    assert_eq!(end, "2026-03-10T12:00:00.000000Z");
    let window = "<Exclusive_Begin_Timestamp>2026-03-10T11:30:00Z</Exclusive_Begin_Timestamp>\
                  <Inclusive_End_Timestamp>2026-03-10T12:40:00+01:00</Inclusive_End_Timestamp>";
    let one = ask(poll(version, &id, window)).await;
    assert_eq!(blocks(&one), ["2026-03-10T11:40:00.000000Z"]);
    let end = one.children("Inclusive_End_Timestamp")[0].text();
    assert_eq!(end, "2026-03-10T12:40:00+01:00");
    // What comes later than an end that was stated lies behind it.
    vendor.publish("Gold", [generator.publication(at(15))]);
    let late = ask(poll(version, &id, "")).await;
    assert_eq!(blocks(&late)[3], "2026-03-10T12:00:00.000001Z");
    let refused = ask(poll(version, "customer.com-NONESUCH", "")).await;
    assert_status(&refused, "NOT_FOUND");
    let without = match version {
        V1_0 => "feed_name=\"Gold\">",
        V1_1 => "collection_name=\"Gold\"><Poll_Parameters/>",
    };
    assert_status(&ask(without.to_owned()).await, "DENIED");
}

#[tokio::test]
async fn serves_subscribers_in_1_0() {
    serves_subscribers(V1_0).await;
}

#[tokio::test]
async fn serves_subscribers_in_1_1() {
    serves_subscribers(V1_1).await;
}

#[tokio::test]
async fn subscriptions_are_shown_rest_and_end() {
    let vendor = service();
    vendor.sign(&["Gold"]);
    let name = "Subscription_Management_Request";
    let id = vendor.subscribe(V1_1, INBOX).await;
    let ask = async |version, rest: String| vendor.ask(version, FEEDS_PATH, name, &rest).await;
    for (asked, state) in [
        ("PAUSE", "PAUSED"),
        ("PAUSE", "PAUSED"),
        ("STATUS", "PAUSED"),
        ("RESUME", "ACTIVE"),
        ("STATUS", "ACTIVE"),
        ("UNSUBSCRIBE", "UNSUBSCRIBED"),
        ("UNSUBSCRIBE", "UNSUBSCRIBED"),
    ] {
        let told = ask(V1_1, action(V1_1, asked, &id)).await;
        assert_eq!(subscription_id(&told), id);
        let known = told.children("Subscription")[0].attribute("status");
        assert_eq!(known, Some(state), "{asked}");
    }
    for asked in ["PAUSE", "RESUME", "STATUS"] {
        assert_status(&ask(V1_1, action(V1_1, asked, &id)).await, "NOT_FOUND");
    }
    let id = vendor.subscribe(V1_0, INBOX).await;
    // In 1.0 it is about all of them.
    let told = ask(V1_0, action(V1_0, "STATUS", "any")).await;
    assert_eq!(subscription_id(&told), id);
    assert_eq!(told.descendants("Push_Parameters").len(), 1);
    let told = ask(V1_0, action(V1_0, "UNSUBSCRIBE", &id)).await;
    assert_eq!(subscription_id(&told), id);
    let told = ask(V1_0, "action=\"STATUS\" feed_name=\"Gold\">".to_owned()).await;
    assert!(told.children("Subscription").is_empty());
    assert_eq!(vendor.subscriptions(), []);
}

#[tokio::test]
async fn headers_that_are_not_as_they_must_be_are_refused() {
    let vendor = service_of(vec![V1_0]);
    let body = |version: TaxiiVersion| {
        let namespace = version.namespace();
        format!("<Discovery_Request xmlns=\"{namespace}\" message_id=\"17\"/>")
    };
    let send = async |headers: &[(&str, &str)], version| {
        vendor.send(headers, DISCOVERY_PATH, &body(version)).await
    };
    let status = async |headers: &[(&str, &str)], version| {
        let answer = send(headers, version).await;
        assert_eq!(answer.status, 200);
        let root = Element::parse(answer.text());
        let detail = root.children("Status_Detail");
        let detail = detail.first().map(|detail| detail.text());
        (root.attribute("status_type").unwrap().to_owned(), detail)
    };
    let of = |kind: &str, detail: Option<&str>| (kind.to_owned(), detail.map(str::to_owned));
    let unsupported = of("UNSUPPORTED_MESSAGE", Some(V1_0.message_binding()));
    assert_eq!(status(&headers(V1_1), V1_1).await, unsupported);
    let with = |name: &'static str, value: Option<&'static str>| {
        let mut headers = headers(V1_0);
        headers.retain(|(key, _)| *key != name);
        headers.extend(value.map(|value| (name, value)));
        headers
    };
    for name in [
        "X-TAXII-Content-Type",
        "X-TAXII-Protocol",
        "X-TAXII-Services",
    ] {
        let found = status(&with(name, None), V1_0).await;
        assert_eq!(found, of("BAD_MESSAGE", None), "{name}");
    }
    let other = with("X-TAXII-Services", Some(V1_1.services()));
    assert_eq!(status(&other, V1_0).await, of("BAD_MESSAGE", None));
    let plain = with(
        "X-TAXII-Protocol",
        Some("urn:taxii.mitre.org:protocol:http:1.0"),
    );
    let found = status(&plain, V1_0).await;
    assert_eq!(found, of("UNSUPPORTED_PROTOCOL", Some(PROTOCOL)));
    let other = with("X-TAXII-Accept", Some(V1_1.message_binding()));
    assert_eq!(status(&other, V1_0).await, unsupported);
    assert_eq!(status(&headers(V1_0), V1_1).await, of("BAD_MESSAGE", None));
    for (name, status) in [("Content-Type", 415), ("Accept", 406)] {
        let answer = send(&with(name, Some("text/html")), V1_0).await;
        assert_eq!(answer.status, status);
    }
    let elsewhere = vendor.send(&headers(V1_0), "/", &body(V1_0)).await;
    assert_eq!(elsewhere.status, 404);
}

#[tokio::test]
async fn messages_that_are_not_as_the_schema_has_them_are_refused() {
    let vendor = service();
    vendor.sign(&["Gold"]);
    let id = vendor.subscribe(V1_1, INBOX).await;
    let (manage, begin, end) = (
        "Subscription_Management_Request",
        "<Exclusive_Begin_Timestamp>2026-03-10T11:30:00Z</Exclusive_Begin_Timestamp>",
        "<Inclusive_End_Timestamp>2026-03-10T11:40:00Z</Inclusive_End_Timestamp>",
    );
    let bad = |version, name, rest: &str| (version, name, rest.to_owned(), "BAD_MESSAGE");
    let mut cases = vec![
        bad(V1_1, "Discovery_Request", "verbose=\"1\">"),
        bad(V1_1, "Inbox_Message", ">"),
        bad(V1_0, "Poll_Fulfillment", "feed_name=\"Gold\">"),
        bad(V1_0, "Collection_Information_Request", ">"),
        bad(V1_1, "Feed_Information_Request", ">"),
        bad(V1_1, manage, "action=\"PAUSE\" collection_name=\"Gold\">"),
        bad(
            V1_1,
            manage,
            "action=\"SUBSCRIBE\" collection_name=\"Gold\">",
        ),
        bad(V1_1, manage, &action(V1_1, "CANCEL", &id)),
        bad(V1_0, manage, &action(V1_0, "PAUSE", &id)),
        bad(V1_0, manage, "action=\"STATUS\" collection_name=\"Gold\">"),
        bad(V1_1, manage, &action(V1_0, "STATUS", &id)),
        bad(V1_1, manage, &subscribe(V1_0, "Gold", INBOX)),
        bad(V1_1, "Poll_Request", "collection_name=\"Gold\">"),
        bad(
            V1_1,
            "Poll_Request",
            "feed_name=\"Gold\"><Poll_Parameters/>",
        ),
    ];
    for version in TaxiiVersion::ALL {
        for window in [
            format!("{end}{begin}"),
            format!("{begin}{begin}"),
            format!("text{begin}"),
            begin.replace("11:30:00Z", "11:30:00"),
            begin.replace("11:30:00Z", "11:30:00.0000001Z"),
            begin.replace("10T11", "10 11"),
            begin.replace("11:30", "11:40") + end,
        ] {
            cases.push(bad(version, "Poll_Request", &poll(version, &id, &window)));
        }
        let unsupported = |from, to| subscribe(version, "Gold", INBOX).replace(from, to);
        let binding = unsupported(version.message_binding(), "urn:example:binding");
        cases.push((version, manage, binding, "UNSUPPORTED_MESSAGE"));
        let protocol = unsupported("https:1.0", "http:1.0");
        cases.push((version, manage, protocol, "UNSUPPORTED_PROTOCOL"));
        let address = unsupported("https://", "http://");
        cases.push((version, manage, address, "BAD_MESSAGE"));
    }
    let content = subscribe(V1_0, "Gold", INBOX).replace(
        "</Push_Parameters>",
        "<Content_Binding>urn:example:content</Content_Binding></Push_Parameters>",
    );
    cases.push((V1_0, manage, content, "UNSUPPORTED_CONTENT"));
    let content = subscribe(V1_1, "Gold", INBOX).replace(
        "</Response_Type>",
        "</Response_Type><Content_Binding binding_id=\"urn:example:content\"/>",
    );
    cases.push((V1_1, manage, content, "UNSUPPORTED_CONTENT"));
    for (version, name, rest, kind) in cases {
        let refused = vendor.ask(version, FEEDS_PATH, name, &rest).await;
        assert_eq!(refused.name, "Status_Message", "{name} {rest}");
        let found = refused.attribute("status_type");
        assert_eq!(found, Some(kind), "{name} {rest}: {refused:?}");
    }
    let elsewhere = vendor.ask(V1_1, FEEDS_PATH, "Discovery_Request", ">").await;
    assert_status(&elsewhere, "BAD_MESSAGE");
    assert_eq!(vendor.subscriptions().len(), 1);
}
