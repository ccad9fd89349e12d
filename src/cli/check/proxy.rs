//! The proxy that the agent's client would go through, and a tunnel through it.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::way::Host;
use crate::config::ProxyConfig;

/// The head of an answer to CONNECT is longer than this only if it is none.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// A proxy on the way.
pub(super) struct Proxy {
    pub(super) at: Host,
    /// Whether it lets through what is asked for by CONNECT, and without TLS of its own.
    pub(super) is_plain_http: bool,
    /// Where it is named.
    pub(super) named_by: &'static str,
    authorization: Option<String>,
}

impl Proxy {
    /// The configured one, else what the environment names for this address.
    pub(super) fn of(config: Option<&ProxyConfig>, to: &Url) -> Option<Self> {
        if let Some(config) = config {
            let credentials = config.credentials.as_ref();
            let authorization = credentials.map(|known| {
                let pair = format!("{}:{}", known.username, known.password.expose());
                format!("Basic {}", BASE64_STANDARD.encode(pair))
            });
            return Self::at(&config.url, "proxy of the configuration", authorization);
        }
        let found = Matcher::from_env().intercept(&to.as_str().parse().ok()?)?;
        let authorization = found.basic_auth().and_then(|value| value.to_str().ok());
        Self::at(
            &found.uri().to_string(),
            "proxy of the environment",
            authorization.map(str::to_owned),
        )
    }

    fn at(url: &str, named_by: &'static str, authorization: Option<String>) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let standard = match url.scheme() {
            "http" => 80,
            "https" => 443,
            _ => 1080,
        };
        Some(Self {
            at: Host {
                name: url.host_str()?.trim_matches(['[', ']']).to_owned(),
                port: url.port_or_known_default().unwrap_or(standard),
            },
            is_plain_http: url.scheme() == "http",
            named_by,
            authorization,
        })
    }

    /// Asks for a tunnel; gives the HTTP status.
    pub(super) async fn connect<S>(&self, stream: &mut S, to: &Host) -> std::io::Result<u16>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let authorization = self.authorization.as_ref();
        let authorization = authorization.map_or_else(String::new, |value| {
            format!("Proxy-Authorization: {value}\r\n")
        });
        let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        // What comes behind the head is the server's own.
        while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD_BYTES {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head);
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        status.ok_or_else(|| std::io::Error::other("the answer to CONNECT is not HTTP"))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
