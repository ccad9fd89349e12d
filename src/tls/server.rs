//! TLS of what listens: the certificate that it shows, and whose certificates it lets in.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use webpki::EndEntityCert;

use super::pem::{CertificateAndKey, PemError, PemFile};
use crate::config::ServerTlsConfig;

/// A server cannot be set up from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildServerError {
    /// A file is missing, or does not hold what its key promises.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The authorities of clients cannot be used.
    #[error("client_ca_file cannot be used: {0}")]
    ClientAuthorities(#[from] VerifierBuilderError),
    /// The server as a whole.
    #[error("TLS cannot be set up: {0}")]
    Build(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3 for HTTP/1.1. Where there are authorities of clients, who has no certificate of
/// theirs is not let in.
pub fn server_config(tls: &ServerTlsConfig) -> Result<Arc<ServerConfig>, BuildServerError> {
    let provider = Arc::new(ring::default_provider());
    let file = |key, path| PemFile { key, path };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match &tls.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(file("client_ca_file", path).roots()?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let own = CertificateAndKey::read(
        file("cert_file", &tls.cert_file),
        file("key_file", &tls.key_file),
    )?;
    let mut config = builder.with_single_cert(own.chain, own.key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whether a certificate is for one of these DNS names, as its subject alternative names say.
#[must_use]
pub fn is_for_one_of(certificate: &CertificateDer<'_>, names: &[String]) -> bool {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else {
        return false;
    };
    let mut names = names
        .iter()
        .filter_map(|name| DnsName::try_from(name.as_str()).ok());
    names.any(|name| {
        let name = ServerName::DnsName(name);
        certificate.verify_is_valid_for_subject_name(&name).is_ok()
    })
}
