use super::*;
use crate::import::{Appender, AppenderKind, Around};

fn imported(yaml: &str, appenders: &Result<Appenders, String>) -> Imported {
    let none = |_: &str| None;
    let reading = Around {
        profiles: &[],
        variable: &none,
    };
    let adapter = Adapter::read(yaml, &reading).unwrap();
    let feeds = adapter.feeds.clone();
    let around = Surroundings {
        source: "application.yml".to_owned(),
        remarks: vec!["beside it lies another".to_owned()],
        state: "/var/lib/cta-forwarder".into(),
        secrets: Secrets {
            folder: "/etc/cta-forwarder".into(),
            form: SecretForm::File,
            are_written: true,
        },
        check_cron: crate::schedule::check,
    };
    write(&adapter, &feeds, appenders, &around)
}

const YAML: &str = "
taxii-service:
    pollEndpoint: https://taxii.example.com/skym-taxii-ws/PollService/
    username: user
    password: \"pass\\\"word\"
    feeds: [flows, flows, more]
schedule:
    cron: \"0 0 4 * * *\"
transform:
    stylesheet: config/stix2cef.xsl
proxy:
    url: http://me:hunter2@proxy:8002/
    authenticationType: NTLM
server:
    port: 80
";

#[test]
fn what_differs_is_told_and_no_secret_stands_in_it() {
    let syslog = Appender {
        name: "SYSLOG".to_owned(),
        kind: AppenderKind::Syslog {
            address: "arcsight:55056".to_owned(),
            facility: "local0".to_owned(),
        },
    };
    let imported = imported(
        YAML,
        &Ok(Appenders {
            all: vec![syslog],
            remarks: vec!["a filter".to_owned()],
        }),
    );
    let toml = &imported.toml;
    for line in [
        "# Not taken over, since it has no counterpart: server.port (line 15)",
        "collections = [\"flows\", \"more\"]",
        "schedule = \"0 0 4 * * *\"",
        "password = { file = \"/etc/cta-forwarder/taxii-password\" }",
        "proxy = \"http://proxy:8002\"",
        "addresses = [\"arcsight:55056\"]",
        "format = \"rfc3164\"",
        "body = \"cef\"",
    ] {
        assert!(toml.lines().any(|found| found == line), "{line}\n{toml}");
    }
    for words in [
        "this is UTC",
        "knows basic alone",
        "over UDP nobody knows",
        "a filter",
        "beside it",
    ] {
        assert!(
            imported.todo.iter().any(|todo| todo.contains(words)),
            "{toml}"
        );
    }
    assert!(
        !toml.contains("hunter2") && !toml.contains("pass\""),
        "{toml}"
    );
    assert_eq!(imported.secrets[0].secret.expose(), "pass\"word");
    toml::from_str::<toml::Table>(toml).unwrap();
}

#[test]
fn what_is_odd_is_still_a_configuration() {
    let yaml = "taxii-service: {pollEndpoint: \"${URL}\", username: \"a\\nb\\\"\", feeds: ['x\"]']}\n\
                    schedule: {cron: hourly}\n";
    let imported = imported(yaml, &Err("there is none".to_owned()));
    toml::from_str::<toml::Table>(&imported.toml).unwrap();
    for words in [
        "pollEndpoint (line 1): ${URL} is not known here, so it is left out: write poll_url",
        "cannot be used",
        "password is missing",
        "choose where",
    ] {
        assert!(
            imported.todo.iter().any(|todo| todo.contains(words)),
            "{words}: {}",
            imported.toml
        );
    }
}

/// Of the adapter's smallest configuration with this below `proxy`, what stands of it here.
fn proxy(text: &str) -> (Imported, Vec<String>) {
    let yaml = format!("taxii-service: {{pollEndpoint: x, feeds: a}}\nproxy: {{{text}}}\n");
    let imported = imported(&yaml, &Err("there is none".to_owned()));
    let lines = imported
        .toml
        .lines()
        .filter(|line| line.starts_with("proxy"));
    let lines = lines.map(str::to_owned).collect();
    (imported, lines)
}

#[test]
fn a_proxy_has_a_user_where_one_is_known() {
    let url = "proxy = \"http://p:1\"";
    let password = "proxy_password = { file = \"/etc/cta-forwarder/proxy-password\" }";
    for (text, lines, todo, secrets) in [
        ("url: 'http://p:1/'", &[url][..], "", 0),
        (
            "url: 'http://p:1', authenticationType: BASIC, username: u, password: p",
            &[url, "proxy_username = \"u\"", password],
            "",
            1,
        ),
        (
            "url: 'http://p:1', authenticationType: basic, password: p",
            &[url],
            "proxy.username is missing there",
            0,
        ),
        (
            "url: 'http://p:1', authenticationType: basic, username: '', password: p",
            &[url],
            "proxy.username is missing there",
            0,
        ),
        (
            "url: 'http://p:1', authenticationType: basic, username: '${WHO}', password: p",
            &[url, password],
            "${WHO} is not known here, so it is left out: write proxy_username",
            1,
        ),
        (
            "url: 'http://p:1', authenticationType: basic, username: u, password: 'ENC(x)'",
            &[url, "proxy_username = \"u\"", password],
            "proxy.password (line 2): it is encrypted",
            0,
        ),
        (
            "url: 'http://p:1', username: u, password: p",
            &[url],
            "does not say basic",
            0,
        ),
        (
            "url: '${PROXY}', username: u",
            &[],
            "write proxy, or polls go without one",
            0,
        ),
    ] {
        let (imported, found) = proxy(text);
        assert_eq!(found, lines, "{text}: {}", imported.toml);
        let told = imported.todo.iter().any(|told| told.contains(todo));
        assert!(told, "{text}: {:?}", imported.todo);
        assert_eq!(imported.secrets.len(), secrets, "{text}");
    }
    let (imported, _) = proxy("username: u, password: p");
    assert!(imported.toml.contains("since there is no proxy.url"));
}

#[test]
fn a_secret_that_is_not_known_is_no_file() {
    for (account, lines, todo) in [
        (
            "username: u, password: 'ENC(x)'",
            &["username = \"u\"", "password = {"][..],
            "taxii-service.password (line 1): it is encrypted (ENC(…), by jasypt), so it was not \
             written: put the password itself, alone on one line, into \
             /etc/cta-forwarder/taxii-password",
        ),
        (
            "username: ~, password: '${PASS:x}'",
            &["password = {"],
            "username is missing there: write username",
        ),
        ("username: ~", &[], "if the service wants them"),
    ] {
        let yaml = format!("taxii-service: {{pollEndpoint: x, feeds: a, {account}}}");
        let imported = imported(&yaml, &Err("there is none".to_owned()));
        assert!(imported.secrets.is_empty(), "{account}");
        let told = imported.todo.iter().any(|told| told.contains(todo));
        assert!(told, "{account}: {:?}", imported.todo);
        let of_account = |line: &&str| line.starts_with("username") || line.starts_with("password");
        let found: Vec<&str> = imported.toml.lines().filter(of_account).collect();
        assert_eq!(found.len(), lines.len(), "{account}: {found:?}");
        for (found, line) in found.iter().zip(lines) {
            assert!(found.starts_with(line), "{account}: {found}");
        }
    }
}

#[test]
fn no_password_of_a_url_is_shown() {
    let yaml = "taxii-service: {pollEndpoint: '${URL:https://me:hunter2@x/y}', feeds: a}\n\
                proxy: {url: '${P:http://me:hunter2@p:1}'}\n";
    let imported = imported(yaml, &Err("there is none".to_owned()));
    assert!(!imported.toml.contains("hunter2"), "{}", imported.toml);
    assert!(imported.toml.contains("poll_url = \"https://x/y\""));
    assert!(imported.toml.contains("proxy = \"http://p:1\""));
}

#[test]
fn where_no_feed_is_known_that_is_told() {
    let yaml = "taxii-service: {pollEndpoint: x, feeds: '${FEED}'}";
    let imported = imported(yaml, &Err("there is none".to_owned()));
    assert!(imported.toml.contains("\ncollections = []\n"));
    for words in ["${FEED} is not known here", "no feed is known"] {
        assert!(imported.todo.iter().any(|todo| todo.contains(words)));
    }
}
