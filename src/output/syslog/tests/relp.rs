use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::*;

/// A RELP receiver that says what the test wants.
pub(super) struct Receiver<S> {
    stream: BufReader<S>,
}

const OFFERS: &str = "200 OK\nrelp_version=0\nrelp_software=test\ncommands=syslog";

impl<S: AsyncRead + AsyncWrite + Unpin> Receiver<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Opens the session.
    pub(super) async fn open(&mut self) {
        let (txnr, command, data) = self.frame().await;
        assert_eq!((txnr, &*command), (1, "open"));
        assert!(data.contains("relp_version=0\n") && data.contains("\ncommands=syslog"));
        self.answer(txnr, OFFERS).await;
    }

    /// Number, command and data of the next frame.
    pub(super) async fn frame(&mut self) -> (u32, String, String) {
        let txnr = self.word(b' ').await.parse().unwrap();
        let command = self.word(b' ').await;
        let mut length = Vec::new();
        let after_length = loop {
            match self.stream.read_u8().await.unwrap() {
                byte @ (b' ' | b'\n') => break byte,
                digit => length.push(digit),
            }
        };
        let length = String::from_utf8(length).unwrap().parse().unwrap();
        let mut data = vec![0; length];
        if after_length == b' ' {
            self.stream.read_exact(&mut data).await.unwrap();
            assert_eq!(self.stream.read_u8().await.unwrap(), b'\n');
        }
        (txnr, command, String::from_utf8(data).unwrap())
    }

    /// The next frame, a message with this JSON.
    pub(super) async fn message(&mut self, json: &str) -> u32 {
        let (txnr, command, data) = self.frame().await;
        assert_eq!((command, data), ("syslog".into(), message(json)));
        txnr
    }

    pub(super) async fn answer(&mut self, txnr: u32, data: &str) {
        self.say(&format!("{txnr} rsp {} {data}\n", data.len()))
            .await;
    }

    async fn say(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn word(&mut self, end: u8) -> String {
        let mut word = Vec::new();
        self.stream.read_until(end, &mut word).await.unwrap();
        word.pop();
        String::from_utf8(word).unwrap()
    }
}

async fn accept(listener: &TcpListener) -> Receiver<TcpStream> {
    Receiver::new(listener.accept().await.unwrap().0)
}

fn config(address: SocketAddr) -> SyslogConfig {
    super::config(address, SyslogTransport::Relp)
}

/// The output sends while the receiver does what it does.
async fn meet<T>(
    output: &mut Syslog,
    events: &[Outgoing],
    receiver: impl Future<Output = T>,
) -> (Verdict, T) {
    tokio::join!(send(output, events), receiver)
}

#[tokio::test]
async fn relp_delivers_what_is_acknowledged_and_says_close() {
    let (listener, address) = listen().await;
    let mut output = output(&config(address));
    let events = [outgoing("1"), outgoing("2"), outgoing("3")];
    let (verdict, mut receiver) = meet(&mut output, &events, async {
        let mut receiver = accept(&listener).await;
        receiver.open().await;
        let mut txnrs = Vec::new();
        for json in ["1", "2", "3"] {
            txnrs.push(receiver.message(json).await);
        }
        assert_eq!(txnrs, [2, 3, 4]);
        for txnr in [3, 4, 2] {
            receiver.answer(txnr, "200 OK").await;
        }
        receiver
    })
    .await;
    assert_eq!(verdict, DELIVERED);
    let left = async {
        assert_eq!(receiver.frame().await, (5, "close".into(), String::new()));
        receiver.answer(5, "200 OK").await;
        assert_eq!(receiver.stream.read(&mut [0]).await.unwrap(), 0);
    };
    tokio::join!(output.close(), left);
}

#[tokio::test]
async fn two_flights_travel_at_once_and_the_window_holds_them_back() {
    let (listener, address) = listen().await;
    let mut output = output(&SyslogConfig {
        window: 3,
        ..config(address)
    });
    output.launch(0, 1, &[outgoing("1"), outgoing("2")]);
    output.launch(0, 2, &[outgoing("3"), outgoing("4")]);
    let serve = async {
        let mut receiver = accept(&listener).await;
        receiver.open().await;
        for json in ["1", "2", "3"] {
            receiver.message(json).await;
        }
        receiver.answer(4, "200 OK").await;
        assert_eq!(receiver.message("4").await, 5);
        receiver.answer(5, "200 OK").await;
        receiver.answer(2, "200 OK").await;
        receiver.answer(3, "200 OK").await;
        receiver
    };
    let land = async { (landed(&mut output).await, landed(&mut output).await) };
    let (landings, _receiver) = tokio::join!(land, serve);
    assert_eq!(landings, ((2, DELIVERED), (1, DELIVERED)));
}

#[tokio::test]
async fn a_cut_returns_what_has_no_answer() {
    let (listener, address) = listen().await;
    let mut output = output(&config(address));
    let events = [outgoing("1"), outgoing("2"), outgoing("3")];
    let (verdict, ()) = meet(&mut output, &events, async {
        let mut receiver = accept(&listener).await;
        receiver.open().await;
        for json in ["1", "2", "3"] {
            receiver.message(json).await;
        }
        receiver.answer(2, "200 OK").await;
        receiver.answer(4, "200 OK").await;
        // Half an answer is none.
        receiver.say("3 rsp 6 200").await;
    })
    .await;
    let Verdict::Scattered { delivered, then } = verdict else {
        panic!("{verdict:?}");
    };
    assert!(delivered.into_iter().flatten().eq([2]));
    assert!(matches!(*then, Verdict::Retry { delivered: 1, .. }));

    let (verdict, _receiver) = meet(&mut output, &events[1..2], async {
        let mut receiver = accept(&listener).await;
        receiver.open().await;
        let txnr = receiver.message("2").await;
        receiver.answer(txnr, "200 OK").await;
        receiver
    })
    .await;
    assert_eq!(verdict, DELIVERED);
}

#[tokio::test]
async fn an_answer_in_pieces_is_an_answer() {
    let (listener, address) = listen().await;
    let mut output = output(&config(address));
    let (verdict, _receiver) = meet(&mut output, &[outgoing("1")], async {
        let mut receiver = accept(&listener).await;
        receiver.open().await;
        receiver.message("1").await;
        for piece in ["2", " rs", "p 6 2", "00 OK", "\n"] {
            receiver.say(piece).await;
            tokio::task::yield_now().await;
        }
        receiver
    })
    .await;
    assert_eq!(verdict, DELIVERED);
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up() {
    let (listener, address) = listen().await;
    let mut output = output(&SyslogConfig {
        write_timeout: IMPATIENCE,
        ..config(address)
    });
    let (verdict, _receiver) = meet(&mut output, &[outgoing("1")], async {
        let mut receiver = accept(&listener).await;
        receiver.open().await;
        receiver.message("1").await;
        receiver
    })
    .await;
    let reason = retried(verdict);
    assert!(reason.contains("nothing has moved for 2s"), "{reason}");
}

#[tokio::test]
async fn one_that_does_not_even_open_is_given_up_too() {
    let (_listener, address) = listen().await;
    let mut output = output(&SyslogConfig {
        connect_timeout: IMPATIENCE,
        ..config(address)
    });
    let reason = retried(send(&mut output, &[outgoing("1")]).await);
    assert!(reason.contains("no answer after 2s"), "{reason}");
    assert!(probe(&mut output).await.is_err());
}

#[tokio::test]
async fn offers_without_syslog_hold_with_the_mend() {
    let (listener, address) = listen().await;
    let mut output = output(&config(address));
    let (verdict, ()) = meet(&mut output, &[outgoing("1")], async {
        let mut receiver = accept(&listener).await;
        receiver.frame().await;
        let offers = "200 OK\nrelp_version=0\ncommands=eventlog";
        receiver.answer(1, offers).await;
    })
    .await;
    let (reason, mend) = held(verdict);
    assert!(reason.contains(&address.to_string()), "{reason}");
    assert!(reason.contains("command syslog"), "{reason}");
    assert!(mend.contains("syslog"), "{mend}");

    let mended = async {
        let mut receiver = accept(&listener).await;
        receiver.open().await;
        receiver
    };
    let (probed, _receiver) = tokio::join!(probe(&mut output), mended);
    assert_eq!(probed, Ok(()));
}

#[tokio::test]
async fn a_message_refused_three_times_is_refused() {
    let (listener, address) = listen().await;
    let mut output = output(&config(address));
    let refuse = async {
        let mut receiver = accept(&listener).await;
        receiver.open().await;
        for _ in 0..3 {
            let txnr = receiver.message("1").await;
            receiver.answer(txnr, "500 no room").await;
        }
        receiver
    };
    let events = [outgoing("1")];
    let sends = async {
        for _ in 0..2 {
            let reason = retried(send(&mut output, &events).await);
            assert!(reason.ends_with("500 no room"), "{reason}");
        }
        send(&mut output, &events).await
    };
    let (verdict, _receiver) = tokio::join!(sends, refuse);
    assert!(
        matches!(&verdict, Verdict::Refused { index: 0, code, .. } if code == "relp-500"),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_receiver_that_takes_leave_while_nothing_is_under_way_is_called_again() {
    let (listener, address) = listen().await;
    let mut output = output(&config(address));
    for (n, json) in ["1", "2", "3"].into_iter().enumerate() {
        let (verdict, ()) = meet(&mut output, &[outgoing(json)], async {
            let mut receiver = accept(&listener).await;
            receiver.open().await;
            let txnr = receiver.message(json).await;
            receiver.answer(txnr, "200 OK").await;
            // With and without the hint.
            if n == 0 {
                receiver.say("0 serverclose 0\n").await;
            }
        })
        .await;
        assert_eq!(verdict, DELIVERED);
    }
}

#[tokio::test]
async fn serverclose_returns_what_is_under_way() {
    let (listener, address) = listen().await;
    let mut output = output(&config(address));
    let (verdict, _receiver) = meet(&mut output, &[outgoing("1"), outgoing("2")], async {
        let mut receiver = accept(&listener).await;
        receiver.open().await;
        receiver.message("1").await;
        receiver.message("2").await;
        receiver.say("2 rsp 6 200 OK\n0 serverclose 0\n").await;
        receiver
    })
    .await;
    let Verdict::Retry {
        delivered: 1,
        reason,
        ..
    } = verdict
    else {
        panic!("{verdict:?}");
    };
    assert!(reason.contains("closes the connection"), "{reason}");
}

#[tokio::test]
async fn an_answer_to_nothing_ends_the_connection() {
    let (listener, address) = listen().await;
    let mut output = output(&config(address));
    let (verdict, mut receiver) = meet(&mut output, &[outgoing("1")], async {
        let mut receiver = accept(&listener).await;
        receiver.open().await;
        receiver.message("1").await;
        receiver.answer(77, "200 OK").await;
        receiver
    })
    .await;
    let reason = retried(verdict);
    assert!(reason.contains("transaction 77"), "{reason}");
    assert_eq!(receiver.stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn thousands_of_messages_go_through() {
    const MESSAGES: usize = 5000;
    let (listener, address) = listen().await;
    let mut output = output(&config(address));
    let events: Vec<Outgoing> = (0..MESSAGES).map(|n| outgoing(&n.to_string())).collect();
    let (verdict, _receiver) = meet(&mut output, &events, async {
        let mut receiver = accept(&listener).await;
        receiver.open().await;
        for n in 0..MESSAGES {
            let txnr = receiver.message(&n.to_string()).await;
            receiver.answer(txnr, "200 OK").await;
        }
        receiver
    })
    .await;
    assert_eq!(verdict, DELIVERED);
}
