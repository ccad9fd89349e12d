//! An HTTP client for tests that shows exactly what came back, and how it broke.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer that came whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// How it broke.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused,
    Reset,
    /// Closed after so many bytes of head and body.
    Closed {
        received: usize,
    },
}

impl RawAnswer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<RawAnswer, Failure> {
    send(address, "GET", path, &[], b"").await
}

/// Sends a request on a connection of its own and reads the answer.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<RawAnswer, Failure> {
    let stream = connect(address).await?;
    exchange(stream, method, path, headers, body).await
}

/// Sends the one request of this connection and reads the answer.
pub(crate) async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<RawAnswer, Failure> {
    write(&mut stream, method, path, headers, body).await?;
    let mut received = Vec::new();
    let end = stream.read_to_end(&mut received).await;
    parse(&received).ok_or_else(|| match end {
        Err(error) => failure(&error),
        Ok(_) => Failure::Closed {
            received: received.len(),
        },
    })
}

/// Sends a request and leaves the reading to the caller.
pub(crate) async fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<TcpStream, Failure> {
    let mut stream = connect(address).await?;
    write(&mut stream, method, path, headers, body).await?;
    Ok(stream)
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    TcpStream::connect(address)
        .await
        .map_err(|error| failure(&error))
}

async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<(), Failure> {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request = request + name + ": " + value + "\r\n";
    }
    request += "\r\n";
    let sent = async {
        stream.write_all(request.as_bytes()).await?;
        stream.write_all(body).await?;
        stream.flush().await
    };
    sent.await.map_err(|error| failure(&error))
}

fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Failure::Reset,
        kind => panic!("unexpected failure {kind}: {error}"),
    }
}

fn parse(received: &[u8]) -> Option<RawAnswer> {
    let head_end = received.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&received[..head_end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let answer = RawAnswer {
        status,
        headers,
        body: received[head_end + 4..].to_vec(),
    };
    let length = match answer.header("content-length") {
        Some(length) => length.parse().unwrap(),
        None if status == 204 => 0,
        None => return None,
    };
    (answer.body.len() == length).then_some(answer)
}
