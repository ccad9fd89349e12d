//! What comes in: connections within bounds, over TLS or in the clear, each with HTTP/1.1 on it.

mod places;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use crate::observe::seldom::Seldom;
use crate::wake::told_to_stop;
use places::{Place, Places};

const PATIENCE: Patience = Patience {
    first: Duration::from_secs(5),
    quiet: Duration::from_secs(30),
};
/// Bytes of the head of a request.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How long who has just connected may take to ask when the agent stops, another takes the address, or
/// others wait for his place.
const FIRST_WORDS: Duration = Duration::from_secs(1);
/// How long an answer that is made may take to go out when the connection is to end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long to wait for a file descriptor to come free when none can be had.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// An address that is taken: who connects waits until somebody [serves](Listener::serve).
#[derive(Debug)]
pub struct Socket {
    socket: std::net::TcpListener,
    address: SocketAddr,
}

/// Serves who connects to an address.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    max_connections: usize,
    patience: Patience,
}

/// How long who has connected is waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Until the head of the first request is there, in the clear or once TLS is agreed on.
    first: Duration,
    /// TLS may take so long to agree, and the head of a later request to come; a connection on which
    /// nothing is asked for this long is closed.
    quiet: Duration,
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}: {source}; see that the address is this machine's, that nobody else has the \
     port, and that the agent's user may take it"
)]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The certificate that it has shown, which an authority of ours has vouched for.
    pub certificate: Option<CertificateDer<'static>>,
}

/// What is answered.
pub type Answer = Response<Full<Bytes>>;

impl Socket {
    /// Takes an address.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bind = || -> io::Result<Self> {
            let socket = std::net::TcpListener::bind(address)?;
            socket.set_nonblocking(true)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        bind().map_err(|source| ListenError { address, source })
    }

    /// The same address for another that serves: nobody who connects between the two is refused.
    pub fn share(&self) -> Result<Self, ListenError> {
        let address = self.address;
        match self.socket.try_clone() {
            Ok(socket) => Ok(Self { socket, address }),
            Err(source) => Err(ListenError { address, source }),
        }
    }
}

impl Listener {
    /// Takes an address.
    ///
    /// Must be called within a tokio runtime.
    pub fn bind(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        max_connections: usize,
    ) -> Result<Self, ListenError> {
        Self::on(Socket::bind(address)?, tls, max_connections)
    }

    /// With an address that is taken.
    ///
    /// Must be called within a tokio runtime.
    pub fn on(
        socket: Socket,
        tls: Option<Arc<ServerConfig>>,
        max_connections: usize,
    ) -> Result<Self, ListenError> {
        let Socket { socket, address } = socket;
        let socket =
            TcpListener::from_std(socket).map_err(|source| ListenError { address, source })?;
        Ok(Self {
            socket,
            address,
            tls,
            max_connections,
            patience: PATIENCE,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the agent stops; what is being answered then is finished.
    pub async fn serve<H, F>(self, handler: H, stopped: watch::Receiver<bool>)
    where
        H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        let (mut is_full, failures) = (Seldom::default(), Arc::new(Mutex::new(Seldom::default())));
        let (places, mut stopping) = (Places::default(), stopped.clone());
        let begin = |connections: &mut JoinSet<()>, stream, address| {
            connections.spawn(serve(
                stream,
                address,
                self.tls.clone().map(TlsAcceptor::from),
                self.patience,
                handler.clone(),
                stopped.clone(),
                places.take(),
                Arc::clone(&failures),
            ));
        };
        // Who came when all places were taken.
        let mut waiting: Option<(TcpStream, SocketAddr)> = None;
        let mut told_to_stop = pin!(told_to_stop(&mut stopping));
        loop {
            tokio::select! {
                () = &mut told_to_stop => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(address = %self.address, %error, "a connection broke down");
                    }
                    if let Some((stream, address)) = waiting.take() {
                        places.is_given();
                        begin(&mut connections, stream, address);
                    }
                }
                accepted = self.socket.accept(), if waiting.is_none() => match accepted {
                    Ok((stream, address)) if connections.len() < self.max_connections => {
                        begin(&mut connections, stream, address);
                    }
                    Ok(newcomer) => {
                        waiting = Some(newcomer);
                        if !places.want() && let Some(left_out) = is_full.tell(Instant::now()) {
                            tracing::warn!(
                                address = %self.address,
                                connections = self.max_connections,
                                left_out,
                                "all places for connections are taken by requests: who comes now waits \
                                 (max_connections)"
                            );
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, address = %self.address, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        // Who has connected is answered, though he had no place yet.
        if let Some((stream, address)) = waiting {
            begin(&mut connections, stream, address);
        }
        // Nobody new gets in while the others finish.
        drop(self.socket);
        while connections.join_next().await.is_some() {}
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "a connection is a task of its own, and takes along all that it needs"
)]
async fn serve<H, F>(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    patience: Patience,
    handler: H,
    mut stopped: watch::Receiver<bool>,
    place: Place,
    failures: Arc<Mutex<Seldom>>,
) where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let began = tokio::time::Instant::now();
    // It only makes small answers quicker.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        let peer = Peer {
            address,
            certificate: None,
        };
        return talk(stream, peer, patience, handler, stopped, place, began).await;
    };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(patience.quiet, tls.accept(stream)) => shaken,
        () = async {
            place.is_wanted().await;
            tokio::time::sleep_until(began + FIRST_WORDS).await;
        } => return,
        () = async {
            told_to_stop(&mut stopped).await;
            tokio::time::sleep(FIRST_WORDS).await;
        } => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let peer = Peer {
                address,
                certificate: certificates.first().map(|own| own.clone().into_owned()),
            };
            talk(stream, peer, patience, handler, stopped, place, began).await;
        }
        Ok(Err(error)) => {
            let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(left_out) = failures.tell(Instant::now()) {
                tracing::warn!(
                    peer = %address,
                    %error,
                    left_out,
                    "a connection was refused: TLS could not be agreed on"
                );
            }
        }
        Err(_) => tracing::debug!(peer = %address, "a connection was closed that did not begin"),
    }
}

async fn talk<S, H, F>(
    stream: S,
    peer: Peer,
    patience: Patience,
    handler: H,
    mut stopped: watch::Receiver<bool>,
    place: Place,
    began: tokio::time::Instant,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let address = peer.address;
    let (talk, heard) = watch::channel(Talk::default());
    let (talk, place) = (Arc::new(talk), Arc::new(place));
    let own_place = Arc::clone(&place);
    let service = service_fn(move |request| {
        let (answer, talk) = (handler(peer.clone(), request), Arc::clone(&talk));
        let place = Arc::clone(&own_place);
        async move {
            talk.send_modify(Talk::asked);
            place.is_busy();
            let answer = answer.await;
            talk.send_modify(Talk::answered);
            place.is_idle();
            Ok::<_, Infallible>(answer)
        }
    });
    let mut stream = TimeoutStream::new(stream);
    // Who reads nothing of what he has asked for keeps no place for ever.
    stream.set_write_timeout(Some(patience.quiet));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.quiet)
        .max_buf_size(MAX_HEAD_BYTES)
        // Who says that he has sent all may still be waiting for his answer.
        .half_close(true)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        served = &mut connection => Some(served),
        () = asks_nothing(heard.clone(), patience.first) => {
            return tracing::debug!(peer = %address, "a connection was closed on which nothing was asked");
        }
        () = gives_way(&place, heard.clone(), began) => {
            if !heard.borrow().has_begun {
                return tracing::debug!(peer = %address, "a quiet connection was closed: others wait");
            }
            None
        }
        () = told_to_stop(&mut stopped) => {
            // Who has just come is asking: he would find the connection closed without a word.
            tokio::select! {
                _ = &mut connection => return,
                () = first_asked(heard.clone(), tokio::time::Instant::now() + FIRST_WORDS) => None,
            }
        }
    };
    let served = match ended {
        Some(served) => served,
        None => {
            // What was answered may still have to go out.
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection => served,
                () = all_said(heard) => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(peer = %address, %error, "a connection ended in disorder");
    }
}

/// What was said on a connection.
#[derive(Debug, Clone, Copy, Default)]
struct Talk {
    /// Something was asked.
    has_begun: bool,
    /// Requests that are being answered.
    answering: usize,
}

impl Talk {
    fn asked(&mut self) {
        self.has_begun = true;
        self.answering += 1;
    }

    fn answered(&mut self) {
        self.answering -= 1;
    }
}

/// Done when nothing was asked in this time.
async fn asks_nothing(mut heard: watch::Receiver<Talk>, patience: Duration) {
    let begun = heard.wait_for(|talk| talk.has_begun);
    let has_asked = tokio::time::timeout(patience, begun).await.is_ok();
    if has_asked {
        std::future::pending::<()>().await;
    }
}

/// Others wait for this place, and whoever has it has had the time to ask.
async fn gives_way(place: &Place, heard: watch::Receiver<Talk>, began: tokio::time::Instant) {
    place.is_wanted().await;
    first_asked(heard, began + FIRST_WORDS).await;
}

/// Something was asked, or has had its time to be.
async fn first_asked(mut heard: watch::Receiver<Talk>, until: tokio::time::Instant) {
    let asked = heard.wait_for(|talk| talk.has_begun);
    // An error says that the connection is no more.
    let _ = tokio::time::timeout_at(until, asked).await;
}

/// Nothing is being answered, and what was has had its time to go out.
async fn all_said(mut heard: watch::Receiver<Talk>) {
    loop {
        // An error says that the connection is no more.
        let _ = heard.wait_for(|talk| talk.answering == 0).await;
        tokio::time::sleep(LAST_WORDS).await;
        if heard.borrow().answering == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
