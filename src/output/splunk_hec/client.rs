//! One request to the collector and its answer: the only file here that does I/O.

use std::collections::BTreeMap;
use std::error::Error as _;

use memchr::memmem;
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, DATE, HeaderMap, HeaderName,
    HeaderValue, RETRY_AFTER, SET_COOKIE,
};
use reqwest::{Client, RequestBuilder, Response, Url};

use super::super::{BuildOutputError, Channel, Problem};
use super::lane;
use super::reply::{Answer, MEND_PROXY};
use crate::config::{Secret, SplunkHecConfig};
use crate::tls::{BuildClientError, client_builder, fault, proxy};

/// Bytes of an answer that are read; the collector's own are below a hundred.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The header that names the channel.
const CHANNEL: HeaderName = HeaderName::from_static("x-splunk-request-channel");

/// A pool of connections and the token that goes with every request.
#[derive(Debug, Clone)]
pub(super) struct HecClient {
    http: Client,
    authorization: HeaderValue,
    token: Secret,
}

/// What is posted.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) url: Url,
    pub(super) body: Vec<u8>,
    pub(super) is_gzipped: bool,
    /// The way to the indexer, where one acknowledges.
    pub(super) channel: Option<Channel>,
}

/// An answer that was read.
#[derive(Debug)]
pub(super) struct Received {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl HecClient {
    /// Connects to nothing yet.
    pub(super) fn new(config: &SplunkHecConfig) -> Result<Self, BuildOutputError> {
        let http = client_builder(
            &config.tls,
            config.proxy.as_ref(),
            config.connect_timeout,
            config.request_timeout,
        )?
        .build()
        .map_err(BuildClientError::Build)?;
        Ok(Self {
            http,
            authorization: authorization(&config.token)?,
            token: config.token.clone(),
        })
    }

    /// Whether another token is seen by the next start alone.
    pub(super) fn token_stays(&self) -> bool {
        self.token.source().stays_until_restart()
    }

    /// Posts; the error is a fault of the connection.
    pub(super) async fn post(&self, post: Post) -> Result<Received, Problem> {
        let to = post.url.to_string();
        let mut request = self
            .http
            .post(post.url)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(post.body);
        if post.is_gzipped {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        if let Some(channel) = post.channel {
            request = request.header(CHANNEL, channel.guid.to_string());
            if let Some(cookies) = lane::cookie_header(&channel.cookies) {
                request = request.header(COOKIE, cookies);
            }
        }
        let received = exchange(request).await;
        received
            .map(|received| received.without(&self.token))
            .map_err(|error| problem(&format!("POST to {to}"), error))
    }

    /// Gets, without the token; the error is a fault of the connection.
    pub(super) async fn get(&self, url: Url) -> Result<Received, Problem> {
        let from = url.to_string();
        exchange(self.http.get(url))
            .await
            .map_err(|error| problem(&format!("GET of {from}"), error))
    }
}

impl Received {
    /// What came, without the token that it may repeat.
    fn without(mut self, token: &Secret) -> Self {
        if memmem::find(&self.body, token.expose().as_bytes()).is_some() {
            let body = String::from_utf8_lossy(&self.body);
            self.body = token.hide_in(&body).into_bytes();
        }
        self
    }

    /// What is judged of it.
    pub(super) fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            retry_after: self.header(&RETRY_AFTER),
            date: self.header(&DATE),
            body: &self.body,
        }
    }

    /// The cookies that came with it.
    pub(super) fn cookies(&self) -> BTreeMap<String, String> {
        let headers = self.headers.get_all(SET_COOKIE).iter();
        lane::cookies(headers.filter_map(|header| header.to_str().ok()))
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn authorization(token: &Secret) -> Result<HeaderValue, BuildOutputError> {
    let mut value = HeaderValue::from_str(&format!("Splunk {}", token.expose()))
        .map_err(|_| BuildOutputError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

fn problem(what: &str, error: reqwest::Error) -> Problem {
    let mend = if proxy::wants_credentials(&error) {
        Some(MEND_PROXY)
    } else {
        fault::mend(&error)
    };
    Problem {
        mend: mend.map(str::to_owned),
        reason: format!("{what} failed: {}", story(error)),
        after: None,
    }
}

async fn exchange(request: RequestBuilder) -> Result<Received, reqwest::Error> {
    read(request.send().await?).await
}

async fn read(mut response: Response) -> Result<Received, reqwest::Error> {
    let mut body = Vec::new();
    while body.len() < MAX_ANSWER_BYTES {
        let Some(chunk) = response.chunk().await? else {
            break;
        };
        body.extend_from_slice(&chunk);
    }
    body.truncate(MAX_ANSWER_BYTES);
    Ok(Received {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body,
    })
}

/// The error with its causes: the first alone says little more than that there was one.
fn story(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut story = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !story.ends_with(&cause_text) {
            story.push_str(": ");
            story.push_str(&cause_text);
        }
        source = cause.source();
    }
    story
}
