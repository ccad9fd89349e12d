//! What can go wrong with the simulated HTTP Event Collector.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::HecRequestKind;
use crate::simulator::body::Pace;

/// A fault of the HTTP Event Collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum HecFault {
    /// Any code of the table, with its HTTP status.
    ///
    /// 0, 24 and 25 take the events. 6, 7, 12, 13 and 15 take those before `event`; 7 names the
    /// one behind it. All others take nothing.
    Code {
        /// The code.
        code: u8,
        /// The event that is at fault, from 0.
        #[serde(default)]
        event: usize,
    },
    /// An HTTP status without a code; nothing is taken.
    HttpStatus {
        /// The status.
        status: u16,
        /// The header Retry-After: seconds or a date.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// A web page with HTTP 200, as from a proxy that wants a login; nothing is taken.
    LoginPage,
    /// HTTP 200 with a body that is not the one that should come; nothing is taken or told.
    OtherBody {
        /// The body.
        #[serde(default = "garbage")]
        body: String,
    },
    /// The connection is reset before the body is read; nothing is taken.
    Reset,
    /// The connection is closed without an answer; nothing is taken.
    HangUp,
    /// The events are taken, and the connection is closed without an answer.
    AnswerLost,
    /// The events are taken, and the connection is closed in the middle of the answer.
    HalfAnswer,
    /// The connection stays open and nothing comes; nothing is taken.
    BlackHole,
    /// The events are taken, and the answer comes in pieces with a pause before each.
    SlowAnswer {
        /// Bytes a piece.
        piece_bytes: usize,
        /// Milliseconds a pause.
        pause_ms: u64,
    },
}

fn garbage() -> String {
    r#"{"text":"Success","acks":{"0":tr"#.to_owned()
}

/// On which requests a fault shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HecFaultOn {
    /// On those that bring events.
    #[default]
    Events,
    /// On those that ask for acknowledgements.
    Acks,
    /// On those that ask for the health.
    Health,
    /// On all.
    Any,
}

impl HecFaultOn {
    pub(super) fn fits(self, kind: HecRequestKind) -> bool {
        match self {
            Self::Events => kind == HecRequestKind::Events,
            Self::Acks => kind == HecRequestKind::Acks,
            Self::Health => kind == HecRequestKind::Health,
            Self::Any => true,
        }
    }
}

impl HecFault {
    pub(super) fn pace(&self) -> Pace {
        match self {
            Self::HalfAnswer => Pace::Cut,
            &Self::SlowAnswer {
                piece_bytes,
                pause_ms,
            } => Pace::Slow {
                piece_bytes,
                pause: Duration::from_millis(pause_ms),
            },
            _ => Pace::Whole,
        }
    }
}
