//! The body as QRadar's Log Event Extended Format:
//! `LEEF:2.0|Vendor|Product|Version|EventID|x09|key=value<TAB>key=value`.
//!
//! LEEF has no escapes: what would end a field is replaced by a space.

use std::borrow::Cow;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _};

use super::cef::class_id;
use super::escape::{REPLACEMENT, beginning, push_escaped};
use super::fields::Fields;
use super::keys::Keys;
use super::kind::Kind;
use super::severity::Rating;
use crate::event::Event;

const BEFORE_EVENT_ID: &str = concat!(
    "LEEF:2.0|Cisco|Cognitive Threat Analytics|",
    env!("CARGO_PKG_VERSION"),
    "|"
);
const MAX_EVENT_ID_BYTES: usize = 255;

/// As Java's `SimpleDateFormat` reads what [`TIME_FORMAT`] writes.
const DEV_TIME_FORMAT: &str = "yyyy-MM-dd'T'HH:mm:ss.SSSZ";
const TIME_FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.3f+0000";

/// Before a property that has the name of a key to which LEEF gives a meaning.
const FOREIGN_PREFIX: &str = "property_";

/// A field with its predefined key. The event's time is not in here: it is always `devTime`.
type Entry = (&'static str, &'static str, Kind);

static PREDEFINED: [Entry; 30] = [
    ("incidentTitle", "cat", Kind::Text),
    ("cIP", "src", Kind::Ipv4),
    ("cIP", "src", Kind::Ipv6),
    ("client.ip", "src", Kind::Ipv4),
    ("client.ip", "src", Kind::Ipv6),
    ("sIP", "dst", Kind::Ipv4),
    ("sIP", "dst", Kind::Ipv6),
    ("server.ip", "dst", Kind::Ipv4),
    ("server.ip", "dst", Kind::Ipv6),
    ("cPort", "srcPort", Kind::Port),
    ("client.firstSeenPort", "srcPort", Kind::Port),
    ("sPort", "dstPort", Kind::Port),
    ("server.firstSeenPort", "dstPort", Kind::Port),
    ("client.macAddress", "srcMAC", Kind::Mac),
    ("server.macAddress", "dstMAC", Kind::Mac),
    ("cUsername", "usrName", Kind::Text),
    ("networkProtocol", "proto", Kind::Text),
    ("csContentBytes", "srcBytes", Kind::Amount),
    ("client.totalBytes", "srcBytes", Kind::Amount),
    ("scContentBytes", "dstBytes", Kind::Amount),
    ("server.totalBytes", "dstBytes", Kind::Amount),
    ("csUrl", "url", Kind::Text),
    ("sourceAddress", "src", Kind::Ipv4),
    ("sourceAddress", "src", Kind::Ipv6),
    ("destinationAddress", "dst", Kind::Ipv4),
    ("destinationAddress", "dst", Kind::Ipv6),
    ("sourcePort", "srcPort", Kind::Port),
    ("destinationPort", "dstPort", Kind::Port),
    ("username", "usrName", Kind::Text),
    ("uri", "url", Kind::Text),
];

/// All keys to which LEEF gives a meaning.
static MEANINGFUL: [&str; 46] = [
    "accountName",
    "AttributeLimits",
    "calCountryOrRegion",
    "calLanguage",
    "cat",
    "devTime",
    "devTimeFormat",
    "domain",
    "dst",
    "dstBytes",
    "dstMAC",
    "dstPackets",
    "dstPort",
    "dstPostNAT",
    "dstPostNATPort",
    "dstPreNAT",
    "dstPreNATPort",
    "groupID",
    "identGrpName",
    "identHostName",
    "identMAC",
    "identNetBios",
    "identSecondlp",
    "identSrc",
    "isLoginEvent",
    "isLogoutEvent",
    "policy",
    "proto",
    "realm",
    "resource",
    "role",
    "sev",
    "src",
    "srcBytes",
    "srcMAC",
    "srcPackets",
    "srcPort",
    "srcPostNAT",
    "srcPostNATPort",
    "srcPreNAT",
    "srcPreNATPort",
    "totalPackets",
    "url",
    "usrName",
    "vSrc",
    "vSrcName",
];

/// Appends the header and all fields.
pub(super) fn push(event: &Event, fields: &Fields<'_>, message: &mut String) {
    message.push_str(BEFORE_EVENT_ID);
    push_escaped(
        beginning(&class_id(event, fields), MAX_EVENT_ID_BYTES),
        message,
        replace_header,
    );
    // Writing to a string cannot fail.
    let _ = write!(message, "|x09|sev={}", Rating::of(fields).leef());
    let has_time = push_time(event, message);
    let time = event.time_ms.to_string();
    let mut keys = Keys::for_fields(fields.0.len());
    for field in &fields.0 {
        for item in field.value.items() {
            let value = item.as_str();
            if has_time && field.name == "timestamp" && value == time {
                continue;
            }
            push_field(&field.name, value, &mut keys, message);
        }
    }
}

/// Appends the time, if it has a year of four digits.
fn push_time(event: &Event, message: &mut String) -> bool {
    match DateTime::from_timestamp_millis(event.time_ms) {
        Some(time) if (0..=9999).contains(&time.year()) => {
            let time = time.format(TIME_FORMAT);
            let _ = write!(message, "\tdevTime={time}\tdevTimeFormat={DEV_TIME_FORMAT}");
            true
        }
        _ => false,
    }
}

fn push_field<'a>(name: &'a str, value: &str, keys: &mut Keys<'a>, message: &mut String) {
    for (_, key, kind) in PREDEFINED.iter().filter(|(field, ..)| *field == name) {
        if kind.hold(value).is_some() && keys.take(key) {
            push_pair(key, value, message);
            return;
        }
    }
    let key = keys.take_numbered(own_key(name));
    push_pair(&key, value, message);
}

fn push_pair(key: &str, value: &str, message: &mut String) {
    message.push('\t');
    message.push_str(key);
    message.push('=');
    push_escaped(value, message, replace_value);
}

/// Letters, digits and `_`; one character for each, so that no name can become that of another
/// field of ours.
fn own_key(name: &str) -> Cow<'_, str> {
    if name.is_empty() {
        return Cow::Borrowed("_");
    }
    if MEANINGFUL.iter().any(|key| key.eq_ignore_ascii_case(name)) {
        return Cow::Owned(format!("{FOREIGN_PREFIX}{name}"));
    }
    let is_foreign = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    if name.contains(is_foreign) {
        return Cow::Owned(name.replace(is_foreign, "_"));
    }
    Cow::Borrowed(name)
}

fn replace_header(byte: u8) -> Option<&'static str> {
    match byte {
        b'|' => Some(" "),
        _ => replace_value(byte),
    }
}

fn replace_value(byte: u8) -> Option<&'static str> {
    match byte {
        b'\t' | b'\n' | b'\r' => Some(" "),
        0 => Some(REPLACEMENT),
        _ => None,
    }
}
