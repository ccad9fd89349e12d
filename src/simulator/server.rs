//! One small HTTP server on loopback, on which the simulated services stand.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::body::Body;
use super::connection::{Connection, PeerCertificate};
use super::listener::{LoopbackListener, Stopped};
use super::tls::ServerTls;

/// A handler's way to end a connection without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The connection is closed in good order.
    #[error("the connection is closed without an answer")]
    Close,
    /// The connection is reset (RST).
    #[error("the connection is reset without an answer")]
    Reset,
}

/// What a handler makes of a request.
pub(crate) type Answer = Result<Response<Body>, NoAnswer>;

type Handler = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// A server on 127.0.0.1.
///
/// It ends when dropped: connections are no longer accepted, answers under way have a second to
/// finish. The `Date` header is the handler's.
#[derive(Debug)]
pub(crate) struct LoopbackServer {
    listener: LoopbackListener,
}

impl LoopbackServer {
    /// Listens on `port` of 127.0.0.1, or for 0 on one that the system chooses.
    pub(crate) fn start<H, F>(port: u16, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        Self::start_over(None, port, handler)
    }

    /// The same, over TLS where it is given.
    pub(crate) fn start_over<H, F>(
        tls: Option<&ServerTls>,
        port: u16,
        handler: H,
    ) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let tls = tls.map(|tls| {
            let protocols: &[&[u8]] = if tls.offers_http2 {
                &[b"h2", b"http/1.1"]
            } else {
                &[b"http/1.1"]
            };
            tls.acceptor(protocols)
        });
        let tls = tls.transpose()?;
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let listener = LoopbackListener::start(port, move |stream, stopped| {
            serve(stream, tls.clone(), Arc::clone(&handler), stopped)
        })?;
        Ok(Self { listener })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// From now on connections are refused; those that are open are cut off.
    pub(crate) async fn refuse_connections(&self) -> io::Result<()> {
        self.listener.refuse_connections().await
    }

    /// Listens again, on the same port.
    pub(crate) async fn accept_connections(&self) -> io::Result<()> {
        self.listener.accept_connections().await
    }
}

async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    handler: Handler,
    mut stopped: Stopped,
) {
    let accepted = tokio::select! {
        accepted = Connection::accept(stream, tls.as_ref()) => accepted,
        _ = stopped.changed() => return,
    };
    // A handshake that fails is the client's to tell.
    let Ok(connection) = accepted else {
        return;
    };
    let handler = knowing(connection.peer_certificate(), handler);
    if connection.is_http2() {
        return serve_http2(connection, handler, stopped).await;
    }
    let mut http = http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(
            TokioIo::new(connection),
            service_fn(move |request| handler(request)),
        );
    let served = tokio::select! {
        served = &mut http => served,
        _ = stopped.changed() => {
            std::pin::Pin::new(&mut http).graceful_shutdown();
            (&mut http).await
        }
    };
    let reset = served.is_err_and(|error| {
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        cause == Some(&NoAnswer::Reset)
    });
    if reset {
        http.into_parts().io.into_inner().reset();
    }
}

/// Each request of the connection brings the certificate that was shown.
fn knowing(certificate: Option<PeerCertificate>, handler: Handler) -> Handler {
    let Some(certificate) = certificate else {
        return handler;
    };
    Arc::new(move |mut request| {
        request.extensions_mut().insert(certificate.clone());
        handler(request)
    })
}

/// A request that is not answered ends its stream, whichever way it was to end.
async fn serve_http2(connection: Connection, handler: Handler, mut stopped: Stopped) {
    let mut http = http2::Builder::new(TokioExecutor::new())
        .auto_date_header(false)
        .serve_connection(
            TokioIo::new(connection),
            service_fn(move |request| handler(request)),
        );
    tokio::select! {
        // The client sees how it ended.
        _ = &mut http => {}
        _ = stopped.changed() => {
            std::pin::Pin::new(&mut http).graceful_shutdown();
            let _ = (&mut http).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::simulator::raw_client::{Failure, exchange, get};
    use crate::simulator::{body, tls};

    async fn echo_path(request: Request<Incoming>) -> Answer {
        match request.uri().path() {
            "/close" => Err(NoAnswer::Close),
            "/reset" => Err(NoAnswer::Reset),
            path => Ok(Response::new(body::whole(path.to_owned()))),
        }
    }

    #[tokio::test]
    async fn answers_without_a_date() {
        let server = LoopbackServer::start(0, echo_path).unwrap();
        let answer = get(server.address(), "/here").await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text(), "/here");
        assert_eq!(answer.header("date"), None);
    }

    #[tokio::test]
    async fn a_closed_connection_gives_nothing_and_a_reset_one_says_so() {
        let server = LoopbackServer::start(0, echo_path).unwrap();
        let closed = get(server.address(), "/close").await.unwrap_err();
        assert_eq!(closed, Failure::Closed { received: 0 });
        let reset = get(server.address(), "/reset").await.unwrap_err();
        assert_eq!(reset, Failure::Reset);
    }

    #[tokio::test]
    async fn over_tls_it_knows_its_clients() {
        let tls = tls::fixture::server_for_known_clients();
        let server = LoopbackServer::start_over(Some(&tls), 0, echo_path).unwrap();
        let stream = tls::fixture::connect(server.address(), true).await.unwrap();
        let answer = exchange(stream, "GET", "/here", &[], b"").await.unwrap();
        assert_eq!(answer.text(), "/here");
        // In TLS 1.3 the client's side of the handshake is done before it is judged.
        let stranger = tls::fixture::connect(server.address(), false).await;
        let mut stranger = stranger.unwrap();
        let end = stranger.read_to_end(&mut Vec::new()).await;
        let told = end.unwrap_err().to_string();
        assert!(told.contains("CertificateRequired"), "{told}");
        let in_the_clear = get(server.address(), "/").await.unwrap_err();
        assert!(
            matches!(in_the_clear, Failure::Closed { .. }),
            "{in_the_clear:?}"
        );
    }

    #[tokio::test]
    async fn a_reset_over_tls_is_one_too() {
        let tls = tls::fixture::server();
        let server = LoopbackServer::start_over(Some(&tls), 0, echo_path).unwrap();
        let stream = tls::fixture::connect(server.address(), false)
            .await
            .unwrap();
        let failure = exchange(stream, "GET", "/reset", &[], b"").await;
        assert_eq!(failure.unwrap_err(), Failure::Reset);
    }

    #[tokio::test]
    async fn open_connections_are_cut_off_by_an_outage() {
        let asked = Arc::new(tokio::sync::Notify::new());
        let server = LoopbackServer::start(0, {
            let asked = Arc::clone(&asked);
            move |_| {
                asked.notify_one();
                std::future::pending()
            }
        });
        let server = server.unwrap();
        let address = server.address();
        let waiting = tokio::spawn(async move { get(address, "/").await });
        asked.notified().await;
        server.refuse_connections().await.unwrap();
        assert!(matches!(
            waiting.await.unwrap(),
            Err(Failure::Closed { .. } | Failure::Reset)
        ));
    }
}
