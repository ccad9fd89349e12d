//! The agent's log lines in short, for people who watch.

/// A line of the agent's log, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogLine<'a> {
    pub(super) level: &'a str,
    pub(super) message: &'a str,
    fields: Vec<(&'a str, String)>,
}

impl<'a> LogLine<'a> {
    /// Reads `time LEVEL target: message key=value …`; `None` where a line is none of ours.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let (_time, rest) = line.trim().split_once(' ')?;
        let (level, rest) = rest.trim_start().split_once(' ')?;
        if !matches!(level, "ERROR" | "WARN" | "INFO" | "DEBUG" | "TRACE") {
            return None;
        }
        let (_target, rest) = rest.split_once(": ")?;
        let (message, mut rest) = rest.split_at(next_field(rest));
        let mut fields = Vec::new();
        while let Some((key, value)) = rest.split_once('=') {
            let (value, next) = value.split_at(next_field(value));
            fields.push((key, unquoted(value.trim_end())));
            rest = next;
        }
        Some(Self {
            level,
            message: message.trim_end(),
            fields,
        })
    }

    /// The value of a field, without its quotes.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// What happened before what follows from it, and the root of the reason that it gives.
    pub(super) fn in_short(&self) -> String {
        let what = self.message.split("; ").next().unwrap_or(self.message);
        let reasons = ["reason", "fault", "error"];
        match reasons.iter().find_map(|name| self.field(name)) {
            Some(reason) => {
                let root = reason.rsplit(": ").next().unwrap_or(reason);
                format!("{what}: {root}")
            }
            None => what.to_owned(),
        }
    }
}

/// Where the next word of the shape `key=…` stands, or the end.
fn next_field(text: &str) -> usize {
    let mut at = 0;
    for word in text.split_inclusive(' ') {
        let is_key = |key: &str| {
            let mut bytes = key.bytes();
            !key.is_empty() && bytes.all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        if word.split_once('=').is_some_and(|(key, _)| is_key(key)) {
            return at;
        }
        at += word.len();
    }
    at
}

fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    inner.map_or_else(|| value.to_owned(), |inner| inner.replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let line = "2026-03-10T12:00:00.123456Z  INFO cta_forwarder::poller: polled \
                    collection=cta/flows begin=\"2026-03-01T00:00:00Z\" incidents=3 events=17";
        let line = LogLine::parse(line).unwrap();
        assert_eq!((line.level, line.message), ("INFO", "polled"));
        assert_eq!(line.field("begin"), Some("2026-03-01T00:00:00Z"));
        assert_eq!(line.field("events"), Some("17"));
        assert_eq!(line.field("collection"), Some("cta/flows"));
        assert_eq!(line.field("vents"), None);
        assert_eq!(line.in_short(), "polled");
    }

    #[track_caller]
    fn check_short(line: &str, expect: &str) {
        assert_eq!(LogLine::parse(line).unwrap().in_short(), expect);
    }

    #[test]
    fn the_root_of_the_reason_is_kept() {
        check_short(
            "2026-03-10T12:00:00Z  WARN cta_forwarder::delivery::forwarder: cannot deliver; it is \
             tried again output=\"splunk\" failures=1 reason=\"no \\\"way\\\": refused\" retry_in_ms=1",
            "cannot deliver: refused",
        );
        check_short(
            "2026-03-10T12:00:00Z  WARN cta_forwarder::poller: the poll failed collection=cta/x \
             fault=FAILURE: only one poll in a while again=true",
            "the poll failed: only one poll in a while",
        );
    }

    #[test]
    fn what_is_no_log_line() {
        for line in ["", "thread panicked at src", "a b: c"] {
            assert_eq!(LogLine::parse(line), None, "{line}");
        }
    }
}
