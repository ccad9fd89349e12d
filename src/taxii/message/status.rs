//! Status_Message, as an inbox answers.

use super::writer::Writer;
use crate::taxii::status::StatusType;
use crate::taxii::version::Version;

/// A Status_Message that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReply {
    /// `@status_type`
    pub status: StatusType,
    /// Message: what a person should know.
    pub message: Option<String>,
    /// Status_Detail/Detail: name and text.
    pub details: Vec<(&'static str, String)>,
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

    /// With one detail more.
    #[must_use]
    pub fn detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
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
                let details = self.details.iter();
                let details: Vec<String> = details
                    .map(|(name, value)| format!("{name}: {value}"))
                    .collect();
                if !details.is_empty() {
                    out.text("Status_Detail", &details.join(", "));
                }
            }
            Version::V1_1 => {
                out.attribute("status_type", self.status.name());
                if !self.details.is_empty() {
                    out.start("Status_Detail");
                    for (name, value) in &self.details {
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
