//! Syslog messages over UDP or TCP.

mod format;
mod transport;

use std::collections::VecDeque;

use crate::config::SyslogConfig;

use self::format::{Formatter, next_sequence_id};
use self::transport::{SendError, Transport};
use super::{FlightId, Landing, Outgoing, Problem, Verdict};

/// One connection, kept between calls.
#[derive(Debug)]
pub(super) struct Syslog {
    formatter: Formatter,
    sequence_id: u32,
    transport: Transport,
    launched: VecDeque<(usize, FlightId, Vec<Outgoing>)>,
    probes: VecDeque<usize>,
}

impl Syslog {
    /// Opens nothing yet.
    #[must_use]
    pub(super) fn new(config: &SyslogConfig, host: &str) -> Self {
        Self {
            formatter: Formatter::new(config, host, std::process::id()),
            sequence_id: 0,
            transport: Transport::new(config),
            launched: VecDeque::new(),
            probes: VecDeque::new(),
        }
    }

    /// Starts sending.
    pub(super) fn launch(&mut self, peer: usize, flight: FlightId, events: &[Outgoing]) {
        self.launched.push_back((peer, flight, events.to_vec()));
    }

    /// Starts a probe.
    pub(super) fn probe(&mut self, peer: usize) {
        self.probes.push_back(peer);
    }

    /// Drives what is under way.
    pub(super) async fn landing(&mut self) -> Landing {
        if let Some(&peer) = self.probes.front() {
            let result = self.opens().await;
            self.probes.pop_front();
            return Landing::Probed { peer, result };
        }
        let Some((peer, flight, events)) = self.launched.front().cloned() else {
            return std::future::pending().await;
        };
        let verdict = self.send(&events).await;
        self.launched.pop_front();
        Landing::Sent {
            flight,
            peer,
            verdict,
            receipt: None,
        }
    }

    /// Sends all events before the first one that is too large.
    pub(super) async fn send(&mut self, events: &[Outgoing]) -> Verdict {
        let mut messages = Vec::with_capacity(events.len());
        let mut too_large = None;
        for (index, out) in events.iter().enumerate() {
            self.sequence_id = next_sequence_id(self.sequence_id);
            match self.formatter.message(out, self.sequence_id) {
                Ok(message) => messages.push(message),
                Err(error) => {
                    too_large = Some((index, error.to_string()));
                    break;
                }
            }
        }
        match self.transport.send(&messages).await {
            Ok(()) => {}
            Err(SendError::TooLarge { index, reason }) => return refused(index, reason),
            Err(SendError::Fault { reason }) => {
                return Verdict::Retry {
                    delivered: 0,
                    reason,
                    after: None,
                };
            }
        }
        match too_large {
            None => Verdict::Delivered { slow_down: false },
            Some((index, reason)) => refused(index, reason),
        }
    }

    /// Whether a connection can be opened; over UDP, whether the name resolves.
    async fn opens(&mut self) -> Result<(), Problem> {
        self.transport
            .open()
            .await
            .map_err(|reason| Problem { reason, mend: None })
    }

    /// Ends the connection in order.
    pub(super) async fn close(&mut self) {
        self.transport.close().await;
    }

    pub(super) fn framing_bytes(&self) -> usize {
        self.formatter.max_header_bytes() + transport::MAX_FRAME_BYTES
    }
}

fn refused(index: usize, reason: String) -> Verdict {
    Verdict::Refused {
        index,
        code: "syslog-too-large".into(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream, UdpSocket};

    use super::super::loopback::{closed_port, outgoing};
    use super::*;
    use crate::config::{
        SyslogBody, SyslogFormat, SyslogFraming, SyslogSeverity, SyslogTransport, TlsConfig,
        WhenTooLarge,
    };

    const DELIVERED: Verdict = Verdict::Delivered { slow_down: false };

    fn output(address: SocketAddr, framing: SyslogFraming) -> Syslog {
        output_over(address, SyslogTransport::Tcp, framing)
    }

    fn output_over(
        address: SocketAddr,
        transport: SyslogTransport,
        framing: SyslogFraming,
    ) -> Syslog {
        output_up_to(200, address, transport, framing)
    }

    fn output_up_to(
        max_message_bytes: usize,
        address: SocketAddr,
        transport: SyslogTransport,
        framing: SyslogFraming,
    ) -> Syslog {
        let config = SyslogConfig {
            addresses: vec![address.to_string()],
            transport,
            framing,
            format: SyslogFormat::Rfc5424,
            body: SyslogBody::Json,
            facility: 16,
            severity: SyslogSeverity::Fixed(6),
            structured_data: None,
            bom: false,
            when_too_large: WhenTooLarge::DeadLetter,
            tls: TlsConfig::default(),
            server_name: None,
            window: 128,
            app_name: "cta-forwarder".into(),
            max_message_bytes,
            connect_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(20),
        };
        Syslog {
            formatter: Formatter::new(&config, "agent", 42),
            ..Syslog::new(&config, "agent")
        }
    }

    fn message(json: &str) -> String {
        format!("<134>1 2015-01-18T23:31:22.432Z agent cta-forwarder 42 flow - {json}")
    }

    async fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn line(socket: &mut BufReader<TcpStream>) -> String {
        let mut line = String::new();
        socket.read_line(&mut line).await.unwrap();
        line
    }

    #[tokio::test]
    async fn udp_is_one_message_a_datagram() {
        let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut output = output_over(
            receiver.local_addr().unwrap(),
            SyslogTransport::Udp,
            SyslogFraming::OctetCounting,
        );
        let events = [outgoing(r#"{"n":1}"#), outgoing(r#"{"n":2}"#)];
        assert_eq!(output.send(&events).await, DELIVERED);
        let mut datagram = [0; 1000];
        for expected in [message(r#"{"n":1}"#), message(r#"{"n":2}"#)] {
            let length = receiver.recv(&mut datagram).await.unwrap();
            assert_eq!(datagram[..length], *expected.as_bytes());
        }
    }

    #[tokio::test]
    async fn udp_to_a_closed_port_of_this_machine_is_tried_again() {
        let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = receiver.local_addr().unwrap();
        drop(receiver);
        let mut output = output_over(address, SyslogTransport::Udp, SyslogFraming::OctetCounting);
        let verdict = output.send(&[outgoing("{}")]).await;
        assert!(
            matches!(verdict, Verdict::Retry { delivered: 0, .. }),
            "{verdict:?}"
        );
    }

    #[tokio::test]
    async fn tcp_counts_octets_and_keeps_the_connection() {
        let (listener, address) = listen().await;
        let mut output = output(address, SyslogFraming::OctetCounting);
        let events = [outgoing(r#"{"n":1}"#), outgoing(r#"{"n":"é"}"#)];
        assert_eq!(output.send(&events).await, DELIVERED);
        assert_eq!(output.send(&events[..1]).await, DELIVERED);
        output.close().await;

        let (mut socket, _) = listener.accept().await.unwrap();
        let mut stream = String::new();
        socket.read_to_string(&mut stream).await.unwrap();
        let (first, second) = (message(r#"{"n":1}"#), message(r#"{"n":"é"}"#));
        assert_eq!(stream, format!("69 {first}72 {second}69 {first}"));
    }

    #[tokio::test]
    async fn tcp_ends_messages_with_lf_whatever_the_json_looks_like() {
        let (listener, address) = listen().await;
        let mut output = output(address, SyslogFraming::LineFeed);
        assert_eq!(output.send(&[outgoing("{\n\"n\":1}")]).await, DELIVERED);
        assert_eq!(output.send(&[outgoing("{}")]).await, DELIVERED);
        let mut socket = BufReader::new(listener.accept().await.unwrap().0);
        assert_eq!(line(&mut socket).await, message("{ \"n\":1}\n"));
        assert_eq!(line(&mut socket).await, message("{}\n"));
    }

    #[tokio::test]
    async fn tcp_connects_again_before_it_writes_to_a_closed_connection() {
        let (listener, address) = listen().await;
        let mut output = output(address, SyslogFraming::LineFeed);
        assert_eq!(output.send(&[outgoing("{}")]).await, DELIVERED);
        let mut socket = BufReader::new(listener.accept().await.unwrap().0);
        line(&mut socket).await;
        drop(socket);

        assert_eq!(output.send(&[outgoing(r#"{"n":2}"#)]).await, DELIVERED);
        let mut socket = BufReader::new(listener.accept().await.unwrap().0);
        assert_eq!(line(&mut socket).await, message("{\"n\":2}\n"));
    }

    #[tokio::test]
    async fn tcp_to_a_closed_port_is_tried_again() {
        let address = closed_port().await;
        let mut output = output(address, SyslogFraming::LineFeed);
        let verdict = output.send(&[outgoing("{}")]).await;
        let Verdict::Retry {
            delivered: 0,
            reason,
            ..
        } = verdict
        else {
            panic!("{verdict:?}");
        };
        assert!(reason.contains(&address.to_string()), "{reason}");
        assert!(output.opens().await.is_err());
    }

    #[tokio::test]
    async fn a_receiver_that_does_not_read_is_tried_again_on_a_new_connection() {
        let (listener, address) = listen().await;
        let mut output = output_up_to(
            usize::MAX,
            address,
            SyslogTransport::Tcp,
            SyslogFraming::LineFeed,
        );
        output.transport.write_timeout = Duration::from_millis(1);
        let large = outgoing(&format!("{:?}", "x".repeat(64 << 20)));
        let verdict = output.send(&[large]).await;
        assert!(
            matches!(verdict, Verdict::Retry { delivered: 0, .. }),
            "{verdict:?}"
        );
        let half = listener.accept().await.unwrap();

        output.transport.write_timeout = Duration::from_secs(20);
        assert_eq!(output.send(&[outgoing("{}")]).await, DELIVERED);
        drop(half);
        let mut socket = BufReader::new(listener.accept().await.unwrap().0);
        assert_eq!(line(&mut socket).await, message("{}\n"));
    }

    #[tokio::test]
    async fn a_dropped_send_leaves_no_half_message_in_the_stream() {
        let (listener, address) = listen().await;
        let mut output = output_up_to(
            usize::MAX,
            address,
            SyslogTransport::Tcp,
            SyslogFraming::LineFeed,
        );
        let large = [outgoing(&format!("{:?}", "x".repeat(64 << 20)))];
        let half = tokio::select! {
            verdict = output.send(&large) => panic!("nobody reads: {verdict:?}"),
            half = async {
                let mut half = listener.accept().await.unwrap().0;
                half.read_u8().await.unwrap();
                half
            } => half,
        };
        assert_eq!(output.send(&[outgoing("{}")]).await, DELIVERED);
        drop(half);
        let mut socket = BufReader::new(listener.accept().await.unwrap().0);
        assert_eq!(line(&mut socket).await, message("{}\n"));
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_after_what_stands_before_it() {
        let (listener, address) = listen().await;
        let mut output = output(address, SyslogFraming::LineFeed);
        let long = outgoing(&format!("{:?}", "x".repeat(200)));
        let verdict = output.send(&[outgoing("{}"), long, outgoing("{}")]).await;
        let Verdict::Refused {
            index: 1,
            code,
            reason,
        } = verdict
        else {
            panic!("{verdict:?}");
        };
        assert_eq!(code, "syslog-too-large");
        assert!(reason.contains("max_message_bytes (200)"), "{reason}");
        output.close().await;
        let mut stream = String::new();
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.read_to_string(&mut stream).await.unwrap();
        assert_eq!(stream, message("{}\n"));
    }

    #[tokio::test]
    async fn udp_refuses_what_no_datagram_can_hold() {
        let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut output = output_up_to(
            usize::MAX,
            receiver.local_addr().unwrap(),
            SyslogTransport::Udp,
            SyslogFraming::OctetCounting,
        );
        let long = outgoing(&format!("{:?}", "x".repeat(70_000)));
        let verdict = output.send(&[outgoing("{}"), long]).await;
        assert!(
            matches!(verdict, Verdict::Refused { index: 1, .. }),
            "{verdict:?}"
        );
    }
}
