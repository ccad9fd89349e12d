//! Where a collection is polled, and in which version of TAXII: as the configuration says, else as
//! the service itself says. Neither question spends a poll.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::config::{ServiceAddress, ServiceConfig};
use crate::taxii::client::Client;
use crate::taxii::fault::Fault;
use crate::taxii::inquiry::{Inquired, inquire, named_address};
use crate::taxii::message::Ask;
use crate::taxii::response::{Answer, CollectionInformation, Discovery, ServiceKind};
use crate::taxii::status::StatusType;
use crate::taxii::version::Version;

/// Spoken to a service that understands both versions, or that cannot be asked.
const PREFERRED: Version = Version::V1_1;
/// So many services that know collections are asked for one.
const MAX_MANAGERS: usize = 3;

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

/// What came of a question that any service may be asked.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    /// Whether the service answered at all.
    pub(super) is_answered: bool,
    /// The service's clock.
    pub(super) date: Option<DateTime<Utc>>,
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

    /// Asks the service what it offers, whether or not it knows: any answer tells its time, and
    /// which versions it understands.
    pub(super) async fn greet(&mut self, client: &Client) -> Greeting {
        let mut greeting = Greeting::default();
        let mut refused = Vec::new();
        let versions = match &self.version {
            Some(version) => std::slice::from_ref(version),
            None => &Version::ALL,
        };
        for &version in versions {
            let inquired = inquire(client, self.address.url(), Ask::Discovery, version).await;
            let understood = Understood::of(&inquired);
            if let Ok(inquired) = &inquired {
                greeting.is_answered = true;
                greeting.date = inquired.date.or(greeting.date);
            }
            match understood {
                Understood::Yes => {
                    self.version = Some(version);
                    return greeting;
                }
                Understood::Untold => return greeting,
                Understood::No => {}
                Understood::Version => refused.push(version),
            }
        }
        // A service that polls alone refuses the question in each version: only one that refuses the
        // newer version, and not the older, speaks the older.
        if self.version.is_none() {
            self.version = Some(match refused.as_slice() {
                [Version::V1_1] => Version::V1_0,
                _ => PREFERRED,
            });
        }
        greeting
    }

    /// Where to poll a collection.
    pub(super) async fn of_collection(
        &mut self,
        client: &Client,
        collection: &str,
    ) -> Result<Endpoint, Fault> {
        let version = self.version.unwrap_or(PREFERRED);
        let discovery_url = match &self.address {
            ServiceAddress::Poll(url) => {
                let url = url.clone();
                return Ok(Endpoint { url, version });
            }
            ServiceAddress::Discovery(url) => url,
        };
        let url = match self.found.get(collection) {
            Some(url) => url.clone(),
            None => {
                let search = Search {
                    client,
                    version,
                    discovery_url,
                    collection,
                };
                let url = search.poll_service().await?;
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

/// What an answer to a question says of the version that it was asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Understood {
    Yes,
    /// The message was not understood, or is not what this service is for.
    No,
    /// The version is not.
    Version,
    /// Nothing was said about it.
    Untold,
}

impl Understood {
    fn of(inquired: &Result<Inquired, Fault>) -> Self {
        match inquired {
            Ok(Inquired {
                answer: Answer::Status(message),
                ..
            }) => match message.status {
                StatusType::UnsupportedMessage | StatusType::UnsupportedProtocol => Self::Version,
                StatusType::BadMessage | StatusType::Failure => Self::No,
                _ => Self::Yes,
            },
            Ok(_) => Self::Yes,
            Err(Fault::Http {
                status: 406 | 415, ..
            }) => Self::Version,
            Err(Fault::Http { status: 400, .. }) => Self::No,
            Err(_) => Self::Untold,
        }
    }
}

/// A search for the poll service of a collection.
struct Search<'a> {
    client: &'a Client,
    version: Version,
    discovery_url: &'a str,
    collection: &'a str,
}

impl Search<'_> {
    async fn poll_service(&self) -> Result<String, Fault> {
        let discovery = self.discovery().await?;
        let managers = discovery.offered(&ServiceKind::CollectionManagement, self.version);
        for manager in managers.iter().take(MAX_MANAGERS) {
            let url = named_address(self.discovery_url, &manager.contact.address)?;
            if let Some(collection) = self.ask_for_collection(&url).await? {
                return self.address_of(&url, &collection);
            }
        }
        if !managers.is_empty() {
            return Err(self.missing("the service does not list it"));
        }
        // Without a list of collections, a poll service has them all.
        let services = discovery.offered(&ServiceKind::Poll, self.version);
        match services.first() {
            Some(service) => named_address(self.discovery_url, &service.contact.address),
            None => Err(self.missing("the service offers no poll service for this version")),
        }
    }

    async fn discovery(&self) -> Result<Discovery, Fault> {
        let url = self.discovery_url;
        let inquired = inquire(self.client, url, Ask::Discovery, self.version).await?;
        match inquired.answer {
            Answer::Discovery(discovery) => Ok(discovery),
            answer => Err(unexpected(inquired.http, answer)),
        }
    }

    async fn ask_for_collection(&self, url: &str) -> Result<Option<CollectionInformation>, Fault> {
        let inquired = inquire(self.client, url, Ask::Collections, self.version).await?;
        match inquired.answer {
            Answer::Collections(known) => {
                let mut known = known.collections.into_iter();
                Ok(known.find(|collection| collection.name == self.collection))
            }
            answer => Err(unexpected(inquired.http, answer)),
        }
    }

    fn address_of(&self, base: &str, collection: &CollectionInformation) -> Result<String, Fault> {
        if collection.is_available == Some(false) {
            return Err(self.missing("the service lists it as not available to this account"));
        }
        match collection.polled_at(self.version) {
            Some(contact) => named_address(base, &contact.address),
            None if collection.polling.is_empty() => {
                Err(self.missing("the service does not let it be polled, only pushed"))
            }
            None => Err(self.missing("the service lets it be polled in other versions only")),
        }
    }

    fn missing(&self, why: &str) -> Fault {
        Fault::NotOffered {
            reason: format!(
                "no TAXII {} poll service for {:?} at {}: {why}",
                self.version, self.collection, self.discovery_url
            ),
        }
    }
}

fn unexpected(http: u16, answer: Answer) -> Fault {
    match answer {
        Answer::Status(message) => Fault::Status {
            http,
            message: Box::new(message),
        },
        answer => Fault::Unreadable {
            reason: format!("{} instead of what was asked for", answer.name()),
        },
    }
}
