//! `[inbox]`

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::DnsName;
use toml::Spanned;

use super::Checker;
use crate::config::document::Span;
use crate::config::raw::{RawInbox, RawInboxLimits, RawLimits, RawServerTls, Section, Setting};
use crate::config::{Credentials, InboxConfig, Limits, ServerTlsConfig, ServiceConfig};

/// The name where none is written.
const NAME: &str = "inbox";
/// The path where none is written.
const PATH: &str = "/inbox";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
const MAX_CONNECTIONS: u32 = 64;
/// More would take all file descriptors that a process has by default.
const MOST_CONNECTIONS: u32 = 500;
const MAX_MESSAGES_PER_MINUTE: u32 = 600;
const MAX_MESSAGE_BYTES: u64 = 256 << 20;

impl Checker<'_> {
    pub(super) fn inbox(
        &mut self,
        raw: Spanned<Section<RawInbox>>,
        services: &[ServiceConfig],
    ) -> InboxConfig {
        let table = raw.span();
        let raw = raw.into_inner().0;
        let mut taken = services
            .iter()
            .map(|service| service.name.clone())
            .collect();
        let name = match raw.name {
            Some(name) => self.name(Some(name), &table, &mut taken),
            None if taken.iter().any(|taken| taken == NAME) => {
                let what = "a service is called \"inbox\" already; give the inbox another name";
                self.missing(Some(&table), "name", what);
                String::new()
            }
            None => NAME.to_owned(),
        };
        let collections = match raw.collections {
            Some(collections) => self.collections(collections, false),
            None => {
                let what = "name at least one collection that content can be pushed to";
                self.missing(Some(&table), "collections", what);
                Vec::new()
            }
        };
        let mut ids: Vec<&String> = Vec::new();
        for id in raw.subscriptions.values() {
            if ids.contains(&id.get_ref()) {
                let what =
                    "stands for another collection already; each subscription has an id of its own";
                self.refuse(&id.span(), what);
            }
            ids.push(id.get_ref());
        }
        if let Some(default) = &raw.default_collection {
            self.is_polled(&collections, default);
        }
        let default_collection = raw.default_collection.map(Spanned::into_inner);
        let listen_span = raw.listen.as_ref().map(Spanned::span);
        let inbox = InboxConfig {
            name,
            listen: self.listen(raw.listen, &table),
            path: self.url_path(raw.path),
            // Content for nobody in particular is for the only one that there is.
            default_collection: default_collection.or_else(|| match collections.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            }),
            subscriptions: self.subscriptions(&collections, raw.subscriptions),
            collections,
            credentials: self.credentials(
                ["username", "password"],
                raw.username,
                raw.password,
                &table,
            ),
            tls: raw.tls.map(|tls| self.server_tls(tls)),
            request_timeout: self.positive_period(raw.request_timeout, REQUEST_TIMEOUT),
            max_connections: self.limited_count(
                raw.max_connections,
                MAX_CONNECTIONS,
                MOST_CONNECTIONS,
            ),
            max_messages_per_minute: self
                .positive_count(raw.max_messages_per_minute, MAX_MESSAGES_PER_MINUTE),
            limits: self.inbox_limits(raw.limits.0),
        };
        self.somebody_is_known(&inbox, &listen_span.unwrap_or(table));
        inbox
    }

    fn listen(&mut self, listen: Setting<String>, table: &Span) -> SocketAddr {
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let Some(listen) = listen else {
            let what = "write the address to listen on, such as \"0.0.0.0:9443\"";
            self.missing(Some(table), "listen", what);
            return nowhere;
        };
        let examples = ["0.0.0.0:9443", "[::]:9443"];
        self.socket_address(&listen, examples).unwrap_or(nowhere)
    }

    pub(super) fn socket_address(
        &mut self,
        text: &Spanned<String>,
        [one, other]: [&str; 2],
    ) -> Option<SocketAddr> {
        let address = text.get_ref().parse().ok();
        if address.is_none() {
            let what = format!(
                "{:?} is not an address with a port; write one such as {one:?} or {other:?}",
                text.get_ref()
            );
            self.refuse(&text.span(), what);
        }
        address
    }

    fn url_path(&mut self, path: Setting<String>) -> String {
        let Some(path) = path else {
            return PATH.to_owned();
        };
        let text = path.get_ref();
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte);
        if !text.starts_with('/') || !text.bytes().all(is_allowed) {
            let what = format!(
                "{text:?} is not the path of a URL; begin it with \"/\", and write letters, digits, \
                 dots, dashes, tildes and underscores"
            );
            self.refuse(&path.span(), what);
        }
        path.into_inner()
    }

    pub(super) fn server_tls(&mut self, raw: Spanned<Section<RawServerTls>>) -> ServerTlsConfig {
        let table = raw.span();
        let raw = raw.into_inner().0;
        let key_span = raw.key_file.as_ref().map(Spanned::span);
        let mut needed = |file: Setting<PathBuf>, key: &str| {
            if file.is_none() {
                self.missing(Some(&table), key, "a server shows a certificate of its own");
            }
            self.readable_file(file).unwrap_or_default()
        };
        let cert_file = needed(raw.cert_file, "cert_file");
        let key_file = needed(raw.key_file, "key_file");
        if let Some(span) = key_span
            && !self.environment.leaves_secrets()
        {
            self.warn_of_rights(&span, "private key", &key_file);
        }
        let client_ca_file = self.readable_file(raw.client_ca_file);
        let client_names = self.client_names(raw.client_names, client_ca_file.as_deref());
        ServerTlsConfig {
            cert_file,
            key_file,
            client_ca_file,
            client_names,
        }
    }

    fn client_names(
        &mut self,
        names: Setting<Vec<Spanned<String>>>,
        client_ca: Option<&Path>,
    ) -> Vec<String> {
        let Some(names) = names else {
            return Vec::new();
        };
        if client_ca.is_none() {
            let what = "clients show no certificate without client_ca_file";
            self.refuse(&names.span(), what);
        }
        if names.get_ref().is_empty() {
            let what = "empty, so that nobody would be let in; leave it out to let in every client \
                        whose certificate is of client_ca_file";
            self.refuse(&names.span(), what);
        }
        for name in names.get_ref() {
            if DnsName::try_from(name.get_ref().as_str()).is_err() {
                let what = format!("{:?} is not a DNS name", name.get_ref());
                self.refuse(&name.span(), what);
            }
        }
        let names = names.into_inner().into_iter();
        names.map(Spanned::into_inner).collect()
    }

    fn inbox_limits(&mut self, raw: RawInboxLimits) -> Limits {
        let limits = self.limits(RawLimits {
            max_refused_blocks: raw.max_refused_blocks,
            max_xml_depth: raw.max_xml_depth,
            max_text_bytes: raw.max_text_bytes,
            max_properties: raw.max_properties,
            max_observables: raw.max_observables,
            max_definition_bytes: raw.max_definition_bytes,
            max_package_bytes: raw.max_package_bytes,
            ..RawLimits::default()
        });
        Limits {
            max_response_bytes: self.positive_size(raw.max_message_bytes, MAX_MESSAGE_BYTES),
            ..limits
        }
    }

    /// Whoever reaches an inbox that asks nobody who he is writes into the SIEM.
    fn somebody_is_known(&mut self, inbox: &InboxConfig, at: &Span) {
        let is_local = inbox.listen.ip().is_loopback();
        if inbox.listen.port() == 0 && !is_local {
            let what = "port 0 is another one at each start, and nobody could be told which";
            self.refuse(at, what);
        }
        let knows_certificates =
            (inbox.tls.as_ref()).is_some_and(|tls| tls.client_ca_file.is_some());
        match &inbox.credentials {
            None if !knows_certificates && !is_local => {
                let what = "everybody who reaches this address could push whatever he likes; write \
                            username and password, or tls with client_ca_file";
                self.refuse(at, what);
            }
            None if !knows_certificates => {
                let what = "every user of this machine can push whatever he likes; write username \
                            and password, or tls with client_ca_file";
                self.warn(at, what);
            }
            Some(Credentials { .. }) if inbox.tls.is_none() && !is_local => {
                let what = "the password, and all content, comes over the network in clear text; \
                            write tls";
                self.warn(at, what);
            }
            _ => {}
        }
    }
}
