//! The way to a peer: its name, a connection, the proxy, TLS.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::Url;
use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::certificate;
use super::proxy::Proxy;
use super::row::Rows;
use crate::config::{ProxyConfig, TlsConfig};
use crate::tls::{client_config, fault};

/// Why what follows was not tried.
pub(super) const NO_WAY: &str = "there is no way to it";

/// Where a peer is.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

/// The TLS that a peer is spoken to with.
#[derive(Debug)]
pub(super) struct Tls<'a> {
    pub(super) config: &'a TlsConfig,
    /// Whose certificate it must have.
    pub(super) name: String,
}

/// A way to a peer.
#[derive(Debug)]
pub(super) struct Way<'a> {
    pub(super) to: Host,
    pub(super) proxy: Option<Proxy>,
    pub(super) tls: Option<Tls<'a>>,
    /// How long each step may take.
    pub(super) timeout: Duration,
}

impl<'a> Way<'a> {
    /// The way to what is spoken to over HTTP; none where the text is no URL with a host.
    pub(super) fn to_url(
        url: &str,
        tls: &'a TlsConfig,
        proxy: Option<&ProxyConfig>,
        timeout: Duration,
    ) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let name = url.host_str()?.trim_matches(['[', ']']).to_owned();
        let tls = (url.scheme() == "https").then(|| Tls {
            config: tls,
            name: name.clone(),
        });
        Some(Self {
            to: Host {
                name,
                port: url.port_or_known_default()?,
            },
            proxy: Proxy::of(proxy, &url),
            tls,
            timeout,
        })
    }

    /// Goes it step by step; tells whether it leads there.
    pub(super) async fn go(&self, rows: &mut Rows) -> bool {
        let (next, kind) = match &self.proxy {
            None => (&self.to, ["dns", "tcp"]),
            Some(proxy) => (&proxy.at, ["proxy", "proxy"]),
        };
        let Some(addresses) = self.resolve(rows, kind[0], next).await else {
            return false;
        };
        let Some(mut tcp) = self.connect(rows, kind[1], next, &addresses).await else {
            return false;
        };
        let Some(tls) = &self.tls else {
            return true;
        };
        if let Some(proxy) = &self.proxy {
            if !proxy.is_plain_http {
                let why = "the certificate behind this kind of proxy is seen by the request alone";
                rows.skipped("tls", why);
                return true;
            }
            if !self.tunnel(rows, proxy, &mut tcp).await {
                return false;
            }
        }
        self.shake_hands(rows, tls, tcp).await
    }

    /// The addresses of a name.
    pub(super) async fn resolve(
        &self,
        rows: &mut Rows,
        check: &'static str,
        host: &Host,
    ) -> Option<Vec<SocketAddr>> {
        if let Ok(address) = host.name.parse::<IpAddr>() {
            return Some(vec![SocketAddr::new(address, host.port)]);
        }
        let since = Instant::now();
        let found = within(self.timeout, lookup_host((host.name.as_str(), host.port))).await;
        let mend = "correct the name, or see why this machine cannot resolve it (/etc/resolv.conf)";
        match found.map(Iterator::collect::<Vec<_>>) {
            Ok(addresses) if !addresses.is_empty() => {
                let shown: Vec<String> = addresses.iter().map(|one| one.ip().to_string()).collect();
                rows.ok(check, format!("{} is {}", host.name, shown.join(", ")));
                rows.took(since.elapsed());
                return Some(addresses);
            }
            Ok(_) => rows.failed(check, format!("{} has no address", host.name), mend),
            Err(error) => {
                rows.failed(
                    check,
                    format!("{} cannot be resolved: {error}", host.name),
                    mend,
                );
            }
        }
        None
    }

    async fn connect(
        &self,
        rows: &mut Rows,
        check: &'static str,
        host: &Host,
        addresses: &[SocketAddr],
    ) -> Option<TcpStream> {
        let mut failures = Vec::new();
        // One that swallows everything must leave time for those behind it.
        let share = self.timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        for address in addresses {
            let since = Instant::now();
            match within(share, TcpStream::connect(address)).await {
                Ok(tcp) => {
                    let by = self.proxy.as_ref().map(|proxy| proxy.named_by);
                    let by = by.map_or_else(String::new, |by| format!("the {by}: "));
                    let connected = format!("{by}connected to {address}");
                    if failures.is_empty() {
                        rows.ok(check, connected);
                    } else {
                        let what = format!("{connected}; but {}", failures.join("; "));
                        rows.warning(check, what, mend_of_connection(host));
                    }
                    rows.took(since.elapsed());
                    return Some(tcp);
                }
                Err(error) => failures.push(format!("{address}: {error}")),
            }
        }
        rows.failed(check, failures.join("; "), mend_of_connection(host));
        None
    }

    async fn tunnel(&self, rows: &mut Rows, proxy: &Proxy, tcp: &mut TcpStream) -> bool {
        let since = Instant::now();
        let asked = within(self.timeout, proxy.connect(tcp, &self.to)).await;
        match asked {
            Ok(status @ 200..=299) => {
                rows.ok(
                    "proxy",
                    format!("it lets through to {}: HTTP {status}", self.to),
                );
                rows.took(since.elapsed());
                return true;
            }
            Ok(407) => rows.failed(
                "proxy",
                "the proxy asks for authentication (HTTP 407)",
                "set proxy, proxy_username and proxy_password to what the proxy accepts",
            ),
            Ok(status) => rows.failed(
                "proxy",
                format!(
                    "the proxy does not let through to {}: HTTP {status}",
                    self.to
                ),
                format!("let the proxy allow CONNECT to {}", self.to),
            ),
            Err(error) => rows.failed(
                "proxy",
                format!("the proxy does not answer CONNECT: {error}"),
                "see that this is an HTTP proxy; correct proxy or $HTTPS_PROXY",
            ),
        }
        false
    }

    async fn shake_hands(&self, rows: &mut Rows, tls: &Tls<'_>, tcp: TcpStream) -> bool {
        let config = match client_config(tls.config) {
            Ok(config) => config,
            Err(error) => {
                rows.failed("tls", error.to_string(), "mend the file");
                return false;
            }
        };
        let Ok(name) = ServerName::try_from(tls.name.clone()) else {
            let what = format!("{:?} cannot be the name in a certificate", tls.name);
            rows.failed("tls", what, "write a host name or an address");
            return false;
        };
        let connector = TlsConnector::from(Arc::clone(&config));
        let since = Instant::now();
        match within(self.timeout, connector.connect(name, tcp)).await {
            Ok(stream) => {
                let session = stream.get_ref().1;
                let version = match session.protocol_version() {
                    Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
                    _ => "TLS 1.3",
                };
                let chain = session.peer_certificates().unwrap_or_default();
                certificate::shown(rows, version, chain, Utc::now());
                rows.took(since.elapsed());
                true
            }
            Err(error) => {
                refused(rows, &error);
                false
            }
        }
    }
}

fn refused(rows: &mut Rows, error: &io::Error) {
    let mend = fault::mend(error).unwrap_or("see that TLS is spoken at that port");
    let end = fault::expired_at(error).and_then(|seconds| i64::try_from(seconds).ok());
    match end.and_then(|seconds| DateTime::from_timestamp(seconds, 0)) {
        Some(end) => {
            let now = Utc::now();
            let what = format!("the certificate expired {}", certificate::ago(end, now));
            rows.failed("tls", what, mend);
            rows.figure("days_left", certificate::days(end, now));
        }
        None => rows.failed("tls", format!("the handshake failed: {error}"), mend),
    }
}

fn mend_of_connection(host: &Host) -> String {
    format!(
        "see that something listens at port {} there, and that firewalls let it through",
        host.port
    )
}

/// The same with an end.
pub(super) async fn within<T>(
    time: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let late = || {
        let story = format!("no answer within {}", humantime::format_duration(time));
        io::Error::new(io::ErrorKind::TimedOut, story)
    };
    let done = tokio::time::timeout(time, work).await;
    done.unwrap_or_else(|_| Err(late()))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port } = self;
        if name.contains(':') {
            write!(f, "[{name}]:{port}")
        } else {
            write!(f, "{name}:{port}")
        }
    }
}
