//! Where the agent can be watched over HTTP: a status page, metrics, health. It can only be looked at.

mod host;
mod http;
mod metrics;
mod page;
#[cfg(test)]
mod specimen;
mod view;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::AdminConfig;
use crate::control::Current;
use crate::house::House;
use crate::listener::{ListenError, Listener, Socket};
use crate::observe::status::Status;
use crate::tls::{self, BuildServerError, expiry};
use host::Hosts;

/// Tells about the agent.
#[derive(Debug)]
pub struct Admin {
    house: House,
    /// The configuration of now, whose outputs and collections are told of.
    current: watch::Receiver<Arc<Current>>,
    own: AdminConfig,
    hosts: Hosts,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Admin {
    /// Reads the certificates; listens to nothing.
    pub fn new(
        house: &House,
        own: AdminConfig,
        current: watch::Receiver<Arc<Current>>,
    ) -> Result<Self, BuildServerError> {
        let tls = own.tls.as_ref().map(tls::server_config).transpose()?;
        let read = own.tls.as_ref().map(expiry::of_server);
        let part = AdminConfig::PART.to_owned();
        house.board.set_certificates(part, read.unwrap_or_default());
        Ok(Self {
            house: house.clone(),
            current,
            hosts: Hosts::new(own.listen, &own.allowed_hosts),
            own,
            tls,
        })
    }

    /// Takes the address that it is configured for.
    pub fn bind(&self) -> Result<Socket, ListenError> {
        Socket::bind(self.own.listen)
    }

    /// Answers until another takes its place, or the agent stops.
    pub fn serve(
        self: Arc<Self>,
        socket: Socket,
        leaving: watch::Receiver<bool>,
    ) -> Result<impl Future<Output = ()> + Send + use<>, ListenError> {
        let most = usize::try_from(self.own.max_connections).unwrap_or(usize::MAX);
        let listener = Listener::on(socket, self.tls.clone(), most)?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/", listener.address());
        let admin = Arc::clone(&self);
        let answer = move |peer, request| {
            let admin = Arc::clone(&admin);
            async move { admin.answer(&peer, &request) }
        };
        let serving = listener.serve(answer, leaving);
        Ok(async move {
            tracing::info!(url, "status page");
            let page = self.house.board.set_page(url);
            serving.await;
            self.house.board.end_page(page);
        })
    }

    fn status(&self) -> Status {
        let current = Arc::clone(&self.current.borrow());
        Status::take(&self.house, &current.config, true)
    }

    /// What stands still, if anything does.
    fn standstill(&self) -> Option<String> {
        let now = self.house.clock.now().monotonic;
        let stall = self.house.watchdog.stall(now);
        stall.map(|stall| stall.to_string())
    }
}

/// What was before the start is on the page as well. Blocks while the disk works.
pub fn remember(house: &House) {
    match house.state.remember() {
        Ok(delivered) => {
            for one in delivered {
                let board = &house.board;
                board.count(&one.output, |own| own.delivered(one.at, one.events));
            }
        }
        Err(error) => tracing::warn!(
            %error,
            "the ledger cannot be read back: the status page tells of what happens from now on"
        ),
    }
}
