//! What a server answers: `STATUS [SP TEXT] [LF DATA]`.

use std::fmt;

use super::super::failure::Failure;

/// How much of what the server says is repeated in a message.
const MAX_TEXT_CHARS: usize = 200;

/// The answer to one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    /// From the data of an `rsp` frame.
    pub(super) fn parse(data: &[u8]) -> Result<Self, Failure> {
        let line = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let malformed = || {
            let said = printable(line);
            Failure::passing(format!(
                "a RELP answer begins with no status of three digits: {said:?}"
            ))
        };
        let (status, text) = line.split_at_checked(3).ok_or_else(malformed)?;
        let text = match text {
            [] => text,
            [b' ', text @ ..] => text,
            _ => return Err(malformed()),
        };
        if !status.iter().all(u8::is_ascii_digit) {
            return Err(malformed());
        }
        let status = status
            .iter()
            .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        Ok(Self {
            status,
            text: printable(text),
        })
    }

    /// The receiver has the message.
    pub(super) fn is_accepted(&self) -> bool {
        self.status == 200
    }

    /// Such as `relp-500`.
    pub(super) fn code(&self) -> String {
        format!("relp-{}", self.status)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if self.text.is_empty() {
            return Ok(());
        }
        write!(f, " {}", self.text)
    }
}

/// Whether the answer to `open` lets us send messages: it must state a version and the command
/// `syslog`.
pub(super) fn check_offers(data: &[u8]) -> Result<(), Failure> {
    let answer = Answer::parse(data)?;
    if !answer.is_accepted() {
        return Err(Failure::lasting(
            format!("the receiver refuses to open a RELP session: {answer}"),
            "see in the receiver's log why, and let it take RELP from this machine",
        ));
    }
    let mut has_version = false;
    let mut has_syslog = false;
    for offer in data.split(|byte| *byte == b'\n').skip(1) {
        let (name, values) = match offer.iter().position(|byte| *byte == b'=') {
            Some(at) => (offer.get(..at), offer.get(at + 1..)),
            None => (Some(offer), None),
        };
        let mut values = values.unwrap_or_default().split(|byte| *byte == b',');
        match name {
            Some(b"relp_version") => has_version = true,
            Some(b"commands") => has_syslog |= values.any(|command| command == b"syslog"),
            _ => {}
        }
    }
    if !has_version {
        return Err(Failure::lasting(
            "the receiver's answer to RELP's open states no relp_version",
            "give the address of a RELP receiver such as rsyslog's imrelp",
        ));
    }
    if !has_syslog {
        return Err(Failure::lasting(
            "the receiver's answer to RELP's open does not offer the command syslog",
            "let the RELP receiver take syslog messages",
        ));
    }
    Ok(())
}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_TEXT_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(data: &[u8]) -> String {
        Answer::parse(data).unwrap().to_string()
    }

    #[test]
    fn a_status_a_text_and_data_that_is_not_ours() {
        let ok = Answer::parse(b"200 OK\nmore").unwrap();
        assert!(ok.is_accepted());
        assert_eq!(ok.to_string(), "200 OK");
        assert!(Answer::parse(b"200").unwrap().is_accepted());
        let no = Answer::parse(b"500 disk\tfull").unwrap();
        assert!(!no.is_accepted());
        assert_eq!(no.code(), "relp-500");
        assert_eq!(shown(b"500 disk\tfull"), "500 disk full");
        assert_eq!(shown(b"201"), "201");
        for malformed in ["", "20", "2000", "OK", "20x OK", "\n200 OK"] {
            assert!(Answer::parse(malformed.as_bytes()).is_err(), "{malformed}");
        }
    }

    #[test]
    fn offers() {
        assert_eq!(
            check_offers(
                b"200 OK\nrelp_version=0\nrelp_software=librelp\ncommands=starttls,syslog"
            ),
            Ok(())
        );
        for (data, fault) in [
            ("500 no", "refuses to open a RELP session: 500 no"),
            ("200 OK", "states no relp_version"),
            ("200 OK\ncommands=syslog", "states no relp_version"),
            (
                "200 OK\nrelp_version=0",
                "does not offer the command syslog",
            ),
            (
                "200 OK\nrelp_version=0\ncommands=syslogs,eventlog",
                "does not offer the command syslog",
            ),
        ] {
            let failure = check_offers(data.as_bytes()).unwrap_err();
            assert!(failure.is_lasting(), "{data}");
            let reason = failure.problem().reason;
            assert!(reason.contains(fault), "{reason}");
        }
    }
}
