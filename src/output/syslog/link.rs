//! The way to one receiver over TCP, TLS or RELP: opened when it is wanted, kept, opened again.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::{Instant, timeout};

use super::alarm::Alarm;
use super::connect::{Connector, Opening};
use super::connection::Connection;
use super::conversation::Conversation;
use super::failure::Failure;
use super::flight::Flight;
use super::peer::{Landed, Probe, Timeouts};
use super::session::Session;

/// How long taking leave may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// One connection at a time, and what is said on it.
#[derive(Debug)]
pub(super) struct Link {
    connector: Connector,
    timeouts: Timeouts,
    session: Box<dyn Session>,
    line: Line,
    /// Nothing has landed since the connection was opened.
    is_fresh: bool,
    probe: Probe,
    alarm: Alarm,
}

#[derive(Debug)]
enum Line {
    Closed,
    Opening {
        opening: Opening<Connection>,
        since: Instant,
    },
    Open {
        conversation: Box<Conversation>,
        /// When opening it began.
        since: Instant,
    },
}

impl Link {
    /// Uses these authorities and this certificate from the next connection on.
    pub(super) fn set_tls(&mut self, config: Arc<ClientConfig>) {
        self.connector.set_tls(config);
    }

    pub(super) fn new(connector: Connector, session: Box<dyn Session>, timeouts: Timeouts) -> Self {
        Self {
            connector,
            timeouts,
            session,
            line: Line::Closed,
            is_fresh: true,
            probe: Probe::default(),
            alarm: Alarm::default(),
        }
    }

    pub(super) fn launch(&mut self, flight: Flight) {
        self.begin();
        self.session.launch(flight);
    }

    pub(super) fn probe(&mut self) {
        self.begin();
        self.probe.ask();
    }

    /// Goes on with everything, until something has landed.
    pub(super) fn poll_landing(&mut self, cx: &mut Context<'_>) -> Poll<Landed> {
        loop {
            if let Some(landed) = self.landed() {
                self.is_fresh = false;
                return Poll::Ready(landed);
            }
            match self.poll_line(cx, Instant::now()) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(failure)) => self.failed(&failure),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes leave of the receiver.
    pub(super) async fn close(&mut self) {
        if !self.session.is_busy()
            && let Line::Open { conversation, .. } = &mut self.line
        {
            let session = self.session.as_mut();
            session.leave();
            let leave = poll_fn(|cx| conversation.poll_leave(cx, session, Instant::now()));
            // It may be gone already; nothing is owed to it any more.
            let _ = timeout(LEAVE_TIMEOUT, leave).await;
        }
        self.line = Line::Closed;
    }

    fn begin(&mut self) {
        if let Line::Open { conversation, .. } = &mut self.line
            && !self.session.is_busy()
        {
            conversation.begin(Instant::now());
        }
    }

    fn is_wanted(&self) -> bool {
        self.session.is_busy() || self.probe.is_asked()
    }

    fn landed(&mut self) -> Option<Landed> {
        match self.session.landed() {
            Some((flight, verdict)) => Some(Landed::Sent(flight, verdict)),
            None => self.probe.take_answer().map(Landed::Probed),
        }
    }

    /// Ready when there is something to look at, pending when all that can be done is done.
    fn poll_line(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), Failure>> {
        match &mut self.line {
            Line::Closed => {
                if !self.is_wanted() {
                    return Poll::Pending;
                }
                self.is_fresh = true;
                self.line = Line::Opening {
                    opening: self.connector.open(),
                    since: now,
                };
            }
            Line::Opening { opening, since } => {
                let since = *since;
                let Poll::Ready(opened) = opening.poll(cx) else {
                    return self.poll_opened_in_time(cx, since);
                };
                let connection =
                    opened.map_err(|f| f.while_doing("connecting to", self.connector.address()))?;
                self.session.connected();
                self.line = Line::Open {
                    conversation: Box::new(Conversation::new(connection, now)),
                    since,
                };
            }
            Line::Open { .. } => return self.poll_conversation(cx, now),
        }
        Poll::Ready(Ok(()))
    }

    fn poll_opened_in_time(
        &mut self,
        cx: &mut Context<'_>,
        since: Instant,
    ) -> Poll<Result<(), Failure>> {
        let timeout = self.timeouts.connect;
        self.alarm.poll(cx, since + timeout).map(|()| {
            let failure = Failure::passing(format!("no answer after {timeout:?}"));
            Err(failure.while_doing("connecting to", self.connector.address()))
        })
    }

    fn poll_conversation(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Poll<Result<(), Failure>> {
        let is_ready = self.session.is_ready();
        if let Err(failure) = self.converse(cx, now) {
            let doing = if is_ready {
                "writing to"
            } else {
                "connecting to"
            };
            return Poll::Ready(Err(failure.while_doing(doing, self.connector.address())));
        }
        if self.session.has_landed() || self.probe.is_answered() {
            return Poll::Ready(Ok(()));
        }
        let Line::Open {
            conversation,
            since,
        } = &self.line
        else {
            return Poll::Ready(Ok(()));
        };
        if !self.session.is_ready() {
            let since = *since;
            return self.poll_opened_in_time(cx, since);
        }
        if !self.is_wanted() {
            return Poll::Pending;
        }
        let timeout = self.timeouts.write;
        let give_up_at = conversation.moved_at() + timeout;
        let look_at = conversation.look_at(self.session.as_ref());
        let wake_at = look_at.map_or(give_up_at, |at| at.min(give_up_at));
        self.alarm.poll(cx, wake_at).map(|()| {
            if now < give_up_at {
                return Ok(());
            }
            let failure = Failure::passing(format!("nothing has moved for {timeout:?}"));
            Err(failure.while_doing("writing to", self.connector.address()))
        })
    }

    fn converse(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Failure> {
        let Line::Open { conversation, .. } = &mut self.line else {
            return Ok(());
        };
        let session = self.session.as_mut();
        conversation.advance(cx, session, now)?;
        if self.probe.is_asked() && session.is_ready() && !conversation.has_unheard()? {
            self.probe.answer(Ok(()));
        }
        Ok(())
    }

    fn failed(&mut self, failure: &Failure) {
        self.line = Line::Closed;
        // Receivers end connections that are idle. Nothing is lost with one that has served, so the
        // next is opened without a word; but one that is closed at once, again and again, is not.
        let has_served = !self.is_fresh || self.session.has_landed();
        if has_served && self.session.is_clean() && !failure.is_lasting() {
            return;
        }
        if self.probe.is_asked() {
            self.probe.answer(Err(failure.clone().problem()));
        }
        self.session.lost(failure);
    }
}
