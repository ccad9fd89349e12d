//! Status_Message, as an inbox answers.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::writer::Writer;
use crate::taxii::Timestamp;
use crate::taxii::status::{ESTIMATED_WAIT, StatusType};
use crate::taxii::version::Version;

/// A Status_Message that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReply {
    /// `@status_type`
    pub status: StatusType,
    /// Message: what a person should know.
    pub message: Option<String>,
    /// What a program should know, as [`Detail`]s.
    details: Vec<Detail>,
}

/// Status_Detail/Detail: a name in TAXII 1.1, in TAXII 1.0 a text without one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Detail {
    name: &'static str,
    /// In TAXII 1.1.
    value: String,
    /// In TAXII 1.0.
    text: String,
}

impl StatusReply {
    /// Without details.
    #[must_use]
    pub fn new(status: StatusType, message: impl Into<String>) -> Self {
        Self {
            status,
            message: Some(message.into()),
            details: Vec::new(),
        }
    }

    /// It went well.
    #[must_use]
    pub fn success() -> Self {
        Self {
            status: StatusType::Success,
            message: None,
            details: Vec::new(),
        }
    }

    /// The same may go well after a while.
    #[must_use]
    pub fn retry(message: impl Into<String>, wait: Duration, now: DateTime<Utc>) -> Self {
        // A positive integer.
        let seconds = wait.as_secs().max(1);
        let wait = TimeDelta::try_seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
        let again = wait.and_then(|wait| now.checked_add_signed(wait));
        let mut reply = Self::new(StatusType::Retry, message);
        reply.details.push(Detail {
            name: ESTIMATED_WAIT,
            value: seconds.to_string(),
            text: Timestamp::from(again.unwrap_or(now)).text().to_owned(),
        });
        reply
    }

    /// With one detail more.
    #[must_use]
    pub fn detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.details.push(Detail {
            name,
            text: value.clone(),
            value,
        });
        self
    }

    /// As XML. A type that TAXII 1.0 does not have is a FAILURE there, and its details are one text.
    #[must_use]
    pub fn to_xml(&self, version: Version, message_id: &str, in_response_to: &str) -> String {
        let mut out = Writer::new("Status_Message", version.namespace());
        out.attribute("message_id", message_id);
        out.attribute("in_response_to", in_response_to);
        match version {
            Version::V1_0 => {
                let status = if self.status.is_in_1_0() {
                    self.status
                } else {
                    StatusType::Failure
                };
                out.attribute("status_type", status.name());
                let details = self.details.iter().map(|detail| detail.text.as_str());
                let details: Vec<&str> = details.collect();
                if !details.is_empty() {
                    out.text("Status_Detail", &details.join(" "));
                }
            }
            Version::V1_1 => {
                out.attribute("status_type", self.status.name());
                if !self.details.is_empty() {
                    out.start("Status_Detail");
                    for Detail { name, value, .. } in &self.details {
                        out.start("Detail");
                        out.attribute("name", name);
                        out.content(value);
                        out.end();
                    }
                    out.end();
                }
            }
        }
        if let Some(message) = &self.message {
            out.text("Message", message);
        }
        out.finish()
    }
}
