//! The server over HTTP, through a client that shows every byte.

mod acknowledgement;
mod faults;
mod indexers;

use std::io::Write;

use serde_json::json;

use super::*;
use crate::simulator::raw_client::{Failure, RawAnswer, exchange, get, open, send};
use crate::simulator::tls;

const TOKEN: (&str, &str) = (
    "Authorization",
    "Splunk 11111111-2222-3333-4444-555555555555",
);
const CHANNEL: &str = "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba";
const CHANNELLED: [(&str, &str); 2] = [TOKEN, ("X-Splunk-Request-Channel", CHANNEL)];
const JSON: (&str, &str) = ("Content-Type", "application/json");
const ACK: &str = "/services/collector/ack?channel=0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba";
const EVENTS: &str = "/services/collector/event";

fn server(change: impl FnOnce(&mut HecRules)) -> HecServer {
    let mut rules = HecRules::default();
    change(&mut rules);
    HecServer::start(rules).unwrap()
}

/// As many events, numbered.
fn events(count: usize) -> String {
    (0..count)
        .map(|n| json!({"event": {"n": n}}).to_string())
        .collect()
}

async fn try_post(
    server: &HecServer,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<RawAnswer, Failure> {
    send(server.server.address(), "POST", path, headers, body).await
}

async fn post(server: &HecServer, headers: &[(&str, &str)], body: &str) -> RawAnswer {
    try_post(server, EVENTS, headers, body.as_bytes())
        .await
        .unwrap()
}

/// Status, code and invalid-event-number.
fn told(answer: &RawAnswer) -> (u16, Option<u64>, Option<u64>) {
    let body = if answer.body.is_empty() {
        json!({})
    } else {
        answer.json()
    };
    let number = |key: &str| body[key].as_u64();
    (
        answer.status,
        number("code"),
        number("invalid-event-number"),
    )
}

fn taken(server: &HecServer) -> Vec<serde_json::Value> {
    server
        .events()
        .into_iter()
        .map(|event| event.event["n"].clone())
        .collect()
}

#[tokio::test]
async fn events_are_taken_in_order_on_both_paths() {
    let server = server(|_| {});
    for path in [EVENTS, "/services/collector"] {
        let answer = try_post(&server, path, &[TOKEN], events(2).as_bytes())
            .await
            .unwrap();
        assert_eq!(answer.json(), json!({"text": "Success", "code": 0}));
    }
    server.wait_for_events(4).await;
    assert_eq!(taken(&server), [0, 1, 0, 1]);
    let requests = server.requests();
    assert_eq!((requests[0].taken, requests[0].status), (2, Some(200)));
    assert!(!serde_json::to_string(&requests).unwrap().contains("1111"));
}

#[tokio::test]
async fn ids_are_those_of_the_events() {
    let server = server(|_| {});
    let id = EventId::from_bytes([3; 16]);
    let body = json!({"event": {"eventId": id}}).to_string() + &events(1);
    post(&server, &[TOKEN], &body).await;
    assert_eq!(server.event_ids(), [id]);
}

#[tokio::test]
async fn the_token_is_judged_by_the_table() {
    let server = server(|_| {});
    for (header, expected) in [
        (None, (401, 2)),
        (Some("Basic dXNlcjpwYXNz"), (401, 3)),
        (Some("Splunk "), (401, 3)),
        (
            Some("Splunk 99999999-2222-3333-4444-555555555555"),
            (403, 4),
        ),
    ] {
        let headers: Vec<_> = header
            .map(|value| ("Authorization", value))
            .into_iter()
            .collect();
        let (status, code, _) = told(&post(&server, &headers, &events(1)).await);
        assert_eq!((status, code), (expected.0, Some(expected.1)), "{header:?}");
    }
    let in_query = try_post(&server, "/services/collector?token=x", &[], b"{}")
        .await
        .unwrap();
    assert_eq!(told(&in_query), (400, Some(16), None));
    server.change_rules(|rules| rules.enabled = false);
    assert_eq!(
        told(&post(&server, &[TOKEN], &events(1)).await),
        (403, Some(1), None)
    );
    assert_eq!(server.events_taken(), 0);
}

#[tokio::test]
async fn an_empty_body_proves_the_token() {
    let server = server(|_| {});
    assert_eq!(
        told(&post(&server, &[TOKEN], "").await),
        (400, Some(5), None)
    );
    assert_eq!(told(&post(&server, &[], "").await), (401, Some(2), None));
}

#[tokio::test]
async fn events_before_a_bad_one_are_taken() {
    let server = server(|rules| rules.indexes = Some(vec!["main".to_owned()]));
    let body = events(3) + r#"{"event":""}"# + &events(2);
    assert_eq!(
        told(&post(&server, &[TOKEN], &body).await),
        (400, Some(13), Some(3))
    );
    assert_eq!(taken(&server), [0, 1, 2]);
    let body = events(1) + r#"{"event":"x","index":"other"}"# + &events(1);
    assert_eq!(
        told(&post(&server, &[TOKEN], &body).await),
        (400, Some(7), Some(2))
    );
    let body = events(1) + r#"{"event":"x","colour":"red"}"# + &events(1);
    assert_eq!(
        told(&post(&server, &[TOKEN], &body).await),
        (200, Some(0), None)
    );
    assert_eq!(server.events_taken(), 5);
}

#[tokio::test]
async fn gzip_is_taken_and_deflate_is_not() {
    let server = server(|_| {});
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(events(5).as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let answer = try_post(
        &server,
        EVENTS,
        &[TOKEN, ("Content-Encoding", "gzip")],
        &body,
    )
    .await;
    assert_eq!(told(&answer.unwrap()), (200, Some(0), None));
    let answer = try_post(
        &server,
        EVENTS,
        &[TOKEN, ("Content-Encoding", "deflate")],
        &body,
    )
    .await;
    assert_eq!(answer.unwrap().status, 415);
    assert_eq!(server.events_taken(), 5);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_openly_or_in_disguise() {
    let server = server(|rules| rules.max_content_bytes = 100);
    let body = events(20);
    assert_eq!(
        told(&post(&server, &[TOKEN], &body).await),
        (413, None, None)
    );
    server.change_rules(|rules| rules.too_large = TooLarge::InvalidEvent0);
    assert_eq!(
        told(&post(&server, &[TOKEN], &body).await),
        (400, Some(6), Some(0))
    );
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&[b' '; 10_000]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 100);
    let answer = try_post(
        &server,
        EVENTS,
        &[TOKEN, ("Content-Encoding", "gzip")],
        &bomb,
    )
    .await;
    assert_eq!(told(&answer.unwrap()), (400, Some(6), Some(0)));
    assert_eq!(
        told(&post(&server, &[TOKEN], &events(1)).await),
        (200, Some(0), None)
    );
}

#[tokio::test]
async fn health_needs_no_token_and_other_paths_are_not_found() {
    let server = server(|rules| rules.enabled = false);
    let address = server.server.address();
    let health = get(address, "/services/collector/health").await.unwrap();
    assert_eq!(told(&health), (200, Some(17), None));
    assert_eq!(get(address, "/").await.unwrap().status, 404);
    assert_eq!(get(address, EVENTS).await.unwrap().status, 405);
    let posted = try_post(&server, "/services/collector/health", &[], b"").await;
    assert_eq!(posted.unwrap().status, 405);
}

#[tokio::test]
async fn over_tls_it_says_https() {
    let server = server(|rules| rules.tls = Some(tls::fixture::server()));
    let address = server.server.address();
    assert_eq!(server.url(), format!("https://{address}"));
    let stream = tls::fixture::connect(address, false).await.unwrap();
    let answer = exchange(stream, "POST", EVENTS, &[TOKEN], events(2).as_bytes()).await;
    assert_eq!(told(&answer.unwrap()), (200, Some(0), None));
    assert_eq!(taken(&server), [0, 1]);
}
