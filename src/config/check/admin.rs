//! `[admin]`

use rustls::pki_types::ServerName;
use toml::Spanned;

use super::Checker;
use crate::config::raw::{RawAdmin, Section, Setting};
use crate::config::{AdminConfig, ServerTlsConfig};

const MAX_CONNECTIONS: u32 = 16;
/// As many as an inbox may have at most.
const MOST_CONNECTIONS: u32 = 500;

impl Checker<'_> {
    /// Without an address nothing listens.
    pub(super) fn admin(&mut self, raw: Spanned<Section<RawAdmin>>) -> Option<AdminConfig> {
        let table = raw.span();
        let raw = raw.into_inner().0;
        let allowed_hosts = self.host_names(raw.allowed_hosts);
        let max_connections =
            self.limited_count(raw.max_connections, MAX_CONNECTIONS, MOST_CONNECTIONS);
        let tls = raw.tls.map(|tls| self.server_tls(tls));
        let Some(listen) = raw.listen else {
            let what = "nothing listens without `listen`; write it, such as \"127.0.0.1:9185\"";
            self.warn(&table, what);
            return None;
        };
        let examples = ["127.0.0.1:9185", "[::1]:9185"];
        let config = AdminConfig {
            listen: self.socket_address(&listen, examples)?,
            allowed_hosts,
            max_connections,
            tls,
        };
        self.everybody_may_look(&config, &listen);
        Some(config)
    }

    /// Names as they stand in a request's Host header.
    fn host_names(&mut self, names: Setting<Vec<Spanned<String>>>) -> Vec<String> {
        let names = names.map(Spanned::into_inner).unwrap_or_default();
        let mut known = Vec::new();
        for name in names {
            let text = name.get_ref();
            let bare = text.trim_start_matches('[').trim_end_matches(']');
            if ServerName::try_from(bare).is_err() {
                let what = format!(
                    "{text:?} is not a host name; write one without scheme, port and wildcards, such \
                     as \"forwarder.example.com\""
                );
                self.refuse(&name.span(), what);
            }
            known.push(bare.to_ascii_lowercase());
        }
        known
    }

    fn everybody_may_look(&mut self, config: &AdminConfig, listen: &Spanned<String>) {
        if config.listen.ip().is_loopback() {
            return;
        }
        if config.listen.port() == 0 {
            let what = "port 0 is another one at each start, and nobody could be told which";
            self.refuse(&listen.span(), what);
        }
        let knows_certificates = |tls: &ServerTlsConfig| tls.client_ca_file.is_some();
        if !config.tls.as_ref().is_some_and(knows_certificates) {
            let what = "everybody who reaches this address can read the status: names, figures and \
                        the reasons of failures, no secrets; write tls with client_ca_file, or see \
                        that only those reach it who may";
            self.warn(&listen.span(), what);
        }
    }
}
