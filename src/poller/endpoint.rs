//! Where a collection is polled, and in which version of TAXII: as the configuration says, else as
//! the service itself says.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{ServiceAddress, ServiceConfig};
use crate::taxii::client::Client;
use crate::taxii::directory::{Directory, Found, Greeting, greet};
use crate::taxii::fault::Fault;
use crate::taxii::response::CollectionKind;
use crate::taxii::status::StatusType;
use crate::taxii::version::Version;

/// How the collections of a service are reached.
#[derive(Debug)]
pub(super) struct Endpoints {
    address: ServiceAddress,
    configured: Option<Version>,
    /// As configured, or as found out.
    version: Option<Version>,
    /// Whether a poll was answered in it.
    is_proven: bool,
    /// Poll services that were found, by collection.
    found: BTreeMap<String, String>,
    data_sets: Vec<String>,
    /// Collections of which was told that they are not what they are configured to be.
    warned: BTreeSet<String>,
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
            configured: service.version,
            version: service.version,
            is_proven: false,
            found: BTreeMap::new(),
            data_sets: service.data_sets.clone(),
            warned: BTreeSet::new(),
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
        let version = self.version.unwrap_or(Version::PREFERRED);
        let url = match (&self.address, self.found.get(collection)) {
            (ServiceAddress::Poll(url), _) | (ServiceAddress::Discovery(_), Some(url)) => {
                url.clone()
            }
            (ServiceAddress::Discovery(url), None) => {
                let directory = Directory {
                    client,
                    url,
                    version,
                };
                let Found { url, kind } = directory.poll_service(collection).await?;
                self.warn_of_kind(collection, version, kind);
                tracing::info!(collection, url, "found where to poll");
                self.found.insert(collection.to_owned(), url.clone());
                url
            }
        };
        Ok(Endpoint { url, version })
    }

    /// What the service says a collection is, against data_sets: once, until the next start.
    fn warn_of_kind(&mut self, collection: &str, version: Version, kind: Option<CollectionKind>) {
        let is_data_set = self.data_sets.iter().any(|name| name == collection);
        let what = match kind {
            Some(CollectionKind::DataSet) if !is_data_set => {
                "the service says that this is a Data Set, which has no times: write it into data_sets"
            }
            // TAXII 1.0 has no word for it.
            Some(CollectionKind::DataFeed) if is_data_set && version != Version::V1_0 => {
                "the service says that this is no Data Set but a feed: take it out of data_sets, so \
                 that each poll asks only for what is new"
            }
            _ => return,
        };
        if self.warned.insert(collection.to_owned()) {
            tracing::warn!(collection, "{what}");
        }
    }

    /// A poll was answered as it should be: its version is the right one.
    pub(super) fn answered(&mut self) {
        self.version.get_or_insert(Version::PREFERRED);
        self.is_proven = true;
    }

    /// What was found did not serve, and is looked for again; a version that was never understood
    /// gives way to the other.
    pub(super) fn failed(&mut self, collection: &str, fault: &Fault) {
        self.found.remove(collection);
        let is_version = match fault {
            Fault::Http { status, .. } => matches!(status, 406 | 415),
            Fault::Status { message, .. } => matches!(
                message.status,
                StatusType::BadMessage
                    | StatusType::UnsupportedMessage
                    | StatusType::UnsupportedProtocol
            ),
            _ => false,
        };
        if is_version && self.configured.is_none() && !self.is_proven {
            self.version = Some(match self.version.unwrap_or(Version::PREFERRED) {
                Version::V1_0 => Version::V1_1,
                Version::V1_1 => Version::V1_0,
            });
        }
    }
}
