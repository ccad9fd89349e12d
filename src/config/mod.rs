//! The configuration, checked: what the rest of the program sees.
//!
//! `raw` is the file as it is written, `check` resolves it once into these types; `document` knows
//! where in the file each thing stands. Secrets never leave this room in a message.

#[cfg(any(test, fuzzing))]
pub(crate) mod bad_input;
mod check;
mod document;
mod header;
mod load;
mod named;
mod problem;
mod raw;
mod secret;
mod spelling;
#[cfg(test)]
mod tests;
mod value;
mod word;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::taxii::version::Version;
pub use header::{check_header_name, may_stand_in_header};
pub use load::{CheckCron, Environment, LoadError, Loaded};
pub use named::{UnknownCollection, UnknownOutput, find_collection, find_output, is_configured};
pub use problem::Problem;
pub use secret::{ReadSecretError, Secret, SecretSource, THEN_RESTART};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the state lies, and how much of it.
    pub state: StateConfig,
    /// The TAXII services that are polled.
    pub services: Vec<ServiceConfig>,
    /// Where TAXII services push to; none takes nothing.
    pub inbox: Option<InboxConfig>,
    /// Where it can be watched; none listens to nobody.
    pub admin: Option<AdminConfig>,
    /// Where events go.
    pub outputs: Vec<OutputConfig>,
    /// What is logged, and where to.
    pub log: LogConfig,
    /// How long a stop may take before what is in flight is left to the next start.
    pub shutdown_timeout: Duration,
}

/// `[state]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateConfig {
    /// The folder that holds everything that must survive.
    pub directory: PathBuf,
    /// Bytes that undelivered batches may take.
    pub max_spool_bytes: u64,
    /// Free bytes that are left on the file system.
    pub min_free_disk: u64,
    /// What is kept of delivered batches.
    pub archive: ArchiveConfig,
    /// Bytes of dead letters; when they are reached the output holds.
    pub max_dead_letter_bytes: u64,
    /// Bytes of damaged and unreadable things that are kept for a person.
    pub max_quarantine_bytes: u64,
}

/// `[state] archive`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveConfig {
    /// How long a delivered batch is kept; zero keeps none.
    pub keep: Duration,
    /// Bytes that the archive may take.
    pub max_bytes: u64,
    /// Whether the service's raw answers are kept too.
    pub keep_raw: bool,
}

/// `[[service]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// The name in events, logs and the state; unique.
    pub name: String,
    /// Where Poll_Requests go.
    pub address: ServiceAddress,
    /// The version of TAXII that it speaks; none asks the service.
    pub version: Option<Version>,
    /// Who the service takes us for.
    pub authentication: Authentication,
    /// Headers of every request, by name.
    pub headers: Vec<(String, Secret)>,
    /// The collections to poll: thousands, which its copies share.
    pub collections: Arc<[String]>,
    /// Those of them that are Data Sets: their content has no time, and a poll brings all of it.
    pub data_sets: Vec<String>,
    /// Whether only those events go out that the poll before did not bring; none does it for Data
    /// Sets.
    pub deduplicate: Option<bool>,
    /// Subscription ids by collection: these are polled as the subscription says.
    pub subscriptions: BTreeMap<String, String>,
    /// Content in these formats alone is asked for; none are all.
    pub content_bindings: Vec<String>,
    /// Whether an answer may come later, by Poll_Fulfillment.
    pub allow_asynch: bool,
    /// Cron expression with seconds, UTC.
    pub schedule: String,
    /// The shortest time between two polls that the provider allows.
    pub min_poll_interval: Duration,
    /// What `min_poll_interval` counts for.
    pub poll_limit_scope: PollLimitScope,
    /// The longest range that one poll asks for; none is without a limit.
    pub max_window: Option<Duration>,
    /// What the first poll of a collection asks for.
    pub initial_lookback: InitialLookback,
    /// How long the service keeps its content.
    pub retention: Duration,
    /// How far behind the service's clock a window ends.
    pub settle: Duration,
    /// Up to this much is waited before a scheduled poll, to spread many collections.
    pub splay: Duration,
    /// TLS to the service.
    pub tls: TlsConfig,
    /// The proxy on the way; none follows the environment.
    pub proxy: Option<ProxyConfig>,
    /// Time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Time for a whole request and its answer.
    pub request_timeout: Duration,
    /// Bounds on what the service may send.
    pub limits: Limits,
}

impl ServiceConfig {
    /// What it is called among all parts of the configuration.
    #[must_use]
    pub fn part(&self) -> String {
        format!("service {}", self.name)
    }

    /// Whether a poll of the collection brings all of it, without times.
    #[must_use]
    pub fn is_data_set(&self, collection: &str) -> bool {
        self.data_sets.iter().any(|known| known == collection)
    }

    /// Whether only those events of the collection go out that the poll before did not bring.
    #[must_use]
    pub fn deduplicates(&self, collection: &str) -> bool {
        self.deduplicate
            .unwrap_or_else(|| self.is_data_set(collection))
    }
}

/// `poll_url` or `discovery_url`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAddress {
    /// The poll service itself.
    Poll(String),
    /// A discovery service that tells where the poll service of a collection is.
    Discovery(String),
}

impl ServiceAddress {
    /// What is written in the configuration.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Self::Poll(url) | Self::Discovery(url) => url,
        }
    }
}

/// What a service is shown with each request; a client certificate is a part of `tls`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Authentication {
    /// Nothing.
    #[default]
    None,
    /// HTTP Basic: `username` and `password`.
    Basic(Credentials),
    /// `bearer_token`
    Bearer(Secret),
}

impl Authentication {
    /// The user with the password, where there are such.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::Basic(credentials) => Some(credentials),
            Self::None | Self::Bearer(_) => None,
        }
    }

    /// Reads its secret again if that lies in a file: it may have been mended.
    pub fn reload(&mut self) -> Result<(), ReadSecretError> {
        match self {
            Self::None => Ok(()),
            Self::Basic(credentials) => credentials.password.reload(),
            Self::Bearer(token) => token.reload(),
        }
    }

    /// A text of somebody who knows its secret and may repeat it, without that.
    #[must_use]
    pub fn hide_in(&self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Basic(credentials) => credentials.hide_in(text),
            Self::Bearer(token) => token.hide_in(text),
        }
    }
}

/// `username` and `password` of a service, or those of a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// `proxy`, `proxy_username` and `proxy_password`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyConfig {
    /// `http://`, `https://`, `socks5://` or `socks5h://`
    pub url: String,
    /// Who the proxy takes us for.
    pub credentials: Option<Credentials>,
}

impl ProxyConfig {
    /// Reads its password again if that lies in a file: it may have been mended.
    pub fn reload(&mut self) -> Result<(), ReadSecretError> {
        let credentials = self.credentials.as_mut();
        credentials.map_or(Ok(()), |known| known.password.reload())
    }

    /// A text of somebody who may repeat its password, without that.
    #[must_use]
    pub fn hide_in(&self, text: &str) -> String {
        let credentials = self.credentials.as_ref();
        credentials.map_or_else(|| text.to_owned(), |known| known.hide_in(text))
    }
}

/// `poll_limit_scope`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollLimitScope {
    /// One poll for each interval and client (poll URL and user), whatever the collection.
    Service,
    /// One poll for each interval and collection.
    Collection,
}

/// `initial_lookback`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialLookback {
    /// As far back as this.
    Since(Duration),
    /// Without timestamps: all that the service has.
    All,
}

/// `tls` of a service or an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM certificates of the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM certificate chain to show.
    pub client_cert_file: Option<PathBuf>,
    /// PEM private key of that certificate.
    pub client_key_file: Option<PathBuf>,
}

impl TlsConfig {
    /// All files that it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.ca_file, &self.client_cert_file, &self.client_key_file];
        files.into_iter().flatten().map(PathBuf::as_path)
    }
}

/// `limits` of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one answer, after decompression.
    pub max_response_bytes: u64,
    /// Parts of one answer.
    pub max_parts: u32,
    /// Content blocks of one part that cannot be read; beyond it the answer counts as unreadable.
    pub max_refused_blocks: u32,
    /// Elements inside one another.
    pub max_xml_depth: u32,
    /// Bytes of one text or tag.
    pub max_text_bytes: u64,
    /// Properties of one observable.
    pub max_properties: u32,
    /// Observables of one indicator.
    pub max_observables: u32,
    /// Bytes of the definitions (tools, TTPs, campaigns) of one package.
    pub max_definition_bytes: usize,
    /// Bytes that one package may take on disk while it waits for its end.
    pub max_package_bytes: u64,
    /// Events of a set that is compared with the next; each takes up to 100 bytes of memory meanwhile.
    pub max_set_events: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_response_bytes: 4 << 30,
            max_parts: 1000,
            max_refused_blocks: 1000,
            max_xml_depth: 100,
            max_text_bytes: 4 << 20,
            max_properties: 1000,
            max_observables: 1_000_000,
            max_definition_bytes: 16 << 20,
            max_package_bytes: 4 << 30,
            max_set_events: 4_000_000,
        }
    }
}

/// `[inbox]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxConfig {
    /// The name in events, logs and the state; no service has it.
    pub name: String,
    /// The address that it listens on.
    pub listen: SocketAddr,
    /// The path of its URL.
    pub path: String,
    /// The collections that it takes.
    pub collections: Vec<String>,
    /// Where content goes that is sent to none of them; none refuses it.
    pub default_collection: Option<String>,
    /// Subscription ids by collection: these take only what is pushed for their subscription.
    pub subscriptions: BTreeMap<String, String>,
    /// Who may push, by HTTP Basic.
    pub credentials: Option<Credentials>,
    /// TLS; none listens in the clear.
    pub tls: Option<ServerTlsConfig>,
    /// Time for a whole message to arrive.
    pub request_timeout: Duration,
    /// Connections at once; who comes when all are taken waits.
    pub max_connections: u32,
    /// Messages in a minute; more are told to come again later.
    pub max_messages_per_minute: u32,
    /// Bounds on one message, of which `max_response_bytes` is its `max_message_bytes`.
    pub limits: Limits,
}

impl InboxConfig {
    /// What it is called among all parts of the configuration.
    pub const PART: &str = "inbox";
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// The address that it listens on.
    pub listen: SocketAddr,
    /// Names, in lower case, by which it may be asked for beside those of this machine.
    pub allowed_hosts: Vec<String>,
    /// Connections at once; who comes when all are taken waits.
    pub max_connections: u32,
    /// TLS; none listens in the clear.
    pub tls: Option<ServerTlsConfig>,
}

impl AdminConfig {
    /// What it is called among all parts of the configuration.
    pub const PART: &str = "admin";
}

/// `tls` of something that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsConfig {
    /// PEM certificate chain to show.
    pub cert_file: PathBuf,
    /// PEM private key of that certificate.
    pub key_file: PathBuf,
    /// PEM certificates of the authorities whose clients are let in; none asks for no certificate.
    pub client_ca_file: Option<PathBuf>,
    /// The names of those clients, as their certificates hold them; none lets all of them in.
    pub client_names: Vec<String>,
}

impl ServerTlsConfig {
    /// All files that it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let own = [&self.cert_file, &self.key_file];
        own.into_iter()
            .chain(&self.client_ca_file)
            .map(PathBuf::as_path)
    }
}

/// `[[output]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputConfig {
    /// The name in logs and the state; unique.
    pub name: String,
    /// Which collections go here: names, or `*` for all.
    pub collections: Vec<String>,
    /// What happens to polling when this output's pending events fill the spool.
    pub when_spool_full: WhenSpoolFull,
    /// Where an output that is new to the state starts.
    pub start_at: StartAt,
    /// How much goes out at once.
    pub batch: BatchConfig,
    /// How long a failed delivery waits.
    pub retry: RetryConfig,
    /// `host` of its events.
    pub host: String,
    /// What is particular to its kind.
    pub kind: OutputKind,
}

impl OutputConfig {
    /// What it is called among all parts of the configuration.
    #[must_use]
    pub fn part(&self) -> String {
        format!("output {}", self.name)
    }

    /// TLS to its peers, if it speaks that.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsConfig> {
        match &self.kind {
            OutputKind::SplunkHec(config) => Some(&config.tls),
            OutputKind::Syslog(config) => match config.transport {
                SyslogTransport::Tls | SyslogTransport::RelpTls => Some(&config.tls),
                SyslogTransport::Udp | SyslogTransport::Tcp | SyslogTransport::Relp => None,
            },
            OutputKind::File(_) | OutputKind::Stdout => None,
        }
    }

    /// Whether events of this collection go here.
    #[must_use]
    pub fn takes(&self, collection: &str) -> bool {
        self.collections
            .iter()
            .any(|wanted| wanted == "*" || wanted == collection)
    }

    /// Who the events go to: endpoints, addresses or a file, in the order of the configuration.
    #[must_use]
    pub fn peers(&self) -> Vec<String> {
        match &self.kind {
            OutputKind::SplunkHec(hec) => hec.endpoints.clone(),
            OutputKind::Syslog(syslog) => syslog.addresses.clone(),
            OutputKind::File(file) => vec![file.path.display().to_string()],
            OutputKind::Stdout => vec!["standard output".to_owned()],
        }
    }

    /// The most flights that may be under way to one peer.
    #[must_use]
    pub fn max_in_flight(&self) -> u32 {
        match &self.kind {
            OutputKind::SplunkHec(hec) => hec.max_in_flight,
            OutputKind::Syslog(syslog) if syslog.transport != SyslogTransport::Udp => {
                SYSLOG_IN_FLIGHT
            }
            OutputKind::Syslog(_) | OutputKind::File(_) | OutputKind::Stdout => 1,
        }
    }
}

/// Flights under way on one syslog connection: the next is written while the one before waits for
/// its acknowledgement.
const SYSLOG_IN_FLIGHT: u32 = 4;

/// `when_spool_full`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenSpoolFull {
    /// Polling waits: the service keeps the history.
    Hold,
    /// This output's oldest pending events are given up.
    Release,
}

/// `start_at`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// With the next batch.
    Now,
    /// With the oldest batch in the spool.
    Oldest,
}

/// `batch` of an output: a request is sent when one of these is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchConfig {
    /// Bytes before compression.
    pub max_bytes: usize,
    /// Events.
    pub max_events: usize,
    /// Age of the first event in it.
    pub max_wait: Duration,
}

/// `retry` of an output: exponential, with full jitter, for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryConfig {
    /// Ceiling of the first wait.
    pub initial: Duration,
    /// Ceiling of every wait.
    pub max: Duration,
}

/// `type` of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputKind {
    /// `splunk_hec`
    SplunkHec(Box<SplunkHecConfig>),
    /// `syslog`
    Syslog(SyslogConfig),
    /// `file`
    File(FileConfig),
    /// `stdout`
    Stdout,
}

/// A `splunk_hec` output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplunkHecConfig {
    /// Base URLs, without `/services/collector`.
    pub endpoints: Vec<String>,
    /// The HEC token.
    pub token: Secret,
    /// The index; none leaves it to the token's default.
    pub index: Option<String>,
    /// `source`; none is `taxii:<service>/<collection>`.
    pub source: Option<String>,
    /// `sourcetype` of `flow` events.
    pub sourcetype_flow: String,
    /// `sourcetype` of `incident` events.
    pub sourcetype_incident: String,
    /// `sourcetype` of `indicator` events.
    pub sourcetype_indicator: String,
    /// `sourcetype` of `observable` events.
    pub sourcetype_observable: String,
    /// What differs for a collection.
    pub overrides: Vec<CollectionOverride>,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// Whether `cta_event_id` and `cta_collection` are sent as indexed fields.
    pub indexed_fields: bool,
    /// Indexer acknowledgement; none counts what is accepted as delivered.
    pub acknowledgement: Option<AcknowledgementConfig>,
    /// Requests that may be under way at one endpoint.
    pub max_in_flight: u32,
    /// TLS to Splunk.
    pub tls: TlsConfig,
    /// As for a service.
    pub proxy: Option<ProxyConfig>,
    /// Time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Time for a whole request and its answer.
    pub request_timeout: Duration,
}

/// `acknowledge`, `ack_timeout` and `ack_interval` of a `splunk_hec` output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcknowledgementConfig {
    /// How long what was accepted may be without its acknowledgement before it is sent again.
    pub timeout: Duration,
    /// How often acknowledgements are asked for.
    pub interval: Duration,
    /// Requests of one endpoint that may wait for their acknowledgement.
    pub max_outstanding: usize,
}

/// `[[output.override]]`: index, source and sourcetype of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionOverride {
    /// The collection.
    pub collection: String,
    /// Its index.
    pub index: Option<String>,
    /// Its source.
    pub source: Option<String>,
    /// Its sourcetype, for every record type.
    pub sourcetype: Option<String>,
}

/// A `syslog` output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogConfig {
    /// `host:port` of each receiver, the preferred one first.
    pub addresses: Vec<String>,
    /// How messages travel.
    pub transport: SyslogTransport,
    /// How messages are told apart in a stream.
    pub framing: SyslogFraming,
    /// The header.
    pub format: SyslogFormat,
    /// What stands behind the header.
    pub body: SyslogBody,
    /// Facility number, 0 to 23.
    pub facility: u8,
    /// Where the severity comes from.
    pub severity: SyslogSeverity,
    /// APP-NAME (RFC 5424) or TAG (RFC 3164), at most 48 printable ASCII characters.
    pub app_name: String,
    /// SD-ID of the element with `eventId` and `collection`; none leaves structured data out.
    pub structured_data: Option<String>,
    /// Whether a UTF-8 MSG begins with the byte order mark that RFC 5424 asks for.
    pub bom: bool,
    /// Bytes of one message, without its frame.
    pub max_message_bytes: usize,
    /// What becomes of a larger one.
    pub when_too_large: WhenTooLarge,
    /// TLS to the receivers, for `tls` and `relp_tls`.
    pub tls: TlsConfig,
    /// The name that the receivers' certificates must hold; none is the host of the address.
    pub server_name: Option<String>,
    /// RELP: messages that may wait for their answer.
    pub window: usize,
    /// Time to connect, TLS and RELP's open included.
    pub connect_timeout: Duration,
    /// How long something may be under way while nothing moves: no byte written, none
    /// acknowledged, no answer.
    pub write_timeout: Duration,
}

/// `transport` of a syslog output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogTransport {
    /// One message a datagram.
    Udp,
    /// A stream; counted as delivered when the receiver's TCP has acknowledged it.
    Tcp,
    /// The same over TLS.
    Tls,
    /// RELP: the receiver's application acknowledges each message.
    Relp,
    /// The same over TLS.
    RelpTls,
}

/// `framing` of a syslog output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogFraming {
    /// RFC 6587 octet counting: `LEN SP MSG`.
    OctetCounting,
    /// Messages end with LF.
    LineFeed,
}

/// `format` of a syslog output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogFormat {
    /// `<PRI>1 TIMESTAMP HOST APP PROCID MSGID SD MSG`
    Rfc5424,
    /// `<PRI>Mmm dd hh:mm:ss HOST TAG: MSG`
    Rfc3164,
}

/// `body` of a syslog output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogBody {
    /// The event's JSON.
    Json,
    /// ArcSight's Common Event Format.
    Cef,
    /// QRadar's Log Event Extended Format 2.0.
    Leef,
    /// `key="value"` pairs.
    KeyValue,
}

/// `severity` of a syslog output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogSeverity {
    /// From each event's risk and confidence.
    Event,
    /// The same for all: 0 (emerg) to 7 (debug).
    Fixed(u8),
}

/// `when_too_large` of a syslog output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenTooLarge {
    /// It becomes a dead letter.
    DeadLetter,
    /// Its longest texts are shortened, which the event says.
    Shorten,
}

/// A `file` output: JSON lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConfig {
    /// The file.
    pub path: PathBuf,
    /// Its size when it is renamed to `<path>.1`.
    pub rotate_bytes: u64,
    /// How many renamed files are kept.
    pub rotate_keep: u32,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// A level or a filter such as `info,cta_forwarder::taxii=debug`.
    pub level: String,
    /// A daily-rotated JSON log beside standard error.
    pub file: Option<LogFileConfig>,
}

/// `[log] file`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFileConfig {
    /// Its folder.
    pub directory: PathBuf,
    /// How many days' files are kept.
    pub keep: usize,
}
