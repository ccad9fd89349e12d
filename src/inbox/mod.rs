//! The inbox: TAXII services push to it. A message becomes a batch in the spool like any other, and its
//! sender is told SUCCESS when that is durable; whoever is told anything else still has it.

mod authentication;
mod destination;
mod http;
mod keep;
mod rate;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::config::InboxConfig;
use crate::house::House;
use crate::listener::{ListenError, Listener};
use crate::taxii::message::StatusReply;
use crate::tls::{self, BuildServerError};
use authentication::Doorkeeper;
pub use keep::Received;
use rate::Rate;

/// Messages that are read and kept at the same time: each may take some megabytes of memory meanwhile.
const MESSAGES_AT_ONCE: usize = 4;
/// When a sender may try again for which there is no room.
const RETRY_WAIT: Duration = Duration::from_secs(60);

/// An inbox.
#[derive(Debug)]
pub struct Inbox {
    house: House,
    config: InboxConfig,
    doorkeeper: Doorkeeper,
    rate: Mutex<Rate>,
    reading: Semaphore,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Inbox {
    /// Reads the certificates; listens to nothing.
    pub fn new(house: &House, config: InboxConfig) -> Result<Self, BuildServerError> {
        let tls = config.tls.as_ref().map(tls::server_config).transpose()?;
        Ok(Self {
            house: house.clone(),
            doorkeeper: Doorkeeper::new(&config),
            rate: Mutex::new(Rate::new(config.max_messages_per_minute)),
            reading: Semaphore::new(MESSAGES_AT_ONCE),
            config,
            tls,
        })
    }

    /// Listens, and answers until the agent stops.
    pub fn listen(
        self: Arc<Self>,
        stopped: watch::Receiver<bool>,
    ) -> Result<impl Future<Output = ()> + Send + use<>, ListenError> {
        let most = usize::try_from(self.config.max_connections).unwrap_or(usize::MAX);
        let listener = Listener::bind(self.config.listen, self.tls.clone(), most)?;
        let address = listener.address();
        let url = self.url(address);
        tracing::info!(%address, url, "inbox listens");
        self.house.board.inbox(|inbox| inbox.url = Some(url));
        Ok(listener.serve(
            move |peer, request| {
                let inbox = Arc::clone(&self);
                async move { inbox.answer(&peer, request).await }
            },
            stopped,
        ))
    }

    fn url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}{}", self.config.path)
    }

    /// Whether one more message may come now; if not, when.
    fn pass(&self) -> Result<(), Duration> {
        let now = self.house.clock.now().monotonic;
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.pass(now)
    }

    fn tell_of_refusal(&self, reply: &StatusReply, why: &str, message_id: Option<&str>) {
        let status = reply.status.name();
        tracing::warn!(
            inbox = self.config.name,
            message_id,
            status,
            "a message that was pushed is refused: {why}"
        );
        let now = self.house.clock.now().utc;
        self.house.board.inbox(|inbox| {
            inbox.refused += 1;
            inbox.last_refusal = Some(format!("{status}: {why}"));
            inbox.last_refusal_at = Some(now);
        });
    }
}
