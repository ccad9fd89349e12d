//! Events and small servers for the tests of the outputs.

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::DateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{BatchOrigin, Outgoing};
use crate::event::{Event, EventId, RecordType};

/// A flow with this JSON, of service `cta` and collection `webflows`.
pub(super) fn outgoing(json: &str) -> Outgoing {
    outgoing_of("webflows", RecordType::Flow, json)
}

/// An event of this collection.
pub(super) fn outgoing_of(collection: &str, record_type: RecordType, json: &str) -> Outgoing {
    Outgoing {
        origin: Arc::new(BatchOrigin {
            service: "cta".into(),
            collection: collection.into(),
            window_end: DateTime::UNIX_EPOCH,
        }),
        event: Event {
            id: EventId::from_bytes([7; 16]),
            record_type,
            time_ms: 1_421_623_882_432,
            json: json.into(),
        },
    }
}

/// A request as an HTTP server sees it.
#[derive(Debug)]
pub(super) struct Request {
    /// Request line and headers, in lower case.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// Answers one connection after the other, one request each, from a list; then it is gone.
pub(super) async fn http_server(
    answers: Vec<String>,
) -> (SocketAddr, mpsc::UnboundedReceiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let request = read_request(&mut socket).await;
            socket.write_all(answer.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
            let _ = seen.send(request);
        }
    });
    (address, requests)
}

/// An HTTP answer with these header lines (each with its CR LF) and this body.
pub(super) fn http_answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn read_request(socket: &mut TcpStream) -> Request {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |value| value.parse().unwrap());
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.unwrap();
    Request { head, body }
}

/// A port on which nobody listens.
pub(super) async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
