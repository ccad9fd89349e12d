//! What is told of files, and of what every output has.

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
fn host() {
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
