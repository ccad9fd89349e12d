//! Each fault, as a sender sees it.

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
async fn a_body_that_is_not_what_should_come_takes_and_tells_nothing() {
    let garbage: HecFault = serde_json::from_str(r#"{"fault":"other_body"}"#).unwrap();
    let empty = HecFault::OtherBody {
        body: "{}".to_owned(),
    };
    for fault in [garbage, empty] {
        let server = server(|rules| rules.acknowledgement = Some(AckPolicy::AtOnce));
        server.set_fault(ArmedFault::times(2, fault.clone()).on(HecFaultOn::Any));
        let headers = [TOKEN, ("X-Splunk-Request-Channel", CHANNEL), JSON];
        let answer = post(&server, &headers, &events(1)).await;
        let (status, content_type) = (answer.status, answer.header("content-type"));
        assert_eq!((status, content_type), (200, Some("application/json")));
        assert_eq!(server.events_taken(), 0);
        let acks = try_post(&server, ACK, &headers, b"{\"acks\":[0]}").await;
        assert_eq!(acks.unwrap().text(), answer.text());
        post(&server, &headers, &events(1)).await;
        let acks = try_post(&server, ACK, &headers, b"{\"acks\":[0]}").await;
        assert_eq!(acks.unwrap().json()["acks"]["0"], true);
    }
}

#[tokio::test]
async fn a_slow_answer_comes_whole_and_in_pieces() {
    let server = faulty(HecFault::SlowAnswer {
        piece_bytes: 4,
        pause_ms: 1,
    });
    let body = events(2);
    let address = server.server.address();
    let stream = open(address, "POST", EVENTS, &[TOKEN], body.as_bytes());
    let mut stream = stream.await.unwrap();
    let (mut received, mut pieces) = (Vec::new(), 0);
    while stream.read_buf(&mut received).await.unwrap() > 0 {
        pieces += 1;
    }
    assert!(received.ends_with(br#"{"code":0,"text":"Success"}"#));
    assert!(pieces > 2, "{pieces}");
    assert_eq!(server.events_taken(), 2);
}

#[tokio::test]
async fn every_fault_shows_on_acks_too() {
    for (fault, seen) in [
        (HecFault::LoginPage, Ok(200)),
        (HecFault::Code { code: 19, event: 0 }, Ok(503)),
        (HecFault::Code { code: 0, event: 0 }, Ok(200)),
        (HecFault::HangUp, Err(Failure::Closed { received: 0 })),
        (HecFault::Reset, Err(Failure::Reset)),
        (HecFault::AnswerLost, Err(Failure::Closed { received: 0 })),
    ] {
        let server = server(|rules| rules.acknowledgement = Some(AckPolicy::AtOnce));
        let headers = [TOKEN, ("X-Splunk-Request-Channel", CHANNEL), JSON];
        post(&server, &headers, &events(1)).await;
        let told_and_lost = fault == HecFault::AnswerLost;
        server.set_fault(ArmedFault::once(fault).on(HecFaultOn::Acks));
        let ask = || try_post(&server, ACK, &headers, b"{\"acks\":[0]}");
        let failed = ask().await;
        assert!(failed.as_ref().is_ok_and(|it| !it.text().contains("acks")) || failed.is_err());
        assert_eq!(failed.map(|answer| answer.status), seen);
        assert_eq!(ask().await.unwrap().json()["acks"]["0"], !told_and_lost);
        assert_eq!(server.events_taken(), 1);
    }
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
