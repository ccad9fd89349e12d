//! A service whose answers a test writes, for what the simulated one does not speak of.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What came in: the head as it was sent, and the body.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Answers each request with what is made of it, and remembers it.
pub(crate) struct Service {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Received>>>,
}

impl Service {
    /// One that answers with messages of TAXII 1.1.
    pub(crate) fn of_taxii(answer: impl Fn(&Received) -> String + Send + Sync + 'static) -> Self {
        Self::start(move |request| http("200 OK", &answer(request)))
    }

    /// One that answers with whatever is made.
    pub(crate) fn start(answer: impl Fn(&Received) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || {
                    let request = read(&mut stream);
                    seen.lock().unwrap().push(request.clone());
                    let _ = stream.write_all(answer(&request).as_bytes());
                });
            }
        });
        Self { address, requests }
    }

    /// The address of something that it has.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }
}

impl Received {
    /// Whether this message came.
    pub(crate) fn is(&self, message: &str) -> bool {
        self.body.contains(&format!(":{message} "))
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// An answer with a body.
pub(crate) fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A message of TAXII 1.1.
pub(crate) fn message(name: &str, attributes: &str, content: &str) -> String {
    format!(
        "<{name} xmlns=\"http://taxii.mitre.org/messages/taxii_xml_binding-1.1\" \
         message_id=\"1\" in_response_to=\"1\" {attributes}>{content}</{name}>"
    )
}

/// A Status_Message.
pub(crate) fn status(kind: &str, text: &str) -> String {
    let text = format!("<Message>{text}</Message>");
    message("Status_Message", &format!("status_type=\"{kind}\""), &text)
}

fn read(stream: &mut TcpStream) -> Received {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut request = Received {
        head,
        body: String::new(),
    };
    let length = request.header("content-length").unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    let _ = stream.read_exact(&mut body);
    request.body = String::from_utf8_lossy(&body).into_owned();
    request
}
