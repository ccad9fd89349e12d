//! Status_Message, as the vendor says it.

use super::version::TaxiiVersion;
use super::xml::{Xml, message};

/// Why the vendor does not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    /// The `status_type`.
    pub(super) kind: &'static str,
    pub(super) message: String,
    /// The values of the one detail that 1.0 and 1.1 define for this type, with its name in 1.1.
    detail: Option<(&'static str, Vec<String>)>,
}

impl Status {
    pub(super) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            detail: None,
        }
    }

    pub(super) fn bad_message(message: impl Into<String>) -> Self {
        Self::new("BAD_MESSAGE", message)
    }

    /// There is no such thing.
    pub(super) fn not_found(what: &str, name: &str) -> Self {
        Self {
            detail: Some(("ITEM", vec![name.to_owned()])),
            ..Self::new("NOT_FOUND", format!("there is no {what} {name}"))
        }
    }

    /// UNSUPPORTED_MESSAGE, UNSUPPORTED_CONTENT or UNSUPPORTED_PROTOCOL, with what is supported.
    pub(super) fn unsupported(kind: &'static str, found: &str, supported: &[&str]) -> Self {
        let name = match kind {
            "UNSUPPORTED_CONTENT" => "SUPPORTED_CONTENT",
            "UNSUPPORTED_PROTOCOL" => "SUPPORTED_PROTOCOL",
            _ => "SUPPORTED_BINDING",
        };
        let supported = supported.iter().map(|&id| id.to_owned()).collect();
        Self {
            detail: Some((name, supported)),
            ..Self::new(kind, format!("{found} is not supported"))
        }
    }

    pub(super) fn to_xml(&self, version: TaxiiVersion, id: u64, in_response_to: &str) -> String {
        let mut body = Xml::default();
        match (&self.detail, version) {
            // 1.0 defines none for it.
            (None, _) | (Some(("ITEM", _)), TaxiiVersion::V1_0) => {}
            (Some((_, values)), TaxiiVersion::V1_0) => {
                body.text("Status_Detail", &values.join(" "));
            }
            (Some((name, values)), TaxiiVersion::V1_1) => {
                body.nest("Status_Detail", &[], |detail| {
                    for value in values {
                        detail.text_with("Detail", &[("name", name)], value);
                    }
                });
            }
        }
        body.text("Message", &self.message);
        let status = [
            ("status_type", self.kind),
            ("in_response_to", in_response_to),
        ];
        message("Status_Message", version, id, &status, &body)
    }
}
