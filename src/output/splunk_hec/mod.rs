//! Splunk's HTTP Event Collector.

mod client;
mod encode;
mod endpoints;
mod lane;
mod reply;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::Utc;
use serde_json::json;
use uuid::Uuid;

use self::client::{HecClient, Post, Received};
use self::encode::{Encoder, gzip};
use self::endpoints::Endpoint;
use self::lane::Lane;
use self::reply::{Asked, Judgement};
use super::{
    BatchOrigin, BuildOutputError, Channel, FlightId, Landing, Outgoing, Problem, Promise, Verdict,
};
use crate::config::SplunkHecConfig;

/// One token at a collector that has one or several endpoints.
#[derive(Debug)]
pub(super) struct SplunkHec {
    client: HecClient,
    encoder: Encoder,
    endpoints: Vec<(Endpoint, SharedLane)>,
    config: SplunkHecConfig,
    acknowledge: bool,
}

/// A lane that the requests under way share.
#[derive(Debug, Clone)]
struct SharedLane(Arc<Mutex<Lane>>);

impl SplunkHec {
    /// Connects to nothing yet.
    pub(super) fn new(config: &SplunkHecConfig, host: &str) -> Result<Self, BuildOutputError> {
        let endpoints = Endpoint::all(&config.endpoints)?.into_iter();
        Ok(Self {
            client: HecClient::new(config)?,
            encoder: Encoder::new(config, host),
            endpoints: endpoints
                .map(|endpoint| (endpoint, SharedLane::new()))
                .collect(),
            acknowledge: config.acknowledgement.is_some(),
            config: config.clone(),
        })
    }

    /// How many of the first events go to one index.
    pub(super) fn together<'a>(
        &self,
        mut origins: impl Iterator<Item = &'a Arc<BatchOrigin>>,
    ) -> usize {
        let Some(first) = origins.next() else {
            return 1;
        };
        let index = self.encoder.index(first);
        let same = |origin: &&Arc<BatchOrigin>| {
            Arc::ptr_eq(origin, first) || self.encoder.index(origin) == index
        };
        1 + origins.take_while(same).count()
    }

    /// The channel of the next request to a peer; none where nothing is acknowledged.
    pub(super) fn channel(&self, peer: usize) -> Option<Channel> {
        let (_, lane) = self.way_to(peer).filter(|_| self.acknowledge)?;
        Some(lane.lock().channel().clone())
    }

    /// One request with events of one index.
    pub(super) fn send(
        &self,
        peer: usize,
        flight: FlightId,
        events: &[Outgoing],
    ) -> impl Future<Output = Landing> + Send + use<> {
        let count = events.len();
        let index = events
            .first()
            .and_then(|out| self.encoder.index(&out.origin))
            .map(str::to_owned);
        let body = self.encoder.encode(events);
        let (body, is_gzipped) = match self.config.gzip.then(|| gzip(&body)) {
            Some(Ok(packed)) => (packed, true),
            // Memory does not fail to be written to; if it did, plain is as good.
            Some(Err(_)) | None => (body, false),
        };
        let channel = self.channel(peer);
        let way = self
            .way_to(peer)
            .map(|(endpoint, lane)| (endpoint.events.clone(), lane.clone()));
        let client = self.client.clone();
        async move {
            let (verdict, promise) = match way {
                None => (verdict(no_such_peer(peer)), Promise::None),
                Some((url, lane)) => {
                    let post = Post {
                        url,
                        body,
                        is_gzipped,
                        channel: channel.clone(),
                    };
                    let received = client.post(post).await;
                    let asked = Asked {
                        events: count,
                        index: index.as_deref(),
                        acknowledge: channel.is_some(),
                    };
                    let judgement = judge(received.as_ref(), asked);
                    let promise = channel.map_or(Promise::None, |channel| {
                        lane.take_in(&channel, received.as_ref().ok(), &judgement)
                    });
                    (judgement.verdict, promise)
                }
            };
            Landing::Sent {
                flight,
                peer,
                verdict,
                promise,
            }
        }
    }

    /// Whether the collector is well, takes the token, and acknowledges if it is to; only an event
    /// can show more.
    pub(super) fn probe(
        &mut self,
        peer: usize,
    ) -> impl Future<Output = Result<(), Problem>> + Send + use<> {
        let reloaded = self.reload();
        let client = self.client.clone();
        let way = self.way_to(peer).cloned();
        let acknowledge = self.acknowledge;
        async move {
            reloaded?;
            let Some((endpoint, _)) = way else {
                return Err(no_such_peer(peer));
            };
            let health = client.get(endpoint.health.clone()).await?;
            reply::healthy(&health.answer(), Utc::now())?;
            // On a channel of its own: an id that somebody waits for is told as done only once.
            let lane = Lane::new();
            let channel = acknowledge.then(|| lane.channel().clone());
            let post = Post {
                url: endpoint.events.clone(),
                body: Vec::new(),
                is_gzipped: false,
                channel: channel.clone(),
            };
            let received = client.post(post).await?;
            reply::probed(&received.answer(), acknowledge, Utc::now())?;
            if let Some(channel) = channel {
                let question = ask(&client, endpoint, channel, &[0]).await?;
                reply::acknowledged(&question.answer(), Utc::now())?;
            }
            Ok(())
        }
    }

    /// Asks which of these ids are acknowledged.
    pub(super) fn ask(
        &self,
        peer: usize,
        channel: Channel,
        ack_ids: Vec<u64>,
    ) -> impl Future<Output = Landing> + Send + use<> {
        let client = self.client.clone();
        let way = self.way_to(peer).cloned();
        async move {
            let answer = match way {
                None => Err(no_such_peer(peer)),
                Some((endpoint, _)) => ask(&client, endpoint, channel.clone(), &ack_ids)
                    .await
                    .and_then(|received| reply::acknowledged(&received.answer(), Utc::now())),
            };
            Landing::Acknowledged {
                peer,
                channel,
                answer,
            }
        }
    }

    /// From now on another channel than this one.
    pub(super) fn leave_channel(&self, peer: usize, channel: Uuid) {
        if let Some((_, lane)) = self.way_to(peer) {
            lane.leave(channel);
        }
    }

    pub(super) fn framing_bytes(&self, origin: &BatchOrigin) -> usize {
        self.encoder.framing_bytes(origin)
    }

    fn way_to(&self, peer: usize) -> Option<&(Endpoint, SharedLane)> {
        self.endpoints.get(peer)
    }

    /// Reads the token and the certificates again.
    fn reload(&mut self) -> Result<(), Problem> {
        let problem = |reason: String, mend: &str| Problem {
            reason,
            mend: Some(mend.to_owned()),
            after: None,
        };
        self.config.token.reload().map_err(|error| {
            let mend = "put the HEC token into its file, alone on one line";
            problem(error.to_string(), mend)
        })?;
        self.client = HecClient::new(&self.config).map_err(|error| {
            let mend = "mend the file; it is read again by itself";
            problem(error.to_string(), mend)
        })?;
        Ok(())
    }
}

impl SharedLane {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Lane::new())))
    }

    fn lock(&self) -> MutexGuard<'_, Lane> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from an answer where the channel leads; gives what was promised.
    fn take_in(
        &self,
        channel: &Channel,
        received: Option<&Received>,
        judgement: &Judgement,
    ) -> Promise {
        let Some(received) = received else {
            // Who answers next may be an indexer that has restarted, and counts anew.
            self.leave(channel.guid);
            return Promise::Lost;
        };
        let receipt = self
            .lock()
            .answered(channel, &received.cookies(), judgement.ack_id);
        receipt.map_or(Promise::None, Promise::Given)
    }

    /// Unless it was left before.
    fn leave(&self, channel: Uuid) {
        let mut lane = self.lock();
        if lane.channel().guid == channel {
            lane.leave();
        }
    }
}

async fn ask(
    client: &HecClient,
    endpoint: Endpoint,
    channel: Channel,
    ack_ids: &[u64],
) -> Result<Received, Problem> {
    let mut url = endpoint.acks;
    url.query_pairs_mut()
        .append_pair("channel", &channel.guid.to_string());
    let post = Post {
        url,
        body: json!({ "acks": ack_ids }).to_string().into_bytes(),
        is_gzipped: false,
        channel: Some(channel),
    };
    client.post(post).await
}

fn judge(received: Result<&Received, &Problem>, asked: Asked<'_>) -> Judgement {
    match received {
        Ok(received) => reply::judge(&received.answer(), asked, Utc::now()),
        Err(problem) => Judgement {
            verdict: verdict(problem.clone()),
            ack_id: None,
        },
    }
}

/// Where nothing was answered, nothing is delivered for certain.
fn verdict(problem: Problem) -> Verdict {
    let reason = problem.reason;
    match problem.mend {
        None => Verdict::Retry {
            delivered: 0,
            reason,
            after: None,
        },
        Some(mend) => Verdict::Hold {
            delivered: 0,
            reason,
            mend,
        },
    }
}

fn no_such_peer(peer: usize) -> Problem {
    Problem {
        reason: format!("there is no endpoint {peer}"),
        mend: None,
        after: None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::Duration;

    use super::super::loopback::{closed_port, http_answer, http_server, outgoing, outgoing_of};
    use super::*;
    use crate::config::{
        AcknowledgementConfig, CollectionOverride, Secret, SecretSource, TlsConfig,
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
        match output.send(peer, 0, events).await {
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
            proxy: Some(format!("http://{proxy}")),
            ..config(&[])
        };
        let output = SplunkHec::new(&config, "agent").unwrap();
        assert_eq!(sent(&output, 0, &[outgoing("{}")]).await, DELIVERED);
        let request = requests.recv().await.unwrap();
        let line = "post http://splunk.invalid:8088/services/collector/event http/1.1\r\n";
        assert!(request.head.starts_with(line), "{}", request.head);
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
        let landing = output.send(0, 9, &[outgoing("{}")]).await;
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
}
