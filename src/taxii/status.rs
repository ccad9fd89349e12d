//! Status_Message: what a service says instead of an answer.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Timestamp;
use crate::xml::{Tag, Token, Xml, XmlError};

/// More details than the specification knows.
const MAX_DETAILS: usize = 100;
/// Of them, what stands in a message.
const MAX_DETAILS_SHOWN: usize = 10;
/// Of a message, and of the value of a detail.
const MAX_TEXT_CHARACTERS: usize = 500;
/// The longest name that the specification knows is a third of it.
const MAX_NAME_CHARACTERS: usize = 60;

/// The detail with the seconds to wait.
pub(super) const ESTIMATED_WAIT: &str = "ESTIMATED_WAIT";

/// A service's status message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusMessage {
    /// `@status_type`
    pub status: StatusType,
    /// `@in_response_to`
    pub in_response_to: Option<String>,
    /// Message, as the service wrote it.
    pub message: Option<String>,
    /// Status_Detail/Detail: `@name` and text; TAXII 1.0 has a text without a name.
    pub details: Vec<(String, String)>,
}

/// `@status_type`, of TAXII 1.0 and 1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum StatusType {
    AsynchronousPollError,
    BadMessage,
    Denied,
    DestinationCollectionError,
    Failure,
    InvalidResponsePart,
    NetworkError,
    NotFound,
    Pending,
    PollingUnsupported,
    Retry,
    Success,
    Unauthorized,
    UnsupportedContent,
    UnsupportedMessage,
    UnsupportedProtocol,
    UnsupportedQuery,
}

const NAMES: [(StatusType, &str); 17] = [
    (StatusType::AsynchronousPollError, "ASYNCHRONOUS_POLL_ERROR"),
    (StatusType::BadMessage, "BAD_MESSAGE"),
    (StatusType::Denied, "DENIED"),
    (
        StatusType::DestinationCollectionError,
        "DESTINATION_COLLECTION_ERROR",
    ),
    (StatusType::Failure, "FAILURE"),
    (StatusType::InvalidResponsePart, "INVALID_RESPONSE_PART"),
    (StatusType::NetworkError, "NETWORK_ERROR"),
    (StatusType::NotFound, "NOT_FOUND"),
    (StatusType::Pending, "PENDING"),
    (StatusType::PollingUnsupported, "POLLING_UNSUPPORTED"),
    (StatusType::Retry, "RETRY"),
    (StatusType::Success, "SUCCESS"),
    (StatusType::Unauthorized, "UNAUTHORIZED"),
    (StatusType::UnsupportedContent, "UNSUPPORTED_CONTENT"),
    (StatusType::UnsupportedMessage, "UNSUPPORTED_MESSAGE"),
    (StatusType::UnsupportedProtocol, "UNSUPPORTED_PROTOCOL"),
    (StatusType::UnsupportedQuery, "UNSUPPORTED_QUERY"),
];

impl StatusType {
    /// A type that is not known is a failure.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        NAMES
            .iter()
            .find(|(_, known)| *known == name.trim())
            .map_or(Self::Failure, |(status, _)| *status)
    }

    /// Whether TAXII 1.0 has it too.
    #[must_use]
    pub fn is_in_1_0(self) -> bool {
        !matches!(
            self,
            Self::AsynchronousPollError
                | Self::DestinationCollectionError
                | Self::InvalidResponsePart
                | Self::NetworkError
                | Self::Pending
                | Self::UnsupportedQuery
        )
    }

    /// The specification's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(status, _)| *status == self)
            .map_or("FAILURE", |(_, name)| name)
    }
}

impl fmt::Display for StatusMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.status.name())?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        for (name, value) in self.details.iter().take(MAX_DETAILS_SHOWN) {
            match name.as_str() {
                "" => write!(f, " ({value})")?,
                name => write!(f, " ({name}: {value})")?,
            }
        }
        Ok(())
    }
}

impl StatusMessage {
    /// The detail of this name.
    #[must_use]
    pub fn detail(&self, name: &str) -> Option<&str> {
        let mut details = self.details.iter();
        details
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// How long the service asks to wait.
    #[must_use]
    pub fn estimated_wait(&self) -> Option<Duration> {
        let seconds = self.detail(ESTIMATED_WAIT)?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// The same, with the wait that a RETRY of TAXII 1.0 asks for: its detail is the moment, as plain
    /// text, until which to wait by the service's clock.
    #[must_use]
    pub fn with_wait(mut self, server_now: DateTime<Utc>) -> Self {
        if self.status != StatusType::Retry || self.detail(ESTIMATED_WAIT).is_some() {
            return self;
        }
        let moment = self.detail("").and_then(|text| Timestamp::parse(text).ok());
        if let Some(moment) = moment {
            let wait = (moment.time() - server_now).num_seconds().max(0);
            self.details
                .push((ESTIMATED_WAIT.to_owned(), wait.to_string()));
        }
        self
    }

    /// The same, with everything that the service has put in words as `change` makes it.
    #[must_use]
    pub fn reworded(mut self, change: impl Fn(&str) -> String) -> Self {
        let words = self.details.iter_mut().map(|(_, value)| value);
        for text in words.chain(&mut self.message) {
            *text = change(text);
        }
        self
    }

    /// Reads the message whose start tag is `tag`'s.
    pub(super) fn start(tag: &Tag<'_>) -> Result<Self, XmlError> {
        let status = tag.attribute("status_type")?;
        Ok(Self {
            status: StatusType::from_name(status.as_deref().unwrap_or_default()),
            in_response_to: tag
                .attribute("in_response_to")?
                .and_then(|id| folded(&id, MAX_TEXT_CHARACTERS)),
            message: None,
            details: Vec::new(),
        })
    }

    /// Reads what follows the start tag.
    pub(super) fn finish(mut self, xml: &mut Xml<'_>) -> Result<Self, XmlError> {
        loop {
            let depth = xml.depth();
            match xml.next()? {
                Token::Start(tag) => match tag.local() {
                    "Message" => self.message = folded(&xml.text()?, MAX_TEXT_CHARACTERS),
                    "Status_Detail" => {}
                    "Detail" => {
                        let name = tag.attribute("name")?.unwrap_or_default();
                        let name = folded(&name, MAX_NAME_CHARACTERS).unwrap_or_default();
                        let value = folded(&xml.text()?, MAX_TEXT_CHARACTERS).unwrap_or_default();
                        self.detail_read(name, value);
                    }
                    _ => xml.skip()?,
                },
                Token::Text(text) => {
                    if let Some(text) = folded(&text, MAX_TEXT_CHARACTERS).filter(|_| depth > 1) {
                        self.detail_read(String::new(), text);
                    }
                }
                // The end of Status_Detail.
                Token::End if depth > 1 => {}
                Token::End | Token::Eof => return Ok(self),
            }
        }
    }

    fn detail_read(&mut self, name: String, value: String) {
        if self.details.len() < MAX_DETAILS {
            self.details.push((name, value));
        }
    }
}

/// One line, of a length that fits a log.
fn folded(text: &str, max_characters: usize) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(max_characters).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_of_1_0_names_a_moment() {
        let message = |status, detail: &str| StatusMessage {
            status,
            in_response_to: None,
            message: None,
            details: vec![(String::new(), detail.to_owned())],
        };
        let now = Timestamp::parse("2015-01-01T00:00:00Z").unwrap().time();
        let wait = |status, detail| {
            let wait = message(status, detail).with_wait(now).estimated_wait();
            wait.map(|wait| wait.as_secs())
        };
        let retry = StatusType::Retry;
        assert_eq!(wait(retry, "2015-01-01T00:01:30.5Z"), Some(90));
        assert_eq!(wait(retry, "2014-01-01T00:00:00Z"), Some(0));
        assert_eq!(wait(retry, "later"), None);
        assert_eq!(wait(StatusType::Failure, "2015-01-01T00:01:30Z"), None);
    }
}
