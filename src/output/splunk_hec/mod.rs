//! Splunk's HTTP Event Collector.

#[cfg(any(test, fuzzing))]
pub(super) mod bad_input;
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
    BatchOrigin, BuildOutputError, Channel, FlightId, Landing, Outgoing, Problem, Promise, Step,
    Verdict,
};
use crate::config::{ProxyConfig, SplunkHecConfig};

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

    /// One request with events of one index; gives the bytes of its body.
    pub(super) fn send(
        &self,
        peer: usize,
        flight: FlightId,
        events: &[Outgoing],
    ) -> (usize, impl Future<Output = Landing> + Send + use<>) {
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
        let bytes = body.len();
        let landing = async move {
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
                        token_stays: client.token_stays(),
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
        };
        (bytes, landing)
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
            health(&client, &endpoint).await?;
            let channel = new_channel(acknowledge);
            token(&client, &endpoint, channel.clone()).await?;
            match channel {
                Some(channel) => acknowledgement(&client, endpoint, channel).await,
                None => Ok(()),
            }
        }
    }

    /// The same step by step; the first that fails is the last.
    pub(super) async fn examine(&self, peer: usize) -> Vec<Step> {
        let Some((endpoint, _)) = self.way_to(peer).cloned() else {
            return Vec::new();
        };
        let client = &self.client;
        let mut steps = vec![Step::taken("health", health(client, &endpoint)).await];
        if steps.iter().all(|step| step.result.is_ok()) {
            let channel = new_channel(self.acknowledge);
            let taken = token(client, &endpoint, channel.clone());
            steps.push(Step::taken("token", taken).await);
            let is_well = steps.iter().all(|step| step.result.is_ok());
            if let Some(channel) = channel.filter(|_| is_well) {
                let asked = acknowledgement(client, endpoint, channel);
                steps.push(Step::taken("acknowledgement", asked).await);
            }
        }
        steps
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

    /// Reads the token, the proxy's password and the certificates again.
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
        let proxy = self.config.proxy.as_mut();
        proxy.map_or(Ok(()), ProxyConfig::reload).map_err(|error| {
            let mend = "put the password of the proxy into its file, alone on one line";
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

/// How the collector says it is.
async fn health(client: &HecClient, endpoint: &Endpoint) -> Result<(), Problem> {
    let health = client.get(endpoint.health.clone()).await?;
    reply::healthy(&health.answer(), Utc::now())
}

/// A channel of its own: an id that somebody waits for is told as done only once.
fn new_channel(acknowledge: bool) -> Option<Channel> {
    acknowledge.then(|| Lane::new().channel().clone())
}

/// Whether the token is taken: an empty request is refused for other reasons only.
async fn token(
    client: &HecClient,
    endpoint: &Endpoint,
    channel: Option<Channel>,
) -> Result<(), Problem> {
    let acknowledge = channel.is_some();
    let post = Post {
        url: endpoint.events.clone(),
        body: Vec::new(),
        is_gzipped: false,
        channel,
    };
    let received = client.post(post).await?;
    let asked = Asked {
        acknowledge,
        token_stays: client.token_stays(),
        ..Asked::default()
    };
    reply::probed(&received.answer(), &asked, Utc::now())
}

/// Whether the question for acknowledgements is answered.
async fn acknowledgement(
    client: &HecClient,
    endpoint: Endpoint,
    channel: Channel,
) -> Result<(), Problem> {
    let question = ask(client, endpoint, channel, &[0]).await?;
    reply::acknowledged(&question.answer(), Utc::now()).map(drop)
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
mod tests;
