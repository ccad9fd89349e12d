//! Syslog messages, over UDP, TCP, TLS and RELP.
//!
//! Each address has a link of its own: [`datagram`] for UDP, [`link`] for what needs a connection.
//! What is said on a connection is a [`session`], plain values in and out: [`stream`], where only
//! the peer's TCP acknowledges, or [`relp`], where the peer's application does. All of it is moved
//! by hand inside `landing`, so a dropped call loses nothing.

mod alarm;
#[cfg(any(test, fuzzing))]
pub(super) mod bad_input;
mod connect;
mod connection;
mod conversation;
mod datagram;
mod failure;
mod flight;
mod format;
mod link;
mod peer;
mod relp;
mod session;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::join_all;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use self::connect::{Connector, Tls};
use self::connection::kernel_tells_acknowledged_bytes;
use self::datagram::Datagrams;
use self::flight::Flight;
use self::format::{Formatter, frame, next_sequence_id};
use self::link::Link;
use self::peer::{Landed, Timeouts};
use self::relp::Relp;
use self::session::Session;
use self::stream::Stream;
use super::{BuildOutputError, FlightId, Landing, Outgoing, Problem, Promise};
use crate::config::{SyslogConfig, SyslogFraming, SyslogTransport, TlsConfig};
use crate::tls;

/// The most bytes that a frame adds: the length of a message and a space.
const MAX_FRAME_BYTES: usize = 21;

/// The code of an event whose message is larger than it may be.
const TOO_LARGE: &str = "syslog-too-large";

/// A receiver at one or several addresses.
#[derive(Debug)]
pub(super) struct Syslog {
    transport: SyslogTransport,
    formatter: Formatter,
    sequence_id: u32,
    /// How messages are told apart in a stream; none where the transport does it.
    framing: Option<SyslogFraming>,
    peers: Vec<Peer>,
    /// Where the authorities and the certificate lie; none without TLS.
    tls: Option<TlsConfig>,
    landed: VecDeque<Landing>,
}

#[derive(Debug)]
enum Peer {
    Datagrams(Datagrams),
    Link(Link),
}

impl Syslog {
    /// Reads the files of TLS; connects to nothing.
    pub(super) fn new(config: &SyslogConfig, host: &str) -> Result<Self, BuildOutputError> {
        let transport = config.transport;
        let framing = match transport {
            SyslogTransport::Tcp | SyslogTransport::Tls => Some(config.framing),
            SyslogTransport::Udp | SyslogTransport::Relp | SyslogTransport::RelpTls => None,
        };
        if framing.is_some() && !kernel_tells_acknowledged_bytes() {
            return Err(BuildOutputError::OldKernel);
        }
        let tls = match transport {
            SyslogTransport::Tls | SyslogTransport::RelpTls => {
                Some(tls::client_config(&config.tls)?)
            }
            SyslogTransport::Udp | SyslogTransport::Tcp | SyslogTransport::Relp => None,
        };
        let peers = config
            .addresses
            .iter()
            .map(|address| Peer::new(config, address, tls.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            transport,
            formatter: Formatter::new(config, host, std::process::id()),
            sequence_id: 0,
            framing,
            peers,
            tls: tls.is_some().then(|| config.tls.clone()),
            landed: VecDeque::new(),
        })
    }

    /// Starts sending these events, up to the first that is too large: that one is refused once
    /// those before it are delivered. Gives the bytes of their messages.
    pub(super) fn launch(&mut self, peer: usize, id: FlightId, events: &[Outgoing]) -> usize {
        let flight = self.encode(id, events);
        let bytes = flight.bytes().len();
        if flight.len() == 0 {
            let (flight, verdict) = flight.arrived();
            self.landed.push_back(Landing::Sent {
                flight,
                peer,
                verdict,
                promise: Promise::None,
            });
        } else if let Some(peer) = self.peers.get_mut(peer) {
            peer.launch(flight);
        }
        bytes
    }

    /// Starts to ask whether a peer would take messages; over UDP, whether its name resolves.
    /// Certificates are read again: what is in the way may be one of them.
    pub(super) fn probe(&mut self, peer: usize) {
        let Some(link) = self.peers.get_mut(peer) else {
            return;
        };
        match self.tls.as_ref().map(tls::client_config).transpose() {
            Ok(None) => link.probe(),
            Ok(Some(config)) => {
                link.set_tls(config);
                link.probe();
            }
            Err(error) => self.landed.push_back(Landing::Probed {
                peer,
                result: Err(Problem {
                    reason: error.to_string(),
                    mend: Some("mend the file; it is read again by itself".to_owned()),
                    after: None,
                }),
            }),
        }
    }

    /// What a probe does, in a word.
    pub(super) fn step(&self) -> &'static str {
        match self.transport {
            SyslogTransport::Udp => "name",
            SyslogTransport::Tcp | SyslogTransport::Tls => "session",
            SyslogTransport::Relp | SyslogTransport::RelpTls => "relp",
        }
    }

    /// Goes on with what is under way until something of it has landed; never done if nothing is.
    pub(super) async fn landing(&mut self) -> Landing {
        poll_fn(|cx| self.poll_landing(cx)).await
    }

    /// Takes leave of the peers.
    pub(super) async fn close(&mut self) {
        join_all(self.peers.iter_mut().map(Peer::close)).await;
    }

    /// The most bytes that an event takes beyond its JSON.
    pub(super) fn framing_bytes(&self) -> usize {
        self.formatter.max_header_bytes() + MAX_FRAME_BYTES
    }

    fn poll_landing(&mut self, cx: &mut Context<'_>) -> Poll<Landing> {
        if let Some(landing) = self.landed.pop_front() {
            return Poll::Ready(landing);
        }
        for (peer, link) in self.peers.iter_mut().enumerate() {
            // One after the other, so that a busy peer does not starve those behind it.
            if let Poll::Ready(landed) = link.poll_landing(cx) {
                self.landed.push_back(match landed {
                    Landed::Sent(flight, verdict) => Landing::Sent {
                        flight,
                        peer,
                        verdict,
                        promise: Promise::None,
                    },
                    Landed::Probed(result) => Landing::Probed { peer, result },
                });
            }
        }
        self.landed.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn encode(&mut self, id: FlightId, events: &[Outgoing]) -> Flight {
        let mut flight = Flight::new(id, events.len());
        for out in events {
            self.sequence_id = next_sequence_id(self.sequence_id);
            let message = match self.formatter.message(out, self.sequence_id) {
                Ok(message) => message,
                Err(too_large) => {
                    flight.refuse(TOO_LARGE, too_large.to_string());
                    break;
                }
            };
            flight.push(out.event.id, |text| match self.framing {
                Some(framing) => frame(framing, &message, text),
                None => text.extend_from_slice(message.as_bytes()),
            });
        }
        flight
    }
}

impl Peer {
    fn new(
        config: &SyslogConfig,
        address: &str,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, BuildOutputError> {
        let timeouts = Timeouts::new(config);
        let session: Box<dyn Session> = match config.transport {
            SyslogTransport::Udp => {
                return Ok(Self::Datagrams(Datagrams::new(address.into(), timeouts)));
            }
            SyslogTransport::Tcp | SyslogTransport::Tls => Box::new(Stream::default()),
            SyslogTransport::Relp | SyslogTransport::RelpTls => Box::new(Relp::new(config.window)),
        };
        let tls = match tls {
            None => None,
            Some(client) => Some(Tls {
                config: Arc::clone(client),
                name: server_name(config.server_name.as_deref(), address)?,
            }),
        };
        let connector = Connector::new(address.into(), tls, timeouts.connect);
        Ok(Self::Link(Link::new(connector, session, timeouts)))
    }

    fn launch(&mut self, flight: Flight) {
        match self {
            Self::Datagrams(peer) => peer.launch(flight),
            Self::Link(peer) => peer.launch(flight),
        }
    }

    fn set_tls(&mut self, config: Arc<ClientConfig>) {
        match self {
            Self::Datagrams(_) => {}
            Self::Link(peer) => peer.set_tls(config),
        }
    }

    fn probe(&mut self) {
        match self {
            Self::Datagrams(peer) => peer.probe(),
            Self::Link(peer) => peer.probe(),
        }
    }

    fn poll_landing(&mut self, cx: &mut Context<'_>) -> Poll<Landed> {
        match self {
            Self::Datagrams(peer) => peer.poll_landing(cx),
            Self::Link(peer) => peer.poll_landing(cx),
        }
    }

    async fn close(&mut self) {
        match self {
            Self::Datagrams(peer) => peer.close(),
            Self::Link(peer) => peer.close().await,
        }
    }
}

/// Whose certificate a receiver must have: the configured name, else the host of its address.
fn server_name(
    configured: Option<&str>,
    address: &str,
) -> Result<ServerName<'static>, BuildOutputError> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let name = configured.unwrap_or(host.trim_matches(['[', ']']));
    ServerName::try_from(name.to_owned()).map_err(|_| BuildOutputError::ServerName {
        name: name.to_owned(),
    })
}
