//! Who has bought what: outside of TAXII, and known by a certificate.

use std::io;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The contracts that were signed.
#[derive(Debug, Default)]
pub(super) struct Contracts(Vec<Contract>);

/// What a customer may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contract {
    /// What the ids of its subscriptions begin with.
    pub(super) customer: String,
    certificate: Vec<u8>,
    feeds: Vec<String>,
}

impl Contract {
    pub(super) fn has(&self, feed: &str) -> bool {
        self.feeds.iter().any(|bought| bought == feed)
    }
}

impl Contracts {
    /// Takes the place of what was signed with the same certificate.
    pub(super) fn sign(
        &mut self,
        customer: &str,
        certificate_pem: &str,
        feeds: &[&str],
    ) -> io::Result<()> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes());
        let certificate = certificate.map_err(io::Error::other)?.to_vec();
        self.0.retain(|other| other.certificate != certificate);
        self.0.push(Contract {
            customer: customer.to_owned(),
            certificate,
            feeds: feeds.iter().map(|&feed| feed.to_owned()).collect(),
        });
        Ok(())
    }

    /// The contract of whoever has shown this certificate.
    pub(super) fn of(&self, certificate: Option<&[u8]>) -> Option<&Contract> {
        let certificate = certificate?;
        self.0
            .iter()
            .find(|contract| contract.certificate == certificate)
    }
}
