//! A proxy on the way to a server, and what it says when it does not let us through.

use std::error::Error;

use reqwest::Proxy;

use super::BuildClientError;
use crate::config::{Credentials, ProxyConfig};

/// What the HTTP client says of a proxy that answers CONNECT with HTTP 407; its type is its own.
const WANTS_CREDENTIALS: &str = "proxy authorization required";

/// The proxy as the HTTP client knows it.
pub(super) fn of(config: &ProxyConfig) -> Result<Proxy, BuildClientError> {
    let proxy = Proxy::all(&config.url).map_err(|error| BuildClientError::Proxy {
        source: error.without_url(),
    })?;
    Ok(match &config.credentials {
        Some(Credentials { username, password }) => proxy.basic_auth(username, password.expose()),
        None => proxy,
    })
}

/// Whether nothing was sent to the server, since the proxy wants other credentials or any at all.
///
/// What is sent through it without TLS is answered by the proxy itself, with HTTP 407.
#[must_use]
pub fn wants_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains(WANTS_CREDENTIALS) {
            return true;
        }
        cause = error.source();
    }
    false
}
