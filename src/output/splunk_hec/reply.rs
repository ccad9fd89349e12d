//! What an answer of the collector means.
//!
//! Whatever is not known to be a success, a passing fault or one event's fault holds: a proxy's
//! login page answers 200 too.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::super::{Problem, Verdict};

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
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// How many events the request held.
    pub(super) events: usize,
    /// The index that all of them go to.
    pub(super) index: Option<&'a str>,
    /// Whether it asked for acknowledgement.
    pub(super) acknowledge: bool,
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
    acknowledge: bool,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let reply = Reply::read(answer.body);
    let asked = Asked {
        events: 0,
        index: None,
        acknowledge,
    };
    let mend = match (Meaning::of(answer.status, reply.as_ref(), &asked), &reply) {
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
        events: 0,
        index: None,
        acknowledge: true,
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
    Some(mend)
}

fn mend_of_missing_ack_id() -> String {
    format!(
        "acknowledgement is off for the token: set \"Enable indexer acknowledgement\" in {TOKENS}, \
         or acknowledge = false for this output"
    )
}

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
        407 => "the proxy wants authentication: put user and password into `proxy`",
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
mod tests {
    use super::*;

    const ASKED: Asked<'_> = Asked {
        events: 10,
        index: Some("security"),
        acknowledge: false,
    };

    fn answer(status: u16, body: &str) -> Answer<'_> {
        Answer {
            status,
            retry_after: None,
            date: None,
            body: body.as_bytes(),
        }
    }

    fn judge(status: u16, body: &str) -> Verdict {
        super::judge(&answer(status, body), ASKED, DateTime::UNIX_EPOCH).verdict
    }

    fn code(status: u16, code: u64) -> Verdict {
        judge(status, &format!(r#"{{"text":"said","code":{code}}}"#))
    }

    fn at(code: u64, number: usize) -> Verdict {
        judge(
            400,
            &format!(r#"{{"text":"said","code":{code},"invalid-event-number":{number}}}"#),
        )
    }

    fn mend(verdict: Verdict) -> String {
        match verdict {
            Verdict::Hold {
                delivered: 0, mend, ..
            } => mend,
            other => panic!("{other:?}"),
        }
    }

    fn is_retry(verdict: &Verdict) -> bool {
        matches!(
            verdict,
            Verdict::Retry {
                delivered: 0,
                after: None,
                ..
            }
        )
    }

    fn is_too_large(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::TooLarge { .. })
    }

    #[test]
    fn accepted() {
        assert_eq!(code(200, 0), Verdict::Delivered { slow_down: false });
        assert_eq!(code(200, 24), Verdict::Delivered { slow_down: true });
        assert_eq!(code(200, 25), Verdict::Delivered { slow_down: true });
    }

    #[test]
    fn passing() {
        for (status, number) in [
            (500, 8),
            (503, 9),
            (503, 18),
            (503, 19),
            (503, 20),
            (503, 23),
            (429, 26),
            (429, 27),
        ] {
            let verdict = code(status, number);
            assert!(is_retry(&verdict), "{status} {number}: {verdict:?}");
        }
        for status in [408, 429, 500, 502, 503, 504, 599] {
            let verdict = judge(status, "<html>Bad gateway</html>");
            assert!(is_retry(&verdict), "{status}: {verdict:?}");
        }
        assert_eq!(
            code(503, 9),
            Verdict::Retry {
                delivered: 0,
                reason: "HTTP 503, code 9: said".into(),
                after: None,
            }
        );
    }

    #[test]
    fn configuration_holds_with_the_mend() {
        for (status, number, expected) in [
            (
                403,
                1,
                "the token is disabled: enable it in Settings > Data inputs > HTTP Event Collector",
            ),
            (401, 2, "Authorization header"),
            (401, 3, "wrong form"),
            (403, 4, "does not know the token"),
            (400, 7, "\"security\""),
            (400, 10, "Enable indexer acknowledgement"),
            (400, 11, "Enable indexer acknowledgement"),
            (400, 14, "acknowledgement is off"),
            (400, 16, "allowQueryStringAuth"),
            (200, 17, "health check"),
            (400, 21, "does not know the token"),
            (400, 22, "the token is disabled"),
            (400, 28, "settings"),
        ] {
            let mend = mend(code(status, number));
            assert!(mend.contains(expected), "{number}: {mend}");
        }
    }

    #[test]
    fn a_wrong_index_names_the_event_after_it_and_holds_from_there() {
        for (number, taken) in [(0, 0), (1, 0), (2, 1), (10, 9), (11, 0), (500, 0)] {
            let Verdict::Hold {
                delivered, mend, ..
            } = at(7, number)
            else {
                panic!("{number}");
            };
            assert_eq!(delivered, taken, "{number}");
            assert!(mend.contains("\"security\""), "{mend}");
        }
    }

    #[test]
    fn acknowledgement_is_a_promise_with_an_id() {
        let asked = Asked {
            acknowledge: true,
            ..ASKED
        };
        let judge =
            |status, body: &str| super::judge(&answer(status, body), asked, DateTime::UNIX_EPOCH);
        let taken = judge(200, r#"{"text":"Success","code":0,"ackId":3}"#);
        assert_eq!(taken.ack_id, Some(3));
        assert_eq!(taken.verdict, Verdict::Delivered { slow_down: false });
        let partly = judge(
            400,
            r#"{"text":"said","code":6,"invalid-event-number":4,"ackId":7}"#,
        );
        assert_eq!(partly.ack_id, Some(7));
        assert!(matches!(partly.verdict, Verdict::Refused { index: 4, .. }));
        let off = judge(200, r#"{"text":"Success","code":0}"#);
        assert_eq!(off.ack_id, None);
        assert!(mend(off.verdict).contains("acknowledgement is off"));
        for code in [10, 11] {
            let missing = judge(400, &format!(r#"{{"text":"said","code":{code}}}"#));
            assert!(mend(missing.verdict).contains("X-Splunk-Request-Channel"));
        }
    }

    #[test]
    fn only_the_collectors_own_answer_acknowledges() {
        let answered = acknowledged(
            &answer(200, r#"{"acks":{"0":true,"12":false}}"#),
            DateTime::UNIX_EPOCH,
        )
        .unwrap();
        assert_eq!(answered, [(0, true), (12, false)].into());
        for (status, body, is_configuration) in [
            (200, "<html>Log in</html>", true),
            (200, "", true),
            (200, r#"{"acks":true}"#, true),
            (200, r#"{"acks":{"0":1}}"#, true),
            (201, r#"{"acks":{"0":true}}"#, true),
            (404, "", true),
            (400, r#"{"text":"ACK is disabled","code":14}"#, true),
            (403, r#"{"text":"Invalid token","code":4}"#, true),
            (503, r#"{"acks":{"0":true}}"#, false),
            (503, r#"{"text":"Server is busy","code":9}"#, false),
            (429, "", false),
        ] {
            let problem = acknowledged(&answer(status, body), DateTime::UNIX_EPOCH).unwrap_err();
            assert_eq!(problem.mend.is_some(), is_configuration, "{status} {body}");
        }
    }

    #[test]
    fn what_is_not_a_collector_holds() {
        for (status, body, expected) in [
            (200, "<html><title>Log in</title>", "login page"),
            (200, "", "login page"),
            (200, r#"{"text":"Success"}"#, "login page"),
            (204, "", "login page"),
            (301, "", "redirects"),
            (302, r#"{"text":"said","code":0}"#, "redirects"),
            (400, "Bad request", "unknown"),
            (400, r#"{"text":"No data","code":5}"#, "unknown"),
            (400, r#"{"text":"new","code":99}"#, "unknown"),
            (401, "", "token"),
            (403, r#"{"text":"said","code":0}"#, "token"),
            (404, r#"{"text":"not found","code":404}"#, "no collector"),
            (407, "", "proxy"),
            (415, "", "gzip = false"),
            (418, "", "unknown"),
        ] {
            let mend = mend(judge(status, body));
            assert!(mend.contains(expected), "{status} {body}: {mend}");
        }
    }

    #[test]
    fn one_events_data() {
        for number in [6, 12, 13, 15] {
            assert_eq!(
                at(number, 3),
                Verdict::Refused {
                    index: 3,
                    code: format!("hec-{number}"),
                    reason: format!("HTTP 400, code {number}: said"),
                    is_our_limit: false,
                }
            );
        }
        assert!(matches!(at(12, 0), Verdict::Refused { index: 0, .. }));
        assert!(matches!(at(6, 9), Verdict::Refused { index: 9, .. }));
    }

    #[test]
    fn an_event_that_was_not_sent_holds() {
        assert!(mend(at(6, 10)).contains("not sent"));
    }

    #[test]
    fn too_large_in_both_forms() {
        assert!(is_too_large(&judge(413, "Request entity too large")));
        assert!(is_too_large(&code(413, 27)));
        assert!(is_too_large(&at(6, 0)));
        assert!(is_too_large(&code(400, 6)));
    }

    #[test]
    fn an_event_that_stands_alone_is_refused_itself() {
        let alone = Asked { events: 1, ..ASKED };
        for body in [
            r#"{"text":"said","code":6,"invalid-event-number":0}"#,
            r#"{"text":"said","code":6}"#,
        ] {
            let verdict = super::judge(&answer(400, body), alone, DateTime::UNIX_EPOCH).verdict;
            assert!(
                matches!(verdict, Verdict::Refused { index: 0, .. }),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        let wait = |retry_after, date| {
            let now = DateTime::parse_from_rfc3339("1994-11-06T08:49:07Z")
                .unwrap()
                .to_utc();
            let busy = Answer {
                retry_after: Some(retry_after),
                date,
                ..answer(503, "")
            };
            match super::judge(&busy, ASKED, now).verdict {
                Verdict::Retry { after, .. } => after,
                other => panic!("{other:?}"),
            }
        };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(wait("120", None), Some(Duration::from_secs(120)));
        assert_eq!(wait(date, None), Some(Duration::from_secs(30)));
        assert_eq!(
            wait(date, Some("Sun, 06 Nov 1994 08:49:30 GMT")),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            wait("Sun, 06 Nov 1994 08:00:00 GMT", None),
            Some(Duration::ZERO)
        );
        assert_eq!(wait("soon", None), None);
    }

    #[test]
    fn foreign_text_stays_short_and_on_one_line() {
        let page = format!("<html>\r\n\u{1b}[31m{}", "x".repeat(10_000));
        let Verdict::Retry { reason, .. } = judge(502, &page) else {
            panic!("not passing");
        };
        assert!(
            reason.starts_with("HTTP 502 with something that is not HEC's answer: <html> [31mx")
        );
        assert!(reason.len() < 300 && !reason.contains(char::is_control));
    }

    #[test]
    fn a_collector_that_is_not_well_says_so() {
        let healthy = |status, body| healthy(&answer(status, body), DateTime::UNIX_EPOCH);
        healthy(200, r#"{"text":"HEC is healthy","code":17}"#).unwrap();
        healthy(404, "").unwrap();
        let full = healthy(503, r#"{"text":"queues are full","code":18}"#).unwrap_err();
        assert_eq!(full.mend, None);
        assert!(full.reason.contains("queues are full"), "{full}");
    }

    #[test]
    fn a_probe_asks_for_the_token_alone() {
        for (status, body) in [
            (400, r#"{"text":"No data","code":5}"#),
            (
                400,
                r#"{"text":"Invalid data format","code":6,"invalid-event-number":0}"#,
            ),
            (400, "no events"),
            (200, r#"{"text":"Success","code":0}"#),
        ] {
            probed(&answer(status, body), false, DateTime::UNIX_EPOCH).unwrap();
        }
        for (status, body) in [
            (403, r#"{"text":"Token disabled","code":1}"#),
            (400, r#"{"text":"Data channel is missing","code":10}"#),
            (503, r#"{"text":"Server is busy","code":9}"#),
            (200, "<html>"),
            (404, ""),
        ] {
            let problem = probed(&answer(status, body), false, DateTime::UNIX_EPOCH).unwrap_err();
            assert!(problem.reason.contains(&status.to_string()), "{problem}");
        }
    }
}
