//! The receiver, through clients that show every byte.

mod faults;
mod relp;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::*;
use crate::simulator::tls;

const OFFERS: &str = "relp_version=0\nrelp_software=test\ncommands=syslog";

fn receiver(transport: SyslogTransport) -> SyslogReceiver {
    SyslogReceiver::start(SyslogRules::over(transport)).unwrap()
}

fn tcp(framing: SyslogFraming) -> SyslogReceiver {
    receiver(SyslogTransport::tcp(framing))
}

/// A message with this number.
fn message(number: usize) -> String {
    format!("<14>1 - host app - - - {{\"n\":{number}}}")
}

/// A message in its frame.
fn counted(number: usize) -> String {
    let message = message(number);
    format!("{} {message}", message.len())
}

fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| message(number) + "\n").collect()
}

/// A command of RELP.
fn command(transaction: u32, command: &str, data: &str) -> String {
    match data.len() {
        0 => format!("{transaction} {command} 0\n"),
        length => format!("{transaction} {command} {length} {data}\n"),
    }
}

/// The numbers of the messages that were taken.
fn taken(receiver: &SyslogReceiver) -> Vec<u64> {
    let messages = receiver.messages().into_iter();
    let bodies = messages.map(|message| serde_json::from_str(&message.body).unwrap());
    bodies
        .map(|body: serde_json::Value| body["n"].as_u64().unwrap())
        .collect()
}

fn violations(receiver: &SyslogReceiver) -> Vec<String> {
    let violations = receiver.violations().into_iter();
    violations.map(|violation| violation.what).collect()
}

async fn ends(receiver: &SyslogReceiver, count: usize) -> Vec<SyslogEnd> {
    receiver.wait_for_endings(count).await;
    let endings = receiver.endings().into_iter();
    endings.map(|ending| ending.end).collect()
}

async fn connect(receiver: &SyslogReceiver) -> TcpStream {
    TcpStream::connect(receiver.address()).await.unwrap()
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

/// All that comes up to the end of the connection.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.map(|_| text)
}

#[tokio::test]
async fn counted_messages_are_taken_in_order() {
    let receiver = tcp(SyslogFraming::OctetCounting);
    let mut stream = connect(&receiver).await;
    for number in 0..3 {
        send(&mut stream, &counted(number)).await;
    }
    receiver.wait_for_messages(3).await;
    assert_eq!(taken(&receiver), [0, 1, 2]);
    assert_eq!(receiver.messages()[1].text, message(1));
    drop(stream);
    assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Orderly]);
    assert_eq!(receiver.endings()[0].taken, 3);
    assert_eq!(violations(&receiver), [""; 0]);
}

#[tokio::test]
async fn lines_are_taken_from_several_connections() {
    let receiver = tcp(SyslogFraming::LineFeed);
    for numbers in [0..2, 2..4] {
        let mut stream = connect(&receiver).await;
        let end = numbers.end;
        send(&mut stream, &lines(numbers)).await;
        receiver.wait_for_messages(end).await;
    }
    assert_eq!(taken(&receiver), [0, 1, 2, 3]);
    let connections = receiver.messages().into_iter();
    let connections: Vec<_> = connections.map(|message| message.connection).collect();
    assert_eq!(connections, [Some(0), Some(0), Some(1), Some(1)]);
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_wrong_frame_ends_the_connection() {
    let receiver = tcp(SyslogFraming::OctetCounting);
    let mut stream = connect(&receiver).await;
    send(&mut stream, &(counted(0) + &message(1))).await;
    assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Violation]);
    assert_eq!(taken(&receiver), [0]);
    assert!(violations(&receiver)[0].starts_with("a length is 1 to 9 digits"));
    assert_eq!(receiver.violations()[0].connection, Some(0));
}

#[tokio::test]
async fn a_wrong_header_is_seen_and_the_message_kept() {
    let receiver = tcp(SyslogFraming::LineFeed);
    let mut stream = connect(&receiver).await;
    send(&mut stream, "hello\n").await;
    receiver.wait_for_messages(1).await;
    assert_eq!(receiver.messages()[0].text, "hello");
    assert!(violations(&receiver)[0].starts_with("the priority is not"));
}

#[tokio::test]
async fn the_middle_of_a_message_is_no_good_place_to_end() {
    let receiver = tcp(SyslogFraming::LineFeed);
    send(&mut connect(&receiver).await, "<1").await;
    assert_eq!(ends(&receiver, 1).await, [SyslogEnd::MidMessage]);
}

#[tokio::test]
async fn over_tls_the_sender_takes_leave() {
    let receiver = receiver(SyslogTransport::Tcp {
        framing: SyslogFraming::OctetCounting,
        tls: Some(tls::fixture::server_for_known_clients()),
    });
    let address = receiver.address();
    let mut stream = tls::fixture::connect(address, true).await.unwrap();
    send(&mut stream, &counted(0)).await;
    stream.shutdown().await.unwrap();
    assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Orderly]);
    let mut stream = tls::fixture::connect(address, true).await.unwrap();
    send(&mut stream, &counted(1)).await;
    // Without close_notify.
    drop(stream.into_inner().0);
    assert_eq!(ends(&receiver, 2).await[1], SyslogEnd::Abrupt);
    assert_eq!(taken(&receiver), [0, 1]);
    let mut stranger = tls::fixture::connect(address, false).await.unwrap();
    assert!(rest(&mut stranger).await.is_err());
    assert_eq!(ends(&receiver, 3).await[2], SyslogEnd::Abrupt);
}

#[tokio::test]
async fn a_datagram_is_a_message() {
    let mut rules = SyslogRules::over(SyslogTransport::Udp);
    rules.max_message_bytes = 100;
    let receiver = SyslogReceiver::start(rules).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(receiver.address()).await.unwrap();
    for datagram in [message(0), "<1>".repeat(100), message(1)] {
        socket.send(datagram.as_bytes()).await.unwrap();
    }
    receiver.wait_for_messages(2).await;
    assert_eq!(taken(&receiver), [0, 1]);
    assert_eq!(violations(&receiver), ["a message of more than 100 bytes"]);
    assert_eq!(receiver.messages()[0].connection, None);
}

#[tokio::test]
async fn ids_are_those_of_the_bodies() {
    let receiver = tcp(SyslogFraming::LineFeed);
    let id = EventId::from_bytes([3; 16]);
    let mut stream = connect(&receiver).await;
    let with_id = format!("<1>1 - - - - - - {{\"eventId\":\"{id}\"}}\n");
    send(&mut stream, &(lines(0..1) + &with_id)).await;
    receiver.wait_for_messages(2).await;
    assert_eq!(receiver.event_ids(), [id]);
}
