//! What a file says is what the program sees.

use std::time::Duration;

use super::*;
use crate::config::{
    InitialLookback, OutputKind, PollLimitScope, SecretSource, StartAt, SyslogTransport,
    WhenSpoolFull,
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
    assert!(service.credentials.is_none());
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
    assert_eq!(splunk.index, None);
    assert!(splunk.gzip);
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
    let credentials = service.credentials.as_ref().unwrap();
    assert_eq!(credentials.username, "user");
    assert_eq!(credentials.password.expose(), "t0ken");
    assert_eq!(
        *credentials.password.source(),
        SecretSource::Env("TOKEN".to_owned())
    );
    assert_eq!(service.collections, ["a", "b"]);
    assert_eq!(service.schedule, "30 0 * * * *");
    assert_eq!(service.min_poll_interval, 90 * MINUTE);
    assert_eq!(service.poll_limit_scope, PollLimitScope::Collection);
    assert_eq!(service.max_window, None);
    assert_eq!(service.initial_lookback, InitialLookback::All);
    assert_eq!(service.settle, Duration::ZERO);
    assert!(service.tls.ca_file.as_ref().unwrap().ends_with("ca.pem"));
    assert_eq!(service.proxy.as_deref(), Some("socks5h://127.0.0.1:1080"));
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
fn syslog_transports() {
    for (lines, transport, max_message_bytes, facility) in [
        ("", SyslogTransport::Tcp, 65_536, 16),
        (
            "framing = 'lf'\nfacility = 'authpriv'",
            SyslogTransport::Tcp,
            65_536,
            10,
        ),
        (
            "transport = 'udp'\nfacility = 23",
            SyslogTransport::Udp,
            2048,
            23,
        ),
        (
            "transport = 'udp'\nmax_message_bytes = 65507\nfacility = 'kern'",
            SyslogTransport::Udp,
            65_507,
            0,
        ),
    ] {
        let config = config(&output(&SYSLOG, lines));
        let OutputKind::Syslog(syslog) = &config.outputs[0].kind else {
            panic!("{config:?}");
        };
        assert_eq!(syslog.transport, transport, "{lines}");
        assert_eq!(syslog.max_message_bytes, max_message_bytes, "{lines}");
        assert_eq!(syslog.facility, facility, "{lines}");
        assert_eq!(syslog.app_name, "cta-forwarder");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/none.toml"), &Environment::default(), six_fields);
    assert_eq!(
        error.unwrap_err().to_string(),
        "the configuration file /none.toml cannot be read: No such file or directory (os error 2)"
    );
}
