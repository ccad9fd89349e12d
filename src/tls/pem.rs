//! Certificates and keys in files.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// A file is missing, or does not hold what its key promises.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// It is missing or unreadable.
    #[error("{key} {path:?} cannot be read: {source}")]
    Read {
        /// The key of the configuration that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It does not hold what its key promises.
    #[error("{key} {path:?} {problem}")]
    Content {
        /// The key of the configuration that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// A file, and the key of the configuration that names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct PemFile<'a> {
    pub(super) key: &'static str,
    pub(super) path: &'a Path,
}

impl PemFile<'_> {
    pub(super) fn error(&self, problem: impl Into<String>) -> PemError {
        PemError::Content {
            key: self.key,
            path: self.path.to_owned(),
            problem: problem.into(),
        }
    }

    pub(super) fn read(&self) -> Result<Vec<u8>, PemError> {
        std::fs::read(self.path).map_err(|source| PemError::Read {
            key: self.key,
            path: self.path.to_owned(),
            source,
        })
    }

    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, PemError> {
        let pem = self.read()?;
        let certificates = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.error(format!("is not well-formed PEM: {error}")))?;
        if certificates.is_empty() {
            return Err(self.error("holds no certificate in PEM form"));
        }
        Ok(certificates)
    }

    /// The authorities that it holds.
    pub(super) fn roots(&self) -> Result<RootCertStore, PemError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| {
                let problem = format!("holds a certificate that cannot be an authority: {error}");
                self.error(problem)
            })?;
        }
        Ok(roots)
    }
}

/// A certificate with its key, which belong together.
pub(super) struct CertificateAndKey {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl CertificateAndKey {
    pub(super) fn read(certificate: PemFile<'_>, key: PemFile<'_>) -> Result<Self, PemError> {
        let chain = certificate.certificates()?;
        let private = PrivateKeyDer::from_pem_slice(&key.read()?).map_err(|_| {
            key.error("holds no private key in PEM form (an encrypted one cannot be used)")
        })?;
        let signer = ring::sign::any_supported_type(&private)
            .map_err(|error| key.error(format!("holds a key that cannot be used: {error}")))?;
        let belong = CertifiedKey::new(chain.clone(), signer).keys_match();
        belong.map_err(|error| {
            key.error(format!(
                "does not belong to {} {}: {error}",
                certificate.key,
                certificate.path.display()
            ))
        })?;
        Ok(Self {
            chain,
            key: private,
        })
    }
}
