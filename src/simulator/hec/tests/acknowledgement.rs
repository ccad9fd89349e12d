//! Acknowledgement, as a sender sees it.

use super::*;

fn acknowledging(policy: AckPolicy) -> HecServer {
    server(|rules| rules.acknowledgement = Some(policy))
}

async fn ack_id(server: &HecServer, body: &str) -> serde_json::Value {
    post(server, &CHANNELLED, body).await.json()["ackId"].clone()
}

async fn acks(server: &HecServer, path: &str, body: &str) -> serde_json::Value {
    let answer = try_post(server, path, &[TOKEN, JSON], body.as_bytes()).await;
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
async fn code_6_alone_may_carry_an_id() {
    for (partly_taken, expected) in [
        (PartlyTaken::AckId, [json!(0), json!(1), json!(2)]),
        (PartlyTaken::AckIdOnCode6, [json!(0), json!(null), json!(1)]),
    ] {
        let server = acknowledging(AckPolicy::AtOnce);
        server.change_rules(|rules| rules.partly_taken = partly_taken);
        let mut ids = Vec::new();
        for bad in ["[]", r#"{"event":""}"#, "[]"] {
            ids.push(ack_id(&server, &(events(1) + bad)).await);
        }
        assert_eq!(ids, expected);
        assert_eq!(server.events_taken(), 3);
    }
}

#[tokio::test]
async fn what_is_lost_without_a_word_is_acknowledged_all_the_same() {
    let server = acknowledging(AckPolicy::AtOnce);
    let body = r#"{"event":"x","colour":"red"}"#;
    assert_eq!(ack_id(&server, body).await, 0);
    assert_eq!(server.events_taken(), 0);
}

#[tokio::test]
async fn refused_requests_may_use_up_ids() {
    for (uses_up, next) in [(true, 4), (false, 0)] {
        let server = acknowledging(AckPolicy::AtOnce);
        server.change_rules(|rules| {
            rules.refusals_use_ack_ids = uses_up;
            rules.max_content_bytes = 100;
        });
        ack_id(&server, "").await;
        ack_id(&server, "[]").await;
        post(&server, &CHANNELLED, &events(20)).await;
        server.set_fault(ArmedFault::once(HecFault::Code { code: 9, event: 0 }));
        post(&server, &CHANNELLED, &events(1)).await;
        // Without a channel there is nothing to count in.
        post(&server, &[TOKEN], &events(1)).await;
        assert_eq!(ack_id(&server, &events(1)).await, next);
        let asked = acks(&server, ACK, r#"{"acks":[0,4]}"#).await;
        assert_eq!(asked, json!({"0": !uses_up, "4": uses_up}));
    }
}

#[tokio::test]
async fn polls_must_be_plain_json_and_say_so() {
    let server = acknowledging(AckPolicy::AtOnce);
    ack_id(&server, &events(1)).await;
    let body = b"{\"acks\":[0]}";
    let text = ("Content-Type", "text/plain");
    let gzip = ("Content-Encoding", "gzip");
    for headers in [&[TOKEN][..], &[TOKEN, text], &[TOKEN, JSON, gzip]] {
        let answer = try_post(&server, ACK, headers, body).await.unwrap();
        assert_eq!(answer.status, 415, "{headers:?}");
    }
    let charset = ("Content-Type", "application/json; charset=utf-8");
    let answer = try_post(&server, ACK, &[TOKEN, charset], body).await;
    assert_eq!(answer.unwrap().json()["acks"]["0"], true);
}

#[tokio::test]
async fn an_empty_body_needs_its_channel_and_proves_the_token() {
    let server = acknowledging(AckPolicy::AtOnce);
    assert_eq!(
        told(&post(&server, &[TOKEN], "").await),
        (400, Some(10), None)
    );
    assert_eq!(
        told(&post(&server, &CHANNELLED, "").await),
        (400, Some(5), None)
    );
    server.change_rules(|rules| rules.enabled = false);
    assert_eq!(
        told(&post(&server, &CHANNELLED, "").await),
        (403, Some(1), None)
    );
}

#[tokio::test]
async fn for_ever_false_does_not_keep_events_out() {
    let server = acknowledging(AckPolicy::Never);
    ack_id(&server, &events(1)).await;
    for _ in 0..3 {
        let asked = acks(&server, ACK, r#"{"acks":[0]}"#).await;
        assert_eq!(asked, json!({"0": false}));
    }
    assert_eq!((server.events_taken(), server.lost()), (1, Vec::new()));
}

#[tokio::test]
async fn a_channel_that_nobody_uses_is_forgotten() {
    let server = acknowledging(AckPolicy::AtOnce);
    server.change_rules(|rules| rules.idle_channel = std::time::Duration::ZERO);
    assert_eq!(ack_id(&server, &events(1)).await, 0);
    let asked = acks(&server, ACK, r#"{"acks":[0]}"#).await;
    assert_eq!(asked, json!({"0": false}));
    assert_eq!(ack_id(&server, &events(1)).await, 0);
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
        &[TOKEN, JSON],
        b"{\"acks\":[]}",
    )
    .await;
    assert_eq!(told(&asked.unwrap()), (400, Some(10), None));
    let garbled = try_post(&server, ACK, &[TOKEN, JSON], b"{\"acks\":[-1]}").await;
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
    let answer = post(&server, &CHANNELLED, &events(1)).await;
    assert_eq!(answer.json().get("ackId"), None);
}
