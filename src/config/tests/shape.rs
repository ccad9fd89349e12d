//! What is told of a file whose keys and types of values are not as they should be.

use super::*;

#[test]
fn an_empty_file_lacks_everything() {
    check(
        "",
        "
            FILE: state: missing; write [state] with a directory
            FILE: service: missing; at least one [[service]] to poll is needed, or an [inbox]
            FILE: output: missing; at least one [[output]] is needed, or events go nowhere
        ",
    );
}

#[test]
fn keys_that_nobody_knows() {
    check(
        &service("max_windw = '3d'"),
        r#"
            FILE:11: service[0].max_windw: unknown key; did you mean "max_window"?
        "#,
    );
    check(
        &service("polling = true"),
        "
            FILE:11: service[0].polling: unknown key; allowed are name, poll_url, discovery_url, taxii_version, username, password, bearer_token, headers, collections, data_sets, deduplicate, subscriptions, content_bindings, allow_asynch, schedule, min_poll_interval, poll_limit_scope, max_window, initial_lookback, retention, settle, splay, tls, proxy, proxy_username, proxy_password, connect_timeout, request_timeout, limits
        ",
    );
    check(
        &service("limits = { max_part = 3 }"),
        r#"
            FILE:11: service[0].limits.max_part: unknown key; did you mean "max_parts"?
        "#,
    );
    check(
        &file("[sate]\ndirectory = '/'"),
        r#"
            FILE:12: sate: unknown key; did you mean "state"?
        "#,
    );
    check(
        &output(
            &SPLUNK,
            "[[output.override]]\ncollection = 'flows'\nindx = 'a'",
        ),
        r#"
            FILE:13: output[0].override[0]: changes nothing; write index, source or sourcetype
            FILE:15: output[0].override[0].indx: unknown key; did you mean "index"?
        "#,
    );
    check(
        &file("\"odd key\" = 1\n[stat]\na = 1"),
        r#"
            FILE:12: output[0]."odd key": unknown key; allowed are name, type, collections, when_spool_full, start_at, host, batch, retry, endpoints, token, index, source, sourcetype_flow, sourcetype_incident, sourcetype_indicator, sourcetype_observable, override, gzip, indexed_fields, acknowledge, ack_timeout, ack_interval, max_outstanding_acks, max_in_flight, proxy, proxy_username, proxy_password, request_timeout, tls, connect_timeout, addresses, transport, framing, server_name, window, format, facility, severity, app_name, structured_data, sd_id, bom, body, max_message_bytes, when_too_large, write_timeout, path, rotate_bytes, rotate_keep
            FILE:13: stat: unknown key; did you mean "state"?
        "#,
    );
}

#[test]
fn keys_of_another_type() {
    check(
        &output(&FILE, "index = 'a'"),
        r#"
            FILE:12: output[0].index: belongs to type "splunk_hec"; type "file" allows path, rotate_bytes, rotate_keep
        "#,
    );
    check(
        &output(&FILE, "connect_timeout = '1s'\ntoken = 'hunter2'"),
        r#"
            FILE:12: output[0].connect_timeout: belongs to type "splunk_hec" and "syslog"; type "file" allows path, rotate_bytes, rotate_keep
            FILE:13: output[0].token: belongs to type "splunk_hec"; type "file" allows path, rotate_bytes, rotate_keep
        "#,
    );
    check(
        &output(&STDOUT, "path = '/a'"),
        r#"
            FILE:11: output[0].path: belongs to type "file"; type "stdout" allows nothing beyond the keys of every output
        "#,
    );
    check(
        &output(&SYSLOG, "gzip = true\nproxy = 'http://proxy:3128'"),
        r#"
            FILE:12: output[0].gzip: belongs to type "splunk_hec"; type "syslog" allows addresses, transport, framing, tls, server_name, window, format, facility, severity, app_name, structured_data, sd_id, bom, body, max_message_bytes, when_too_large, connect_timeout, write_timeout
            FILE:13: output[0].proxy: belongs to type "splunk_hec"; type "syslog" allows addresses, transport, framing, tls, server_name, window, format, facility, severity, app_name, structured_data, sd_id, bom, body, max_message_bytes, when_too_large, connect_timeout, write_timeout
        "#,
    );
}

#[test]
fn values_of_a_wrong_shape() {
    check(
        &service("name = 3"),
        "
            FILE:10: service[0].name: a number where a text in quotes is expected
        ",
    );
    check(
        &service("collections = 'flows'"),
        "
            FILE:10: service[0].collections: a text in quotes where a list is expected
        ",
    );
    check(
        &service("collections = ['flows', 3]"),
        "
            FILE:10: service[0].collections[1]: a number where a text in quotes is expected
        ",
    );
    check(
        &service("limits = 3"),
        "
            FILE:11: service[0].limits: a number where a table is expected
        ",
    );
    check(
        &service("schedule = [1]"),
        "
            FILE:11: service[0].schedule: a list where a text in quotes is expected
        ",
    );
    check(
        &output(&SPLUNK, "gzip = 'yes'"),
        "
            FILE:13: output[0].gzip: a text in quotes where true or false is expected
        ",
    );
    check(
        &format!("{STATE}[service]\nname = 'a'\n{}", table("[[output]]", &STDOUT, "")),
        "
            FILE:3: service: a table where a list is expected; write each heading in two brackets, as in [[service]]
        ",
    );
    check(
        &format!("service = 3\n{STATE}{}", table("[[output]]", &STDOUT, "")),
        "
            FILE:1: service: a number where a list is expected
        ",
    );
    check(
        &file("[[log]]\nlevel = 'info'"),
        "
            FILE:12: log[0]: a list where a table is expected
        ",
    );
    check(
        &service("max_window = {}"),
        "
            FILE:11: service[0].max_window: a table where a text or a number is expected
        ",
    );
    check(
        &service("limits = [1, 2, 3]"),
        "
            FILE:11: service[0].limits: a list where a table is expected
        ",
    );
    check(
        &output(
            &SPLUNK,
            "endpoints = 'https://u:hunter2@splunk.example.com'",
        ),
        "
            FILE:12: output[0].endpoints: a text in quotes where a list is expected
        ",
    );
    check(
        &output(&FILE, "path = 3"),
        "
            FILE:11: output[0].path: a number where a text in quotes is expected
        ",
    );
    check(
        &service("tls = 1.5\nname = true"),
        "
            FILE:10: service[0].tls: a number with a fraction where a table is expected
            FILE:11: service[0].name: true or false where a text in quotes is expected
        ",
    );
}

#[test]
fn words() {
    check(
        &service("poll_limit_scope = 'collections'"),
        r#"
            FILE:11: service[0].poll_limit_scope: "collections" is not allowed; write "service" or "collection"
        "#,
    );
    check(
        &output(&STDOUT, "type = 'splunk'"),
        r#"
            FILE:10: output[0].type: "splunk" is not allowed; write "splunk_hec", "syslog", "file" or "stdout"
        "#,
    );
    check(
        &output(&STDOUT, "when_spool_full = 'drop'\nstart_at = 3"),
        r#"
            FILE:11: output[0].when_spool_full: "drop" is not allowed; write "hold" or "release"
            FILE:12: output[0].start_at: 3 is not allowed; write "now" or "oldest"
        "#,
    );
    check(
        &output(&["name = 'a'"], ""),
        r#"
            FILE:8: output[0].type: missing; write type = "splunk_hec", "syslog", "file" or "stdout"
        "#,
    );
}

#[test]
fn all_problems_at_once_in_the_order_of_the_file() {
    check(
        &format!(
            "colour = 1\n{}{}",
            service("max_windw = 1\nsettle = 1\nschedule = 'x'"),
            table("[[output]]", &SYSLOG, "index = 'a'")
        ),
        r#"
            FILE:1: colour: unknown key; allowed are shutdown_timeout, state, service, inbox, admin, output, log
            FILE:12: service[0].max_windw: unknown key; did you mean "max_window"?
            FILE:13: service[0].settle: 1 is not a duration; write a number and a unit, such as "10m" or "3d"
            FILE:14: service[0].schedule: "x" is not a schedule: it has 1 fields; write six fields (second, minute, hour, day, month, weekday; UTC), such as "0 */10 * * * *"
            FILE:19: output[1].index: belongs to type "splunk_hec"; type "syslog" allows addresses, transport, framing, tls, server_name, window, format, facility, severity, app_name, structured_data, sd_id, bom, body, max_message_bytes, when_too_large, connect_timeout, write_timeout
        "#,
    );
}

#[test]
fn what_is_no_toml() {
    check(
        "[state\ndirectory = 1",
        "
            FILE:1: not TOML: unclosed table, expected `]`
        ",
    );
    check(
        "[state]\ndirectory = /var/lib",
        "
            FILE:2: not TOML: string values must be quoted, expected literal string
        ",
    );
    check(
        "[state]\ndirectory = '/a'\ndirectory = '/b'",
        "
            FILE:3: not TOML: duplicate key
        ",
    );
}
