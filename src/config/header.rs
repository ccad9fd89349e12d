//! Headers that go with every request to a service, beside the agent's own.

use reqwest::header::HeaderName;

/// Headers that the agent sends itself, beside those of TAXII.
const OWN_HEADERS: [&str; 9] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "proxy-authorization",
    "transfer-encoding",
];

/// Refuses what is no name of a header, or that of one which is the agent's own to send.
pub fn check_header_name(name: &str) -> Result<(), String> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(format!("{name:?} is not the name of a header"));
    }
    let lower = name.to_ascii_lowercase();
    if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("x-taxii-") {
        return Err(format!("the agent sends {name} itself"));
    }
    Ok(())
}

/// Whether the value of a header may hold it.
#[must_use]
pub fn may_stand_in_header(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic()
}
