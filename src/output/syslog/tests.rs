//! Each transport against small receivers on this machine.

mod relp;
mod tcp;
mod tls;
mod udp;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};
use tokio::net::TcpListener;

use super::super::loopback::{closed_port, outgoing};
use super::super::{Problem, Verdict};
use super::*;
use crate::config::{SyslogBody, SyslogFormat, SyslogSeverity, TlsConfig, WhenTooLarge};

const DELIVERED: Verdict = Verdict::Delivered { slow_down: false };
const PATIENCE: Duration = Duration::from_secs(20);
/// For what a test waits to run out; long enough that what should go on does.
const IMPATIENCE: Duration = Duration::from_secs(2);

fn config(address: SocketAddr, transport: SyslogTransport) -> SyslogConfig {
    SyslogConfig {
        addresses: vec![address.to_string()],
        transport,
        framing: SyslogFraming::LineFeed,
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
        max_message_bytes: 200,
        connect_timeout: PATIENCE,
        write_timeout: PATIENCE,
    }
}

fn output(config: &SyslogConfig) -> Syslog {
    Syslog {
        formatter: Formatter::new(config, "agent", 42),
        ..Syslog::new(config, "agent").unwrap()
    }
}

/// Makes messages of any size.
fn of_any_size() -> Formatter {
    let config = SyslogConfig {
        max_message_bytes: usize::MAX,
        ..config(([127, 0, 0, 1], 1).into(), SyslogTransport::Tcp)
    };
    Formatter::new(&config, "agent", 42)
}

fn message(json: &str) -> String {
    format!("<134>1 2015-01-18T23:31:22.432Z agent cta-forwarder 42 flow - {json}")
}

/// An event whose message takes a little more than this.
fn large(bytes: usize) -> Outgoing {
    outgoing(&format!("{:?}", "x".repeat(bytes)))
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn line(socket: &mut (impl AsyncBufRead + Unpin)) -> String {
    let mut line = String::new();
    socket.read_line(&mut line).await.unwrap();
    line
}

async fn send(output: &mut Syslog, events: &[Outgoing]) -> Verdict {
    output.launch(0, 1, events);
    let (flight, verdict) = landed(output).await;
    assert_eq!(flight, 1);
    verdict
}

async fn landed(output: &mut Syslog) -> (FlightId, Verdict) {
    match output.landing().await {
        Landing::Sent {
            flight,
            peer: 0,
            verdict,
            promise: Promise::None,
        } => (flight, verdict),
        landing => panic!("{landing:?}"),
    }
}

async fn probe(output: &mut Syslog) -> Result<(), Problem> {
    output.probe(0);
    match output.landing().await {
        Landing::Probed { peer: 0, result } => result,
        landing => panic!("{landing:?}"),
    }
}

/// The reason of a verdict that lets it be tried again, nothing being delivered.
fn retried(verdict: Verdict) -> String {
    match verdict {
        Verdict::Retry {
            delivered: 0,
            reason,
            after: None,
        } => reason,
        verdict => panic!("{verdict:?}"),
    }
}

/// Reason and mend of a verdict that holds.
fn held(verdict: Verdict) -> (String, String) {
    match verdict {
        Verdict::Hold {
            delivered: 0,
            reason,
            mend,
        } => (reason, mend),
        verdict => panic!("{verdict:?}"),
    }
}
