//! A message that was taken.

use serde::Serialize;
use serde_json::Value;

use super::header::{self, SyslogHeader};
use crate::event::EventId;

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyslogMessage {
    /// The number of its connection, from 0; over UDP there is none.
    pub connection: Option<usize>,
    /// Its transaction number, over RELP.
    pub transaction: Option<u32>,
    /// As it came, without its frame.
    pub text: String,
    /// Its header, unless that cannot be read.
    pub header: Option<SyslogHeader>,
    /// What stands behind the header.
    pub body: String,
}

impl SyslogMessage {
    /// The `eventId` of a body that is JSON, or else of the structured data.
    #[must_use]
    pub fn event_id(&self) -> Option<EventId> {
        let body: Option<Value> = serde_json::from_str(&self.body).ok();
        let in_body = body.as_ref().and_then(|body| body.get("eventId")?.as_str());
        let id = in_body.or_else(|| {
            let mut elements = self.header.as_ref()?.structured_data.iter();
            elements.find_map(|element| element.param("eventId"))
        });
        id?.parse().ok()
    }

    /// Reads a message, and says what is wrong with it.
    pub(super) fn read(bytes: &[u8]) -> (Self, Option<String>) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let read = match std::str::from_utf8(bytes) {
            Ok(text) => header::read(text).map_err(|error| error.to_string()),
            Err(error) => Err(format!("the message is not UTF-8: {error}")),
        };
        let (header, body, wrong) = match read {
            Ok((header, body)) => (Some(header), body.to_owned(), None),
            Err(wrong) => (None, String::new(), Some(wrong)),
        };
        let message = Self {
            connection: None,
            transaction: None,
            text,
            header,
            body,
        };
        (message, wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_in(text: &str) -> Option<EventId> {
        SyslogMessage::read(text.as_bytes()).0.event_id()
    }

    #[test]
    fn the_id_is_in_the_body_or_in_the_structured_data() {
        let id = EventId::from_bytes([5; 16]);
        assert_eq!(
            id_in(&format!(r#"<1>1 - - - - - - {{"eventId":"{id}"}}"#)),
            Some(id)
        );
        let in_data = format!(r#"<1>1 - - - - - [cta@1 eventId="{id}"] CEF:0|x"#);
        assert_eq!(id_in(&in_data), Some(id));
        assert_eq!(id_in("<1>1 - - - - - - {}"), None);
    }

    #[test]
    fn what_cannot_be_read_is_kept_as_it_came() {
        let (message, wrong) = SyslogMessage::read(b"<1>\xff");
        assert_eq!(
            (message.text.as_str(), message.header),
            ("<1>\u{fffd}", None)
        );
        assert!(wrong.unwrap().contains("not UTF-8"));
    }
}
