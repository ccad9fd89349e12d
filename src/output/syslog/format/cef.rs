//! The body as ArcSight's Common Event Format:
//! `CEF:0|Vendor|Product|Version|ClassID|Name|Severity|key=value key=value`.

use std::fmt::Write as _;

use super::escape::{REPLACEMENT, beginning, push_escaped};
use super::fields::Fields;
use super::keys::Keys;
use super::kind::Kind;
use super::severity::Rating;
use crate::event::Event;

const BEFORE_CLASS_ID: &str = concat!(
    "CEF:0|Cisco|Cognitive Threat Analytics|",
    env!("CARGO_PKG_VERSION"),
    "|"
);
const MAX_CLASS_ID_BYTES: usize = 1023;
const MAX_NAME_BYTES: usize = 512;

/// Before the names of fields that the dictionary does not know.
const OWN_PREFIX: &str = "cta";

/// A place in the dictionary for a field.
struct Entry {
    field: &'static str,
    key: &'static str,
    kind: Kind,
    label: Label,
}

/// What the key's own label says.
enum Label {
    /// It has none.
    None,
    /// The name of the field.
    Field,
    Text(&'static str),
}

/// The first entry of a field whose key is free and can hold the value has it. The event's time is
/// not in here: it is always `rt`.
static DICTIONARY: [Entry; 62] = [
    plain("eventId", "externalId", Kind::Text),
    plain("incidentTitle", "cat", Kind::Text),
    plain("activity", "msg", Kind::Text),
    labelled("incidentId", "cs1", Kind::Text),
    labelled("incidentUrl", "cs2", Kind::Text),
    labelled("victim", "cs3", Kind::Text),
    labelled("confidence", "cs4", Kind::Text),
    labelled("riskCategory", "cs5", Kind::Text),
    labelled("campaign", "cs6", Kind::Text),
    labelled("risk", "cn1", Kind::Integer),
    labelled("sReputation", "cn2", Kind::Integer),
    labelled("scHttpStatus", "cn3", Kind::Integer),
    labelled("packageTimestamp", "deviceCustomDate1", Kind::Instant),
    labelled("pDNSProbability", "cfp1", Kind::Decimal),
    plain("startTime", "start", Kind::Integer),
    plain("endTime", "end", Kind::Integer),
    plain("cIP", "src", Kind::Ipv4),
    ipv6("cIP", "c6a2", "Source IPv6 Address"),
    plain("client.ip", "src", Kind::Ipv4),
    ipv6("client.ip", "c6a2", "Source IPv6 Address"),
    plain("sIP", "dst", Kind::Ipv4),
    ipv6("sIP", "c6a3", "Destination IPv6 Address"),
    plain("server.ip", "dst", Kind::Ipv4),
    ipv6("server.ip", "c6a3", "Destination IPv6 Address"),
    plain("cPort", "spt", Kind::Port),
    plain("client.firstSeenPort", "spt", Kind::Port),
    plain("sPort", "dpt", Kind::Port),
    plain("server.firstSeenPort", "dpt", Kind::Port),
    plain("client.macAddress", "smac", Kind::Mac),
    plain("server.macAddress", "dmac", Kind::Mac),
    plain("pDNSHostname", "dhost", Kind::Text),
    plain("cUsername", "suser", Kind::Text),
    plain("networkProtocol", "proto", Kind::Text),
    // Of the dictionary's two directions, "in" flows from the source to the destination.
    plain("csContentBytes", "in", Kind::Amount),
    plain("client.totalBytes", "in", Kind::Amount),
    plain("scContentBytes", "out", Kind::Amount),
    plain("server.totalBytes", "out", Kind::Amount),
    plain("csUrl", "request", Kind::Text),
    plain("csReferer", "requestContext", Kind::Text),
    plain("csUserAgent", "requestClientApplication", Kind::Text),
    plain("scResultCode", "outcome", Kind::Text),
    plain("scFileName", "fname", Kind::Text),
    plain("scContentType", "fileType", Kind::Text),
    plain("scSHA256", "fileHash", Kind::Text),
    plain("scMD5", "fileHash", Kind::Text),
    plain("sourceAddress", "src", Kind::Ipv4),
    ipv6("sourceAddress", "c6a2", "Source IPv6 Address"),
    plain("destinationAddress", "dst", Kind::Ipv4),
    ipv6("destinationAddress", "c6a3", "Destination IPv6 Address"),
    plain("sourcePort", "spt", Kind::Port),
    plain("destinationPort", "dpt", Kind::Port),
    plain("sourceHostname", "shost", Kind::Text),
    plain("destinationHostname", "dhost", Kind::Text),
    plain("username", "suser", Kind::Text),
    plain("uri", "request", Kind::Text),
    plain("httpMethod", "requestMethod", Kind::Text),
    plain("httpUserAgent", "requestClientApplication", Kind::Text),
    plain("fileName", "fname", Kind::Text),
    plain("filePath", "filePath", Kind::Text),
    plain("sha256", "fileHash", Kind::Text),
    plain("sha1", "fileHash", Kind::Text),
    plain("md5", "fileHash", Kind::Text),
];

const fn plain(field: &'static str, key: &'static str, kind: Kind) -> Entry {
    let label = Label::None;
    Entry {
        field,
        key,
        kind,
        label,
    }
}

const fn labelled(field: &'static str, key: &'static str, kind: Kind) -> Entry {
    let label = Label::Field;
    Entry {
        field,
        key,
        kind,
        label,
    }
}

const fn ipv6(field: &'static str, key: &'static str, label: &'static str) -> Entry {
    Entry {
        field,
        key,
        kind: Kind::Ipv6,
        label: Label::Text(label),
    }
}

/// Appends the header and all fields.
pub(super) fn push(event: &Event, fields: &Fields<'_>, message: &mut String) {
    message.push_str(BEFORE_CLASS_ID);
    push_escaped(
        beginning(&class_id(event, fields), MAX_CLASS_ID_BYTES),
        message,
        escape_header,
    );
    message.push('|');
    let record_type = event.record_type.as_str();
    let name = ["activity", "incidentTitle", "indicatorTitle"]
        .into_iter()
        .filter_map(|name| fields.get(name))
        .find(|name| !name.is_empty())
        .unwrap_or(record_type);
    push_escaped(beginning(name, MAX_NAME_BYTES), message, escape_header);
    // Writing to a string cannot fail.
    let severity = Rating::of(fields).cef();
    let _ = write!(message, "|{severity}|rt={}", event.time_ms);
    push_extension(event, fields, message);
}

/// What kind of event this is, whatever it tells: `flow/cta:webflow`, `incident`,
/// `observable/File`.
pub(super) fn class_id(event: &Event, fields: &Fields<'_>) -> String {
    let record_type = event.record_type.as_str();
    match fields.get("flowType").or_else(|| fields.get("objectType")) {
        Some(kind) => format!("{record_type}/{kind}"),
        None => record_type.to_owned(),
    }
}

fn push_extension(event: &Event, fields: &Fields<'_>, message: &mut String) {
    let time = event.time_ms.to_string();
    let mut keys = Keys::for_fields(fields.0.len());
    for field in &fields.0 {
        for item in field.value.items() {
            let value = item.as_str();
            if field.name == "timestamp" && value == time {
                continue;
            }
            push_field(&field.name, value, &mut keys, message);
        }
    }
}

fn push_field(name: &str, value: &str, keys: &mut Keys<'_>, message: &mut String) {
    for entry in DICTIONARY.iter().filter(|entry| entry.field == name) {
        let Some(value) = entry.kind.hold(value) else {
            continue;
        };
        if keys.take(entry.key) {
            push_pair(entry.key, &value, message);
            let label = match entry.label {
                Label::None => return,
                Label::Field => entry.field,
                Label::Text(label) => label,
            };
            let _ = write!(message, " {}Label={label}", entry.key);
            return;
        }
    }
    let key = keys.take_numbered(own_key(name).into());
    push_pair(&key, value, message);
}

fn push_pair(key: &str, value: &str, message: &mut String) {
    message.push(' ');
    message.push_str(key);
    message.push('=');
    push_escaped(value, message, escape_value);
}

/// `ctaServerIp` for `server.ip`: a key has letters and digits alone.
fn own_key(name: &str) -> String {
    let mut key = String::with_capacity(OWN_PREFIX.len() + name.len());
    key.push_str(OWN_PREFIX);
    let mut begins_word = true;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() {
            begins_word = true;
            continue;
        }
        key.push(if begins_word {
            c.to_ascii_uppercase()
        } else {
            c
        });
        begins_word = false;
    }
    key
}

fn escape_header(byte: u8) -> Option<&'static str> {
    match byte {
        b'|' => Some("\\|"),
        b'\\' => Some("\\\\"),
        b'\n' | b'\r' => Some(" "),
        0 => Some(REPLACEMENT),
        _ => None,
    }
}

fn escape_value(byte: u8) -> Option<&'static str> {
    match byte {
        b'=' => Some("\\="),
        b'\\' => Some("\\\\"),
        b'\n' => Some("\\n"),
        b'\r' => Some("\\r"),
        0 => Some(REPLACEMENT),
        _ => None,
    }
}
