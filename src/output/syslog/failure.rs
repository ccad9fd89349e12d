//! Why a connection cannot be had, or is no more, and whether a person must mend something.

use std::io;

use rustls::{AlertDescription, CertificateError};

use crate::output::{Problem, Verdict};

const MEND_IDENTITY: &str =
    "set client_cert_file and client_key_file to a certificate that the receiver accepts";

/// What went wrong at a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    reason: String,
    /// What a person must do before anything goes through; none if it may pass by itself.
    mend: Option<String>,
}

impl Failure {
    /// It may pass by itself.
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            mend: None,
        }
    }

    /// Nothing goes through until a person has done something.
    pub(super) fn lasting(reason: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            mend: Some(mend.into()),
        }
    }

    /// What reading from, writing to or connecting to a peer came to.
    pub(super) fn of_io(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|e| e.downcast_ref());
        match tls.and_then(mend_of) {
            Some(mend) => Self::lasting(error.to_string(), mend),
            None => Self::passing(error.to_string()),
        }
    }

    /// A receiver that asked for a client certificate has gone as soon as it saw it, or saw none.
    /// Many do not say why.
    pub(super) fn of_hang_up() -> Self {
        Self::lasting(
            "it asked for a client certificate and closed the connection after the TLS handshake",
            MEND_IDENTITY,
        )
    }

    /// The same with what was being done, and to whom.
    pub(super) fn while_doing(self, doing: &str, address: &str) -> Self {
        Self {
            reason: format!("{doing} syslog receiver {address} failed: {}", self.reason),
            ..self
        }
    }

    pub(super) fn is_lasting(&self) -> bool {
        self.mend.is_some()
    }

    /// What it means for a flight of which the first `delivered` are with the peer.
    pub(super) fn verdict(&self, delivered: usize) -> Verdict {
        let reason = self.reason.clone();
        match &self.mend {
            None => Verdict::Retry {
                delivered,
                reason,
                after: None,
            },
            Some(mend) => Verdict::Hold {
                delivered,
                reason,
                mend: mend.clone(),
            },
        }
    }

    /// What it means for a probe.
    pub(super) fn problem(self) -> Problem {
        Problem {
            reason: self.reason,
            mend: self.mend,
        }
    }
}

/// What to do about a fault of TLS that does not pass by itself.
fn mend_of(error: &rustls::Error) -> Option<&'static str> {
    match error {
        rustls::Error::InvalidCertificate(error) => Some(mend_of_certificate(error)),
        rustls::Error::AlertReceived(alert) => mend_of_alert(*alert),
        rustls::Error::InvalidMessage(_) => {
            Some("the receiver does not speak TLS there: correct the port or the transport")
        }
        rustls::Error::PeerIncompatible(_) | rustls::Error::NoCertificatesPresented => {
            Some("let the receiver offer TLS 1.2 or 1.3 with a certificate and a modern cipher")
        }
        _ => None,
    }
}

fn mend_of_certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "set ca_file to the authority that signed the receiver's certificate; the receiver \
             must send the certificates between the two"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "set server_name to a name that the receiver's certificate holds, or give the receiver \
             a certificate for the name by which it is addressed"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew the receiver's certificate, or set this machine's clock if it is wrong"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "set this machine's clock, or wait until the receiver's certificate becomes valid"
        }
        _ => "give the receiver a certificate that TLS servers may use",
    }
}

fn mend_of_alert(alert: AlertDescription) -> Option<&'static str> {
    match alert {
        AlertDescription::CertificateRequired
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => Some(MEND_IDENTITY),
        // What a TLS 1.2 server says when it misses a client certificate, too.
        AlertDescription::HandshakeFailure => Some(
            "set client_cert_file and client_key_file if the receiver wants a client certificate, \
             and let it offer a cipher that this agent has",
        ),
        AlertDescription::ProtocolVersion => Some("let the receiver offer TLS 1.2 or 1.3"),
        AlertDescription::UnrecognisedName => {
            Some("set server_name to a name that the receiver knows")
        }
        _ => None,
    }
}
