//! What goes back, and how.

use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::code;
use crate::simulator::body::Pace;
use crate::simulator::server::{Answer, NoAnswer};

const JSON: &str = "application/json";

const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Login</title></head>\
    <body><form>Please sign in to the proxy.</form></body></html>\n";

/// What goes back.
pub(super) enum Reply {
    /// An answer.
    Answer(ReplyAnswer),
    /// The connection ends.
    None(NoAnswer),
    /// Nothing, for ever.
    Silence,
}

/// An answer.
pub(super) struct ReplyAnswer {
    pub(super) status: u16,
    pub(super) body: String,
    content_type: &'static str,
    retry_after: Option<String>,
    set_cookie: Option<String>,
    pace: Pace,
}

impl Reply {
    /// With this JSON, or with no body for null.
    pub(super) fn json(status: u16, body: &Value, pace: Pace) -> Self {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        Self::Answer(ReplyAnswer {
            pace,
            ..ReplyAnswer::new(status, JSON, body)
        })
    }

    /// HTTP 200 with a text that claims to be JSON.
    pub(super) fn other_body(body: &str) -> Self {
        Self::Answer(ReplyAnswer::new(200, JSON, body.to_owned()))
    }

    /// A web page.
    pub(super) fn login_page() -> Self {
        Self::Answer(ReplyAnswer::new(200, "text/html", LOGIN_PAGE.to_owned()))
    }

    /// A status without a code.
    pub(super) fn bare(status: u16, retry_after: Option<String>) -> Self {
        Self::Answer(ReplyAnswer {
            retry_after,
            ..ReplyAnswer::new(status, "text/plain", String::new())
        })
    }

    /// The same with the load balancer's cookie.
    pub(super) fn with_cookie(mut self, cookie: Option<String>) -> Self {
        if let Self::Answer(answer) = &mut self {
            answer.set_cookie = cookie;
        }
        self
    }

    /// Sends it.
    pub(super) async fn send(self) -> Answer {
        match self {
            Self::None(how) => Err(how),
            Self::Silence => std::future::pending().await,
            Self::Answer(answer) => Ok(answer.response()),
        }
    }
}

impl ReplyAnswer {
    fn new(status: u16, content_type: &'static str, body: String) -> Self {
        Self {
            status,
            body,
            content_type,
            retry_after: None,
            set_cookie: None,
            pace: Pace::Whole,
        }
    }

    fn response(self) -> Response<crate::simulator::body::Body> {
        let length = self.body.len();
        let mut response = Response::new(self.pace.body(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        let content_type = HeaderValue::from_static(self.content_type);
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::CONTENT_LENGTH, length.into());
        for (name, value) in [
            (header::RETRY_AFTER, self.retry_after),
            (header::SET_COOKIE, self.set_cookie),
        ] {
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// The HTTP status of a code.
pub(super) fn http_status(code: u8) -> u16 {
    code::status_and_text(code).map_or(400, |(status, _)| status)
}

/// The body of an answer with a code.
pub(super) fn said(code: u8) -> Value {
    let text = code::status_and_text(code).map_or("Unknown", |(_, text)| text);
    json!({"text": text, "code": code})
}

/// Adds to the body of an answer.
pub(super) fn set(answer: &mut Value, key: &str, value: Value) {
    if let Some(answer) = answer.as_object_mut() {
        answer.insert(key.to_owned(), value);
    }
}
