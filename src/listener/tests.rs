//! Bounds on what comes in, and an orderly end.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::config::ServerTlsConfig;
use crate::tls::server_config;

/// What does not come in this time does not come: only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(60);
const NO_PATIENCE: Duration = Duration::from_millis(50);
const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Answers a request when it may.
struct Served {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    /// Requests that have come.
    came: mpsc::UnboundedReceiver<()>,
    may_answer: watch::Sender<bool>,
}

impl Served {
    fn start(tls: bool, max_connections: usize, quiet: Duration) -> Self {
        Self::with(
            tls,
            max_connections,
            Patience {
                first: LIMIT,
                quiet,
            },
        )
    }

    fn with(tls: bool, max_connections: usize, patience: Patience) -> Self {
        let tls = tls.then(|| {
            let fixture = |name| {
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("tests/fixtures/tls")
                    .join(name)
            };
            server_config(&ServerTlsConfig {
                cert_file: fixture("server.pem"),
                key_file: fixture("server.key"),
                client_ca_file: None,
                client_names: Vec::new(),
            })
            .unwrap()
        });
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), tls, max_connections);
        let listener = Listener {
            patience,
            ..listener.unwrap()
        };
        let address = listener.address();
        let (stop, stopped) = watch::channel(false);
        let (comes, came) = mpsc::unbounded_channel();
        let (may_answer, allowed) = watch::channel(true);
        let handler = move |_, _| {
            let (comes, mut allowed) = (comes.clone(), allowed.clone());
            async move {
                comes.send(()).unwrap();
                allowed.wait_for(|may| *may).await.unwrap();
                Response::new(Full::new(Bytes::from_static(b"hello")))
            }
        };
        Self {
            address,
            stop,
            server: tokio::spawn(listener.serve(handler, stopped)),
            came,
            may_answer,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What is said up to the end of the connection, which the server closes.
    async fn said(mut stream: TcpStream) -> String {
        let mut said = Vec::new();
        let read = stream.read_to_end(&mut said);
        // A reset is an end too.
        let _ = tokio::time::timeout(LIMIT, read)
            .await
            .expect("it is not closed");
        String::from_utf8_lossy(&said).into_owned()
    }

    async fn came(&mut self) {
        tokio::time::timeout(LIMIT, self.came.recv())
            .await
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn who_asks_nothing_is_let_go() {
    for (tls, sends) in [
        (false, &b""[..]),
        (false, b"POST /inbox HTTP/1.1\r\nHost"),
        (false, b"rubbish\r\n\r\n"),
        (true, b""),
        (true, b"POST /inbox HTTP/1.1\r\n\r\n"),
    ] {
        let served = Served::start(tls, 8, NO_PATIENCE);
        let mut stream = served.connect().await;
        stream.write_all(sends).await.unwrap();
        let said = Served::said(stream).await;
        assert!(!said.contains("hello"), "{said}");
    }
}

#[tokio::test]
async fn the_first_request_has_less_time_than_those_after_it() {
    let patience = Patience {
        first: NO_PATIENCE,
        quiet: LIMIT,
    };
    for tls in [false, true] {
        let served = Served::with(tls, 8, patience);
        let quiet = served.connect().await;
        if !tls {
            assert_eq!(Served::said(quiet).await, "");
            let mut half = served.connect().await;
            half.write_all(b"GET / HTTP/1.1\r\nHost").await.unwrap();
            assert_eq!(Served::said(half).await, "");
        }
    }
    // On one that has asked, more may be asked later.
    let mut served = Served::with(false, 8, patience);
    let mut stream = served.connect().await;
    stream.write_all(ASK).await.unwrap();
    served.came().await;
    assert_eq!(Served::said(served.connect().await).await, "");
    stream.write_all(ASK).await.unwrap();
    served.came().await;
}

#[tokio::test]
async fn who_is_quiet_for_longest_gives_his_place_to_who_comes() {
    let mut served = Served::start(false, 2, LIMIT);
    let mut first = served.connect().await;
    first.write_all(ASK).await.unwrap();
    served.came().await;
    let mut answer = [0; 4];
    first.read_exact(&mut answer).await.unwrap();
    let second = served.connect().await;
    // Who asks again is quiet for less long than who has never asked.
    let mut asked = vec![0; 1 << 10];
    while !String::from_utf8_lossy(&asked).contains("hello") {
        let read = first.read(&mut asked).await.unwrap();
        assert!(read > 0);
    }
    served.may_answer.send_replace(false);
    first.write_all(ASK).await.unwrap();
    served.came().await;
    let mut third = served.connect().await;
    third.write_all(ASK).await.unwrap();
    served.came().await;
    assert_eq!(Served::said(second).await, "");
    // And who is being answered keeps his.
    served.may_answer.send_replace(true);
    for stream in [&mut first, &mut third] {
        stream.read_exact(&mut answer).await.unwrap();
    }
}

/// Whoever comes while another is about to ask, or while his answer goes out, costs him nothing.
#[tokio::test]
async fn who_has_just_come_keeps_his_place_until_he_is_answered() {
    const ASK_ONCE: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for _ in 0..20 {
        let served = Served::start(false, 1, LIMIT);
        let mut streams = Vec::new();
        for _ in 0..4 {
            let mut stream = served.connect().await;
            stream.write_all(ASK_ONCE).await.unwrap();
            streams.push(stream);
        }
        for stream in streams {
            let said = Served::said(stream).await;
            assert!(said.ends_with("hello"), "{said:?}");
        }
    }
}

/// A monitor gets its answer though others have all places and say nothing.
#[tokio::test]
async fn many_quiet_connections_keep_nobody_out() {
    for tls in [false, true] {
        let mut served = Served::start(tls, 16, LIMIT);
        let mut quiet = Vec::new();
        for _ in 0..40 {
            quiet.push(served.connect().await);
        }
        if tls {
            // Whoever comes next gets the place of the first.
            let first = quiet.remove(0);
            assert_eq!(Served::said(first).await, "");
            continue;
        }
        let mut stream = served.connect().await;
        stream.write_all(ASK).await.unwrap();
        served.came().await;
    }
}

#[tokio::test]
async fn after_an_answer_a_quiet_connection_is_let_go() {
    let served = Served::start(false, 8, NO_PATIENCE);
    let mut stream = served.connect().await;
    stream.write_all(ASK).await.unwrap();
    assert!(Served::said(stream).await.ends_with("hello"));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    for (kibibytes, status) in [(60, "200 OK"), (200, "431 ")] {
        let served = Served::start(false, 8, LIMIT);
        let mut stream = served.connect().await;
        let value = "v".repeat(kibibytes << 10);
        let head = format!("GET / HTTP/1.1\r\nConnection: close\r\nX-Header: {value}\r\n\r\n");
        // It may be closed before all of it is sent.
        let _ = stream.write_all(head.as_bytes()).await;
        let said = Served::said(stream).await;
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status}")),
            "{kibibytes}: {said}"
        );
    }
}

#[tokio::test]
async fn who_reads_nothing_is_let_go() {
    let served = Served::start(false, 1, NO_PATIENCE);
    let mut stream = served.connect().await;
    // Until nothing goes out any more: then the server writes no more either, and ends it.
    let asking = async { while stream.write_all(&ASK.repeat(1000)).await.is_ok() {} };
    tokio::time::timeout(LIMIT, asking)
        .await
        .expect("it is kept for ever");
    let mut other = served.connect().await;
    other.write_all(ASK).await.unwrap();
    assert!(Served::said(other).await.ends_with("hello"));
}

#[tokio::test]
async fn who_comes_when_all_places_are_taken_waits() {
    let mut served = Served::start(false, 2, LIMIT);
    served.may_answer.send_replace(false);
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = served.connect().await;
        stream.write_all(ASK).await.unwrap();
        streams.push(stream);
    }
    served.came().await;
    served.came().await;
    // The third has not, though it has all the time that the others had: it gets the place of one that
    // goes.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(served.came.try_recv().is_err());
    drop(streams.remove(0));
    served.may_answer.send_replace(true);
    served.came().await;
}

#[tokio::test]
async fn what_is_being_answered_when_it_stops_is_finished() {
    let mut served = Served::start(false, 8, LIMIT);
    served.may_answer.send_replace(false);
    let mut stream = served.connect().await;
    stream.write_all(ASK).await.unwrap();
    served.came().await;
    let idle = served.connect().await;
    served.stop.send_replace(true);
    // Who has asked nothing yet is let go at once.
    assert_eq!(Served::said(idle).await, "");
    served.may_answer.send_replace(true);
    let said = Served::said(stream).await;
    assert!(said.ends_with("hello"), "{said}");
    tokio::time::timeout(LIMIT, served.server)
        .await
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn who_has_not_asked_whole_holds_up_no_stop() {
    let served = Served::start(false, 8, LIMIT);
    let mut half = served.connect().await;
    half.write_all(b"POST /inbox HTTP/1.1\r\nHost")
        .await
        .unwrap();
    let mut other = served.connect().await;
    other.write_all(ASK).await.unwrap();
    let mut answer = [0; 4];
    other.read_exact(&mut answer).await.unwrap();
    served.stop.send_replace(true);
    tokio::time::timeout(LIMIT / 2, served.server)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let served = Served::start(false, 8, LIMIT);
    let error = Listener::bind(served.address, None, 8).unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with(&format!("cannot listen on {}", served.address)),
        "{said}"
    );
}
