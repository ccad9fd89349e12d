//! What the simulated HTTP Event Collector wants and how it is set up.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::event::EventId;
use crate::simulator::tls::ServerTls;

/// The rules of an HTTP Event Collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HecRules {
    /// The port on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// The token that it takes.
    pub token: String,
    /// Whether that token is enabled.
    pub enabled: bool,
    /// The indexes that the token may write to; without a list, to all.
    pub indexes: Option<Vec<String>>,
    /// Events that are refused, each with a code of one event's data (6, 12, 13 or 15), whatever
    /// is sent with them.
    pub refused: BTreeMap<EventId, u8>,
    /// Whether the token acknowledges, and when.
    pub acknowledgement: Option<AckPolicy>,
    /// Which answers to a request with a refused event carry an `ackId` for those before it.
    pub partly_taken: PartlyTaken,
    /// Whether refused requests use up ack ids too, which nobody is told.
    pub refusals_use_ack_ids: bool,
    /// How long a channel is known that nobody uses.
    pub idle_channel: Duration,
    /// Events are in an index only when they are acknowledged, and an indexer that restarts loses
    /// the others.
    ///
    /// Otherwise they are at once, whatever becomes of their acknowledgement.
    pub loses_unacknowledged: bool,
    /// How many indexers there are behind the one address.
    pub indexers: usize,
    /// To which of them a request goes.
    pub sticky: Sticky,
    /// The longest body, after decompression.
    pub max_content_bytes: usize,
    /// What a longer one is answered.
    pub too_large: TooLarge,
    /// How many of the last events are kept for the test to look at. Where that is none, they are only
    /// counted: nothing is looked for in them.
    pub kept_events: usize,
    /// Over TLS, as this server.
    pub tls: Option<ServerTls>,
}

/// When events that were taken are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckPolicy {
    /// At once.
    AtOnce,
    /// When it was asked so often before.
    AfterAsked(u32),
    /// When the test says so.
    Held,
    /// Never.
    Never,
}

/// Whether an answer that refuses an event acknowledges those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartlyTaken {
    /// With an `ackId`, whatever is wrong with the event.
    AckId,
    /// With an `ackId` on code 6 alone.
    AckIdOnCode6,
}

/// To which indexer the load balancer sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sticky {
    /// To the one that the cookie of an earlier answer names; without such a cookie to the next,
    /// with a cookie in the answer.
    Cookie,
    /// To one after the other.
    None,
}

/// How a body that is too large is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLarge {
    /// HTTP 413.
    Status413,
    /// HTTP 400 with code 6 and event 0, as Splunk Cloud does.
    InvalidEvent0,
}

impl Default for HecRules {
    fn default() -> Self {
        Self {
            port: 0,
            token: "11111111-2222-3333-4444-555555555555".to_owned(),
            enabled: true,
            indexes: None,
            refused: BTreeMap::new(),
            acknowledgement: None,
            partly_taken: PartlyTaken::AckId,
            refusals_use_ack_ids: false,
            idle_channel: Duration::from_secs(600),
            loses_unacknowledged: false,
            indexers: 1,
            sticky: Sticky::None,
            max_content_bytes: 5 * 1024 * 1024,
            too_large: TooLarge::Status413,
            kept_events: 1_000_000,
            tls: None,
        }
    }
}
