//! What a person must do about a fault of TLS: most of them do not pass by themselves.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

/// For a receiver that wants to know who we are.
pub const MEND_IDENTITY: &str =
    "set client_cert_file and client_key_file to a certificate that the receiver accepts";

/// What to do about an error whose cause is a fault of TLS that does not pass by itself.
#[must_use]
pub fn mend(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = of_tls(error) {
            return mend_of(tls);
        }
        cause = error.source();
    }
    None
}

/// Since when the certificate of a peer is not valid any more, in seconds since 1970, if that is the
/// fault.
#[must_use]
pub fn expired_at(error: &(dyn Error + 'static)) -> Option<u64> {
    match of_tls(error)? {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after, ..
        }) => Some(not_after.as_secs()),
        _ => None,
    }
}

/// What an I/O error carries does not show as its source.
fn of_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref() {
        return Some(tls);
    }
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    of_tls(inner)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_below_whatever_carries_it() {
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let nested = io::Error::other(io::Error::other(unknown()));
        for error in [io::Error::other(unknown()), nested] {
            let mend = mend(&error).unwrap();
            assert!(mend.contains("ca_file"), "{mend}");
        }
        assert_eq!(mend(&io::Error::other("reset")), None);
        let closed = rustls::Error::AlertReceived(AlertDescription::CloseNotify);
        assert_eq!(mend(&io::Error::other(closed)), None);
    }
}
