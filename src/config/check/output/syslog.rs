//! `type = "syslog"`

use std::time::Duration;

use toml::Spanned;

use crate::config::check::Checker;
use crate::config::document::Span;
use crate::config::raw::{RawOutput, Setting, SyslogProtocol};
use crate::config::value::Size;
use crate::config::word::Word;
use crate::config::{
    SyslogBody, SyslogConfig, SyslogFormat, SyslogFraming, SyslogSeverity, SyslogTransport,
    TlsConfig, WhenTooLarge,
};

/// The most that fits into one UDP datagram over IPv4.
const MAX_DATAGRAM_BYTES: usize = 65_507;

/// The number of the facility `local0`.
const LOCAL0: u8 = 16;

impl Checker<'_> {
    pub(super) fn syslog(&mut self, raw: RawOutput, table: &Span) -> SyslogConfig {
        let protocol = raw
            .transport
            .map_or(SyslogProtocol::Tcp, |word| word.into_inner().0);
        let framing = self.framing(protocol, raw.framing);
        SyslogConfig {
            addresses: vec![self.address(raw.address, table)],
            transport: match protocol {
                SyslogProtocol::Tcp => SyslogTransport::Tcp,
                SyslogProtocol::Udp => SyslogTransport::Udp,
            },
            framing,
            format: SyslogFormat::Rfc5424,
            body: SyslogBody::Json,
            severity: SyslogSeverity::Fixed(6),
            structured_data: None,
            bom: false,
            when_too_large: WhenTooLarge::DeadLetter,
            tls: TlsConfig::default(),
            server_name: None,
            window: 128,
            facility: raw
                .facility
                .map_or(LOCAL0, |facility| facility.into_inner().0),
            app_name: self.app_name(raw.app_name),
            max_message_bytes: self.max_message_bytes(raw.max_message_bytes, protocol),
            connect_timeout: self.positive_period(raw.connect_timeout, Duration::from_secs(10)),
            write_timeout: self.positive_period(raw.write_timeout, Duration::from_secs(30)),
        }
    }

    fn framing(
        &mut self,
        protocol: SyslogProtocol,
        framing: Setting<Word<SyslogFraming>>,
    ) -> SyslogFraming {
        if let Some(framing) = &framing
            && protocol == SyslogProtocol::Udp
        {
            let what = "belongs to transport = \"tcp\"; each datagram is a message by itself";
            self.refuse(&framing.span(), what);
        }
        framing.map_or(SyslogFraming::OctetCounting, |word| word.into_inner().0)
    }

    fn address(&mut self, setting: Setting<String>, table: &Span) -> String {
        let span = setting.as_ref().map(Spanned::span);
        let what = "write the receiver's host:port, such as \"syslog.example.com:514\"";
        let address = self.required_text(setting, table, "address", what);
        if let Some(span) = span
            && !is_host_and_port(&address)
        {
            let what = format!(
                "{address:?} is not an address; write host:port, such as \
                 \"syslog.example.com:514\" or \"[2001:db8::1]:514\""
            );
            self.refuse(&span, what);
        }
        address
    }

    fn app_name(&mut self, setting: Setting<String>) -> String {
        let Some(name) = setting else {
            return "cta-forwarder".to_owned();
        };
        let length = name.get_ref().len();
        if !(1..=48).contains(&length) || !name.get_ref().bytes().all(|b| b.is_ascii_graphic()) {
            let what = "syslog allows 1 to 48 printable ASCII characters without a space";
            self.refuse(&name.span(), what);
        }
        name.into_inner()
    }

    fn max_message_bytes(&mut self, setting: Setting<Size>, protocol: SyslogProtocol) -> usize {
        let span = setting.as_ref().map(Spanned::span);
        let default = match protocol {
            SyslogProtocol::Udp => 2048,
            SyslogProtocol::Tcp => 64 << 10,
        };
        let bytes = self.memory_size(setting, default);
        if let Some(span) = span
            && protocol == SyslogProtocol::Udp
            && bytes > MAX_DATAGRAM_BYTES
        {
            self.refuse(
                &span,
                format!("a datagram holds at most {MAX_DATAGRAM_BYTES} bytes"),
            );
        }
        bytes
    }
}

fn is_host_and_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && !host.contains([':', '/', '@', ' ']),
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}
