//! What the adapter's application.yml says.

use std::fmt;

use super::documents::{Holding, lay_over};
use super::placeholder::{Lookup, Resolved, Unresolved};
use super::properties::{self, Property, ReadPropertiesError, canonical};

/// The adapter's configuration.
#[derive(Debug, Clone, Default)]
pub struct Adapter {
    /// `taxii-service.pollEndpoint`
    pub poll_endpoint: Option<Setting>,
    /// `taxii-service.username`
    pub username: Option<Setting>,
    /// `taxii-service.password`
    pub password: Option<SecretSetting>,
    /// `taxii-service.feeds`
    pub feeds: Vec<String>,
    /// `taxii-service.feedNamesFile`: a file with a feed a line.
    pub feed_names_file: Option<String>,
    /// `taxii-service.statusFile`
    pub status_file: Option<String>,
    /// `schedule.cron`
    pub cron: Option<Setting>,
    /// `transform.stylesheet`
    pub stylesheet: Option<String>,
    /// `logging.config`
    pub logging_config: Option<String>,
    /// `proxy`
    pub proxy: Proxy,
    /// What has no counterpart here: its name and its line.
    pub unknown: Vec<(String, usize)>,
    /// What a person must look at besides.
    pub remarks: Vec<String>,
}

/// `proxy`
#[derive(Debug, Clone, Default)]
pub struct Proxy {
    /// `url`
    pub url: Option<Setting>,
    /// `authenticationType`: none, basic or ntlm.
    pub authentication: Option<String>,
    /// `username`
    pub username: Option<Setting>,
    /// `password`
    pub password: Option<SecretSetting>,
}

/// A value, or why it is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// It is known.
    Known {
        /// The value.
        value: String,
        /// Where it is from, if that is not the line itself.
        remark: Option<String>,
    },
    /// It is not, for this reason.
    Unknown(String),
}

/// A password, or why it is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSetting {
    /// It is known.
    Known(SecretText),
    /// It is not, for this reason.
    Unknown(String),
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

/// What is known beside application.yml.
pub struct Around<'a> {
    /// The profiles that are active besides the adapter's own.
    pub profiles: &'a [String],
    /// The variables by which placeholders are told.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Adapter {
    /// Reads application.yml.
    pub fn read(text: &str, around: &Around<'_>) -> Result<Self, ImportError> {
        let Holding {
            properties,
            remarks,
        } = lay_over(properties::read(text)?, around.profiles);
        let has = |name: &str| properties.iter().any(|one| one.canonical() == name);
        let names_feeds = has("taxiiservice.feeds") || has("taxiiservice.feednamesfile");
        let in_file = |name: &str| {
            let name = canonical(name);
            let mut found = properties.iter().filter(|one| one.canonical() == name);
            found.next().map(|one| one.value.clone())
        };
        let lookup = Lookup {
            outside: around.variable,
            file: &in_file,
        };
        let mut adapter = Self {
            remarks,
            ..Self::default()
        };
        for property in &properties {
            adapter.take(property, &lookup);
        }
        if adapter.poll_endpoint.is_none() {
            return Err(ImportError::Missing {
                name: "pollEndpoint",
            });
        }
        if !names_feeds {
            return Err(ImportError::Missing { name: "feeds" });
        }
        Ok(adapter)
    }

    fn take(&mut self, property: &Property, lookup: &Lookup<'_>) {
        let name = property.canonical();
        match name.as_str() {
            "taxiiservice.password" => self.password = Some(self.secret(property, lookup)),
            "proxy.password" => self.proxy.password = Some(self.secret(property, lookup)),
            // A key without a value says nothing.
            _ if property.value.trim().is_empty() => {}
            "taxiiservice.pollendpoint" => self.poll_endpoint = Some(setting(property, lookup)),
            "taxiiservice.username" => self.username = Some(setting(property, lookup)),
            "schedule.cron" => self.cron = Some(setting(property, lookup)),
            "proxy.url" => self.proxy.url = Some(setting(property, lookup)),
            "proxy.username" => self.proxy.username = Some(setting(property, lookup)),
            "taxiiservice.feeds" => {
                let Some(feeds) = self.text(property, lookup) else {
                    return;
                };
                // A list in one text is taken apart, an item of a list is not.
                if property.is_item {
                    self.feeds.push(feeds);
                } else {
                    let feeds = feeds.split(',').map(|feed| feed.trim().to_owned());
                    self.feeds.extend(feeds.filter(|feed| !feed.is_empty()));
                }
            }
            "taxiiservice.feednamesfile" => self.feed_names_file = self.text(property, lookup),
            "taxiiservice.statusfile" => self.status_file = self.text(property, lookup),
            "transform.stylesheet" => self.stylesheet = self.text(property, lookup),
            "logging.config" => self.logging_config = self.text(property, lookup),
            "proxy.authenticationtype" => {
                self.proxy.authentication = self.text(property, lookup);
            }
            _ => self.unknown.push((property.name(), property.line)),
        }
    }

    fn secret(&mut self, property: &Property, lookup: &Lookup<'_>) -> SecretSetting {
        let (secret, variable) = secret(property, lookup);
        self.remarks.extend(variable.map(|name| {
            format!(
                "{}: it is what ${{{name}}} is in this environment: see that the adapter had the same",
                place(property)
            )
        }));
        secret
    }

    /// A value of which there is nothing more to say where it is used.
    fn text(&mut self, property: &Property, lookup: &Lookup<'_>) -> Option<String> {
        let (value, remark) = match setting(property, lookup) {
            Setting::Known { value, remark } => (Some(value), remark),
            Setting::Unknown(why) => (None, Some(why)),
        };
        self.remarks.extend(remark);
        value.filter(|value| !value.trim().is_empty())
    }
}

fn setting(property: &Property, lookup: &Lookup<'_>) -> Setting {
    let place = place(property);
    match lookup.resolve(&property.value) {
        Ok(resolved) => Setting::Known {
            remark: remark(&resolved).map(|remark| format!("{place}: {remark}")),
            value: resolved.text,
        },
        Err(why) => Setting::Unknown(format!("{place}: {why}, so it is left out")),
    }
}

fn remark(resolved: &Resolved) -> Option<String> {
    // The value itself is not repeated: there may be a password in a URL.
    let Resolved {
        from_outside,
        by_default,
        ..
    } = resolved;
    if let Some(name) = by_default.first() {
        return Some(format!(
            "${{{name}}} is not known here, its default was taken: write another if the adapter had one"
        ));
    }
    let name = from_outside.first()?;
    Some(format!(
        "${{{name}}} is what it is in this environment: see that the adapter had the same"
    ))
}

/// A password, and the variable that told it.
fn secret(property: &Property, lookup: &Lookup<'_>) -> (SecretSetting, Option<String>) {
    let left_out = |why: &dyn fmt::Display| {
        let why = format!("{}: {why}", place(property));
        (SecretSetting::Unknown(why), None)
    };
    match lookup.resolve(&property.value) {
        Ok(resolved) if resolved.text.is_empty() => left_out(&"it is empty"),
        Ok(Resolved { by_default, .. }) if !by_default.is_empty() => {
            let name = by_default.join("}, ${");
            let why = format!("${{{name}}} is not known here, and its default may be another's");
            left_out(&why)
        }
        Ok(resolved) if resolved.text.chars().any(char::is_control) => {
            left_out(&"it is more than one line, or holds what cannot be sent")
        }
        Ok(resolved) => {
            let variable = resolved.from_outside.into_iter().next();
            (SecretSetting::Known(SecretText(resolved.text)), variable)
        }
        Err(Unresolved::Placeholder { name }) => left_out(&format!(
            "${{{name}}} is not known here (set that variable, and do this again)"
        )),
        Err(why) => left_out(&why),
    }
}

fn place(property: &Property) -> String {
    format!("{} (line {})", property.name(), property.line)
}

impl SecretText {
    /// The password itself: for its file, nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests;
