//! Acknowledgement, as a sender sees it.

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
