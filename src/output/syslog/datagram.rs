//! Syslog over UDP: each message a datagram, and nobody who says that it arrived.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::Instant;

use super::TOO_LARGE;
use super::alarm::Alarm;
use super::connect::Opening;
use super::failure::Failure;
use super::flight::Flight;
use super::peer::{Landed, Probe, Timeouts};
use crate::output::{FlightId, Verdict};

/// A receiver that is spoken to over UDP.
///
/// A flight counts as delivered when the kernel has sent its datagrams; a machine without a
/// receiver may answer so with an error, and then none of the flight counts.
#[derive(Debug)]
pub(super) struct Datagrams {
    address: String,
    timeouts: Timeouts,
    socket: Socket,
    flights: VecDeque<Flight>,
    /// So many messages of the first flight are sent.
    sent: usize,
    /// When the socket was asked for, or something was last sent.
    moved_at: Option<Instant>,
    landed: VecDeque<(FlightId, Verdict)>,
    probe: Probe,
    alarm: Alarm,
}

#[derive(Debug)]
enum Socket {
    Closed,
    Opening(Opening<UdpSocket>),
    Open(UdpSocket),
}

impl Datagrams {
    pub(super) fn new(address: String, timeouts: Timeouts) -> Self {
        Self {
            address,
            timeouts,
            socket: Socket::Closed,
            flights: VecDeque::new(),
            sent: 0,
            moved_at: None,
            landed: VecDeque::new(),
            probe: Probe::default(),
            alarm: Alarm::default(),
        }
    }

    pub(super) fn launch(&mut self, flight: Flight) {
        self.flights.push_back(flight);
    }

    /// The name is looked up anew.
    pub(super) fn probe(&mut self) {
        self.probe.ask();
        if self.flights.is_empty() {
            self.close();
        }
    }

    /// Goes on with everything, until something has landed.
    pub(super) fn poll_landing(&mut self, cx: &mut Context<'_>) -> Poll<Landed> {
        loop {
            if let Some((flight, verdict)) = self.landed.pop_front() {
                return Poll::Ready(Landed::Sent(flight, verdict));
            }
            if let Some(answer) = self.probe.take_answer() {
                return Poll::Ready(Landed::Probed(answer));
            }
            if self.flights.is_empty() && !self.probe.is_asked() {
                self.moved_at = None;
                return Poll::Pending;
            }
            let now = Instant::now();
            let moved_at = *self.moved_at.get_or_insert(now);
            match self.poll_socket(cx) {
                Poll::Ready(Ok(())) => self.moved_at = Some(now),
                Poll::Ready(Err(failure)) => self.failed(failure),
                Poll::Pending => {
                    let timeout = self.timeout();
                    ready!(self.alarm.poll(cx, moved_at + timeout));
                    let failure = Failure::passing(format!("nothing has moved for {timeout:?}"));
                    self.failed(failure);
                }
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.socket = Socket::Closed;
        self.moved_at = None;
    }

    fn poll_socket(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match &mut self.socket {
            Socket::Closed => {
                let opening = Opening::new(open(self.address.clone()));
                self.socket = Socket::Opening(opening);
            }
            Socket::Opening(opening) => {
                let socket = ready!(opening.poll(cx))?;
                self.socket = Socket::Open(socket);
            }
            Socket::Open(_) if self.probe.is_asked() => self.probe.answer(Ok(())),
            Socket::Open(socket) => {
                if let Some(flight) = self.flights.front_mut() {
                    let sent = ready!(poll_send(socket, cx, flight, &mut self.sent));
                    sent.map_err(|error| Failure::of_io(&error))?;
                }
                self.sent = 0;
                let flight = self.flights.pop_front();
                self.landed.extend(flight.map(Flight::arrived));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn failed(&mut self, failure: Failure) {
        let doing = match self.socket {
            Socket::Open(_) => "writing to",
            Socket::Closed | Socket::Opening(_) => "connecting to",
        };
        let failure = failure.while_doing(doing, &self.address);
        self.close();
        self.sent = 0;
        for flight in self.flights.drain(..) {
            self.landed.push_back((flight.id, failure.verdict(0)));
        }
        if self.probe.is_asked() {
            self.probe.answer(Err(failure.problem()));
        }
    }

    fn timeout(&self) -> Duration {
        match self.socket {
            Socket::Open(_) => self.timeouts.write,
            Socket::Closed | Socket::Opening(_) => self.timeouts.connect,
        }
    }
}

/// Sends the rest of a flight. On one machine the kernel tells a closed port at once; then none of
/// the datagrams counts.
fn poll_send(
    socket: &UdpSocket,
    cx: &mut Context<'_>,
    flight: &mut Flight,
    sent: &mut usize,
) -> Poll<io::Result<()>> {
    while let Some((message, _)) = flight.message(*sent) {
        match ready!(socket.poll_send(cx, message)) {
            Ok(_) => *sent += 1,
            Err(error) if is_over_any_datagram(&error) => {
                let reason = format!("no datagram can hold the message: {error}");
                flight.cut(*sent, TOO_LARGE, reason);
            }
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(socket.take_error()?.map_or(Ok(()), Err))
}

fn is_over_any_datagram(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::MSGSIZE)
}

async fn open(address: String) -> Result<UdpSocket, Failure> {
    connect(&address)
        .await
        .map_err(|error| Failure::of_io(&error))
}

async fn connect(address: &str) -> io::Result<UdpSocket> {
    let peer = lookup_host(address)
        .await?
        .next()
        .ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the name has no address"))?;
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(peer).await?;
    Ok(socket)
}
