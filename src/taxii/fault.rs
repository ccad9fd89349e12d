//! What can go wrong with a poll, and what is done about it.

use std::time::Duration;

use super::Timestamp;
use super::mend::{Configured, Mend};
use super::message::NotInVersion;
use super::status::{StatusMessage, StatusType};

/// The longest wait that a service can ask for: a slip of its pen must not stop the feed for longer
/// than it keeps its content.
const MAX_ASKED_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A poll failed. The text is for the operator: what happened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// No connection, and no byte of the request was sent.
    #[error("cannot connect: {reason}")]
    Connect {
        /// Why.
        reason: String,
    },
    /// The proxy wants other credentials, or any at all: the service has seen nothing.
    #[error("the proxy asks for authentication (HTTP 407)")]
    ProxyRefused,
    /// The request was sent, its answer did not come.
    #[error("the connection failed before the answer came: {reason}")]
    Connection {
        /// Why.
        reason: String,
    },
    /// The request was sent, and not even the head of an answer came in time.
    #[error("no answer came in time (request_timeout): {reason}")]
    TimedOut {
        /// What was waited for.
        reason: String,
    },
    /// An HTTP status without a TAXII message.
    #[error("the service answers HTTP {status}")]
    Http {
        /// The status.
        status: u16,
        /// `Retry-After`
        retry_after: Option<Duration>,
    },
    /// A Status_Message instead of an answer.
    #[error("the service answers {message}")]
    Status {
        /// The HTTP status.
        http: u16,
        /// The message.
        message: Box<StatusMessage>,
    },
    /// The answer cannot be read: truncated, malformed, too large, no TAXII.
    #[error("the answer cannot be read: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// The answer would not move the checkpoint.
    #[error(
        "the answer makes no progress: it ends at {end}, and that is where it was asked to begin"
    )]
    NoProgress {
        /// The stated end.
        end: Timestamp,
    },
    /// More parts than allowed.
    #[error("the answer has more than {limit} parts (limits.max_parts)")]
    TooManyParts {
        /// The limit.
        limit: u32,
    },
    /// Where to poll could not be found out.
    #[error("the service does not tell where to poll: {reason}")]
    NotFound {
        /// What came instead.
        reason: String,
    },
    /// The service does not offer what is wanted, or not in a way that can be used.
    #[error("{reason}")]
    NotOffered {
        /// What was looked for, and what is there.
        reason: String,
    },
    /// The version of TAXII that is spoken cannot say it.
    #[error(transparent)]
    NotInVersion(#[from] NotInVersion),
    /// The service no longer has the result whose next part was asked for.
    #[error("the service no longer has part {part} of its answer: {message}")]
    ResultExpired {
        /// The part.
        part: u32,
        /// What the service said.
        message: Box<StatusMessage>,
    },
}

/// What is done about a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// The same window again within this slot: the service has seen nothing of the request.
    SameSlot,
    /// The same window again when the gate opens.
    NextGate,
    /// The same window again when the gate opens, but not before this.
    Wait(Duration),
    /// A person must mend something; probed whenever the gate opens.
    Hold {
        /// What to mend.
        mend: Mend,
    },
    /// The same window again when the gate opens; a shorter one if it goes on.
    Shrink,
}

impl Fault {
    /// What is done about it.
    #[must_use]
    pub fn reaction(&self) -> Reaction {
        match self {
            Self::Connect { .. } => Reaction::SameSlot,
            Self::Connection { .. } | Self::NoProgress { .. } | Self::ResultExpired { .. } => {
                Reaction::NextGate
            }
            Self::ProxyRefused => Reaction::Hold { mend: Mend::Proxy },
            Self::Http {
                status,
                retry_after,
            } => match (mend_for_http(*status), retry_after) {
                (Some(mend), _) => Reaction::Hold { mend },
                (None, Some(wait)) => Reaction::Wait((*wait).min(MAX_ASKED_WAIT)),
                (None, None) => Reaction::NextGate,
            },
            Self::Status { http, message } => status_reaction(*http, message),
            Self::NotFound { .. } => Reaction::NextGate,
            Self::NotOffered { .. } => Reaction::Hold {
                mend: Mend::NotOffered,
            },
            Self::NotInVersion(_) => Reaction::Hold {
                mend: Mend::NotInVersion,
            },
            Self::TimedOut { .. } | Self::Unreadable { .. } | Self::TooManyParts { .. } => {
                Reaction::Shrink
            }
        }
    }

    /// What happened, and what a person must mend if it is for one.
    #[must_use]
    pub fn with_mend(&self, at: &Configured) -> String {
        match self.reaction() {
            Reaction::Hold { mend } => format!("{self}; {}", mend.text(at)),
            _ => self.to_string(),
        }
    }

    /// Whether an answer came that a person can be shown: without one nothing says that the window
    /// is at fault, and it is never given up.
    #[must_use]
    pub fn has_answer(&self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::TooManyParts { .. })
    }
}

fn mend_for_http(status: u16) -> Option<Mend> {
    match status {
        401 | 403 | 404 => Some(Mend::AccessOrAddress),
        407 => Some(Mend::Proxy),
        400 | 405 | 406 | 413 | 415 => Some(Mend::NotUnderstood),
        300..=399 => Some(Mend::Moved),
        _ => None,
    }
}

fn status_reaction(http: u16, message: &StatusMessage) -> Reaction {
    let mend = match message.status {
        StatusType::Retry => {
            return message.estimated_wait().map_or(Reaction::NextGate, |wait| {
                Reaction::Wait(wait.min(MAX_ASKED_WAIT))
            });
        }
        StatusType::Unauthorized | StatusType::Denied => Mend::Access,
        StatusType::NotFound => Mend::NotFound,
        StatusType::BadMessage => Mend::Refused,
        StatusType::Pending => Mend::Later,
        StatusType::UnsupportedContent => Mend::Content,
        StatusType::PollingUnsupported => Mend::NotPolled,
        StatusType::UnsupportedMessage
        | StatusType::UnsupportedProtocol
        | StatusType::UnsupportedQuery => Mend::NotUnderstood,
        _ => match mend_for_http(http) {
            Some(mend) => mend,
            None => return Reaction::NextGate,
        },
    };
    Reaction::Hold { mend }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: StatusType) -> Fault {
        Fault::Status {
            http: 200,
            message: Box::new(StatusMessage {
                status,
                in_response_to: None,
                message: None,
                details: vec![("ESTIMATED_WAIT".into(), " 90 ".into())],
            }),
        }
    }

    #[track_caller]
    fn check(fault: &Fault, expect: &str) {
        let got = match fault.reaction() {
            Reaction::SameSlot => "same slot".to_owned(),
            Reaction::NextGate => "next gate".to_owned(),
            Reaction::Wait(wait) => format!("wait {wait:?}"),
            Reaction::Hold { .. } => "hold".to_owned(),
            Reaction::Shrink => "shrink".to_owned(),
        };
        assert_eq!(got, expect, "of {fault}");
    }

    #[test]
    fn reactions() {
        let http = |status, retry_after| Fault::Http {
            status,
            retry_after,
        };
        let reason = String::new;
        check(&Fault::Connect { reason: reason() }, "same slot");
        check(&Fault::ProxyRefused, "hold");
        check(&Fault::Connection { reason: reason() }, "next gate");
        check(&Fault::Unreadable { reason: reason() }, "shrink");
        check(&Fault::TimedOut { reason: reason() }, "shrink");
        check(&Fault::TooManyParts { limit: 1 }, "shrink");
        for code in [401, 403, 404, 400, 406, 413, 415, 302, 407] {
            check(&http(code, None), "hold");
        }
        for code in [500, 502, 503, 429, 418] {
            check(&http(code, None), "next gate");
        }
        check(&http(503, Some(Duration::from_secs(5))), "wait 5s");
        check(&http(503, Some(Duration::MAX)), "wait 86400s");
        check(&status(StatusType::Retry), "wait 90s");
        for kind in [
            StatusType::Unauthorized,
            StatusType::Denied,
            StatusType::BadMessage,
            StatusType::NotFound,
            StatusType::UnsupportedMessage,
            StatusType::PollingUnsupported,
        ] {
            check(&status(kind), "hold");
        }
        check(&status(StatusType::Pending), "hold");
        for kind in [StatusType::Failure, StatusType::Success] {
            check(&status(kind), "next gate");
        }
    }

    #[test]
    fn a_failure_with_an_http_status_that_tells_more() {
        let fault = Fault::Status {
            http: 404,
            message: Box::new(StatusMessage {
                status: StatusType::Failure,
                in_response_to: None,
                message: None,
                details: Vec::new(),
            }),
        };
        check(&fault, "hold");
    }
}
