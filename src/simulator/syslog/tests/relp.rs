//! RELP, as a sender sees it.

use super::*;

/// A sender of RELP that may do as it likes.
pub(super) struct Sender<S> {
    stream: S,
    next: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sender<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, next: 1 }
    }

    /// Sends a command and gives its transaction number.
    pub(super) async fn command(&mut self, name: &str, data: &str) -> u32 {
        let transaction = self.next;
        self.next += 1;
        send(&mut self.stream, &command(transaction, name, data)).await;
        transaction
    }

    pub(super) async fn message(&mut self, number: usize) -> u32 {
        self.command("syslog", &message(number)).await
    }

    /// The next frame that comes: its transaction number, its command and its data.
    pub(super) async fn frame(&mut self) -> (u32, String, String) {
        let transaction = self.word().await.parse().unwrap();
        let command = self.word().await;
        let length: usize = self.word().await.parse().unwrap();
        let mut data = vec![0; length + usize::from(length > 0)];
        self.stream.read_exact(&mut data).await.unwrap();
        let data = String::from_utf8(data).unwrap();
        (transaction, command, data.trim_end_matches('\n').to_owned())
    }

    /// What comes up to a space or the end of a line.
    async fn word(&mut self) -> String {
        let mut word = String::new();
        loop {
            match self.stream.read_u8().await.unwrap() {
                b' ' | b'\n' => return word,
                byte => word.push(char::from(byte)),
            }
        }
    }

    /// Transaction number and code of the next answer.
    pub(super) async fn answer(&mut self) -> (u32, u16) {
        let (transaction, command, data) = self.frame().await;
        assert_eq!(command, "rsp");
        let code = data.split(' ').next().unwrap();
        (transaction, code.parse().unwrap())
    }

    pub(super) async fn open(&mut self) {
        self.command("open", OFFERS).await;
        assert_eq!(self.answer().await, (1, 200));
    }

    pub(super) async fn rest(mut self) -> io::Result<String> {
        rest(&mut self.stream).await
    }
}

pub(super) async fn sender(receiver: &SyslogReceiver) -> Sender<TcpStream> {
    Sender::new(connect(receiver).await)
}

#[tokio::test]
async fn messages_are_acknowledged_each() {
    let receiver = receiver(SyslogTransport::relp());
    let mut sender = sender(&receiver).await;
    sender.command("open", OFFERS).await;
    let (_, _, offers) = sender.frame().await;
    let offers: Vec<&str> = offers.lines().collect();
    assert_eq!((offers[0], offers[1]), ("200 OK", "relp_version=0"));
    assert!(offers[2].starts_with("relp_software="));
    assert_eq!(offers[3], "commands=syslog");
    for number in 0..3 {
        let transaction = sender.message(number).await;
        assert_eq!(sender.answer().await, (transaction, 200));
        // At once, without a wait.
        assert_eq!(receiver.messages_taken(), number + 1);
    }
    assert_eq!(taken(&receiver), [0, 1, 2]);
    assert_eq!(receiver.messages()[0].transaction, Some(2));
    let transaction = sender.command("close", "").await;
    assert_eq!(sender.answer().await, (transaction, 200));
    assert_eq!(sender.rest().await.unwrap(), "");
    assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Orderly]);
    assert_eq!(violations(&receiver), [""; 0]);
}

#[tokio::test]
async fn a_window_full_at_once_and_over_tls() {
    let receiver = receiver(SyslogTransport::Relp {
        window: 50,
        tls: Some(tls::fixture::server()),
    });
    let stream = tls::fixture::connect(receiver.address(), false).await;
    let mut sender = Sender::new(stream.unwrap());
    sender.open().await;
    for round in 0..4 {
        for number in 0..50 {
            sender.message(round * 50 + number).await;
        }
        for _ in 0..50 {
            assert_eq!(sender.answer().await.1, 200);
        }
    }
    assert_eq!(taken(&receiver), (0..200).collect::<Vec<_>>());
    assert_eq!(violations(&receiver), [""; 0]);
}

#[tokio::test]
async fn a_sender_without_close_has_ended_abruptly() {
    let receiver = receiver(SyslogTransport::relp());
    let mut sender = sender(&receiver).await;
    sender.open().await;
    drop(sender);
    assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Abrupt]);
    assert_eq!(violations(&receiver), [""; 0]);
}

#[tokio::test]
async fn more_than_the_window_is_a_violation() {
    let receiver = receiver(SyslogTransport::Relp {
        window: 2,
        tls: None,
    });
    receiver.set_fault(ArmedFault::once(SyslogFault::Mute));
    let mut sender = sender(&receiver).await;
    sender.open().await;
    for number in 0..3 {
        sender.message(number).await;
    }
    assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Violation]);
    let told = ["more than 2 commands without an answer"];
    assert_eq!(violations(&receiver), told);
    assert_eq!(receiver.messages_taken(), 0);
}

#[tokio::test]
async fn what_a_sender_must_not_do_ends_the_connection() {
    let open = command(1, "open", OFFERS);
    for (sent, told) in [
        ("hello\n".to_owned(), "a transaction number"),
        (command(2, "open", OFFERS), "transaction 2 where 1 is next"),
        (command(1, "open", "x=y"), "offers that cannot be read"),
        (command(1, "syslog", &message(0)), "\"syslog\" before open"),
        (
            open.clone() + &command(2, "syslog", &message(0)),
            "\"syslog\" before open was answered",
        ),
        (open.clone() + "2", "bytes before open was answered"),
    ] {
        let receiver = receiver(SyslogTransport::relp());
        let mut stream = connect(&receiver).await;
        send(&mut stream, &sent).await;
        assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Violation], "{sent}");
        assert!(violations(&receiver)[0].starts_with(told), "{sent}");
        assert_eq!(receiver.messages_taken(), 0);
    }
}

#[tokio::test]
async fn what_comes_before_a_violation_is_answered_and_nothing_behind_close() {
    let receiver = receiver(SyslogTransport::relp());
    let mut sender = sender(&receiver).await;
    sender.open().await;
    let sent = command(2, "syslog", &message(0)) + &command(4, "syslog", &message(1));
    send(&mut sender.stream, &sent).await;
    assert_eq!(sender.answer().await, (2, 200));
    assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Violation]);
    assert_eq!(taken(&receiver), [0]);

    let mut sender = self::sender(&receiver).await;
    sender.open().await;
    let sent = command(2, "close", "") + &command(3, "syslog", &message(1));
    send(&mut sender.stream, &sent).await;
    assert_eq!(ends(&receiver, 2).await[1], SyslogEnd::Violation);

    let mut sender = self::sender(&receiver).await;
    sender.open().await;
    sender.command("close", "").await;
    sender.answer().await;
    sender.message(2).await;
    drop(sender);
    assert_eq!(ends(&receiver, 3).await[2], SyslogEnd::Violation);
    assert_eq!(
        violations(&receiver),
        [
            "transaction 4 where 3 is next",
            "\"syslog\" after close",
            "bytes after close"
        ]
    );
    assert_eq!(taken(&receiver), [0]);
}

#[tokio::test]
async fn the_receiver_can_take_leave() {
    let receiver = receiver(SyslogTransport::relp());
    let mut idle = sender(&receiver).await;
    idle.open().await;
    receiver.close_connections();
    assert_eq!(
        idle.frame().await,
        (0, "serverclose".to_owned(), String::new())
    );
    assert_eq!(idle.rest().await.unwrap(), "");
    assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Receiver]);
    let mut next = sender(&receiver).await;
    next.open().await;
    next.message(0).await;
    assert_eq!(next.answer().await, (2, 200));
}
