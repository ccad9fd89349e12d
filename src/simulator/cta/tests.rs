//! The service over HTTP, through a client that shows every byte.

mod faults;
mod requests;

use std::io::Read;
use std::net::SocketAddr;

use chrono::{TimeDelta, Timelike};

use super::*;
use crate::clock::SimulatedClock;
use crate::simulator::content::ContentGenerator;
use crate::simulator::raw_client::{Failure, RawAnswer, open, send};
use crate::tree::Element;

const NS: &str = request::NAMESPACE_1_1;

const HEADERS: &[(&str, &str)] = &[
    ("Content-Type", "application/xml"),
    ("Accept", "application/xml"),
    ("User-Agent", "test"),
    (
        "X-TAXII-Content-Type",
        "urn:taxii.mitre.org:message:xml:1.1",
    ),
    ("X-TAXII-Accept", "urn:taxii.mitre.org:message:xml:1.1"),
    ("X-TAXII-Services", "urn:taxii.mitre.org:services:1.1"),
    ("X-TAXII-Protocol", "urn:taxii.mitre.org:protocol:http:1.0"),
    // user:pass
    ("Authorization", "Basic dXNlcjpwYXNz"),
];

/// A service with a clock that stands until it is moved, and a client that asks as it should.
struct Scene {
    service: CtaService,
    clock: Arc<SimulatedClock>,
    generator: ContentGenerator,
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn noon() -> DateTime<Utc> {
    at("2026-03-10T12:00:00Z")
}

fn scene(change: impl FnOnce(&mut CtaRules)) -> Scene {
    let clock = Arc::new(SimulatedClock::at(noon()));
    let mut rules = CtaRules::for_collections(&["c"]);
    change(&mut rules);
    Scene {
        service: CtaService::start(rules, Arc::clone(&clock) as Arc<dyn Clock>).unwrap(),
        clock,
        generator: ContentGenerator::new(1),
    }
}

fn poll_xml(collection: &str, begin: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> String {
    let bound = |name: &str, time: Option<DateTime<Utc>>| match time {
        Some(time) => format!("<{name}>{}</{name}>", time.to_rfc3339()),
        None => String::new(),
    };
    format!(
        "<Poll_Request xmlns=\"{NS}\" message_id=\"m1\" collection_name=\"{collection}\">{}{}\
         <Poll_Parameters allow_asynch=\"false\"/></Poll_Request>",
        bound("Exclusive_Begin_Timestamp", begin),
        bound("Inclusive_End_Timestamp", end),
    )
}

fn fulfillment_xml(result_id: &str, part: u32) -> String {
    format!(
        "<Poll_Fulfillment xmlns=\"{NS}\" message_id=\"m2\" collection_name=\"c\" \
         result_id=\"{result_id}\" result_part_number=\"{part}\"/>"
    )
}

impl Scene {
    fn address(&self) -> SocketAddr {
        self.service.server.address()
    }

    /// Publishes with stamps so many minutes before noon.
    fn publish(&mut self, minutes_before: &[i64]) -> Vec<EventId> {
        let mut ids = Vec::new();
        for minutes in minutes_before {
            let publication = self
                .generator
                .publication(noon() - TimeDelta::minutes(*minutes));
            ids.extend(&publication.events);
            self.service.publish(publication);
        }
        ids
    }

    async fn try_post(&self, body: &str) -> Result<RawAnswer, Failure> {
        send(self.address(), "POST", POLL_PATH, HEADERS, body.as_bytes()).await
    }

    async fn post(&self, body: &str) -> RawAnswer {
        self.try_post(body).await.unwrap()
    }

    /// Polls when the gate is open again.
    async fn poll(&self, begin: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> Element {
        self.clock.advance(Duration::from_secs(600));
        let answer = self.post(&poll_xml("c", begin, end)).await;
        assert_eq!(answer.status, 200);
        Element::parse(answer.text())
    }

    async fn poll_all(&self) -> Element {
        self.poll(None, None).await
    }

    async fn fulfil(&self, result_id: &str, part: u32) -> Element {
        Element::parse(self.post(&fulfillment_xml(result_id, part)).await.text())
    }

    fn last_answer(&self) -> String {
        self.service.requests().pop().unwrap().answer
    }
}

fn stated(answer: &Element, name: &str) -> Option<String> {
    answer.children(name).first().map(|child| child.text())
}

fn packages(answer: &Element) -> usize {
    answer.descendants("STIX_Package").len()
}

fn status_type(answer: &Element) -> &str {
    assert_eq!(answer.name, "Status_Message");
    answer.attribute("status_type").unwrap()
}

fn detail(answer: &Element, name: &str) -> Option<String> {
    let details = answer.descendants("Detail");
    let mut details = details.iter();
    details
        .find(|detail| detail.attribute("name") == Some(name))
        .map(|detail| detail.text())
}

#[tokio::test]
async fn a_window_excludes_its_begin_and_includes_its_end() {
    let mut scene = scene(|_| {});
    scene.publish(&[60, 50, 40]);
    let begin = noon() - TimeDelta::minutes(60);
    let end = noon() - TimeDelta::minutes(40);
    let answer = scene.poll(Some(begin), Some(end)).await;
    assert_eq!(packages(&answer), 2);
    assert_eq!(answer.attribute("in_response_to"), Some("m1"));
    assert_eq!(answer.attribute("collection_name"), Some("c"));
    assert_eq!(
        stated(&answer, "Exclusive_Begin_Timestamp").unwrap(),
        "2026-03-10T11:00:00.000000Z"
    );
    // The end is echoed as it was written.
    assert_eq!(
        stated(&answer, "Inclusive_End_Timestamp").unwrap(),
        "2026-03-10T11:20:00+00:00"
    );
}

#[tokio::test]
async fn without_bounds_everything_kept_is_served_in_the_order_of_stamps() {
    let mut scene = scene(|_| {});
    let day = 24 * 60;
    let newest = scene.publish(&[1]);
    let older = scene.publish(&[20 * day]);
    scene.publish(&[31 * day]);
    let answer = scene.poll_all().await;
    assert_eq!(packages(&answer), 2);
    assert_eq!(stated(&answer, "Exclusive_Begin_Timestamp"), None);
    assert_eq!(
        stated(&answer, "Inclusive_End_Timestamp").unwrap(),
        "2026-03-10T12:10:00.000000Z"
    );
    let ids = scene.service.published_ids();
    assert!(ids.ends_with(&[older, newest].concat()));
}

#[tokio::test]
async fn a_longer_window_is_cut_to_the_last_three_days_before_its_end() {
    let mut scene = scene(|_| {});
    let day = 24 * 60;
    scene.publish(&[8 * day, 5 * day, 3 * day]);
    let end = noon() - TimeDelta::days(3);
    let answer = scene
        .poll(Some(noon() - TimeDelta::days(9)), Some(end))
        .await;
    assert_eq!(
        stated(&answer, "Exclusive_Begin_Timestamp").unwrap(),
        "2026-03-04T12:00:00.000000Z"
    );
    assert_eq!(packages(&answer), 2);
    scene.service.change_rules(|rules| rules.max_window = None);
    let answer = scene
        .poll(Some(noon() - TimeDelta::days(9)), Some(end))
        .await;
    assert_eq!(packages(&answer), 3);
}

#[tokio::test]
async fn what_is_no_longer_kept_is_not_in_the_window_that_is_stated() {
    let mut scene = scene(|rules| rules.max_window = None);
    let day = 24 * 60;
    scene.publish(&[31 * day, 29 * day]);
    let days_before = |days| Some(noon() - TimeDelta::days(days));
    let answer = scene.poll(days_before(40), days_before(20)).await;
    let begin = stated(&answer, "Exclusive_Begin_Timestamp").unwrap();
    assert_eq!(begin, "2026-02-08T12:10:00.000000Z");
    assert_eq!(packages(&answer), 1);
    let answer = scene.poll(days_before(40), days_before(35)).await;
    let begin = stated(&answer, "Exclusive_Begin_Timestamp").unwrap();
    let end = stated(&answer, "Inclusive_End_Timestamp").unwrap();
    assert_eq!(at(&begin), at(&end));
}

#[tokio::test]
async fn content_shows_once_the_clock_of_the_service_reaches_its_stamp() {
    let mut scene = scene(|rules| rules.clock_skew = TimeDelta::hours(-1));
    scene.publish(&[30]);
    assert_eq!(scene.service.now(), noon() - TimeDelta::hours(1));
    assert_eq!(packages(&scene.poll_all().await), 0);
    scene.clock.advance(Duration::from_secs(1800));
    assert_eq!(packages(&scene.poll_all().await), 1);
    let answer = scene.post(&poll_xml("c", None, None)).await;
    assert_eq!(answer.header("date"), Some("Tue, 10 Mar 2026 11:50:00 GMT"));
}

#[tokio::test]
async fn an_end_in_the_future_is_echoed_or_cut_or_left_out() {
    let scene = scene(|_| {});
    let end = noon() + TimeDelta::hours(5);
    let mut ends = Vec::new();
    for policy in [EndPolicy::Echo, EndPolicy::OwnTime, EndPolicy::Omit] {
        scene
            .service
            .change_rules(|rules| rules.end_policy = policy);
        let answer = scene.poll(Some(noon()), Some(end)).await;
        ends.push(stated(&answer, "Inclusive_End_Timestamp"));
    }
    let expected = [
        Some("2026-03-10T17:00:00+00:00"),
        Some("2026-03-10T12:20:00.000000Z"),
        None,
    ];
    assert_eq!(
        ends.iter().map(Option::as_deref).collect::<Vec<_>>(),
        expected
    );
}

#[tokio::test]
async fn one_poll_in_ten_minutes_whatever_the_collection() {
    let scene = scene(|rules| rules.accounts[0].collections.push("d".to_owned()));
    let type_of = async |collection| {
        let answer = scene.post(&poll_xml(collection, None, None)).await;
        assert_eq!(answer.status, 200);
        Element::parse(answer.text()).name
    };
    assert_eq!(type_of("c").await, "Poll_Response");
    scene.clock.advance(Duration::from_secs(599));
    assert_eq!(type_of("d").await, "Status_Message");
    assert!(
        scene
            .last_answer()
            .starts_with("FAILURE: Only one poll request")
    );
    // Refused polls do not count, nor does the wall clock.
    scene.clock.set_wall_clock(noon() - TimeDelta::days(1));
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!(type_of("d").await, "Poll_Response");
    scene
        .service
        .change_rules(|rules| rules.gate_scope = GateScope::Collection);
    assert_eq!(type_of("c").await, "Poll_Response");
    assert_eq!(type_of("c").await, "Status_Message");
    let accepted: Vec<bool> = scene
        .service
        .requests()
        .iter()
        .map(|request| request.accepted)
        .collect();
    assert_eq!(accepted, [true, false, true, true, false]);
}

#[tokio::test]
async fn answers_come_in_parts_that_can_be_asked_again() {
    let mut scene = scene(|rules| rules.publications_per_part = 2);
    scene.publish(&[50, 40, 30, 20, 10]);
    let first = scene.poll_all().await;
    assert_eq!(first.attribute("more"), Some("true"));
    assert_eq!(first.attribute("result_part_number"), Some("1"));
    let result_id = first.attribute("result_id").unwrap();
    for _ in 0..2 {
        let last = scene.fulfil(result_id, 3).await;
        assert_eq!(last.attribute("more"), Some("false"));
        assert_eq!(packages(&last), 1);
        assert_eq!(
            scene.fulfil(result_id, 1).await.descendants("Incident"),
            first.descendants("Incident")
        );
    }
    let beyond = scene.fulfil(result_id, 4).await;
    assert_eq!(status_type(&beyond), "INVALID_RESPONSE_PART");
    assert_eq!(detail(&beyond, "MAX_PART_NUMBER").as_deref(), Some("3"));
    assert_eq!(beyond.attribute("in_response_to"), Some("m2"));
    scene.clock.advance(Duration::from_secs(3600));
    assert_eq!(status_type(&scene.fulfil(result_id, 2).await), "NOT_FOUND");
}

#[tokio::test]
async fn a_result_is_for_the_client_and_the_collection_that_asked() {
    let mut scene = scene(|rules| {
        rules.publications_per_part = 1;
        rules.accounts[0].collections.push("d".to_owned());
        rules.accounts.push(Account {
            username: "other".to_owned(),
            password: "word".to_owned(),
            collections: vec!["c".to_owned()],
        });
    });
    scene.publish(&[20, 10]);
    let first = scene.poll_all().await;
    let xml = fulfillment_xml(first.attribute("result_id").unwrap(), 2);
    let mut headers = HEADERS.to_vec();
    // other:word
    headers.last_mut().unwrap().1 = "Basic b3RoZXI6d29yZA==";
    let address = scene.address();
    let answer = send(address, "POST", POLL_PATH, &headers, xml.as_bytes())
        .await
        .unwrap();
    assert_eq!(status_type(&Element::parse(answer.text())), "NOT_FOUND");
    let elsewhere = scene.post(&xml.replace("\"c\"", "\"d\"")).await;
    assert_eq!(status_type(&Element::parse(elsewhere.text())), "NOT_FOUND");
    assert_eq!(
        Element::parse(scene.post(&xml).await.text()).name,
        "Poll_Response"
    );
}

#[tokio::test]
async fn later_parts_may_state_later_bounds_that_meet() {
    let mut scene = scene(|rules| {
        rules.publications_per_part = 2;
        rules.later_parts_state_later_bounds = true;
    });
    scene.publish(&[50, 40, 30]);
    let first = scene
        .poll(Some(noon() - TimeDelta::hours(1)), Some(noon()))
        .await;
    let second = scene.fulfil(first.attribute("result_id").unwrap(), 2).await;
    let begin = |part| stated(part, "Exclusive_Begin_Timestamp").unwrap();
    let end = |part| stated(part, "Inclusive_End_Timestamp").unwrap();
    assert_eq!(begin(&first), "2026-03-10T11:00:00.000000Z");
    assert_eq!(end(&first), "2026-03-10T11:20:00.000000Z");
    assert_eq!(begin(&second), end(&first));
    assert_eq!(end(&second), "2026-03-10T12:00:00+00:00");
}

#[tokio::test]
async fn content_stands_as_elements_escaped_or_in_cdata() {
    let mut scene = scene(|rules| rules.publications_per_block = 2);
    scene.publish(&[30, 20, 10]);
    let plain = scene.poll_all().await;
    assert_eq!(plain.children("Content_Block").len(), 2);
    let plain: Vec<Element> = plain
        .descendants("STIX_Package")
        .into_iter()
        .cloned()
        .collect();
    for style in [ContentStyle::Escaped, ContentStyle::Cdata] {
        scene
            .service
            .change_rules(|rules| rules.content_style = style);
        let answer = scene.poll_all().await;
        assert_eq!(packages(&answer), 0);
        let texts = answer.descendants("Content").into_iter().map(Element::text);
        let all = format!("<all>{}</all>", texts.collect::<String>());
        assert_eq!(
            Element::parse(&all).elements().cloned().collect::<Vec<_>>(),
            plain
        );
    }
}

#[tokio::test]
async fn only_the_count_can_be_asked_for() {
    let mut scene = scene(|_| {});
    scene.publish(&[20, 10]);
    let parameters = "<Poll_Parameters allow_asynch=\"false\"><Response_Type>COUNT_ONLY</Response_Type></Poll_Parameters>";
    let xml =
        poll_xml("c", None, None).replace("<Poll_Parameters allow_asynch=\"false\"/>", parameters);
    let answer = Element::parse(scene.post(&xml).await.text());
    assert_eq!(stated(&answer, "Record_Count").as_deref(), Some("2"));
    assert_eq!(packages(&answer), 0);
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_accept_it() {
    let mut scene = scene(|_| {});
    scene.publish(&[10]);
    let headers = [HEADERS, &[("Accept-Encoding", "gzip, br")]].concat();
    let body = poll_xml("c", None, None);
    let answer = send(
        scene.address(),
        "POST",
        POLL_PATH,
        &headers,
        body.as_bytes(),
    )
    .await
    .unwrap();
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(answer.body.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(packages(&Element::parse(&text)), 1);
}

#[tokio::test]
async fn stamps_finer_than_a_microsecond_are_cut_so_that_stated_ends_cover_them() {
    let mut scene = scene(|rules| rules.end_policy = EndPolicy::OwnTime);
    let fine = noon().with_nanosecond(999_999_999).unwrap();
    scene.clock.set_wall_clock(fine);
    scene.service.publish(scene.generator.publication(fine));
    let answer = Element::parse(scene.post(&poll_xml("c", None, None)).await.text());
    assert_eq!(packages(&answer), 1);
    let end = at(&stated(&answer, "Inclusive_End_Timestamp").unwrap());
    let answer = scene.poll(Some(end), None).await;
    assert_eq!(packages(&answer), 0);
}
