//! Status_Message, as the service says it.

/// A Status_Message that the service answers instead of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    /// The `status_type`.
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) details: Vec<(String, String)>,
}

impl Status {
    pub(super) fn new(kind: &str, message: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            message: message.into(),
            details: Vec::new(),
        }
    }

    pub(super) fn bad_message(message: impl Into<String>) -> Self {
        Self::new("BAD_MESSAGE", message)
    }

    #[must_use]
    pub(super) fn detail(mut self, name: &str, value: &str) -> Self {
        self.details.push((name.to_owned(), value.to_owned()));
        self
    }
}
