//! What is offered at an address, and in which version: asks the service, and spends no poll.

use chrono::{DateTime, Utc};

use super::client::Client;
use super::fault::Fault;
use super::inquiry::{Inquired, inquire, named_address};
use super::message::Ask;
use super::response::{
    Answer, CollectionInformation, CollectionKind, Collections, Discovery, ServiceInstance,
    ServiceKind,
};
use super::status::StatusType;
use super::version::Version;

/// So many services that know collections are asked for one.
const MAX_MANAGERS: usize = 3;
/// Requests that it takes at most to find out where a collection is polled.
pub const MAX_REQUESTS: u32 = 4;
const _: () = assert!(MAX_REQUESTS as usize == 1 + MAX_MANAGERS);

/// What came of asking a service what it offers, which any service may be asked.
#[derive(Debug, Default)]
pub struct Greeting {
    /// Whether the service answered at all.
    pub is_answered: bool,
    /// The service's clock, to the second.
    pub date: Option<DateTime<Utc>>,
    /// The version that it understands; none if nothing has shown it.
    pub version: Option<Version>,
    /// What it offers, or why it does not tell; none if nothing came in time.
    pub offer: Option<Result<Discovery, Fault>>,
}

/// Asks a service what it offers, whether or not it is there to tell: any answer tells its time, and
/// which versions it understands. Without a `version` both are tried.
pub async fn greet(client: &Client, url: &str, version: Option<Version>) -> Greeting {
    let mut greeting = Greeting {
        version,
        ..Greeting::default()
    };
    let versions = version.map_or(Version::ALL.to_vec(), |version| vec![version]);
    for version in versions {
        let inquired = inquire(client, url, Ask::Discovery, version).await;
        let understood = Understood::of(&inquired);
        if let Ok(inquired) = &inquired {
            greeting.is_answered = true;
            greeting.date = inquired.date.or(greeting.date);
        }
        greeting.offer = Some(inquired.and_then(discovery_of));
        match understood {
            Understood::Yes => {
                greeting.version = Some(version);
                return greeting;
            }
            // A service that polls alone refuses the question.
            Understood::No => break,
            Understood::Untold => return greeting,
            Understood::Version => {}
        }
    }
    // Nothing but an answer in the older version shows that it is spoken.
    greeting.version.get_or_insert(Version::PREFERRED);
    greeting
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
                StatusType::Success => Self::Yes,
                _ => Self::Untold,
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

/// Where a collection is polled, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The poll service.
    pub url: String,
    /// What kind of collection it is; none if nothing lists it.
    pub kind: Option<CollectionKind>,
}

/// What a discovery service knows.
#[derive(Debug, Clone, Copy)]
pub struct Directory<'a> {
    /// Who asks.
    pub client: &'a Client,
    /// The discovery service.
    pub url: &'a str,
    /// The version that is spoken.
    pub version: Version,
}

impl Directory<'_> {
    /// Where a collection is polled.
    pub async fn poll_service(&self, collection: &str) -> Result<Found, Fault> {
        let discovery = self.discovery().await?;
        let managers = discovery.offered(&ServiceKind::CollectionManagement, self.version);
        let mut fault = None;
        for manager in managers.iter().take(MAX_MANAGERS) {
            match self.polled_by(manager, collection).await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(other) => fault = Some(other),
            }
        }
        if !managers.is_empty() {
            return Err(
                fault.unwrap_or_else(|| self.missing(collection, "the service does not list it"))
            );
        }
        // Without a list of collections, a poll service has them all.
        match discovery.offered(&ServiceKind::Poll, self.version).first() {
            Some(service) => Ok(Found {
                url: self.address_of(service)?,
                kind: None,
            }),
            None => Err(self.missing(collection, "the service offers none for this version")),
        }
    }

    /// Where a collection is polled, if this service lists it.
    async fn polled_by(
        &self,
        manager: &ServiceInstance,
        collection: &str,
    ) -> Result<Option<Found>, Fault> {
        let url = self.address_of(manager)?;
        let known = self.collections_at(&url).await?.collections;
        let known = known.iter().find(|known| known.name == collection);
        let found = known.map(|known| {
            Ok(Found {
                url: self.polled_at(&url, known)?,
                kind: Some(known.kind),
            })
        });
        found.transpose()
    }

    /// The services that it tells of.
    pub async fn discovery(&self) -> Result<Discovery, Fault> {
        let inquired = inquire(self.client, self.url, Ask::Discovery, self.version).await;
        inquired.and_then(discovery_of)
    }

    /// The collections that a service at `url` tells of.
    pub async fn collections_at(&self, url: &str) -> Result<Collections, Fault> {
        let inquired = inquire(self.client, url, Ask::Collections, self.version).await?;
        match inquired.answer {
            Answer::Collections(collections) => Ok(collections),
            answer => Err(unexpected(inquired.http, answer)),
        }
    }

    /// The address of a service that it tells of.
    pub fn address_of(&self, service: &ServiceInstance) -> Result<String, Fault> {
        named_address(self.url, &service.contact.address)
    }

    fn polled_at(&self, base: &str, collection: &CollectionInformation) -> Result<String, Fault> {
        let missing = |why| Err(self.missing(&collection.name, why));
        if collection.is_available == Some(false) {
            return missing("the service lists it as not available to this account");
        }
        match collection.polled_at(self.version) {
            Some(contact) => named_address(base, &contact.address),
            None if collection.polling.is_empty() => {
                missing("the service does not let it be polled, only pushed")
            }
            None => missing("the service lets it be polled in other versions only"),
        }
    }

    fn missing(&self, collection: &str, why: &str) -> Fault {
        Fault::NotOffered {
            reason: format!(
                "no TAXII {} poll service for {collection:?} at {}: {why}",
                self.version, self.url
            ),
        }
    }
}

fn discovery_of(inquired: Inquired) -> Result<Discovery, Fault> {
    match inquired.answer {
        Answer::Discovery(discovery) => Ok(discovery),
        answer => Err(unexpected(inquired.http, answer)),
    }
}

/// Another message than the one that was asked for.
#[must_use]
pub fn unexpected(http: u16, answer: Answer) -> Fault {
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
