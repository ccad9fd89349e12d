//! The file as it is written: every key, nothing checked beyond the shape of its value.
//!
//! All keys are optional here, so that a missing one is told beside all other problems.

#![expect(
    clippy::struct_field_names,
    reason = "the fields are the keys of the file"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use toml::Spanned;

use super::value::{Count, Facility, Period, PeriodOrAll, PeriodOrNone, Severity, Size};
use super::word::Word;
use super::{
    PollLimitScope, StartAt, SyslogBody, SyslogFormat, SyslogFraming, SyslogTransport,
    WhenSpoolFull, WhenTooLarge,
};
use crate::taxii::version::Version;

/// A key that may be left out, with the place of its value.
pub(super) type Setting<T> = Option<Spanned<T>>;

/// A table, and only that: serde would also take a list of values in the order of the fields.
#[derive(Default)]
pub(super) struct Section<T>(pub T);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub shutdown_timeout: Setting<Period>,
    pub state: Setting<Section<RawState>>,
    #[serde(default)]
    pub service: Vec<Spanned<Section<RawService>>>,
    pub inbox: Setting<Section<RawInbox>>,
    pub admin: Setting<Section<RawAdmin>>,
    #[serde(default)]
    pub output: Vec<Spanned<Section<RawOutput>>>,
    #[serde(default)]
    pub log: Section<RawLog>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawState {
    pub directory: Setting<PathBuf>,
    pub max_spool_bytes: Setting<Size>,
    pub min_free_disk: Setting<Size>,
    pub max_dead_letter_bytes: Setting<Size>,
    pub max_quarantine_bytes: Setting<Size>,
    #[serde(default)]
    pub archive: Section<RawArchive>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawArchive {
    pub keep: Setting<Period>,
    pub max_bytes: Setting<Size>,
    pub keep_raw: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawService {
    pub name: Setting<String>,
    pub poll_url: Setting<String>,
    pub discovery_url: Setting<String>,
    pub taxii_version: Setting<Word<VersionChoice>>,
    pub username: Setting<String>,
    pub password: Setting<RawSecret>,
    pub bearer_token: Setting<RawSecret>,
    #[serde(default)]
    pub headers: BTreeMap<String, Spanned<RawSecret>>,
    pub collections: Setting<Vec<Spanned<String>>>,
    pub data_sets: Setting<Vec<Spanned<String>>>,
    pub deduplicate: Option<bool>,
    #[serde(default)]
    pub subscriptions: BTreeMap<Spanned<String>, Spanned<String>>,
    pub content_bindings: Setting<Vec<Spanned<String>>>,
    pub allow_asynch: Setting<bool>,
    pub schedule: Setting<String>,
    pub min_poll_interval: Setting<Period>,
    pub poll_limit_scope: Setting<Word<PollLimitScope>>,
    pub max_window: Setting<PeriodOrNone>,
    pub initial_lookback: Setting<PeriodOrAll>,
    pub retention: Setting<Period>,
    pub settle: Setting<Period>,
    pub splay: Setting<Period>,
    #[serde(default)]
    pub tls: Section<RawTls>,
    pub proxy: Setting<String>,
    pub proxy_username: Setting<String>,
    pub proxy_password: Setting<RawSecret>,
    pub connect_timeout: Setting<Period>,
    pub request_timeout: Setting<Period>,
    #[serde(default)]
    pub limits: Section<RawLimits>,
}

/// `taxii_version`
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionChoice {
    Only(Version),
    Auto,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    pub ca_file: Setting<PathBuf>,
    pub client_cert_file: Setting<PathBuf>,
    pub client_key_file: Setting<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub max_response_bytes: Setting<Size>,
    pub max_parts: Setting<Count>,
    pub max_refused_blocks: Setting<Count>,
    pub max_xml_depth: Setting<Count>,
    pub max_text_bytes: Setting<Size>,
    pub max_properties: Setting<Count>,
    pub max_observables: Setting<Count>,
    pub max_definition_bytes: Setting<Size>,
    pub max_package_bytes: Setting<Size>,
    pub max_set_events: Setting<Count>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInbox {
    pub name: Setting<String>,
    pub listen: Setting<String>,
    pub path: Setting<String>,
    pub collections: Setting<Vec<Spanned<String>>>,
    pub default_collection: Setting<String>,
    #[serde(default)]
    pub subscriptions: BTreeMap<Spanned<String>, Spanned<String>>,
    pub username: Setting<String>,
    pub password: Setting<RawSecret>,
    pub tls: Setting<Section<RawServerTls>>,
    pub request_timeout: Setting<Period>,
    pub max_connections: Setting<Count>,
    pub max_messages_per_minute: Setting<Count>,
    #[serde(default)]
    pub limits: Section<RawInboxLimits>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServerTls {
    pub cert_file: Setting<PathBuf>,
    pub key_file: Setting<PathBuf>,
    pub client_ca_file: Setting<PathBuf>,
    pub client_names: Setting<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdmin {
    pub listen: Setting<String>,
    pub allowed_hosts: Setting<Vec<Spanned<String>>>,
    pub max_connections: Setting<Count>,
    pub tls: Setting<Section<RawServerTls>>,
}

/// Those of a service that mean something for one message.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInboxLimits {
    pub max_message_bytes: Setting<Size>,
    pub max_refused_blocks: Setting<Count>,
    pub max_xml_depth: Setting<Count>,
    pub max_text_bytes: Setting<Size>,
    pub max_properties: Setting<Count>,
    pub max_observables: Setting<Count>,
    pub max_definition_bytes: Setting<Size>,
    pub max_package_bytes: Setting<Size>,
}

/// The keys of every output type in one: [`OutputType::own_keys`] says which belong to which.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutput {
    pub name: Setting<String>,
    pub r#type: Setting<Word<OutputType>>,
    pub collections: Setting<Vec<Spanned<String>>>,
    pub when_spool_full: Setting<Word<WhenSpoolFull>>,
    pub start_at: Setting<Word<StartAt>>,
    pub host: Setting<String>,
    #[serde(default)]
    pub batch: Section<RawBatch>,
    #[serde(default)]
    pub retry: Section<RawRetry>,

    pub endpoints: Setting<Vec<Spanned<String>>>,
    pub token: Setting<RawSecret>,
    pub index: Setting<String>,
    pub source: Setting<String>,
    pub sourcetype_flow: Setting<String>,
    pub sourcetype_incident: Setting<String>,
    pub sourcetype_indicator: Setting<String>,
    pub sourcetype_observable: Setting<String>,
    #[serde(default)]
    pub r#override: Vec<Spanned<Section<RawOverride>>>,
    pub gzip: Option<bool>,
    pub indexed_fields: Option<bool>,
    pub acknowledge: Option<bool>,
    pub ack_timeout: Setting<Period>,
    pub ack_interval: Setting<Period>,
    pub max_outstanding_acks: Setting<Count>,
    pub max_in_flight: Setting<Count>,
    pub proxy: Setting<String>,
    pub proxy_username: Setting<String>,
    pub proxy_password: Setting<RawSecret>,
    pub request_timeout: Setting<Period>,

    #[serde(default)]
    pub tls: Section<RawTls>,
    pub connect_timeout: Setting<Period>,

    pub addresses: Setting<Vec<Spanned<String>>>,
    pub transport: Setting<Word<SyslogTransport>>,
    pub framing: Setting<Word<SyslogFraming>>,
    pub server_name: Setting<String>,
    pub window: Setting<Count>,
    pub format: Setting<Word<SyslogFormat>>,
    pub facility: Setting<Facility>,
    pub severity: Setting<Severity>,
    pub app_name: Setting<String>,
    pub structured_data: Option<bool>,
    pub sd_id: Setting<String>,
    pub bom: Option<bool>,
    pub body: Setting<Word<SyslogBody>>,
    pub max_message_bytes: Setting<Size>,
    pub when_too_large: Setting<Word<WhenTooLarge>>,
    pub write_timeout: Setting<Period>,

    pub path: Setting<PathBuf>,
    pub rotate_bytes: Setting<Size>,
    pub rotate_keep: Setting<Count>,
}

/// `type` of an output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputType {
    SplunkHec,
    Syslog,
    File,
    Stdout,
}

impl OutputType {
    /// The keys that not every output has.
    pub(super) fn own_keys(self) -> &'static [&'static str] {
        match self {
            Self::SplunkHec => &[
                "endpoints",
                "token",
                "index",
                "source",
                "sourcetype_flow",
                "sourcetype_incident",
                "sourcetype_indicator",
                "sourcetype_observable",
                "override",
                "gzip",
                "indexed_fields",
                "acknowledge",
                "ack_timeout",
                "ack_interval",
                "max_outstanding_acks",
                "max_in_flight",
                "tls",
                "proxy",
                "proxy_username",
                "proxy_password",
                "connect_timeout",
                "request_timeout",
            ],
            Self::Syslog => &[
                "addresses",
                "transport",
                "framing",
                "tls",
                "server_name",
                "window",
                "format",
                "facility",
                "severity",
                "app_name",
                "structured_data",
                "sd_id",
                "bom",
                "body",
                "max_message_bytes",
                "when_too_large",
                "connect_timeout",
                "write_timeout",
            ],
            Self::File => &["path", "rotate_bytes", "rotate_keep"],
            Self::Stdout => &[],
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBatch {
    pub max_bytes: Setting<Size>,
    pub max_events: Setting<Count>,
    pub max_wait: Setting<Period>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetry {
    pub initial: Setting<Period>,
    pub max: Setting<Period>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOverride {
    pub collection: Setting<String>,
    pub index: Setting<String>,
    pub source: Setting<String>,
    pub sourcetype: Setting<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub level: Setting<String>,
    pub file: Setting<Section<RawLogFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLogFile {
    pub directory: Setting<PathBuf>,
    pub keep: Setting<Count>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Section<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SectionVisitor(PhantomData))
    }
}

struct SectionVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SectionVisitor<T> {
    type Value = Section<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Section<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Section)
    }
}

/// Where a secret is, or the secret itself. It has no `Debug` on purpose.
pub(super) enum RawSecret {
    Plain(String),
    File(PathBuf),
    Env(String),
    Credential(String),
}

impl RawSecret {
    /// The keys whose values are secret: nothing below them may be shown.
    pub(super) const KEYS: [&'static str; 5] = [
        "password",
        "token",
        "bearer_token",
        "headers",
        "proxy_password",
    ];

    /// What is said of every value that has not the shape of a secret.
    pub(super) const ALLOWED: &'static str = "not a secret; write { file = \"/path\" }, \
         { env = \"NAME\" } or { credential = \"name\" }, or the secret itself in quotes";
}

impl<'de> Deserialize<'de> for RawSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawSecretVisitor)
    }
}

struct RawSecretVisitor;

impl<'de> Visitor<'de> for RawSecretVisitor {
    type Value = RawSecret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(RawSecret::ALLOWED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawSecret, E> {
        Ok(RawSecret::Plain(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawSecret, A::Error> {
        let refused = || de::Error::custom(RawSecret::ALLOWED);
        let (kind, place) = map.next_entry::<String, String>()?.ok_or_else(refused)?;
        if map.next_key::<String>()?.is_some() {
            return Err(refused());
        }
        match kind.as_str() {
            "file" => Ok(RawSecret::File(place.into())),
            "env" => Ok(RawSecret::Env(place)),
            "credential" => Ok(RawSecret::Credential(place)),
            _ => Err(refused()),
        }
    }
}
