//! How connections end, and what was wrong with them.

use serde::Serialize;

/// Something that a sender must not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyslogViolation {
    /// The number of the connection, from 0; over UDP there is none.
    pub connection: Option<usize>,
    /// What it was.
    pub what: String,
}

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SyslogEnding {
    /// The number of the connection, from 0.
    pub connection: usize,
    /// How many messages it brought that were taken.
    pub taken: usize,
    /// How it ended.
    pub end: SyslogEnd,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyslogEnd {
    /// The sender closed it in good order: over TLS with `close_notify`, over RELP with `close`.
    Orderly,
    /// The sender ended it between two messages without that.
    Abrupt,
    /// The sender ended it in the middle of a message.
    MidMessage,
    /// The receiver ended it, since the sender broke the rules.
    Violation,
    /// The receiver ended it: by a fault, an outage or its own end.
    Receiver,
}
