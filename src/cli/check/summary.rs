//! What a configuration says, in short.

use std::fmt::{self, Write as _};
use std::time::Duration;

use bytesize::ByteSize;

use crate::cli::terminal::{Paint, Style};
use crate::config::{
    AcknowledgementConfig, Authentication, Config, Credentials, InboxConfig, InitialLookback,
    OutputConfig, OutputKind, Secret, SecretSource, ServiceAddress, ServiceConfig, SplunkHecConfig,
    SyslogBody, SyslogConfig, SyslogFormat, SyslogFraming, SyslogTransport, WhenTooLarge,
};

/// The configuration in short: a heading for each part, with its facts beneath it.
pub(super) fn summary(config: &Config, paint: Paint) -> String {
    let mut parts = Vec::new();
    for service in &config.services {
        parts.push(part(
            "service",
            &service.name,
            &service_facts(service),
            paint,
        ));
    }
    if let Some(inbox) = &config.inbox {
        parts.push(part("inbox", &inbox.name, &inbox_facts(inbox), paint));
    }
    for output in &config.outputs {
        parts.push(part("output", &output.name, &output_facts(output), paint));
    }
    let state = &config.state;
    let facts = [
        ("spool", format!("up to {}", size(state.max_spool_bytes))),
        (
            "archive",
            format!(
                "{} or {}",
                time(state.archive.keep),
                size(state.archive.max_bytes)
            ),
        ),
    ];
    let folder = state.directory.display().to_string();
    parts.push(part("state", &folder, &facts, paint));
    let file = config.log.file.as_ref().map_or_else(
        || "no file".to_owned(),
        |file| format!("{}, {} days", file.directory.display(), file.keep),
    );
    let facts = [("file", file)];
    parts.push(part("log", &config.log.level, &facts, paint));
    parts.concat().trim_end().to_owned()
}

fn part(kind: &str, name: &str, facts: &[(&str, String)], paint: Paint) -> String {
    let mut text = format!("{kind} {}\n", paint.paint(Style::Bold, name));
    for (fact, value) in facts {
        // Writing to a text does not fail.
        let _ = writeln!(text, "  {fact:<12} {value}");
    }
    text.push('\n');
    text
}

fn service_facts(service: &ServiceConfig) -> Vec<(&'static str, String)> {
    let account = match &service.authentication {
        Authentication::Basic(Credentials { username, password }) => {
            format!("{username}, password from {}", origin(password))
        }
        Authentication::Bearer(token) => format!("bearer token from {}", origin(token)),
        Authentication::None => "none".to_owned(),
    };
    let version = service.version.map_or_else(
        || "TAXII 1.1, or 1.0 if the service knows no other".to_owned(),
        |version| format!("TAXII {version}"),
    );
    let address = match &service.address {
        ServiceAddress::Poll(url) => format!("{url}, {version}"),
        ServiceAddress::Discovery(url) => format!("what {url} names, {version}"),
    };
    let window = service
        .max_window
        .map_or_else(|| "no limit".to_owned(), time);
    let first = match service.initial_lookback {
        InitialLookback::Since(back) => format!("looks back {}", time(back)),
        InitialLookback::All => "asks for everything".to_owned(),
    };
    vec![
        ("polls", address),
        ("account", account),
        ("collections", service.collections.join(", ")),
        (
            "schedule",
            format!(
                "{:?} in UTC, at least {} apart",
                service.schedule,
                time(service.min_poll_interval)
            ),
        ),
        ("window", format!("{window}; the first poll {first}")),
    ]
}

fn inbox_facts(inbox: &InboxConfig) -> Vec<(&'static str, String)> {
    let tls = inbox.tls.as_ref();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut who = Vec::new();
    if let Some(path) = tls.and_then(|tls| tls.client_ca_file.as_ref()) {
        who.push(format!("a certificate of {}", path.display()));
    }
    if let Some(tls) = tls.filter(|tls| !tls.client_names.is_empty()) {
        who.push(format!("for {}", tls.client_names.join(" or ")));
    }
    if let Some(Credentials { username, password }) = &inbox.credentials {
        who.push(format!("{username}, password from {}", origin(password)));
    }
    if who.is_empty() {
        who.push("everybody".to_owned());
    }
    let limit = size(inbox.limits.max_response_bytes);
    let rate = inbox.max_messages_per_minute;
    vec![
        (
            "listens",
            format!("{scheme}://{}{}", inbox.listen, inbox.path),
        ),
        ("lets in", who.join(", ")),
        ("collections", inbox.collections.join(", ")),
        (
            "messages",
            format!("of at most {limit}, at most {rate} a minute"),
        ),
    ]
}

fn output_facts(output: &OutputConfig) -> Vec<(&'static str, String)> {
    let mut facts = match &output.kind {
        OutputKind::SplunkHec(hec) => splunk_hec_facts(hec),
        OutputKind::Syslog(syslog) => syslog_facts(syslog),
        OutputKind::File(file) => vec![("file", file.path.display().to_string())],
        OutputKind::Stdout => vec![("stdout", "JSON lines".to_owned())],
    };
    let collections = match output.collections.as_slice() {
        [all] if all == "*" => "all".to_owned(),
        some => some.join(", "),
    };
    facts.push(("collections", collections));
    facts
}

fn splunk_hec_facts(hec: &SplunkHecConfig) -> Vec<(&'static str, String)> {
    let index = hec
        .index
        .clone()
        .unwrap_or_else(|| "the token's default".to_owned());
    let mut in_flight = format!("requests to one endpoint: at most {}", hec.max_in_flight);
    let delivered = match hec.acknowledgement {
        None => "when Splunk has accepted it".to_owned(),
        Some(AcknowledgementConfig {
            timeout,
            interval,
            max_outstanding,
        }) => {
            // Writing to a text does not fail.
            let _ = write!(in_flight, ", not acknowledged at most {max_outstanding}");
            format!(
                "when Splunk has indexed it: asked every {}, sent again after {}",
                time(interval),
                time(timeout)
            )
        }
    };
    vec![
        ("splunk_hec", hec.endpoints.join(", ")),
        ("token", format!("from {}", origin(&hec.token))),
        ("index", index),
        ("delivered", delivered),
        ("in flight", in_flight),
    ]
}

fn syslog_facts(syslog: &SyslogConfig) -> Vec<(&'static str, String)> {
    let delivered = match syslog.transport {
        SyslogTransport::Udp => "when it is sent, whether it arrives or not",
        SyslogTransport::Tcp | SyslogTransport::Tls => {
            "when the receiver's TCP has it, its application may not"
        }
        SyslogTransport::Relp | SyslogTransport::RelpTls => {
            "when the receiver's application has it"
        }
    };
    let mut facts = vec![
        ("syslog", syslog.addresses.join(", ")),
        ("transport", way(syslog)),
        ("message", message(syslog)),
        ("delivered", delivered.to_owned()),
    ];
    if matches!(
        syslog.transport,
        SyslogTransport::Relp | SyslogTransport::RelpTls
    ) {
        facts.push(("in flight", format!("messages: at most {}", syslog.window)));
    }
    facts
}

/// How syslog messages travel.
fn way(syslog: &SyslogConfig) -> String {
    let framing = match syslog.framing {
        SyslogFraming::OctetCounting => "octet counting",
        SyslogFraming::LineFeed => "a line each",
    };
    match syslog.transport {
        SyslogTransport::Udp => "UDP".to_owned(),
        SyslogTransport::Tcp => format!("TCP, {framing}"),
        SyslogTransport::Tls => format!("TLS, {framing}"),
        SyslogTransport::Relp => "RELP".to_owned(),
        SyslogTransport::RelpTls => "RELP with TLS".to_owned(),
    }
}

/// What syslog messages look like.
fn message(syslog: &SyslogConfig) -> String {
    let format = match syslog.format {
        SyslogFormat::Rfc5424 => "RFC 5424",
        SyslogFormat::Rfc3164 => "RFC 3164",
    };
    let body = match syslog.body {
        SyslogBody::Json => "JSON",
        SyslogBody::Cef => "CEF",
        SyslogBody::Leef => "LEEF",
        SyslogBody::KeyValue => "key=\"value\" pairs",
    };
    let larger = match syslog.when_too_large {
        WhenTooLarge::DeadLetter => "is a dead letter",
        WhenTooLarge::Shorten => "is shortened",
    };
    let max = size(syslog.max_message_bytes as u64);
    format!("{format} with {body}; one of more than {max} {larger}")
}

/// Where a secret comes from, never what it is.
fn origin(secret: &Secret) -> impl fmt::Display {
    match secret.source() {
        SecretSource::Plain => "the configuration itself".to_owned(),
        SecretSource::File(path) => format!("file {}", path.display()),
        SecretSource::Env(name) => format!("environment variable {name}"),
        SecretSource::Credential(path) => format!("credential {}", path.display()),
    }
}

fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

fn size(bytes: u64) -> ByteSize {
    ByteSize(bytes)
}
