//! A syslog receiver, on loopback: UDP, TCP, TLS, RELP and RELP over TLS.
//!
//! It reads to the letter: what breaks a frame, a header or a rule of RELP is remembered as a
//! violation, so that a test can see that there were none.

mod conversation;
mod datagram;
mod ending;
mod fault;
mod frame;
mod header;
mod message;
mod relp;
mod rules;
mod structured_data;
mod token;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

pub use self::ending::{SyslogEnd, SyslogEnding, SyslogViolation};
pub use self::fault::{SyslogFault, SyslogFaultOn};
pub use self::header::{SyslogFormat, SyslogHeader};
pub use self::message::SyslogMessage;
pub use self::rules::{SyslogFraming, SyslogRules, SyslogTransport};
pub use self::structured_data::SyslogElement;

use self::datagram::UdpPort;
use self::fault::Occasion;
use super::fault::{ArmedFault, FaultPlan};
use super::journal::Journal;
use super::listener::LoopbackListener;
use crate::event::EventId;

/// How many violations and endings are remembered.
const KEPT_COMPLAINTS: usize = 10_000;

/// The simulated syslog receiver; it ends when dropped.
#[derive(Debug)]
pub struct SyslogReceiver {
    shared: Arc<Shared>,
    port: Port,
}

#[derive(Debug)]
enum Port {
    Connections(LoopbackListener),
    Datagrams(UdpPort),
}

#[derive(Debug)]
struct Shared {
    rules: SyslogRules,
    faults: FaultPlan<SyslogFault, SyslogFaultOn>,
    messages: Journal<SyslogMessage>,
    violations: Journal<SyslogViolation>,
    endings: Journal<SyslogEnding>,
    connections: AtomicUsize,
    /// Held while an answer goes out and its message is taken: who looks sees both or none.
    taking: Mutex<()>,
    /// Changes when the connections that are open should be closed.
    leave: watch::Sender<()>,
}

impl SyslogReceiver {
    /// Starts a receiver.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(rules: SyslogRules) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            faults: FaultPlan::new(),
            messages: Journal::new(rules.kept_messages),
            violations: Journal::new(KEPT_COMPLAINTS),
            endings: Journal::new(KEPT_COMPLAINTS),
            connections: AtomicUsize::new(0),
            taking: Mutex::default(),
            leave: watch::Sender::new(()),
            rules,
        });
        let port = match shared.rules.transport {
            SyslogTransport::Udp => Port::Datagrams(UdpPort::start(&shared)?),
            _ => Port::Connections(conversation::listen(&shared)?),
        };
        Ok(Self { shared, port })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match &self.port {
            Port::Connections(listener) => listener.address(),
            Port::Datagrams(port) => port.address(),
        }
    }

    /// The messages that were taken, in order, the last of them if there were too many to keep.
    ///
    /// Over RELP a message is taken with the last byte of its answer.
    #[must_use]
    pub fn messages(&self) -> Vec<SyslogMessage> {
        let _none_is_under_way = self.shared.taking();
        self.shared.messages.entries()
    }

    /// Their ids; messages without one are left out.
    #[must_use]
    pub fn event_ids(&self) -> Vec<EventId> {
        let _none_is_under_way = self.shared.taking();
        let ids = self.shared.messages.map(SyslogMessage::event_id);
        ids.into_iter().flatten().collect()
    }

    /// How many messages were ever taken.
    #[must_use]
    pub fn messages_taken(&self) -> usize {
        let _none_is_under_way = self.shared.taking();
        self.shared.messages.total()
    }

    /// Waits until so many messages were ever taken.
    pub async fn wait_for_messages(&self, count: usize) {
        self.shared.messages.wait_for(count).await;
    }

    /// What was not as it must be.
    #[must_use]
    pub fn violations(&self) -> Vec<SyslogViolation> {
        self.shared.violations.entries()
    }

    /// How many connections there ever were.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// How connections ended, in the order in which they did.
    #[must_use]
    pub fn endings(&self) -> Vec<SyslogEnding> {
        self.shared.endings.entries()
    }

    /// Waits until so many connections have ended.
    pub async fn wait_for_endings(&self, count: usize) {
        self.shared.endings.wait_for(count).await;
    }

    /// Arms a fault behind those that are armed.
    pub fn set_fault(&self, fault: ArmedFault<SyslogFault, SyslogFaultOn>) {
        self.shared.faults.arm(fault);
    }

    /// Disarms all faults.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// The faults that are armed.
    #[must_use]
    pub fn faults(&self) -> Vec<ArmedFault<SyslogFault, SyslogFaultOn>> {
        self.shared.faults.armed()
    }

    /// How many faults have shown.
    #[must_use]
    pub fn faults_shown(&self) -> u64 {
        self.shared.faults.shown()
    }

    /// Closes the connections that are open in good order, RELP with `serverclose`; new ones are
    /// accepted as before.
    pub fn close_connections(&self) {
        self.shared.leave.send_replace(());
    }

    /// From now on connections are refused; those that are open are cut off.
    ///
    /// Over UDP the sender hears of it by ICMP.
    pub async fn refuse_connections(&self) -> io::Result<()> {
        match &self.port {
            Port::Connections(listener) => listener.refuse_connections().await,
            Port::Datagrams(port) => port.refuse().await,
        }
    }

    /// Connections are accepted again, on the same port.
    pub async fn accept_connections(&self) -> io::Result<()> {
        match &self.port {
            Port::Connections(listener) => listener.accept_connections().await,
            Port::Datagrams(port) => port.accept(&self.shared).await,
        }
    }
}

impl Shared {
    fn taking(&self) -> std::sync::MutexGuard<'_, ()> {
        self.taking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, occasion: Occasion) -> Option<SyslogFault> {
        self.faults.take(|on| on.fits(occasion))
    }

    /// Takes a message, and complains of its header.
    fn take(&self, bytes: &[u8], connection: Option<usize>, transaction: Option<u32>) {
        let (message, wrong) = SyslogMessage::read(bytes);
        if let Some(what) = wrong {
            self.complain(connection, what);
        }
        self.messages.push(SyslogMessage {
            connection,
            transaction,
            ..message
        });
    }

    fn complain(&self, connection: Option<usize>, what: String) {
        self.violations.push(SyslogViolation { connection, what });
    }
}

#[cfg(test)]
mod tests;
