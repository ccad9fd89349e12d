//! What is told of single values, and of values that do not go together.

use super::*;

#[test]
fn durations() {
    check(
        &service("max_window = '3 dayz'"),
        r#"
            FILE:11: service[0].max_window: "3 dayz" is not a duration; write a number and a unit, such as "10m", "3d", or "none"
        "#,
    );
    check(
        &service("max_window = 3"),
        r#"
            FILE:11: service[0].max_window: 3 is not a duration; write a number and a unit, such as "10m", "3d", or "none"
        "#,
    );
    check(
        &service("initial_lookback = 'ever'"),
        r#"
            FILE:11: service[0].initial_lookback: "ever" is not a duration; write a number and a unit, such as "10m", "3d", or "all"
        "#,
    );
    check(
        &service("settle = true"),
        r#"
            FILE:11: service[0].settle: true is not a duration; write a number and a unit, such as "10m" or "3d"
        "#,
    );
    check(
        &service("settle = '-1m'"),
        r#"
            FILE:11: service[0].settle: "-1m" is not a duration; write a number and a unit, such as "10m" or "3d"
        "#,
    );
    check(
        &service("min_poll_interval = '10M'"),
        r#"
            FILE:11: service[0].min_poll_interval: "10M" is not a duration; write a number and a unit, such as "10m" or "3d"
        "#,
    );
    check(
        &service("retention = '200 years'"),
        r#"
            FILE:11: service[0].retention: "200 years" is longer than 100 years
        "#,
    );
    check(
        &service("min_poll_interval = '0s'\nconnect_timeout = '0s'"),
        "
            FILE:11: service[0].min_poll_interval: must be more than zero
            FILE:12: service[0].connect_timeout: must be more than zero
        ",
    );
    check(
        &format!("shutdown_timeout = '0s'\n{}", file("")),
        "
            FILE:1: shutdown_timeout: must be more than zero
        ",
    );
}

#[test]
fn sizes_and_counts() {
    check(
        &file("[service.limits]\nmax_text_bytes = '4 megs'"),
        r#"
            FILE:13: service[0].limits.max_text_bytes: "4 megs" is not a size; write a number of bytes or a number and a unit, such as 1000000, "512MiB" or "2GiB"
        "#,
    );
    check(
        &service("limits = { max_response_bytes = 0, max_parts = 0 }"),
        "
            FILE:11: service[0].limits.max_response_bytes: must be more than zero
            FILE:11: service[0].limits.max_parts: must be more than zero
        ",
    );
    check(
        &service("limits = { max_response_bytes = -1, max_parts = -1 }"),
        r#"
            FILE:11: service[0].limits.max_parts: -1 is not a count; write a whole number from 1 to 4294967295
            FILE:11: service[0].limits.max_response_bytes: -1 is not a size; write a number of bytes or a number and a unit, such as 1000000, "512MiB" or "2GiB"
        "#,
    );
    check(
        &service("limits = { max_response_bytes = 1.5, max_parts = '9' }"),
        r#"
            FILE:11: service[0].limits.max_parts: "9" is not a count; write a whole number from 1 to 4294967295
            FILE:11: service[0].limits.max_response_bytes: 1.5 is not a size; write a number of bytes or a number and a unit, such as 1000000, "512MiB" or "2GiB"
        "#,
    );
    check(
        &service("limits = { max_parts = 5000000000 }"),
        "
            FILE:11: service[0].limits.max_parts: 5000000000 is not a count; write a whole number from 1 to 4294967295
        ",
    );
    check(
        &service("limits = { max_xml_depth = 201 }"),
        "
            FILE:11: service[0].limits.max_xml_depth: 201 is too deep; write at most 200
        ",
    );
    check(
        &output(
            &SPLUNK,
            "batch = { max_bytes = 0, max_events = 0, max_wait = '0s' }",
        ),
        "
            FILE:13: output[0].batch.max_bytes: must be more than zero
            FILE:13: output[0].batch.max_events: must be more than zero
            FILE:13: output[0].batch.max_wait: must be more than zero
        ",
    );
}

#[test]
fn names() {
    check(
        &service("name = ''"),
        r#"
            FILE:10: service[0].name: "" is not a name; write 1 to 64 letters, digits, dots, dashes or underscores
        "#,
    );
    check(
        &service("name = 'a b'"),
        r#"
            FILE:10: service[0].name: "a b" is not a name; write 1 to 64 letters, digits, dots, dashes or underscores
        "#,
    );
    check(
        &service(&format!("name = '{}'", "x".repeat(65))),
        r#"
            FILE:10: service[0].name: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" is not a name; write 1 to 64 letters, digits, dots, dashes or underscores
        "#,
    );
    check(
        &file(&table(
            "[[service]]",
            &SERVICE,
            "poll_url = 'https://other.example.com'",
        )),
        r#"
            FILE:13: service[1].name: "cta" is taken already; each name must be unique
        "#,
    );
    check(
        &file(&table("[[output]]", &STDOUT, "")),
        r#"
            FILE:12: output[1]: another output writes to standard output already
            FILE:13: output[1].name: "out" is taken already; each name must be unique
        "#,
    );
}

#[test]
fn one_client_under_two_names() {
    check(
        &file(&table("[[service]]", &SERVICE, "name = 'other'")),
        r#"
            FILE:12: service[1]: has the address and the username of service "cta", and the provider counts their polls together; put its collections there, or set poll_limit_scope = "collection" for both if the provider counts each collection
        "#,
    );
    let limit = "poll_limit_scope = 'collection'";
    let two = format!(
        "{STATE}{}{}{}",
        table("[[output]]", &STDOUT, ""),
        table("[[service]]", &SERVICE, limit),
        table("[[service]]", &SERVICE, &format!("name = 'other'\n{limit}")),
    );
    check(&two, "");
}

#[test]
fn collections() {
    check(
        &service("collections = []"),
        "
            FILE:10: service[0].collections: empty; name at least one collection
        ",
    );
    check(
        &service("collections = ['flows', 'flows']"),
        r#"
            FILE:10: service[0].collections[1]: "flows" stands here twice
        "#,
    );
    check(
        &service("collections = ['', '*', 'a\\nb']"),
        r#"
            FILE:10: service[0].collections[0]: empty; write a text or leave the key out
            FILE:10: service[0].collections[1]: "*" stands for all collections of an output alone; name each
        "#,
    );
    check(
        &service("collections = ['', '*', \"a\\nb\"]"),
        r#"
            FILE:10: service[0].collections[0]: empty; write a text or leave the key out
            FILE:10: service[0].collections[1]: "*" stands for all collections of an output alone; name each
            FILE:10: service[0].collections[2]: holds a control character
        "#,
    );
    let other = "name = 'other'\npoll_url = 'https://other.example.com'";
    check(&file(&table("[[service]]", &SERVICE, other)), "");
    check(
        &output(&STDOUT, "collections = ['flow']"),
        r#"
            warning: FILE:6: service[0].collections[0]: no output takes this collection: its events would go nowhere
            warning: FILE:11: output[0].collections[0]: no service polls the collection "flow", and no inbox takes it
        "#,
    );
    check(
        &output(&STDOUT, "collections = []"),
        "
            FILE:11: output[0].collections: empty; name at least one collection
        ",
    );
    check(&output(&STDOUT, "collections = ['*', 'flows']"), "");
}

#[test]
fn urls() {
    check(
        &service("poll_url = 'taxii.example.com'"),
        "
            FILE:10: service[0].poll_url: not a URL; write one that begins with https://, http://
        ",
    );
    check(
        &service("poll_url = 'ftp://taxii.example.com'"),
        "
            FILE:10: service[0].poll_url: not a URL; write one that begins with https://, http://
        ",
    );
    check(
        &service("poll_url = 'https://hunter2:hunter2@taxii.example.com'"),
        "
            FILE:10: service[0].poll_url: a URL with a user or password in it would be logged; take them out of it
        ",
    );
    check(
        &service("poll_url = 'http://taxii.example.com/'\nusername = 'u'\npassword = { file = 'DIR/secret' }"),
        "
            warning: FILE:10: service[0].poll_url: the password goes over the network in clear text; use https://
        ",
    );
    check(
        &service(
            "poll_url = 'http://127.0.0.1:8080/'\nusername = 'u'\npassword = { file = 'DIR/secret' }",
        ),
        "",
    );
    check(
        &service(
            "poll_url = 'http://[::1]:8080/'\nusername = 'u'\npassword = { file = 'DIR/secret' }",
        ),
        "",
    );
}

#[test]
fn proxies() {
    check(
        &service("proxy = 'proxy:3128'"),
        "
            FILE:11: service[0].proxy: not a URL; write one that begins with http://, https://, socks5://, socks5h://
        ",
    );
    check(
        &service("proxy = 'socks5://u:hunter2@proxy:1080'"),
        "
            FILE:11: service[0].proxy: a URL with a user or password in it would be logged; take them out of it
        ",
    );
    check(
        &service("proxy = 'socks5://proxy'\nproxy_username = 'u'\nproxy_password = { file = 'DIR/secret' }"),
        "
            warning: FILE:11: service[0].proxy: the password of the proxy goes over the network in clear text; use https:// if the proxy offers it
        ",
    );
    check(
        &service("proxy_username = 'mole'"),
        "
            FILE:7: service[0].proxy_password: missing; proxy_username needs it
            FILE:11: service[0].proxy_username: needs proxy beside it, the URL of that proxy
        ",
    );
    check(
        &output(
            &SPLUNK,
            "proxy = 'http://127.0.0.1:1'\nproxy_password = { env = 'TOKEN' }",
        ),
        "
            FILE:8: output[0].proxy_username: missing; proxy_password needs it
        ",
    );
    check(
        &service("proxy = 'https://proxy'\nproxy_username = 'a:b'\nproxy_password = {}"),
        r#"
            FILE:12: service[0].proxy_username: holds a colon, which HTTP Basic authentication cannot send
            FILE:13: service[0].proxy_password: not a secret; write { file = "/path" }, { env = "NAME" } or { credential = "name" }, or the secret itself in quotes
        "#,
    );
}

#[test]
fn endpoints() {
    check(
        &output(&SPLUNK, "endpoints = []"),
        r#"
            FILE:12: output[0].endpoints: empty; write at least one URL, such as ["https://splunk.example.com:8088"]
        "#,
    );
    check(
        &output(
            &SPLUNK,
            "endpoints = ['https://s:8088/services/collector/event']",
        ),
        r#"
            FILE:12: output[0].endpoints[0]: write the base URL alone, such as ["https://splunk.example.com:8088"]; the path is added
        "#,
    );
    check(
        &output(
            &SPLUNK,
            "endpoints = ['https://s:8088', 'https://s:8088/', 'http://s:8088']",
        ),
        "
            FILE:12: output[0].endpoints[1]: this endpoint stands here twice
        ",
    );
}

#[test]
fn schedules() {
    check(
        &service("schedule = '*/10 * * * *'"),
        r#"
            FILE:11: service[0].schedule: "*/10 * * * *" is not a schedule: it has 5 fields; write six fields (second, minute, hour, day, month, weekday; UTC), such as "0 */10 * * * *"
        "#,
    );
}

#[test]
fn durations_that_do_not_go_together() {
    check(
        &service("max_window = '10m'"),
        "
            FILE:11: service[0].max_window: polls could never keep up: a window of at most 10m for each collection, and 1 to poll, one every 10m (min_poll_interval)
        ",
    );
    check(
        &service("collections = ['a', 'b', 'c']\nmin_poll_interval = '1d'"),
        "
            FILE:11: service[0].min_poll_interval: polls could never keep up: a window of at most 3d for each collection, and 3 to poll, one every 1d (min_poll_interval)
        ",
    );
    check(
        &service(
            "collections = ['a', 'b', 'c']\nmin_poll_interval = '1d'\npoll_limit_scope = 'collection'",
        ),
        "",
    );
    check(
        &service("max_window = '20m'\nsettle = '20m'"),
        "
            FILE:11: service[0].max_window: the longest window is 20m, it must be longer than settle, which is 20m
        ",
    );
    check(
        &service("retention = '1m'\ninitial_lookback = 'all'"),
        "
            FILE:11: service[0].retention: content is kept for 1m, that must be longer than settle, which is 1m
        ",
    );
    check(
        &service("initial_lookback = '60d'"),
        "
            warning: FILE:11: service[0].initial_lookback: looks back 60d, yet the service keeps its content for 30d only (retention)
        ",
    );
    check(
        &service("settle = '1500ms'\nmin_poll_interval = '100ms'\nmax_window = '1s'"),
        "
            FILE:13: service[0].max_window: the longest window is 1s, it must be longer than settle, which is 1500ms
        ",
    );
    check(
        &output(&STDOUT, "retry = { initial = '10m' }"),
        "
            FILE:11: output[0].retry.initial: the longest wait, 5m, is shorter than the first, 10m
        ",
    );
}
