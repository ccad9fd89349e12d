//! Senders that push to the inbox.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::agent::Agent;

/// What the binary may take at most, whatever is pushed: see `docs/reliability.md`.
const MAX_PEAK_MEBIBYTES: u64 = 160;
/// How long an answer may take: only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(120);
const MEBIBYTE: usize = 1 << 20;
const BEGIN: &str = "<t:Inbox_Message message_id=\"1\" \
    xmlns:t=\"http://taxii.mitre.org/messages/taxii_xml_binding-1.1\">";
const BLOCK: &str =
    "<t:Content_Block><t:Content><s:STIX_Package xmlns:s=\"http://stix.mitre.org/stix-1\">";

/// An inbox; what comes to it is a file.
async fn inbox(keys: &str) -> (Agent, String) {
    let mut agent = Agent::start(&format!(
        "[inbox]\nlisten = \"127.0.0.1:0\"\ncollections = [\"c\"]\n{keys}\n\
         [[output]]\nname = \"o\"\ntype = \"file\"\npath = \"{{folder}}/events\"\n"
    ));
    agent.says(&[vec!["inbox listens".to_owned()]]).await;
    let log = agent.log();
    let (_, rest) = log.split_once("inbox listens address=").unwrap();
    let address = rest.split(' ').next().unwrap().to_owned();
    (agent, address)
}

/// Pushes a body of these pieces, each so many times; gives what is answered.
async fn push(address: &str, pieces: &[(&str, usize)]) -> String {
    let length: usize = pieces
        .iter()
        .map(|(piece, times)| piece.len() * times)
        .sum();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /inbox HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let sending = async move {
        for (piece, times) in pieces {
            // As much as goes out at once.
            let at_once = (1 + (64 << 10) / piece.len()).min(*times);
            let many = piece.repeat(at_once);
            for _ in 0..times / at_once {
                // Who is refused may be cut off.
                if write.write_all(many.as_bytes()).await.is_err() {
                    return;
                }
            }
            let rest = piece.repeat(times % at_once);
            let _ = write.write_all(rest.as_bytes()).await;
        }
    };
    let mut answer = Vec::new();
    let reading = read.read_to_end(&mut answer);
    let both = async { tokio::join!(sending, reading) };
    let _ = tokio::time::timeout(LIMIT, both).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn whatever_is_pushed_is_answered_in_bounded_memory() {
    let (agent, address) = inbox("max_connections = 8").await;
    let end = "</s:STIX_Package></t:Content></t:Content_Block></t:Inbox_Message>";
    let deep = "</a>";
    for (what, pieces, status) in [
        (
            "entities",
            &[("<!DOCTYPE a [<!ENTITY b \"c\">]>", 1), (BEGIN, 1)][..],
            "BAD_MESSAGE",
        ),
        (
            "elements inside one another, passed over with their block",
            &[
                (BEGIN, 1),
                (BLOCK, 1),
                ("<a>", 5000),
                (deep, 5000),
                (end, 1),
            ],
            "SUCCESS",
        ),
        (
            "elements inside one another without an end",
            &[
                (BEGIN, 1),
                (BLOCK, 1),
                ("<a>", 20_000),
                (deep, 20_000),
                (end, 1),
            ],
            "BAD_MESSAGE",
        ),
        (
            "a text of fifty mebibytes, passed over with its block",
            &[
                (BEGIN, 1),
                (BLOCK, 1),
                ("text", 50 * MEBIBYTE / 4),
                (end, 1),
            ],
            "SUCCESS",
        ),
        (
            "an attribute of fifty mebibytes",
            &[
                (BEGIN, 1),
                ("<a b=\"", 1),
                ("text", 50 * MEBIBYTE / 4),
                ("\"/></t:Inbox_Message>", 1),
            ],
            "BAD_MESSAGE",
        ),
        (
            "bad blocks without an end",
            &[
                (BEGIN, 1),
                ("<t:Content_Block><x/></t:Content_Block>", 3000),
                ("</t:Inbox_Message>", 1),
            ],
            "BAD_MESSAGE",
        ),
        (
            "destinations without an end",
            &[
                (BEGIN, 1),
                (
                    "<t:Destination_Collection_Name>c</t:Destination_Collection_Name>",
                    100_000,
                ),
                ("</t:Inbox_Message>", 1),
            ],
            "SUCCESS",
        ),
        (
            "more than a message may have",
            &[("x", 300 * MEBIBYTE)],
            "BAD_MESSAGE",
        ),
        (
            "not UTF-8",
            &[(BEGIN, 1), ("\u{80}", 1), ("<", 1)],
            "BAD_MESSAGE",
        ),
    ] {
        let answer = push(&address, pieces).await;
        // Of much more than it takes, the answer may be lost with the connection.
        let is_cut_off =
            answer.is_empty() && pieces.iter().any(|(_, times)| *times == 300 * MEBIBYTE);
        let status = format!("status_type=\"{status}\"");
        assert!(is_cut_off || answer.contains(&status), "{what}: {answer}");
    }
    let peak = agent.peak_mebibytes();
    println!("senders: {peak} MiB");
    assert!(peak <= MAX_PEAK_MEBIBYTES, "{peak} MiB");
}

#[tokio::test]
async fn who_takes_his_time_keeps_no_place_for_ever() {
    let (_agent, address) = inbox("max_connections = 4\nrequest_timeout = \"2s\"").await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head =
            "POST /inbox HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n<\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let whole = [(BEGIN, 1), ("</t:Inbox_Message>", 1)];
    let answer = push(&address, &whole).await;
    assert!(answer.contains("status_type=\"SUCCESS\""), "{answer}");
    for mut stream in slow {
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(LIMIT, read).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
}
