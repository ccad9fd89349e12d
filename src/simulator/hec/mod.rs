//! A Splunk HTTP Event Collector, on loopback.

mod acks;
mod code;
mod envelope;
mod fault;
mod indexers;
mod reply;
mod request;
mod rules;
mod service;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use serde::Serialize;

pub use self::envelope::HecEvent;
pub use self::fault::{HecFault, HecFaultOn};
pub use self::indexers::NoIndexerError;
pub use self::rules::{AckPolicy, HecRules, PartlyTaken, Sticky, TooLarge};

use self::indexers::Indexers;
use self::request::Received;
use super::body::{self, ReadBodyError};
use super::fault::{ArmedFault, FaultPlan};
use super::journal::Journal;
use super::server::{Answer, LoopbackServer, NoAnswer};
use crate::event::EventId;

/// The longest body that is read at all, before decompression.
const MAX_REQUEST_BYTES: usize = 256 * 1024 * 1024;

/// How many requests are remembered.
const KEPT_REQUESTS: usize = 100_000;

/// The events that a collector reads in this body, up to the first that is wrong.
#[cfg(any(test, fuzzing))]
pub(crate) fn take_envelopes(body: &[u8]) -> Vec<HecEvent> {
    envelope::take(body, None).events
}

/// The simulated HTTP Event Collector; it ends when dropped.
#[derive(Debug)]
pub struct HecServer {
    shared: Arc<Shared>,
    server: LoopbackServer,
    scheme: &'static str,
}

/// What came in, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct HecRequest {
    /// What it is about.
    pub kind: HecRequestKind,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Path and query.
    pub path: String,
    /// All headers, in order.
    #[serde(serialize_with = "super::journal::without_credentials")]
    pub headers: Vec<(String, String)>,
    /// The channel, if it states one.
    pub channel: Option<String>,
    /// The indexer that it came to.
    pub indexer: usize,
    /// Bytes of the body as it came.
    pub body_bytes: usize,
    /// How many events were taken from it.
    pub taken: usize,
    /// The HTTP status, unless there was no answer.
    pub status: Option<u16>,
    /// The body of the answer.
    pub answer: String,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HecRequestKind {
    /// It brings events.
    Events,
    /// It asks for acknowledgements.
    Acks,
    /// It asks for the health.
    Health,
    /// None of these.
    Other,
}

#[derive(Debug)]
struct Shared {
    rules: Mutex<HecRules>,
    indexers: Mutex<Indexers>,
    faults: FaultPlan<HecFault, HecFaultOn>,
    events: Journal<HecEvent>,
    lost: Journal<HecEvent>,
    requests: Journal<HecRequest>,
}

impl HecServer {
    /// Starts a server.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(rules: HecRules) -> io::Result<Self> {
        let (port, tls) = (rules.port, rules.tls.clone());
        let shared = Arc::new(Shared {
            events: Journal::new(rules.kept_events),
            lost: Journal::new(rules.kept_events),
            rules: Mutex::new(rules),
            indexers: Mutex::default(),
            faults: FaultPlan::new(),
            requests: Journal::new(KEPT_REQUESTS),
        });
        let server = LoopbackServer::start_over(tls.as_ref(), port, {
            let shared = Arc::clone(&shared);
            move |request| answer(Arc::clone(&shared), request)
        })?;
        Ok(Self {
            shared,
            server,
            scheme: if tls.is_some() { "https" } else { "http" },
        })
    }

    /// Its endpoint, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.server.address())
    }

    /// The events that are indexed, in order, the last of them if there were too many to keep.
    ///
    /// They are so once they are taken, or under [`HecRules::loses_unacknowledged`] once they are
    /// acknowledged.
    #[must_use]
    pub fn events(&self) -> Vec<HecEvent> {
        self.shared.events.entries()
    }

    /// Their ids; events without one are left out.
    #[must_use]
    pub fn event_ids(&self) -> Vec<EventId> {
        let ids = self.shared.events.map(HecEvent::event_id);
        ids.into_iter().flatten().collect()
    }

    /// How many events were ever indexed.
    #[must_use]
    pub fn events_taken(&self) -> usize {
        self.shared.events.total()
    }

    /// Waits until so many events were ever indexed.
    pub async fn wait_for_events(&self, count: usize) {
        self.shared.events.wait_for(count).await;
    }

    /// The events that were taken and that a restart has lost before they were acknowledged.
    #[must_use]
    pub fn lost(&self) -> Vec<HecEvent> {
        self.shared.lost.entries()
    }

    /// What came in so far.
    #[must_use]
    pub fn requests(&self) -> Vec<HecRequest> {
        self.shared.requests.entries()
    }

    /// Waits until there ever were so many requests.
    ///
    /// A request counts once its answer is made, or once it is certain that there will be none.
    pub async fn wait_for_requests(&self, count: usize) {
        self.shared.requests.wait_for(count).await;
    }

    /// Arms a fault behind those that are armed.
    pub fn set_fault(&self, fault: ArmedFault<HecFault, HecFaultOn>) {
        self.shared.faults.arm(fault);
    }

    /// Disarms all faults.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// The faults that are armed.
    #[must_use]
    pub fn faults(&self) -> Vec<ArmedFault<HecFault, HecFaultOn>> {
        self.shared.faults.armed()
    }

    /// How many requests met a fault.
    #[must_use]
    pub fn faults_shown(&self) -> u64 {
        self.shared.faults.shown()
    }

    /// Changes the rules, all but the port, TLS and what is kept, from the next request on.
    pub fn change_rules(&self, change: impl FnOnce(&mut HecRules)) {
        change(&mut self.shared.rules());
    }

    /// Acknowledges everything that was taken so far, whatever the policy.
    pub fn release_acks(&self) {
        let mut indexers = self.shared.indexers();
        self.shared.events.extend(indexers.release());
    }

    /// Restarts all indexers: channels and ids are forgotten.
    pub fn forget_acks(&self) {
        let mut indexers = self.shared.indexers();
        self.shared.lost.extend(indexers.forget());
    }

    /// Restarts an indexer, which forgets its channels and ids.
    pub fn restart_indexer(&self, number: usize) -> Result<(), NoIndexerError> {
        let last = self.shared.rules().indexers.saturating_sub(1);
        if number > last {
            return Err(NoIndexerError { number, last });
        }
        let mut indexers = self.shared.indexers();
        self.shared.lost.extend(indexers.acks(number).forget());
        Ok(())
    }

    /// The load balancer honours no cookie of before: clients go to another indexer and get a new
    /// one.
    pub fn move_clients(&self) {
        self.shared.indexers().move_clients();
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
    fn rules(&self) -> MutexGuard<'_, HecRules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn indexers(&self) -> MutexGuard<'_, Indexers> {
        self.indexers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HecRequestKind {
    fn of_path(path: &str) -> Self {
        match path {
            "/services/collector" | "/services/collector/event" => Self::Events,
            "/services/collector/ack" => Self::Acks,
            "/services/collector/health" => Self::Health,
            _ => Self::Other,
        }
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let kind = HecRequestKind::of_path(head.uri.path());
    let fault = shared.faults.take(|on| on.fits(kind));
    let body = match fault {
        // So early that a sender is still busy with its request.
        Some(HecFault::Reset) => Bytes::new(),
        _ => match body::read(body, MAX_REQUEST_BYTES).await {
            Ok(body) => body,
            Err(ReadBodyError::TooLong { .. } | ReadBodyError::BrokeOff) => {
                return Err(NoAnswer::Close);
            }
        },
    };
    let outcome = service::serve(&shared, &Received::new(&head, &body), fault.as_ref());
    shared.events.extend(outcome.indexed);
    shared.requests.push(outcome.entry);
    outcome.reply.send().await
}

#[cfg(test)]
mod tests;
