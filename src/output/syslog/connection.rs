//! An open stream to a receiver, with or without TLS, and how much of it the peer's TCP has.

use std::io::{self, IoSlice};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;
use nix::{getsockopt_impl, libc};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

/// `struct tcp_info` up to and with `tcpi_bytes_acked`, its last eight bytes here. Linux has it
/// since 4.1.
const TCP_INFO_BYTES: usize = 128;

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Either<Counted, Box<TlsStream<Counted>>>,
}

/// A TCP stream that counts what is written to it, as its kernel counts what is acknowledged.
#[derive(Debug)]
pub(super) struct Counted {
    tcp: TcpStream,
    received: u64,
    sent: u64,
    /// What the kernel had counted before us: the handshake of TCP is one.
    acknowledged_before: u64,
}

impl Connection {
    pub(super) fn plain(stream: Counted) -> Self {
        Self {
            stream: Either::Left(stream),
        }
    }

    pub(super) fn tls(stream: TlsStream<Counted>) -> Self {
        Self {
            stream: Either::Right(Box::new(stream)),
        }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// Hands everything written to the kernel.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Ends our half, with TLS's `close_notify`.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Bytes that the kernel got from us.
    pub(super) fn sent(&self) -> u64 {
        self.counted().sent
    }

    /// Those of them that the peer's TCP has.
    pub(super) fn acknowledged(&self) -> io::Result<u64> {
        let counted = self.counted();
        Ok(acknowledged(&counted.tcp)?.saturating_sub(counted.acknowledged_before))
    }

    /// Bytes that the kernel got from the peer and we took.
    pub(super) fn received(&self) -> u64 {
        self.counted().received
    }

    /// Whether the kernel holds something of the peer, its goodbye included: `poll_read` only knows
    /// what the runtime has seen so far. A reset shows here too, and only once.
    pub(super) fn has_unread(&self) -> io::Result<bool> {
        let mut byte = [0; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match recv(self.counted().tcp.as_fd(), &mut byte, flags) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn counted(&self) -> &Counted {
        match &self.stream {
            Either::Left(stream) => stream,
            Either::Right(stream) => stream.get_ref().0,
        }
    }
}

impl Counted {
    /// Begins to count; nothing has been written yet.
    pub(super) fn new(tcp: TcpStream) -> io::Result<Self> {
        Ok(Self {
            acknowledged_before: acknowledged(&tcp)?,
            received: 0,
            sent: 0,
            tcp,
        })
    }
}

// nix makes the call; a kernel that gives less than these bytes would make it panic, which
// `kernel_tells_acknowledged_bytes` rules out before.
#[derive(Debug, Clone, Copy)]
struct TcpInfo;
getsockopt_impl!(
    TcpInfo,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    [u8; TCP_INFO_BYTES],
    GetStruct<[u8; TCP_INFO_BYTES]>
);

/// Bytes that the peer's TCP has acknowledged since the connection began.
fn acknowledged(tcp: &TcpStream) -> io::Result<u64> {
    let info = getsockopt(tcp, TcpInfo)?;
    let count = info.last_chunk().copied().unwrap_or_default();
    Ok(u64::from_ne_bytes(count))
}

/// Whether this is Linux 4.1 or later.
pub(super) fn kernel_tells_acknowledged_bytes() -> bool {
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (4, 1),
        // A release that does not begin like this is none that old.
        _ => true,
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        self.received += (buffer.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, bytes))?;
        self.sent += written as u64;
        Poll::Ready(Ok(written))
    }

    // TLS has several records at a time.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, pieces))?;
        self.sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
