//! Each fault, as a sender sees it.

use super::relp::{Sender, sender};
use super::*;

fn reset_or_closed(end: io::Result<String>) -> bool {
    match end {
        Ok(text) => text.is_empty(),
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

/// A RELP receiver, and a sender whose session is open.
async fn scene(fault: SyslogFault) -> (SyslogReceiver, Sender<TcpStream>) {
    let receiver = receiver(SyslogTransport::relp());
    receiver.set_fault(ArmedFault::once(fault));
    let mut sender = sender(&receiver).await;
    sender.open().await;
    (receiver, sender)
}

#[tokio::test]
async fn streams_break_at_the_message_that_the_test_names() {
    for (fault, taken_then) in [
        (SyslogFault::Reset, 2),
        (SyslogFault::HangUp, 2),
        (SyslogFault::AnswerLost, 3),
        (SyslogFault::ServerClose, 2),
    ] {
        let receiver = tcp(SyslogFraming::LineFeed);
        let on = SyslogFaultOn::MessageNumber(2);
        receiver.set_fault(ArmedFault::once(fault.clone()).on(on));
        let mut stream = connect(&receiver).await;
        send(&mut stream, &lines(0..3)).await;
        let end = rest(&mut stream).await;
        if fault == SyslogFault::Reset {
            assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        } else {
            assert_eq!(end.unwrap(), "");
        }
        assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Receiver]);
        assert_eq!(receiver.endings()[0].taken, taken_then, "{fault:?}");
        assert_eq!(receiver.messages_taken(), taken_then);
        assert_eq!(receiver.faults_shown(), 1);
        send(&mut connect(&receiver).await, &lines(0..1)).await;
        receiver.wait_for_messages(taken_then + 1).await;
    }
}

#[tokio::test]
async fn a_black_hole_reads_nothing_and_stays_open() {
    let receiver = tcp(SyslogFraming::LineFeed);
    receiver.set_fault(ArmedFault::once(SyslogFault::BlackHole));
    let mut stream = connect(&receiver).await;
    send(&mut stream, &lines(0..1)).await;
    while receiver.faults_shown() == 0 {
        tokio::task::yield_now().await;
    }
    send(&mut stream, &lines(1..100)).await;
    // Others are read meanwhile.
    for number in 100..110 {
        send(&mut connect(&receiver).await, &lines(number..number + 1)).await;
    }
    assert_eq!(ends(&receiver, 10).await, [SyslogEnd::Orderly; 10]);
    let numbers = taken(&receiver).into_iter();
    assert!(numbers.clone().all(|number| number >= 100), "{numbers:?}");
    receiver.close_connections();
    assert_eq!(ends(&receiver, 11).await[10], SyslogEnd::Receiver);
    assert!(reset_or_closed(rest(&mut stream).await));
}

#[tokio::test]
async fn a_mute_receiver_reads_and_takes_nothing() {
    let receiver = tcp(SyslogFraming::LineFeed);
    let on = SyslogFaultOn::MessageNumber(1);
    receiver.set_fault(ArmedFault::once(SyslogFault::Mute).on(on));
    let mut stream = connect(&receiver).await;
    send(&mut stream, &lines(0..1000)).await;
    drop(stream);
    assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Orderly]);
    assert_eq!(taken(&receiver), [0]);
}

#[tokio::test]
async fn a_late_receiver_takes_all() {
    let receiver = tcp(SyslogFraming::LineFeed);
    receiver.set_fault(ArmedFault::times(
        2,
        SyslogFault::LateAnswer { pause_ms: 1 },
    ));
    send(&mut connect(&receiver).await, &lines(0..3)).await;
    assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Orderly]);
    assert_eq!(taken(&receiver), [0, 1, 2]);
}

#[tokio::test]
async fn connections_fail_before_anything_is_read() {
    for (fault, ends_itself) in [
        (SyslogFault::Reset, true),
        (SyslogFault::HangUp, true),
        (SyslogFault::BlackHole, false),
    ] {
        let receiver = receiver(SyslogTransport::Relp {
            window: 1,
            tls: Some(tls::fixture::server()),
        });
        receiver.set_fault(ArmedFault::once(fault).on(SyslogFaultOn::Connection));
        let address = receiver.address();
        let handshake = tokio::spawn(tls::fixture::connect(address, false));
        if !ends_itself {
            while receiver.faults_shown() == 0 {
                tokio::task::yield_now().await;
            }
            receiver.close_connections();
        }
        assert!(handshake.await.unwrap().is_err());
        assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Receiver]);
        tls::fixture::connect(address, false).await.unwrap();
    }
}

#[tokio::test]
async fn outages_of_all_transports() {
    for transport in [
        SyslogTransport::tcp(SyslogFraming::LineFeed),
        SyslogTransport::relp(),
    ] {
        let receiver = receiver(transport);
        let mut stream = connect(&receiver).await;
        receiver.refuse_connections().await.unwrap();
        assert!(reset_or_closed(rest(&mut stream).await));
        let refused = TcpStream::connect(receiver.address()).await;
        let kind = refused.unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::ConnectionRefused);
        receiver.accept_connections().await.unwrap();
        connect(&receiver).await;
    }
    let receiver = receiver(SyslogTransport::Udp);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(receiver.address()).await.unwrap();
    for number in 0..2 {
        receiver.refuse_connections().await.unwrap();
        receiver.refuse_connections().await.unwrap();
        socket.send(message(9).as_bytes()).await.unwrap();
        // The answer of the system is told at the next turn.
        let refused = socket.recv(&mut [0]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        receiver.accept_connections().await.unwrap();
        receiver.accept_connections().await.unwrap();
        socket.send(message(number).as_bytes()).await.unwrap();
        receiver.wait_for_messages(number + 1).await;
    }
    assert_eq!(taken(&receiver), [0, 1]);
}

#[tokio::test]
async fn datagrams_are_lost() {
    let receiver = receiver(SyslogTransport::Udp);
    let on = SyslogFaultOn::MessageNumber(1);
    receiver.set_fault(ArmedFault::once(SyslogFault::BlackHole).on(on));
    receiver.set_fault(ArmedFault::once(SyslogFault::LateAnswer { pause_ms: 1 }));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for number in 0..3 {
        let message = message(number);
        let sent = socket.send_to(message.as_bytes(), receiver.address());
        sent.await.unwrap();
    }
    receiver.wait_for_messages(2).await;
    assert_eq!(taken(&receiver), [0, 2]);
    assert_eq!(receiver.faults_shown(), 2);
}

#[tokio::test]
async fn a_refused_message_is_not_taken_and_the_next_is() {
    let (receiver, mut sender) = scene(SyslogFault::Code { code: 500 }).await;
    sender.message(0).await;
    sender.message(1).await;
    assert_eq!(sender.answer().await, (2, 500));
    assert_eq!(sender.answer().await, (3, 200));
    assert_eq!(taken(&receiver), [1]);
}

#[tokio::test]
async fn connections_break_before_and_after_a_message_is_taken() {
    for (fault, taken_then) in [
        (SyslogFault::HangUp, 0),
        (SyslogFault::Reset, 0),
        (SyslogFault::AnswerLost, 1),
        (SyslogFault::HalfAnswer, 1),
        (SyslogFault::ServerClose, 0),
    ] {
        let (receiver, mut sender) = scene(fault.clone()).await;
        // A second one, unread, does not keep the end from being in good order.
        sender.message(0).await;
        sender.message(1).await;
        let answers = sender.rest().await;
        match fault {
            SyslogFault::Reset => {
                let kind = answers.unwrap_err().kind();
                assert_eq!(kind, io::ErrorKind::ConnectionReset);
            }
            SyslogFault::HalfAnswer => assert_eq!(answers.unwrap(), "2 rsp 6"),
            SyslogFault::ServerClose => assert_eq!(answers.unwrap(), "0 serverclose 0\n"),
            _ => assert_eq!(answers.unwrap(), ""),
        }
        assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Receiver]);
        assert_eq!(receiver.messages_taken(), taken_then, "{fault:?}");
    }
}

#[tokio::test]
async fn answers_before_a_break_reach_the_sender() {
    let receiver = receiver(SyslogTransport::relp());
    let on = SyslogFaultOn::MessageNumber(3);
    receiver.set_fault(ArmedFault::once(SyslogFault::HangUp).on(on));
    let mut sender = sender(&receiver).await;
    sender.open().await;
    for number in 0..10 {
        sender.message(number).await;
    }
    let answers = sender.rest().await.unwrap();
    assert_eq!(answers, "2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 6 200 OK\n");
    assert_eq!(taken(&receiver), [0, 1, 2]);
}

#[tokio::test]
async fn no_answer_at_all() {
    for fault in [SyslogFault::Mute, SyslogFault::BlackHole] {
        let (receiver, mut sender) = scene(fault).await;
        sender.message(0).await;
        sender.command("close", "").await;
        while receiver.faults_shown() == 0 {
            tokio::task::yield_now().await;
        }
        receiver.refuse_connections().await.unwrap();
        assert!(reset_or_closed(sender.rest().await));
        assert_eq!(receiver.messages_taken(), 0);
    }
}

#[tokio::test]
async fn late_answers_come_in_order_and_swapped_ones_do_not() {
    let (receiver, mut sender) = scene(SyslogFault::LateAnswer { pause_ms: 1 }).await;
    sender.message(0).await;
    sender.message(1).await;
    assert_eq!((sender.answer().await.0, sender.answer().await.0), (2, 3));
    assert_eq!(taken(&receiver), [0, 1]);

    let (receiver, mut sender) = scene(SyslogFault::SwappedAnswer).await;
    sender.message(0).await;
    sender.message(1).await;
    assert_eq!((sender.answer().await.0, sender.answer().await.0), (3, 2));
    assert_eq!(taken(&receiver), [1, 0]);
    receiver.set_fault(ArmedFault::once(SyslogFault::SwappedAnswer));
    sender.message(2).await;
    sender.command("close", "").await;
    assert_eq!((sender.answer().await.0, sender.answer().await.0), (4, 5));
    assert_eq!(taken(&receiver), [1, 0, 2]);
}

#[tokio::test]
async fn answers_that_are_wrong() {
    let (receiver, mut sender) = scene(SyslogFault::WrongTransaction).await;
    sender.message(0).await;
    assert_eq!(sender.answer().await, (500_000_002, 200));
    assert_eq!(receiver.messages_taken(), 0);

    let malformed: SyslogFault = serde_json::from_str(r#"{"fault":"other_answer"}"#).unwrap();
    let (receiver, mut sender) = scene(malformed).await;
    sender.message(0).await;
    sender.command("close", "").await;
    let answers = sender.rest().await.unwrap();
    assert_eq!(answers, "2 rsp x\n3 rsp 6 200 OK\n");
    assert_eq!(receiver.messages_taken(), 0);
}

#[tokio::test]
async fn open_is_refused() {
    let offers: SyslogFault = serde_json::from_str(r#"{"fault":"other_offers"}"#).unwrap();
    let without_version = SyslogFault::OtherOffers {
        offers: "commands=syslog".to_owned(),
    };
    let refused = SyslogFault::Code { code: 500 };
    for (fault, told) in [
        (refused, "500 refused on purpose"),
        (offers, "200 OK\nrelp_version=0\ncommands=eventlog"),
        (without_version, "200 OK\ncommands=syslog"),
    ] {
        let receiver = receiver(SyslogTransport::relp());
        receiver.set_fault(ArmedFault::once(fault).on(SyslogFaultOn::Open));
        let mut sender = sender(&receiver).await;
        sender.command("open", OFFERS).await;
        assert_eq!(sender.frame().await.2, told);
        sender.message(0).await;
        assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Violation]);
        let violation = "\"syslog\" on a connection that was not established";
        assert_eq!(violations(&receiver), [violation]);
    }
}

#[tokio::test]
async fn close_can_fail_too() {
    let receiver = receiver(SyslogTransport::relp());
    receiver.set_fault(ArmedFault::once(SyslogFault::HangUp).on(SyslogFaultOn::Close));
    let mut sender = sender(&receiver).await;
    sender.open().await;
    sender.command("close", "").await;
    assert_eq!(sender.rest().await.unwrap(), "");
    assert_eq!(ends(&receiver, 1).await, [SyslogEnd::Receiver]);
}

#[test]
fn faults_are_written_as_json() {
    let text = r#"{"fault":"code","code":500,"on":{"message_number":3},"times":1}"#;
    let fault: ArmedFault<SyslogFault, SyslogFaultOn> = serde_json::from_str(text).unwrap();
    let expected = ArmedFault::once(SyslogFault::Code { code: 500 });
    assert_eq!(fault, expected.on(SyslogFaultOn::MessageNumber(3)));
    assert_eq!(serde_json::to_string(&fault).unwrap(), text);
}
