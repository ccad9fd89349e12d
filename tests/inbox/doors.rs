//! Who gets in: by a password, by a certificate, and one after the other.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, Identity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::sender::{Inboxed, LIMIT, fixture, message_1_1, post_to, told};

fn message() -> String {
    let to = "<t:Destination_Collection_Name>gold</t:Destination_Collection_Name>";
    message_1_1("3", to, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_password_nobody_gets_in() {
    let inboxed =
        Inboxed::new("username = \"vendor\"\npassword = { file = \"{folder}/password\" }");
    let answer = inboxed.post(message()).await;
    assert_eq!((answer.http, answer.in_response_to.as_str()), (401, "3"));
    assert!(
        answer.headers["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Basic ")
    );
    answer.is("UNAUTHORIZED");
    let post = |password: &str| {
        let post = Client::new()
            .post(&inboxed.url)
            .header("Content-Type", "text/xml");
        told(post.basic_auth("vendor", Some(password)).body(message()))
    };
    assert_eq!(post("passs").await.http, 401);
    post("pass").await.is("SUCCESS");
    let activity = inboxed.world.agent.house().board.inbox_activity();
    assert_eq!((activity.strangers, activity.messages), (2, 1));
    // It is changed in its file, and nobody restarts the agent.
    std::fs::write(inboxed.world.folder.path().join("password"), "new\n").unwrap();
    // It is read again once a second at most.
    while post("new").await.http == 401 {}
    assert_eq!(post("pass").await.http, 401);
}

fn tls(more: &str) -> String {
    format!(
        "[inbox.tls]\ncert_file = {:?}\nkey_file = {:?}\n{more}\n",
        fixture("server.pem"),
        fixture("server.key")
    )
}

/// A client that trusts the inbox, with a certificate or without.
fn client(name: Option<&str>) -> Client {
    let read = |name: &str| std::fs::read(Path::new(&fixture(name))).unwrap();
    let ca = Certificate::from_pem(&read("ca.pem")).unwrap();
    let builder = Client::builder().tls_certs_only([ca]);
    let builder = match name {
        None => builder,
        Some(name) => {
            let mut pem = read(&format!("{name}.pem"));
            pem.extend(read(&format!("{name}.key")));
            builder.identity(Identity::from_pem(&pem).unwrap())
        }
    };
    builder.build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_opens_the_door_and_its_name_the_next() {
    let ca = format!("client_ca_file = {:?}", fixture("ca.pem"));
    let inboxed = Inboxed::new(&tls(&ca));
    assert!(inboxed.url.starts_with("https://"));
    let answer = post_to(&client(Some("client")), &inboxed.url, message()).await;
    answer.is("SUCCESS");
    let protocol = "urn:taxii.mitre.org:protocol:https:1.0";
    assert_eq!(answer.headers["x-taxii-protocol"], protocol);
    for stranger in [None, Some("stranger")] {
        let sent = client(stranger)
            .post(&inboxed.url)
            .body(message())
            .send()
            .await;
        assert!(sent.is_err(), "{stranger:?}");
    }
    for (name, http) in [("partner.example.com", 200), ("other.example.com", 403)] {
        let named = format!(
            "client_ca_file = {:?}\nclient_names = [\"a.example.com\", {name:?}]",
            fixture("partners.pem")
        );
        let named = Inboxed::new(&tls(&named));
        let answer = post_to(&client(Some("partner")), &named.url, message()).await;
        assert_eq!(answer.http, http, "{name}");
        answer.is(if http == 200 {
            "SUCCESS"
        } else {
            "UNAUTHORIZED"
        });
        let sent = client(Some("client"))
            .post(&named.url)
            .body(message())
            .send()
            .await;
        assert!(sent.is_err(), "of another authority");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_without_authorities_the_password_counts() {
    let keys = "username = \"vendor\"\npassword = { file = \"{folder}/password\" }\n";
    let inboxed = Inboxed::new(&(keys.to_owned() + &tls("")));
    let post = client(None).post(&inboxed.url).body(message());
    told(post.basic_auth("vendor", Some("pass")))
        .await
        .is("SUCCESS");
    assert_eq!(
        post_to(&client(None), &inboxed.url, message()).await.http,
        401
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_finish_what_he_sends_is_told_so() {
    let inboxed = Inboxed::new("request_timeout = \"50ms\"");
    let address = inboxed.url.split('/').nth(2).unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /inbox HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n<t:Inbox";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(LIMIT, read).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        answer.contains("FAILURE") && answer.contains("inbox.request_timeout"),
        "{answer}"
    );
    inboxed.assert_nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_half_way_leaves_nothing() {
    let mut inboxed = Inboxed::new("max_connections = 1");
    let address = inboxed.url.split('/').nth(2).unwrap().to_owned();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = "POST /inbox HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&[b'x'; 16_000]).await.unwrap();
    }
    // All places are taken by who has gone: whoever comes next gets his turn.
    inboxed.push_to("gold").await.is("SUCCESS");
    inboxed.world.run_for(Duration::from_secs(60)).await;
    inboxed.assert_exactly_once();
}
