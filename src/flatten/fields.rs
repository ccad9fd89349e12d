//! Fields as JSON text: `"name":value,` one after the other.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::names::Names;
use crate::stix::{ObjectKind, PropertiesView};

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

/// Appends the properties of an object; those of one name become an array where the first stands.
pub(super) fn push_properties(
    out: &mut Vec<u8>,
    kind: ObjectKind<'_>,
    properties: PropertiesView<'_>,
) {
    let fields: Fields<'_> = properties
        .iter()
        .map(|(name, value)| (field_name(name), value))
        .collect();
    if !has_repeated_names(&fields) {
        for (name, value) in &fields {
            push_name(out, name);
            push_value(out, kind, name, value);
            out.push(b',');
        }
        return;
    }
    for (name, values) in by_name(&fields) {
        push_name(out, name);
        match values.as_slice() {
            [value] => push_value(out, kind, name, value),
            several => {
                out.push(b'[');
                for (place, value) in several.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    push_value(out, kind, name, value);
                }
                out.push(b']');
            }
        }
        out.push(b',');
    }
}

/// Names and values, in UTF-8.
type Fields<'a> = Vec<(Cow<'a, [u8]>, &'a [u8])>;

#[inline]
fn field_name(name: &[u8]) -> Cow<'_, [u8]> {
    if name.is_empty() || name.starts_with(b"_") || RESERVED.contains(name) {
        Cow::Owned([b"property_", name].concat())
    } else {
        Cow::Borrowed(name)
    }
}

/// Up to so many names, comparing each with each is quicker than a table.
const FEW: usize = 32;

fn has_repeated_names(fields: &Fields<'_>) -> bool {
    if fields.len() > FEW {
        let mut seen = HashSet::with_capacity(fields.len());
        return fields.iter().any(|(name, _)| !seen.insert(name.as_ref()));
    }
    // Names of another length or another end differ.
    let mut seen = 0_u64;
    fields.iter().enumerate().any(|(place, (name, _))| {
        let last = name.last().copied().unwrap_or_default();
        let bit = 1 << ((usize::from(last) ^ (name.len() << 2)) % 64);
        let may_be_there = seen & bit != 0;
        seen |= bit;
        let mut before = fields.iter().take(place);
        may_be_there && before.any(|(other, _)| other == name)
    })
}

/// The values of each name, in the order in which the names come first.
fn by_name<'f>(fields: &'f Fields<'_>) -> Vec<(&'f [u8], Vec<&'f [u8]>)> {
    let mut found: Vec<(&[u8], Vec<&[u8]>)> = Vec::with_capacity(fields.len());
    let mut places = HashMap::new();
    for (name, value) in fields {
        let place = if fields.len() > FEW {
            let next = found.len();
            Some(*places.entry(name.as_ref()).or_insert(next)).filter(|place| *place < next)
        } else {
            found.iter().position(|(other, _)| *other == name.as_ref())
        };
        match place.and_then(|place| found.get_mut(place)) {
            Some((_, values)) => values.push(value),
            None => found.push((name, vec![value])),
        }
    }
    found
}

fn push_value(out: &mut Vec<u8>, kind: ObjectKind<'_>, name: &[u8], value: &[u8]) {
    let is_number = NUMBERS.contains(name)
        || (matches!(kind, ObjectKind::Standard(_)) && OBJECT_NUMBERS.contains(name));
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

#[inline]
fn push_name(out: &mut Vec<u8>, name: &[u8]) {
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
/// and have none of them: eight bytes are looked at at once, each in its own lane of a number.
#[inline]
fn is_escaped(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGH_BITS: u64 = ONES << 7;
    // The high bit of a lane that is zero, and perhaps of those above it.
    let zeros = |lanes: u64| lanes.wrapping_sub(ONES) & !lanes & HIGH_BITS;
    let found = |lanes: u64| {
        let controls = lanes.wrapping_sub(ONES * u64::from(b' ')) & !lanes & HIGH_BITS;
        let quotes = zeros(lanes ^ (ONES * u64::from(b'"')));
        let backslashes = zeros(lanes ^ (ONES * u64::from(b'\\')));
        controls | quotes | backslashes
    };
    let (chunks, rest) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    for (lane, byte) in last.iter_mut().zip(rest) {
        *lane = *byte;
    }
    let mut all = found(u64::from_le_bytes(last));
    for chunk in chunks {
        all |= found(u64::from_le_bytes(*chunk));
    }
    all != 0
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
        check_of(ObjectKind::Custom("cta:webflow"), name, value, expect);
    }

    #[track_caller]
    fn check_of(kind: ObjectKind<'_>, name: &str, value: &str, expect: &str) {
        let mut out = Vec::new();
        push_value(&mut out, kind, name.as_bytes(), value.as_bytes());
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
        check_of(ObjectKind::Standard("Port"), "port", "80", "80");
        check_of(ObjectKind::Standard("Port"), "port", "http", "\"http\"");
        check_of(ObjectKind::Standard("File"), "md5", "80", "\"80\"");
    }

    #[test]
    fn the_documentation_names_them_all() {
        let page = include_str!("../../docs/events.md");
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
