//! The inbox: TAXII services push to it. A message becomes a batch in the spool like any other, and its
//! sender is told SUCCESS when that is durable; whoever is told anything else still has it.

mod authentication;
mod destination;
mod http;
mod keep;
mod rate;
mod room;
#[cfg(test)]
mod tests;
mod words;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::config::InboxConfig;
use crate::house::House;
use crate::listener::{ListenError, Listener, Socket};
use crate::observe::seldom::Seldom;
use crate::taxii::message::StatusReply;
use crate::tls::{self, BuildServerError, expiry};
use crate::wake::told_to_stop;
use authentication::Doorkeeper;
pub use keep::Received;
use rate::Rate;
use room::Wanted;
use words::printable;

/// Messages that are read and kept at the same time: each may take some megabytes of memory meanwhile.
const MESSAGES_AT_ONCE: usize = 4;
/// When a sender may try again for which there is no room.
const RETRY_WAIT: Duration = Duration::from_secs(60);

/// How long it is told that messages are not taken, when none has come any more.
const HOLD_KEPT: TimeDelta = TimeDelta::minutes(3);

/// An inbox.
#[derive(Debug)]
pub struct Inbox {
    house: House,
    config: InboxConfig,
    doorkeeper: Doorkeeper,
    rate: Mutex<Rate>,
    wanted: Wanted,
    reading: Semaphore,
    strangers: Mutex<Seldom>,
    /// Cancelled when the agent stops: what is not whole by then comes again.
    stopping: CancellationToken,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Inbox {
    /// Reads the certificates; listens to nothing.
    pub fn new(house: &House, config: InboxConfig) -> Result<Self, BuildServerError> {
        let tls = config.tls.as_ref().map(tls::server_config).transpose()?;
        let read = config.tls.as_ref().map(expiry::of_server);
        let part = InboxConfig::PART.to_owned();
        house.board.set_certificates(part, read.unwrap_or_default());
        Ok(Self {
            house: house.clone(),
            doorkeeper: Doorkeeper::new(&config),
            rate: Mutex::new(Rate::new(config.max_messages_per_minute)),
            wanted: Wanted::by(&config.name),
            reading: Semaphore::new(MESSAGES_AT_ONCE),
            strangers: Mutex::default(),
            stopping: CancellationToken::new(),
            config,
            tls,
        })
    }

    /// Takes the address that it is configured for, and answers until the agent stops.
    pub fn listen(
        self: Arc<Self>,
        stopped: watch::Receiver<bool>,
    ) -> Result<impl Future<Output = ()> + Send + use<>, ListenError> {
        let socket = self.bind()?;
        self.serve(socket, stopped.clone(), stopped)
    }

    /// Takes the address that it is configured for.
    pub fn bind(&self) -> Result<Socket, ListenError> {
        Socket::bind(self.config.listen)
    }

    /// Answers until another takes its place, `leaving`, or the agent stops, which `stopped` says: then
    /// nothing is waited for that is not whole.
    pub fn serve(
        self: Arc<Self>,
        socket: Socket,
        leaving: watch::Receiver<bool>,
        stopped: watch::Receiver<bool>,
    ) -> Result<impl Future<Output = ()> + Send + use<>, ListenError> {
        let most = usize::try_from(self.config.max_connections).unwrap_or(usize::MAX);
        let listener = Listener::on(socket, self.tls.clone(), most)?;
        let address = listener.address();
        let url = self.url(address);
        let inbox = Arc::clone(&self);
        let answer = move |peer, request| {
            let inbox = Arc::clone(&inbox);
            async move { inbox.answer(&peer, request).await }
        };
        let serving = listener.serve(answer, leaving);
        Ok(async move {
            tracing::info!(%address, url, "inbox listens");
            self.house.board.inbox(|inbox| inbox.url = Some(url));
            tokio::select! {
                () = serving => {}
                () = self.stop_reading(stopped) => {}
                () = self.keep_no_want() => {}
            }
            // Another in its place asks for itself.
            self.wanted.end(&self.house.spool);
        })
    }

    /// What is not whole when the agent stops is not waited for. It never ends.
    async fn stop_reading(&self, mut stopped: watch::Receiver<bool>) {
        told_to_stop(&mut stopped).await;
        self.stopping.cancel();
        std::future::pending::<()>().await;
    }

    /// Looks from time to time whether what messages wanted is wanted no more; it never ends.
    async fn keep_no_want(&self) {
        loop {
            tokio::time::sleep(RETRY_WAIT).await;
            let now = self.house.clock.now();
            self.wanted.expire(&self.house.spool, now.monotonic);
            self.house.board.inbox(|inbox| {
                // No sender has come again to see whether it is so still.
                let is_old = |at| now.utc - at >= HOLD_KEPT;
                if inbox.last_refusal_at.is_none_or(is_old) {
                    inbox.hold = None;
                }
            });
        }
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
        let (why, message_id) = (printable(why), message_id.map(printable));
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
