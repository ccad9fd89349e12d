//! A request as it came: what its head says, and its body without the compression.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;

use super::{HecRequestKind, acks};

const CHANNEL: HeaderName = HeaderName::from_static("x-splunk-request-channel");

/// A code, or an HTTP status without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Code(u8),
    Http(u16),
}

/// A request that came whole.
pub(super) struct Received<'a> {
    pub(super) kind: HecRequestKind,
    head: &'a Parts,
    body: &'a Bytes,
}

impl<'a> Received<'a> {
    pub(super) fn new(head: &'a Parts, body: &'a Bytes) -> Self {
        let kind = HecRequestKind::of_path(head.uri.path());
        Self { kind, head, body }
    }

    /// All headers, in order.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let headers = self.head.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), value.into_owned())
        });
        headers.collect()
    }

    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(super) fn version(&self) -> String {
        format!("{:?}", self.head.version)
    }

    /// Path and query; over HTTP/2 the address names the server too.
    pub(super) fn path(&self) -> String {
        let path = self.head.uri.path_and_query();
        path.map_or_else(String::new, ToString::to_string)
    }

    /// Bytes of the body as it came.
    pub(super) fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// The values of all `Cookie` headers.
    pub(super) fn cookies(&self) -> Vec<&'a str> {
        let cookies = self.head.headers.get_all(header::COOKIE).into_iter();
        cookies.filter_map(|value| value.to_str().ok()).collect()
    }

    /// The channel, from the header or else from the query.
    pub(super) fn channel(&self) -> Option<&'a str> {
        text_header(&self.head.headers, CHANNEL).or_else(|| self.query("channel"))
    }

    /// The channel as it must be where the token acknowledges.
    pub(super) fn checked_channel(&self) -> Result<&'a str, Refusal> {
        match self.channel() {
            None => Err(Refusal::Code(10)),
            Some(channel) if !acks::is_guid(channel) => Err(Refusal::Code(11)),
            Some(channel) => Ok(channel),
        }
    }

    pub(super) fn check_method(&self, method: &str) -> Result<(), Refusal> {
        if self.head.method.as_str() == method {
            Ok(())
        } else {
            Err(Refusal::Http(405))
        }
    }

    pub(super) fn check_token(&self, token: &str, enabled: bool) -> Result<(), Refusal> {
        let Some(authorization) = text_header(&self.head.headers, header::AUTHORIZATION) else {
            let in_query = self.query("token").is_some();
            return Err(Refusal::Code(if in_query { 16 } else { 2 }));
        };
        match authorization.strip_prefix("Splunk ").map(str::trim) {
            None | Some("") => Err(Refusal::Code(3)),
            Some(stated) if stated != token => Err(Refusal::Code(4)),
            Some(_) if !enabled => Err(Refusal::Code(1)),
            Some(_) => Ok(()),
        }
    }

    /// The body of what must be plain JSON and say so.
    pub(super) fn plain_json(&self) -> Result<&'a Bytes, Refusal> {
        let headers = &self.head.headers;
        let content_type = text_header(headers, header::CONTENT_TYPE).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json")
            || text_header(headers, header::CONTENT_ENCODING).is_some()
        {
            return Err(Refusal::Http(415));
        }
        Ok(self.body)
    }

    /// The body without its compression, up to one byte beyond the limit.
    pub(super) fn decoded(&self, max_bytes: usize) -> Result<Bytes, Refusal> {
        match text_header(&self.head.headers, header::CONTENT_ENCODING) {
            None | Some("identity") => Ok(self.body.clone()),
            Some("gzip") => {
                let mut plain = Vec::new();
                // One byte more shows that it is too long, without unpacking a bomb.
                let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
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

    fn query(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.head.uri.query()?.split('&');
        pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

fn text_header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
