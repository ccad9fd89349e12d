//! What a client of RELP may send, and when.

use bytes::Bytes;

use super::frame::Frame;

/// The last transaction number; the next is 1.
const LAST_TRANSACTION: u32 = 999_999_999;

const MAX_NAME_BYTES: usize = 32;
const MAX_VALUE_BYTES: usize = 255;

/// The state of a connection, as far as the client knows it or could know.
#[derive(Debug)]
pub(super) struct Session {
    state: State,
    /// The transaction number of the next command.
    next: u32,
    window: usize,
    /// Commands without an answer.
    open: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// The answer to `open` is due.
    Opening,
    Established,
    /// The answer to `open` was a refusal, or one without which the client must not go on.
    Refused,
    /// After `close`.
    Closing,
}

/// A command that keeps to the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) transaction: u32,
    pub(super) kind: CommandKind,
}

/// What a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CommandKind {
    Open,
    Syslog(Bytes),
    Close,
}

/// A command that does not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SessionError {
    #[error("transaction {found} where {expected} is next")]
    Transaction { found: u32, expected: u32 },
    #[error("more than {window} commands without an answer")]
    Window { window: usize },
    #[error("{command:?} is not a command of a client")]
    Unknown { command: String },
    #[error("{command:?} before open")]
    BeforeOpen { command: String },
    #[error("{command:?} before open was answered")]
    BeforeAnswer { command: String },
    #[error("{command:?} on a connection that was not established")]
    NotEstablished { command: String },
    #[error("{command:?} after close")]
    AfterClose { command: String },
    #[error("a second open")]
    SecondOpen,
    #[error("syslog without a message")]
    NoMessage,
    #[error("close with data")]
    CloseWithData,
    #[error("offers that cannot be read: {problem}")]
    Offers { problem: String },
}

impl Session {
    pub(super) fn new(window: usize) -> Self {
        Self {
            state: State::New,
            next: 1,
            window,
            open: 0,
        }
    }

    /// Judges a frame.
    pub(super) fn receive(&mut self, frame: Frame) -> Result<Command, SessionError> {
        let Frame {
            transaction,
            command,
            data,
        } = frame;
        if transaction != self.next {
            return Err(SessionError::Transaction {
                found: transaction,
                expected: self.next,
            });
        }
        if !["open", "syslog", "close"].contains(&command.as_str()) {
            return Err(SessionError::Unknown { command });
        }
        let (kind, state) = match (self.state, command.as_str()) {
            (State::New, "open") => {
                check_offers(&data)?;
                (CommandKind::Open, State::Opening)
            }
            (State::New, _) => return Err(SessionError::BeforeOpen { command }),
            (State::Opening, _) => return Err(SessionError::BeforeAnswer { command }),
            (State::Closing, _) => return Err(SessionError::AfterClose { command }),
            (_, "open") => return Err(SessionError::SecondOpen),
            (_, "close") if !data.is_empty() => return Err(SessionError::CloseWithData),
            (_, "close") => (CommandKind::Close, State::Closing),
            (State::Refused, _) => return Err(SessionError::NotEstablished { command }),
            (State::Established, _) if data.is_empty() => return Err(SessionError::NoMessage),
            (State::Established, _) => (CommandKind::Syslog(data), State::Established),
        };
        if self.open == self.window {
            return Err(SessionError::Window {
                window: self.window,
            });
        }
        self.open += 1;
        self.state = state;
        self.next = if transaction == LAST_TRANSACTION {
            1
        } else {
            transaction + 1
        };
        Ok(Command { transaction, kind })
    }

    /// Whether the answer to `open` is due, so that nothing more may come.
    pub(super) fn is_opening(&self) -> bool {
        self.state == State::Opening
    }

    /// A command is answered.
    pub(super) fn answered(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// `open` is answered, in a way that establishes the session or not.
    pub(super) fn opened(&mut self, is_established: bool) {
        self.answered();
        self.state = if is_established {
            State::Established
        } else {
            State::Refused
        };
    }
}

/// Whether a client may send messages that is answered with these offers.
pub(super) fn establish(offers: &str) -> bool {
    let values = |name: &str| {
        let mut offers = offers.lines().filter_map(|offer| offer.split_once('='));
        offers.find_map(|(key, values)| (key == name).then_some(values))
    };
    let commands = values("commands").unwrap_or_default();
    values("relp_version").is_some() && commands.split(',').any(|command| command == "syslog")
}

fn check_offers(data: &[u8]) -> Result<(), SessionError> {
    let problem = |problem: String| SessionError::Offers { problem };
    let text = std::str::from_utf8(data).map_err(|error| problem(error.to_string()))?;
    let text = text.strip_prefix('\n').unwrap_or(text);
    let mut names = Vec::new();
    for offer in text.split('\n') {
        let (name, values) = offer.split_once('=').unwrap_or((offer, ""));
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(problem(format!("{offer:?} has no name of 1 to 32 bytes")));
        }
        if values.split(',').any(|value| value.len() > MAX_VALUE_BYTES) {
            return Err(problem(format!("{name} has a value of over 255 bytes")));
        }
        if names.contains(&name) {
            return Err(problem(format!("{name} stands there twice")));
        }
        if name == "relp_version" && !["0", "1"].contains(&values) {
            return Err(problem(format!("there is no relp_version {values:?}")));
        }
        names.push(name);
    }
    if !names.contains(&"relp_version") {
        return Err(problem("there is no relp_version".to_owned()));
    }
    if !establish(text) {
        return Err(problem("syslog is not among the commands".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERS: &str =
        "relp_version=0\nrelp_software=test,1.0,https://example.com\ncommands=syslog";

    fn frame(transaction: u32, command: &str, data: &str) -> Frame {
        Frame {
            transaction,
            command: command.to_owned(),
            data: data.to_owned().into(),
        }
    }

    fn established() -> Session {
        let mut session = Session::new(2);
        session.receive(frame(1, "open", OFFERS)).unwrap();
        session.opened(true);
        session
    }

    fn complaint(session: &mut Session, transaction: u32, command: &str, data: &str) -> String {
        let wrong = session.receive(frame(transaction, command, data));
        wrong.unwrap_err().to_string()
    }

    #[test]
    fn open_then_messages_then_close() {
        let mut session = established();
        let message = session.receive(frame(2, "syslog", "<1>")).unwrap();
        assert_eq!(message.transaction, 2);
        assert_eq!(message.kind, CommandKind::Syslog("<1>".into()));
        let close = session.receive(frame(3, "close", "")).unwrap();
        assert_eq!(close.kind, CommandKind::Close);
        let told = complaint(&mut session, 4, "syslog", "<1>");
        assert_eq!(told, "\"syslog\" after close");
    }

    #[test]
    fn the_window_is_counted() {
        let mut session = established();
        session.receive(frame(2, "syslog", "<1>")).unwrap();
        session.receive(frame(3, "syslog", "<1>")).unwrap();
        let told = complaint(&mut session, 4, "syslog", "<1>");
        assert_eq!(told, "more than 2 commands without an answer");
        session.answered();
        session.receive(frame(4, "syslog", "<1>")).unwrap();
    }

    #[test]
    fn numbers_go_on_by_one_and_begin_again_after_the_last() {
        let mut session = established();
        let told = complaint(&mut session, 3, "syslog", "<1>");
        assert_eq!(told, "transaction 3 where 2 is next");
        session.next = LAST_TRANSACTION;
        let last = frame(LAST_TRANSACTION, "syslog", "<1>");
        session.receive(last).unwrap();
        session.receive(frame(1, "syslog", "<1>")).unwrap();
    }

    #[test]
    fn commands_have_their_time() {
        let opening = || {
            let mut session = Session::new(2);
            session.receive(frame(1, "open", OFFERS)).unwrap();
            session
        };
        let refused = || {
            let mut session = opening();
            session.opened(false);
            session
        };
        for (mut session, number, command, data, told) in [
            (
                Session::new(2),
                1,
                "syslog",
                "<1>",
                "\"syslog\" before open",
            ),
            (Session::new(2), 1, "close", "", "\"close\" before open"),
            (
                opening(),
                2,
                "syslog",
                "<1>",
                "\"syslog\" before open was answered",
            ),
            (
                refused(),
                2,
                "syslog",
                "<1>",
                "\"syslog\" on a connection that was not established",
            ),
            (established(), 2, "open", OFFERS, "a second open"),
            (established(), 2, "syslog", "", "syslog without a message"),
            (established(), 2, "close", "x", "close with data"),
            (
                established(),
                2,
                "eventlog",
                "x",
                "\"eventlog\" is not a command of a client",
            ),
        ] {
            assert_eq!(complaint(&mut session, number, command, data), told);
        }
        refused().receive(frame(2, "close", "")).unwrap();
    }

    #[test]
    fn offers_are_read() {
        let long = format!("{OFFERS}\nx={}", "v".repeat(256));
        for (offers, told) in [
            ("", "\"\" has no name"),
            ("commands=syslog", "there is no relp_version"),
            (
                "relp_version=2\ncommands=syslog",
                "there is no relp_version \"2\"",
            ),
            ("relp_version=0", "syslog is not among the commands"),
            ("relp_version=0\ncommands=eventlog", "syslog is not among"),
            ("relp_version=0\n\ncommands=syslog", "\"\" has no name"),
            (
                "relp_version=0\nrelp_version=0",
                "relp_version stands there twice",
            ),
            (long.as_str(), "x has a value of over 255 bytes"),
        ] {
            let mut session = Session::new(2);
            let complaint = complaint(&mut session, 1, "open", offers);
            assert!(complaint.contains(told), "{complaint}");
        }
        for offers in [
            OFFERS,
            "\nrelp_version=1\ncommands=eventlog,syslog",
            "commands=syslog\nrelp_version=0\nunknown",
        ] {
            let mut session = Session::new(2);
            session.receive(frame(1, "open", offers)).unwrap();
        }
    }
}
