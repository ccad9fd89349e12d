//! What can go wrong with the simulated syslog receiver.

use serde::{Deserialize, Serialize};

/// A fault of the syslog receiver.
///
/// Those of RELP alone close the connection elsewhere, as [`SyslogFault::HangUp`] does. Over UDP
/// the datagram is lost, except for `late_answer` and `answer_lost`, where it is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum SyslogFault {
    /// The connection is reset; nothing is taken.
    Reset,
    /// The connection is closed; nothing is taken.
    HangUp,
    /// The message is taken and the connection closed, over RELP without an answer.
    AnswerLost,
    /// The connection stays open and nothing more is read; nothing is taken.
    BlackHole,
    /// The connection is read on, nothing more is taken and nothing answered.
    Mute,
    /// It is taken and answered after a pause, in which nothing is read.
    LateAnswer {
        /// Milliseconds of the pause.
        pause_ms: u64,
    },
    /// RELP: taken, and the connection is closed in the middle of the answer.
    HalfAnswer,
    /// RELP: taken, and answered behind the next message.
    SwappedAnswer,
    /// RELP: answered with this code; nothing is taken.
    Code {
        /// The code.
        code: u16,
    },
    /// RELP: answered with a transaction number that is not the command's; nothing is taken.
    WrongTransaction,
    /// RELP: these characters instead of the answer, with `{txnr}` for the transaction number;
    /// nothing is taken.
    OtherAnswer {
        /// The characters.
        #[serde(default = "malformed")]
        answer: String,
    },
    /// RELP: `serverclose` instead of the answer, and the connection is closed; nothing is taken.
    ServerClose,
    /// RELP: these offers in the answer to `open`.
    OtherOffers {
        /// The offers, a line each.
        #[serde(default = "without_syslog")]
        offers: String,
    },
}

/// When a fault shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyslogFaultOn {
    /// At a message.
    #[default]
    Message,
    /// At the message with this number on its connection, from 0.
    MessageNumber(usize),
    /// When a connection is made, before TLS and before anything is read.
    Connection,
    /// At RELP's `open`.
    Open,
    /// At RELP's `close`.
    Close,
}

/// What a fault could show at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    Message { number: usize },
    Connection,
    Open,
    Close,
}

impl SyslogFaultOn {
    pub(super) fn fits(self, occasion: Occasion) -> bool {
        match (self, occasion) {
            (Self::Message, Occasion::Message { .. })
            | (Self::Connection, Occasion::Connection)
            | (Self::Open, Occasion::Open)
            | (Self::Close, Occasion::Close) => true,
            (Self::MessageNumber(wanted), Occasion::Message { number }) => wanted == number,
            _ => false,
        }
    }
}

fn malformed() -> String {
    "{txnr} rsp x\n".to_owned()
}

fn without_syslog() -> String {
    "relp_version=0\ncommands=eventlog".to_owned()
}
