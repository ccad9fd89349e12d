//! Where events go: one closed enum, one file or folder a kind.
//!
//! An output encodes, sends once and says what became of it. It never waits, retries or counts:
//! that is `delivery`'s.

mod file;
mod splunk_hec;
mod stdout;
mod syslog;

#[cfg(test)]
mod loopback;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::config::{OutputConfig, OutputKind};
use crate::event::Event;
use crate::tls::BuildClientError;

use file::JsonLinesFile;
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

/// Identifies what was launched until it has landed.
pub type FlightId = u64;

/// What came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landing {
    /// Events that were launched.
    Sent {
        /// As they were launched.
        flight: FlightId,
        /// Where to.
        peer: usize,
        /// What became of them.
        verdict: Verdict,
    },
    /// A probe.
    Probed {
        /// Of which peer.
        peer: usize,
        /// Whether it would take events.
        result: Result<(), Problem>,
    },
}

/// What became of the events that one call of `send` was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All are delivered.
    Delivered {
        /// The receiver asks for less at once.
        slow_down: bool,
    },
    /// The first `delivered` are delivered, the rest may be tried again later.
    Retry {
        /// How many of the first are delivered for certain.
        delivered: usize,
        /// What happened, for the operator.
        reason: String,
        /// How long the receiver asks us to wait.
        after: Option<Duration>,
    },
    /// Nothing goes through until a person mends something.
    Hold {
        /// How many of the first are delivered for certain.
        delivered: usize,
        /// What happened.
        reason: String,
        /// What to do about it.
        mend: String,
    },
    /// The events before `index` are delivered, that one never can be, those after it were not
    /// taken and go again.
    Refused {
        /// The event's place in the slice, from 0.
        index: usize,
        /// The receiver's code, such as `hec-6`.
        code: String,
        /// What the receiver said.
        reason: String,
    },
    /// Nothing was taken since it is too much at once: send half. Of one event: refused.
    TooLarge {
        /// What the receiver said.
        reason: String,
    },
}

/// Why a held output is still held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What happened.
    pub reason: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.mend)
    }
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
pub enum Output {
    /// Splunk's HTTP Event Collector.
    SplunkHec(Box<SplunkHec>),
    /// Syslog over UDP, TCP, TLS or RELP.
    Syslog(Box<Syslog>),
    /// JSON lines in a file.
    File(JsonLinesFile),
    /// JSON lines on standard output.
    Stdout(Stdout),
}

impl Output {
    /// Sets the output up, without a word to the peer.
    pub fn new(config: &OutputConfig) -> Result<Self, BuildOutputError> {
        Ok(match &config.kind {
            OutputKind::SplunkHec(hec) => {
                Self::SplunkHec(Box::new(SplunkHec::new(hec, &config.host)?))
            }
            OutputKind::Syslog(syslog) => {
                Self::Syslog(Box::new(Syslog::new(syslog, &config.host)?))
            }
            OutputKind::File(file) => Self::File(JsonLinesFile::new(file)),
            OutputKind::Stdout => Self::Stdout(Stdout::new()?),
        })
    }

    /// Tries once to deliver these events, in order.
    ///
    /// A dropped future loses nothing, but what it had sent may be sent again.
    pub async fn send(&mut self, events: &[Outgoing]) -> Verdict {
        if events.is_empty() {
            return Verdict::Delivered { slow_down: false };
        }
        match self {
            Self::SplunkHec(output) => output.send(events).await,
            Self::Syslog(output) => {
                output.launch(0, FlightId::default(), events);
                loop {
                    if let Landing::Sent { verdict, .. } = output.landing().await {
                        return verdict;
                    }
                }
            }
            Self::File(output) => output.send(events).await,
            Self::Stdout(output) => output.send(events).await,
        }
    }

    /// Asks whether what held the output is mended; a secret that lies in a file is read again.
    ///
    /// A probe sends no event, so it cannot see everything (an index that is not allowed shows only
    /// when an event goes there): the next `send` has the last word.
    pub async fn probe(&mut self) -> Result<(), Problem> {
        match self {
            Self::SplunkHec(output) => output.probe().await,
            Self::Syslog(output) => {
                output.probe(0);
                loop {
                    if let Landing::Probed { result, .. } = output.landing().await {
                        return result;
                    }
                }
            }
            Self::File(output) => output.probe().await,
            Self::Stdout(output) => output.probe(),
        }
    }

    /// Takes leave of the peer.
    pub async fn close(&mut self) {
        match self {
            Self::Syslog(output) => output.close().await,
            // These owe nothing once `send` has answered.
            Self::SplunkHec(_) | Self::File(_) | Self::Stdout(_) => {}
        }
    }

    /// The most bytes that an event of this origin takes beyond its JSON, before compression.
    #[must_use]
    pub fn framing_bytes(&self, origin: &BatchOrigin) -> usize {
        match self {
            Self::SplunkHec(output) => output.framing_bytes(origin),
            Self::Syslog(output) => output.framing_bytes(),
            Self::File(_) | Self::Stdout(_) => 1,
        }
    }
}

/// The events as JSON lines.
fn json_lines(events: &[Outgoing]) -> Vec<u8> {
    let bytes = events.iter().map(|out| out.event.json.len() + 1).sum();
    let mut lines = Vec::with_capacity(bytes);
    for out in events {
        lines.extend_from_slice(one_line(&out.event.json).as_bytes());
        lines.push(b'\n');
    }
    lines
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
