//! The header of a message, to the letter of RFC 5424 and RFC 3164.

use chrono::{DateTime, NaiveDateTime};
use serde::Serialize;

use super::structured_data::{self, SyslogElement};

const BOM: char = '\u{feff}';

/// What stands before the body of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyslogHeader {
    /// The format that it keeps to.
    pub format: SyslogFormat,
    /// 8 times the facility plus the severity.
    pub priority: u8,
    /// As it was written.
    pub timestamp: Option<String>,
    /// HOSTNAME.
    pub host: Option<String>,
    /// APP-NAME, or the TAG of RFC 3164.
    pub app_name: Option<String>,
    /// PROCID, or what stands in brackets behind the TAG.
    pub process_id: Option<String>,
    /// MSGID.
    pub message_id: Option<String>,
    /// STRUCTURED-DATA.
    pub structured_data: Vec<SyslogElement>,
    /// Whether a byte order mark stands before the body.
    pub has_bom: bool,
}

/// The format of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyslogFormat {
    /// The one of today.
    Rfc5424,
    /// The one of before, as BSD had it.
    Rfc3164,
}

/// The header is not as its format asks for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("the priority is not a number from 0 to 191 in angle brackets")]
    Priority,
    #[error("{field} is not 1 to {max} printable ASCII characters with a space behind them")]
    Field { field: &'static str, max: usize },
    #[error("the timestamp {found:?} is not one")]
    Timestamp { found: String },
    #[error(transparent)]
    StructuredData(#[from] structured_data::StructuredDataError),
    #[error("no space before the message")]
    NoSpace,
    #[error("TAG is not 1 to 32 letters and digits with a bracket, a colon or a space behind them")]
    Tag,
}

/// Header and body of a message: the old format is what does not say that it is the new one.
pub(super) fn read(text: &str) -> Result<(SyslogHeader, &str), HeaderError> {
    let (priority, rest) = priority(text).ok_or(HeaderError::Priority)?;
    match rest.strip_prefix("1 ") {
        Some(rest) => rfc5424(priority, rest),
        None => rfc3164(priority, rest),
    }
}

fn priority(text: &str) -> Option<(u8, &str)> {
    let (digits, rest) = text.strip_prefix('<')?.split_once('>')?;
    let priority: u8 = digits.parse().ok()?;
    // Also without a zero or a plus before it.
    (priority <= 191 && priority.to_string() == digits).then_some((priority, rest))
}

fn rfc5424(priority: u8, rest: &str) -> Result<(SyslogHeader, &str), HeaderError> {
    let (timestamp, rest) = field(rest, "TIMESTAMP", 32)?;
    if let Some(timestamp) = timestamp.filter(|timestamp| !is_timestamp(timestamp)) {
        let found = timestamp.to_owned();
        return Err(HeaderError::Timestamp { found });
    }
    let (host, rest) = field(rest, "HOSTNAME", 255)?;
    let (app_name, rest) = field(rest, "APP-NAME", 48)?;
    let (process_id, rest) = field(rest, "PROCID", 128)?;
    let (message_id, rest) = field(rest, "MSGID", 32)?;
    let (structured_data, rest) = structured_data::read(rest)?;
    let body = match rest.strip_prefix(' ') {
        Some(body) => body,
        None if rest.is_empty() => rest,
        None => return Err(HeaderError::NoSpace),
    };
    let header = SyslogHeader {
        format: SyslogFormat::Rfc5424,
        priority,
        timestamp: timestamp.map(str::to_owned),
        host: host.map(str::to_owned),
        app_name: app_name.map(str::to_owned),
        process_id: process_id.map(str::to_owned),
        message_id: message_id.map(str::to_owned),
        structured_data,
        has_bom: body.starts_with(BOM),
    };
    Ok((header, body.strip_prefix(BOM).unwrap_or(body)))
}

/// A field with a space behind it, or nothing for `-`.
fn field<'a>(
    rest: &'a str,
    field: &'static str,
    max: usize,
) -> Result<(Option<&'a str>, &'a str), HeaderError> {
    let wrong = HeaderError::Field { field, max };
    let Some((value, rest)) = rest.split_once(' ') else {
        return Err(wrong);
    };
    let is_printable = value.bytes().all(|byte| byte.is_ascii_graphic());
    if value.is_empty() || value.len() > max || !is_printable {
        return Err(wrong);
    }
    Ok(((value != "-").then_some(value), rest))
}

/// RFC 3339 with an upper-case T and Z, at most six digits of a second, and no leap second.
fn is_timestamp(text: &str) -> bool {
    let fraction = text.split('.').nth(1).map_or(0, |rest| {
        rest.bytes().take_while(u8::is_ascii_digit).count()
    });
    DateTime::parse_from_rfc3339(text).is_ok()
        && text.as_bytes().get(10) == Some(&b'T')
        && !text.ends_with('z')
        && text.get(17..19) != Some("60")
        && fraction <= 6
}

fn rfc3164(priority: u8, rest: &str) -> Result<(SyslogHeader, &str), HeaderError> {
    // `Mmm dd hh:mm:ss`
    const TIMESTAMP_BYTES: usize = 15;
    let wrong = |found: &str| HeaderError::Timestamp {
        found: found.chars().take(TIMESTAMP_BYTES).collect(),
    };
    let (timestamp, rest) = rest
        .split_at_checked(TIMESTAMP_BYTES)
        .ok_or_else(|| wrong(rest))?;
    // Read in a leap year, and written again: a day is padded by a space, a month has one case.
    let time = NaiveDateTime::parse_from_str(&format!("2024 {timestamp}"), "%Y %b %e %H:%M:%S");
    if time.map(|time| time.format("%b %e %H:%M:%S").to_string()) != Ok(timestamp.to_owned()) {
        return Err(wrong(timestamp));
    }
    let rest = rest.strip_prefix(' ').ok_or_else(|| wrong(timestamp))?;
    let (host, rest) = field(rest, "HOSTNAME", 255)?;
    let is_tag = |character: char| character.is_ascii_alphanumeric();
    let content = rest.trim_start_matches(is_tag);
    let tag = rest.strip_suffix(content).unwrap_or_default();
    if tag.is_empty() || tag.len() > 32 || !content.starts_with(['[', ':', ' ']) {
        return Err(HeaderError::Tag);
    }
    let process_id = content
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'));
    let body = process_id.map_or(content, |(_, rest)| rest);
    let body = body.strip_prefix(':').unwrap_or(body);
    let header = SyslogHeader {
        format: SyslogFormat::Rfc3164,
        priority,
        timestamp: Some(timestamp.to_owned()),
        host: host.map(str::to_owned),
        app_name: Some(tag.to_owned()),
        process_id: process_id.map(|(id, _)| id.to_owned()),
        message_id: None,
        structured_data: Vec::new(),
        has_bom: false,
    };
    Ok((header, body.strip_prefix(' ').unwrap_or(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_format() {
        let text = "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 ID47 \
            [meta sequenceId=\"1\"] \u{feff}{\"a\":1}";
        let (header, body) = read(text).unwrap();
        assert_eq!(
            (header.format, header.priority),
            (SyslogFormat::Rfc5424, 165)
        );
        assert_eq!(
            header.timestamp.as_deref(),
            Some("2003-08-24T05:14:15.000003-07:00")
        );
        assert_eq!(header.host.as_deref(), Some("192.0.2.1"));
        assert_eq!(header.app_name.as_deref(), Some("myproc"));
        assert_eq!(header.process_id.as_deref(), Some("8710"));
        assert_eq!(header.message_id.as_deref(), Some("ID47"));
        assert_eq!(header.structured_data[0].id, "meta");
        assert!(header.has_bom);
        assert_eq!(body, "{\"a\":1}");
        let (header, body) = read("<0>1 - - - - - -").unwrap();
        assert_eq!((header.host, header.has_bom, body), (None, false, ""));
    }

    #[test]
    fn the_old_format() {
        let text = "<34>Oct  1 22:14:15 mymachine su[12]: 'su root' failed";
        let (header, body) = read(text).unwrap();
        assert_eq!(
            (header.format, header.priority),
            (SyslogFormat::Rfc3164, 34)
        );
        assert_eq!(header.timestamp.as_deref(), Some("Oct  1 22:14:15"));
        assert_eq!(header.host.as_deref(), Some("mymachine"));
        assert_eq!(header.app_name.as_deref(), Some("su"));
        assert_eq!(header.process_id.as_deref(), Some("12"));
        assert_eq!(body, "'su root' failed");
        let (header, body) = read("<34>Feb 29 22:14:15 h tag: {}").unwrap();
        assert_eq!((header.process_id, body), (None, "{}"));
    }

    #[test]
    fn wrong_headers_are_seen() {
        let long = format!("<1>1 - {} - - - -", "h".repeat(256));
        for (text, complaint) in [
            ("", "the priority"),
            ("<192>1 - - - - - -", "the priority"),
            ("<01>1 - - - - - -", "the priority"),
            ("<+1>1 - - - - - -", "the priority"),
            (
                "<1>1 2003-08-24T05:14:15.0000003Z - - - - -",
                "the timestamp",
            ),
            ("<1>1 2003-08-24t05:14:15Z - - - - -", "the timestamp"),
            ("<1>1 2003-08-24T05:14:15z - - - - -", "the timestamp"),
            ("<1>1 2003-08-24T23:59:60Z - - - - -", "the timestamp"),
            ("<1>1 2003-02-30T05:14:15Z - - - - -", "the timestamp"),
            ("<1>1 2003-08-24T05:14:15 - - - - -", "the timestamp"),
            ("<1>1 -  - - - -", "HOSTNAME is not 1 to 255"),
            (long.as_str(), "HOSTNAME is not 1 to 255"),
            ("<1>1 - h\u{e9} - - - -", "HOSTNAME is not"),
            ("<1>1 - - - - -", "MSGID is not 1 to 32"),
            ("<1>1 - - - - -  body", "structured data"),
            ("<1>1 - - - - - -body", "no space before"),
            ("<1>Oct 1 22:14:15 h tag: x", "the timestamp"),
            ("<1>Oct 01 22:14:15 h tag: x", "the timestamp"),
            ("<1>oct  1 22:14:15 h tag: x", "the timestamp"),
            ("<1>Feb 30 22:14:15 h tag: x", "the timestamp"),
            ("<1>Oct", "the timestamp"),
            ("<1>Oct  1 22:14:15  tag: x", "HOSTNAME is not"),
            ("<1>Oct  1 22:14:15 h two-words: x", "TAG is not"),
            ("<1>Oct  1 22:14:15 h : x", "TAG is not"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(complaint), "{text}: {error}");
        }
    }
}
