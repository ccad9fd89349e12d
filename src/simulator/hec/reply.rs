//! Makes the reply to a request: the fault that is armed first, then the rules.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::envelope::{self, Complaint, HecEvent, Taken};
use super::fault::HecFault;
use super::rules::{HecRules, TooLarge};
use super::{HecRequest, HecRequestKind, Shared, acks, code};
use crate::simulator::body::Pace;
use crate::simulator::server::{Answer, NoAnswer};

const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Login</title></head>\
    <body><form>Please sign in to the proxy.</form></body></html>\n";

/// What goes back.
pub(super) enum Reply {
    Answer {
        status: u16,
        content_type: &'static str,
        retry_after: Option<String>,
        body: String,
        pace: Pace,
    },
    None(NoAnswer),
    Silence,
}

impl Reply {
    pub(super) async fn send(self) -> Answer {
        match self {
            Self::None(how) => Err(how),
            Self::Silence => std::future::pending().await,
            Self::Answer {
                status,
                content_type,
                retry_after,
                body,
                pace,
            } => {
                let length = body.len();
                let mut response = Response::new(pace.body(body));
                *response.status_mut() =
                    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
                headers.insert(header::CONTENT_LENGTH, length.into());
                if let Some(Ok(retry_after)) = retry_after.map(HeaderValue::try_from) {
                    headers.insert(header::RETRY_AFTER, retry_after);
                }
                Ok(response)
            }
        }
    }
}

/// A code, or an HTTP status without one.
enum Refusal {
    Code(u8),
    Http(u16),
}

/// Makes the reply, the events that were taken, and the entry of the journal.
pub(super) fn make(
    shared: &Shared,
    head: &Parts,
    body: &Bytes,
    fault: Option<&HecFault>,
) -> (HecRequest, Vec<HecEvent>, Reply) {
    let rules = shared.rules().clone();
    let kind = HecRequestKind::of_path(head.uri.path());
    let channel = channel(head);
    let maker = ReplyMaker {
        shared,
        head,
        body,
        rules: &rules,
        channel: channel.as_deref(),
        kind,
    };
    let (events, reply) = maker.reply(fault);
    let (status, answer) = match &reply {
        Reply::Answer { status, body, .. } => (Some(*status), body.clone()),
        Reply::None(how) => (None, how.to_string()),
        Reply::Silence => (None, String::new()),
    };
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.to_string(), value.into_owned())
    });
    let entry = HecRequest {
        kind,
        path: head.uri.to_string(),
        headers: headers.collect(),
        body_bytes: body.len(),
        taken: events.len(),
        status,
        answer,
        channel,
    };
    (entry, events, reply)
}

/// From the header, or else from the query.
fn channel(head: &Parts) -> Option<String> {
    let stated = text_header(&head.headers, "x-splunk-request-channel");
    stated.or_else(|| query(head, "channel")).map(str::to_owned)
}

fn query<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    let mut pairs = head.uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

struct ReplyMaker<'a> {
    shared: &'a Shared,
    head: &'a Parts,
    body: &'a Bytes,
    rules: &'a HecRules,
    channel: Option<&'a str>,
    kind: HecRequestKind,
}

impl ReplyMaker<'_> {
    fn reply(&self, fault: Option<&HecFault>) -> (Vec<HecEvent>, Reply) {
        let none = |how| (Vec::new(), Reply::None(how));
        match fault {
            None => self.own(Pace::Whole),
            Some(fault @ HecFault::HalfAnswer) => self.own(fault.pace()),
            Some(HecFault::AnswerLost) => (self.own(Pace::Whole).0, Reply::None(NoAnswer::Close)),
            Some(HecFault::HangUp) => none(NoAnswer::Close),
            Some(HecFault::Reset) => none(NoAnswer::Reset),
            Some(HecFault::BlackHole) => (Vec::new(), Reply::Silence),
            Some(HecFault::LoginPage) => {
                let page = Reply::Answer {
                    status: 200,
                    content_type: "text/html",
                    retry_after: None,
                    body: LOGIN_PAGE.to_owned(),
                    pace: Pace::Whole,
                };
                (Vec::new(), page)
            }
            Some(HecFault::HttpStatus {
                status,
                retry_after,
            }) => {
                let bare = Reply::Answer {
                    status: *status,
                    content_type: "text/plain",
                    retry_after: retry_after.clone(),
                    body: String::new(),
                    pace: Pace::Whole,
                };
                (Vec::new(), bare)
            }
            Some(&HecFault::Code { code, event }) => self.code_on_purpose(code, event),
        }
    }

    /// The server's own reply.
    fn own(&self, pace: Pace) -> (Vec<HecEvent>, Reply) {
        let outcome = match self.kind {
            HecRequestKind::Events => self.take_events(),
            HecRequestKind::Acks => self.tell_acks().map(|acks| (Vec::new(), 200, acks)),
            HecRequestKind::Health => Ok((Vec::new(), 200, said(17))),
            HecRequestKind::Other => Err(Refusal::Http(404)),
        };
        let (events, status, body) = outcome.unwrap_or_else(|refusal| match refusal {
            Refusal::Code(code) => (Vec::new(), http_status(code), said(code)),
            Refusal::Http(status) => (Vec::new(), status, Value::Null),
        });
        (events, answer(status, &body, pace))
    }

    /// A code that the test asks for, with what it means for the events.
    fn code_on_purpose(&self, code: u8, event: usize) -> (Vec<HecEvent>, Reply) {
        let events = self
            .decoded()
            .map(|body| envelope::take(&body, None).events);
        let mut events = events.unwrap_or_default();
        let mut body = said(code);
        if code::names_an_event(code) {
            events.truncate(event);
            let number = event + usize::from(code == 7);
            set(&mut body, "invalid-event-number", json!(number));
        } else if !code::is_accepted(code) {
            events.clear();
        }
        self.issue_ack(&events, &mut body);
        (events, answer(http_status(code), &body, Pace::Whole))
    }

    fn take_events(&self) -> Result<(Vec<HecEvent>, u16, Value), Refusal> {
        if self.head.method != Method::POST {
            return Err(Refusal::Http(405));
        }
        self.check_token()?;
        if self.rules.acknowledgement.is_some() {
            self.checked_channel()?;
        }
        let body = self.decoded()?;
        if body.len() > self.rules.max_content_bytes {
            return match self.rules.too_large {
                TooLarge::Status413 => Err(Refusal::Http(413)),
                TooLarge::InvalidEvent0 => {
                    let complaint = Complaint { code: 6, number: 0 };
                    Ok((Vec::new(), 400, complained(complaint)))
                }
            };
        }
        let Taken { events, complaint } = envelope::take(&body, self.rules.indexes.as_deref());
        let (status, mut answer) = match complaint {
            None => (200, said(0)),
            Some(Complaint { code: 5, .. }) => return Err(Refusal::Code(5)),
            Some(complaint) => (http_status(complaint.code), complained(complaint)),
        };
        self.issue_ack(&events, &mut answer);
        Ok((events, status, answer))
    }

    fn tell_acks(&self) -> Result<Value, Refusal> {
        if self.head.method != Method::POST {
            return Err(Refusal::Http(405));
        }
        self.check_token()?;
        let policy = self.rules.acknowledgement.ok_or(Refusal::Code(14))?;
        let channel = self.checked_channel()?;
        let body = self.decoded()?;
        let asked: Value = serde_json::from_slice(&body).map_err(|_| Refusal::Code(6))?;
        let ids = asked.get("acks").and_then(Value::as_array);
        let ids = ids.ok_or(Refusal::Code(6))?.iter().map(Value::as_u64);
        let ids: Option<Vec<u64>> = ids.collect();
        let ids = ids.ok_or(Refusal::Code(6))?;
        Ok(json!({"acks": self.shared.acks().ask(channel, &ids, policy)}))
    }

    fn check_token(&self) -> Result<(), Refusal> {
        let Some(authorization) = text_header(&self.head.headers, "authorization") else {
            let in_query = query(self.head, "token").is_some();
            return Err(Refusal::Code(if in_query { 16 } else { 2 }));
        };
        match authorization.strip_prefix("Splunk ").map(str::trim) {
            None | Some("") => Err(Refusal::Code(3)),
            Some(token) if token != self.rules.token => Err(Refusal::Code(4)),
            Some(_) if !self.rules.enabled => Err(Refusal::Code(1)),
            Some(_) => Ok(()),
        }
    }

    fn checked_channel(&self) -> Result<&str, Refusal> {
        match self.channel {
            None => Err(Refusal::Code(10)),
            Some(channel) if !acks::is_guid(channel) => Err(Refusal::Code(11)),
            Some(channel) => Ok(channel),
        }
    }

    /// The body without its compression.
    fn decoded(&self) -> Result<Bytes, Refusal> {
        match text_header(&self.head.headers, "content-encoding") {
            None | Some("identity") => Ok(self.body.clone()),
            Some("gzip") => {
                let mut plain = Vec::new();
                // One byte more shows that it is too long, without unpacking a bomb.
                let limit = u64::try_from(self.rules.max_content_bytes).unwrap_or(u64::MAX);
                let mut decoder =
                    MultiGzDecoder::new(self.body.as_ref()).take(limit.saturating_add(1));
                match decoder.read_to_end(&mut plain) {
                    Ok(_) => Ok(plain.into()),
                    Err(_) => Err(Refusal::Http(400)),
                }
            }
            Some(_) => Err(Refusal::Http(415)),
        }
    }

    /// States an id where the token acknowledges and anything was taken.
    fn issue_ack(&self, events: &[HecEvent], answer: &mut Value) {
        if let (Some(_), Some(channel)) = (self.rules.acknowledgement, self.channel)
            && !events.is_empty()
        {
            let id = self.shared.acks().issue(channel);
            set(answer, "ackId", json!(id));
        }
    }
}

fn http_status(code: u8) -> u16 {
    code::status_and_text(code).map_or(400, |(status, _)| status)
}

fn said(code: u8) -> Value {
    let text = code::status_and_text(code).map_or("Unknown", |(_, text)| text);
    json!({"text": text, "code": code})
}

fn complained(complaint: Complaint) -> Value {
    let mut answer = said(complaint.code);
    set(&mut answer, "invalid-event-number", json!(complaint.number));
    answer
}

fn set(answer: &mut Value, key: &str, value: Value) {
    if let Some(answer) = answer.as_object_mut() {
        answer.insert(key.to_owned(), value);
    }
}

fn answer(status: u16, body: &Value, pace: Pace) -> Reply {
    Reply::Answer {
        status,
        content_type: "application/json",
        retry_after: None,
        body: if body.is_null() {
            String::new()
        } else {
            body.to_string()
        },
        pace,
    }
}
