//! One small HTTP server on loopback, on which both simulated services stand.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::body::Body;

/// How long answers that are under way may take once the server is dropped.
const GRACE: Duration = Duration::from_secs(1);

/// How long to wait for a file descriptor to come free when none can be had.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

const BACKLOG: u32 = 1024;

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
pub(crate) struct LoopbackServer {
    address: SocketAddr,
    handler: Handler,
    port: Mutex<Port>,
}

enum Port {
    Listening(Listening),
    /// Bound, so that nobody else gets the port, but not listening: connections are refused.
    Refusing(TcpSocket),
    /// Opening it again failed half-way.
    Lost,
}

struct Listening {
    /// `true` cuts the connections off; dropped, they may finish.
    cut_off: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl LoopbackServer {
    /// Listens on `port` of 127.0.0.1, or for 0 on one that the system chooses.
    pub(crate) fn start<H, F>(port: u16, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let listener = bind((Ipv4Addr::LOCALHOST, port).into())?.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let port = Mutex::new(Port::Listening(Listening::start(listener, &handler)));
        Ok(Self {
            address,
            handler,
            port,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on connections are refused; those that are open are cut off.
    pub(crate) async fn refuse_connections(&self) -> io::Result<()> {
        let mut port = self.port.lock().await;
        if let Port::Refusing(_) = *port {
            return Ok(());
        }
        if let Port::Listening(listening) = std::mem::replace(&mut *port, Port::Lost) {
            listening.cut_off().await;
        }
        *port = Port::Refusing(bind(self.address)?);
        Ok(())
    }

    /// Listens again, on the same port.
    pub(crate) async fn accept_connections(&self) -> io::Result<()> {
        let mut port = self.port.lock().await;
        let socket = match std::mem::replace(&mut *port, Port::Lost) {
            Port::Refusing(socket) => socket,
            Port::Lost => bind(self.address)?,
            listening @ Port::Listening(_) => {
                *port = listening;
                return Ok(());
            }
        };
        let listener = socket.listen(BACKLOG)?;
        *port = Port::Listening(Listening::start(listener, &self.handler));
        Ok(())
    }
}

impl std::fmt::Debug for LoopbackServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoopbackServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections of before linger in TIME_WAIT and would keep us from our own port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Listening {
    fn start(listener: TcpListener, handler: &Handler) -> Self {
        let (cut_off, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, Arc::clone(handler), stopped));
        Self { cut_off, accepting }
    }

    /// Returns once the listener and all connections are gone.
    async fn cut_off(self) {
        self.cut_off.send_replace(true);
        // It ends on its own; a panic in it has nothing to tell us here.
        let _ = self.accepting.await;
    }
}

async fn accept(listener: TcpListener, handler: Handler, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&handler), stopped.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    let cut_off = *stopped.borrow();
    if !cut_off {
        let finished = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, finished).await;
    }
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, handler: Handler, mut stopped: watch::Receiver<bool>) {
    let mut connection = http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| handler(request)),
        );
    let served = tokio::select! {
        served = &mut connection => served,
        _ = stopped.changed() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let reset = served.is_err_and(|error| {
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        cause == Some(&NoAnswer::Reset)
    });
    if reset {
        let stream = connection.into_parts().io.into_inner();
        // Without it the connection only closes, which the peer sees as a failure as well.
        let _ = stream.set_zero_linger();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::body;
    use crate::simulator::raw_client::{Failure, get};

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
    async fn refuses_connections_and_comes_back_on_the_same_port() {
        let server = LoopbackServer::start(0, echo_path).unwrap();
        let address = server.address();
        for _ in 0..3 {
            server.refuse_connections().await.unwrap();
            server.refuse_connections().await.unwrap();
            assert_eq!(get(address, "/").await.unwrap_err(), Failure::Refused);
            server.accept_connections().await.unwrap();
            server.accept_connections().await.unwrap();
            assert_eq!(get(address, "/back").await.unwrap().text(), "/back");
        }
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

    #[tokio::test]
    async fn dropped_it_gives_the_port_back() {
        let server = LoopbackServer::start(0, echo_path).unwrap();
        let address = server.address();
        get(address, "/").await.unwrap();
        let Port::Listening(listening) = server.port.into_inner() else {
            panic!("it listens");
        };
        drop(listening.cut_off);
        listening.accepting.await.unwrap();
        assert_eq!(get(address, "/").await.unwrap_err(), Failure::Refused);
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error() {
        let server = LoopbackServer::start(0, echo_path).unwrap();
        let second = LoopbackServer::start(server.address().port(), echo_path);
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
