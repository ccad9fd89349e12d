//! What an answer of the collector means.
//!
//! Whatever is not known to be a success, a passing fault or one event's fault holds: a proxy's
//! login page answers 200 too.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::super::{Problem, Verdict};
use crate::config::THEN_RESTART;

/// Where tokens live in Splunk's menus.
const TOKENS: &str = "Settings > Data inputs > HTTP Event Collector";

/// An answer, as far as it matters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer<'a> {
    /// The HTTP status.
    pub(super) status: u16,
    /// The `Retry-After` header.
    pub(super) retry_after: Option<&'a str>,
    /// The `Date` header: the clock that a date in `Retry-After` was made by.
    pub(super) date: Option<&'a str>,
    /// The beginning of the body.
    pub(super) body: &'a [u8],
}

/// What was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    /// How many events the request held.
    pub(super) events: usize,
    /// The index that all of them go to.
    pub(super) index: Option<&'a str>,
    /// Whether it asked for acknowledgement.
    pub(super) acknowledge: bool,
    /// Whether another token is seen by the next start alone.
    pub(super) token_stays: bool,
}

/// What became of the events of a request, and the id by which to ask for what was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    pub(super) ack_id: Option<u64>,
}

/// What became of the events of a request.
pub(super) fn judge(answer: &Answer<'_>, asked: Asked<'_>, now: DateTime<Utc>) -> Judgement {
    let reply = Reply::read(answer.body);
    let ack_id = reply.as_ref().and_then(|reply| reply.ack_id);
    let reason = reason(answer, reply.as_ref());
    let verdict = match Meaning::of(answer.status, reply.as_ref(), &asked) {
        Meaning::Accepted { .. } if asked.acknowledge && ack_id.is_none() => Verdict::Hold {
            delivered: 0,
            reason: format!("{reason}; but it holds no ackId"),
            mend: mend_of_missing_ack_id(),
        },
        Meaning::Accepted { slow_down } => Verdict::Delivered { slow_down },
        Meaning::Passing => Verdict::Retry {
            delivered: 0,
            reason,
            after: wait_asked_for(answer, now),
        },
        Meaning::Configuration { mend } => Verdict::Hold {
            delivered: taken_before_a_wrong_index(reply.as_ref(), asked.events),
            reason,
            mend,
        },
        Meaning::EventData { code, number } => event_refused(code, number, asked.events, reason),
        Meaning::TooLarge => Verdict::TooLarge { reason },
    };
    Judgement { verdict, ack_id }
}

/// What the collector says of its health. It answers without a token, so it proves nothing about
/// that; collectors that are not Splunk's may not have it.
pub(super) fn healthy(answer: &Answer<'_>, now: DateTime<Utc>) -> Result<(), Problem> {
    if !matches!(answer.status, 429 | 503) {
        return Ok(());
    }
    Err(Problem {
        reason: reason(answer, Reply::read(answer.body).as_ref()),
        mend: None,
        after: wait_asked_for(answer, now),
    })
}

/// What the answer to an empty request says: the token is looked at before the body.
pub(super) fn probed(
    answer: &Answer<'_>,
    asked: &Asked<'_>,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let reply = Reply::read(answer.body);
    let mend = match (Meaning::of(answer.status, reply.as_ref(), asked), &reply) {
        (Meaning::Accepted { .. } | Meaning::EventData { .. }, _)
        | (_, Some(Reply { code: 5, .. })) => return Ok(()),
        // Collectors that are not Splunk's may dislike an empty request in words of their own.
        (_, None) if answer.status == 400 => return Ok(()),
        (Meaning::Configuration { mend }, _) => Some(mend),
        (Meaning::Passing | Meaning::TooLarge, _) => None,
    };
    Err(Problem {
        reason: reason(answer, reply.as_ref()),
        mend,
        after: wait_asked_for(answer, now),
    })
}

/// What the collector says of each id: only its own answer counts, whatever else says 200.
pub(super) fn acknowledged(
    answer: &Answer<'_>,
    now: DateTime<Utc>,
) -> Result<BTreeMap<u64, bool>, Problem> {
    if answer.status == 200
        && let Ok(Acknowledged { acks }) = serde_json::from_slice(answer.body)
    {
        return Ok(acks);
    }
    let reply = Reply::read(answer.body);
    let asked = Asked {
        acknowledge: true,
        ..Asked::default()
    };
    let mend = match Meaning::of(answer.status, reply.as_ref(), &asked) {
        Meaning::Configuration { mend } => Some(mend),
        _ => None,
    };
    let reason = reason(answer, reply.as_ref());
    Err(Problem {
        reason: format!("the question for acknowledgements was not answered: {reason}"),
        mend,
        after: wait_asked_for(answer, now),
    })
}

/// `{"acks":{"0":true,"1":false}}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Acknowledged {
    acks: BTreeMap<u64, bool>,
}

/// `{"text":…,"code":…,"invalid-event-number":…}`
#[derive(Debug, Deserialize)]
struct Reply {
    code: u64,
    #[serde(default)]
    text: String,
    #[serde(rename = "invalid-event-number")]
    invalid_event_number: Option<usize>,
    #[serde(rename = "ackId")]
    ack_id: Option<u64>,
}

impl Reply {
    fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

#[derive(Debug)]
enum Meaning {
    Accepted { slow_down: bool },
    Passing,
    Configuration { mend: String },
    EventData { code: u64, number: Option<usize> },
    TooLarge,
}

impl Meaning {
    fn of(status: u16, reply: Option<&Reply>, asked: &Asked<'_>) -> Self {
        let Some(reply) = reply else {
            return Self::of_status(status);
        };
        match reply.code {
            _ if status == 413 => Self::TooLarge,
            0 if status == 200 => Self::Accepted { slow_down: false },
            24 | 25 if status == 200 => Self::Accepted { slow_down: true },
            8 | 9 | 18 | 19 | 20 | 23 | 26 | 27 => Self::Passing,
            code @ (6 | 12 | 13 | 15) => Self::EventData {
                code,
                number: reply.invalid_event_number,
            },
            code => match mend_of_code(code, asked) {
                Some(mend) => Self::Configuration { mend },
                None => Self::of_status(status),
            },
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            408 | 429 | 500..=599 => Self::Passing,
            413 => Self::TooLarge,
            _ => Self::Configuration {
                mend: mend_of_status(status),
            },
        }
    }
}

fn mend_of_code(code: u64, asked: &Asked<'_>) -> Option<String> {
    let mend = match code {
        1 | 22 => format!("the token is disabled: enable it in {TOKENS}"),
        2 => format!(
            "the token did not arrive: see whether a proxy removes the Authorization header, and \
             that `token` is one of {TOKENS}"
        ),
        3 => format!("the token has a wrong form: copy the token value from {TOKENS}"),
        4 | 21 => format!("Splunk does not know the token: compare it with {TOKENS}"),
        7 => match asked.index {
            Some(index) => format!(
                "the index {index:?} does not exist or the token may not use it: create it, allow \
                 it for the token in {TOKENS}, or change `index` of this output"
            ),
            None => format!(
                "the token's default index cannot be used: set another one in {TOKENS}, or `index` \
                 of this output"
            ),
        },
        10 | 11 if asked.acknowledge => {
            "the channel did not arrive: see whether a proxy removes or changes the header \
             X-Splunk-Request-Channel"
                .into()
        }
        10 | 11 => format!(
            "the token wants acknowledgement, which this output does not use: set acknowledge = \
             true, or take the tick from \"Enable indexer acknowledgement\" in {TOKENS}"
        ),
        14 => mend_of_missing_ack_id(),
        16 => "something between turned the Authorization header into a query parameter: let it \
               pass the header, or set allowQueryStringAuth for the token in inputs.conf"
            .into(),
        17 => "a health check answered, which proves nothing about events: see that `endpoints` \
               and every proxy between lead POST /services/collector/event to the collector"
            .into(),
        28 => format!("see what the answer says and the token's settings in {TOKENS}"),
        _ => return None,
    };
    let is_of_the_token = matches!(code, 2 | 3 | 4 | 21);
    let then = if is_of_the_token && asked.token_stays {
        THEN_RESTART
    } else {
        ""
    };
    Some(mend + then)
}

fn mend_of_missing_ack_id() -> String {
    format!(
        "acknowledgement is off for the token: set \"Enable indexer acknowledgement\" in {TOKENS}, \
         or acknowledge = false for this output"
    )
}

/// For a proxy that wants to know who we are.
pub(super) const MEND_PROXY: &str = "the proxy wants authentication: set proxy, proxy_username and proxy_password to what it accepts";

fn mend_of_status(status: u16) -> String {
    match status {
        200..=299 => {
            "this is not the answer of an HTTP Event Collector (a proxy's login page?): see that \
             `endpoints` names the collector (by default port 8088), not Splunk Web, and what \
             stands between"
        }
        300..=399 => {
            "the endpoint redirects, which is not followed: set `endpoints` to where the collector \
             itself is, with https:// if it wants TLS"
        }
        401 | 403 => "see that the token is right and what stands between that could refuse it",
        404 => {
            "there is no collector at this address: see `endpoints` (the base URL, by default port \
             8088) and that HEC is enabled under Global Settings"
        }
        407 => MEND_PROXY,
        415 => "the receiver does not take compressed bodies: set gzip = false",
        _ => {
            "this answer is unknown: see what the receiver's log says about it; nothing is sent \
             meanwhile"
        }
    }
    .into()
}

/// Code 7 names the event after the one whose index is refused; those before that one are indexed.
fn taken_before_a_wrong_index(reply: Option<&Reply>, events: usize) -> usize {
    let number = reply.filter(|reply| reply.code == 7);
    let number = number.and_then(|reply| reply.invalid_event_number);
    let taken = number.map_or(0, |number| number.saturating_sub(1));
    // A number that cannot be says nothing.
    if taken < events { taken } else { 0 }
}

/// Events before `number` are indexed, that one and those after it are not.
fn event_refused(code: u64, number: Option<usize>, events: usize, reason: String) -> Verdict {
    match number {
        // This may also be a body that is too large, in disguise. Halving finds out: what is still
        // refused when it stands alone is at fault itself.
        Some(0) if code == 6 && events > 1 => Verdict::TooLarge { reason },
        Some(index) if index < events => refused(code, index, reason),
        None if events == 1 => refused(code, 0, reason),
        // It does not say which, so it has to be found; what was taken meanwhile comes twice.
        None => Verdict::TooLarge { reason },
        Some(_) => Verdict::Hold {
            delivered: 0,
            reason,
            mend: "the receiver refused an event that was not sent: see what changes the requests \
                   on their way"
                .into(),
        },
    }
}

fn refused(code: u64, index: usize, reason: String) -> Verdict {
    Verdict::Refused {
        index,
        code: format!("hec-{code}"),
        reason,
        is_our_limit: false,
    }
}

fn reason(answer: &Answer<'_>, reply: Option<&Reply>) -> String {
    let status = answer.status;
    match reply {
        Some(Reply { code, text, .. }) => {
            format!("HTTP {status}, code {code}: {}", shown(text.as_bytes()))
        }
        None if answer.body.is_empty() => format!("HTTP {status} without a body"),
        None => format!(
            "HTTP {status} with something that is not HEC's answer: {}",
            shown(answer.body)
        ),
    }
}

/// The beginning of a foreign text, fit for one line of a log.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let words: Vec<_> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ").chars().take(200).collect()
}

/// `Retry-After` in its two forms.
fn wait_asked_for(answer: &Answer<'_>, now: DateTime<Utc>) -> Option<Duration> {
    let value = answer.retry_after?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let theirs = answer.date.and_then(http_date).unwrap_or(now);
    let until = http_date(value)?;
    Some((until - theirs).to_std().unwrap_or_default())
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text.trim())
        .ok()
        .map(|date| date.to_utc())
}

#[cfg(test)]
mod tests;
