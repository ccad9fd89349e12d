//! Questions to a service that have a small answer: what it offers, and subscriptions. None of them
//! spends a poll.

use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use reqwest::Url;

use super::client::{Client, Reply, new_message_id};
use super::fault::Fault;
use super::message::{Ask, Request};
use super::response::{Answer, ReadResponseError, RefusedBlock, ResponseSink, read_answer};
use super::version::Version;
use crate::config::Limits;
use crate::flatten::{EventSink, FlatEvent};
use crate::tape::{Scratch, ScratchFile};
use crate::xml::XmlError;

/// Bytes of an answer, which is held in memory: thousands of collections.
pub const MAX_ANSWER_BYTES: u64 = 16 << 20;
/// Bytes of an answer about services. Whoever is polled is asked about them, whatever it is.
pub const MAX_DISCOVERY_BYTES: u64 = 1 << 20;

/// What a service has said.
#[derive(Debug)]
pub struct Inquired {
    /// The HTTP status.
    pub http: u16,
    /// The service's clock, to the second.
    pub date: Option<DateTime<Utc>>,
    /// Its message.
    pub answer: Answer,
}

/// Asks, and reads the whole answer. A Status_Message is an answer too.
pub async fn inquire(
    client: &Client,
    url: &str,
    ask: Ask<'_>,
    version: Version,
) -> Result<Inquired, Fault> {
    let request = Request::new(ask, version, new_message_id())?;
    let reply = client.send(url, &request).await?;
    let (http, date, retry_after) = (reply.status, reply.date, reply.retry_after);
    let is_success = (200..300).contains(&http);
    let limit = match ask {
        Ask::Discovery => MAX_DISCOVERY_BYTES,
        _ => MAX_ANSWER_BYTES,
    };
    match read(reply, limit).await {
        Ok(Answer::Status(message)) => Ok(Inquired {
            http,
            date,
            answer: Answer::Status(message.reworded(|text| client.hide_credentials(text))),
        }),
        Ok(answer) if is_success => Ok(Inquired { http, date, answer }),
        Err(error) if is_success => Err(Fault::Unreadable {
            reason: error.to_string(),
        }),
        Ok(_) | Err(_) => Err(Fault::Http {
            status: http,
            retry_after,
        }),
    }
}

async fn read(reply: Reply, limit: u64) -> Result<Answer, ReadResponseError> {
    let body = reply.bytes(limit).await;
    let body = body.map_err(|error| XmlError::Read(Arc::new(error)))?;
    let limits = Limits::default();
    let nowhere: Arc<dyn Scratch> = Arc::new(Nowhere);
    read_answer(&mut body.as_slice(), None, &limits, &nowhere, Nowhere)
}

/// An address that a service names, as a URL: it may be relative to the address of the service
/// that names it.
///
/// Whoever is asked there is shown what the first one was shown, so it must be the same host, and
/// TLS is not given up.
pub fn named_address(base: &str, address: &str) -> Result<String, Fault> {
    let refuse = |why: &str| {
        Err(Fault::NotOffered {
            reason: format!("{base} names the address {address:?}, {why}"),
        })
    };
    let Ok(base_url) = Url::parse(base) else {
        return refuse("and its own address is not a URL");
    };
    let Ok(url) = base_url.join(address.trim()) else {
        return refuse("which is not a URL");
    };
    match url.scheme() {
        "https" => {}
        "http" if base_url.scheme() == "http" => {}
        "http" => return refuse("which is without TLS"),
        _ => return refuse("which is not https:// or http://"),
    }
    if url.host() != base_url.host() {
        return refuse(
            "which is on another host: what authenticates the agent is not sent there by itself. \
             Write it as poll_url if that is right",
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("which has a user or password in it");
    }
    Ok(url.into())
}

/// Takes no content: whoever asks here asks for none.
struct Nowhere;

fn no_content() -> io::Error {
    io::Error::other("content came that was not asked for")
}

impl Scratch for Nowhere {
    fn create(&self) -> io::Result<Box<dyn ScratchFile>> {
        Err(no_content())
    }
}

impl EventSink for Nowhere {
    fn event(&mut self, _: FlatEvent<'_>) -> io::Result<()> {
        Err(no_content())
    }
}

impl ResponseSink for Nowhere {
    fn block_read(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn block_refused(&mut self, _: RefusedBlock<'_>) -> io::Result<()> {
        Ok(())
    }
}
