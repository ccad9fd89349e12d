//! The TAXII poll service of CTA, on loopback.
//!
//! Its own document says what it allows: one poll a client in ten minutes, three days a poll,
//! thirty days kept. What it does beyond the document is in [`CtaRules`] and [`CtaFault`].

mod catalogue;
mod fault;
mod message;
mod reply;
mod request;
mod rules;
mod status;
mod volume;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper::Request;
use hyper::body::Incoming;
use serde::Serialize;

pub use self::fault::{BadBlock, CtaFault, CtaFaultOn};
pub use self::rules::{Account, ContentStyle, CtaRules, EndPolicy, GateScope, HeaderStyle};
pub use self::volume::{Volume, Written, write_answer};

use self::catalogue::Catalogue;
use super::body::{self, ReadBodyError};
use super::content::Publication;
use super::fault::{ArmedFault, FaultPlan};
use super::journal::Journal;
use super::server::{Answer, LoopbackServer, NoAnswer};
use crate::clock::Clock;
use crate::event::EventId;

const POLL_PATH: &str = "/skym-taxii-ws/PollService/";

const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// How many requests are remembered.
const KEPT_REQUESTS: usize = 100_000;

/// The simulated service; it ends when dropped.
#[derive(Debug)]
pub struct CtaService {
    shared: Arc<Shared>,
    server: LoopbackServer,
}

/// What came in, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct CtaRequest {
    /// When, by our clock and not by the service's.
    pub at: DateTime<Utc>,
    /// The same without jumps.
    pub monotonic: Duration,
    /// What was asked.
    pub kind: CtaRequestKind,
    /// Of which collection.
    pub collection: Option<String>,
    /// Exclusive_Begin_Timestamp, as stated.
    pub begin: Option<String>,
    /// Inclusive_End_Timestamp, as stated.
    pub end: Option<String>,
    /// The result that a fulfillment asks for.
    pub result_id: Option<String>,
    /// Its part.
    pub part: Option<String>,
    /// All headers, in order.
    #[serde(serialize_with = "super::journal::without_credentials")]
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// Whether it was served as asked: an accepted poll counts for the gate.
    pub accepted: bool,
    /// The HTTP status, unless there was no answer.
    pub status: Option<u16>,
    /// The answer in a few words.
    pub answer: String,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CtaRequestKind {
    /// A Poll_Request.
    Poll,
    /// A Poll_Fulfillment.
    Fulfillment,
    /// Neither.
    Other,
}

#[derive(Debug)]
struct Shared {
    rules: Mutex<CtaRules>,
    clock: Arc<dyn Clock>,
    catalogue: Mutex<Catalogue>,
    faults: FaultPlan<CtaFault, CtaFaultOn>,
    requests: Journal<CtaRequest>,
}

impl CtaService {
    /// Starts a service that stamps and judges by `clock` plus its skew.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(rules: CtaRules, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let port = rules.port;
        let shared = Arc::new(Shared {
            rules: Mutex::new(rules),
            clock,
            catalogue: Mutex::default(),
            faults: FaultPlan::new(),
            requests: Journal::new(KEPT_REQUESTS),
        });
        let server = LoopbackServer::start(port, {
            let shared = Arc::clone(&shared);
            move |request| answer(Arc::clone(&shared), request)
        })?;
        Ok(Self { shared, server })
    }

    /// Where to poll.
    #[must_use]
    pub fn poll_url(&self) -> String {
        format!("http://{}{POLL_PATH}", self.server.address())
    }

    /// The time by the service's own clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let ours = self.shared.clock.now().utc;
        self.shared.rules().service_time(ours)
    }

    /// Publishes to the first collection of the rules.
    ///
    /// It is served once the service's clock has reached its stamp, which is cut to microseconds
    /// as timestamps state them. With a stamp that a poll has already covered, be it the present
    /// moment of a clock that stands, it is a late arrival.
    pub fn publish(&self, publication: Publication) {
        let first = {
            let rules = self.shared.rules();
            let mut collections = rules
                .accounts
                .iter()
                .flat_map(|account| &account.collections);
            collections.next().cloned()
        };
        self.publish_to(&first.unwrap_or_default(), publication);
    }

    /// Publishes to a collection.
    pub fn publish_to(&self, collection: &str, publication: Publication) {
        self.shared.catalogue().publish(collection, publication);
    }

    /// The ids of all events that were published, by stamp and then in document order.
    #[must_use]
    pub fn published_ids(&self) -> Vec<EventId> {
        self.shared.catalogue().published_ids(|_| true)
    }

    /// The same of one collection.
    #[must_use]
    pub fn published_ids_of(&self, collection: &str) -> Vec<EventId> {
        self.shared
            .catalogue()
            .published_ids(|name| name == collection)
    }

    /// What was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<CtaRequest> {
        self.shared.requests.entries()
    }

    /// Waits until there ever were so many requests.
    ///
    /// A request counts once its answer is made, or once it is certain that there will be none.
    pub async fn wait_for_requests(&self, count: usize) {
        self.shared.requests.wait_for(count).await;
    }

    /// Arms a fault behind those that are armed.
    pub fn set_fault(&self, fault: ArmedFault<CtaFault, CtaFaultOn>) {
        self.shared.faults.arm(fault);
    }

    /// Disarms all faults.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// The faults that are armed.
    #[must_use]
    pub fn faults(&self) -> Vec<ArmedFault<CtaFault, CtaFaultOn>> {
        self.shared.faults.armed()
    }

    /// How many requests met a fault.
    #[must_use]
    pub fn faults_shown(&self) -> u64 {
        self.shared.faults.shown()
    }

    /// Changes the rules, all but the port, from the next request on.
    pub fn change_rules(&self, change: impl FnOnce(&mut CtaRules)) {
        change(&mut self.shared.rules());
    }

    /// From now on connections are refused.
    pub async fn refuse_connections(&self) -> io::Result<()> {
        self.server.refuse_connections().await
    }

    /// Connections are accepted again, on the same port.
    pub async fn accept_connections(&self) -> io::Result<()> {
        self.server.accept_connections().await
    }
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, CtaRules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let body = match body::read(body, MAX_REQUEST_BYTES).await {
        Ok(body) => Some(body),
        Err(ReadBodyError::TooLong { .. }) => None,
        Err(ReadBodyError::BrokeOff) => return Err(NoAnswer::Close),
    };
    let (entry, reply) = reply::make(&shared, &head, body.as_deref());
    shared.requests.push(entry);
    reply.send().await
}

#[cfg(test)]
mod tests;
