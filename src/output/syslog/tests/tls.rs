use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::relp::Receiver;
use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tls")
        .join(name)
}

fn certificates(name: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(fixture(name))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// A receiver that asks for a client certificate or not.
fn acceptor(
    versions: &[&'static SupportedProtocolVersion],
    asks: bool,
    change: impl FnOnce(&mut ServerConfig),
) -> TlsAcceptor {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = ServerConfig::builder_with_protocol_versions(versions);
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates("ca.pem"));
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let mut config = builder
        .with_single_cert(certificates("server.pem"), key)
        .unwrap();
    change(&mut config);
    TlsAcceptor::from(Arc::new(config))
}

fn config(address: SocketAddr, transport: SyslogTransport) -> SyslogConfig {
    SyslogConfig {
        tls: TlsConfig {
            ca_file: Some(fixture("ca.pem")),
            ..TlsConfig::default()
        },
        framing: SyslogFraming::OctetCounting,
        ..super::config(address, transport)
    }
}

fn with_client_certificate(config: SyslogConfig) -> SyslogConfig {
    SyslogConfig {
        tls: TlsConfig {
            client_cert_file: Some(fixture("client.pem")),
            client_key_file: Some(fixture("client.key")),
            ..config.tls
        },
        ..config
    }
}

async fn accept(
    listener: &TcpListener,
    acceptor: &TlsAcceptor,
) -> std::io::Result<TlsStream<TcpStream>> {
    acceptor.accept(listener.accept().await.unwrap().0).await
}

/// What an output comes to at a receiver that lets nobody in.
async fn shut_out(
    change: impl FnOnce(&mut SyslogConfig),
    acceptor: TlsAcceptor,
) -> (String, String) {
    let (listener, address) = listen().await;
    let mut config = config(address, SyslogTransport::Tls);
    change(&mut config);
    let mut output = output(&config);
    let refuse = async {
        let refused = accept(&listener, &acceptor).await;
        assert!(refused.is_err());
    };
    let events = [outgoing("1")];
    let (verdict, ()) = tokio::join!(send(&mut output, &events), refuse);
    let (reason, mend) = held(verdict);
    assert!(reason.contains(&address.to_string()), "{reason}");
    (reason, mend)
}

#[tokio::test]
async fn tls_delivers_in_both_versions_and_says_close_notify() {
    for version in [&version::TLS12, &version::TLS13] {
        let (listener, address) = listen().await;
        let acceptor = acceptor(&[version], false, |_| {});
        let mut output = output(&config(address, SyslogTransport::Tls));
        let serve = async {
            let mut stream = accept(&listener, &acceptor).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
            let mut text = String::new();
            // An end without close_notify would be an error here.
            stream.read_to_string(&mut text).await.unwrap();
            text
        };
        let sends = async {
            let first = send(&mut output, &[outgoing("1")]).await;
            let second = send(&mut output, &[outgoing("2")]).await;
            output.close().await;
            (first, second)
        };
        let (verdicts, text) = tokio::join!(sends, serve);
        assert_eq!(verdicts, (DELIVERED, DELIVERED));
        let (first, second) = (message("1"), message("2"));
        assert_eq!(text, format!("63 {first}63 {second}"));
    }
}

#[tokio::test]
async fn a_client_certificate_opens_the_door_in_both_versions() {
    for version in [&version::TLS12, &version::TLS13] {
        // A receiver without session tickets says nothing after the handshake.
        for tickets in [0, 2] {
            let (listener, address) = listen().await;
            let acceptor = acceptor(&[version], true, |config| {
                config.send_tls13_tickets = tickets;
            });
            let config = config(address, SyslogTransport::Tls);
            let mut output = output(&with_client_certificate(config));
            let events = [outgoing("1")];
            let (verdict, stream) =
                tokio::join!(send(&mut output, &events), accept(&listener, &acceptor));
            assert_eq!(verdict, DELIVERED);
            let mut stream = BufReader::new(stream.unwrap());
            let mut text = vec![0; "63 ".len() + 63];
            stream.read_exact(&mut text).await.unwrap();
            assert_eq!(text, format!("63 {}", message("1")).as_bytes());
        }
    }
}

#[tokio::test]
async fn without_a_client_certificate_it_stays_shut_and_nothing_counts() {
    for version in [&version::TLS12, &version::TLS13] {
        let acceptor = acceptor(&[version], true, |_| {});
        let (_, mend) = shut_out(|_| {}, acceptor).await;
        assert!(mend.contains("client_cert_file"), "{mend}");
    }
}

/// A receiver's end of a connection that is slow to hear what follows the first message.
struct Late {
    tcp: TcpStream,
    has_heard: bool,
    wait: Pin<Box<Sleep>>,
}

impl AsyncRead for Late {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.has_heard {
            ready!(self.wait.as_mut().poll(cx));
        }
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        self.has_heard = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Late {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn nothing_is_sent_before_a_slow_receiver_could_refuse_the_client_certificate() {
    let (listener, address) = listen().await;
    let acceptor = acceptor(&[&version::TLS13], true, |_| {});
    let mut output = output(&config(address, SyslogTransport::Tls));
    let refuse = async {
        let tcp = listener.accept().await.unwrap().0;
        // Long enough for TCP to acknowledge what is sent too early.
        let wait = Box::pin(sleep(Duration::from_millis(200)));
        let has_heard = false;
        let late = Late {
            tcp,
            has_heard,
            wait,
        };
        assert!(acceptor.accept(late).await.is_err());
    };
    let events = [outgoing("1")];
    let ((), verdict) = tokio::join!(refuse, send(&mut output, &events));
    let (_, mend) = held(verdict);
    assert!(mend.contains("client_cert_file"), "{mend}");
}

#[tokio::test]
async fn a_receiver_that_hangs_up_when_it_sees_the_client_certificate_holds() {
    let (listener, address) = listen().await;
    let acceptor = acceptor(&[&version::TLS13], true, |config| {
        config.send_tls13_tickets = 0;
    });
    let config = config(address, SyslogTransport::Tls);
    let mut output = output(&with_client_certificate(config));
    let hang_up = async { drop(accept(&listener, &acceptor).await.unwrap()) };
    let events = [outgoing("1")];
    let (verdict, ()) = tokio::join!(send(&mut output, &events), hang_up);
    let (reason, mend) = held(verdict);
    assert!(
        reason.contains("asked for a client certificate"),
        "{reason}"
    );
    assert!(mend.contains("client_cert_file"), "{mend}");
}

#[tokio::test]
async fn a_client_certificate_of_a_stranger_is_refused() {
    let acceptor = acceptor(&[&version::TLS13], true, |_| {});
    let (_, mend) = shut_out(
        |config| {
            config.tls.client_cert_file = Some(fixture("server.pem"));
            config.tls.client_key_file = Some(fixture("server.key"));
        },
        acceptor,
    )
    .await;
    assert!(mend.contains("client_cert_file"), "{mend}");
}

#[tokio::test]
async fn an_unknown_authority_holds() {
    let acceptor = acceptor(&[&version::TLS13], false, |_| {});
    let (reason, mend) = shut_out(
        |config| config.tls.ca_file = Some(fixture("client.pem")),
        acceptor,
    )
    .await;
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    assert!(mend.contains("ca_file"), "{mend}");
}

#[tokio::test]
async fn a_wrong_name_holds_and_server_name_mends_it() {
    let open = acceptor(&[&version::TLS13], false, |_| {});
    let wrong_name = |config: &mut SyslogConfig| config.server_name = Some("wrong.example".into());
    let (reason, mend) = shut_out(wrong_name, open.clone()).await;
    assert!(reason.contains("wrong.example"), "{reason}");
    assert!(mend.contains("server_name"), "{mend}");

    let (listener, address) = listen().await;
    let mut config = config(address, SyslogTransport::Tls);
    config.server_name = Some("localhost".into());
    let mut output = output(&config);
    let (probed, stream) = tokio::join!(probe(&mut output), accept(&listener, &open));
    assert_eq!(probed, Ok(()));
    let stream = stream.unwrap();
    assert_eq!(stream.get_ref().1.server_name(), Some("localhost"));
}

#[tokio::test]
async fn a_receiver_without_tls_holds() {
    let (listener, address) = listen().await;
    let mut output = output(&config(address, SyslogTransport::Tls));
    let answer = async {
        let mut socket = listener.accept().await.unwrap().0;
        socket.write_all(b"220 no tls here\r\n").await.unwrap();
        socket
    };
    let events = [outgoing("1")];
    let (verdict, _socket) = tokio::join!(send(&mut output, &events), answer);
    let (_, mend) = held(verdict);
    assert!(mend.contains("does not speak TLS"), "{mend}");
}

#[tokio::test]
async fn a_receiver_that_goes_in_the_middle_of_the_handshake_is_tried_again() {
    let (listener, address) = listen().await;
    let mut output = output(&config(address, SyslogTransport::Tls));
    let hang_up = async { drop(listener.accept().await.unwrap()) };
    let events = [outgoing("1")];
    let (verdict, ()) = tokio::join!(send(&mut output, &events), hang_up);
    retried(verdict);
}

#[tokio::test]
async fn tls_connects_again_before_it_writes_to_a_closed_connection() {
    for says_close_notify in [true, false] {
        let (listener, address) = listen().await;
        let acceptor = acceptor(&[&version::TLS13], false, |_| {});
        let mut output = output(&config(address, SyslogTransport::Tls));
        for json in ["1", "2"] {
            let events = [outgoing(json)];
            let serve = async {
                let mut stream = accept(&listener, &acceptor).await.unwrap();
                let mut text = vec![0; "63 ".len() + 63];
                stream.read_exact(&mut text).await.unwrap();
                assert_eq!(text, format!("63 {}", message(json)).as_bytes());
                if says_close_notify {
                    stream.shutdown().await.unwrap();
                }
            };
            let (verdict, ()) = tokio::join!(send(&mut output, &events), serve);
            assert_eq!(verdict, DELIVERED);
        }
    }
}

#[tokio::test]
async fn large_flights_go_through_tls_and_wait_for_the_reader() {
    let (listener, address) = listen().await;
    let acceptor = acceptor(&[&version::TLS13], false, |_| {});
    let mut output = output(&config(address, SyslogTransport::Tls));
    output.formatter = of_any_size();
    output.launch(0, 1, &[large(16 << 20)]);
    output.launch(0, 2, &[outgoing("2")]);
    let serve = async {
        let mut stream = accept(&listener, &acceptor).await.unwrap();
        let mut bytes = 0;
        let mut buffer = vec![0; 1 << 16];
        while bytes < 16 << 20 {
            bytes += stream.read(&mut buffer).await.unwrap();
        }
        stream
    };
    let land = async { (landed(&mut output).await, landed(&mut output).await) };
    let (landings, _stream) = tokio::join!(land, serve);
    assert_eq!(landings, ((1, DELIVERED), (2, DELIVERED)));
}

#[tokio::test]
async fn relp_speaks_through_tls() {
    let (listener, address) = listen().await;
    let acceptor = acceptor(&[&version::TLS13], true, |_| {});
    let config = config(address, SyslogTransport::RelpTls);
    let mut output = output(&with_client_certificate(config));
    let events = [outgoing("1")];
    let serve = async {
        let mut receiver = Receiver::new(accept(&listener, &acceptor).await.unwrap());
        receiver.open().await;
        let txnr = receiver.message("1").await;
        receiver.answer(txnr, "200 OK").await;
        assert_eq!(receiver.frame().await.1, "close");
        receiver.answer(txnr + 1, "200 OK").await;
        receiver
    };
    let sends = async {
        let verdict = send(&mut output, &events).await;
        output.close().await;
        verdict
    };
    let (verdict, _receiver) = tokio::join!(sends, serve);
    assert_eq!(verdict, DELIVERED);
}

#[test]
fn a_name_that_no_certificate_has_is_refused_at_once() {
    let mut config = config(([127, 0, 0, 1], 6514).into(), SyslogTransport::Tls);
    config.server_name = Some("no name".into());
    let error = Syslog::new(&config, "agent").unwrap_err().to_string();
    assert!(
        error.contains("\"no name\"") && error.contains("server_name"),
        "{error}"
    );
    config.server_name = None;
    config.tls.ca_file = Some(fixture("none.pem"));
    let error = Syslog::new(&config, "agent").unwrap_err().to_string();
    assert!(
        error.contains("ca_file") && error.contains("none.pem"),
        "{error}"
    );
    config.tls.ca_file = None;
    config.addresses = vec!["[::1]:6514".into()];
    Syslog::new(&config, "agent").unwrap();
}
