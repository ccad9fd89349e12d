use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::super::loopback::{closed_port, http_answer, http_server, outgoing, outgoing_of};
use super::*;
use crate::config::{
    AcknowledgementConfig, CollectionOverride, Credentials, ProxyConfig, Secret, SecretSource,
    TlsConfig,
};
use crate::event::RecordType;

fn token(text: &str) -> Secret {
    Secret::new(SecretSource::Plain, text.to_owned())
}

/// An output to these endpoints, uncompressed.
pub(super) fn config(endpoints: &[std::net::SocketAddr]) -> SplunkHecConfig {
    SplunkHecConfig {
        endpoints: endpoints
            .iter()
            .map(|address| format!("http://{address}"))
            .collect(),
        token: token("t0ken"),
        index: Some("security".into()),
        source: None,
        sourcetype_flow: "cisco:cta:flow".into(),
        sourcetype_incident: "cisco:cta:incident".into(),
        sourcetype_indicator: "cisco:cta:indicator".into(),
        sourcetype_observable: "cisco:cta:observable".into(),
        overrides: Vec::new(),
        gzip: false,
        indexed_fields: false,
        acknowledgement: None,
        max_in_flight: 4,
        tls: TlsConfig::default(),
        proxy: None,
        connect_timeout: Duration::from_secs(20),
        request_timeout: Duration::from_secs(20),
    }
}

fn success() -> String {
    http_answer("200 OK", "", r#"{"text":"Success","code":0}"#)
}

fn healthy() -> String {
    http_answer("200 OK", "", r#"{"text":"HEC is healthy","code":17}"#)
}

fn no_data() -> String {
    http_answer("400 Bad Request", "", r#"{"text":"No data","code":5}"#)
}

async fn sent(output: &SplunkHec, peer: usize, events: &[Outgoing]) -> Verdict {
    match output.send(peer, 0, events).1.await {
        Landing::Sent {
            verdict,
            promise: Promise::None,
            ..
        } => verdict,
        other => panic!("{other:?}"),
    }
}

const DELIVERED: Verdict = Verdict::Delivered { slow_down: false };

#[tokio::test]
async fn posts_the_envelopes_with_the_token() {
    let (address, mut requests) = http_server(vec![success()]).await;
    let output = SplunkHec::new(&config(&[address]), "agent").unwrap();
    let events = [outgoing(r#"{"n":1}"#), outgoing(r#"{"n":2}"#)];
    assert_eq!(sent(&output, 0, &events).await, DELIVERED);
    let request = requests.recv().await.unwrap();
    assert!(
        request
            .head
            .starts_with("post /services/collector/event http/1.1\r\n")
    );
    assert!(request.head.contains("authorization: splunk t0ken\r\n"));
    assert!(request.head.contains("content-type: application/json\r\n"));
    assert!(!request.head.contains("content-encoding"));
    assert_eq!(request.body, output.encoder.encode(&events));
}

#[tokio::test]
async fn compresses_if_asked_to() {
    let (address, mut requests) = http_server(vec![success()]).await;
    let config = SplunkHecConfig {
        gzip: true,
        ..config(&[address])
    };
    let output = SplunkHec::new(&config, "agent").unwrap();
    let events = [outgoing(r#"{"n":1}"#)];
    assert_eq!(sent(&output, 0, &events).await, DELIVERED);
    let request = requests.recv().await.unwrap();
    assert!(request.head.contains("content-encoding: gzip\r\n"));
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(&*request.body)
        .read_to_end(&mut body)
        .unwrap();
    assert_eq!(body, output.encoder.encode(&events));
}

#[tokio::test]
async fn a_busy_collector_says_when_to_come_back() {
    let busy = http_answer(
        "503 Service Unavailable",
        "Retry-After: 7\r\n",
        r#"{"text":"Server is busy","code":9}"#,
    );
    let (address, _requests) = http_server(vec![busy]).await;
    let output = SplunkHec::new(&config(&[address]), "agent").unwrap();
    assert_eq!(
        sent(&output, 0, &[outgoing("{}")]).await,
        Verdict::Retry {
            delivered: 0,
            reason: "HTTP 503, code 9: Server is busy".into(),
            after: Some(Duration::from_secs(7)),
        }
    );
}

#[tokio::test]
async fn each_endpoint_is_a_peer_of_its_own() {
    let (address, _requests) = http_server(vec![success()]).await;
    let closed = closed_port().await;
    let output = SplunkHec::new(&config(&[closed, address]), "agent").unwrap();
    let verdict = sent(&output, 0, &[outgoing("{}")]).await;
    let Verdict::Retry {
        delivered: 0,
        reason,
        after: None,
    } = verdict
    else {
        panic!("{verdict:?}");
    };
    assert!(reason.contains(&closed.to_string()), "{reason}");
    assert!(reason.contains("refused"), "{reason}");
    assert_eq!(sent(&output, 1, &[outgoing("{}")]).await, DELIVERED);
}

#[tokio::test]
async fn an_answer_that_stays_out_is_a_connection_fault() {
    let (address, _requests) = http_server(vec![String::new()]).await;
    let output = SplunkHec::new(&config(&[address]), "agent").unwrap();
    let verdict = sent(&output, 0, &[outgoing("{}")]).await;
    assert!(
        matches!(verdict, Verdict::Retry { delivered: 0, .. }),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_collector() {
    let (proxy, mut requests) = http_server(vec![success()]).await;
    let config = SplunkHecConfig {
        endpoints: vec!["http://splunk.invalid:8088".into()],
        proxy: Some(ProxyConfig {
            url: format!("http://{proxy}"),
            credentials: Some(Credentials {
                username: "mole".into(),
                password: token("p@ss/w%rd:x"),
            }),
        }),
        ..config(&[])
    };
    let output = SplunkHec::new(&config, "agent").unwrap();
    assert_eq!(sent(&output, 0, &[outgoing("{}")]).await, DELIVERED);
    let request = requests.recv().await.unwrap();
    let line = "post http://splunk.invalid:8088/services/collector/event http/1.1\r\n";
    assert!(request.head.starts_with(line), "{}", request.head);
    let basic = BASE64_STANDARD.encode("mole:p@ss/w%rd:x").to_lowercase();
    let line = format!("proxy-authorization: basic {basic}\r\n");
    assert!(request.head.contains(&line), "{}", request.head);
}

#[tokio::test]
async fn a_proxy_that_refuses_holds_whatever_it_leads_to() {
    for scheme in ["http", "https"] {
        let refusal = http_answer("407 Proxy Authentication Required", "", "");
        let (proxy, _requests) = http_server(vec![refusal]).await;
        let config = SplunkHecConfig {
            endpoints: vec![format!("{scheme}://splunk.invalid:8088")],
            proxy: Some(ProxyConfig {
                url: format!("http://{proxy}"),
                credentials: None,
            }),
            ..config(&[])
        };
        let output = SplunkHec::new(&config, "agent").unwrap();
        let verdict = sent(&output, 0, &[outgoing("{}")]).await;
        let Verdict::Hold { mend, .. } = &verdict else {
            panic!("{scheme}: {verdict:?}");
        };
        assert!(mend.contains("proxy_username"), "{mend}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (elsewhere, mut untouched) = http_server(vec![success()]).await;
    let redirect = http_answer(
        "307 Temporary Redirect",
        &format!("Location: http://{elsewhere}/\r\n"),
        "",
    );
    let (address, _requests) = http_server(vec![redirect]).await;
    let output = SplunkHec::new(&config(&[address]), "agent").unwrap();
    let verdict = sent(&output, 0, &[outgoing("{}")]).await;
    assert!(
        matches!(verdict, Verdict::Hold { delivered: 0, .. }),
        "{verdict:?}"
    );
    assert!(untouched.try_recv().is_err());
}

#[test]
fn events_of_two_indexes_go_apart() {
    let config = SplunkHecConfig {
        overrides: vec![CollectionOverride {
            collection: "special".into(),
            index: Some("own".into()),
            source: None,
            sourcetype: None,
        }],
        ..config(&[([127, 0, 0, 1], 1).into()])
    };
    let output = SplunkHec::new(&config, "agent").unwrap();
    let special = || outgoing_of("special", RecordType::Flow, "{}");
    for (events, expected) in [
        (vec![outgoing("{}"), outgoing("{}"), special()], 2),
        (vec![special(), outgoing("{}")], 1),
        (vec![special(), special()], 2),
    ] {
        let origins = events.iter().map(|out| &out.origin);
        assert_eq!(output.together(origins), expected);
    }
}

fn acknowledging(address: std::net::SocketAddr) -> SplunkHec {
    let config = SplunkHecConfig {
        acknowledgement: Some(AcknowledgementConfig {
            timeout: Duration::from_secs(300),
            interval: Duration::from_secs(2),
            max_outstanding: 10,
        }),
        ..config(&[address])
    };
    SplunkHec::new(&config, "agent").unwrap()
}

#[tokio::test]
async fn a_receipt_says_where_to_ask_and_the_question_goes_there() {
    let taken = http_answer(
        "200 OK",
        "Set-Cookie: sticky=a; Path=/\r\n",
        r#"{"text":"Success","code":0,"ackId":3}"#,
    );
    let answer = http_answer("200 OK", "", r#"{"acks":{"3":true}}"#);
    let elsewhere = http_answer(
        "200 OK",
        "Set-Cookie: sticky=b\r\n",
        r#"{"acks":{"3":true}}"#,
    );
    let (address, mut requests) = http_server(vec![taken, answer, elsewhere]).await;
    let output = acknowledging(address);
    let landing = output.send(0, 9, &[outgoing("{}")]).1.await;
    let Landing::Sent {
        flight: 9,
        peer: 0,
        verdict: DELIVERED,
        promise: Promise::Given(receipt),
    } = landing
    else {
        panic!("{landing:?}");
    };
    assert_eq!(receipt.ack_id, 3);
    let mut answers = Vec::new();
    for _ in 0..2 {
        let landing = output.ask(0, receipt.channel.clone(), vec![3]).await;
        let Landing::Acknowledged {
            answer: Ok(acks), ..
        } = landing
        else {
            panic!("{landing:?}");
        };
        answers.push(acks);
    }
    // Many load balancers renew their cookie with every answer.
    assert_eq!(answers, [[(3, true)].into(), [(3, true)].into()]);

    let guid = receipt.channel.guid;
    let sent = requests.recv().await.unwrap();
    let header = format!("x-splunk-request-channel: {guid}\r\n");
    assert!(sent.head.contains(&header), "{}", sent.head);
    let asked = requests.recv().await.unwrap();
    let line = format!("post /services/collector/ack?channel={guid} http/1.1\r\n");
    assert!(asked.head.starts_with(&line), "{}", asked.head);
    assert!(asked.head.contains("content-type: application/json\r\n"));
    assert!(!asked.head.contains("content-encoding"));
    assert!(asked.head.contains("cookie: sticky=a\r\n"));
    assert_eq!(asked.body, br#"{"acks":[3]}"#);
}

#[tokio::test]
async fn a_probe_sees_that_acknowledgement_is_off() {
    let off = http_answer(
        "400 Bad Request",
        "",
        r#"{"text":"ACK is disabled","code":14}"#,
    );
    let (address, _requests) = http_server(vec![healthy(), no_data(), off]).await;
    let problem = acknowledging(address).probe(0).await.unwrap_err();
    let mend = problem.mend.unwrap();
    assert!(mend.contains("acknowledgement is off"), "{mend}");
}

#[tokio::test]
async fn a_probe_reads_the_token_again_and_sends_no_event() {
    let disabled = http_answer("403 Forbidden", "", r#"{"text":"Token disabled","code":1}"#);
    let answers = vec![healthy(), disabled, healthy(), no_data()];
    let (address, mut requests) = http_server(answers).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "first\n").unwrap();
    let config = SplunkHecConfig {
        token: Secret::read_file(&path).unwrap(),
        ..config(&[address])
    };
    let mut output = SplunkHec::new(&config, "agent").unwrap();
    let problem = output.probe(0).await.unwrap_err();
    assert!(problem.to_string().contains("enable it"), "{problem}");

    std::fs::write(&path, "").unwrap();
    let problem = output.probe(0).await.unwrap_err();
    assert!(problem.reason.contains("token"), "{problem}");

    std::fs::write(&path, "second\n").unwrap();
    output.probe(0).await.unwrap();
    for token in ["first", "second"] {
        let health = requests.recv().await.unwrap();
        let line = "get /services/collector/health http/1.1\r\n";
        assert!(health.head.starts_with(line), "{}", health.head);
        assert!(!health.head.contains("authorization"));
        let request = requests.recv().await.unwrap();
        assert!(
            request
                .head
                .contains(&format!("authorization: splunk {token}\r\n"))
        );
        assert!(request.body.is_empty());
    }
}

#[test]
fn a_token_that_is_no_header_is_refused_and_none_is_ever_shown() {
    let with_token = |text| SplunkHecConfig {
        token: token(text),
        ..config(&[([127, 0, 0, 1], 1).into()])
    };
    let error = SplunkHec::new(&with_token("hunter2\u{1}"), "agent").unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let output = SplunkHec::new(&with_token("hunter2"), "agent").unwrap();
    assert!(!format!("{output:?}").contains("hunter2"));
}
