//! A connection from its begin to its end, and what a stream of messages comes to.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::ending::{SyslogEnd, SyslogEnding};
use super::fault::{Occasion, SyslogFault};
use super::relp::RelpConversation;
use super::rules::{SyslogFraming, SyslogTransport};
use super::{Shared, frame};
use crate::simulator::connection::Connection;
use crate::simulator::listener::{GRACE, LoopbackListener, Stopped};

/// How much is read at once: what has come together is to be judged together.
const READ_BYTES: usize = 64 * 1024;

/// Listens for connections.
pub(super) fn listen(shared: &Arc<Shared>) -> io::Result<LoopbackListener> {
    let tls = shared.rules.transport.tls();
    let tls = tls.map(|tls| tls.acceptor(&[])).transpose()?;
    let shared = Arc::clone(shared);
    LoopbackListener::start(shared.rules.port, move |stream, stopped| {
        converse(Arc::clone(&shared), tls.clone(), stream, stopped)
    })
}

async fn converse(
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    stream: TcpStream,
    mut stopped: Stopped,
) {
    let mut visit = Visit::begin(&shared);
    tokio::select! {
        end = visit.last(stream, tls) => visit.end = end,
        _ = stopped.changed() => {}
    }
}

/// Why a conversation ends.
#[derive(Debug)]
pub(super) enum End {
    /// The sender has said that it is done.
    Done,
    /// The sender is gone between two messages.
    Gone,
    /// The sender is gone in the middle of a message.
    MidMessage,
    /// The sender broke the rules in this way.
    Violation(String),
    /// The receiver closes the connection.
    HangUp,
    /// The receiver resets the connection.
    Reset,
}

impl End {
    pub(super) fn violation(error: impl std::error::Error) -> Self {
        Self::Violation(error.to_string())
    }
}

/// A connection's number, what it brought and how it ended, told when it is over.
struct Visit<'a> {
    shared: &'a Arc<Shared>,
    number: usize,
    taken: usize,
    end: SyslogEnd,
}

impl<'a> Visit<'a> {
    fn begin(shared: &'a Arc<Shared>) -> Self {
        Self {
            shared,
            number: shared.connections.fetch_add(1, Ordering::Relaxed),
            taken: 0,
            end: SyslogEnd::Receiver,
        }
    }

    async fn last(&mut self, stream: TcpStream, tls: Option<TlsAcceptor>) -> SyslogEnd {
        let mut leave = self.shared.leave.subscribe();
        match self.shared.fault(Occasion::Connection) {
            None => {}
            Some(SyslogFault::LateAnswer { pause_ms }) => pause(pause_ms).await,
            Some(SyslogFault::BlackHole | SyslogFault::Mute) => {
                let _ = leave.changed().await;
                return SyslogEnd::Receiver;
            }
            Some(fault) => {
                if fault == SyslogFault::Reset {
                    Connection::Plain(stream).reset();
                }
                return SyslogEnd::Receiver;
            }
        }
        let Ok(connection) = Connection::accept(stream, tls.as_ref()).await else {
            return SyslogEnd::Abrupt;
        };
        let mut conversation = Conversation {
            shared: Arc::clone(self.shared),
            number: self.number,
            connection,
            read: BytesMut::new(),
            messages: 0,
            taken: &mut self.taken,
            leave,
        };
        let is_relp = matches!(self.shared.rules.transport, SyslogTransport::Relp { .. });
        let Err(end) = match self.shared.rules.transport {
            SyslogTransport::Relp { window, .. } => {
                RelpConversation::new(&mut conversation, window)
                    .go_on()
                    .await
            }
            SyslogTransport::Tcp { framing, .. } => conversation.stream(framing).await,
            SyslogTransport::Udp => return SyslogEnd::Receiver,
        };
        conversation.finish(end, is_relp).await
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.shared.endings.push(SyslogEnding {
            connection: self.number,
            taken: self.taken,
            end: self.end,
        });
    }
}

/// A connection that is open.
pub(super) struct Conversation<'a> {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
    pub(super) connection: Connection,
    /// What was read and not yet understood.
    pub(super) read: BytesMut,
    /// How many messages came, taken or not.
    messages: usize,
    pub(super) taken: &'a mut usize,
    leave: watch::Receiver<()>,
}

impl Conversation<'_> {
    async fn stream(&mut self, framing: SyslogFraming) -> Result<Infallible, End> {
        let max_bytes = self.shared.rules.max_message_bytes;
        loop {
            while let Some(message) =
                frame::next(framing, &mut self.read, max_bytes).map_err(End::violation)?
            {
                let fault = self.message_fault();
                match fault {
                    None => {}
                    Some(SyslogFault::LateAnswer { pause_ms }) => pause(pause_ms).await,
                    Some(SyslogFault::AnswerLost) => {
                        self.take(&message);
                        return Err(End::HangUp);
                    }
                    Some(SyslogFault::BlackHole) => return self.black_hole().await,
                    Some(SyslogFault::Mute) => return self.swallow().await,
                    Some(SyslogFault::Reset) => return Err(End::Reset),
                    Some(_) => return Err(End::HangUp),
                }
                self.take(&message);
            }
            self.read_more().await?;
        }
    }

    /// The fault for a message that came.
    pub(super) fn message_fault(&mut self) -> Option<SyslogFault> {
        let number = self.messages;
        self.messages += 1;
        self.shared.fault(Occasion::Message { number })
    }

    fn take(&mut self, message: &[u8]) {
        self.shared.take(message, Some(self.number), None);
        *self.taken += 1;
    }

    /// Reads what has come, at least a byte.
    pub(super) async fn read_more(&mut self) -> Result<(), End> {
        self.read.reserve(READ_BYTES);
        let read = tokio::select! {
            read = self.connection.read_buf(&mut self.read) => read,
            _ = self.leave.changed() => return Err(End::HangUp),
        };
        match read {
            Ok(1..) => Ok(()),
            _ if !self.read.is_empty() => Err(End::MidMessage),
            Ok(_) => Err(End::Done),
            Err(_) => Err(End::Gone),
        }
    }

    /// Reads nothing more.
    pub(super) async fn black_hole(&mut self) -> Result<Infallible, End> {
        let _ = self.leave.changed().await;
        Err(End::HangUp)
    }

    /// Reads on and takes nothing more.
    async fn swallow(&mut self) -> Result<Infallible, End> {
        loop {
            self.read.clear();
            self.read_more().await?;
        }
    }

    async fn finish(mut self, end: End, is_relp: bool) -> SyslogEnd {
        match end {
            End::Done if is_relp => {
                if self.close().await > 0 {
                    return self.violated("bytes after close".to_owned());
                }
                SyslogEnd::Orderly
            }
            End::Done => SyslogEnd::Orderly,
            End::Gone => SyslogEnd::Abrupt,
            End::MidMessage => SyslogEnd::MidMessage,
            End::Violation(what) => self.violated(what),
            End::HangUp => {
                if is_relp {
                    self.close().await;
                } else {
                    // A sender that is gone does not hear it.
                    let _ = self.connection.shutdown().await;
                }
                SyslogEnd::Receiver
            }
            End::Reset => {
                self.connection.reset();
                SyslogEnd::Receiver
            }
        }
    }

    fn violated(&self, what: String) -> SyslogEnd {
        self.shared.complain(Some(self.number), what);
        SyslogEnd::Violation
    }

    /// Closes the connection so that what was written reaches the sender: with bytes that are not
    /// read the system would reset it. Gives how many bytes there were.
    async fn close(&mut self) -> usize {
        let mut unread = self.read.len();
        let closed = async {
            if self.connection.shutdown().await.is_err() {
                return;
            }
            loop {
                self.read.clear();
                match self.connection.read_buf(&mut self.read).await {
                    Ok(bytes @ 1..) => unread += bytes,
                    _ => return,
                }
            }
        };
        // One that does not close on its side is cut off.
        let _ = tokio::time::timeout(GRACE, closed).await;
        unread
    }
}

pub(super) async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
