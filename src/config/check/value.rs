//! Checks of single values, the same for every section.

use std::path::{Component, PathBuf};
use std::time::Duration;

use reqwest::Url;
use toml::Spanned;

use super::Checker;
use crate::config::TlsConfig;
use crate::config::document::Span;
use crate::config::raw::{RawTls, Setting};
use crate::config::value::{Count, Period, Size};

/// The longest name of a service or an output, in bytes: it becomes part of file names.
const MAX_NAME_BYTES: usize = 64;

impl Checker<'_> {
    pub(super) fn positive_period(
        &mut self,
        setting: Setting<Period>,
        default: Duration,
    ) -> Duration {
        self.positive(setting, default, |period| period.0)
    }

    pub(super) fn positive_size(&mut self, setting: Setting<Size>, default: u64) -> u64 {
        self.positive(setting, default, |size| size.0)
    }

    pub(super) fn positive_count(&mut self, setting: Setting<Count>, default: u32) -> u32 {
        self.positive(setting, default, |count| count.0)
    }

    /// A count with a limit of its own.
    pub(super) fn limited_count(&mut self, setting: Setting<Count>, default: u32, max: u32) -> u32 {
        let span = setting.as_ref().map(Spanned::span);
        let count = self.positive_count(setting, default);
        if let Some(span) = span.filter(|_| count > max) {
            self.refuse(&span, format!("{count} is too many; write at most {max}"));
        }
        count
    }

    /// A size that is held in memory.
    pub(super) fn memory_size(&mut self, setting: Setting<Size>, default: usize) -> usize {
        let Some(size) = setting else { return default };
        let span = size.span();
        let bytes = self.positive_size(Some(size), 0);
        usize::try_from(bytes).unwrap_or_else(|_| {
            self.refuse(&span, "more than this machine can address");
            default
        })
    }

    fn positive<T, V: Default + PartialEq>(
        &mut self,
        setting: Setting<T>,
        default: V,
        value: impl FnOnce(T) -> V,
    ) -> V {
        let Some(setting) = setting else {
            return default;
        };
        let span = setting.span();
        let value = value(setting.into_inner());
        if value == V::default() {
            self.refuse(&span, "must be more than zero");
        }
        value
    }

    /// A text that is not empty and fits on a line.
    pub(super) fn text(&mut self, setting: Setting<String>) -> Option<String> {
        let setting = setting?;
        if setting.get_ref().is_empty() {
            self.refuse(&setting.span(), "empty; write a text or leave the key out");
        } else if setting.get_ref().chars().any(char::is_control) {
            self.refuse(&setting.span(), "holds a control character");
        }
        Some(setting.into_inner())
    }

    pub(super) fn required_text(
        &mut self,
        setting: Setting<String>,
        table: &Span,
        key: &str,
        what: &str,
    ) -> String {
        if setting.is_none() {
            self.missing(Some(table), key, what);
        }
        self.text(setting).unwrap_or_default()
    }

    /// The name of a service or an output: unique, and safe in a file name.
    pub(super) fn name(
        &mut self,
        setting: Setting<String>,
        table: &Span,
        taken: &mut Vec<String>,
    ) -> String {
        let Some(name) = setting else {
            let what = "give it a name of its own, for logs, commands and the state";
            self.missing(Some(table), "name", what);
            return String::new();
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let text = name.get_ref();
        if text.is_empty() || text.len() > MAX_NAME_BYTES || !text.bytes().all(allowed) {
            let what = format!(
                "{text:?} is not a name; write 1 to {MAX_NAME_BYTES} letters, digits, \
                 dots, dashes or underscores"
            );
            self.refuse(&name.span(), what);
        } else if taken.contains(text) {
            let what = format!("{text:?} is taken already; each name must be unique");
            self.refuse(&name.span(), what);
        }
        taken.push(text.clone());
        name.into_inner()
    }

    pub(super) fn path(&mut self, setting: Spanned<PathBuf>) -> PathBuf {
        if !setting.get_ref().is_absolute() {
            let what = format!(
                "{:?} is not an absolute path; begin it with \"/\"",
                setting.get_ref().display()
            );
            self.refuse(&setting.span(), what);
        }
        // Two ways to write one path would hide that two outputs share a file.
        let mut parts = setting.get_ref().components();
        if parts.any(|part| part == Component::ParentDir) {
            self.refuse(&setting.span(), "has `..` in it; write the path without");
        }
        setting.into_inner()
    }

    pub(super) fn required_path(
        &mut self,
        setting: Setting<PathBuf>,
        table: &Span,
        key: &str,
    ) -> PathBuf {
        let Some(setting) = setting else {
            self.missing(Some(table), key, "write an absolute path");
            return PathBuf::new();
        };
        self.path(setting)
    }

    /// A URL of one of these schemes. It is never quoted: it may hold a password.
    pub(super) fn url(&mut self, setting: &Spanned<String>, schemes: &[&str]) -> Option<Url> {
        let schemes_shown = schemes.join("://, ") + "://";
        let url = Url::parse(setting.get_ref())
            .ok()
            .filter(|url| schemes.contains(&url.scheme()) && url.has_host());
        let Some(url) = url else {
            let what = format!("not a URL; write one that begins with {schemes_shown}");
            self.refuse(&setting.span(), what);
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            let what = "a URL with a user or password in it would be logged; take them out of it";
            self.refuse(&setting.span(), what);
        }
        Some(url)
    }

    /// Secrets go to this URL: not in the clear, if it leaves the machine.
    pub(super) fn warn_of_clear_text(&mut self, at: &Span, url: &Url, secret: &str) {
        if url.scheme() == "http" && !is_loopback(url.host_str().unwrap_or_default()) {
            self.warn(
                at,
                format!("{secret} goes over the network in clear text; use https://"),
            );
        }
    }

    pub(super) fn tls(&mut self, raw: RawTls) -> TlsConfig {
        match (&raw.client_cert_file, &raw.client_key_file) {
            (Some(cert), None) => self.refuse(&cert.span(), "needs client_key_file beside it"),
            (None, Some(key)) => self.refuse(&key.span(), "needs client_cert_file beside it"),
            _ => {}
        }
        let key_span = raw.client_key_file.as_ref().map(Spanned::span);
        let tls = TlsConfig {
            ca_file: self.readable_file(raw.ca_file),
            client_cert_file: self.readable_file(raw.client_cert_file),
            client_key_file: self.readable_file(raw.client_key_file),
        };
        if let (Some(span), Some(path)) = (key_span, &tls.client_key_file)
            && !self.environment.leaves_secrets()
        {
            self.warn_of_rights(&span, "private key", path);
        }
        tls
    }

    pub(super) fn readable_file(&mut self, setting: Setting<PathBuf>) -> Option<PathBuf> {
        let setting = setting?;
        let span = setting.span();
        let path = self.path(setting);
        if path.is_absolute()
            && !self.environment.leaves_secrets()
            && let Err(error) = std::fs::File::open(&path).and_then(|file| regular(&file))
        {
            let what = format!("the file {} cannot be read: {error}", path.display());
            self.refuse(&span, what);
        }
        Some(path)
    }

    /// Names of collections, each once. `*` is one only where `star` says so.
    pub(super) fn collections(
        &mut self,
        setting: Spanned<Vec<Spanned<String>>>,
        star: bool,
    ) -> Vec<String> {
        if setting.get_ref().is_empty() {
            self.refuse(&setting.span(), "empty; name at least one collection");
        }
        let mut names: Vec<String> = Vec::new();
        for name in setting.into_inner() {
            let span = name.span();
            if names.contains(name.get_ref()) {
                self.refuse(&span, format!("{:?} stands here twice", name.get_ref()));
            }
            if name.get_ref() == "*" && !star {
                self.refuse(
                    &span,
                    "\"*\" stands for all collections of an output alone; name each",
                );
            }
            names.extend(self.text(Some(name)));
        }
        names
    }
}

/// Whether what goes to this host stays on the machine. An IPv6 address may stand in brackets.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn regular(file: &std::fs::File) -> std::io::Result<()> {
    if file.metadata()?.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    Ok(())
}
