//! `type = "syslog"`

mod message;
mod receivers;

use std::time::Duration;

use crate::config::check::Checker;
use crate::config::document::Span;
use crate::config::raw::RawOutput;
use crate::config::{
    SyslogBody, SyslogConfig, SyslogFormat, SyslogFraming, SyslogSeverity, SyslogTransport,
    WhenTooLarge,
};

/// The number of the facility `local0`.
const LOCAL0: u8 = 16;

/// What waits for its answer is kept in memory by us and by the receiver.
const MAX_WINDOW: u32 = 10_000;

/// The keys that only some transports have a use for.
const KEYS_OF_TRANSPORTS: [(&str, &[SyslogTransport]); 4] = [
    ("framing", &[SyslogTransport::Tcp, SyslogTransport::Tls]),
    ("tls", &[SyslogTransport::Tls, SyslogTransport::RelpTls]),
    (
        "server_name",
        &[SyslogTransport::Tls, SyslogTransport::RelpTls],
    ),
    ("window", &[SyslogTransport::Relp, SyslogTransport::RelpTls]),
];

/// The keys that only some formats have a place for.
const KEYS_OF_FORMATS: [(&str, &[SyslogFormat]); 3] = [
    ("structured_data", &[SyslogFormat::Rfc5424]),
    ("sd_id", &[SyslogFormat::Rfc5424]),
    ("bom", &[SyslogFormat::Rfc5424]),
];

impl Checker<'_> {
    pub(super) fn syslog(&mut self, raw: RawOutput, table: &Span) -> SyslogConfig {
        let transport = raw.transport.map(|word| word.into_inner().0);
        let transport = self.choice(table, "transport", transport, SyslogTransport::Tcp);
        self.refuse_keys_of_others(table, "transport", transport, &KEYS_OF_TRANSPORTS);
        let format = raw.format.map(|word| word.into_inner().0);
        let format = self.choice(table, "format", format, SyslogFormat::Rfc5424);
        self.refuse_keys_of_others(table, "format", format, &KEYS_OF_FORMATS);
        SyslogConfig {
            addresses: self.addresses(raw.addresses, table, transport),
            transport: transport.unwrap_or(SyslogTransport::Tcp),
            framing: raw
                .framing
                .map_or(SyslogFraming::OctetCounting, |word| word.into_inner().0),
            tls: self.tls(raw.tls.0),
            server_name: self.server_name(raw.server_name),
            window: self.limited_count(raw.window, 128, MAX_WINDOW) as usize,
            format: format.unwrap_or(SyslogFormat::Rfc5424),
            facility: raw
                .facility
                .map_or(LOCAL0, |facility| facility.into_inner().0),
            severity: raw
                .severity
                .map_or(SyslogSeverity::Event, |severity| severity.into_inner().0),
            app_name: self.app_name(raw.app_name, format),
            structured_data: self.structured_data(raw.structured_data, raw.sd_id, table, format),
            bom: raw.bom.unwrap_or(false),
            body: raw
                .body
                .map_or(SyslogBody::Json, |word| word.into_inner().0),
            max_message_bytes: self.max_message_bytes(raw.max_message_bytes, transport),
            when_too_large: raw
                .when_too_large
                .map_or(WhenTooLarge::DeadLetter, |word| word.into_inner().0),
            connect_timeout: self.positive_period(raw.connect_timeout, Duration::from_secs(10)),
            write_timeout: self.positive_period(raw.write_timeout, Duration::from_secs(30)),
        }
    }
}
