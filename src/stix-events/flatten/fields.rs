//! Fields as JSON text: `"name":value,` one after the other.

use std::borrow::Cow;

use crate::lanes;
use crate::names::Names;

/// Properties that are numbers, by name and never by value: an all-digit hash stays a text.
static NUMBERS: Names<14> = Names::new([
    "timestamp",
    "xElapsedTime",
    "scHttpStatus",
    "csContentBytes",
    "scContentBytes",
    "sReputation",
    "sPort",
    "cPort",
    "startTime",
    "endTime",
    "client.totalBytes",
    "server.totalBytes",
    "client.firstSeenPort",
    "server.firstSeenPort",
]);

/// The same of the fields of standard objects.
static OBJECT_NUMBERS: Names<6> = Names::new([
    "port",
    "fileSize",
    "sourcePort",
    "destinationPort",
    "httpPort",
    "httpStatus",
]);

/// Names that are ours, or that Splunk gives a meaning of its own.
static RESERVED: Names<87> = Names::new([
    "eventId",
    "recordType",
    "service",
    "collection",
    "packageId",
    "packageTimestamp",
    "packageIntent",
    "customer",
    "incidentId",
    "incidentTitle",
    "incidentUrl",
    "victim",
    "discoveryMethod",
    "confidence",
    "risk",
    "riskCategory",
    "tool",
    "toolName",
    "toolVendor",
    "campaign",
    "campaignName",
    "indicatorId",
    "activity",
    "flowType",
    "compositionOperator",
    "indicatorTitle",
    "indicatorType",
    "indicatorShortDescription",
    "indicatorDescription",
    "indicatorConfidence",
    "validFrom",
    "validUntil",
    "killChainPhase",
    "producer",
    "relatedIndicator",
    "incidentTime",
    "incidentCategory",
    "incidentStatus",
    "intendedEffect",
    "shortDescription",
    "description",
    "ttp",
    "ttpName",
    "malwareName",
    "exploitTarget",
    "exploitTargetName",
    "cve",
    "threatActor",
    "threatActorName",
    "courseOfAction",
    "courseOfActionName",
    "tlp",
    "markingStatement",
    "termsOfUse",
    "objectType",
    "observableId",
    "objectId",
    "relatedObject",
    "relationship",
    "parentObject",
    "parentRelationship",
    "packageTitle",
    "packageSource",
    "undefinedMarking",
    "impactQualification",
    "impactEffect",
    "impactAssetLosses",
    "impactDisruption",
    "impactRecoveryCosts",
    "impactCompetitiveLoss",
    "impactBrandDamage",
    "impactOperatingCosts",
    "impactLegalCosts",
    "impactInitialLoss",
    "impactInitialLossCurrency",
    "impactActualLoss",
    "impactActualLossCurrency",
    "indicatorNegated",
    "observableNegated",
    "host",
    "source",
    "sourcetype",
    "index",
    "time",
    "punct",
    "linecount",
    "splunk_server",
]);

/// The longest number of digits that every JSON reader holds exactly in 64 bits.
const MAX_DIGITS: usize = 18;

/// Appends `"name":"value",`.
pub(super) fn push(out: &mut Vec<u8>, name: &str, value: &str) {
    push_name(out, name.as_bytes());
    push_text(out, value.as_bytes());
    out.push(b',');
}

/// Appends `"name":"value",` unless the value is empty.
pub(super) fn push_present(out: &mut Vec<u8>, name: &str, value: &str) {
    if !value.is_empty() {
        push(out, name, value);
    }
}

/// Appends `"name":"value",` unless there is no value; several are joined by `"; "`.
pub(super) fn push_joined(out: &mut Vec<u8>, name: &str, values: &[impl AsRef<str>]) {
    if let Some(value) = join(values) {
        push(out, name, &value);
    }
}

/// Several values as one, none as none.
pub(super) fn join(values: &[impl AsRef<str>]) -> Option<Cow<'_, str>> {
    match values {
        [] => None,
        [one] => Some(Cow::Borrowed(one.as_ref())),
        [first, rest @ ..] => {
            let mut joined = first.as_ref().to_owned();
            for value in rest {
                joined.push_str("; ");
                joined.push_str(value.as_ref());
            }
            Some(Cow::Owned(joined))
        }
    }
}

/// What the field of a property is called.
pub(super) fn field_name(name: &[u8]) -> Cow<'_, [u8]> {
    if name.is_empty() || name.starts_with(b"_") || RESERVED.contains(name) {
        Cow::Owned([b"property_", name].concat())
    } else {
        Cow::Borrowed(name)
    }
}

/// Whether the values of this field are numbers; those of standard objects have names of their own too.
pub(super) fn is_number(is_standard: bool, name: &[u8]) -> bool {
    NUMBERS.contains(name) || (is_standard && OBJECT_NUMBERS.contains(name))
}

/// Appends a value; what is to be a number and is none stays a text.
#[inline]
pub(super) fn push_value(out: &mut Vec<u8>, is_number: bool, value: &[u8]) {
    if !(is_number && push_number(out, value.trim_ascii())) {
        push_text(out, value);
    }
}

/// Appends the number, unless it is none.
fn push_number(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_number = digits.iter().all(u8::is_ascii_digit);
    if digits.is_empty() || digits.len() > MAX_DIGITS || !is_number {
        return false;
    }
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    match digits.get(zeros..) {
        None | Some([]) => out.push(b'0'),
        Some(digits) => {
            if text.starts_with(b"-") {
                out.push(b'-');
            }
            out.extend_from_slice(digits);
        }
    }
    true
}

/// Appends `"name":`.
#[inline]
pub(super) fn push_name(out: &mut Vec<u8>, name: &[u8]) {
    push_text(out, name);
    out.push(b':');
}

#[inline]
fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    if !is_escaped(text) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text);
        return out.push(b'"');
    }
    let Ok(text) = str::from_utf8(text) else {
        // It is refused with its line, and not left out.
        return out.extend_from_slice(text);
    };
    // Writing to a vector and serializing a text cannot fail.
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Whether JSON writes it with escapes: quotes, backslashes and control characters. Most texts are short
/// and have none of them.
#[inline]
fn is_escaped(text: &[u8]) -> bool {
    let found = |bytes: [u8; 8]| {
        let lanes = u64::from_le_bytes(bytes);
        lanes::below(lanes, b' ') | lanes::of_byte(lanes, b'"') | lanes::of_byte(lanes, b'\\')
    };
    let (chunks, rest) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    for (lane, byte) in last.iter_mut().zip(rest) {
        *lane = *byte;
    }
    chunks
        .iter()
        .fold(found(last), |all, chunk| all | found(*chunk))
        != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_json_writes_it() {
        let all: String = (0..0x100).filter_map(char::from_u32).collect();
        for text in [
            "",
            "plain",
            "größe \u{7f}",
            "\"",
            "\\",
            "\u{1}\n",
            all.as_str(),
        ] {
            let mut out = Vec::new();
            push_text(&mut out, text.as_bytes());
            assert_eq!(out, serde_json::to_vec(text).unwrap(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_not_left_out() {
        for damaged in [&b"a\xff"[..], b"\"\xff"] {
            let mut out = Vec::new();
            push_text(&mut out, damaged);
            assert!(str::from_utf8(&out).is_err(), "{out:?}");
        }
    }

    proptest::proptest! {
        /// Whatever stands beside it, at each place of a lane.
        #[test]
        fn what_is_escaped(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)) {
            let is_one = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
            proptest::prop_assert_eq!(is_escaped(&text), text.iter().any(is_one));
        }
    }

    #[track_caller]
    fn check(name: &str, value: &str, expect: &str) {
        check_of(false, name, value, expect);
    }

    #[track_caller]
    fn check_of(is_standard: bool, name: &str, value: &str, expect: &str) {
        let mut out = Vec::new();
        let is_number = is_number(is_standard, name.as_bytes());
        push_value(&mut out, is_number, value.as_bytes());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            expect,
            "{name} = {value:?}"
        );
    }

    #[test]
    fn numbers_by_name_never_by_value() {
        check("timestamp", "1421623882432", "1421623882432");
        check("sReputation", " -580\n", "-580");
        check("scHttpStatus", "007", "7");
        check("xElapsedTime", "-0", "0");
        check("xElapsedTime", "999999999999999999", "999999999999999999");
        check(
            "xElapsedTime",
            "1000000000000000000",
            "\"1000000000000000000\"",
        );
        for text in ["", "-", "1.5", "+1", "1e3", "0x10", "１", "1 2", "--1"] {
            check("sPort", text, &format!("{text:?}"));
        }
        check(
            "scMD5",
            "12345678901234567890123456789012",
            "\"12345678901234567890123456789012\"",
        );
        check("cIP", "7", "\"7\"");
        // What a Custom object calls a port is its own affair.
        check("port", "80", "\"80\"");
        check_of(true, "port", "80", "80");
        check_of(true, "port", "http", "\"http\"");
        check_of(true, "md5", "80", "\"80\"");
    }

    #[test]
    fn the_documentation_names_them_all() {
        let page = include_str!("../../../docs/events.md");
        let (numbers, others): (Vec<_>, Vec<_>) = page
            .lines()
            .filter(|line| line.starts_with("| `"))
            .partition(|line| line.contains("| number"));
        for name in OBJECT_NUMBERS.iter() {
            let quoted = format!("`{name}`");
            assert!(numbers.iter().any(|row| row.contains(&quoted)), "{name}");
        }
        for name in NUMBERS.iter() {
            let quoted = format!("`{name}`");
            assert!(numbers.iter().any(|row| row.contains(&quoted)), "{name}");
            assert!(!others.iter().any(|row| row.contains(&quoted)), "{name}");
        }
        for name in RESERVED.iter() {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn names_that_would_clash() {
        assert_eq!(*field_name(b"host"), *b"property_host");
        assert_eq!(*field_name(b"_time"), *b"property__time");
        assert_eq!(*field_name(b"eventId"), *b"property_eventId");
        assert_eq!(*field_name(b""), *b"property_");
        assert_eq!(*field_name(b"sIP"), *b"sIP");
        assert_eq!(*field_name(b"Host"), *b"Host");
    }
}
