//! Messages, read by readers that share nothing with what wrote them.

mod documentation;
mod headers;
mod round_trip;
mod severity;
mod shortening;

use std::time::Duration;

use serde_json::Value;

use super::super::super::loopback::outgoing_of;
use super::*;
use crate::config::{SyslogFraming, SyslogTransport, TlsConfig};
use crate::event::RecordType;

const TIME_MS: i64 = 1_421_623_882_432;

/// RFC 5424, JSON, nothing of what can be switched on.
fn config() -> SyslogConfig {
    SyslogConfig {
        addresses: vec!["127.0.0.1:514".into()],
        transport: SyslogTransport::Tcp,
        framing: SyslogFraming::OctetCounting,
        format: SyslogFormat::Rfc5424,
        body: SyslogBody::Json,
        facility: 16,
        severity: SyslogSeverity::Fixed(6),
        app_name: "cta-forwarder".into(),
        structured_data: None,
        bom: false,
        max_message_bytes: usize::MAX,
        when_too_large: WhenTooLarge::DeadLetter,
        tls: TlsConfig::default(),
        server_name: None,
        window: 128,
        connect_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(10),
    }
}

fn flow(json: &str) -> Outgoing {
    outgoing_of("webflows", RecordType::Flow, json)
}

/// The message that `config` makes of a flow, which no receiver can take for two.
fn message(config: &SyslogConfig, json: &str) -> String {
    message_of(config, &flow(json))
}

fn message_of(config: &SyslogConfig, out: &Outgoing) -> String {
    let formatter = Formatter::new(config, "agent.example.com", 42);
    let message = formatter.message(out, 7).unwrap();
    assert!(!message.contains(['\n', '\r', '\0']), "{message:?}");
    message
}

/// What stands behind an RFC 5424 header.
fn body_of(body: SyslogBody, json: &str) -> String {
    let config = SyslogConfig { body, ..config() };
    let message = message(&config, json);
    readers::rfc5424(&message).msg
}

/// A JSON object with these fields in this order.
fn object(fields: &[(&str, Value)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}:{value}", Value::from(*name)))
        .collect();
    format!("{{{}}}", fields.join(","))
}
