//! What a file says is what the program sees.

use std::time::Duration;

use super::*;
use crate::config::{
    AcknowledgementConfig, InitialLookback, OutputKind, PollLimitScope, SecretSource, StartAt,
    SyslogBody, SyslogConfig, SyslogFormat, SyslogFraming, SyslogSeverity, SyslogTransport,
    WhenSpoolFull, WhenTooLarge,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

#[track_caller]
fn config(text: &str) -> Config {
    let loaded = Folder::new().load(text);
    loaded.unwrap_or_else(|error| panic!("{error}")).config
}

#[test]
fn defaults() {
    let config = config(&output(&SPLUNK, ""));
    assert_eq!(config.state.directory, Path::new("/state"));
    assert_eq!(config.state.max_spool_bytes, 2 << 30);
    assert_eq!(config.state.archive.keep, 30 * DAY);
    assert_eq!(config.shutdown_timeout, Duration::from_secs(30));
    assert_eq!(config.log.level, "info");
    assert!(config.log.file.is_none());

    let service = &config.services[0];
    assert!(service.authentication.credentials().is_none());
    assert_eq!(service.schedule, "0 */10 * * * *");
    assert_eq!(service.min_poll_interval, 10 * MINUTE);
    assert_eq!(service.poll_limit_scope, PollLimitScope::Service);
    assert_eq!(service.max_window, Some(3 * DAY));
    assert_eq!(service.initial_lookback, InitialLookback::Since(30 * DAY));
    assert_eq!(service.settle, MINUTE);
    assert_eq!(service.limits.max_parts, 1000);

    let output = &config.outputs[0];
    assert_eq!(output.collections, ["*"]);
    assert_eq!(output.when_spool_full, WhenSpoolFull::Hold);
    assert_eq!(output.start_at, StartAt::Now);
    assert_eq!(output.host, "forwarder-1");
    assert_eq!(output.batch.max_bytes, 1_000_000);
    let OutputKind::SplunkHec(splunk) = &output.kind else {
        panic!("{output:?}");
    };
    assert_eq!(splunk.sourcetype_flow, "cisco:cta:flow");
    assert_eq!(splunk.sourcetype_incident, "cisco:cta:incident");
    assert_eq!(splunk.sourcetype_indicator, "cisco:cta:indicator");
    assert_eq!(splunk.sourcetype_observable, "cisco:cta:observable");
    assert_eq!(splunk.index, None);
    assert!(splunk.gzip);
    assert!(!splunk.indexed_fields);
    assert_eq!(splunk.acknowledgement, None);
    assert_eq!(splunk.max_in_flight, 4);
}

#[test]
fn what_is_written_counts() {
    let config = config(&service(
        "username = 'user'
         password = { env = 'TOKEN' }
         collections = ['a', 'b']
         schedule = '30 0 * * * *'
         min_poll_interval = '1h 30m'
         poll_limit_scope = 'collection'
         max_window = 'none'
         initial_lookback = 'all'
         settle = '0s'
         tls = { ca_file = 'DIR/ca.pem' }
         proxy = 'socks5h://127.0.0.1:1080'
         limits = { max_text_bytes = '1MiB', max_package_bytes = 5, max_parts = 7 }",
    ));
    let service = &config.services[0];
    let credentials = service.authentication.credentials().unwrap();
    assert_eq!(credentials.username, "user");
    assert_eq!(credentials.password.expose(), "t0ken");
    assert_eq!(
        *credentials.password.source(),
        SecretSource::Env("TOKEN".to_owned())
    );
    assert_eq!(*service.collections, ["a", "b"]);
    assert_eq!(service.schedule, "30 0 * * * *");
    assert_eq!(service.min_poll_interval, 90 * MINUTE);
    assert_eq!(service.poll_limit_scope, PollLimitScope::Collection);
    assert_eq!(service.max_window, None);
    assert_eq!(service.initial_lookback, InitialLookback::All);
    assert_eq!(service.settle, Duration::ZERO);
    assert!(service.tls.ca_file.as_ref().unwrap().ends_with("ca.pem"));
    let proxy = service.proxy.as_ref().unwrap();
    assert_eq!(proxy.url, "socks5h://127.0.0.1:1080");
    assert_eq!(service.limits.max_text_bytes, 1 << 20);
    assert_eq!(service.limits.max_package_bytes, 5);
    assert_eq!(service.limits.max_parts, 7);
}

#[test]
fn secrets_from_files_lose_their_line_break() {
    for (token, source) in [
        ("{ file = 'DIR/secret' }", "File"),
        ("{ credential = 'secret' }", "Credential"),
    ] {
        let config = config(&output(&SPLUNK, &format!("token = {token}")));
        let OutputKind::SplunkHec(splunk) = &config.outputs[0].kind else {
            panic!("{config:?}");
        };
        assert_eq!(splunk.token.expose(), "s3cret");
        let shown = format!("{:?}", splunk.token.source());
        assert!(shown.starts_with(source), "{shown}");
    }
}

#[test]
fn an_endpoint_has_no_slash_at_its_end() {
    let config = config(&output(
        &SPLUNK,
        "endpoints = ['https://a:8088/', 'https://b/x']",
    ));
    let OutputKind::SplunkHec(splunk) = &config.outputs[0].kind else {
        panic!("{config:?}");
    };
    assert_eq!(splunk.endpoints, ["https://a:8088", "https://b/x"]);
}

#[test]
fn a_collection_has_an_index_of_its_own() {
    let config = config(&output(
        &SPLUNK,
        "[[output.override]]\ncollection = 'flows'\nindex = 'i'\nsourcetype = 't'",
    ));
    let OutputKind::SplunkHec(splunk) = &config.outputs[0].kind else {
        panic!("{config:?}");
    };
    let entry = &splunk.overrides[0];
    assert_eq!(entry.collection, "flows");
    assert_eq!(entry.index.as_deref(), Some("i"));
    assert_eq!(entry.source, None);
    assert_eq!(entry.sourcetype.as_deref(), Some("t"));
}

#[test]
fn splunk_acknowledges() {
    let minute_and_second = AcknowledgementConfig {
        timeout: MINUTE,
        interval: Duration::from_secs(1),
        max_outstanding: 7,
    };
    let defaults = AcknowledgementConfig {
        timeout: 5 * MINUTE,
        interval: Duration::from_secs(2),
        max_outstanding: 1000,
    };
    for (lines, expect) in [
        ("acknowledge = false", None),
        ("acknowledge = true", Some(defaults)),
        (
            "acknowledge = true
             ack_timeout = '1m'
             ack_interval = '1s'
             max_outstanding_acks = 7",
            Some(minute_and_second),
        ),
    ] {
        let lines = format!("indexed_fields = true\nmax_in_flight = 9\n{lines}");
        let config = config(&output(&SPLUNK, &lines));
        let OutputKind::SplunkHec(splunk) = &config.outputs[0].kind else {
            panic!("{config:?}");
        };
        assert_eq!(splunk.acknowledgement, expect, "{lines}");
        assert_eq!(splunk.max_in_flight, 9);
        assert!(splunk.indexed_fields);
    }
}

#[track_caller]
fn syslog(lines: &str) -> SyslogConfig {
    let config = config(&output(&SYSLOG, lines));
    match &config.outputs[0].kind {
        OutputKind::Syslog(syslog) => syslog.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn syslog_defaults() {
    let syslog = syslog("");
    assert_eq!(syslog.addresses, ["127.0.0.1:514"]);
    assert_eq!(syslog.transport, SyslogTransport::Tcp);
    assert_eq!(syslog.framing, SyslogFraming::OctetCounting);
    assert_eq!(syslog.format, SyslogFormat::Rfc5424);
    assert_eq!(syslog.body, SyslogBody::Json);
    assert_eq!(syslog.facility, 16);
    assert_eq!(syslog.severity, SyslogSeverity::Event);
    assert_eq!(syslog.app_name, "cta-forwarder");
    assert_eq!(syslog.structured_data, None);
    assert!(!syslog.bom);
    assert_eq!(syslog.when_too_large, WhenTooLarge::DeadLetter);
    assert_eq!(syslog.server_name, None);
    assert_eq!(syslog.window, 128);
    assert_eq!(syslog.connect_timeout, Duration::from_secs(10));
    assert_eq!(syslog.write_timeout, Duration::from_secs(30));
}

#[test]
fn what_is_written_of_syslog_counts() {
    let syslog = syslog(
        "addresses = ['a:1', '[::1]:2']
         transport = 'relp_tls'
         tls = { ca_file = 'DIR/ca.pem' }
         server_name = 'siem.example.com'
         window = 9
         facility = 'authpriv'
         severity = 'warning'
         app_name = 'agent'
         structured_data = true
         sd_id = 'events@1'
         bom = true
         body = 'leef'
         max_message_bytes = '8KiB'
         when_too_large = 'shorten'
         connect_timeout = '1s'
         write_timeout = '2s'",
    );
    assert_eq!(syslog.addresses, ["a:1", "[::1]:2"]);
    assert_eq!(syslog.transport, SyslogTransport::RelpTls);
    assert!(syslog.tls.ca_file.unwrap().ends_with("ca.pem"));
    assert_eq!(syslog.server_name.as_deref(), Some("siem.example.com"));
    assert_eq!(syslog.window, 9);
    assert_eq!(syslog.facility, 10);
    assert_eq!(syslog.severity, SyslogSeverity::Fixed(4));
    assert_eq!(syslog.app_name, "agent");
    assert_eq!(syslog.structured_data.as_deref(), Some("events@1"));
    assert!(syslog.bom);
    assert_eq!(syslog.body, SyslogBody::Leef);
    assert_eq!(syslog.max_message_bytes, 8 << 10);
    assert_eq!(syslog.when_too_large, WhenTooLarge::Shorten);
    assert_eq!(syslog.connect_timeout, Duration::from_secs(1));
    assert_eq!(syslog.write_timeout, Duration::from_secs(2));
}

#[test]
fn syslog_transports() {
    for (word, transport, max_message_bytes) in [
        ("udp", SyslogTransport::Udp, 2048),
        ("tcp", SyslogTransport::Tcp, 8000),
        ("tls", SyslogTransport::Tls, 8000),
        ("relp", SyslogTransport::Relp, 8000),
        ("relp_tls", SyslogTransport::RelpTls, 8000),
    ] {
        let syslog = syslog(&format!("transport = '{word}'\nformat = 'rfc3164'"));
        assert_eq!(syslog.transport, transport);
        assert_eq!(syslog.max_message_bytes, max_message_bytes, "{word}");
        assert_eq!(syslog.format, SyslogFormat::Rfc3164);
    }
    let most = syslog("transport = 'udp'\nmax_message_bytes = 65507");
    assert_eq!(most.max_message_bytes, 65_507);
}

#[test]
fn syslog_words() {
    let framed = syslog("framing = 'lf'");
    assert_eq!(framed.framing, SyslogFraming::LineFeed);
    for (word, body) in [
        ("json", SyslogBody::Json),
        ("cef", SyslogBody::Cef),
        ("leef", SyslogBody::Leef),
        ("key_value", SyslogBody::KeyValue),
    ] {
        assert_eq!(syslog(&format!("body = '{word}'")).body, body);
    }
    for (written, severity) in [
        ("'event'", SyslogSeverity::Event),
        ("'emerg'", SyslogSeverity::Fixed(0)),
        ("'debug'", SyslogSeverity::Fixed(7)),
        ("0", SyslogSeverity::Fixed(0)),
        ("7", SyslogSeverity::Fixed(7)),
    ] {
        let syslog = syslog(&format!("severity = {written}"));
        assert_eq!(syslog.severity, severity, "{written}");
    }
    for (written, facility) in [("'kern'", 0), ("'local7'", 23), ("23", 23)] {
        let syslog = syslog(&format!("facility = {written}"));
        assert_eq!(syslog.facility, facility, "{written}");
    }
    let named = syslog("structured_data = true");
    assert_eq!(named.structured_data.as_deref(), Some("cta@32473"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/none.toml"), &Environment::default(), six_fields);
    assert_eq!(
        error.unwrap_err().to_string(),
        "the configuration file /none.toml cannot be read: No such file or directory (os error 2)"
    );
}
