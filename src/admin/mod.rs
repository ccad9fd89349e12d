//! Where the agent can be watched over HTTP: a status page, metrics, health. It can only be looked at.

mod host;
mod http;
mod metrics;
mod page;
#[cfg(test)]
mod specimen;
mod troubles;
mod view;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::config::{AdminConfig, Config};
use crate::house::House;
use crate::listener::{ListenError, Listener};
use crate::tls::{self, BuildServerError};
use host::Hosts;

/// Tells about the agent.
#[derive(Debug)]
pub struct Admin {
    house: House,
    /// The whole configuration, whose outputs and collections are told of.
    config: Config,
    own: AdminConfig,
    hosts: Hosts,
    tls: Option<Arc<rustls::ServerConfig>>,
    pulse: Pulse,
    started_at: DateTime<Utc>,
}

/// Whether the agent stands still.
#[derive(Clone)]
pub struct Pulse(Arc<dyn Fn() -> Option<String> + Send + Sync>);

impl Pulse {
    /// `feel` gives the reason if nothing moves that should; it is called with each request.
    pub fn new(feel: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(feel))
    }

    /// Of an agent that nobody watches: it answers, so it is alive.
    #[must_use]
    pub fn unwatched() -> Self {
        Self::new(|| None)
    }

    fn standstill(&self) -> Option<String> {
        (self.0)()
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pulse")
    }
}

impl Admin {
    /// Reads the certificates; none if nothing is to listen.
    pub fn of(
        house: &House,
        config: &Config,
        pulse: Pulse,
    ) -> Result<Option<Self>, BuildServerError> {
        let Some(own) = config.admin.clone() else {
            return Ok(None);
        };
        let tls = own.tls.as_ref().map(tls::server_config).transpose()?;
        Ok(Some(Self {
            house: house.clone(),
            config: config.clone(),
            hosts: Hosts::new(own.listen, &own.allowed_hosts),
            own,
            tls,
            pulse,
            started_at: house.clock.now().utc,
        }))
    }

    /// Listens, and answers until the agent stops.
    pub fn listen(
        self: Arc<Self>,
        stopped: watch::Receiver<bool>,
    ) -> Result<impl Future<Output = ()> + Send + use<>, ListenError> {
        let most = usize::try_from(self.own.max_connections).unwrap_or(usize::MAX);
        let listener = Listener::bind(self.own.listen, self.tls.clone(), most)?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/", listener.address());
        tracing::info!(url, "status page");
        self.house.board.set_page(url);
        let admin = Arc::clone(&self);
        let answer = move |peer, request| {
            let admin = Arc::clone(&admin);
            async move { admin.answer(&peer, &request) }
        };
        let serving = listener.serve(answer, stopped);
        Ok(async move {
            tokio::task::block_in_place(|| self.remember());
            serving.await;
        })
    }

    /// What was before the start is on the page as well.
    fn remember(&self) {
        match self.house.state.remember() {
            Ok(delivered) => {
                for one in delivered {
                    let board = &self.house.board;
                    board.count(&one.output, |own| own.delivered(one.at, one.events));
                }
            }
            Err(error) => tracing::warn!(
                %error,
                "the ledger cannot be read back: the status page tells of what happens from now on"
            ),
        }
    }
}
