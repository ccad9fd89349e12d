//! Who may push.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};
use sha2::{Digest, Sha256};

use crate::config::{Credentials, InboxConfig};
use crate::listener::Peer;
use crate::tls;

/// A password is read again from its file at most as often as this.
const REREAD: Duration = Duration::from_secs(1);

/// Knows whom to let in.
#[derive(Debug)]
pub(super) struct Doorkeeper {
    credentials: Option<Mutex<Known>>,
    client_names: Vec<String>,
}

/// Whom it knows.
#[derive(Debug)]
struct Known {
    credentials: Credentials,
    /// When the password was last read again.
    read: Option<Instant>,
}

/// Somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stranger {
    /// The user and the password are not those of the configuration.
    #[error("it needs the user and the password of this inbox (HTTP Basic)")]
    Credentials,
    /// The certificate has none of the names of the configuration.
    #[error("its certificate has none of the names that are let in (inbox.tls.client_names)")]
    Certificate,
}

impl Doorkeeper {
    pub(super) fn new(config: &InboxConfig) -> Self {
        let tls = config.tls.as_ref();
        Self {
            credentials: config.credentials.clone().map(|credentials| {
                Mutex::new(Known {
                    credentials,
                    read: None,
                })
            }),
            client_names: tls.map(|tls| tls.client_names.clone()).unwrap_or_default(),
        }
    }

    /// Lets a peer in, or not.
    pub(super) fn admit(&self, peer: &Peer, headers: &HeaderMap) -> Result<(), Stranger> {
        if !self.client_names.is_empty() {
            let certificate = peer.certificate.as_ref();
            certificate
                .filter(|shown| tls::is_for_one_of(shown, &self.client_names))
                .ok_or(Stranger::Certificate)?;
        }
        let Some(credentials) = &self.credentials else {
            return Ok(());
        };
        let mut known = credentials.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let shown = shown.and_then(basic).ok_or(Stranger::Credentials)?;
        if is_same(&shown, &known.credentials) {
            return Ok(());
        }
        // It may have been changed in its file. Who guesses does not make it be read each time.
        if known.read.is_some_and(|read| read.elapsed() < REREAD) {
            return Err(Stranger::Credentials);
        }
        known.read = Some(Instant::now());
        if let Err(error) = known.credentials.password.reload() {
            tracing::warn!(%error, "the password of the inbox cannot be read again: the old one counts");
        }
        if is_same(&shown, &known.credentials) {
            return Ok(());
        }
        Err(Stranger::Credentials)
    }
}

/// The user and password of a header.
fn basic(header: &[u8]) -> Option<Vec<u8>> {
    let (scheme, token) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    BASE64_STANDARD.decode(token.trim_ascii()).ok()
}

/// Compares digests: how long that takes tells nothing of what is secret.
fn is_same(shown: &[u8], known: &Credentials) -> bool {
    let known = format!("{}:{}", known.username, known.password.expose());
    Sha256::digest(shown) == Sha256::digest(known.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn keeper(password: Secret) -> Doorkeeper {
        Doorkeeper {
            credentials: Some(Mutex::new(Known {
                credentials: Credentials {
                    username: "vendor".to_owned(),
                    password,
                },
                read: None,
            })),
            client_names: Vec::new(),
        }
    }

    fn admits(keeper: &Doorkeeper, header: Option<&str>) -> bool {
        let peer = Peer {
            address: "127.0.0.1:1".parse().unwrap(),
            certificate: None,
        };
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, header.parse().unwrap());
        }
        keeper.admit(&peer, &headers).is_ok()
    }

    fn encoded(pair: &str) -> String {
        BASE64_STANDARD.encode(pair)
    }

    #[test]
    fn the_user_with_the_password_alone_gets_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "p:1\n").unwrap();
        let keeper = keeper(Secret::read_file(&path).unwrap());
        let good = encoded("vendor:p:1");
        assert!(admits(&keeper, Some(&format!("Basic {good}"))));
        assert!(admits(&keeper, Some(&format!("bAsIc  {good}"))));
        for bad in [
            format!("Bearer {good}"),
            good.clone(),
            "Basic".to_owned(),
            "Basic !".to_owned(),
            format!("Basic {}", encoded("vendor:p:2")),
            format!("Basic {}", encoded("vendor")),
            format!("Basic {}", encoded("somebody:p:1")),
            format!("Basic {}", encoded("")),
        ] {
            assert!(!admits(&keeper, Some(&bad)), "{bad}");
        }
        assert!(!admits(&keeper, None));
        std::fs::write(&path, "new\n").unwrap();
        let new = format!("Basic {}", encoded("vendor:new"));
        assert!(!admits(&keeper, Some(&new)), "it was read a moment ago");
        let known = keeper.credentials.as_ref().unwrap();
        known.lock().unwrap().read = None;
        // Nobody has come with another one yet.
        assert!(admits(&keeper, Some(&format!("Basic {good}"))));
        assert!(admits(&keeper, Some(&new)));
        assert!(!admits(&keeper, Some(&format!("Basic {good}"))));
    }
}
