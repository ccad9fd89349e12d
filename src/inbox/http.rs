//! The inbox over HTTP: what is answered to which request.

use std::io::{self, Read};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{
    self, ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderMap, HeaderValue,
    WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};

use super::authentication::Stranger;
use super::keep::{Refusal, unsupported_message};
use super::words::printable;
use super::{Inbox, Received};
use crate::listener::{Answer, Peer};
use crate::spool::SpoolError;
use crate::tape::{Tape, TapeFull};
use crate::taxii::client::new_message_id;
use crate::taxii::message::{self, StatusReply};
use crate::taxii::response::{InboxMessage, read_inbox_message};
use crate::taxii::status::StatusType;
use crate::taxii::version::{PROTOCOL_HTTP, PROTOCOL_HTTPS, Version};

/// Memory for a message that comes in; what is more waits in a scratch file.
const MESSAGE_MEMORY: usize = 256 << 10;
/// Of a request that is refused this much is still taken, so that its sender gets to read why: most
/// read nothing before they have sent all.
const MAX_UNREAD_BYTES: u64 = 16 << 20;
/// And for this long.
const UNREAD_PATIENCE: Duration = Duration::from_secs(10);
/// The beginning of a message, in which its id stands.
const MAX_BEGINNING_BYTES: usize = 16 << 10;
/// What is answered to a request whose message is not known.
const UNKNOWN_ID: &str = "0";

/// A message did not come whole.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    /// It is too large.
    #[error("the message is larger than {limit} bytes (inbox.limits.max_message_bytes)")]
    TooLarge { limit: u64 },
    /// Its sender went away.
    #[error("its sender went away: {0}")]
    BrokeOff(hyper::Error),
    /// It takes too long.
    #[error("it did not come within {} seconds (inbox.request_timeout)", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The agent stops.
    #[error("the agent stops")]
    Stopping,
    /// It cannot be kept.
    #[error("it cannot be kept: {0}")]
    Keep(io::Error),
}

impl Inbox {
    /// Answers a request.
    pub(super) async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let version = wanted_version(&head.headers);
        if head.uri.path() != self.config.path {
            return plain(StatusCode::NOT_FOUND, "there is no inbox at this path\n");
        }
        if head.method != Method::POST {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "an inbox is posted to\n");
            let headers = answer.headers_mut();
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
            return answer;
        }
        if let Err(stranger) = self.doorkeeper.admit(peer, &head.headers) {
            let message = self.unread_of(&head.headers, body).await;
            return self.turn_away(peer, stranger, version, &message);
        }
        if let Err(reply) = self.admit(&head.headers, body.size_hint().lower()) {
            let message = self.unread_of(&head.headers, body).await;
            let why = reply.message.clone().unwrap_or_default();
            self.tell_of_refusal(&reply, &why, message.message_id.as_deref());
            return self.status(StatusCode::OK, &reply, version, &message);
        }
        let (status, Received { message, reply }) = self.message(body).await;
        self.status(status, &reply, version, &message)
    }

    /// What is known of a message that is refused before it is read: an answer names what it is to. Who
    /// waits for leave to send it (`Expect: 100-continue`) gets none.
    async fn unread_of(&self, headers: &HeaderMap, body: Incoming) -> InboxMessage {
        if headers.contains_key(EXPECT) {
            return InboxMessage::default();
        }
        self.unread(body).await
    }

    async fn unread(&self, body: Incoming) -> InboxMessage {
        let begin = self.drain(body).await;
        self.beginning(&begin)
    }

    /// Takes the rest of a request that is refused, as far as that makes sense; gives its beginning.
    async fn drain(&self, body: Incoming) -> Vec<u8> {
        let draining = self.stopping.run_until_cancelled(drain(body));
        draining.await.unwrap_or_default()
    }

    fn beginning(&self, begin: &[u8]) -> InboxMessage {
        let mut message = InboxMessage::default();
        // It is cut off, and no error of it matters.
        let _ = read_inbox_message(&mut &*begin, &self.config.limits, &mut message);
        message
    }

    /// What can be said before anything of the message is read.
    fn admit(&self, headers: &HeaderMap, length: u64) -> Result<(), StatusReply> {
        if let Err(wait) = self.pass() {
            let what = format!(
                "no more than {} messages in a minute are taken",
                self.config.max_messages_per_minute
            );
            let now = self.house.clock.now().utc;
            // Rounded up, or it would come again too early.
            let wait = wait + Duration::from_millis(999);
            return Err(StatusReply::retry(what, wait, now));
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(binding) = text("X-TAXII-Content-Type")
            && Version::of_message_binding(binding).is_none()
        {
            let what = format!(
                "TAXII 1.0 and 1.1 are understood, not {:?}",
                printable(binding)
            );
            return Err(unsupported_message(&what));
        }
        let media = text(CONTENT_TYPE.as_str()).and_then(|media| media.split(';').next());
        let is_xml = |media: &str| {
            let media = media.trim().to_ascii_lowercase();
            ["application/xml", "text/xml"].contains(&media.as_str())
        };
        if let Some(media) = media.filter(|media| !is_xml(media)) {
            let what = format!("application/xml is understood, not {:?}", printable(media));
            return Err(unsupported_message(&what));
        }
        let coding = text(CONTENT_ENCODING.as_str()).map(str::trim);
        if let Some(coding) = coding.filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
            let what = format!(
                "no Content-Encoding is understood, this has {:?}",
                printable(coding)
            );
            return Err(StatusReply::new(StatusType::BadMessage, what));
        }
        let limit = self.config.limits.max_response_bytes;
        if length > limit {
            return Err(not_whole(&BodyError::TooLarge { limit }));
        }
        Ok(())
    }

    /// Takes the message, and keeps it.
    async fn message(&self, mut body: Incoming) -> (StatusCode, Received) {
        let staging = match tokio::task::block_in_place(|| self.make_room()) {
            Ok(staging) => staging,
            Err(refusal) => {
                let message = self.unread(body).await;
                return (StatusCode::OK, self.refuse(&refusal, message));
            }
        };
        let limit = self.config.limits.max_response_bytes;
        let mut tape = Tape::new(staging.scratch(), MESSAGE_MEMORY, limit);
        if let Err(error) = self.read(&mut body, &mut tape).await {
            let begin = beginning_of(&mut tape);
            let message = self.beginning(&begin);
            let is_late = matches!(error, BodyError::TimedOut(_));
            let is_stopping = matches!(error, BodyError::Stopping);
            let refusal = match error {
                BodyError::Keep(error) => SpoolError::staging(error, staging.folder()).into(),
                BodyError::Stopping => Refusal::Stopping,
                error => Refusal::Message(not_whole(&error)),
            };
            let received = self.refuse(&refusal, message);
            // What it has taken is free before the sender hears of it.
            tokio::task::block_in_place(|| drop((tape, staging)));
            if is_late {
                return (StatusCode::REQUEST_TIMEOUT, received);
            }
            if !is_stopping {
                self.drain(body).await;
            }
            return (StatusCode::OK, received);
        }
        // It is never closed.
        let _turn = self.reading.acquire().await;
        let received = tokio::task::block_in_place(|| self.receive(&mut tape, staging));
        (StatusCode::OK, received)
    }

    async fn read(&self, body: &mut Incoming, tape: &mut Tape) -> Result<(), BodyError> {
        let reading = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(BodyError::BrokeOff)?;
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                let bytes = tape.len() + data.len() as u64;
                let appended = if bytes > MESSAGE_MEMORY as u64 {
                    tokio::task::block_in_place(|| tape.append(&data))
                } else {
                    tape.append(&data)
                };
                appended.map_err(|error| {
                    let inner = error.get_ref();
                    match inner.and_then(|error| error.downcast_ref::<TapeFull>()) {
                        Some(full) => BodyError::TooLarge { limit: full.limit },
                        None => BodyError::Keep(error),
                    }
                })?;
            }
            Ok(())
        };
        let patience = self.config.request_timeout;
        let reading = tokio::time::timeout(patience, reading);
        match self.stopping.run_until_cancelled(reading).await {
            Some(read) => read.unwrap_or(Err(BodyError::TimedOut(patience))),
            None => Err(BodyError::Stopping),
        }
    }

    fn turn_away(
        &self,
        peer: &Peer,
        stranger: Stranger,
        version: Option<Version>,
        message: &InboxMessage,
    ) -> Answer {
        let mut seldom = self
            .strangers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = seldom.tell(Instant::now()) {
            tracing::warn!(
                inbox = self.config.name,
                peer = %peer.address,
                left_out,
                "somebody may not push: {stranger}"
            );
        }
        drop(seldom);
        let now = self.house.clock.now().utc;
        self.house.board.inbox(|inbox| {
            inbox.strangers += 1;
            inbox.last_stranger = Some(format!("{}: {stranger}", peer.address));
            inbox.last_stranger_at = Some(now);
        });
        let (status, what) = match stranger {
            Stranger::Credentials => (
                StatusCode::UNAUTHORIZED,
                "a user and a password are needed (HTTP Basic)",
            ),
            Stranger::Certificate => (
                StatusCode::FORBIDDEN,
                "this certificate is not known to the inbox",
            ),
        };
        let reply = StatusReply::new(StatusType::Unauthorized, what);
        let mut answer = self.status(status, &reply, version, message);
        if stranger == Stranger::Credentials {
            let challenge =
                HeaderValue::from_static("Basic realm=\"TAXII inbox\", charset=\"UTF-8\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        answer
    }

    fn status(
        &self,
        status: StatusCode,
        reply: &StatusReply,
        version: Option<Version>,
        message: &InboxMessage,
    ) -> Answer {
        let version = version.or(message.version);
        let version = version.unwrap_or(Version::PREFERRED);
        let in_response_to = message.message_id.as_deref().unwrap_or(UNKNOWN_ID);
        let protocol = match self.tls {
            Some(_) => PROTOCOL_HTTPS,
            None => PROTOCOL_HTTP,
        };
        let xml = reply.to_xml(version, &new_message_id(), in_response_to);
        let mut answer = Response::new(Full::new(Bytes::from(xml)));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        for (name, value) in [
            ("content-type", message::CONTENT_TYPE),
            ("x-taxii-content-type", version.message_binding()),
            ("x-taxii-protocol", protocol),
            ("x-taxii-services", version.services()),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if reply.status != StatusType::Success {
            // What may still come of the request is not for the next one.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

fn not_whole(error: &BodyError) -> StatusReply {
    let status = match error {
        BodyError::TooLarge { .. } => StatusType::BadMessage,
        BodyError::BrokeOff(_)
        | BodyError::TimedOut(_)
        | BodyError::Stopping
        | BodyError::Keep(_) => StatusType::Failure,
    };
    StatusReply::new(status, error.to_string())
}

/// The version that a sender wants to be answered in, if it says so.
fn wanted_version(headers: &HeaderMap) -> Option<Version> {
    ["X-TAXII-Accept", "X-TAXII-Content-Type"]
        .iter()
        .flat_map(|name| headers.get_all(*name))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(Version::of_message_binding)
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, close);
    let media = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, media);
    answer
}

/// Takes the rest of a request that is refused, as far as that makes sense; gives its beginning.
async fn drain(mut body: Incoming) -> Vec<u8> {
    let mut begin = Vec::new();
    let is_too_much = body.size_hint().lower() > MAX_UNREAD_BYTES;
    let draining = async {
        let mut taken = 0;
        while let Some(Ok(frame)) = body.frame().await {
            let data = frame.data_ref().map_or(&[][..], |data| data);
            let room = MAX_BEGINNING_BYTES - begin.len();
            begin.extend_from_slice(data.get(..room).unwrap_or(data));
            taken += data.len() as u64;
            if taken > MAX_UNREAD_BYTES || (is_too_much && begin.len() >= MAX_BEGINNING_BYTES) {
                return;
            }
        }
    };
    // Who takes longer gets his answer now.
    let _ = tokio::time::timeout(UNREAD_PATIENCE, draining).await;
    begin
}

/// The beginning of what has come; nothing where it cannot be read again.
fn beginning_of(tape: &mut Tape) -> Vec<u8> {
    let mut begin = Vec::new();
    if let Ok(reader) = tape.rewind() {
        let most = MAX_BEGINNING_BYTES as u64;
        // As much as can be read.
        let _ = reader.take(most).read_to_end(&mut begin);
    }
    begin
}
