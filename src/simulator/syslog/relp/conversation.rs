//! A connection of RELP: commands, their answers, and the faults between them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::frame;
use super::session::{self, Command, CommandKind, Session};
use crate::simulator::syslog::conversation::{Conversation, End, pause};
use crate::simulator::syslog::fault::{Occasion, SyslogFault};

const OFFERS: &str = concat!(
    "relp_version=0\nrelp_software=cta-forwarder simulator,",
    env!("CARGO_PKG_VERSION"),
    "\ncommands=syslog"
);

const SERVER_CLOSE: &[u8] = b"0 serverclose 0\n";

/// A connection of RELP.
pub(in crate::simulator::syslog) struct RelpConversation<'a, 'b> {
    conversation: &'a mut Conversation<'b>,
    session: Session,
    /// The message whose answer goes out behind the next one's.
    held: Option<Message>,
    is_mute: bool,
}

struct Message {
    transaction: u32,
    text: Bytes,
}

impl<'a, 'b> RelpConversation<'a, 'b> {
    pub(in crate::simulator::syslog) fn new(
        conversation: &'a mut Conversation<'b>,
        window: usize,
    ) -> Self {
        Self {
            conversation,
            session: Session::new(window),
            held: None,
            is_mute: false,
        }
    }

    /// Goes on until the connection ends.
    pub(in crate::simulator::syslog) async fn go_on(&mut self) -> Result<Infallible, End> {
        loop {
            // All that came counts for the window before any of it is answered.
            let (commands, wrong) = self.commands();
            let mut obeyed = Ok(());
            for command in commands {
                obeyed = self.obey(command).await;
                if obeyed.is_err() {
                    break;
                }
            }
            match (obeyed, wrong) {
                // What stands behind a `close` is wrong too.
                (Ok(()) | Err(End::Done), Some(wrong)) => return Err(wrong),
                (obeyed, _) => obeyed?,
            }
            match self.conversation.read_more().await {
                Ok(()) => {}
                // Without `close` that is no good order.
                Err(End::Done) => return Err(End::Gone),
                Err(End::HangUp) => return self.server_close().await,
                Err(end) => return Err(end),
            }
        }
    }

    /// The commands that have come whole, and what is wrong behind them.
    fn commands(&mut self) -> (VecDeque<Command>, Option<End>) {
        let mut commands = VecDeque::new();
        let max_bytes = self.conversation.shared.rules.max_message_bytes;
        loop {
            let frame = match frame::next(&mut self.conversation.read, max_bytes) {
                Ok(Some(frame)) => frame,
                Ok(None) if self.session.is_opening() && !self.conversation.read.is_empty() => {
                    let early = "bytes before open was answered".to_owned();
                    return (commands, Some(End::Violation(early)));
                }
                Ok(None) => return (commands, None),
                Err(error) => return (commands, Some(End::violation(error))),
            };
            match self.session.receive(frame) {
                Ok(command) => commands.push_back(command),
                Err(error) => return (commands, Some(End::violation(error))),
            }
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), End> {
        if self.is_mute {
            return Ok(());
        }
        let fault = match command.kind {
            CommandKind::Open => self.conversation.shared.fault(Occasion::Open),
            CommandKind::Close => self.conversation.shared.fault(Occasion::Close),
            CommandKind::Syslog(_) => self.conversation.message_fault(),
        };
        match fault {
            None => self.answer(command, OFFERS).await,
            Some(fault) => self.fail(command, fault).await,
        }
    }

    async fn fail(&mut self, command: Command, fault: SyslogFault) -> Result<(), End> {
        let Command { transaction, kind } = &command;
        let transaction = *transaction;
        match fault {
            SyslogFault::Reset => Err(End::Reset),
            SyslogFault::HangUp => Err(End::HangUp),
            SyslogFault::BlackHole => {
                let Err(end) = self.conversation.black_hole().await;
                Err(end)
            }
            SyslogFault::Mute => {
                self.is_mute = true;
                Ok(())
            }
            SyslogFault::ServerClose => {
                let Err(end) = self.server_close().await;
                Err(end)
            }
            SyslogFault::LateAnswer { pause_ms } => {
                pause(pause_ms).await;
                self.answer(command, OFFERS).await
            }
            SyslogFault::AnswerLost | SyslogFault::HalfAnswer => {
                let whole = response(transaction, "200 OK");
                let half = whole.get(..whole.len() / 2).unwrap_or_default();
                let written = if fault == SyslogFault::HalfAnswer {
                    half
                } else {
                    &[]
                };
                self.write_and_take(written, &command).await?;
                Err(End::HangUp)
            }
            SyslogFault::SwappedAnswer => match kind {
                CommandKind::Syslog(text) if self.held.is_none() => {
                    let text = text.clone();
                    self.held = Some(Message { transaction, text });
                    Ok(())
                }
                _ => self.answer(command, OFFERS).await,
            },
            SyslogFault::Code { code } => {
                let told = format!("{code} refused on purpose");
                self.refuse(&command, &response(transaction, &told)).await
            }
            SyslogFault::WrongTransaction => {
                // Far from those that may be without an answer.
                let other = (transaction + 499_999_999) % 999_999_999 + 1;
                self.refuse(&command, &response(other, "200 OK")).await
            }
            SyslogFault::OtherAnswer { answer } => {
                let answer = answer.replace("{txnr}", &transaction.to_string());
                self.refuse(&command, answer.as_bytes()).await
            }
            SyslogFault::OtherOffers { offers } => self.answer(command, &offers).await,
        }
    }

    /// The answer that should come.
    async fn answer(&mut self, command: Command, offers: &str) -> Result<(), End> {
        let transaction = command.transaction;
        match &command.kind {
            CommandKind::Open => {
                // Before the client could know of it.
                self.session.opened(session::establish(offers));
                let told = format!("200 OK\n{offers}");
                self.write(&response(transaction, &told)).await
            }
            CommandKind::Close => {
                self.answer_held().await?;
                self.write(&response(transaction, "200 OK")).await?;
                Err(End::Done)
            }
            CommandKind::Syslog(_) => {
                let answer = response(transaction, "200 OK");
                self.write_and_take(&answer, &command).await?;
                self.session.answered();
                self.answer_held().await
            }
        }
    }

    async fn answer_held(&mut self) -> Result<(), End> {
        let Some(Message { transaction, text }) = self.held.take() else {
            return Ok(());
        };
        let answer = response(transaction, "200 OK");
        let kind = CommandKind::Syslog(text);
        self.write_and_take(&answer, &Command { transaction, kind })
            .await?;
        self.session.answered();
        Ok(())
    }

    /// An answer by which nothing is taken.
    async fn refuse(&mut self, command: &Command, answer: &[u8]) -> Result<(), End> {
        match command.kind {
            CommandKind::Open => self.session.opened(false),
            CommandKind::Syslog(_) | CommandKind::Close => self.session.answered(),
        }
        self.write(answer).await
    }

    async fn server_close(&mut self) -> Result<Infallible, End> {
        self.write(SERVER_CLOSE).await?;
        Err(End::HangUp)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let connection = &mut self.conversation.connection;
        let written = async {
            connection.write_all(bytes).await?;
            connection.flush().await
        };
        written.await.map_err(|_| End::Gone)
    }

    /// Writes an answer, and takes the message in the same instant.
    async fn write_and_take(&mut self, bytes: &[u8], command: &Command) -> Result<(), End> {
        let Conversation {
            shared,
            number,
            connection,
            taken,
            ..
        } = &mut *self.conversation;
        let mut rest = bytes;
        let written = poll_fn(|cx| {
            let _nobody_looks = shared.taking();
            ready!(poll_write_all(connection, cx, &mut rest))?;
            if let CommandKind::Syslog(text) = &command.kind {
                shared.take(text, Some(*number), Some(command.transaction));
                **taken += 1;
            }
            Poll::Ready(Ok(()))
        });
        written.await.map_err(|_: io::Error| End::Gone)
    }
}

fn poll_write_all(
    to: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
    rest: &mut &[u8],
) -> Poll<io::Result<()>> {
    while !rest.is_empty() {
        let written = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
        *rest = rest.get(written..).unwrap_or_default();
    }
    Pin::new(to).poll_flush(cx)
}

fn response(transaction: u32, told: &str) -> Vec<u8> {
    format!("{transaction} rsp {} {told}\n", told.len()).into_bytes()
}
