//! Our configuration, written from what the adapter's says: each thing that has no counterpart or means
//! something else here is told in a comment, and what a person must do begins with TODO.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::application::{Adapter, SecretText};
use super::logback::{Appender, AppenderKind};
use crate::config::CheckCron;

/// What a person must look at begins like this.
const TODO: &str = "# TODO: ";
/// The name of the service here.
const SERVICE: &str = "cta";

/// What is written beside the adapter's own words.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The adapter's file, as a person named it.
    pub source: String,
    /// The folder of the state.
    pub state: PathBuf,
    /// The folder where secrets lie, or must be put.
    pub secrets: PathBuf,
    /// Whether they are written there.
    pub are_secrets_written: bool,
    /// What knows which schedules can be.
    pub check_cron: CheckCron,
}

/// Our configuration.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Its text.
    pub toml: String,
    /// The secrets that it names.
    pub secrets: Vec<SecretFile>,
    /// What a person must look at, as it stands in the text too.
    pub todo: Vec<String>,
}

/// A secret, and the file where it belongs.
#[derive(Debug, Clone)]
pub struct SecretFile {
    /// The file.
    pub path: PathBuf,
    /// What it must hold, alone.
    pub secret: SecretText,
}

/// Writes our configuration. `feeds` are all of them; `appenders` are those of the logger `output`, or why
/// they are not known.
#[must_use]
pub fn write(
    adapter: &Adapter,
    feeds: &[String],
    appenders: &Result<Vec<Appender>, String>,
    around: &Surroundings,
) -> Imported {
    let mut writing = Writing {
        around,
        text: String::new(),
        secrets: Vec::new(),
        todo: Vec::new(),
    };
    writing.head(adapter);
    writing.service(adapter, feeds);
    writing.outputs(adapter, appenders);
    Imported {
        toml: writing.text,
        secrets: writing.secrets,
        todo: writing.todo,
    }
}

struct Writing<'a> {
    around: &'a Surroundings,
    text: String,
    secrets: Vec<SecretFile>,
    todo: Vec<String>,
}

/// What stands behind the header of a message.
struct Body {
    name: &'static str,
    was: &'static str,
}

impl Writing<'_> {
    fn line(&mut self, line: impl std::fmt::Display) {
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// What was theirs: on one line, whatever it holds.
    fn comment(&mut self, what: impl std::fmt::Display) {
        let what = one_line(&what.to_string());
        self.line(format_args!("# {what}"));
    }

    fn todo(&mut self, what: impl std::fmt::Display) {
        let what = one_line(&what.to_string());
        self.line(format_args!("{TODO}{what}"));
        self.todo.push(what);
    }

    fn key(&mut self, key: &str, value: &str) {
        self.line(format_args!("{key} = {}", quoted(value)));
    }

    fn head(&mut self, adapter: &Adapter) {
        let source = &self.around.source;
        let head = format!("Written by `cta-forwarder import-config` from {source}.");
        self.comment(head);
        self.comment(
            "What is not here has its default: see config/cta-forwarder.toml for every key.",
        );
        for (name, line) in &adapter.unknown {
            self.comment(format_args!(
                "Not taken over, since it has no counterpart: {name} (line {line})"
            ));
        }
        self.line("");
        self.line("[state]");
        let state = self.around.state.display().to_string();
        self.key("directory", &state);
        self.line("");
    }

    fn service(&mut self, adapter: &Adapter, feeds: &[String]) {
        self.line("[[service]]");
        self.comment("In events this is `service`; the adapter told none.");
        self.key("name", SERVICE);
        let endpoint = without_user(adapter.poll_endpoint.as_deref().unwrap_or_default());
        self.told("taxii-service.pollEndpoint", &endpoint);
        self.key("poll_url", &endpoint);
        if let Some(username) = &adapter.username {
            self.told("taxii-service.username", username);
            self.key("username", username);
            let password = adapter.password.as_ref();
            self.secret(
                "password",
                "taxii-service.password",
                "taxii-password",
                password,
            );
        }
        self.comment("taxii-service.feeds");
        let mut names: Vec<String> = Vec::new();
        for feed in feeds {
            let name = quoted(feed);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        self.line(format_args!("collections = [{}]", names.join(", ")));
        self.schedule(adapter.cron.as_deref());
        self.proxy(adapter);
        self.line("");
    }

    /// A value of theirs that is no text of its own.
    fn told(&mut self, name: &str, value: &str) {
        if value.contains("${") {
            self.todo(format_args!(
                "{name} is taken from elsewhere ({value}): write its value here"
            ));
        }
    }

    fn secret(&mut self, key: &str, name: &str, file: &str, secret: Option<&SecretText>) {
        let path = self.around.secrets.join(file);
        if let Some(variable) = secret.and_then(SecretText::variable) {
            self.comment(format_args!(
                "{name} stood in the environment, and still does"
            ));
            self.line(format_args!("{key} = {{ env = {} }}", quoted(variable)));
            return;
        }
        let shown = path.display().to_string();
        match secret {
            Some(secret) if self.around.are_secrets_written => {
                self.secrets.push(SecretFile {
                    path,
                    secret: secret.clone(),
                });
            }
            Some(_) => self.todo(format_args!(
                "put {name}, alone on one line, into {shown}, readable by the agent's user alone; \
                 --secrets DIR writes it"
            )),
            None => self.todo(format_args!(
                "{name} is missing there: put the password, alone on one line, into {shown}"
            )),
        }
        self.line(format_args!("{key} = {{ file = {} }}", quoted(&shown)));
    }

    fn schedule(&mut self, cron: Option<&str>) {
        let Some(cron) = cron else {
            self.comment(
                "schedule.cron is missing there: every ten minutes, as the service allows",
            );
            return;
        };
        let cron = cron.trim();
        if let Err(why) = (self.around.check_cron)(cron) {
            self.todo(format_args!(
                "schedule.cron {cron:?} cannot be used ({why}): polls are every ten minutes, write \
                 another schedule if that is too often"
            ));
            return;
        }
        let mut fields = cron.split_whitespace().skip(2);
        if fields.any(|field| field != "*" && field != "?") {
            self.todo(format_args!(
                "schedule.cron {cron:?} was in the time zone of that machine, and this is UTC: move its \
                 hours and days"
            ));
        } else {
            self.comment("schedule.cron; here in UTC");
        }
        self.key("schedule", cron);
    }

    fn proxy(&mut self, adapter: &Adapter) {
        let proxy = &adapter.proxy;
        let Some(url) = &proxy.url else {
            return;
        };
        self.comment("proxy.url");
        self.told("proxy.url", url);
        self.key("proxy", without_user(url).trim_end_matches('/'));
        let kind = proxy.authentication.as_deref().unwrap_or("none");
        match kind.to_ascii_lowercase().as_str() {
            "none" => {}
            "basic" => {
                let username = proxy.username.as_deref().unwrap_or_default();
                self.told("proxy.username", username);
                self.key("proxy_username", username);
                let password = proxy.password.as_ref();
                self.secret("proxy_password", "proxy.password", "proxy-password", password);
            }
            other => self.todo(format_args!(
                "proxy.authenticationType is {other:?}, and this agent knows basic alone: let the proxy \
                 allow this machine without authentication or with basic"
            )),
        }
    }

    fn outputs(&mut self, adapter: &Adapter, appenders: &Result<Vec<Appender>, String>) {
        let body = body(adapter.stylesheet.as_deref());
        let stylesheet = adapter.stylesheet.as_deref().unwrap_or("none");
        self.comment(format_args!(
            "transform.stylesheet was {stylesheet}: {}. Their fields beside ours: \
             docs/migrate-from-taxii-log-adapter.md",
            body.was
        ));
        let mut names = Vec::new();
        match appenders {
            Ok(appenders) => {
                for appender in appenders {
                    self.output(appender, &body, &mut names);
                }
            }
            Err(why) => self.todo(format_args!(
                "where the adapter sent its events is not known ({why}): see its logback.xml"
            )),
        }
        if names.is_empty() {
            self.todo("choose where events go: until then they are JSON lines in a file");
            self.file_output(&mut names);
        }
        self.template();
    }

    fn output(&mut self, appender: &Appender, body: &Body, names: &mut Vec<String>) {
        let label = &appender.name;
        match &appender.kind {
            AppenderKind::Network { address, is_udp } => {
                let transport = if *is_udp { "udp" } else { "tcp" };
                self.begin(names, "siem", "syslog");
                self.comment(format_args!(
                    "logback appender {label}: lines over {transport} without a header; here each has a \
                     syslog header"
                ));
                self.line(format_args!("addresses = [{}]", quoted(address)));
                self.key("transport", transport);
                if !is_udp {
                    self.key("framing", "lf");
                }
                self.key("body", body.name);
                self.todo(
                    "if that is Splunk, use the output below instead: over TCP what Splunk has not read \
                     when it stops is lost",
                );
                self.line("");
            }
            AppenderKind::Syslog { address, facility } => {
                self.begin(names, "siem", "syslog");
                self.comment(format_args!("logback appender {label}: RFC 3164 over UDP"));
                self.line(format_args!("addresses = [{}]", quoted(address)));
                self.key("transport", "udp");
                self.key("format", "rfc3164");
                self.key("facility", facility);
                self.key("body", body.name);
                self.todo(
                    "over UDP nobody knows what arrives: use transport = \"relp_tls\", or \"tls\", where \
                     the receiver can",
                );
                self.line("");
            }
            AppenderKind::File { path } => {
                self.comment(format_args!("logback appender {label}: the file {path}"));
                self.file_output(names);
            }
            AppenderKind::Console => {
                self.begin(names, "screen", "stdout");
                self.line("");
            }
            AppenderKind::Other(class) => self.todo(format_args!(
                "logback appender {label} ({class}) has no counterpart: write an output for it"
            )),
        }
    }

    fn file_output(&mut self, names: &mut Vec<String>) {
        let several = names
            .iter()
            .filter(|name| name.starts_with("local"))
            .count();
        let end = match several {
            0 => String::new(),
            more => format!("-{}", more + 1),
        };
        self.begin(names, "local", "file");
        let path = format!("/var/log/cta-forwarder/events{end}.jsonl");
        self.key("path", &path);
        self.line("");
    }

    fn begin(&mut self, names: &mut Vec<String>, name: &str, kind: &str) {
        let alike = names.iter().filter(|known| known.starts_with(name)).count();
        let name = match alike {
            0 => name.to_owned(),
            more => format!("{name}-{}", more + 1),
        };
        self.line("[[output]]");
        self.key("name", &name);
        self.key("type", kind);
        names.push(name);
    }

    fn template(&mut self) {
        self.comment("Splunk's HTTP Event Collector, which confirms what it has:");
        let token = self.around.secrets.join("hec-token");
        let token = quoted(&token.display().to_string());
        for line in [
            "[[output]]",
            "name = \"splunk\"",
            "type = \"splunk_hec\"",
            "endpoints = [\"https://splunk.example.com:8088\"]",
            &format!("token = {{ file = {token} }}"),
            "index = \"security\"",
        ] {
            self.comment(line);
        }
    }
}

/// What the adapter's stylesheet made, and what comes nearest.
fn body(stylesheet: Option<&str>) -> Body {
    let name = stylesheet.map(|path| Path::new(path).file_name().unwrap_or_default());
    let name = name.map(|name| name.to_string_lossy().to_ascii_lowercase());
    let name = name.unwrap_or_default();
    if name.contains("cef") {
        Body {
            name: "cef",
            was: "CEF",
        }
    } else if name.contains("splunk") {
        Body {
            name: "key_value",
            was: "key=\"value\" pairs",
        }
    } else if name.contains("json") {
        Body {
            name: "json",
            was: "JSON",
        }
    } else {
        Body {
            name: "json",
            was: "something else than this agent writes, which is JSON",
        }
    }
}

/// A URL without a user and a password in it, which would be shown.
fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}{path}")
}

fn quoted(text: &str) -> String {
    toml::Value::from(one_line(text)).to_string()
}

fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(yaml: &str, appenders: &Result<Vec<Appender>, String>) -> Imported {
        let adapter = Adapter::read(yaml).unwrap();
        let feeds = adapter.feeds.clone();
        let around = Surroundings {
            source: "application.yml".to_owned(),
            state: "/var/lib/cta-forwarder".into(),
            secrets: "/etc/cta-forwarder".into(),
            are_secrets_written: true,
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
        let imported = imported(YAML, &Ok(vec![syslog]));
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
        for words in ["this is UTC", "knows basic alone", "over UDP nobody knows"] {
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
            "write its value",
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
}
