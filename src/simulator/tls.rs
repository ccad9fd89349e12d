//! TLS as the simulated receivers speak it.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// Who a server is over TLS, and whom it lets in.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// Its certificate and those between it and its authority, as PEM.
    pub certificate_pem: String,
    /// The key of its certificate, as PEM.
    pub key_pem: String,
    /// With authorities, as PEM, only clients with a certificate of theirs are let in.
    pub client_ca_pem: Option<String>,
    /// Whether an HTTP server offers HTTP/2 too.
    pub offers_http2: bool,
}

impl ServerTls {
    /// What accepts connections in this way, where `protocols` can be chosen from by ALPN.
    pub(crate) fn acceptor(&self, protocols: &[&[u8]]) -> io::Result<TlsAcceptor> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match &self.client_ca_pem {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(authorities)? {
                    roots.add(authority).map_err(io::Error::other)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
            }
        };
        let key =
            PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(io::Error::other)?;
        let mut config = builder
            .with_single_cert(certificates(&self.certificate_pem)?, key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = protocols.iter().map(|&protocol| protocol.into()).collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("wants_client_certificate", &self.client_ca_pem.is_some())
            .finish_non_exhaustive()
    }
}

fn certificates(pem: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>();
    certificates.map_err(io::Error::other)
}

#[cfg(test)]
pub(crate) mod fixture {
    //! The certificates of the tests, and a client that uses them.

    use std::net::SocketAddr;

    use rustls::ClientConfig;
    use rustls::pki_types::ServerName;
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;

    pub(crate) fn pem(name: &str) -> String {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
        std::fs::read_to_string(folder.join(name)).unwrap()
    }

    /// A server for 127.0.0.1 that lets everyone in.
    pub(crate) fn server() -> ServerTls {
        ServerTls {
            certificate_pem: pem("server.pem"),
            key_pem: pem("server.key"),
            client_ca_pem: None,
            offers_http2: false,
        }
    }

    /// The same for clients with a certificate.
    pub(crate) fn server_for_known_clients() -> ServerTls {
        ServerTls {
            client_ca_pem: Some(pem("ca.pem")),
            ..server()
        }
    }

    /// A connection that trusts the fixtures' authority, with or without a certificate.
    pub(crate) async fn connect(
        address: SocketAddr,
        known: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&pem("ca.pem")).unwrap() {
            roots.add(authority).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = if known {
            let key = PrivateKeyDer::from_pem_slice(pem("client.key").as_bytes()).unwrap();
            builder
                .with_client_auth_cert(certificates(&pem("client.pem")).unwrap(), key)
                .unwrap()
        } else {
            builder.with_no_client_auth()
        };
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::from(address.ip());
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_an_error() {
        let good = fixture::server_for_known_clients();
        good.acceptor(&[]).unwrap();
        let other_key = ServerTls {
            key_pem: good.certificate_pem.clone(),
            ..good.clone()
        };
        let no_certificate = ServerTls {
            certificate_pem: String::new(),
            ..good.clone()
        };
        let no_authority = ServerTls {
            client_ca_pem: Some(String::new()),
            ..good
        };
        for wrong in [other_key, no_certificate, no_authority] {
            assert!(wrong.acceptor(&[]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        let shown = format!("{:?}", fixture::server());
        assert_eq!(shown, "ServerTls { wants_client_certificate: false, .. }");
    }
}
