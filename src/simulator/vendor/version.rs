//! The two versions of TAXII 1, as the vendor speaks them.

use serde::Serialize;

/// A version of TAXII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum TaxiiVersion {
    /// 1.0, with data feeds.
    #[serde(rename = "1.0")]
    V1_0,
    /// 1.1, with data collections.
    #[serde(rename = "1.1")]
    V1_1,
}

/// X-TAXII-Protocol and Protocol_Binding: there is nothing here without TLS.
pub(super) const PROTOCOL_BINDING: &str = "urn:taxii.mitre.org:protocol:https:1.0";

impl TaxiiVersion {
    /// Both, the older one first.
    pub const ALL: [Self; 2] = [Self::V1_0, Self::V1_1];

    pub(super) fn namespace(self) -> &'static str {
        match self {
            Self::V1_0 => "http://taxii.mitre.org/messages/taxii_xml_binding-1",
            Self::V1_1 => "http://taxii.mitre.org/messages/taxii_xml_binding-1.1",
        }
    }

    /// X-TAXII-Content-Type and Message_Binding.
    pub(super) fn message_binding(self) -> &'static str {
        match self {
            Self::V1_0 => "urn:taxii.mitre.org:message:xml:1.0",
            Self::V1_1 => "urn:taxii.mitre.org:message:xml:1.1",
        }
    }

    /// X-TAXII-Services
    pub(super) fn services(self) -> &'static str {
        match self {
            Self::V1_0 => "urn:taxii.mitre.org:services:1.0",
            Self::V1_1 => "urn:taxii.mitre.org:services:1.1",
        }
    }

    /// The attribute that names a feed.
    pub(super) fn feed_attribute(self) -> &'static str {
        match self {
            Self::V1_0 => "feed_name",
            Self::V1_1 => "collection_name",
        }
    }

    pub(super) fn of_message_binding(binding: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|version| version.message_binding() == binding)
    }
}
