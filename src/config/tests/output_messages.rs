//! What is told of files, and of what is particular to a type of output.

use super::*;

#[test]
fn tls_files() {
    check(&service("tls = { ca_file = 'DIR/ca.pem' }"), "");
    check(
        &service("tls = { ca_file = 'DIR/none.pem' }"),
        "
            FILE:11: service[0].tls.ca_file: the file DIR/none.pem cannot be read: No such file or directory (os error 2)
        ",
    );
    check(
        &service("tls = { ca_file = 'DIR' }"),
        "
            FILE:11: service[0].tls.ca_file: the file DIR cannot be read: is a directory
        ",
    );
    check(
        &service("tls = { ca_file = 'ca.pem' }"),
        r#"
            FILE:11: service[0].tls.ca_file: "ca.pem" is not an absolute path; begin it with "/"
        "#,
    );
    check(
        &service("tls = { ca_file = '' }"),
        r#"
            FILE:11: service[0].tls.ca_file: "" is not an absolute path; begin it with "/"
        "#,
    );
    check(
        &service("tls = { client_cert_file = 'DIR/ca.pem' }"),
        "
            FILE:11: service[0].tls.client_cert_file: needs client_key_file beside it
        ",
    );
    check(
        &output(&SPLUNK, "tls = { client_key_file = 'DIR/ca.pem' }"),
        "
            FILE:13: output[0].tls.client_key_file: needs client_cert_file beside it
        ",
    );
}

#[test]
fn paths() {
    check(
        &format!(
            "[state]\ndirectory = 'state'\n{}{}",
            table("[[service]]", &SERVICE, ""),
            table("[[output]]", &STDOUT, "")
        ),
        r#"
            FILE:2: state.directory: "state" is not an absolute path; begin it with "/"
        "#,
    );
    check(
        &format!(
            "[state]\ndirectory = '/{}'\n{}{}",
            "x".repeat(90),
            table("[[service]]", &SERVICE, ""),
            table("[[output]]", &STDOUT, "")
        ),
        "
            FILE:2: state.directory: a path of 91 bytes; the control socket lies there, so write at most 90
        ",
    );
    check(
        &format!(
            "[state]\n{}{}",
            table("[[service]]", &SERVICE, ""),
            table("[[output]]", &STDOUT, "")
        ),
        "
            FILE:1: state.directory: missing; write an absolute path
        ",
    );
    check(
        &output(&FILE, "path = 'out.jsonl'"),
        r#"
            FILE:11: output[0].path: "out.jsonl" is not an absolute path; begin it with "/"
        "#,
    );
    check(
        &output(&["name = 'f'", "type = 'file'"], ""),
        "
            FILE:8: output[0].path: missing; write an absolute path
        ",
    );
    check(
        &format!(
            "{}{}",
            output(&FILE, ""),
            table("[[output]]", &FILE, "name = 'second'")
        ),
        "
            FILE:15: output[1].path: another output writes to /out.jsonl already
        ",
    );
    check(
        &output(&FILE, "path = '/a/../out.jsonl'"),
        "
            FILE:11: output[0].path: has `..` in it; write the path without
        ",
    );
    check(
        &format!(
            "{}{}",
            output(&STDOUT, ""),
            table("[[output]]", &STDOUT, "name = 'second'")
        ),
        "
            FILE:12: output[1]: another output writes to standard output already
        ",
    );
}

#[test]
fn splunk() {
    check(
        &output(&["name = 's'", "type = 'splunk_hec'"], ""),
        r#"
            FILE:8: output[0].endpoints: missing; write the URLs of Splunk's HTTP Event Collector, such as ["https://splunk.example.com:8088"]
            FILE:8: output[0].token: missing; write where the HEC token is: { file = "/path" }, { env = "NAME" } or { credential = "name" }
        "#,
    );
    check(
        &output(&SPLUNK, "index = ''\nsourcetype_flow = ''"),
        "
            FILE:13: output[0].index: empty; write a text or leave the key out
            FILE:14: output[0].sourcetype_flow: empty; write a text or leave the key out
        ",
    );
    check(
        &output(&SPLUNK, "batch = { max_bytes = '6MB' }"),
        "
            warning: FILE:13: output[0].batch.max_bytes: Splunk Cloud refuses bodies of more than about 5 MB
        ",
    );
    check(
        &output(&SPLUNK, "[[output.override]]\ncollection = 'flows'"),
        "
            FILE:13: output[0].override[0]: changes nothing; write index, source or sourcetype
        ",
    );
    check(
        &output(&SPLUNK, "[[output.override]]\nindex = 'a'"),
        "
            FILE:13: output[0].override[0].collection: missing; write the collection that this is for
        ",
    );
    check(
        &output(
            &SPLUNK,
            "[[output.override]]\ncollection = 'flows'\nindex = 'a'\n[[output.override]]\ncollection = 'flows'\nindex = 'b'\n[[output.override]]\ncollection = 'other'\nindex = 'b'",
        ),
        r#"
            FILE:17: output[0].override[1].collection: "flows" has an override already
        "#,
    );
}

#[test]
fn syslog() {
    check(
        &output(&["name = 's'", "type = 'syslog'"], ""),
        r#"
            FILE:8: output[0].address: missing; write the receiver's host:port, such as "syslog.example.com:514"
        "#,
    );
    check(
        &output(&SYSLOG, "address = 'syslog.example.com'"),
        r#"
            FILE:11: output[0].address: "syslog.example.com" is not an address; write host:port, such as "syslog.example.com:514" or "[2001:db8::1]:514"
        "#,
    );
    check(
        &output(&SYSLOG, "address = '2001:db8::1:514'"),
        r#"
            FILE:11: output[0].address: "2001:db8::1:514" is not an address; write host:port, such as "syslog.example.com:514" or "[2001:db8::1]:514"
        "#,
    );
    check(&output(&SYSLOG, "address = '[2001:db8::1]:514'"), "");
    check(
        &output(&SYSLOG, "address = 'a:0'"),
        r#"
            FILE:11: output[0].address: "a:0" is not an address; write host:port, such as "syslog.example.com:514" or "[2001:db8::1]:514"
        "#,
    );
    check(
        &output(&SYSLOG, "transport = 'udp'\nframing = 'lf'"),
        r#"
            FILE:13: output[0].framing: belongs to transport = "tcp"; each datagram is a message by itself
        "#,
    );
    check(
        &output(&SYSLOG, "transport = 'udp'\nmax_message_bytes = '64KiB'"),
        "
            FILE:13: output[0].max_message_bytes: a datagram holds at most 65507 bytes
        ",
    );
    check(
        &output(&SYSLOG, "facility = 24"),
        "
            FILE:12: output[0].facility: 24 is not a syslog facility; write a number from 0 to 23 or one of kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, ntp, audit, alert, clock, local0, local1, local2, local3, local4, local5, local6, local7
        ",
    );
    check(
        &output(&SYSLOG, "facility = 'local8'"),
        r#"
            FILE:12: output[0].facility: "local8" is not a syslog facility; write a number from 0 to 23 or one of kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, ntp, audit, alert, clock, local0, local1, local2, local3, local4, local5, local6, local7
        "#,
    );
    check(
        &output(&SYSLOG, "app_name = 'a b'\nhost = 'a b'"),
        "
            FILE:12: output[0].app_name: syslog allows 1 to 48 printable ASCII characters without a space
            FILE:13: output[0].host: syslog allows 1 to 255 printable ASCII characters without a space
        ",
    );
    check(
        &output(&STDOUT, "host = ''"),
        "
            FILE:11: output[0].host: empty; write a text or leave the key out
        ",
    );
}

#[test]
fn log() {
    check(
        &file("[log]\nlevel = 'verbose'"),
        r#"
            FILE:13: log.level: "verbose" is not a log level; write one of off, error, warn, info, debug, trace or a filter such as "info,cta_forwarder::taxii=debug"
        "#,
    );
    check(
        &file("[log]\nlevel = 'info,cta_forwarder::taxii=debug'"),
        "",
    );
    check(
        &file("[log]\nfile = { keep = 0 }"),
        "
            FILE:13: log.file.directory: missing; write an absolute path
            FILE:13: log.file.keep: must be more than zero
        ",
    );
    check(
        &file("[log]\nfile = { directory = 'log' }"),
        r#"
            FILE:13: log.file.directory: "log" is not an absolute path; begin it with "/"
        "#,
    );
}
