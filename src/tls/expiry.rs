//! Until when the certificates are valid that a part of the agent has read.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::certificate::valid_until;
use super::{CA, CERT, certificates};
use crate::config::{ServerTlsConfig, TlsConfig};

/// A file of certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// The key of the configuration that names it.
    pub key: String,
    /// Where it is.
    pub file: String,
    /// When it is of no use any more: a chain with its first certificate that expires, authorities with
    /// the last of them.
    pub expires_at: DateTime<Utc>,
}

/// Of the files that a client uses.
#[must_use]
pub fn of_client(tls: &TlsConfig) -> Vec<Expiry> {
    let own = tls.client_cert_file.as_deref();
    let authorities = tls.ca_file.as_deref();
    both(
        own.map(|path| (CERT, path)),
        authorities.map(|path| (CA, path)),
    )
}

/// Of the files that a listener uses.
#[must_use]
pub fn of_server(tls: &ServerTlsConfig) -> Vec<Expiry> {
    let authorities = tls.client_ca_file.as_deref();
    let authorities = authorities.map(|path| ("client_ca_file", path));
    both(Some(("cert_file", &tls.cert_file)), authorities)
}

type Named<'a> = Option<(&'static str, &'a Path)>;

fn both(own: Named<'_>, authorities: Named<'_>) -> Vec<Expiry> {
    let own = own.and_then(|(key, path)| expiry(key, path, |ends| ends.min()));
    let authorities = authorities.and_then(|(key, path)| expiry(key, path, |ends| ends.max()));
    own.into_iter().chain(authorities).collect()
}

/// None of a file that cannot be read: whoever uses it says so.
fn expiry(
    key: &'static str,
    path: &Path,
    which: impl Fn(&mut dyn Iterator<Item = DateTime<Utc>>) -> Option<DateTime<Utc>>,
) -> Option<Expiry> {
    let certificates = certificates(key, path).ok()?;
    Some(Expiry {
        key: key.to_owned(),
        file: path.display().to_string(),
        expires_at: which(&mut certificates.iter().filter_map(valid_until))?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_chain_ends_with_its_first_and_authorities_with_their_last() {
        let fixture = |name| {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/fixtures/tls")
                .join(name)
        };
        let end = |name| {
            let found = certificates(CERT, &fixture(name)).unwrap();
            valid_until(&found[0]).unwrap()
        };
        let (expired, server) = (end("expired.pem"), end("server.pem"));
        assert!(expired < server);
        let folder = tempfile::tempdir().unwrap();
        let both = folder.path().join("both.pem");
        let texts = ["server.pem", "expired.pem"].map(|name| fs::read(fixture(name)).unwrap());
        fs::write(&both, texts.concat()).unwrap();
        let tls = ServerTlsConfig {
            cert_file: both.clone(),
            key_file: fixture("server.key"),
            client_ca_file: Some(both.clone()),
            client_names: Vec::new(),
        };
        let of = |key: &str, expires_at| Expiry {
            key: key.to_owned(),
            file: both.display().to_string(),
            expires_at,
        };
        let expect = [of("cert_file", expired), of("client_ca_file", server)];
        assert_eq!(of_server(&tls), expect);
        let tls = TlsConfig {
            ca_file: Some(both.clone()),
            client_cert_file: Some(both.clone()),
            client_key_file: None,
        };
        assert_eq!(of_client(&tls), [of(CERT, expired), of(CA, server)]);
        let tls = TlsConfig {
            ca_file: Some(folder.path().join("none.pem")),
            ..TlsConfig::default()
        };
        assert_eq!(of_client(&tls), []);
    }
}
