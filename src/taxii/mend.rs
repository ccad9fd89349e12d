//! What a person must mend, in the words of what is configured.

use crate::config::{Authentication, ServiceAddress, ServiceConfig, THEN_RESTART};

/// What a person must mend before polls can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// The service does not take us for who we are, or not for a reader of the collection.
    Access,
    /// The service does not answer at this address, or not to us.
    AccessOrAddress,
    /// The address is another by now.
    Moved,
    /// The service does not understand what it is asked.
    NotUnderstood,
    /// The service refuses the request, and says why.
    Refused,
    /// The service does not know the collection or the subscription.
    NotFound,
    /// The answer comes later, which was not asked for or cannot be followed.
    Later,
    /// The service gives the content in other formats.
    Content,
    /// The collection is not for polls.
    NotPolled,
    /// What is offered is not what is looked for.
    NotOffered,
    /// The version that is spoken cannot say what is asked for.
    NotInVersion,
    /// The proxy wants to know who we are.
    Proxy,
}

/// How a service is configured, or given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// What authenticates, by its keys.
    identity: String,
    address: Address,
    subscription: Option<String>,
    allow_asynch: bool,
    /// Whether another secret is seen by the next start alone.
    secret_stays: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    Poll,
    Discovery,
    CommandLine,
}

impl Configured {
    /// As the configuration has it.
    #[must_use]
    pub fn of(service: &ServiceConfig, collection: &str) -> Self {
        let mut keys = match &service.authentication {
            Authentication::Basic(_) => vec!["username", "password"],
            Authentication::Bearer(_) => vec!["bearer_token"],
            Authentication::None => Vec::new(),
        };
        if !service.headers.is_empty() {
            keys.push("headers");
        }
        if service.tls.client_cert_file.is_some() {
            keys.push("client_cert_file");
        }
        let identity = if keys.is_empty() {
            "what authenticates the agent (username and password, bearer_token, headers or \
             client_cert_file; none is set)"
                .to_owned()
        } else {
            keys.join(", ")
        };
        Self {
            identity,
            address: match service.address {
                ServiceAddress::Poll(_) => Address::Poll,
                ServiceAddress::Discovery(_) => Address::Discovery,
            },
            subscription: service.subscriptions.get(collection).cloned(),
            allow_asynch: service.allow_asynch,
            secret_stays: match &service.authentication {
                Authentication::Basic(basic) => basic.password.source().stays_until_restart(),
                Authentication::Bearer(token) => token.source().stays_until_restart(),
                Authentication::None => false,
            },
        }
    }

    /// As the options of a command have it.
    #[must_use]
    pub fn by_hand() -> Self {
        Self {
            identity: "what authenticates (--username, --bearer-token-file, --header, \
                       --client-cert-file, or what --service has)"
                .to_owned(),
            address: Address::CommandLine,
            subscription: None,
            allow_asynch: false,
            secret_stays: false,
        }
    }

    fn address(&self) -> &'static str {
        match self.address {
            Address::Poll => "poll_url",
            Address::Discovery => "discovery_url",
            Address::CommandLine => "the URL",
        }
    }

    fn kind_of_address(&self) -> &'static str {
        match self.address {
            Address::Poll => "a TAXII poll service",
            Address::Discovery => "a TAXII discovery service",
            Address::CommandLine => "a TAXII service for this",
        }
    }
}

impl Mend {
    /// What to do, with a service that is configured so.
    #[must_use]
    pub fn text(self, at: &Configured) -> String {
        let (identity, address) = (&at.identity, at.address());
        let then = if at.secret_stays { THEN_RESTART } else { "" };
        match self {
            Self::Access => format!(
                "check {identity}, and with the provider that the account may read the collection{then}"
            ),
            Self::AccessOrAddress => format!(
                "check {identity}, {address} and that the account may read the collection; this \
                 service answers 404 and 401 alike for accounts that it does not accept{then}"
            ),
            Self::Moved if at.address == Address::Discovery => {
                "what discovery_url leads to has moved: ask the provider where it is, and write that \
                 as discovery_url or poll_url"
                    .to_owned()
            }
            Self::Moved => format!(
                "{address} has moved: set it to the address that the service redirects to"
            ),
            Self::NotUnderstood => format!(
                "the service does not understand the request: check that {address} is that of {}, \
                 and taxii_version",
                at.kind_of_address()
            ),
            Self::Refused => format!(
                "the service refuses the request: check the name of the collection and {address}, \
                 then the service's message above"
            ),
            Self::NotFound => match &at.subscription {
                Some(id) => format!(
                    "check the subscription {id:?} (subscriptions) and the name of the collection: \
                     `cta-forwarder taxii subscription-status` shows which there are"
                ),
                None => "check the name of the collection with the provider".to_owned(),
            },
            Self::Later => at.mend_of_later().to_owned(),
            Self::Content => "write formats into content_bindings that the service has, as its \
                              message tells, or none"
                .to_owned(),
            Self::NotPolled => "the collection cannot be polled: ask the provider for its poll \
                                service; `cta-forwarder taxii collections` shows what is offered"
                .to_owned(),
            Self::NotOffered => "check the name of the collection and the address in the \
                                 configuration: `cta-forwarder taxii collections` shows what the \
                                 service offers"
                .to_owned(),
            Self::NotInVersion => {
                "leave that out of the configuration, or set taxii_version".to_owned()
            }
            Self::Proxy => {
                "set proxy, proxy_username and proxy_password to what the proxy accepts".to_owned()
            }
        }
    }
}

impl Configured {
    fn mend_of_later(&self) -> &'static str {
        if self.subscription.is_some() {
            "the service has its answer later, which a poll by subscription cannot wait for: take the \
             collection out of subscriptions, and set allow_asynch = true"
        } else if self.allow_asynch {
            "the service has its answer later and does not say under which result_id, or says so in \
             TAXII 1.0: ask the provider"
        } else if self.address == Address::CommandLine {
            "the service has its answer later: ask for it with --result-id, as its message tells"
        } else {
            "the service has its answer later: set allow_asynch = true for this service"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(identity: &str, address: Address) -> Configured {
        Configured {
            identity: identity.to_owned(),
            address,
            ..Configured::by_hand()
        }
    }

    #[test]
    fn a_mend_names_what_is_configured() {
        let check = |mend: Mend, at: &Configured, expect: &str| {
            let text = mend.text(at);
            assert!(text.contains(expect), "{text}");
        };
        let token = at("bearer_token", Address::Discovery);
        check(Mend::Access, &token, "check bearer_token, and with");
        check(
            Mend::AccessOrAddress,
            &token,
            "check bearer_token, discovery_url and",
        );
        check(
            Mend::NotUnderstood,
            &token,
            "discovery_url is that of a TAXII discovery service",
        );
        check(
            Mend::Moved,
            &token,
            "write that as discovery_url or poll_url",
        );
        check(Mend::Moved, &at("", Address::Poll), "poll_url has moved");
        check(Mend::Refused, &at("", Address::CommandLine), "and the URL,");
    }

    #[test]
    fn what_cannot_wait_is_told_why() {
        let plain = at("", Address::Poll);
        let subscribed = Configured {
            subscription: Some("s-17".to_owned()),
            ..plain.clone()
        };
        let allowed = Configured {
            allow_asynch: true,
            ..plain.clone()
        };
        let later = |at: &Configured| Mend::Later.text(at);
        assert!(later(&plain).contains("set allow_asynch = true for"));
        assert!(later(&subscribed).contains("out of subscriptions"));
        assert!(!later(&allowed).contains("allow_asynch"));
        assert!(later(&Configured::by_hand()).contains("--result-id"));
        let missing = Mend::NotFound.text(&subscribed);
        assert!(missing.contains("the subscription \"s-17\""), "{missing}");
    }
}
