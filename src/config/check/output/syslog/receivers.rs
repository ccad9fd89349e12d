//! Where syslog messages go.

use std::net::Ipv6Addr;

use rustls::pki_types::ServerName;
use toml::Spanned;

use crate::config::SyslogTransport;
use crate::config::check::Checker;
use crate::config::check::value::is_loopback;
use crate::config::document::Span;
use crate::config::raw::Setting;

impl Checker<'_> {
    pub(super) fn addresses(
        &mut self,
        setting: Setting<Vec<Spanned<String>>>,
        table: &Span,
        transport: Option<SyslogTransport>,
    ) -> Vec<String> {
        let example = "such as [\"syslog.example.com:514\"]";
        let Some(setting) = setting else {
            let what = format!("write each receiver's host:port, {example}");
            self.missing(Some(table), "addresses", &what);
            return Vec::new();
        };
        if setting.get_ref().is_empty() {
            let what = format!("empty; write at least one receiver, {example}");
            self.refuse(&setting.span(), what);
        }
        self.warn_of_messages_in_clear_text(setting.get_ref(), transport);
        let mut addresses: Vec<String> = Vec::new();
        for address in setting.into_inner() {
            self.address(&address);
            let known = |other: &String| other.eq_ignore_ascii_case(address.get_ref());
            if addresses.iter().any(known) {
                self.refuse(&address.span(), "this address stands here twice");
            }
            addresses.push(address.into_inner());
        }
        addresses
    }

    fn address(&mut self, address: &Spanned<String>) {
        if !host_of(address.get_ref()).is_some_and(is_host) {
            let what = format!(
                "{:?} is not an address; write host:port, such as \"syslog.example.com:514\" or \
                 \"[2001:db8::1]:514\"",
                address.get_ref()
            );
            self.refuse(&address.span(), what);
        }
    }

    /// Told once for all receivers, since one key mends it.
    fn warn_of_messages_in_clear_text(
        &mut self,
        addresses: &[Spanned<String>],
        transport: Option<SyslogTransport>,
    ) {
        if !transport.is_some_and(is_clear_text) {
            return;
        }
        let leaves = |address: &&Spanned<String>| {
            host_of(address.get_ref()).is_some_and(|host| !is_loopback(host))
        };
        if let Some(address) = addresses.iter().find(leaves) {
            let what = "events go over the network in clear text; use transport = \"tls\" or \
                        \"relp_tls\"";
            self.warn(&address.span(), what);
        }
    }

    pub(super) fn server_name(&mut self, setting: Setting<String>) -> Option<String> {
        let setting = setting?;
        let name = setting.get_ref().as_str();
        if ServerName::try_from(name).is_err() {
            let what = format!(
                "{name:?} is not a name of a certificate; write a DNS name or an IP address"
            );
            self.refuse(&setting.span(), what);
        }
        Some(setting.into_inner())
    }
}

fn is_clear_text(transport: SyslogTransport) -> bool {
    match transport {
        SyslogTransport::Udp | SyslogTransport::Tcp | SyslogTransport::Relp => true,
        SyslogTransport::Tls | SyslogTransport::RelpTls => false,
    }
}

/// What stands before the port, if there is one.
fn host_of(address: &str) -> Option<&str> {
    let (host, port) = address.rsplit_once(':')?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0);
    is_port.then_some(host)
}

/// A name that a certificate may hold as well, or an IP address, IPv6 in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|host| host.parse::<Ipv6Addr>().is_ok()),
        None => !host.contains(':') && ServerName::try_from(host).is_ok(),
    }
}
