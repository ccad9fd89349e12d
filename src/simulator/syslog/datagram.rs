//! Messages by UDP, one in each datagram.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use tokio::net::UdpSocket;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::Shared;
use super::conversation::pause;
use super::fault::{Occasion, SyslogFault};

const MAX_DATAGRAM_BYTES: usize = 64 * 1024;

/// A UDP port that can refuse for a while and comes back as it was; it ends when dropped.
#[derive(Debug)]
pub(super) struct UdpPort {
    address: SocketAddr,
    port: Mutex<Port>,
}

#[derive(Debug)]
enum Port {
    Listening(JoinSet<()>),
    /// Bound, so that nobody else gets the port, but deaf.
    Refusing(UdpSocket),
    /// Opening it again failed half-way.
    Lost,
}

impl UdpPort {
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let socket = bind((Ipv4Addr::LOCALHOST, shared.rules.port).into())?;
        Ok(Self {
            address: socket.local_addr()?,
            port: Mutex::new(Port::Listening(listening(socket, shared))),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the sender hears that nobody is there.
    pub(super) async fn refuse(&self) -> io::Result<()> {
        let mut port = self.port.lock().await;
        if let Port::Refusing(_) = *port {
            return Ok(());
        }
        if let Port::Listening(mut task) = std::mem::replace(&mut *port, Port::Lost) {
            task.shutdown().await;
        }
        let socket = bind(self.address)?;
        // What does not come from itself is answered by the system as for a closed port.
        socket.connect(self.address).await?;
        *port = Port::Refusing(socket);
        Ok(())
    }

    /// Listens again, on the same port.
    pub(super) async fn accept(&self, shared: &Arc<Shared>) -> io::Result<()> {
        let mut port = self.port.lock().await;
        match std::mem::replace(&mut *port, Port::Lost) {
            // A connected socket cannot be disconnected, so the port is free for a moment.
            Port::Refusing(socket) => drop(socket),
            Port::Lost => {}
            listening @ Port::Listening(_) => {
                *port = listening;
                return Ok(());
            }
        }
        *port = Port::Listening(listening(bind(self.address)?, shared));
        Ok(())
    }
}

/// Bytes of datagrams that wait to be read.
const BUFFER_BYTES: usize = 8 << 20;

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    // What comes while this machine does something else is not lost here. Only root may have so much.
    let _ = set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES)
        .or_else(|_| set_socket_recv_buffer_size(&socket, BUFFER_BYTES));
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

fn listening(socket: UdpSocket, shared: &Arc<Shared>) -> JoinSet<()> {
    let mut task = JoinSet::new();
    task.spawn(listen(socket, Arc::clone(shared)));
    task
}

async fn listen(socket: UdpSocket, shared: Arc<Shared>) {
    let mut datagram = vec![0; MAX_DATAGRAM_BYTES];
    let mut number = 0;
    loop {
        // An error is of one datagram.
        let Ok(length) = socket.recv(&mut datagram).await else {
            continue;
        };
        let message = datagram.get(..length).unwrap_or_default();
        let fault = shared.fault(Occasion::Message { number });
        number += 1;
        match fault {
            None | Some(SyslogFault::AnswerLost) => {}
            Some(SyslogFault::LateAnswer { pause_ms }) => pause(pause_ms).await,
            Some(_) => continue,
        }
        let max_bytes = shared.rules.max_message_bytes;
        if length > max_bytes {
            shared.complain(None, format!("a message of more than {max_bytes} bytes"));
            continue;
        }
        shared.take(message, None, None);
    }
}
