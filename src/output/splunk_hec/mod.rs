//! Splunk's HTTP Event Collector.

mod client;
mod encode;
mod endpoints;
mod reply;

use chrono::Utc;

use self::client::HecClient;
use self::encode::{Encoder, gzip};
use self::endpoints::Endpoints;
use self::reply::Asked;
use super::{BatchOrigin, BuildOutputError, Outgoing, Problem, Verdict};
use crate::config::{Secret, SplunkHecConfig};

/// One token at a collector that has one or several endpoints.
#[derive(Debug)]
pub struct SplunkHec {
    client: HecClient,
    encoder: Encoder,
    endpoints: Endpoints,
    token: Secret,
    gzip: bool,
}

impl SplunkHec {
    /// Connects to nothing yet.
    pub(super) fn new(config: &SplunkHecConfig, host: &str) -> Result<Self, BuildOutputError> {
        Ok(Self {
            client: HecClient::new(config)?,
            encoder: Encoder::new(config, host),
            endpoints: Endpoints::new(&config.endpoints)?,
            token: config.token.clone(),
            gzip: config.gzip,
        })
    }

    /// One request for each run of events of one index: mostly one.
    ///
    /// A refused index names its event badly (code 7), but where all have the same index it is the
    /// first that was refused, so what is delivered is known.
    pub(super) async fn send(&mut self, events: &[Outgoing]) -> Verdict {
        let mut delivered = 0;
        let mut asked_to_slow_down = false;
        while let Some(run) = self.run(events.get(delivered..).unwrap_or_default()) {
            match self.send_run(run).await {
                Verdict::Delivered { slow_down } => {
                    delivered += run.len();
                    asked_to_slow_down |= slow_down;
                }
                other => return behind(delivered, other),
            }
        }
        Verdict::Delivered {
            slow_down: asked_to_slow_down,
        }
    }

    /// Whether the token is taken; only an event can show more.
    pub(super) async fn probe(&mut self) -> Result<(), Problem> {
        self.reload_token()?;
        match self.post(Vec::new(), false).await {
            Ok(received) => reply::probed(&received.answer()),
            Err(reason) => Err(Problem {
                reason,
                mend: "see that Splunk runs and that this machine can reach it".into(),
            }),
        }
    }

    pub(super) fn framing_bytes(&self, origin: &BatchOrigin) -> usize {
        self.encoder.framing_bytes(origin)
    }

    /// The first events that go to one index.
    fn run<'a>(&self, events: &'a [Outgoing]) -> Option<&'a [Outgoing]> {
        let index = self.encoder.index(&events.first()?.origin);
        let length = events
            .iter()
            .take_while(|out| self.encoder.index(&out.origin) == index)
            .count();
        events.get(..length)
    }

    async fn send_run(&mut self, events: &[Outgoing]) -> Verdict {
        let body = self.encoder.encode(events);
        let (body, gzipped) = match self.gzip.then(|| gzip(&body)) {
            Some(Ok(packed)) => (packed, true),
            // Memory does not fail to be written to; if it did, plain is as good.
            Some(Err(_)) | None => (body, false),
        };
        let received = match self.post(body, gzipped).await {
            Ok(received) => received,
            Err(reason) => {
                return Verdict::Retry {
                    delivered: 0,
                    reason,
                    after: None,
                };
            }
        };
        let index = events
            .first()
            .and_then(|out| self.encoder.index(&out.origin));
        let asked = Asked {
            events: events.len(),
            index,
        };
        let verdict = reply::verdict(&received.answer(), asked, Utc::now());
        if matches!(verdict, Verdict::Retry { .. }) {
            self.endpoints.turn();
        }
        verdict
    }

    /// Posts to the endpoint in use; after a connection fault another one is.
    async fn post(&mut self, body: Vec<u8>, gzipped: bool) -> Result<client::Received, String> {
        let url = self.endpoints.current().clone();
        let answer = self.client.post(url, body, gzipped).await;
        if answer.is_err() {
            self.endpoints.turn();
        }
        answer
    }

    fn reload_token(&mut self) -> Result<(), Problem> {
        let mend = || "put the HEC token into its file, alone on one line".to_owned();
        self.token.reload().map_err(|error| Problem {
            reason: error.to_string(),
            mend: mend(),
        })?;
        self.client.set_token(&self.token).map_err(|error| Problem {
            reason: error.to_string(),
            mend: mend(),
        })
    }
}

/// What a verdict on later events says about all, where these many before them are delivered.
fn behind(before: usize, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Delivered { slow_down } => Verdict::Delivered { slow_down },
        Verdict::Retry {
            delivered,
            reason,
            after,
        } => Verdict::Retry {
            delivered: before + delivered,
            reason,
            after,
        },
        Verdict::Hold {
            delivered,
            reason,
            mend,
        } => Verdict::Hold {
            delivered: before + delivered,
            reason,
            mend,
        },
        Verdict::Refused {
            index,
            code,
            reason,
        } => Verdict::Refused {
            index: before + index,
            code,
            reason,
        },
        Verdict::TooLarge { reason } if before == 0 => Verdict::TooLarge { reason },
        // The next call begins with what is too large and can say so.
        Verdict::TooLarge { reason } => Verdict::Retry {
            delivered: before,
            reason,
            after: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::Duration;

    use super::super::loopback::{closed_port, http_answer, http_server, outgoing, outgoing_of};
    use super::*;
    use crate::config::{CollectionOverride, TlsConfig};
    use crate::event::RecordType;

    fn token(text: &str) -> Secret {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Secret::read_file(file.path()).unwrap()
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

    fn no_data() -> String {
        http_answer("400 Bad Request", "", r#"{"text":"No data","code":5}"#)
    }

    const DELIVERED: Verdict = Verdict::Delivered { slow_down: false };

    #[tokio::test]
    async fn posts_the_envelopes_with_the_token() {
        let (address, mut requests) = http_server(vec![success()]).await;
        let mut output = SplunkHec::new(&config(&[address]), "agent").unwrap();
        let events = [outgoing(r#"{"n":1}"#), outgoing(r#"{"n":2}"#)];
        assert_eq!(output.send(&events).await, DELIVERED);
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
        let mut output = SplunkHec::new(&config, "agent").unwrap();
        let events = [outgoing(r#"{"n":1}"#)];
        assert_eq!(output.send(&events).await, DELIVERED);
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
        let mut output = SplunkHec::new(&config(&[address]), "agent").unwrap();
        assert_eq!(
            output.send(&[outgoing("{}")]).await,
            Verdict::Retry {
                delivered: 0,
                reason: "HTTP 503, code 9: Server is busy".into(),
                after: Some(Duration::from_secs(7)),
            }
        );
    }

    #[tokio::test]
    async fn after_a_connection_fault_the_next_endpoint_is_asked() {
        let (address, _requests) = http_server(vec![success()]).await;
        let closed = closed_port().await;
        let mut output = SplunkHec::new(&config(&[closed, address]), "agent").unwrap();
        let verdict = output.send(&[outgoing("{}")]).await;
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
        assert_eq!(output.send(&[outgoing("{}")]).await, DELIVERED);
    }

    #[tokio::test]
    async fn an_answer_that_stays_out_is_a_connection_fault() {
        let (address, _requests) = http_server(vec![String::new()]).await;
        let mut output = SplunkHec::new(&config(&[address]), "agent").unwrap();
        let verdict = output.send(&[outgoing("{}")]).await;
        assert!(
            matches!(verdict, Verdict::Retry { delivered: 0, .. }),
            "{verdict:?}"
        );
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
        let mut output = SplunkHec::new(&config(&[address]), "agent").unwrap();
        let verdict = output.send(&[outgoing("{}")]).await;
        assert!(
            matches!(verdict, Verdict::Hold { delivered: 0, .. }),
            "{verdict:?}"
        );
        assert!(untouched.try_recv().is_err());
    }

    #[tokio::test]
    async fn events_of_two_indexes_go_apart_and_the_verdict_counts_from_the_first() {
        let refused = http_answer(
            "400 Bad Request",
            "",
            r#"{"text":"Incorrect index","code":7,"invalid-event-number":1}"#,
        );
        let (address, mut requests) = http_server(vec![success(), refused]).await;
        let config = SplunkHecConfig {
            overrides: vec![CollectionOverride {
                collection: "special".into(),
                index: Some("own".into()),
                source: None,
                sourcetype: None,
            }],
            ..config(&[address])
        };
        let mut output = SplunkHec::new(&config, "agent").unwrap();
        let special = || outgoing_of("special", RecordType::Flow, "{}");
        let events = [outgoing("{}"), outgoing("{}"), special(), special()];
        let verdict = output.send(&events).await;
        let Verdict::Hold {
            delivered: 2, mend, ..
        } = verdict
        else {
            panic!("{verdict:?}");
        };
        assert!(mend.contains("\"own\""), "{mend}");
        for run in [&events[..2], &events[2..]] {
            let request = requests.recv().await.unwrap();
            assert_eq!(request.body, output.encoder.encode(run));
        }
    }

    #[test]
    fn a_later_verdict_counts_what_went_before() {
        let reason = String::new();
        let refused = |index| Verdict::Refused {
            index,
            code: "hec-12".into(),
            reason: String::new(),
        };
        assert_eq!(behind(5, refused(1)), refused(6));
        let too_large = Verdict::TooLarge {
            reason: reason.clone(),
        };
        assert_eq!(behind(0, too_large.clone()), too_large);
        assert_eq!(
            behind(5, too_large),
            Verdict::Retry {
                delivered: 5,
                reason,
                after: None,
            }
        );
    }

    #[tokio::test]
    async fn a_probe_reads_the_token_again_and_sends_no_event() {
        let disabled = http_answer("403 Forbidden", "", r#"{"text":"Token disabled","code":1}"#);
        let (address, mut requests) = http_server(vec![disabled, no_data()]).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let config = SplunkHecConfig {
            token: Secret::read_file(&path).unwrap(),
            ..config(&[address])
        };
        let mut output = SplunkHec::new(&config, "agent").unwrap();
        let problem = output.probe().await.unwrap_err();
        assert!(problem.mend.contains("enable it"), "{problem}");

        std::fs::write(&path, "").unwrap();
        let problem = output.probe().await.unwrap_err();
        assert!(problem.reason.contains("token"), "{problem}");

        std::fs::write(&path, "second\n").unwrap();
        output.probe().await.unwrap();
        for token in ["first", "second"] {
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
