//! How long a certificate is valid, as it says itself. Pure.

use chrono::{DateTime, NaiveDate, Utc};
use rustls::pki_types::CertificateDer;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`, the version: it is left out of the oldest certificates.
const VERSION: u8 = 0xa0;

/// When a certificate ends to be valid; none if it is not one.
#[must_use]
pub fn valid_until(certificate: &CertificateDer<'_>) -> Option<DateTime<Utc>> {
    let (whole, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(whole, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        (_, fields) = any_element(fields)?;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        (_, fields) = any_element(fields)?;
    }
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_, after) = any_element(validity)?;
    let &kind = after.first()?;
    let (text, _) = any_element(after)?;
    time(kind, std::str::from_utf8(text).ok()?)
}

/// `YYMMDDhhmmssZ`, whose years are those from 1950 to 2049, or `YYYYMMDDhhmmssZ`.
fn time(kind: u8, text: &str) -> Option<DateTime<Utc>> {
    let digits = text.strip_suffix('Z')?;
    let (year_digits, offset) = match kind {
        UTC_TIME => (2, 1900),
        GENERALIZED_TIME => (4, 0),
        _ => return None,
    };
    let number = |from: usize, length: usize| digits.get(from..from + length)?.parse::<u32>().ok();
    let mut year = number(0, year_digits)? + offset;
    if kind == UTC_TIME && year < 1950 {
        year += 100;
    }
    let two = |place: usize| number(year_digits + 2 * place, 2);
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, two(0)?, two(1)?)?;
    let moment = date.and_hms_opt(two(2)?, two(3)?, two(4)?)?;
    Some(moment.and_utc())
}

/// The content of the first element, which must be of this kind, and what follows it.
fn element(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    (bytes.first() == Some(&kind)).then(|| any_element(bytes))?
}

/// The content of the first element and what follows it.
fn any_element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.get(1..)?.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = digits.iter().try_fold(0_usize, |length, digit| {
            length.checked_mul(256)?.checked_add(usize::from(*digit))
        });
        (length?, rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls::pki_types::pem::PemObject;

    fn fixture() -> CertificateDer<'static> {
        let pem = include_bytes!("../../tests/fixtures/tls/server.pem");
        CertificateDer::from_pem_slice(pem).unwrap()
    }

    #[test]
    fn a_certificate_tells_its_end() {
        let end = valid_until(&fixture()).unwrap();
        // As `openssl x509 -enddate` shows it.
        assert_eq!(end.to_rfc3339(), "2126-10-29T05:59:59+00:00");
    }

    #[test]
    fn times_are_read_in_both_forms() {
        let shown = |kind, text| time(kind, text).map(|time| time.to_rfc3339());
        assert_eq!(
            shown(UTC_TIME, "491231235959Z").unwrap(),
            "2049-12-31T23:59:59+00:00"
        );
        assert_eq!(
            shown(UTC_TIME, "500101000000Z").unwrap(),
            "1950-01-01T00:00:00+00:00"
        );
        assert_eq!(
            shown(GENERALIZED_TIME, "21260101000000Z").unwrap(),
            "2126-01-01T00:00:00+00:00"
        );
        for wrong in ["", "Z", "4912312359Z", "991331235959Z", "ééééééZ"] {
            assert_eq!(shown(UTC_TIME, wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(place in 0..300_usize, value: u8, cut in 0..400_usize) {
            let mut der = fixture().to_vec();
            if let Some(byte) = der.get_mut(place) {
                *byte = value;
            }
            der.truncate(cut);
            let _ = valid_until(&CertificateDer::from(der));
        }
    }
}
