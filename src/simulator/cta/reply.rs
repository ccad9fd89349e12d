//! Makes the reply to a request: the rules first, then the fault that is armed.

use std::io::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::catalogue::Inquiry;
use super::fault::{CtaFault, CtaFaultOn};
use super::request::{self, MESSAGE_BINDING, PROTOCOL_BINDING, Refusal, SERVICES, TaxiiRequest};
use super::rules::{CtaRules, HeaderStyle};
use super::status::Status;
use super::{CtaRequest, CtaRequestKind, POLL_PATH, Shared};
use crate::clock::Now;
use crate::simulator::body::Pace;
use crate::simulator::server::{Answer, NoAnswer};
use crate::tree::Element;

const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Login</title></head>\
    <body><form>Please sign in to the proxy.<br><input name=\"user\"></form></body></html>\n";

/// What goes back.
pub(super) enum Reply {
    Answer {
        status: u16,
        headers: HeaderMap,
        body: Vec<u8>,
        pace: Pace,
    },
    HangUp,
    Silence,
}

impl Reply {
    pub(super) async fn send(self) -> Answer {
        match self {
            Self::HangUp => Err(NoAnswer::Close),
            Self::Silence => std::future::pending().await,
            Self::Answer {
                status,
                headers,
                body,
                pace,
            } => {
                let length = body.len();
                let mut response = Response::new(pace.body(body));
                *response.status_mut() =
                    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                *response.headers_mut() = headers;
                if pace.has_length() {
                    response
                        .headers_mut()
                        .insert(header::CONTENT_LENGTH, length.into());
                }
                Ok(response)
            }
        }
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::HangUp | Self::Silence => None,
        }
    }
}

/// Makes the reply and the entry of the journal; no `body` is one that was too long.
pub(super) fn make(shared: &Shared, head: &Parts, body: Option<&[u8]>) -> (CtaRequest, Reply) {
    let now = shared.clock.now();
    let rules = shared.rules().clone();
    let document = body.map(request::document);
    let root = document
        .as_ref()
        .and_then(|document| document.as_ref().ok());
    let mut entry = entry(now, head, body.unwrap_or_default(), root);
    let maker = ReplyMaker {
        shared,
        head,
        rules: &rules,
        now,
        in_response_to: root
            .and_then(|root| root.attribute("message_id"))
            .unwrap_or("0"),
    };
    let kind = entry.kind;
    let fault = shared.faults.take(|on| match on {
        CtaFaultOn::Any => true,
        CtaFaultOn::Poll => kind == CtaRequestKind::Poll,
        CtaFaultOn::Fulfillment => kind == CtaRequestKind::Fulfillment,
    });
    let (said, reply) = match fault.as_ref().and_then(|fault| maker.instead(fault)) {
        Some(reply) => ("nothing of its own".to_owned(), reply),
        None => match maker.judge(document.as_ref(), fault.as_ref()) {
            Ok(made) => {
                entry.accepted = true;
                made
            }
            Err(Refusal::Http(status)) => (format!("HTTP {status}"), maker.http(status)),
            Err(Refusal::Status(status)) => {
                // What the document says of a client that may not ask.
                let http = if status.kind == "DENIED" { 401 } else { 200 };
                let said = format!("{}: {}", status.kind, status.message);
                (said, maker.status(http, &status))
            }
        },
    };
    entry.status = reply.status();
    entry.answer = match fault {
        Some(fault) => format!("{said}, fault {}", fault.name()),
        None => said,
    };
    (entry, reply)
}

fn entry(now: Now, head: &Parts, body: &[u8], root: Option<&Element>) -> CtaRequest {
    let attribute = |name| {
        root.and_then(|root| root.attribute(name))
            .map(str::to_owned)
    };
    let stated = |name| {
        let mut elements = root?.elements();
        elements.find(|child| child.name == name).map(Element::text)
    };
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.to_string(), value.into_owned())
    });
    CtaRequest {
        at: now.utc,
        monotonic: now.monotonic,
        kind: match root.map(|root| root.name.as_str()) {
            Some("Poll_Request") => CtaRequestKind::Poll,
            Some("Poll_Fulfillment") => CtaRequestKind::Fulfillment,
            _ => CtaRequestKind::Other,
        },
        collection: attribute("collection_name"),
        begin: stated("Exclusive_Begin_Timestamp"),
        end: stated("Inclusive_End_Timestamp"),
        result_id: attribute("result_id"),
        part: attribute("result_part_number"),
        headers: headers.collect(),
        body: String::from_utf8_lossy(body).into_owned(),
        accepted: false,
        status: None,
        answer: String::new(),
    }
}

struct ReplyMaker<'a> {
    shared: &'a Shared,
    head: &'a Parts,
    rules: &'a CtaRules,
    now: Now,
    in_response_to: &'a str,
}

impl ReplyMaker<'_> {
    /// The reply of a fault that comes instead of the service's own answer.
    fn instead(&self, fault: &CtaFault) -> Option<Reply> {
        Some(match fault {
            CtaFault::HangUp => Reply::HangUp,
            CtaFault::BlackHole => Reply::Silence,
            CtaFault::HtmlPage => self.answer(200, "text/html", LOGIN_PAGE.into(), Pace::Whole),
            CtaFault::HttpStatus {
                status,
                status_type: None,
            } => self.http(*status),
            CtaFault::HttpStatus {
                status,
                status_type: Some(status_type),
            } => self.status(
                *status,
                &Status::new(status_type, "An error occurred during request processing."),
            ),
            CtaFault::StatusMessage {
                status_type,
                message,
                details,
            } => {
                let status = Status::new(status_type, message);
                let details = details.iter();
                self.status(
                    200,
                    &details.fold(status, |status, (name, value)| status.detail(name, value)),
                )
            }
            CtaFault::ExpiredResult { status_type } => {
                self.shared.catalogue().forget_results();
                let status = Status::new(status_type, "the result has expired");
                let status = match status_type.as_str() {
                    "INVALID_RESPONSE_PART" => status.detail("MAX_PART_NUMBER", "1"),
                    _ => status,
                };
                self.status(200, &status)
            }
            _ => return None,
        })
    }

    /// The service's own reply, spoilt by `fault` if there is one.
    fn judge(
        &self,
        document: Option<&Result<Element, Status>>,
        fault: Option<&CtaFault>,
    ) -> Result<(String, Reply), Refusal> {
        let document = document.ok_or(Refusal::Http(413))?;
        if self.head.uri.path().trim_end_matches('/') != POLL_PATH.trim_end_matches('/') {
            return Err(Refusal::Http(404));
        }
        if self.head.method != Method::POST {
            return Err(Refusal::Http(405));
        }
        let client = self.client().ok_or(Refusal::Http(404))?;
        request::check_headers(&self.head.headers)?;
        let request = request::read(document.as_ref().map_err(Clone::clone)?)?;
        self.check_authorized(client, &request)?;
        let later_begin = match fault {
            Some(CtaFault::LaterBegin { seconds }) => TimeDelta::seconds((*seconds).into()),
            _ => TimeDelta::zero(),
        };
        let mut response = self.shared.catalogue().answer(Inquiry {
            request: &request,
            client,
            rules: self.rules,
            now: self.now,
            later_begin,
        })?;
        let said = format!(
            "part {}, {} publications",
            response.part,
            response.publications.len()
        );
        let mut in_response_to = self.in_response_to.to_owned();
        if let Some(fault) = fault {
            response.spoil(fault);
            if *fault == CtaFault::WrongInResponseTo {
                in_response_to.push_str("-other");
            }
        }
        let xml = response.to_xml(self.message_id(), &in_response_to, self.rules);
        let body = match fault {
            Some(fault) => fault.spoil(xml),
            None => xml.into_bytes(),
        };
        let pace = fault.map_or(Pace::Whole, CtaFault::pace);
        Ok((said, self.taxii(200, body, pace)))
    }

    /// The user whose password is right.
    fn client(&self) -> Option<&str> {
        let header = self
            .head
            .headers
            .get(header::AUTHORIZATION)?
            .to_str()
            .ok()?;
        let decoded = BASE64_STANDARD
            .decode(header.strip_prefix("Basic ")?)
            .ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (username, password) = decoded.split_once(':')?;
        let mut accounts = self.rules.accounts.iter();
        let account = accounts.find(|account| account.username == username)?;
        (account.password == password).then_some(account.username.as_str())
    }

    fn check_authorized(&self, client: &str, request: &TaxiiRequest) -> Result<(), Status> {
        let collection = &request.collection;
        let mut accounts = self.rules.accounts.iter();
        let own =
            accounts.any(|account| account.username == client && account.may_poll(collection));
        if own || !self.rules.collection_exists(collection) {
            return Ok(());
        }
        Err(Status::new(
            "DENIED",
            format!("{client} may not poll {collection}"),
        ))
    }

    fn http(&self, status: u16) -> Reply {
        self.answer(status, "text/plain", Vec::new(), Pace::Whole)
    }

    fn status(&self, http: u16, status: &Status) -> Reply {
        let xml = status.to_xml(self.message_id(), self.in_response_to, self.rules);
        self.taxii(http, xml.into_bytes(), Pace::Whole)
    }

    /// An answer that is a TAXII message.
    fn taxii(&self, status: u16, body: Vec<u8>, pace: Pace) -> Reply {
        let compressed = (self.rules.gzip && self.accepts_gzip())
            .then(|| gzip(&body))
            .flatten();
        let is_compressed = compressed.is_some();
        let mut reply = self.answer(status, "application/xml", compressed.unwrap_or(body), pace);
        if let Reply::Answer { headers, .. } = &mut reply {
            let (content_type, protocol) = match self.rules.header_style {
                HeaderStyle::Specification => (MESSAGE_BINDING, PROTOCOL_BINDING),
                HeaderStyle::Swapped => (PROTOCOL_BINDING, MESSAGE_BINDING),
            };
            for (name, value) in [
                ("x-taxii-content-type", content_type),
                ("x-taxii-protocol", protocol),
                ("x-taxii-services", SERVICES),
            ] {
                headers.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
            if is_compressed {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        reply
    }

    fn answer(&self, status: u16, content_type: &'static str, body: Vec<u8>, pace: Pace) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let date = http_date(self.rules.service_time(self.now.utc));
        if let Ok(date) = HeaderValue::from_str(&date) {
            headers.insert(header::DATE, date);
        }
        Reply::Answer {
            status,
            headers,
            body,
            pace,
        }
    }

    fn accepts_gzip(&self) -> bool {
        let accepted = self.head.headers.get(header::ACCEPT_ENCODING);
        let accepted = accepted.and_then(|value| value.to_str().ok());
        accepted.is_some_and(|codings| codings.contains("gzip"))
    }

    /// Differs from answer to answer.
    fn message_id(&self) -> u64 {
        u64::try_from(self.shared.requests.total()).unwrap_or(u64::MAX)
    }
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
