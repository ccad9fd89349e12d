//! Over an open connection: what the session has to say goes out, what the peer says comes in.

use std::io::ErrorKind;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::failure::Failure;
use super::session::Session;

/// How much is written, and read, at once.
const MAX_WRITE_BYTES: usize = 64 << 10;
const MAX_READ_BYTES: usize = 16 << 10;
/// So often is read in one turn: a peer that never stops talking must not keep us from our clock.
const MAX_READS: u32 = 16;
/// No event tells that TCP has acknowledged something: we look soon, then less and less often.
const MIN_LOOK: Duration = Duration::from_micros(200);
const MAX_LOOK: Duration = Duration::from_millis(20);

/// An open connection in use.
#[derive(Debug)]
pub(super) struct Conversation {
    connection: Connection,
    /// Something was written that the kernel may not have yet.
    is_unflushed: bool,
    moved_at: Instant,
    sent: u64,
    acknowledged: u64,
    look_at: Instant,
    look_wait: Duration,
}

impl Conversation {
    pub(super) fn new(connection: Connection, now: Instant) -> Self {
        Self {
            sent: connection.sent(),
            connection,
            is_unflushed: false,
            moved_at: now,
            acknowledged: 0,
            look_at: now,
            look_wait: MIN_LOOK,
        }
    }

    /// Does what can be done now; whoever polls is woken when there is more.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut dyn Session,
        now: Instant,
    ) -> Result<(), Failure> {
        self.hear(cx, session, now)?;
        self.speak(cx, session)?;
        if self.connection.sent() > self.sent {
            self.sent = self.connection.sent();
            self.moved_at = now;
        }
        self.look(session, now)
    }

    /// Says goodbye, hears the answer and ends the stream.
    pub(super) fn poll_leave(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut dyn Session,
        now: Instant,
    ) -> Poll<Result<(), Failure>> {
        self.hear(cx, session, now)?;
        self.speak(cx, session)?;
        if !session.has_left() {
            return Poll::Pending;
        }
        ready!(self.connection.poll_shutdown(cx)).map_err(|error| Failure::of_io(&error))?;
        // A socket that is dropped with something unread in it resets the connection, and that may
        // overtake what the peer has yet to read.
        Poll::Ready(self.hear(cx, session, now))
    }

    /// Work begins: from now on something must move.
    pub(super) fn begin(&mut self, now: Instant) {
        self.moved_at = now;
    }

    /// When something last moved: bytes went out, were acknowledged or answered.
    pub(super) fn moved_at(&self) -> Instant {
        self.moved_at
    }

    /// When to look again for an acknowledgement, if one is awaited.
    pub(super) fn look_at(&self, session: &dyn Session) -> Option<Instant> {
        session.awaits_acknowledgement().then_some(self.look_at)
    }

    /// Whether the peer has said, or done, something that we have not heard yet.
    pub(super) fn has_unheard(&self) -> Result<bool, Failure> {
        let has_unread = self.connection.has_unread();
        has_unread.map_err(|error| Failure::of_io(&error))
    }

    fn hear(
        &mut self,
        cx: &mut Context<'_>,
        session: &mut dyn Session,
        now: Instant,
    ) -> Result<(), Failure> {
        let mut said = [0; MAX_READ_BYTES];
        for _ in 0..MAX_READS {
            let Poll::Ready(read) = self.connection.poll_read(cx, &mut said) else {
                return Ok(());
            };
            let bytes = match read {
                // With TLS, without a close_notify: many receivers do not bother.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
                read => read.map_err(|error| Failure::of_io(&error))?,
            };
            if bytes == 0 {
                // A peer that ends in order has read what its TCP acknowledged: had it not, its
                // kernel would have reset the connection.
                self.look(session, now)?;
                return Err(Failure::passing("the receiver closed the connection"));
            }
            if session.received(said.get(..bytes).unwrap_or_default())? {
                self.moved_at = now;
            }
        }
        // There is more; somebody else may have a turn before.
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn speak(&mut self, cx: &mut Context<'_>, session: &mut dyn Session) -> Result<(), Failure> {
        loop {
            let bytes = session.outgoing();
            let bytes = bytes.get(..MAX_WRITE_BYTES).unwrap_or(bytes);
            if !bytes.is_empty() {
                // A peer that took leave hears nothing any more: first hear what it has to say.
                if self.has_unheard()? {
                    return Ok(());
                }
                let Poll::Ready(written) = self.connection.poll_write(cx, bytes) else {
                    return Ok(());
                };
                match written {
                    Ok(0) => return Err(Failure::of_io(&ErrorKind::WriteZero.into())),
                    Ok(bytes) => session.written(bytes),
                    Err(error) => return Err(Failure::of_io(&error)),
                }
                self.is_unflushed = true;
            } else if self.is_unflushed {
                let Poll::Ready(flushed) = self.connection.poll_flush(cx) else {
                    return Ok(());
                };
                flushed.map_err(|error| Failure::of_io(&error))?;
                self.is_unflushed = false;
                session.flushed(self.connection.sent());
            } else {
                return Ok(());
            }
        }
    }

    /// Asks the kernel what the peer's TCP has.
    fn look(&mut self, session: &mut dyn Session, now: Instant) -> Result<(), Failure> {
        if !session.awaits_acknowledgement() {
            self.look_wait = MIN_LOOK;
            self.look_at = now;
            return Ok(());
        }
        let acknowledged = self.connection.acknowledged();
        let acknowledged = acknowledged.map_err(|error| Failure::of_io(&error))?;
        session.acknowledged(acknowledged);
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged;
            self.moved_at = now;
            self.look_wait = MIN_LOOK;
            self.look_at = now + MIN_LOOK;
        } else if now >= self.look_at {
            self.look_at = now + self.look_wait;
            self.look_wait = (self.look_wait * 2).min(MAX_LOOK);
        }
        Ok(())
    }
}
