//! How many days certificates are still valid.

use std::path::Path;

use chrono::{DateTime, Utc};
use rustls::pki_types::CertificateDer;

use super::row::Rows;
use crate::config::{ServerTlsConfig, TlsConfig};
use crate::tls::certificate::valid_until;
use crate::tls::certificates;

/// A certificate that is valid for fewer days is worth a warning.
const WARN_DAYS: i64 = 30;
const CHECK: &str = "certificate";

/// The certificates that a peer has shown, its own first. One of those behind it that is of no use any
/// more does no harm where another way leads to an authority.
pub(super) fn shown(
    rows: &mut Rows,
    version: &str,
    chain: &[CertificateDer<'_>],
    now: DateTime<Utc>,
) {
    let mut ends = chain.iter().map(valid_until);
    let Some(Some(own)) = ends.next() else {
        rows.ok("tls", format!("{version}; the certificate tells no end"));
        return;
    };
    let earliest = ends.flatten().min().filter(|end| *end < own);
    let days = days(own, now);
    let what = format!("{version}, the certificate is valid for {}", told(own, now));
    let of_between = earliest.filter(|end| self::days(*end, now) < WARN_DAYS);
    if days < WARN_DAYS {
        rows.warning("tls", what, "renew the certificate of that server");
    } else if let Some(end) = of_between {
        let what = format!("{what}; one that it sends along for {}", told(end, now));
        rows.warning(
            "tls",
            what,
            "renew the chain of certificates of that server",
        );
    } else {
        rows.ok("tls", what);
    }
    rows.figure("days_left", days);
}

/// The files of certificates that a client uses.
pub(super) fn of_client(rows: &mut Rows, tls: &TlsConfig, now: DateTime<Utc>) {
    if let Some(path) = &tls.client_cert_file {
        of_file(rows, "client_cert_file", path, now);
    }
    if let Some(path) = &tls.ca_file {
        of_file(rows, "ca_file", path, now);
    }
}

/// The files of certificates that a listener uses.
pub(super) fn of_server(rows: &mut Rows, tls: &ServerTlsConfig, now: DateTime<Utc>) {
    of_file(rows, "cert_file", &tls.cert_file, now);
    if let Some(path) = &tls.client_ca_file {
        of_file(rows, "client_ca_file", path, now);
    }
}

fn of_file(rows: &mut Rows, key: &'static str, path: &Path, now: DateTime<Utc>) {
    let certificates = match certificates(key, path) {
        Ok(certificates) => certificates,
        Err(error) => return rows.failed(CHECK, error.to_string(), "mend the file"),
    };
    let Some(end) = certificates.iter().filter_map(valid_until).min() else {
        return rows.skipped(CHECK, format!("{key} {} tells no end", path.display()));
    };
    let name = format!("{key} {}", path.display());
    let mend = "put a renewed certificate there";
    let left = days(end, now);
    if end <= now {
        rows.failed(CHECK, format!("{name} expired {}", ago(end, now)), mend);
    } else if left < WARN_DAYS {
        rows.warning(
            CHECK,
            format!("{name} is valid for {}", told(end, now)),
            mend,
        );
    } else {
        rows.ok(CHECK, format!("{name} is valid for {}", told(end, now)));
    }
    rows.figure("days_left", left);
}

/// How long ago that was.
pub(super) fn ago(end: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} days ago ({})", -days(end, now), end.date_naive())
}

fn told(end: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} days (until {})", days(end, now), end.date_naive())
}

/// Whole days until then; below zero if it is past.
pub(super) fn days(end: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (end - now).num_seconds().div_euclid(86_400)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use chrono::TimeDelta;

    use super::*;
    use crate::cli::check::row::Outcome;

    fn fixture() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls/server.pem")
    }

    #[test]
    fn what_ends_soon_is_worth_a_warning_and_what_has_ended_a_failure() {
        let chain = certificates("cert_file", &fixture()).unwrap();
        let end = valid_until(&chain[0]).unwrap();
        for (days, shown_is, file_is) in [
            (400, Outcome::Ok, Outcome::Ok),
            (30, Outcome::Ok, Outcome::Ok),
            (29, Outcome::Warning, Outcome::Warning),
            (0, Outcome::Warning, Outcome::Failed),
        ] {
            let now = end - TimeDelta::days(days);
            let mut rows = Rows::new("x");
            shown(&mut rows, "TLS 1.3", &chain, now);
            of_file(&mut rows, "cert_file", &fixture(), now);
            let rows = rows.into_all();
            assert_eq!(rows[0].result, shown_is, "{days}: {rows:?}");
            assert_eq!(rows[1].result, file_is, "{days}: {rows:?}");
        }
    }
}
