use std::io::ErrorKind;

use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use super::*;
use crate::output::syslog::connection::{Connection, Counted};

/// A receiver, and an output that ends messages with LF.
async fn receiver() -> (TcpListener, Syslog) {
    let (listener, address) = listen().await;
    (listener, output(&config(address, SyslogTransport::Tcp)))
}

async fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    BufReader::new(listener.accept().await.unwrap().0)
}

/// Takes everything that comes on one connection.
async fn all_of(listener: &TcpListener) -> String {
    let mut stream = String::new();
    let mut socket = accept(listener).await;
    socket.read_to_string(&mut stream).await.unwrap();
    stream
}

#[tokio::test]
async fn tcp_counts_octets_and_keeps_the_connection() {
    let (listener, address) = listen().await;
    let mut config = config(address, SyslogTransport::Tcp);
    config.framing = SyslogFraming::OctetCounting;
    let mut output = output(&config);
    let events = [outgoing(r#"{"n":1}"#), outgoing(r#"{"n":"é"}"#)];
    assert_eq!(send(&mut output, &events).await, DELIVERED);
    assert_eq!(send(&mut output, &events[..1]).await, DELIVERED);
    output.close().await;

    let (first, second) = (message(r#"{"n":1}"#), message(r#"{"n":"é"}"#));
    assert_eq!(
        all_of(&listener).await,
        format!("69 {first}72 {second}69 {first}")
    );
}

#[tokio::test]
async fn tcp_ends_messages_with_lf_whatever_the_json_looks_like() {
    let (listener, mut output) = receiver().await;
    let pretty = [outgoing("{\n\"n\":1}")];
    assert_eq!(send(&mut output, &pretty).await, DELIVERED);
    assert_eq!(send(&mut output, &[outgoing("{}")]).await, DELIVERED);
    let mut socket = accept(&listener).await;
    assert_eq!(line(&mut socket).await, message("{ \"n\":1}\n"));
    assert_eq!(line(&mut socket).await, message("{}\n"));
}

#[tokio::test]
async fn tcp_connects_again_before_it_writes_to_a_closed_connection() {
    let (listener, mut output) = receiver().await;
    assert_eq!(send(&mut output, &[outgoing("{}")]).await, DELIVERED);
    let mut socket = accept(&listener).await;
    line(&mut socket).await;
    drop(socket);

    assert_eq!(send(&mut output, &[outgoing("2")]).await, DELIVERED);
    let mut socket = accept(&listener).await;
    assert_eq!(line(&mut socket).await, message("2\n"));
}

#[tokio::test]
async fn a_receiver_that_hangs_up_at_once_is_not_called_again_and_again() {
    let (listener, mut output) = receiver().await;
    let hanging_up = async {
        loop {
            drop(listener.accept().await.unwrap());
        }
    };
    // What the kernel took before it saw the end counts, which is why this ends at some time only.
    let refused = async { while send(&mut output, &[large(100)]).await == DELIVERED {} };
    tokio::select! {
        never = hanging_up => never,
        () = refused => {}
    }
}

#[tokio::test]
async fn tcp_to_a_closed_port_is_tried_again() {
    let address = closed_port().await;
    let mut output = output(&config(address, SyslogTransport::Tcp));
    let reason = retried(send(&mut output, &[outgoing("{}")]).await);
    assert!(
        reason.starts_with(&format!("connecting to syslog receiver {address} failed: ")),
        "{reason}"
    );
    let problem = probe(&mut output).await.unwrap_err();
    assert_eq!(problem.mend, None, "it may pass: {problem}");
}

#[tokio::test]
async fn a_probe_opens_the_connection_that_is_used_then() {
    let (listener, mut output) = receiver().await;
    assert_eq!(probe(&mut output).await, Ok(()));
    let mut socket = accept(&listener).await;
    assert_eq!(probe(&mut output).await, Ok(()));
    assert_eq!(send(&mut output, &[outgoing("{}")]).await, DELIVERED);
    assert_eq!(line(&mut socket).await, message("{}\n"));

    // One that was closed since is none.
    drop((socket, listener));
    assert!(probe(&mut output).await.is_err());
}

#[tokio::test]
async fn a_receiver_that_does_not_read_is_tried_again_on_a_new_connection() {
    let (listener, address) = listen().await;
    let mut config = config(address, SyslogTransport::Tcp);
    config.write_timeout = IMPATIENCE;
    config.max_message_bytes = usize::MAX;
    let mut output = output(&config);
    let reason = retried(send(&mut output, &[large(64 << 20)]).await);
    assert!(reason.contains("nothing has moved for 2s"), "{reason}");
    let half = listener.accept().await.unwrap();

    assert_eq!(send(&mut output, &[outgoing("{}")]).await, DELIVERED);
    drop(half);
    let mut socket = accept(&listener).await;
    assert_eq!(line(&mut socket).await, message("{}\n"));
}

#[tokio::test]
async fn what_only_our_kernel_has_is_not_delivered() {
    const FLIGHTS: u64 = 256;
    const BUFFER: u32 = 64 << 10;
    // The kernel doubles what is asked for, and counts its own overhead into it.
    const MAX_UNREAD: usize = 2 * BUFFER as usize;

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(BUFFER).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut output = output(&config(address, SyslogTransport::Tcp));
    output.formatter = of_any_size();
    let events = [large(16 << 10)];
    let bytes = message(&events[0].event.json).len() + 1;
    for flight in 0..FLIGHTS {
        output.launch(0, flight, &events);
    }
    assert_eq!(landed(&mut output).await, (0, DELIVERED));
    let mut socket = listener.accept().await.unwrap().0;
    let (mut sent, mut read) = (bytes, 0);
    let mut buffer = vec![0; 16 << 10];
    for flight in 1..FLIGHTS {
        let landing = loop {
            tokio::select! {
                biased;
                landing = landed(&mut output) => break landing,
                bytes = socket.read(&mut buffer) => read += bytes.unwrap(),
            }
        };
        assert_eq!(landing, (flight, DELIVERED));
        sent += bytes;
        assert!(sent <= read + MAX_UNREAD, "{sent} of {read}");
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_takes_nothing_with_it() {
    let (listener, mut output) = receiver().await;
    output.formatter = of_any_size();
    output.launch(0, 1, &[outgoing("1")]);
    assert_eq!(landed(&mut output).await, (1, DELIVERED));
    output.launch(0, 2, &[large(64 << 20)]);
    output.launch(0, 3, &[outgoing("3")]);
    let reset = async {
        let mut socket = listener.accept().await.unwrap().0;
        let mut begin = vec![0; 1000];
        socket.read_exact(&mut begin).await.unwrap();
        // What is unread when it is dropped becomes a reset.
    };
    let (landing, ()) = tokio::join!(landed(&mut output), reset);
    assert_eq!(landing.0, 2);
    retried(landing.1);
    let (flight, verdict) = landed(&mut output).await;
    assert_eq!(flight, 3);
    retried(verdict);

    assert_eq!(send(&mut output, &[outgoing("3")]).await, DELIVERED);
    assert_eq!(line(&mut accept(&listener).await).await, message("3\n"));
}

#[tokio::test]
async fn a_dropped_landing_goes_on_where_it_stopped() {
    let (listener, mut output) = receiver().await;
    output.formatter = of_any_size();
    let long = large(16 << 20);
    output.launch(0, 1, std::slice::from_ref(&long));
    output.launch(0, 2, &[outgoing("2")]);
    let mut socket = tokio::select! {
        landing = output.landing() => panic!("nobody reads: {landing:?}"),
        socket = async {
            let mut socket = accept(&listener).await;
            assert_eq!(socket.read_u8().await.unwrap(), b'<');
            socket
        } => socket,
    };
    let read = async {
        let rest = line(&mut socket).await;
        (rest, line(&mut socket).await)
    };
    let land = async { (landed(&mut output).await, landed(&mut output).await) };
    let ((rest, small), landings) = tokio::join!(read, land);
    assert!(format!("<{rest}") == message(&long.event.json) + "\n");
    assert_eq!(small, message("2\n"));
    assert_eq!(landings, ((1, DELIVERED), (2, DELIVERED)));
}

#[tokio::test]
async fn what_is_too_large_is_refused_after_what_stands_before_it() {
    let (listener, mut output) = receiver().await;
    let events = [outgoing("{}"), large(200), outgoing("{}")];
    let verdict = send(&mut output, &events).await;
    let Verdict::Refused {
        index: 1,
        code,
        reason,
        is_our_limit: true,
    } = verdict
    else {
        panic!("{verdict:?}");
    };
    assert_eq!(code, "syslog-too-large");
    assert!(reason.contains("max_message_bytes (200)"), "{reason}");
    let first = send(&mut output, &events[1..]).await;
    assert!(matches!(first, Verdict::Refused { index: 0, .. }));
    output.close().await;
    assert_eq!(all_of(&listener).await, message("{}\n"));
}

#[tokio::test]
async fn what_a_receiver_says_is_nothing_to_us() {
    use tokio::io::AsyncWriteExt as _;

    let (listener, mut output) = receiver().await;
    assert_eq!(send(&mut output, &[outgoing("1")]).await, DELIVERED);
    let mut socket = accept(&listener).await;
    socket.write_all(&vec![b'?'; 100_000]).await.unwrap();
    assert_eq!(send(&mut output, &[outgoing("2")]).await, DELIVERED);
    assert_eq!(line(&mut socket).await, message("1\n"));
    assert_eq!(line(&mut socket).await, message("2\n"));
}

#[tokio::test]
async fn a_reset_is_not_taken_for_a_goodbye() {
    let (listener, address) = listen().await;
    let tcp = TcpStream::connect(address).await.unwrap();
    let connection = Connection::plain(Counted::new(tcp).unwrap());
    assert!(!connection.has_unread().unwrap());
    let peer = listener.accept().await.unwrap().0;
    peer.set_zero_linger().unwrap();
    drop(peer);
    let seen = loop {
        match connection.has_unread() {
            Ok(false) => tokio::task::yield_now().await,
            seen => break seen,
        }
    };
    assert_eq!(seen.unwrap_err().kind(), ErrorKind::ConnectionReset);
}
