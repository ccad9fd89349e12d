//! Where a collection is polled, and in which version of TAXII: as the configuration says, else as
//! the service itself says.

use std::collections::BTreeMap;

use crate::config::{ServiceAddress, ServiceConfig};
use crate::taxii::client::Client;
use crate::taxii::directory::{Directory, Greeting, greet};
use crate::taxii::fault::Fault;
use crate::taxii::version::Version;

/// How the collections of a service are reached.
#[derive(Debug)]
pub(super) struct Endpoints {
    address: ServiceAddress,
    /// As configured, or as found out.
    version: Option<Version>,
    /// Poll services that were found, by collection.
    found: BTreeMap<String, String>,
}

/// Where to send a Poll_Request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) version: Version,
}

impl Endpoints {
    pub(super) fn of(service: &ServiceConfig) -> Self {
        Self {
            address: service.address.clone(),
            version: service.version,
            found: BTreeMap::new(),
        }
    }

    /// Whether the version is known.
    pub(super) fn knows_version(&self) -> bool {
        self.version.is_some()
    }

    /// Asks the service what it offers, for its time and the version that it understands.
    pub(super) async fn greet(&mut self, client: &Client) -> Greeting {
        let greeting = greet(client, self.address.url(), self.version).await;
        self.version = greeting.version;
        greeting
    }

    /// Where to poll a collection.
    pub(super) async fn of_collection(
        &mut self,
        client: &Client,
        collection: &str,
    ) -> Result<Endpoint, Fault> {
        let version = self.version.unwrap_or(Version::V1_1);
        let url = match (&self.address, self.found.get(collection)) {
            (ServiceAddress::Poll(url), _) | (ServiceAddress::Discovery(_), Some(url)) => {
                url.clone()
            }
            (ServiceAddress::Discovery(url), None) => {
                let version = Some(version);
                let directory = Directory {
                    client,
                    url,
                    version,
                };
                let url = directory.poll_service(collection).await?;
                tracing::info!(collection, url, "found where to poll");
                self.found.insert(collection.to_owned(), url.clone());
                url
            }
        };
        Ok(Endpoint { url, version })
    }

    /// It is looked for again: what was found does not serve.
    pub(super) fn forget(&mut self, collection: &str) {
        self.found.remove(collection);
    }
}
