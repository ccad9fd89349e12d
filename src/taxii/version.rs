//! The two versions of TAXII 1: one model, two bindings.

use std::fmt;

/// A version of TAXII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// TAXII 1.0: data feeds.
    V1_0,
    /// TAXII 1.1: data collections.
    V1_1,
}

impl Version {
    /// Both, the newer one first.
    pub const ALL: [Self; 2] = [Self::V1_1, Self::V1_0];
    /// Spoken to a service that understands both, or that does not say.
    pub const PREFERRED: Self = Self::V1_1;

    /// The XML namespace of its messages.
    #[must_use]
    pub fn namespace(self) -> &'static str {
        match self {
            Self::V1_0 => "http://taxii.mitre.org/messages/taxii_xml_binding-1",
            Self::V1_1 => "http://taxii.mitre.org/messages/taxii_xml_binding-1.1",
        }
    }

    /// The version whose messages have this namespace.
    #[must_use]
    pub fn of_namespace(namespace: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|version| version.namespace() == namespace)
    }

    /// `X-TAXII-Content-Type`, `X-TAXII-Accept` and Message_Binding.
    #[must_use]
    pub fn message_binding(self) -> &'static str {
        match self {
            Self::V1_0 => "urn:taxii.mitre.org:message:xml:1.0",
            Self::V1_1 => "urn:taxii.mitre.org:message:xml:1.1",
        }
    }

    /// `X-TAXII-Services` and `@service_version`.
    #[must_use]
    pub fn services(self) -> &'static str {
        match self {
            Self::V1_0 => "urn:taxii.mitre.org:services:1.0",
            Self::V1_1 => "urn:taxii.mitre.org:services:1.1",
        }
    }

    /// The version of a Message_Binding.
    #[must_use]
    pub fn of_message_binding(binding: &str) -> Option<Self> {
        let binding = binding.trim();
        let mut all = Self::ALL.into_iter();
        all.find(|version| version.message_binding() == binding)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
        })
    }
}

/// `X-TAXII-Protocol` over TLS.
pub const PROTOCOL_HTTPS: &str = "urn:taxii.mitre.org:protocol:https:1.0";
/// `X-TAXII-Protocol` without.
pub const PROTOCOL_HTTP: &str = "urn:taxii.mitre.org:protocol:http:1.0";

/// `X-TAXII-Protocol` and Protocol_Binding of an address.
#[must_use]
pub fn protocol_of(url: &str) -> &'static str {
    match url.get(..6) {
        Some(scheme) if scheme.eq_ignore_ascii_case("https:") => PROTOCOL_HTTPS,
        _ => PROTOCOL_HTTP,
    }
}
