//! The server over HTTP, through a client that shows every byte.

use std::io::Write;

use serde_json::json;

use super::*;
use crate::simulator::raw_client::{Failure, RawAnswer, get, open, send};

const TOKEN: (&str, &str) = (
    "Authorization",
    "Splunk 11111111-2222-3333-4444-555555555555",
);
const CHANNEL: &str = "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba";
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
}

mod acknowledgement {
    use super::*;

    const ACK: &str = "/services/collector/ack?channel=0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba";

    fn acknowledging(policy: AckPolicy) -> HecServer {
        server(|rules| rules.acknowledgement = Some(policy))
    }

    async fn ack_id(server: &HecServer, body: &str) -> serde_json::Value {
        let headers = [TOKEN, ("X-Splunk-Request-Channel", CHANNEL)];
        post(server, &headers, body).await.json()["ackId"].clone()
    }

    async fn acks(server: &HecServer, path: &str, body: &str) -> serde_json::Value {
        let answer = try_post(server, path, &[TOKEN], body.as_bytes()).await;
        answer.unwrap().json()["acks"].clone()
    }

    #[tokio::test]
    async fn ids_are_told_as_done_once_and_to_their_channel() {
        let server = acknowledging(AckPolicy::AtOnce);
        assert_eq!(ack_id(&server, &events(1)).await, 0);
        assert_eq!(ack_id(&server, &events(1)).await, 1);
        let elsewhere = ACK.replace("0aee", "1aee");
        assert_eq!(
            acks(&server, &elsewhere, r#"{"acks":[0]}"#).await,
            json!({"0": false})
        );
        let done = acks(&server, ACK, r#"{"acks":[0,1,2]}"#).await;
        assert_eq!(done, json!({"0": true, "1": true, "2": false}));
        assert_eq!(
            acks(&server, ACK, r#"{"acks":[0]}"#).await,
            json!({"0": false})
        );
    }

    #[tokio::test]
    async fn a_part_that_was_taken_is_acknowledged_and_nothing_is_not() {
        let server = acknowledging(AckPolicy::AtOnce);
        let bad = r#"{"event":""}"#;
        assert_eq!(ack_id(&server, bad).await, json!(null));
        assert_eq!(ack_id(&server, &(events(1) + bad)).await, 0);
    }

    #[tokio::test]
    async fn held_until_released_and_forgotten_by_a_restart() {
        let server = acknowledging(AckPolicy::Held);
        ack_id(&server, &events(1)).await;
        assert_eq!(
            acks(&server, ACK, r#"{"acks":[0]}"#).await,
            json!({"0": false})
        );
        server.release_acks();
        assert_eq!(
            acks(&server, ACK, r#"{"acks":[0]}"#).await,
            json!({"0": true})
        );
        ack_id(&server, &events(1)).await;
        server.forget_acks();
        server.release_acks();
        assert_eq!(
            acks(&server, ACK, r#"{"acks":[1]}"#).await,
            json!({"1": false})
        );
    }

    #[tokio::test]
    async fn the_channel_must_be_there_and_a_guid() {
        let server = acknowledging(AckPolicy::AtOnce);
        assert_eq!(
            told(&post(&server, &[TOKEN], &events(1)).await),
            (400, Some(10), None)
        );
        let wrong = [TOKEN, ("X-Splunk-Request-Channel", "mine")];
        assert_eq!(
            told(&post(&server, &wrong, &events(1)).await),
            (400, Some(11), None)
        );
        let asked = try_post(
            &server,
            "/services/collector/ack",
            &[TOKEN],
            b"{\"acks\":[]}",
        )
        .await;
        assert_eq!(told(&asked.unwrap()), (400, Some(10), None));
        let garbled = try_post(&server, ACK, &[TOKEN], b"{\"acks\":[-1]}").await;
        assert_eq!(told(&garbled.unwrap()), (400, Some(6), None));
        assert_eq!(server.events_taken(), 0);
    }

    #[tokio::test]
    async fn a_token_without_it_says_so() {
        let server = server(|_| {});
        let answer = try_post(&server, ACK, &[TOKEN], b"{\"acks\":[0]}")
            .await
            .unwrap();
        assert_eq!(told(&answer), (400, Some(14), None));
        let headers = [TOKEN, ("X-Splunk-Request-Channel", CHANNEL)];
        assert_eq!(
            post(&server, &headers, &events(1))
                .await
                .json()
                .get("ackId"),
            None
        );
    }
}

mod faults {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn faulty(fault: HecFault) -> HecServer {
        let server = server(|_| {});
        server.set_fault(ArmedFault::once(fault));
        server
    }

    #[tokio::test]
    async fn every_code_of_the_table() {
        let by_status = [
            (200, &[0, 17, 24, 25][..]),
            (400, &[5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 21, 22, 28]),
            (401, &[2, 3]),
            (403, &[1, 4]),
            (429, &[26, 27]),
            (500, &[8]),
            (503, &[9, 18, 19, 20, 23]),
        ];
        let mut seen = 0;
        for (status, codes) in by_status {
            for &code in codes {
                let server = faulty(HecFault::Code { code, event: 1 });
                let answer = post(&server, &[TOKEN], &events(3)).await;
                let (number, taken) = match code {
                    0 | 24 | 25 => (None, 3),
                    6 | 12 | 13 | 15 => (Some(1), 1),
                    7 => (Some(2), 1),
                    _ => (None, 0),
                };
                assert_eq!(told(&answer), (status, Some(code.into()), number));
                assert_eq!(server.events_taken(), taken, "code {code}");
                seen += 1;
            }
        }
        assert_eq!(seen, 29);
    }

    #[tokio::test]
    async fn http_statuses_with_and_without_retry_after() {
        for (status, retry_after) in [
            (429, Some("7")),
            (503, Some("Tue, 10 Mar 2026 11:50:00 GMT")),
            (408, None),
            (500, None),
        ] {
            let server = faulty(HecFault::HttpStatus {
                status,
                retry_after: retry_after.map(str::to_owned),
            });
            let answer = post(&server, &[TOKEN], &events(1)).await;
            assert_eq!(
                (answer.status, answer.header("retry-after")),
                (status, retry_after)
            );
            assert_eq!(server.events_taken(), 0);
            assert_eq!(post(&server, &[TOKEN], &events(1)).await.status, 200);
        }
    }

    #[tokio::test]
    async fn a_login_page_takes_nothing() {
        let server = faulty(HecFault::LoginPage);
        let answer = post(&server, &[TOKEN], &events(1)).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("text/html"))
        );
        assert_eq!(server.events_taken(), 0);
    }

    #[tokio::test]
    async fn connections_that_break_before_and_after_the_events_are_taken() {
        let closed = Failure::Closed { received: 0 };
        for (fault, failure, taken) in [
            (HecFault::Reset, Failure::Reset, 0),
            (HecFault::HangUp, closed, 0),
            (HecFault::AnswerLost, Failure::Closed { received: 0 }, 2),
        ] {
            let server = faulty(fault);
            let failed = try_post(&server, EVENTS, &[TOKEN], events(2).as_bytes()).await;
            assert_eq!(failed.unwrap_err(), failure);
            assert_eq!(server.events_taken(), taken);
            assert_eq!(server.requests()[0].status, None);
        }
        let server = faulty(HecFault::HalfAnswer);
        let failed = try_post(&server, EVENTS, &[TOKEN], events(2).as_bytes()).await;
        assert!(matches!(failed.unwrap_err(), Failure::Closed { received } if received > 0));
        assert_eq!(server.events_taken(), 2);
    }

    #[tokio::test]
    async fn a_black_hole_and_an_outage() {
        let server = faulty(HecFault::BlackHole);
        let address = server.server.address();
        let body = events(1);
        let mut stream = open(address, "POST", EVENTS, &[TOKEN], body.as_bytes())
            .await
            .unwrap();
        server.wait_for_requests(1).await;
        server.refuse_connections().await.unwrap();
        let mut received = Vec::new();
        let end = stream.read_to_end(&mut received).await;
        assert!(end.is_err() || received.is_empty());
        let refused = try_post(&server, EVENTS, &[TOKEN], body.as_bytes()).await;
        assert_eq!(refused.unwrap_err(), Failure::Refused);
        server.accept_connections().await.unwrap();
        assert_eq!(post(&server, &[TOKEN], &body).await.status, 200);
        assert_eq!(server.events_taken(), 1);
    }

    #[tokio::test]
    async fn they_show_on_events_unless_told_otherwise() {
        let server = server(|rules| rules.acknowledgement = Some(AckPolicy::AtOnce));
        let busy = HecFault::Code { code: 9, event: 0 };
        server.set_fault(ArmedFault::until_cleared(busy.clone()));
        let health = "/services/collector/health";
        assert_eq!(
            get(server.server.address(), health).await.unwrap().status,
            200
        );
        server.clear_faults();
        server.set_fault(ArmedFault::once(busy.clone()).on(HecFaultOn::Health));
        server.set_fault(ArmedFault::once(busy).on(HecFaultOn::Acks));
        let headers = [TOKEN, ("X-Splunk-Request-Channel", CHANNEL)];
        assert_eq!(post(&server, &headers, &events(1)).await.status, 200);
        assert_eq!(
            get(server.server.address(), health).await.unwrap().status,
            503
        );
        let asked = try_post(
            &server,
            "/services/collector/ack",
            &headers,
            b"{\"acks\":[0]}",
        )
        .await;
        assert_eq!(asked.unwrap().status, 503);
        assert_eq!(server.faults_shown(), 2);
    }
}
