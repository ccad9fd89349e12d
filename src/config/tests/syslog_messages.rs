//! What is told of a `syslog` output.

use super::*;

#[track_caller]
fn check_syslog(lines: &str, expect: &str) {
    check(&output(&SYSLOG, lines), expect);
}

#[test]
fn addresses() {
    check(
        &output(&["name = 's'", "type = 'syslog'"], ""),
        r#"
            FILE:8: output[0].addresses: missing; write each receiver's host:port, such as ["syslog.example.com:514"]
        "#,
    );
    check_syslog(
        "addresses = []",
        r#"
            FILE:11: output[0].addresses: empty; write at least one receiver, such as ["syslog.example.com:514"]
        "#,
    );
    for wrong in [
        "syslog.example.com",
        "2001:db8::1:514",
        "[2001:db8::1]",
        "[syslog]:514",
        "a:0",
        "a:65536",
        "a:+514",
        ":514",
        "a b:514",
        "user@a:514",
        "tcp://a:514",
        "",
    ] {
        check_syslog(
            &format!("addresses = ['localhost:1', '{wrong}']\ntransport = 'tls'"),
            &format!(
                "FILE:11: output[0].addresses[1]: {wrong:?} is not an address; write host:port, such as \"syslog.example.com:514\" or \"[2001:db8::1]:514\""
            ),
        );
    }
    for right in [
        "[2001:db8::1]:514",
        "192.0.2.1:65535",
        "siem-1.example.com:1",
        "log_host:514",
    ] {
        check_syslog(&format!("addresses = ['{right}']\ntransport = 'tls'"), "");
    }
    check_syslog(
        "addresses = ['localhost:514', '127.0.0.1:514', 'LOCALHOST:514', '127.0.0.1:515']",
        "
            FILE:11: output[0].addresses[2]: this address stands here twice
        ",
    );
    check_syslog(
        "address = '127.0.0.1:514'",
        r#"
            FILE:12: output[0].address: unknown key; did you mean "addresses"?
        "#,
    );
}

#[test]
fn clear_text() {
    let addresses = "addresses = ['localhost:514', 'siem.example.com:514', '192.0.2.1:514']";
    for transport in ["udp", "tcp", "relp"] {
        check_syslog(
            &format!("{addresses}\ntransport = '{transport}'"),
            r#"
                warning: FILE:11: output[0].addresses[1]: events go over the network in clear text; use transport = "tls" or "relp_tls"
            "#,
        );
        let local = "addresses = ['localhost:514', '127.0.0.2:514', '[::1]:514']";
        check_syslog(&format!("{local}\ntransport = '{transport}'"), "");
    }
    for transport in ["tls", "relp_tls"] {
        check_syslog(&format!("{addresses}\ntransport = '{transport}'"), "");
    }
}

#[test]
fn words() {
    check_syslog(
        "transport = 'tcp_tls'\nframing = 'crlf'\nformat = 'rfc5425'\nbody = 'xml'\nwhen_too_large = 'cut'",
        r#"
            FILE:12: output[0].transport: "tcp_tls" is not allowed; write "udp", "tcp", "tls", "relp" or "relp_tls"
            FILE:13: output[0].framing: "crlf" is not allowed; write "octet_counting" or "lf"
            FILE:14: output[0].format: "rfc5425" is not allowed; write "rfc5424" or "rfc3164"
            FILE:15: output[0].body: "xml" is not allowed; write "json", "cef", "leef" or "key_value"
            FILE:16: output[0].when_too_large: "cut" is not allowed; write "dead_letter" or "shorten"
        "#,
    );
    check_syslog(
        "facility = 24",
        "
            FILE:12: output[0].facility: 24 is not a syslog facility; write a number from 0 to 23 or one of kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, ntp, audit, alert, clock, local0, local1, local2, local3, local4, local5, local6, local7
        ",
    );
    check_syslog(
        "facility = 'local8'",
        r#"
            FILE:12: output[0].facility: "local8" is not a syslog facility; write a number from 0 to 23 or one of kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, ntp, audit, alert, clock, local0, local1, local2, local3, local4, local5, local6, local7
        "#,
    );
    check_syslog(
        "severity = 8",
        r#"
            FILE:12: output[0].severity: 8 is not a syslog severity; write "event", a number from 0 to 7 or one of emerg, alert, crit, err, warning, notice, info, debug
        "#,
    );
    check_syslog(
        "severity = -1",
        r#"
            FILE:12: output[0].severity: -1 is not a syslog severity; write "event", a number from 0 to 7 or one of emerg, alert, crit, err, warning, notice, info, debug
        "#,
    );
    check_syslog(
        "severity = 'error'",
        r#"
            FILE:12: output[0].severity: "error" is not a syslog severity; write "event", a number from 0 to 7 or one of emerg, alert, crit, err, warning, notice, info, debug
        "#,
    );
    check_syslog(
        "severity = true",
        r#"
            FILE:12: output[0].severity: true is not a syslog severity; write "event", a number from 0 to 7 or one of emerg, alert, crit, err, warning, notice, info, debug
        "#,
    );
}

#[test]
fn keys_of_another_transport() {
    check_syslog(
        "transport = 'udp'\nframing = 'lf'\nwindow = 1\ntls = {}\nserver_name = 'a'",
        r#"
            FILE:13: output[0].framing: belongs to transport "tcp" and "tls"; transport "udp" has no use for it
            FILE:14: output[0].window: belongs to transport "relp" and "relp_tls"; transport "udp" has no use for it
            FILE:15: output[0].tls: belongs to transport "tls" and "relp_tls"; transport "udp" has no use for it
            FILE:16: output[0].server_name: belongs to transport "tls" and "relp_tls"; transport "udp" has no use for it
        "#,
    );
    check_syslog(
        "window = 1\ntls.ca_file = 'DIR/ca.pem'",
        r#"
            FILE:12: output[0].window: belongs to transport "relp" and "relp_tls"; transport "tcp" has no use for it
            FILE:13: output[0].tls: belongs to transport "tls" and "relp_tls"; transport "tcp" has no use for it
        "#,
    );
    check_syslog(
        "transport = 'tls'\nwindow = 1\ntls.ca_file = 'DIR/ca.pem'\nserver_name = 'a'\nframing = 'lf'",
        r#"
            FILE:13: output[0].window: belongs to transport "relp" and "relp_tls"; transport "tls" has no use for it
        "#,
    );
    check_syslog(
        "transport = 'relp'\nframing = 'lf'\nwindow = 1\nserver_name = 'a'",
        r#"
            FILE:13: output[0].framing: belongs to transport "tcp" and "tls"; transport "relp" has no use for it
            FILE:15: output[0].server_name: belongs to transport "tls" and "relp_tls"; transport "relp" has no use for it
        "#,
    );
    check_syslog(
        "transport = 'relp_tls'\nframing = 'lf'\nwindow = 1\ntls.ca_file = 'DIR/ca.pem'\nserver_name = 'a'",
        r#"
            FILE:13: output[0].framing: belongs to transport "tcp" and "tls"; transport "relp_tls" has no use for it
        "#,
    );
}

/// Which keys go with it is not known then.
#[test]
fn a_transport_that_nobody_knows_is_told_of_alone() {
    check_syslog(
        "transport = 'rlp'\nframing = 'lf'\nwindow = 1\ntls = {}\nmax_message_bytes = '1MiB'",
        r#"
            FILE:12: output[0].transport: "rlp" is not allowed; write "udp", "tcp", "tls", "relp" or "relp_tls"
        "#,
    );
    check_syslog(
        "format = 'rfc5425'\nbom = true\nstructured_data = true",
        r#"
            FILE:12: output[0].format: "rfc5425" is not allowed; write "rfc5424" or "rfc3164"
        "#,
    );
}

#[test]
fn keys_of_another_format() {
    check_syslog(
        "format = 'rfc3164'\nbom = false\nstructured_data = true\nsd_id = 'a@1'",
        r#"
            FILE:13: output[0].bom: belongs to format "rfc5424"; format "rfc3164" has no use for it
            FILE:14: output[0].structured_data: belongs to format "rfc5424"; format "rfc3164" has no use for it
            FILE:15: output[0].sd_id: belongs to format "rfc5424"; format "rfc3164" has no use for it
        "#,
    );
}

#[test]
fn structured_data() {
    check_syslog(
        "sd_id = 'a@1'",
        "
            FILE:12: output[0].sd_id: needs structured_data = true beside it
        ",
    );
    check_syslog(
        "structured_data = false\nsd_id = 'a@1'",
        "
            FILE:13: output[0].sd_id: needs structured_data = true beside it
        ",
    );
    check_syslog(
        "structured_data = 'yes'\nsd_id = 'a@1'",
        "
            FILE:12: output[0].structured_data: a text in quotes where true or false is expected
        ",
    );
    for right in ["a@1", "c-t.a:1@1.2.3", "1234567890123456789012345678@123"] {
        let lines = format!("structured_data = true\nsd_id = '{right}'");
        check_syslog(&lines, "");
    }
    for wrong in [
        "",
        "a b@1",
        "a=b@1",
        "a]@1",
        "a\"@1",
        "\u{e4}@1",
        "12345678901234567890123456789@123",
    ] {
        check_syslog(
            &format!("structured_data = true\nsd_id = '{wrong}'"),
            &format!(
                "FILE:13: output[0].sd_id: {wrong:?} is not an SD-ID; write 1 to 32 printable ASCII characters without a space, =, ] and \""
            ),
        );
    }
    for reserved in ["cta", "meta", "@1", "a@", "a@b", "a@1.", "a@1@2"] {
        check_syslog(
            &format!("structured_data = true\nsd_id = '{reserved}'"),
            &format!(
                "FILE:13: output[0].sd_id: {reserved:?} is not an SD-ID of your own; write a name, @ and an enterprise number, such as \"cta@32473\""
            ),
        );
    }
}

#[test]
fn names_in_the_header() {
    check_syslog(
        "app_name = 'a b'\nhost = 'a b'",
        "
            FILE:12: output[0].app_name: syslog allows 1 to 48 printable ASCII characters without a space
            FILE:13: output[0].host: syslog allows 1 to 255 printable ASCII characters without a space
        ",
    );
    check_syslog(
        "app_name = ''",
        "
            FILE:12: output[0].app_name: syslog allows 1 to 48 printable ASCII characters without a space
        ",
    );
    check_syslog("app_name = 'a:[b]'", "");
    for wrong in ["a:b", "a[b]", "123456789012345678901234567890123"] {
        check_syslog(
            &format!("format = 'rfc3164'\napp_name = '{wrong}'"),
            r#"
                FILE:13: output[0].app_name: format "rfc3164" allows 1 to 32 letters, digits, dots, dashes, slashes or underscores
            "#,
        );
    }
    check_syslog(
        "format = 'rfc3164'\napp_name = '1-3_5.7/901234567890123456789012'",
        "",
    );
}

#[test]
fn server_names() {
    check_syslog(
        "transport = 'tls'\nserver_name = ''",
        r#"
            FILE:13: output[0].server_name: "" is not a name of a certificate; write a DNS name or an IP address
        "#,
    );
    check_syslog(
        "transport = 'tls'\nserver_name = 'a b'",
        r#"
            FILE:13: output[0].server_name: "a b" is not a name of a certificate; write a DNS name or an IP address
        "#,
    );
    check_syslog(
        "transport = 'tls'\nserver_name = 'https://a'",
        r#"
            FILE:13: output[0].server_name: "https://a" is not a name of a certificate; write a DNS name or an IP address
        "#,
    );
    check_syslog("transport = 'tls'\nserver_name = '2001:db8::1'", "");
}

#[test]
fn sizes_and_counts() {
    check_syslog(
        "transport = 'udp'\nmax_message_bytes = '64KiB'",
        "
            FILE:13: output[0].max_message_bytes: a datagram holds at most 65507 bytes
        ",
    );
    check_syslog(
        "transport = 'relp'\nmax_message_bytes = 131073",
        "
            FILE:13: output[0].max_message_bytes: a RELP frame holds at most 131072 bytes
        ",
    );
    check_syslog(
        "transport = 'relp_tls'\nmax_message_bytes = 131073",
        "
            FILE:13: output[0].max_message_bytes: a RELP frame holds at most 131072 bytes
        ",
    );
    check_syslog("transport = 'relp'\nmax_message_bytes = '128KiB'", "");
    check_syslog("transport = 'tls'\nmax_message_bytes = '1MiB'", "");
    check_syslog(
        "max_message_bytes = 479",
        "
            FILE:12: output[0].max_message_bytes: 479 bytes are less than every receiver must accept; write at least 480
        ",
    );
    check_syslog("max_message_bytes = 480", "");
    check_syslog(
        "max_message_bytes = 0",
        "
            FILE:12: output[0].max_message_bytes: must be more than zero
        ",
    );
    check_syslog(
        "transport = 'relp'\nwindow = 10001",
        "
            FILE:13: output[0].window: 10001 is too many; write at most 10000
        ",
    );
    check_syslog(
        "transport = 'relp'\nwindow = 0",
        "
            FILE:13: output[0].window: must be more than zero
        ",
    );
    check_syslog(
        "connect_timeout = '0s'\nwrite_timeout = '0s'",
        "
            FILE:12: output[0].connect_timeout: must be more than zero
            FILE:13: output[0].write_timeout: must be more than zero
        ",
    );
}
