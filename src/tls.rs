//! TLS, and HTTP over it, as every client of ours does it.
//!
//! The ring provider, no redirects (they would turn a POST into a GET, or carry credentials to
//! somebody else), our own authorities or the system's, and errors that name the file.

mod authorities;
pub mod certificate;
pub mod expiry;
pub mod fault;
mod pem;
pub mod proxy;
mod server;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::ClientBuilder;
use reqwest::redirect::Policy;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;

use crate::config::{ProxyConfig, TlsConfig};
pub use pem::PemError;
use pem::{CertificateAndKey, PemFile};
pub use server::{BuildServerError, is_for_one_of, server_config};

const CA: &str = "ca_file";
const CERT: &str = "client_cert_file";
const KEY: &str = "client_key_file";

/// A client cannot be set up from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildClientError {
    /// A file is missing, or does not hold what its key promises.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// One half of a client certificate.
    #[error("{given} is set without {missing}: a client certificate needs both")]
    HalfIdentity {
        /// The key that is there.
        given: &'static str,
        /// The key that is not.
        missing: &'static str,
    },
    /// The client as a whole.
    #[error("the HTTP client cannot be set up: {0}")]
    Build(#[source] reqwest::Error),
    /// The proxy's URL, which may hold a password and is not repeated here.
    #[error("proxy is not a URL such as http://proxy.example.com:3128: {source}")]
    Proxy {
        /// Why.
        source: reqwest::Error,
    },
}

/// Starts a client: the caller adds what is particular to it and builds it.
///
/// Without an own authority the system's are trusted. On a machine that has none, plain HTTP works
/// and every HTTPS server is unknown.
pub fn client_builder(
    tls: &TlsConfig,
    proxy: Option<&ProxyConfig>,
    connect_timeout: Duration,
    request_timeout: Duration,
) -> Result<ClientBuilder, BuildClientError> {
    let mut config = configured(tls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("cta-forwarder/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(connect_timeout)
        .timeout(request_timeout)
        .tls_backend_preconfigured(config);
    if let Some(config) = proxy {
        builder = builder.proxy(proxy::of(config)?);
    }
    Ok(builder)
}

/// TLS 1.2 and 1.3 without HTTP. It trusts whom a [client of HTTP](client_builder) trusts.
pub fn client_config(tls: &TlsConfig) -> Result<Arc<ClientConfig>, BuildClientError> {
    configured(tls).map(Arc::new)
}

fn configured(tls: &TlsConfig) -> Result<ClientConfig, BuildClientError> {
    // The second call's error only says that there was a first.
    let _ = ring::default_provider().install_default();

    let roots = match &tls.ca_file {
        Some(path) => Arc::new(PemFile { key: CA, path }.roots()?),
        None => authorities::of_the_system(Instant::now()),
    };
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let Some(identity) = ClientIdentity::of(tls)? else {
        return Ok(builder.with_no_client_auth());
    };
    let CertificateAndKey { chain, key } =
        CertificateAndKey::read(identity.certificate, identity.key)?;
    builder.with_client_auth_cert(chain, key).map_err(|error| {
        let problem = format!("cannot be used with {KEY}: {error}");
        identity.certificate.error(problem).into()
    })
}

/// The certificates in a file, which the configuration names by this key.
pub fn certificates(
    key: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, PemError> {
    PemFile { key, path }.certificates()
}

/// The files of a client certificate and of its key.
struct ClientIdentity<'a> {
    certificate: PemFile<'a>,
    key: PemFile<'a>,
}

impl<'a> ClientIdentity<'a> {
    fn of(tls: &'a TlsConfig) -> Result<Option<Self>, BuildClientError> {
        let half = |given, missing| Err(BuildClientError::HalfIdentity { given, missing });
        match (&tls.client_cert_file, &tls.client_key_file) {
            (None, None) => Ok(None),
            (Some(_), None) => half(CERT, KEY),
            (None, Some(_)) => half(KEY, CERT),
            (Some(certificate), Some(key)) => Ok(Some(Self {
                certificate: PemFile {
                    key: CERT,
                    path: certificate,
                },
                key: PemFile {
                    key: KEY,
                    path: key,
                },
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};
    use std::thread::JoinHandle;

    use std::path::PathBuf;

    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;
    use crate::config::ServerTlsConfig;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/tls")
            .join(name)
    }

    fn with_client_certificate() -> TlsConfig {
        TlsConfig {
            ca_file: Some(fixture("ca.pem")),
            client_cert_file: Some(fixture("client.pem")),
            client_key_file: Some(fixture("client.key")),
        }
    }

    fn message(tls: &TlsConfig) -> String {
        client_builder(tls, None, PATIENCE, PATIENCE)
            .unwrap_err()
            .to_string()
    }

    type Served = Result<Option<Vec<u8>>, std::io::Error>;

    /// Answers one request, if the handshake goes through, over TLS that asks for a certificate. Gives the
    /// protocol that was agreed on.
    fn serve_one() -> (SocketAddr, JoinHandle<Served>) {
        let config = server_config(&ServerTlsConfig {
            cert_file: fixture("server.pem"),
            key_file: fixture("server.key"),
            client_ca_file: Some(fixture("ca.pem")),
            client_names: Vec::new(),
        });
        let mut config = ServerConfig::clone(&config.unwrap());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (socket, _) = listener.accept()?;
            let session = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = StreamOwned::new(session, socket);
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                head.extend_from_slice(&byte);
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")?;
            stream.conn.send_close_notify();
            stream.flush()?;
            Ok(stream.conn.alpn_protocol().map(<[u8]>::to_vec))
        });
        (address, server)
    }

    async fn get(tls: &TlsConfig, address: SocketAddr) -> Result<u16, reqwest::Error> {
        let client = client_builder(tls, None, PATIENCE, PATIENCE)
            .unwrap()
            .no_proxy()
            .build()
            .unwrap();
        let answer = client.get(format!("https://{address}/")).send().await?;
        Ok(answer.status().as_u16())
    }

    #[tokio::test]
    async fn own_authority_and_client_certificate_open_the_door() {
        let (address, server) = serve_one();
        assert_eq!(get(&with_client_certificate(), address).await.unwrap(), 204);
        let protocol = server.join().unwrap().unwrap();
        assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
    }

    #[tokio::test]
    async fn without_the_client_certificate_it_stays_shut() {
        let (address, server) = serve_one();
        let tls = TlsConfig {
            ca_file: Some(fixture("ca.pem")),
            ..TlsConfig::default()
        };
        assert!(get(&tls, address).await.is_err());
        assert!(server.join().unwrap().is_err());
    }

    #[tokio::test]
    async fn an_unknown_authority_is_refused() {
        let (address, server) = serve_one();
        assert!(get(&TlsConfig::default(), address).await.is_err());
        assert!(server.join().unwrap().is_err());
    }

    #[test]
    fn a_certificate_is_for_the_names_that_it_holds() {
        let file = fixture("server.pem");
        let file = PemFile {
            key: "cert_file",
            path: &file,
        };
        let certificate = &file.certificates().unwrap()[0];
        let is_for = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            is_for_one_of(certificate, &names)
        };
        assert!(is_for(&["elsewhere.example.com", "localhost"]));
        assert!(!is_for(&["elsewhere.example.com"]));
        assert!(!is_for(&[]));
    }

    #[test]
    fn errors_of_a_server_name_the_key_and_the_file() {
        let tls = ServerTlsConfig {
            cert_file: fixture("server.pem"),
            key_file: fixture("server.key"),
            client_ca_file: Some(fixture("ca.pem")),
            client_names: Vec::new(),
        };
        for (tls, expect) in [
            (
                ServerTlsConfig {
                    cert_file: fixture("none.pem"),
                    ..tls.clone()
                },
                "cert_file ",
            ),
            (
                ServerTlsConfig {
                    key_file: fixture("client.key"),
                    ..tls.clone()
                },
                "client.key\" does not belong to cert_file",
            ),
            (
                ServerTlsConfig {
                    client_ca_file: Some(fixture("README.md")),
                    ..tls
                },
                "client_ca_file ",
            ),
        ] {
            let error = server_config(&tls).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
    }

    #[test]
    fn errors_name_the_key_and_the_file() {
        let missing = message(&TlsConfig {
            ca_file: Some(fixture("none.pem")),
            ..TlsConfig::default()
        });
        assert!(
            missing.starts_with("ca_file ") && missing.contains("none.pem"),
            "{missing}"
        );

        let no_certificate = message(&TlsConfig {
            ca_file: Some(fixture("README.md")),
            ..TlsConfig::default()
        });
        assert!(
            no_certificate.contains("README.md\" holds no certificate"),
            "{no_certificate}"
        );

        let no_key = message(&TlsConfig {
            client_key_file: Some(fixture("client.pem")),
            ..with_client_certificate()
        });
        assert!(
            no_key.contains("client.pem\" holds no private key"),
            "{no_key}"
        );

        let stranger = message(&TlsConfig {
            client_key_file: Some(fixture("server.key")),
            ..with_client_certificate()
        });
        assert!(
            stranger.contains("server.key\" does not belong to client_cert_file"),
            "{stranger}"
        );

        let half = message(&TlsConfig {
            client_key_file: None,
            ..with_client_certificate()
        });
        assert!(
            half.contains("client_cert_file is set without client_key_file"),
            "{half}"
        );
    }

    #[test]
    fn a_proxy_that_is_no_url_is_refused_without_its_password() {
        let error = client_builder(
            &TlsConfig::default(),
            Some(&ProxyConfig {
                url: "http://user:hunter2@".into(),
                credentials: None,
            }),
            PATIENCE,
            PATIENCE,
        )
        .unwrap_err()
        .to_string();
        assert!(error.starts_with("proxy is not a URL"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
