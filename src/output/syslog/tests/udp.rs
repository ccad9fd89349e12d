use tokio::net::UdpSocket;

use super::*;

async fn receiver() -> (UdpSocket, Syslog) {
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    (receiver, output(&config(address, SyslogTransport::Udp)))
}

async fn expect(receiver: &UdpSocket, json: &str) {
    let mut datagram = [0; 1000];
    let length = receiver.recv(&mut datagram).await.unwrap();
    assert_eq!(
        std::str::from_utf8(&datagram[..length]).unwrap(),
        message(json)
    );
}

#[tokio::test]
async fn udp_is_one_message_a_datagram() {
    let (receiver, mut output) = receiver().await;
    let events = [outgoing(r#"{"n":1}"#), outgoing(r#"{"n":2}"#)];
    assert_eq!(send(&mut output, &events).await, DELIVERED);
    expect(&receiver, r#"{"n":1}"#).await;
    expect(&receiver, r#"{"n":2}"#).await;
}

#[tokio::test]
async fn several_receivers_are_peers() {
    let (first, second) = (
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
    );
    let mut config = config(first.local_addr().unwrap(), SyslogTransport::Udp);
    config
        .addresses
        .push(second.local_addr().unwrap().to_string());
    let mut output = output(&config);
    output.launch(1, 10, &[outgoing("1")]);
    output.launch(0, 11, &[outgoing("0")]);
    let mut landings = [output.landing().await, output.landing().await];
    landings.sort_by_key(|landing| matches!(landing, Landing::Sent { peer: 1, .. }));
    let expected = [(0, 11), (1, 10)].map(|(peer, flight)| Landing::Sent {
        flight,
        peer,
        verdict: DELIVERED,
        promise: Promise::None,
    });
    assert_eq!(landings, expected);
    expect(&first, "0").await;
    expect(&second, "1").await;
}

#[tokio::test]
async fn udp_to_a_closed_port_of_this_machine_is_tried_again() {
    let (receiver, mut output) = receiver().await;
    let address = receiver.local_addr().unwrap();
    drop(receiver);
    let reason = retried(send(&mut output, &[outgoing("{}")]).await);
    assert!(reason.contains(&address.to_string()), "{reason}");

    let receiver = UdpSocket::bind(address).await.unwrap();
    assert_eq!(send(&mut output, &[outgoing("{}")]).await, DELIVERED);
    expect(&receiver, "{}").await;
}

#[tokio::test]
async fn udp_refuses_what_no_datagram_can_hold() {
    let (receiver, mut output) = receiver().await;
    output.formatter = of_any_size();
    let events = [outgoing("1"), large(70_000), outgoing("3")];
    let verdict = send(&mut output, &events).await;
    assert!(
        matches!(&verdict, Verdict::Refused { index: 1, code, .. } if code == TOO_LARGE),
        "{verdict:?}"
    );
    assert_eq!(send(&mut output, &events[2..]).await, DELIVERED);
    expect(&receiver, "1").await;
    expect(&receiver, "3").await;
}

#[tokio::test]
async fn a_probe_looks_the_name_up() {
    let (_receiver, mut output) = receiver().await;
    assert_eq!(probe(&mut output).await, Ok(()));

    let mut config = config(closed_port().await, SyslogTransport::Udp);
    config.addresses = vec!["127.0.0.1:65536".into()];
    let mut output = super::output(&config);
    let problem = probe(&mut output).await.unwrap_err();
    assert!(problem.reason.contains("127.0.0.1:65536"), "{problem}");
}
