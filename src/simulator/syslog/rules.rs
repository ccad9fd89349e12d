//! How the simulated syslog receiver is set up.

use crate::simulator::tls::ServerTls;

/// The rules of a syslog receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogRules {
    /// The port on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// How messages come.
    pub transport: SyslogTransport,
    /// The longest message, without its frame.
    pub max_message_bytes: usize,
    /// How many of the last messages are kept for the test to look at.
    pub kept_messages: usize,
}

/// How messages come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogTransport {
    /// One in each datagram.
    Udp,
    /// In a stream.
    Tcp {
        /// Where a message ends.
        framing: SyslogFraming,
        /// Over TLS, as this server.
        tls: Option<ServerTls>,
    },
    /// Each acknowledged.
    Relp {
        /// How many commands may be without an answer.
        window: usize,
        /// Over TLS, as this server.
        tls: Option<ServerTls>,
    },
}

/// Where a message of a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogFraming {
    /// Its length stands before it.
    OctetCounting,
    /// At the next line feed.
    LineFeed,
}

impl SyslogTransport {
    /// The window that senders keep to where nothing else is agreed.
    pub const RELP_WINDOW: usize = 128;

    /// RELP in the clear, with the usual window.
    #[must_use]
    pub fn relp() -> Self {
        Self::Relp {
            window: Self::RELP_WINDOW,
            tls: None,
        }
    }

    /// Over TCP in the clear.
    #[must_use]
    pub fn tcp(framing: SyslogFraming) -> Self {
        Self::Tcp { framing, tls: None }
    }

    /// Whom it lets in over TLS.
    pub(super) fn tls(&self) -> Option<&ServerTls> {
        match self {
            Self::Udp => None,
            Self::Tcp { tls, .. } | Self::Relp { tls, .. } => tls.as_ref(),
        }
    }
}

impl SyslogRules {
    /// The usual limits.
    #[must_use]
    pub fn over(transport: SyslogTransport) -> Self {
        Self {
            port: 0,
            transport,
            max_message_bytes: 128 * 1024,
            kept_messages: 1_000_000,
        }
    }
}
