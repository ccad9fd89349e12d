//! A TCP port on loopback that can refuse connections for a while and comes back as it was.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How long connections may take to finish once the listener is dropped.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// How long to wait for a file descriptor to come free when none can be had.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

const BACKLOG: u32 = 1024;

/// Changes or ends when a connection should finish what it is about and go.
pub(crate) type Stopped = watch::Receiver<bool>;

type Serve = Arc<dyn Fn(TcpStream, Stopped) -> BoxFuture<'static, ()> + Send + Sync>;

/// Listens on 127.0.0.1.
///
/// It ends when dropped: connections are no longer accepted, those that are open have a second to
/// finish.
pub(crate) struct LoopbackListener {
    address: SocketAddr,
    is_chosen_by_system: bool,
    serve: Serve,
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

impl LoopbackListener {
    /// Listens on `port` of 127.0.0.1, or for 0 on one that the system chooses.
    pub(crate) fn start<S, F>(port: u16, serve: S) -> io::Result<Self>
    where
        S: Fn(TcpStream, Stopped) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let serve: Serve = Arc::new(move |stream, stopped| Box::pin(serve(stream, stopped)));
        let is_chosen_by_system = port == 0;
        let socket = bind((Ipv4Addr::LOCALHOST, port).into(), is_chosen_by_system)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let port = Mutex::new(Port::Listening(Listening::start(listener, &serve)));
        Ok(Self {
            address,
            is_chosen_by_system,
            serve,
            port,
        })
    }

    fn bind(&self) -> io::Result<TcpSocket> {
        bind(self.address, self.is_chosen_by_system)
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
        // Before the other one goes: nobody's outgoing connection can take the port between.
        let next = self.bind();
        if let Port::Listening(listening) = std::mem::replace(&mut *port, Port::Lost) {
            listening.cut_off().await;
        }
        *port = Port::Refusing(next.or_else(|_| self.bind())?);
        Ok(())
    }

    /// Listens again, on the same port.
    pub(crate) async fn accept_connections(&self) -> io::Result<()> {
        let mut port = self.port.lock().await;
        let socket = match std::mem::replace(&mut *port, Port::Lost) {
            Port::Refusing(socket) => socket,
            Port::Lost => self.bind()?,
            listening @ Port::Listening(_) => {
                *port = listening;
                return Ok(());
            }
        };
        let listener = socket.listen(BACKLOG)?;
        *port = Port::Listening(Listening::start(listener, &self.serve));
        Ok(())
    }
}

impl std::fmt::Debug for LoopbackListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoopbackListener")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn bind(address: SocketAddr, may_be_shared: bool) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections of before linger in TIME_WAIT and would keep us from our own port.
    socket.set_reuseaddr(true)?;
    // Two sockets of ours may have the port, one of them listening. A port that the system chooses
    // is nobody else's; on one that was asked for, a second server is to be refused.
    socket.set_reuseport(may_be_shared)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Listening {
    fn start(listener: TcpListener, serve: &Serve) -> Self {
        let (cut_off, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, Arc::clone(serve), stopped));
        Self { cut_off, accepting }
    }

    /// Returns once the listener and all connections are gone.
    async fn cut_off(self) {
        self.cut_off.send_replace(true);
        // It ends on its own; a panic in it has nothing to tell us here.
        let _ = self.accepting.await;
    }
}

async fn accept(listener: TcpListener, serve: Serve, mut stopped: Stopped) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, stopped.clone()));
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Sends what it gets back, until it should stop.
    async fn echo(mut stream: TcpStream, mut stopped: Stopped) {
        let (mut from, mut to) = stream.split();
        tokio::select! {
            _ = tokio::io::copy(&mut from, &mut to) => {}
            _ = stopped.changed() => {}
        }
    }

    async fn answers(address: SocketAddr) -> io::Result<()> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"x").await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map(drop)
    }

    async fn refusal(address: SocketAddr) -> io::ErrorKind {
        answers(address).await.unwrap_err().kind()
    }

    #[tokio::test]
    async fn refuses_connections_and_comes_back_on_the_same_port() {
        let listener = LoopbackListener::start(0, echo).unwrap();
        let address = listener.address();
        for _ in 0..3 {
            listener.refuse_connections().await.unwrap();
            listener.refuse_connections().await.unwrap();
            assert_eq!(refusal(address).await, io::ErrorKind::ConnectionRefused);
            listener.accept_connections().await.unwrap();
            listener.accept_connections().await.unwrap();
            answers(address).await.unwrap();
        }
    }

    #[tokio::test]
    async fn dropped_it_gives_the_port_back() {
        let listener = LoopbackListener::start(0, echo).unwrap();
        let address = listener.address();
        answers(address).await.unwrap();
        let Port::Listening(listening) = listener.port.into_inner() else {
            panic!("it listens");
        };
        drop(listening.cut_off);
        listening.accepting.await.unwrap();
        assert_eq!(refusal(address).await, io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error() {
        let listener = LoopbackListener::start(0, echo).unwrap();
        let second = LoopbackListener::start(listener.address().port(), echo);
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
