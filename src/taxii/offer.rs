//! What of a service's offer serves a purpose.

use super::response::{CollectionInformation, Contact, Discovery, ServiceInstance, ServiceKind};
use super::version::{PROTOCOL_HTTPS, Version};

impl Discovery {
    /// The services of a kind that can be spoken to in a version, TLS first.
    #[must_use]
    pub fn offered(&self, kind: &ServiceKind, version: Version) -> Vec<&ServiceInstance> {
        let fits = |service: &&ServiceInstance| {
            service.kind == *kind
                && service.is_available != Some(false)
                && service.contact.speaks(version)
        };
        let mut fitting: Vec<_> = self.services.iter().filter(fits).collect();
        fitting.sort_by_key(|service| !service.contact.is_tls());
        fitting
    }
}

impl CollectionInformation {
    /// Where it can be polled in a version, TLS first.
    #[must_use]
    pub fn polled_at(&self, version: Version) -> Option<&Contact> {
        best(&self.polling, version)
    }

    /// Where it can be subscribed to in a version, TLS first.
    #[must_use]
    pub fn subscribed_at(&self, version: Version) -> Option<&Contact> {
        best(&self.subscription, version)
    }
}

fn best(contacts: &[Contact], version: Version) -> Option<&Contact> {
    let fitting = contacts.iter().filter(|contact| contact.speaks(version));
    fitting.min_by_key(|contact| !contact.is_tls())
}

impl Contact {
    /// Whether it understands messages of this version. One that does not say may.
    #[must_use]
    pub fn speaks(&self, version: Version) -> bool {
        let mut known = self.message_bindings.iter();
        self.message_bindings.is_empty()
            || known.any(|binding| Version::of_message_binding(binding) == Some(version))
    }

    fn is_tls(&self) -> bool {
        self.protocol == PROTOCOL_HTTPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(address: &str, protocol: &str, versions: &[Version]) -> Contact {
        Contact {
            protocol: protocol.to_owned(),
            address: address.to_owned(),
            message_bindings: versions
                .iter()
                .map(|version| version.message_binding().to_owned())
                .collect(),
        }
    }

    #[test]
    fn the_version_decides_and_then_tls() {
        const HTTP: &str = "urn:taxii.mitre.org:protocol:http:1.0";
        let (old, new) = (Version::V1_0, Version::V1_1);
        let contacts = [
            contact("old", PROTOCOL_HTTPS, &[old]),
            contact("new", HTTP, &[new]),
            contact("new with TLS", PROTOCOL_HTTPS, &[old, new]),
            contact("says nothing", HTTP, &[]),
        ];
        let services = contacts.iter().map(|contact| ServiceInstance {
            kind: ServiceKind::Poll,
            is_available: None,
            contact: contact.clone(),
            content_bindings: Vec::new(),
            message: None,
        });
        let mut discovery = Discovery {
            services: services.collect(),
        };
        let offered = |discovery: &Discovery, version| {
            let services = discovery.offered(&ServiceKind::Poll, version);
            let addresses = services
                .iter()
                .map(|service| service.contact.address.as_str());
            addresses.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(offered(&discovery, new), "new with TLS, new, says nothing");
        assert_eq!(offered(&discovery, old), "old, new with TLS, says nothing");
        discovery.services[2].is_available = Some(false);
        discovery.services[3].kind = ServiceKind::Inbox;
        assert_eq!(offered(&discovery, new), "new");
        assert_eq!(best(&contacts, new).unwrap().address, "new with TLS");
        assert_eq!(best(&contacts[..1], new), None);
    }
}
