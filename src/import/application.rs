//! What the adapter's application.yml says.

use std::fmt;

use super::properties::{self, Property, ReadPropertiesError};

/// The adapter's configuration, each thing with the line it stands on.
#[derive(Debug, Clone, Default)]
pub struct Adapter {
    /// `taxii-service.pollEndpoint`
    pub poll_endpoint: Option<String>,
    /// `taxii-service.username`
    pub username: Option<String>,
    /// `taxii-service.password`
    pub password: Option<SecretText>,
    /// `taxii-service.feeds`
    pub feeds: Vec<String>,
    /// `taxii-service.feedNamesFile`: a file with a feed a line.
    pub feed_names_file: Option<String>,
    /// `taxii-service.statusFile`
    pub status_file: Option<String>,
    /// `schedule.cron`
    pub cron: Option<String>,
    /// `transform.stylesheet`
    pub stylesheet: Option<String>,
    /// `logging.config`
    pub logging_config: Option<String>,
    /// `proxy`
    pub proxy: Proxy,
    /// What has no counterpart here: its name and its line.
    pub unknown: Vec<(String, usize)>,
}

/// `proxy`
#[derive(Debug, Clone, Default)]
pub struct Proxy {
    /// `url`
    pub url: Option<String>,
    /// `authenticationType`: none, basic or ntlm.
    pub authentication: Option<String>,
    /// `username`
    pub username: Option<String>,
    /// `password`
    pub password: Option<SecretText>,
}

/// A password that was read, which cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

/// The adapter's configuration cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error(transparent)]
    Properties(#[from] ReadPropertiesError),
    /// Something is missing without which there is nothing to poll.
    #[error("taxii-service.{name} is missing: is this the adapter's application.yml?")]
    Missing {
        /// What.
        name: &'static str,
    },
}

impl Adapter {
    /// Reads application.yml.
    pub fn read(text: &str) -> Result<Self, ImportError> {
        let mut adapter = Self::default();
        for property in properties::read(text)? {
            adapter.take(property);
        }
        if adapter.poll_endpoint.is_none() {
            return Err(ImportError::Missing {
                name: "pollEndpoint",
            });
        }
        if adapter.feeds.is_empty() && adapter.feed_names_file.is_none() {
            return Err(ImportError::Missing { name: "feeds" });
        }
        Ok(adapter)
    }

    fn take(&mut self, property: Property) {
        let place = match property.canonical().as_str() {
            "taxiiservice.feeds" => return self.feeds.push(property.value),
            "taxiiservice.password" => {
                self.password = SecretText::of(property.value);
                return;
            }
            "proxy.password" => {
                self.proxy.password = SecretText::of(property.value);
                return;
            }
            "taxiiservice.pollendpoint" => &mut self.poll_endpoint,
            "taxiiservice.username" => &mut self.username,
            "taxiiservice.feednamesfile" => &mut self.feed_names_file,
            "taxiiservice.statusfile" => &mut self.status_file,
            "schedule.cron" => &mut self.cron,
            "transform.stylesheet" => &mut self.stylesheet,
            "logging.config" => &mut self.logging_config,
            "proxy.url" => &mut self.proxy.url,
            "proxy.authenticationtype" => &mut self.proxy.authentication,
            "proxy.username" => &mut self.proxy.username,
            _ => {
                self.unknown.push((property.name(), property.line));
                return;
            }
        };
        // A key without a value says nothing.
        *place = Some(property.value).filter(|value| !value.trim().is_empty());
    }
}

impl SecretText {
    fn of(value: String) -> Option<Self> {
        Some(Self(value)).filter(|secret| !secret.0.is_empty())
    }

    /// The password itself: for its file, nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The environment variable that it is taken from, where it is `${NAME}`.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        let name = self.0.strip_prefix("${")?.strip_suffix('}')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        (!name.is_empty() && name.chars().all(is_name)).then_some(name)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_however_they_are_written() {
        for text in [
            "taxii-service:\n  pollEndpoint: https://x/\n  feeds: [a, b]\n  password: p\n",
            "taxiiService:\n  poll-endpoint: https://x/\n  feeds:\n  - a\n  - b\n  password: 'p'\n",
            "taxii-service.pollEndpoint: https://x/\ntaxii-service.feeds: [a, b]\ntaxii-service.password: p\n",
        ] {
            let adapter = Adapter::read(text).unwrap();
            assert_eq!(adapter.poll_endpoint.as_deref(), Some("https://x/"));
            assert_eq!(adapter.feeds, ["a", "b"]);
            assert_eq!(adapter.password.as_ref().unwrap().expose(), "p");
            assert!(adapter.unknown.is_empty(), "{adapter:?}");
            assert!(!format!("{adapter:?}").contains("\"p\""));
        }
    }

    #[test]
    fn what_is_another_file_is_refused_and_what_is_unknown_is_named() {
        let error = Adapter::read("server:\n  port: 80\n").unwrap_err();
        assert!(error.to_string().contains("pollEndpoint is missing"));
        let text = "taxii-service: {pollEndpoint: x, feedNamesFile: f}\nserver:\n  port: 80\n";
        let adapter = Adapter::read(text).unwrap();
        assert_eq!(adapter.unknown, [("server.port".to_owned(), 3)]);
    }

    #[test]
    fn a_password_may_stand_in_the_environment() {
        let secret = |text: &str| SecretText(text.to_owned());
        assert_eq!(
            secret("${TAXII_PASSWORD}").variable(),
            Some("TAXII_PASSWORD")
        );
        for other in ["${A:b}", "${}", "x${A}", "$A"] {
            assert_eq!(secret(other).variable(), None, "{other}");
        }
    }
}
