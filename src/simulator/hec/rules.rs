//! What the simulated HTTP Event Collector wants and how it is set up.

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
    /// Whether the token acknowledges, and when.
    pub acknowledgement: Option<AckPolicy>,
    /// The longest body, after decompression.
    pub max_content_bytes: usize,
    /// What a longer one is answered.
    pub too_large: TooLarge,
    /// How many of the last events are kept for the test to look at.
    pub kept_events: usize,
}

/// When events that were taken are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckPolicy {
    /// At once.
    AtOnce,
    /// When it was asked so often before.
    AfterAsked(u32),
    /// When the test says so.
    Held,
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
            acknowledgement: None,
            max_content_bytes: 5 * 1024 * 1024,
            too_large: TooLarge::Status413,
            kept_events: 1_000_000,
        }
    }
}
