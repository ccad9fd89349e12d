//! A vendor with paid feeds, on loopback: Discovery, Feed Management and Poll services of TAXII 1.0
//! and 1.1 over mutual TLS, and a pusher to the inboxes of its subscribers.
//!
//! Anyone with a certificate of an authority that it trusts may look at what it offers. What is done
//! with a feed needs a contract, which is made outside of TAXII and names the certificate. It is as
//! strict with requests, and with what inboxes answer, as the specification allows.

mod answer;
mod contract;
mod feed;
mod grammar;
mod pusher;
mod reply;
mod request;
mod rules;
mod status;
mod subscription;
mod version;
mod xml;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use chrono::{DateTime, Utc};
use hyper::Request;
use hyper::body::Incoming;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use self::pusher::{PushOutcome, VendorPush};
pub use self::rules::{PusherTls, VendorFeed, VendorRules};
pub use self::subscription::SubscriptionState;
pub use self::version::TaxiiVersion;

use self::contract::Contracts;
use self::feed::Feed;
use self::pusher::Pusher;
use self::subscription::Subscriptions;
use super::body::{self, ReadBodyError};
use super::content::Publication;
use super::journal::Journal;
use super::server::{Answer, LoopbackServer, NoAnswer};
use crate::clock::Clock;
use crate::event::EventId;

const DISCOVERY_PATH: &str = "/taxii-discovery-service/";
/// The feeds are managed and polled at one address.
const FEEDS_PATH: &str = "/feeds/pay";

const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// How many requests, and how many pushes, are remembered.
const KEPT: usize = 100_000;

/// The simulated vendor; it ends when dropped.
#[derive(Debug)]
pub struct VendorService {
    shared: Arc<Shared>,
    server: LoopbackServer,
    pushing: JoinHandle<()>,
}

/// What came in, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct VendorRequest {
    /// The version that the headers speak, if the vendor speaks it.
    pub version: Option<TaxiiVersion>,
    /// The name of the message, such as `Poll_Request`; nothing if there is none.
    pub message: String,
    /// Whose contract it is, if there is one.
    pub customer: Option<String>,
    /// All headers, in order.
    #[serde(serialize_with = "super::journal::without_credentials")]
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// The HTTP status.
    pub status: u16,
    /// `SUCCESS`, or the type of the Status_Message with what it says.
    pub answer: String,
}

/// A subscription, for tests to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VendorSubscription {
    /// Its id.
    pub id: String,
    /// The feed.
    pub feed: String,
    /// Whether it is served.
    pub state: SubscriptionState,
    /// Where it is pushed to.
    pub push_to: Option<String>,
}

#[derive(Debug)]
struct Shared {
    /// `https://` and where it listens; before that nobody asks.
    base: OnceLock<String>,
    versions: Vec<TaxiiVersion>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    requests: Journal<VendorRequest>,
    pushes: Journal<VendorPush>,
    /// Pushes that are owed to subscriptions that are served.
    owed: watch::Sender<usize>,
    /// Something may be due that was not.
    look_again: Notify,
    messages: AtomicU64,
}

#[derive(Debug)]
struct State {
    contracts: Contracts,
    feeds: Vec<Feed>,
    subscriptions: Subscriptions,
}

impl VendorService {
    /// Starts the services and the pusher; labels of content are stamped by `clock`.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(rules: &VendorRules, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            base: OnceLock::new(),
            versions: rules.versions.clone(),
            clock,
            state: Mutex::new(State {
                contracts: Contracts::default(),
                feeds: rules.feeds.iter().map(Feed::from).collect(),
                subscriptions: Subscriptions::default(),
            }),
            requests: Journal::new(KEPT),
            pushes: Journal::new(KEPT),
            owed: watch::Sender::new(0),
            look_again: Notify::new(),
            messages: AtomicU64::new(1_000),
        });
        let pusher = Pusher::new(rules, Arc::clone(&shared))?;
        let server = LoopbackServer::start_over(Some(&rules.tls), rules.port, {
            let shared = Arc::clone(&shared);
            move |request| answer(Arc::clone(&shared), request)
        })?;
        let address = server.address();
        shared.base.get_or_init(|| format!("https://{address}"));
        Ok(Self {
            shared,
            server,
            pushing: tokio::spawn(pusher.run()),
        })
    }

    /// The discovery service.
    #[must_use]
    pub fn discovery_url(&self) -> String {
        format!("{}{DISCOVERY_PATH}", self.shared.base())
    }

    /// Where feeds are managed and polled.
    #[must_use]
    pub fn feeds_url(&self) -> String {
        format!("{}{FEEDS_PATH}", self.shared.base())
    }

    /// The time by the vendor's clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.shared.clock.now().utc
    }

    /// A customer, known by this certificate, has bought these feeds.
    pub fn sign_contract(
        &self,
        customer: &str,
        certificate_pem: &str,
        feeds: &[&str],
    ) -> io::Result<()> {
        let contracts = &mut self.shared.state().contracts;
        contracts.sign(customer, certificate_pem, feeds)
    }

    /// Publishes to a feed; whoever is pushed to gets it in one message. No such feed, nothing
    /// happens.
    ///
    /// Labels are the stamps, cut to microseconds. One that would come before what was published or
    /// served becomes the next that is free.
    pub fn publish(&self, feed: &str, publications: impl IntoIterator<Item = Publication>) {
        let mut state = self.shared.state();
        let Ok(found) = Feed::find(&mut state.feeds, feed) else {
            return;
        };
        let publications = publications.into_iter();
        let content: Vec<_> = publications.map(|new| found.publish(new)).collect();
        state.subscriptions.owe(feed, &content);
        self.shared.count_owed(&state);
        drop(state);
        self.shared.look_again.notify_one();
    }

    /// The ids of all events of a feed, in the order of their labels.
    #[must_use]
    pub fn published_ids(&self, feed: &str) -> Vec<EventId> {
        let state = self.shared.state();
        let mut feeds = state.feeds.iter();
        let feed = feeds.find(|known| known.name == feed);
        feed.map(Feed::event_ids).unwrap_or_default()
    }

    /// The subscriptions that there are.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<VendorSubscription> {
        let state = self.shared.state();
        let all = state.subscriptions.all().iter();
        all.map(|known| VendorSubscription {
            id: known.id.clone(),
            feed: known.feed.clone(),
            state: known.state,
            push_to: known
                .delivery
                .as_ref()
                .map(|delivery| delivery.address.clone()),
        })
        .collect()
    }

    /// What was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<VendorRequest> {
        self.shared.requests.entries()
    }

    /// Waits until there ever were so many requests.
    pub async fn wait_for_requests(&self, count: usize) {
        self.shared.requests.wait_for(count).await;
    }

    /// What was pushed so far, or was to be.
    #[must_use]
    pub fn pushes(&self) -> Vec<VendorPush> {
        self.shared.pushes.entries()
    }

    /// Waits until there ever were so many pushes, whatever came of them.
    pub async fn wait_for_pushes(&self, count: usize) {
        self.shared.pushes.wait_for(count).await;
    }

    /// Waits until inboxes have all that is owed to subscriptions that are served.
    pub async fn wait_until_pushed(&self) {
        let mut owed = self.shared.owed.subscribe();
        // It fails only when the sender is gone, and that is `self`'s.
        let _ = owed.wait_for(|owed| *owed == 0).await;
    }

    /// From now on connections are refused; it still pushes.
    pub async fn refuse_connections(&self) -> io::Result<()> {
        self.server.refuse_connections().await
    }

    /// Connections are accepted again, on the same port.
    pub async fn accept_connections(&self) -> io::Result<()> {
        self.server.accept_connections().await
    }

    /// Pushes what must wait at once.
    pub fn push_now(&self) {
        self.shared.state().subscriptions.wait_no_longer();
        self.shared.look_again.notify_one();
    }
}

impl Drop for VendorService {
    fn drop(&mut self) {
        self.pushing.abort();
    }
}

impl Shared {
    fn base(&self) -> &str {
        self.base.get().map_or("", String::as_str)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under the lock, so that nobody counts something older later.
    fn count_owed(&self, state: &MutexGuard<'_, State>) {
        let owed = state.subscriptions.owed();
        self.owed.send_replace(owed);
    }

    fn new_message_id(&self) -> u64 {
        self.messages.fetch_add(1, Ordering::Relaxed)
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let body = match body::read(body, MAX_REQUEST_BYTES).await {
        Ok(body) => Some(body),
        Err(ReadBodyError::TooLong { .. }) => None,
        Err(ReadBodyError::BrokeOff) => return Err(NoAnswer::Close),
    };
    let (entry, response) = reply::make(&shared, &head, body.as_deref());
    shared.requests.push(entry);
    Ok(response)
}

#[cfg(test)]
mod tests;
