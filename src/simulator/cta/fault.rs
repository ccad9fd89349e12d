//! What can go wrong with the simulated CTA service.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::simulator::body::Pace;

/// A fault of the CTA service.
///
/// Those up to [`BlackHole`](Self::BlackHole) come instead of the service's own answer: the poll
/// is not accepted and does not count for the gate. The others spoil an answer that the service
/// has made, of a poll that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum CtaFault {
    /// An HTTP status, with or without a Status_Message in its body.
    HttpStatus {
        /// The status.
        status: u16,
        /// The type of the Status_Message.
        #[serde(default)]
        status_type: Option<String>,
    },
    /// A Status_Message of any type, with HTTP 200.
    StatusMessage {
        /// Such as `RETRY`.
        status_type: String,
        /// What it says to a person.
        #[serde(default)]
        message: String,
        /// Such as `["ESTIMATED_WAIT", "60"]`.
        #[serde(default)]
        details: Vec<(String, String)>,
    },
    /// A web page with HTTP 200, as from a proxy that wants a login.
    HtmlPage,
    /// On a fulfillment: the result is forgotten, and this status type says so.
    ExpiredResult {
        /// `NOT_FOUND`, `ASYNCHRONOUS_POLL_ERROR` or `INVALID_RESPONSE_PART`.
        status_type: String,
    },
    /// The connection is closed before an answer.
    HangUp,
    /// The connection stays open and nothing comes.
    BlackHole,
    /// The connection is closed in the middle of the answer.
    CutAnswer,
    /// The first half of the answer comes, then nothing more.
    StalledAnswer,
    /// The answer comes in small pieces.
    SlowAnswer {
        /// Bytes a piece.
        piece_bytes: usize,
        /// The pause before each.
        pause_ms: u64,
    },
    /// The answer never ends.
    EndlessAnswer,
    /// The answer is XML that is not well-formed.
    MalformedXml,
    /// The answer has a DOCTYPE.
    Doctype,
    /// The answer has bytes that are not UTF-8.
    InvalidUtf8,
    /// The answer is to another request.
    WrongInResponseTo,
    /// The stated end is the begin.
    NoProgress,
    /// The stated begin is later than the asked one; what lies before it is not served.
    LaterBegin {
        /// By so many seconds.
        seconds: u32,
    },
    /// There is one block more, and it is bad.
    BadBlock {
        /// In which way.
        block: BadBlock,
    },
    /// The part number is written `1,000`.
    GroupedPartNumber,
}

/// A block that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadBlock {
    /// Its content is not STIX.
    NotStix,
    /// Its content is XML in CDATA that breaks off.
    Broken,
    /// Its content is encrypted, as its nested binding says.
    Encrypted,
}

/// On which requests a fault shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CtaFaultOn {
    /// On all.
    #[default]
    Any,
    /// On a Poll_Request.
    Poll,
    /// On a Poll_Fulfillment.
    Fulfillment,
}

impl CtaFault {
    /// Its name in JSON.
    pub(super) fn name(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        let name = json.get("fault").and_then(serde_json::Value::as_str);
        name.unwrap_or_default().to_owned()
    }

    pub(super) fn pace(&self) -> Pace {
        match self {
            Self::CutAnswer => Pace::Cut,
            Self::StalledAnswer => Pace::Stalled,
            Self::EndlessAnswer => Pace::Endless,
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

    /// Spoils the text of an answer.
    pub(super) fn spoil(&self, xml: String) -> Vec<u8> {
        match self {
            Self::MalformedXml => xml.replace("_Response>", "_Respons>").into_bytes(),
            Self::Doctype => {
                let (declaration, rest) = xml.split_once('\n').unwrap_or(("", &xml));
                let doctype = "<!DOCTYPE bomb [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]>";
                format!("{declaration}\n{doctype}\n{rest}").into_bytes()
            }
            Self::InvalidUtf8 => {
                let mut bytes = xml.into_bytes();
                // Behind the first tag, where text may stand.
                let place = bytes.iter().rposition(|&byte| byte == b'<').unwrap_or(0);
                bytes.splice(place..place, *b"<!-- \xff\xfe -->");
                bytes
            }
            _ => xml.into_bytes(),
        }
    }
}
