//! Sends requests to a TAXII service over HTTP.

use std::error::Error;
use std::io::{self, Read};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::CancellationToken;

use super::fault::Fault;
use super::message::{self, Request};
use super::version::protocol_of;
use crate::config::{
    Authentication, Credentials, ProxyConfig, ReadSecretError, Secret, ServiceConfig, TlsConfig,
};
use crate::tls::{BuildClientError, client_builder, proxy};

/// A new id for a message. TAXII 1.0 wants digits alone.
#[must_use]
pub fn new_message_id() -> String {
    uuid::Uuid::new_v4().as_u128().to_string()
}

/// What an exchange ends with that was interrupted.
const INTERRUPTED: &str = "it was interrupted";

/// A client of one service. Its clones, for what polls it behind other gates, share connections,
/// certificates and secrets with it, and are interrupted with it.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<RwLock<Shared>>,
    interrupt: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    connection: Arc<Connection>,
}

/// What lies in files could not be read again.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// A secret.
    #[error(transparent)]
    Secret(#[from] ReadSecretError),
    /// A certificate or a key.
    #[error(transparent)]
    Build(#[from] BuildClientError),
}

/// What a client needs to know of a service.
#[derive(Debug, Clone)]
pub struct Connection {
    /// TLS to the service.
    pub tls: TlsConfig,
    /// A proxy; none follows the environment.
    pub proxy: Option<ProxyConfig>,
    /// Time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Time for a whole request and its answer.
    pub request_timeout: Duration,
    /// Who the service takes us for.
    pub authentication: Authentication,
    /// Headers of every request.
    pub headers: Vec<(String, Secret)>,
}

impl From<&ServiceConfig> for Connection {
    fn from(service: &ServiceConfig) -> Self {
        Self {
            tls: service.tls.clone(),
            proxy: service.proxy.clone(),
            connect_timeout: service.connect_timeout,
            request_timeout: service.request_timeout,
            authentication: service.authentication.clone(),
            headers: service.headers.clone(),
        }
    }
}

/// The head of an answer; its body is still to come.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The service's clock, to the second, as its `Date` header tells it.
    pub date: Option<DateTime<Utc>>,
    /// `Retry-After`
    pub retry_after: Option<Duration>,
    response: reqwest::Response,
    /// As whom it was asked.
    connection: Arc<Connection>,
    interrupt: CancellationToken,
}

impl Client {
    /// Reads the certificates; connects to nothing.
    pub fn new(connection: Connection) -> Result<Self, BuildClientError> {
        let http = http(&connection)?;
        let connection = Arc::new(connection);
        let shared = Shared { http, connection };
        Ok(Self {
            shared: Arc::new(RwLock::new(shared)),
            interrupt: CancellationToken::new(),
        })
    }

    fn shared(&self) -> RwLockReadGuard<'_, Shared> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancelled, it ends whatever waits for the service, now and later, with an error.
    #[must_use]
    pub fn interrupt(&self) -> CancellationToken {
        self.interrupt.clone()
    }

    /// Whether that was done.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.is_cancelled()
    }

    /// Reads secrets and certificates again that lie in files: they may have been mended.
    pub fn reload(&self) -> Result<(), ReloadError> {
        let mut connection = Connection::clone(&self.shared().connection);
        let mut headers = connection.headers.iter_mut();
        let headers = headers.try_for_each(|(_, secret)| secret.reload());
        let proxy = connection
            .proxy
            .as_mut()
            .map_or(Ok(()), ProxyConfig::reload);
        connection.authentication.reload().and(headers).and(proxy)?;
        // Others go on sending until all of it is there.
        let http = http(&connection)?;
        let connection = Arc::new(connection);
        *self.shared.write().unwrap_or_else(PoisonError::into_inner) = Shared { http, connection };
        Ok(())
    }

    /// What the service has said, without the credentials that it may repeat.
    #[must_use]
    pub fn hide_credentials(&self, text: &str) -> String {
        self.shared().connection.hide_in(text)
    }

    /// Sends a request to the service at `url` and waits for the head of its answer.
    pub async fn send(&self, url: &str, request: &Request) -> Result<Reply, Fault> {
        let (post, connection) = self.post(url, request);
        let sent = self.interrupt.run_until_cancelled(post.send()).await;
        let sent = sent.ok_or_else(|| Fault::Connection {
            reason: INTERRUPTED.to_owned(),
        })?;
        let response = sent.map_err(|error| {
            if proxy::wants_credentials(&error) {
                return Fault::ProxyRefused;
            }
            // A time-out while connecting is both; nothing was sent then.
            let (is_connect, is_timeout) = (error.is_connect(), error.is_timeout());
            let reason = reason(&error.without_url());
            match (is_connect, is_timeout) {
                (true, _) => Fault::Connect { reason },
                (false, true) => Fault::TimedOut { reason },
                (false, false) => Fault::Connection { reason },
            }
        })?;
        let date = http_date(response.headers(), DATE.as_str());
        Ok(Reply {
            status: response.status().as_u16(),
            date,
            retry_after: retry_after(response.headers(), date),
            response,
            connection,
            interrupt: self.interrupt.clone(),
        })
    }

    fn post(&self, url: &str, request: &Request) -> (RequestBuilder, Arc<Connection>) {
        let shared = self.shared();
        let mut post = shared
            .http
            .post(url)
            .header(CONTENT_TYPE, message::CONTENT_TYPE)
            .header(ACCEPT, message::CONTENT_TYPE)
            .header("X-TAXII-Content-Type", request.version.message_binding())
            .header("X-TAXII-Accept", request.version.message_binding())
            .header("X-TAXII-Services", request.version.services())
            .header("X-TAXII-Protocol", protocol_of(url))
            .body(request.xml.clone());
        for (name, value) in &shared.connection.headers {
            let value = HeaderValue::from_str(value.expose()).map(|mut value| {
                value.set_sensitive(true);
                value
            });
            // What cannot be sent was refused with the configuration.
            if let Ok(value) = value {
                post = post.header(name, value);
            }
        }
        post = match &shared.connection.authentication {
            Authentication::None => post,
            Authentication::Basic(Credentials { username, password }) => {
                post.basic_auth(username, Some(password.expose()))
            }
            Authentication::Bearer(token) => post.bearer_auth(token.expose()),
        };
        (post, Arc::clone(&shared.connection))
    }
}

fn http(connection: &Connection) -> Result<reqwest::Client, BuildClientError> {
    let builder = client_builder(
        &connection.tls,
        connection.proxy.as_ref(),
        connection.connect_timeout,
        connection.request_timeout,
    )?;
    builder.build().map_err(BuildClientError::Build)
}

impl Connection {
    /// What the service has said, without the credentials that it may repeat.
    #[must_use]
    pub fn hide_in(&self, text: &str) -> String {
        let text = self.authentication.hide_in(text);
        let text = match &self.proxy {
            Some(proxy) => proxy.hide_in(&text),
            None => text,
        };
        let hide = |text: String, (_, secret): &(String, Secret)| secret.hide_in(&text);
        self.headers.iter().fold(text, hide)
    }
}

impl Reply {
    /// As whom the service was asked: others may have read the credentials anew since.
    #[must_use]
    pub fn asked_as(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }

    /// The whole body, decompressed, or an error if it is longer than `limit` bytes.
    pub async fn bytes(self, limit: u64) -> io::Result<Vec<u8>> {
        let mut body = self.response.bytes_stream();
        let mut bytes = Vec::new();
        while let Some(chunk) = self.interrupt.run_until_cancelled(body.next()).await {
            let Some(chunk) = chunk else {
                return Ok(bytes);
            };
            let chunk = chunk.map_err(|error| io::Error::other(reason(&error.without_url())))?;
            if (bytes.len() + chunk.len()) as u64 > limit {
                return Err(io::Error::other(format!("longer than {limit} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Err(io::Error::other(INTERRUPTED))
    }

    /// Gives the body, decompressed, to `read`, which runs on this thread and may block.
    ///
    /// The runtime must have several threads, and this one must be a task that was spawned: what
    /// else waits in the future of a runtime's own `block_on` may miss what wakes it meanwhile.
    pub fn read<T>(self, read: impl FnOnce(&mut dyn Read) -> T) -> T {
        let chunks = self
            .response
            .bytes_stream()
            .map_err(|error| io::Error::other(reason(&error.without_url())));
        let interrupt = self.interrupt;
        let until = interrupt.clone().cancelled_owned();
        // Without an error after it, an answer that was interrupted would look like a short one.
        let interrupted = stream::once(async move { interrupt.is_cancelled() })
            .filter_map(async |is| is.then(|| Err(io::Error::other(INTERRUPTED))));
        let chunks = chunks.take_until(until).chain(interrupted).boxed();
        let mut body = SyncIoBridge::new(StreamReader::new(chunks));
        tokio::task::block_in_place(|| read(&mut body))
    }
}

fn http_date(headers: &HeaderMap, name: &str) -> Option<DateTime<Utc>> {
    let text = headers.get(name)?.to_str().ok()?;
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some(date.to_utc())
}

/// `Retry-After` is a number of seconds or a date.
fn retry_after(headers: &HeaderMap, date: Option<DateTime<Utc>>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = http_date(headers, RETRY_AFTER.as_str())?;
    (until - date?).to_std().ok()
}

/// An error with all that lies behind it: reqwest's own text is but the outermost.
fn reason(error: &dyn Error) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !reason.contains(&text) {
            reason.push_str(": ");
            reason.push_str(&text);
        }
        source = error.source();
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretSource;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let password = Secret::new(SecretSource::Plain, "hunter2-horse".to_owned());
        let client = Client::new(Connection {
            tls: TlsConfig::default(),
            proxy: Some(ProxyConfig {
                url: "http://proxy.example.com:3128".to_owned(),
                credentials: Some(Credentials {
                    username: "mole".to_owned(),
                    password,
                }),
            }),
            connect_timeout: PATIENCE,
            request_timeout: PATIENCE,
            authentication: Authentication::None,
            headers: Vec::new(),
        });
        let client = client.unwrap();
        // `mole:hunter2-horse` in base64, as it travels.
        let sent = "bW9sZTpodW50ZXIyLWhvcnNl";
        let shown = format!("{client:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains(sent),
            "{shown}"
        );
        let told = client.hide_credentials(&format!("you are {sent}, or hunter2-horse"));
        assert_eq!(told, "you are [hidden], or [hidden]");
    }
}
