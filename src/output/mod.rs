//! Where events go: one closed enum, one file or folder a kind.
//!
//! An output has one or more peers: the endpoints of a collector, the addresses of a receiver, one
//! file. Several [flights](FlightId) may be under way. An output encodes, sends once and says what
//! became of it. It never waits, retries or counts: that is `delivery`'s.

#[cfg(any(test, fuzzing))]
pub(crate) mod bad_input;
mod examination;
mod file;
mod landing;
mod splunk_hec;
mod stdout;
mod syslog;

#[cfg(test)]
mod loopback;

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use uuid::Uuid;

use crate::config::{OutputConfig, OutputKind};
use crate::event::Event;
use crate::tls::BuildClientError;

pub use examination::Step;
use file::JsonLinesFile;
pub use landing::{Channel, FlightId, Landing, Problem, Promise, Receipt, Verdict};
use splunk_hec::SplunkHec;
use stdout::Stdout;
use syslog::Syslog;

/// An event with the batch that it came in.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The batch's origin.
    pub origin: Arc<BatchOrigin>,
    /// The event.
    pub event: Event,
}

/// What is the same for all events of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOrigin {
    /// The configured name of the service.
    pub service: String,
    /// The collection.
    pub collection: String,
    /// The end of the window: the time of an event that states none.
    pub window_end: DateTime<Utc>,
}

/// An output cannot be set up from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildOutputError {
    /// A `splunk_hec` output without endpoints.
    #[error("endpoints is empty: name at least one, such as https://splunk.example.com:8088")]
    NoEndpoint,
    /// An endpoint that cannot be one.
    #[error("endpoint {endpoint:?} {problem}")]
    Endpoint {
        /// As configured, without user and password.
        endpoint: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The token holds characters that no HTTP header can.
    #[error("the token cannot be used: it must be printable ASCII")]
    Token,
    /// TLS or proxy.
    #[error(transparent)]
    Client(#[from] BuildClientError),
    /// A name that no certificate can be for.
    #[error(
        "{name:?} cannot be the name in a certificate: set server_name to a host name or an address"
    )]
    ServerName {
        /// As configured, or the host of an address.
        name: String,
    },
    /// The kernel does not tell what a receiver's TCP has.
    #[error(
        "syslog over TCP and TLS needs Linux 4.1 or later: update the kernel, or use transport = \"relp\""
    )]
    OldKernel,
    /// This process has no standard output.
    #[error("standard output cannot be used: {source}")]
    Stdout {
        /// Why.
        source: std::io::Error,
    },
}

/// One configured output.
#[derive(Debug)]
pub struct Output {
    kind: Kind,
    under_way: FuturesUnordered<BoxFuture<'static, Landing>>,
}

#[derive(Debug)]
enum Kind {
    SplunkHec(Box<SplunkHec>),
    Syslog(Box<Syslog>),
    File(JsonLinesFile),
    Stdout(Stdout),
}

/// What was launched.
#[derive(Debug)]
pub struct Launched {
    /// Where it goes, where the peer acknowledges.
    pub channel: Option<Channel>,
    /// Its bytes as they travel: compressed, without headers and TLS.
    pub bytes: u64,
}

/// How several peers share the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerOrder {
    /// All of them have the same, each takes a part.
    Spread,
    /// The first that is well takes everything.
    Preferred,
}

impl Output {
    /// Sets the output up, without a word to the peers.
    pub fn new(config: &OutputConfig) -> Result<Self, BuildOutputError> {
        let kind = match &config.kind {
            OutputKind::SplunkHec(hec) => {
                Kind::SplunkHec(Box::new(SplunkHec::new(hec, &config.host)?))
            }
            OutputKind::Syslog(syslog) => {
                Kind::Syslog(Box::new(Syslog::new(syslog, &config.host)?))
            }
            OutputKind::File(file) => Kind::File(JsonLinesFile::new(file)),
            OutputKind::Stdout => Kind::Stdout(Stdout::new()?),
        };
        Ok(Self {
            kind,
            under_way: FuturesUnordered::new(),
        })
    }

    /// How many of the first events may go in one flight, at least one: those of one index, since
    /// a collector that refuses an index does not say clearly whose it was.
    #[must_use]
    pub fn together<'a>(&self, events: impl Iterator<Item = &'a Arc<BatchOrigin>>) -> usize {
        match &self.kind {
            Kind::SplunkHec(output) => output.together(events),
            Kind::Syslog(_) | Kind::File(_) | Kind::Stdout(_) => usize::MAX,
        }
    }

    /// Starts sending these events, in order, to a peer. There must be at least one.
    pub fn launch(&mut self, peer: usize, flight: FlightId, events: &[Outgoing]) -> Launched {
        let mut channel = None;
        let (bytes, landing): (usize, BoxFuture<'static, Landing>) = match &mut self.kind {
            Kind::SplunkHec(output) => {
                channel = output.channel(peer);
                let (bytes, landing) = output.send(peer, flight, events);
                (bytes, Box::pin(landing))
            }
            Kind::Syslog(output) => {
                let bytes = output.launch(peer, flight, events) as u64;
                return Launched { channel, bytes };
            }
            Kind::File(output) => {
                let landing = sent(flight, peer, output.send(events));
                (json_lines_bytes(events), Box::pin(landing))
            }
            Kind::Stdout(output) => {
                let landing = sent(flight, peer, output.send(events));
                (json_lines_bytes(events), Box::pin(landing))
            }
        };
        self.under_way.push(landing);
        let bytes = bytes as u64;
        Launched { channel, bytes }
    }

    /// Asks a peer whether what was in the way is mended; a secret that lies in a file is read
    /// again.
    ///
    /// A probe sends no event, so it cannot see everything (an index that is not allowed shows only
    /// when an event goes there): the next flight has the last word.
    pub fn probe(&mut self, peer: usize) {
        let landing: BoxFuture<'static, Landing> = match &mut self.kind {
            Kind::SplunkHec(output) => Box::pin(probed(peer, output.probe(peer))),
            Kind::Syslog(output) => return output.probe(peer),
            Kind::File(output) => Box::pin(probed(peer, output.probe())),
            Kind::Stdout(output) => Box::pin(probed(peer, std::future::ready(output.probe()))),
        };
        self.under_way.push(landing);
    }

    /// Asks for a person what a probe asks, and tells each step of it. Nothing else may be under way.
    pub async fn examine(&mut self, peer: usize) -> Vec<Step> {
        if let Kind::SplunkHec(output) = &mut self.kind {
            return output.examine(peer).await;
        }
        let name = match &self.kind {
            Kind::Syslog(output) => output.step(),
            _ => "file",
        };
        let probing = async {
            self.probe(peer);
            match self.landing().await {
                Landing::Probed { result, .. } => result,
                Landing::Sent { .. } | Landing::Acknowledged { .. } => Ok(()),
            }
        };
        let step = Step::taken(name, probing).await;
        self.close().await;
        vec![step]
    }

    /// Asks a peer which of these receipts of one channel are good: what they stand for is
    /// delivered.
    pub fn ask(&mut self, peer: usize, channel: &Channel, ack_ids: Vec<u64>) {
        if let Kind::SplunkHec(output) = &self.kind {
            let landing = output.ask(peer, channel.clone(), ack_ids);
            self.under_way.push(Box::pin(landing));
        }
    }

    /// No flight goes to this channel of a peer from now on.
    pub fn leave_channel(&mut self, peer: usize, channel: Uuid) {
        if let Kind::SplunkHec(output) = &self.kind {
            output.leave_channel(peer, channel);
        }
    }

    /// Drives what is under way until something has landed; never done if nothing is.
    ///
    /// A dropped future loses nothing: the next call goes on.
    pub async fn landing(&mut self) -> Landing {
        if let Kind::Syslog(output) = &mut self.kind {
            return output.landing().await;
        }
        match self.under_way.next().await {
            Some(landing) => landing,
            None => std::future::pending().await,
        }
    }

    /// Takes leave of the peers. What is under way is given up.
    pub async fn close(&mut self) {
        self.under_way.clear();
        if let Kind::Syslog(output) = &mut self.kind {
            output.close().await;
        }
    }

    /// The most bytes that an event of this origin takes beyond its JSON, before compression.
    #[must_use]
    pub fn framing_bytes(&self, origin: &BatchOrigin) -> usize {
        match &self.kind {
            Kind::SplunkHec(output) => output.framing_bytes(origin),
            Kind::Syslog(output) => output.framing_bytes(),
            Kind::File(_) | Kind::Stdout(_) => 1,
        }
    }
}

async fn sent(flight: FlightId, peer: usize, sending: impl Future<Output = Verdict>) -> Landing {
    Landing::Sent {
        flight,
        peer,
        verdict: sending.await,
        promise: Promise::None,
    }
}

async fn probed(peer: usize, probing: impl Future<Output = Result<(), Problem>>) -> Landing {
    Landing::Probed {
        peer,
        result: probing.await,
    }
}

/// The events as JSON lines.
fn json_lines(events: &[Outgoing]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(json_lines_bytes(events));
    for out in events {
        lines.extend_from_slice(one_line(&out.event.json).as_bytes());
        lines.push(b'\n');
    }
    lines
}

fn json_lines_bytes(events: &[Outgoing]) -> usize {
    events.iter().map(|out| out.event.json.len() + 1).sum()
}

/// JSON without raw line breaks: in valid JSON they only ever stand between tokens, so a space says
/// the same, and what a feed wrote can neither end a frame nor begin another.
fn one_line(json: &str) -> Cow<'_, str> {
    if memchr::memchr3(b'\n', b'\r', 0, json.as_bytes()).is_none() {
        return Cow::Borrowed(json);
    }
    Cow::Owned(json.replace(['\n', '\r', '\0'], " "))
}

#[cfg(test)]
mod tests {
    use super::loopback::outgoing;
    use super::*;

    #[test]
    fn json_lines_are_one_line_each_whatever_the_json_looks_like() {
        let events = [outgoing("{\n\"a\":\r\n1}"), outgoing(r#"{"b":"\n"}"#)];
        assert_eq!(
            String::from_utf8(json_lines(&events)).unwrap(),
            "{ \"a\":  1}\n{\"b\":\"\\n\"}\n"
        );
    }
}
