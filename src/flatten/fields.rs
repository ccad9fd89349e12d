//! Fields as JSON text: `"name":value,` one after the other.

use std::borrow::Cow;
use std::collections::HashMap;

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
    push_text(out, name);
    out.push(b':');
    push_text(out, value);
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
    let fields: Vec<(Cow<'_, str>, &str)> = properties
        .iter()
        .map(|(name, value)| (field_name(name), value))
        .collect();
    if !has_repeated_names(&fields) {
        for (name, value) in &fields {
            push_text(out, name);
            out.push(b':');
            push_value(out, kind, name, value);
            out.push(b',');
        }
        return;
    }
    let mut values: HashMap<&str, Vec<&str>> = HashMap::new();
    for (name, value) in &fields {
        values.entry(name).or_default().push(value);
    }
    for (name, _) in &fields {
        match values.remove(name.as_ref()).as_deref() {
            None => continue,
            Some([value]) => {
                push_text(out, name);
                out.push(b':');
                push_value(out, kind, name, value);
            }
            Some(several) => {
                push_text(out, name);
                out.extend_from_slice(b":[");
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

fn field_name(name: &str) -> Cow<'_, str> {
    if name.is_empty() || name.starts_with('_') || RESERVED.contains(name) {
        Cow::Owned(format!("property_{name}"))
    } else {
        Cow::Borrowed(name)
    }
}

fn has_repeated_names(fields: &[(Cow<'_, str>, &str)]) -> bool {
    /// Up to this many, comparing each with each is quicker than a set.
    const FEW: usize = 32;
    if fields.len() > FEW {
        let mut seen = std::collections::HashSet::with_capacity(fields.len());
        return fields.iter().any(|(name, _)| !seen.insert(name.as_ref()));
    }
    // Names of another length or another end differ.
    let mut seen = 0_u64;
    fields.iter().enumerate().any(|(place, (name, _))| {
        let last = name.as_bytes().last().copied().unwrap_or_default();
        let bit = 1 << ((usize::from(last) ^ (name.len() << 2)) % 64);
        let may_be_there = seen & bit != 0;
        seen |= bit;
        let mut before = fields.iter().take(place);
        may_be_there && before.any(|(other, _)| other == name)
    })
}

fn push_value(out: &mut Vec<u8>, kind: ObjectKind<'_>, name: &str, value: &str) {
    let is_number = NUMBERS.contains(name)
        || (matches!(kind, ObjectKind::Standard(_)) && OBJECT_NUMBERS.contains(name));
    match is_number.then(|| number(value)).flatten() {
        Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
        None => push_text(out, value),
    }
}

fn number(value: &str) -> Option<i64> {
    let trimmed = value.trim_ascii();
    let digits = trimmed.strip_prefix('-').unwrap_or(trimmed);
    if digits.len() > MAX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    trimmed.parse().ok()
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    if !is_escaped(text) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        return out.push(b'"');
    }
    // Writing to a vector and serializing a text cannot fail.
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Whether JSON writes it with escapes. Most texts have none, and all bytes at once are looked at
/// quicker than one after the other.
fn is_escaped(text: &str) -> bool {
    let escapes =
        |byte: u8| u8::from(byte < b' ') | u8::from(byte == b'"') | u8::from(byte == b'\\');
    text.bytes().fold(0, |found, byte| found | escapes(byte)) != 0
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
            push_text(&mut out, text);
            assert_eq!(out, serde_json::to_vec(text).unwrap(), "{text:?}");
        }
    }

    #[track_caller]
    fn check(name: &str, value: &str, expect: &str) {
        check_of(ObjectKind::Custom("cta:webflow"), name, value, expect);
    }

    #[track_caller]
    fn check_of(kind: ObjectKind<'_>, name: &str, value: &str, expect: &str) {
        let mut out = Vec::new();
        push_value(&mut out, kind, name, value);
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
        assert_eq!(field_name("host"), "property_host");
        assert_eq!(field_name("_time"), "property__time");
        assert_eq!(field_name("eventId"), "property_eventId");
        assert_eq!(field_name(""), "property_");
        assert_eq!(field_name("sIP"), "sIP");
        assert_eq!(field_name("Host"), "Host");
    }
}
