//! What is pushed, and when it is pushed again.

use std::sync::Mutex;
use std::time::Duration;

use hyper::Response;

use super::*;
use crate::simulator::server::LoopbackServer;

/// An inbox that keeps what it is sent, and answers what it is told to: a Status_Message by its
/// type and what is in it.
struct Inbox {
    server: LoopbackServer,
    messages: Arc<Journal<Message>>,
    answers: Arc<Mutex<Vec<Said>>>,
}

/// The type of a Status_Message, what is in it, and to which message it is the answer, if not to the
/// one that came.
type Said = (&'static str, String, Option<&'static str>);

#[derive(Debug, Clone)]
struct Message {
    headers: hyper::HeaderMap,
    body: String,
}

impl Inbox {
    fn start(version: TaxiiVersion) -> Self {
        let messages = Arc::new(Journal::new(100));
        let answers: Arc<Mutex<Vec<Said>>> = Arc::default();
        let tls = tls::fixture::server_for_known_clients();
        let server = LoopbackServer::start_over(Some(&tls), 0, {
            let (messages, answers) = (Arc::clone(&messages), Arc::clone(&answers));
            move |request: Request<Incoming>| {
                let (messages, answers) = (Arc::clone(&messages), Arc::clone(&answers));
                async move {
                    let (head, body) = request.into_parts();
                    let body = body::read(body, MAX_REQUEST_BYTES).await.unwrap();
                    let body = String::from_utf8(body.to_vec()).unwrap();
                    let id = Element::parse(&body)
                        .attribute("message_id")
                        .unwrap()
                        .to_owned();
                    messages.push(Message {
                        headers: head.headers,
                        body,
                    });
                    let next = answers.lock().unwrap().pop();
                    let (kind, content, to) = next.unwrap_or(("SUCCESS", String::new(), None));
                    let id = to.unwrap_or(&id);
                    let status = format!(
                        "<Status_Message xmlns=\"{}\" message_id=\"1\" in_response_to=\"{id}\" \
                         status_type=\"{kind}\">{content}</Status_Message>",
                        version.namespace()
                    );
                    let mut response = Response::new(body::whole(status));
                    for (name, value) in headers(version) {
                        response.headers_mut().insert(name, value.parse().unwrap());
                    }
                    Ok(response)
                }
            }
        });
        Self {
            server: server.unwrap(),
            messages,
            answers,
        }
    }

    fn url(&self) -> String {
        format!("https://{}/taxii/inbox", self.server.address())
    }

    /// What it answers next.
    fn will_answer(&self, kind: &'static str, content: &str) {
        self.answers
            .lock()
            .unwrap()
            .insert(0, (kind, content.to_owned(), None));
    }

    fn bodies(&self) -> Vec<String> {
        self.messages.map(|message| message.body.clone())
    }
}

fn package(number: u32) -> Publication {
    Publication {
        published: format!("2026-03-10T12:00:0{number}Z").parse().unwrap(),
        package_xml: format!("<p:STIX_Package xmlns:p=\"urn:p\">{number}</p:STIX_Package>").into(),
        events: Vec::new(),
        incidents: 0,
        flows: 0,
    }
}

/// Only a failure waits for the limit.
async fn soon(waiting: impl Future<Output = ()>) {
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(waited.is_ok(), "nothing happened");
}

/// The numbers of the packages that were sent, message by message.
fn sent(inbox: &Inbox) -> Vec<String> {
    let numbers = |body: &String| {
        let root = Element::parse(body);
        let packages = root.descendants("STIX_Package");
        packages
            .iter()
            .map(|package| package.text())
            .collect::<String>()
    };
    inbox.bodies().iter().map(numbers).collect()
}

fn outcomes(vendor: &VendorService) -> Vec<PushOutcome> {
    let pushes = vendor.pushes().into_iter();
    pushes.map(|push| push.outcome).collect()
}

async fn subscribed(version: TaxiiVersion) -> (VendorService, Inbox, String) {
    let (vendor, inbox) = (service(), Inbox::start(version));
    vendor.sign(&["Gold"]);
    let id = vendor.subscribe(version, &inbox.url()).await;
    (vendor, inbox, id)
}

#[tokio::test]
async fn in_1_0_the_range_has_its_begin_in_it() {
    let (vendor, inbox, _) = subscribed(V1_0).await;
    vendor.publish("Gold", [package(1)]);
    soon(vendor.wait_until_pushed()).await;
    let body = &inbox.bodies()[0];
    let id = vendor.pushes()[0].message_id.clone();
    let expected = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Inbox_Message xmlns="http://taxii.mitre.org/messages/taxii_xml_binding-1" message_id="{id}">
<Source_Subscription feed_name="Gold" subscription_id="customer.com-JGK8H84BF">
<Inclusive_Begin_Timestamp>2026-03-10T12:00:00.000001Z</Inclusive_Begin_Timestamp>
<Inclusive_End_Timestamp>2026-03-10T12:00:01.000000Z</Inclusive_End_Timestamp>
</Source_Subscription>
<Content_Block>
<Content_Binding>urn:stix.mitre.org:xml:1.1.1</Content_Binding>
<Content><p:STIX_Package xmlns:p="urn:p">1</p:STIX_Package></Content>
<Timestamp_Label>2026-03-10T12:00:01.000000Z</Timestamp_Label>
</Content_Block>
</Inbox_Message>
"#
    );
    assert_eq!(*body, expected);
    let head = &inbox.messages.entries()[0].headers;
    for (name, value) in headers(V1_0) {
        assert_eq!(head[name], value);
    }
}

#[tokio::test]
async fn in_1_1_ranges_meet_and_a_count_is_stated() {
    let (vendor, inbox, _) = subscribed(V1_1).await;
    vendor.publish("Gold", [package(1), package(2)]);
    vendor.publish("Platinum", [package(3)]);
    vendor.publish("Gold", [package(4)]);
    soon(vendor.wait_until_pushed()).await;
    assert_eq!(sent(&inbox), ["12", "4"]);
    let id = vendor.pushes()[1].message_id.clone();
    let expected = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Inbox_Message xmlns="http://taxii.mitre.org/messages/taxii_xml_binding-1.1" message_id="{id}">
<Destination_Collection_Name>from-vendor</Destination_Collection_Name>
<Source_Subscription collection_name="Gold">
<Subscription_ID>customer.com-JGK8H84BF</Subscription_ID>
<Exclusive_Begin_Timestamp>2026-03-10T12:00:02.000000Z</Exclusive_Begin_Timestamp>
<Inclusive_End_Timestamp>2026-03-10T12:00:04.000000Z</Inclusive_End_Timestamp>
</Source_Subscription>
<Record_Count>1</Record_Count>
<Content_Block>
<Content_Binding binding_id="urn:stix.mitre.org:xml:1.1.1"></Content_Binding>
<Content><p:STIX_Package xmlns:p="urn:p">4</p:STIX_Package></Content>
<Timestamp_Label>2026-03-10T12:00:04.000000Z</Timestamp_Label>
</Content_Block>
</Inbox_Message>
"#
    );
    assert_eq!(inbox.bodies()[1], expected);
}

#[tokio::test]
async fn what_is_not_taken_comes_again_and_nothing_overtakes_it() {
    let (vendor, inbox, _) = subscribed(V1_1).await;
    inbox.will_answer("FAILURE", "<Message>no room</Message>");
    inbox.will_answer(
        "RETRY",
        "<Status_Detail><Detail name=\"ESTIMATED_WAIT\">3600</Detail></Status_Detail>",
    );
    vendor.publish("Gold", [package(1)]);
    vendor.publish("Gold", [package(2)]);
    soon(vendor.wait_for_pushes(1)).await;
    vendor.push_now();
    soon(vendor.wait_for_pushes(2)).await;
    let refused = |status_type: &str, message: Option<&str>, wait| PushOutcome::Refused {
        status_type: status_type.to_owned(),
        message: message.map(str::to_owned),
        wait,
    };
    let hour = Duration::from_secs(3600);
    assert_eq!(
        outcomes(&vendor),
        [
            refused("FAILURE", Some("no room"), None),
            refused("RETRY", None, Some(hour))
        ]
    );
    vendor.push_now();
    soon(vendor.wait_until_pushed()).await;
    assert_eq!(sent(&inbox), ["1", "1", "1", "2"]);
    let pushes = vendor.pushes();
    let mut ids: Vec<_> = pushes.iter().map(|push| &push.message_id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 4, "each has its own");
}

#[tokio::test]
async fn in_1_0_a_retry_names_its_moment() {
    let (vendor, inbox, _) = subscribed(V1_0).await;
    inbox.will_answer(
        "RETRY",
        "<Status_Detail>2026-03-10T12:00:00Z</Status_Detail>",
    );
    inbox.will_answer("RETRY", "<Status_Detail>3600</Status_Detail>");
    vendor.publish("Gold", [package(1)]);
    soon(vendor.wait_for_pushes(2)).await;
    let [
        PushOutcome::Refused { wait, .. },
        PushOutcome::Wrong { reason },
    ] = &outcomes(&vendor)[..]
    else {
        panic!("{:?}", outcomes(&vendor));
    };
    assert_eq!(*wait, Some(Duration::ZERO), "the moment is now");
    assert!(reason.contains("3600"), "{reason}");
    vendor.push_now();
    soon(vendor.wait_until_pushed()).await;
    assert_eq!(sent(&inbox), ["1", "1", "1"]);
}

#[tokio::test]
async fn an_answer_of_the_other_version_is_none() {
    let (vendor, inbox) = (service(), Inbox::start(V1_1));
    vendor.sign(&["Gold"]);
    vendor.subscribe(V1_0, &inbox.url()).await;
    vendor.publish("Gold", [package(1)]);
    soon(vendor.wait_for_pushes(1)).await;
    let outcome = outcomes(&vendor).remove(0);
    let wrong =
        matches!(&outcome, PushOutcome::Wrong { reason } if reason.contains("Content-Type"));
    assert!(wrong, "{outcome:?}");
}

#[tokio::test]
async fn an_answer_to_another_message_is_none() {
    let (vendor, inbox, _) = subscribed(V1_1).await;
    let said = ("SUCCESS", String::new(), Some("0"));
    inbox.answers.lock().unwrap().push(said);
    vendor.publish("Gold", [package(1)]);
    soon(vendor.wait_for_pushes(1)).await;
    let outcome = outcomes(&vendor).remove(0);
    let wrong = matches!(&outcome, PushOutcome::Wrong { reason } if reason.contains("in response"));
    assert!(wrong, "{outcome:?}");
    vendor.push_now();
    soon(vendor.wait_until_pushed()).await;
    assert_eq!(sent(&inbox), ["1", "1"]);
}

#[tokio::test]
async fn an_inbox_that_is_away_gets_it_when_it_is_back() {
    let (vendor, inbox, _) = subscribed(V1_1).await;
    inbox.server.refuse_connections().await.unwrap();
    vendor.publish("Gold", [package(1)]);
    soon(vendor.wait_for_pushes(1)).await;
    let outcome = outcomes(&vendor).remove(0);
    assert!(matches!(outcome, PushOutcome::Failed { .. }), "{outcome:?}");
    inbox.server.accept_connections().await.unwrap();
    vendor.push_now();
    soon(vendor.wait_until_pushed()).await;
    assert_eq!(sent(&inbox), ["1"]);
}

#[tokio::test]
async fn a_pause_keeps_it_and_an_end_stops_it() {
    let (vendor, inbox, id) = subscribed(V1_1).await;
    let name = "Subscription_Management_Request";
    let ask = async |asked| {
        let rest = action(V1_1, asked, &id);
        subscription_id(&vendor.ask(V1_1, FEEDS_PATH, name, &rest).await)
    };
    ask("PAUSE").await;
    vendor.publish("Gold", [package(1)]);
    vendor.push_now();
    soon(vendor.wait_until_pushed()).await;
    assert_eq!(sent(&inbox), Vec::<String>::new());
    ask("RESUME").await;
    soon(vendor.wait_until_pushed()).await;
    assert_eq!(sent(&inbox), ["1"]);
    ask("UNSUBSCRIBE").await;
    vendor.publish("Gold", [package(2)]);
    // Another one is pushed to, after this one would have been.
    let other = Inbox::start(V1_1);
    vendor.subscribe(V1_1, &other.url()).await;
    vendor.publish("Gold", [package(3)]);
    soon(vendor.wait_until_pushed()).await;
    assert_eq!(
        (sent(&inbox), sent(&other)),
        (vec!["1".into()], vec!["3".into()])
    );
}
