//! A configuration for the simulated services, as the demo and `simulate` write it.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use crate::simulator::cta::{Account, CtaRules};

/// The account at the simulated service.
pub(super) fn account() -> Account {
    Account {
        username: "user".to_owned(),
        password: "pass".to_owned(),
        collections: vec![CtaRules::COLLECTION.to_owned()],
    }
}

/// What stands in the configuration.
#[derive(Debug, Clone)]
pub(super) struct Example {
    pub(super) state: PathBuf,
    pub(super) poll_url: String,
    pub(super) username: String,
    pub(super) password: ExampleSecret,
    pub(super) collections: Vec<String>,
    pub(super) min_poll_interval: Duration,
    /// How far the first poll looks back.
    pub(super) lookback_days: u16,
    /// How long the service keeps its content.
    pub(super) retention_days: u16,
    pub(super) hec_url: String,
    pub(super) token: ExampleSecret,
}

/// Where a secret stands.
#[derive(Debug, Clone)]
pub(super) enum ExampleSecret {
    /// In the configuration itself.
    Plain(String),
    /// Alone in a file.
    File(PathBuf),
}

/// The configuration as TOML.
impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let collections: Vec<String> = self.collections.iter().map(|name| text(name)).collect();
        write!(
            f,
            "\
[state]
directory = {state}
min_free_disk = \"1MiB\"

[[service]]
name = \"cta\"
poll_url = {poll_url}
username = {username}
password = {password}
collections = [{collections}]
schedule = \"* * * * * *\"
min_poll_interval = \"{interval}\"
initial_lookback = \"{lookback}d\"
retention = \"{retention}d\"
# The simulated service has one clock, and nothing arrives late.
settle = \"1s\"

[[output]]
name = \"splunk\"
type = \"splunk_hec\"
endpoints = [{hec_url}]
token = {token}
batch = {{ max_wait = \"200ms\" }}
retry = {{ initial = \"200ms\", max = \"1s\" }}
",
            state = text(&self.state.to_string_lossy()),
            poll_url = text(&self.poll_url),
            username = text(&self.username),
            password = self.password,
            collections = collections.join(", "),
            interval = humantime::format_duration(self.min_poll_interval),
            lookback = self.lookback_days,
            retention = self.retention_days,
            hec_url = text(&self.hec_url),
            token = self.token,
        )
    }
}

impl fmt::Display for ExampleSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(secret) => f.write_str(&text(secret)),
            Self::File(path) => write!(f, "{{ file = {} }}", text(&path.to_string_lossy())),
        }
    }
}

/// A basic string of TOML.
fn text(value: &str) -> String {
    let mut out = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control.is_control() => {
                // Writing to a text does not fail.
                let _ = write!(out, "\\u{:04X}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

    #[test]
    fn it_is_a_configuration_without_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("a \"secret\"");
        crate::disk::Disk::machine()
            .write_file(&secret, b"pass\n")
            .unwrap();
        let example = Example {
            state: folder.path().join("st\\ate\t"),
            poll_url: "http://127.0.0.1:1/poll".to_owned(),
            username: "us\"er".to_owned(),
            password: ExampleSecret::File(secret.clone()),
            collections: vec!["one".to_owned(), "two".to_owned()],
            min_poll_interval: Duration::from_secs(1),
            lookback_days: 2,
            retention_days: 31,
            hec_url: "http://127.0.0.1:2".to_owned(),
            token: ExampleSecret::File(secret),
        };
        let path = folder.path().join("config.toml");
        std::fs::write(&path, example.to_string()).unwrap();
        let check = crate::schedule::check;
        let loaded = Config::load(&path, &Environment::new("host"), check).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(loaded.config.state.directory, example.state);
        let service = &loaded.config.services[0];
        assert_eq!(service.retention, Duration::from_secs(31 * 86_400));
        let credentials = service.authentication.credentials().unwrap();
        assert_eq!(credentials.username, example.username);
        assert_eq!(credentials.password.expose(), "pass");
    }
}
