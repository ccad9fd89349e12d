//! The socket: opened when it is needed, kept, looked at before each write.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use super::format::frame;
use crate::config::{SyslogConfig, SyslogFraming, SyslogTransport};

/// The most bytes that a frame adds: the length of a message and a space.
pub(super) const MAX_FRAME_BYTES: usize = 21;

/// The way to the receiver.
#[derive(Debug)]
pub(super) struct Transport {
    address: String,
    kind: SyslogTransport,
    framing: SyslogFraming,
    connect_timeout: Duration,
    pub(super) write_timeout: Duration,
    socket: Option<Socket>,
}

/// Messages were not sent.
#[derive(Debug)]
pub(super) enum SendError {
    /// None is sent for certain.
    Fault { reason: String },
    /// Those before this one are sent, it never can be.
    TooLarge { index: usize, reason: String },
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Transport {
    pub(super) fn new(config: &SyslogConfig) -> Self {
        Self {
            address: config.addresses.first().cloned().unwrap_or_default(),
            kind: config.transport,
            framing: config.framing,
            connect_timeout: config.connect_timeout,
            write_timeout: config.write_timeout,
            socket: None,
        }
    }

    /// Hands all messages to the kernel, in order.
    pub(super) async fn send(&mut self, messages: &[String]) -> Result<(), SendError> {
        if messages.is_empty() {
            return Ok(());
        }
        // Taken out while it is written to: a dropped or failed call leaves no half message behind
        // which the next one could be appended.
        let mut socket = match self.take_living().await {
            Some(socket) => socket,
            None => self
                .connect()
                .await
                .map_err(|reason| SendError::Fault { reason })?,
        };
        let written = timeout(self.write_timeout, async {
            match &mut socket {
                Socket::Udp(socket) => send_datagrams(socket, messages).await,
                Socket::Tcp(stream) => write_stream(stream, self.framing, messages).await,
            }
        })
        .await;
        match written {
            Ok(Ok(())) => {
                self.socket = Some(socket);
                Ok(())
            }
            Ok(Err((index, error))) if is_over_any_datagram(&error) => {
                self.socket = Some(socket);
                Err(SendError::TooLarge {
                    index,
                    reason: format!("no datagram can hold the message: {error}"),
                })
            }
            Ok(Err((_, error))) => Err(self.fault("writing to", &error)),
            Err(_) => Err(self.fault(
                "writing to",
                &format!("no end after {:?}", self.write_timeout),
            )),
        }
    }

    /// Opens the socket unless it is open.
    pub(super) async fn open(&mut self) -> Result<(), String> {
        let socket = match self.take_living().await {
            Some(socket) => socket,
            None => self.connect().await?,
        };
        self.socket = Some(socket);
        Ok(())
    }

    /// Lets the kernel send what it has, then says goodbye.
    pub(super) async fn close(&mut self) {
        if let Some(Socket::Tcp(mut stream)) = self.socket.take() {
            // The peer may be gone already; nothing is owed to it any more.
            let _ = timeout(self.write_timeout, stream.shutdown()).await;
        }
    }

    /// The open socket, if its peer has not gone.
    async fn take_living(&mut self) -> Option<Socket> {
        match self.socket.take()? {
            Socket::Udp(socket) => Some(Socket::Udp(socket)),
            Socket::Tcp(stream) => is_open(&stream).await.then_some(Socket::Tcp(stream)),
        }
    }

    async fn connect(&self) -> Result<Socket, String> {
        match timeout(self.connect_timeout, self.connect_in_time()).await {
            Ok(Ok(socket)) => Ok(socket),
            Ok(Err(error)) => Err(self.story("connecting to", &error)),
            Err(_) => Err(self.story(
                "connecting to",
                &format!("no answer after {:?}", self.connect_timeout),
            )),
        }
    }

    async fn connect_in_time(&self) -> io::Result<Socket> {
        if self.kind != SyslogTransport::Udp {
            let stream = TcpStream::connect(&self.address).await?;
            return Ok(Socket::Tcp(stream));
        }
        let peer = lookup_host(&self.address)
            .await?
            .next()
            .ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the name has no address"))?;
        let any: SocketAddr = match peer {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(peer).await?;
        Ok(Socket::Udp(socket))
    }

    fn fault(&self, doing: &str, error: &dyn Display) -> SendError {
        SendError::Fault {
            reason: self.story(doing, error),
        }
    }

    fn story(&self, doing: &str, error: &dyn Display) -> String {
        format!("{doing} syslog receiver {} failed: {error}", self.address)
    }
}

/// Whether the peer still holds its end. A receiver has nothing to say: what it says is dropped.
async fn is_open(stream: &TcpStream) -> bool {
    // `try_read` knows only what the reactor has seen; this lets it look.
    tokio::task::yield_now().await;
    let mut said = [0; 1024];
    // A peer that talks without end is not a syslog receiver.
    for _ in 0..64 {
        match stream.try_read(&mut said) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    false
}

async fn write_stream(
    stream: &mut TcpStream,
    framing: SyslogFraming,
    messages: &[String],
) -> Result<(), (usize, io::Error)> {
    let bytes = messages.iter().map(|m| m.len() + MAX_FRAME_BYTES).sum();
    let mut frames = Vec::with_capacity(bytes);
    for message in messages {
        frame(framing, message, &mut frames);
    }
    stream.write_all(&frames).await.map_err(|error| (0, error))
}

/// On one machine the kernel tells a closed port at once; then none of the datagrams counts.
async fn send_datagrams(socket: &UdpSocket, messages: &[String]) -> Result<(), (usize, io::Error)> {
    for (index, message) in messages.iter().enumerate() {
        socket
            .send(message.as_bytes())
            .await
            .map_err(|error| (index, error))?;
    }
    match socket.take_error() {
        Ok(None) => Ok(()),
        Ok(Some(error)) | Err(error) => Err((0, error)),
    }
}

fn is_over_any_datagram(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::MSGSIZE)
}
