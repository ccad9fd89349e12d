//! An agent that is watched, and who asks it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use cta_forwarder::simulator::content::ContentGenerator;

use crate::openmetrics::Metrics;
use crate::rig::{LIMIT, Rig, Setup};

/// An agent with `[admin]`.
pub(crate) struct Watched {
    pub(crate) rig: Rig,
    generator: ContentGenerator,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Watched {
    /// One with these keys of `[admin]` beyond an address that the system chooses.
    pub(crate) async fn new(keys: &str) -> Self {
        Self::with(keys, Setup::default()).await
    }

    pub(crate) async fn with(keys: &str, setup: Setup) -> Self {
        let outputs = format!(
            "{}\n[admin]\nlisten = \"127.0.0.1:0\"\n{keys}\n",
            setup.outputs
        );
        let rig = Rig::with(Setup { outputs, ..setup });
        rig.told("status page").await;
        let generator = ContentGenerator::new(1);
        Self { rig, generator }
    }

    /// Publishes packages with events, some of one window.
    pub(crate) fn publish(&mut self) {
        let Self { rig, generator } = self;
        let before = rig.cta.published_ids().len();
        while rig.cta.published_ids().len() == before {
            rig.publish_ahead(|stamp| (0..5).map(|_| generator.publication(stamp)).collect());
        }
    }

    /// Where the page is, as the log says since the last start.
    pub(crate) fn url(&self) -> String {
        let log = self.rig.log();
        let (_, url) = log.rsplit_once("status page url=\"").unwrap();
        url.split_once('"').unwrap().0.to_owned()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let url = self.url();
        let (_, rest) = url.split_once("://").unwrap();
        rest.trim_end_matches('/').parse().unwrap()
    }

    /// Sends lines of a request, and reads the answer to its end.
    pub(crate) fn send(&self, lines: &[&str]) -> Answer {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        answer(&mut stream, lines)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_as(path, "*/*")
    }

    pub(crate) fn get_as(&self, path: &str, accept: &str) -> Answer {
        let accept = format!("Accept: {accept}");
        self.send(&[&format!("GET {path} HTTP/1.1"), "Host: localhost", &accept])
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let answer = self.get_as("/metrics", "application/openmetrics-text");
        assert_eq!(answer.status, 200, "{answer:?}");
        Metrics::read(&answer.body)
    }

    /// Waits until what is asked for is so: a status tells nobody that it changes.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let begin = std::time::Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(begin.elapsed() < LIMIT, "not {what}: {}", self.rig.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Sends lines of a request on a connection, and reads the answer to its end.
pub(crate) fn answer(stream: &mut TcpStream, lines: &[&str]) -> Answer {
    let head = lines.join("\r\n") + "\r\nConnection: close\r\n\r\n";
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
