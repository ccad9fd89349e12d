//! Who may ask what: paths, methods, names, connections, certificates.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::{Certificate, Client, Identity};
use rustls::crypto::ring;

use crate::rig::{Rig, Setup};
use crate::watched::{Watched, answer};

const PATHS: [(&str, u16, &str); 8] = [
    ("/", 200, "text/html; charset=utf-8"),
    ("/style.css", 200, "text/css; charset=utf-8"),
    ("/script.js", 200, "text/javascript; charset=utf-8"),
    ("/icon.svg", 200, "image/svg+xml"),
    ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
    ("/healthz", 200, "text/plain; charset=utf-8"),
    ("/status", 200, "application/json"),
    ("/status/", 404, "text/plain; charset=utf-8"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_path_has_its_content_and_its_headers() {
    let watched = Watched::new("").await;
    for (path, status, media) in PATHS {
        for method in ["GET", "HEAD"] {
            let line = format!("{method} {path} HTTP/1.1");
            let answer = watched.send(&[&line, "Host: localhost"]);
            assert_eq!(answer.status, status, "{line}");
            assert_eq!(answer.header("content-type"), Some(media), "{line}");
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            assert!(length > 0, "{line}");
            let expect = if method == "HEAD" { 0 } else { length };
            assert_eq!(answer.body.len(), expect, "{line}");
            let policy = answer.header("content-security-policy").unwrap();
            for part in [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "frame-ancestors 'none'",
            ] {
                assert!(policy.contains(part), "{line}: {policy}");
            }
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    // A question behind it changes nothing, and none of the page's files is asked of others.
    assert_eq!(watched.get("/healthz?x=/").body, "ok\n");
    assert!(!watched.get("/").body.contains("http-equiv=\"Content"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_can_only_be_looked_at() {
    let watched = Watched::new("").await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let line = format!("{method} /status HTTP/1.1");
        let answer = watched.send(&[&line, "Host: localhost", "Content-Length: 0"]);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"));
        assert!(answer.body.contains("only be looked at"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_name_is_refused() {
    let watched = Watched::new("allowed_hosts = [\"forwarder.example.com\"]").await;
    let own = watched.address().to_string();
    let ask = |hosts: &[&str]| {
        let hosts: Vec<String> = hosts.iter().map(|host| format!("Host: {host}")).collect();
        let mut lines = vec!["GET /status HTTP/1.1"];
        lines.extend(hosts.iter().map(String::as_str));
        watched.send(&lines)
    };
    for host in [
        own.as_str(),
        "localhost",
        "LocalHost:1",
        "127.0.0.1:80",
        "[::1]:9185",
        "forwarder.example.com",
        "Forwarder.Example.com:443",
    ] {
        assert_eq!(ask(&[host]).status, 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "",
    ] {
        let answer = ask(&[host]);
        assert_eq!(answer.status, 421, "{host}");
        assert!(answer.body.contains("allowed_hosts"), "{answer:?}");
        assert!(!answer.body.contains("checkpoint"), "{answer:?}");
    }
    assert_eq!(ask(&[]).status, 400);
    assert_eq!(ask(&["localhost", "evil.example"]).status, 400);
    // The name in the request line is the one that counts for others.
    let line = "GET http://evil.example/status HTTP/1.1";
    assert_eq!(watched.send(&[line, "Host: localhost"]).status, 421);
    let long = format!("Host: {}", "e".repeat(10_000));
    let answer = watched.send(&["GET / HTTP/1.1", &long]);
    assert!(
        answer.status == 421 && answer.body.len() < 500,
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_keeps_nobody_out() {
    let watched = Watched::new("max_connections = 2").await;
    let idle = |_| TcpStream::connect(watched.address()).unwrap();
    let mut taken: Vec<TcpStream> = (0..2).map(idle).collect();
    let mut asking = TcpStream::connect(watched.address()).unwrap();
    asking.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    let answer = answer(&mut asking, &["Host: localhost"]);
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    // Who has been quiet for longest has gone.
    assert_eq!(taken[0].read(&mut [0]).unwrap(), 0);
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_a_certificate_opens_the_door() {
    let _ = ring::default_provider().install_default();
    let keys = format!(
        "[admin.tls]\ncert_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n\
         client_names = [\"partner.example.com\"]",
        fixture("server.pem"),
        fixture("server.key"),
        fixture("partners.pem"),
    );
    let watched = Watched::new(&keys).await;
    let url = watched.url();
    assert!(url.starts_with("https://"), "{url}");
    let read = |name: &str| std::fs::read(fixture(name)).unwrap();
    let client = |name: Option<&str>| {
        let ca = Certificate::from_pem(&read("ca.pem")).unwrap();
        let builder = Client::builder().tls_certs_only([ca]).no_proxy();
        let builder = match name {
            None => builder,
            Some(name) => {
                let pem = [read(&format!("{name}.pem")), read(&format!("{name}.key"))].concat();
                builder.identity(Identity::from_pem(&pem).unwrap())
            }
        };
        builder.build().unwrap()
    };
    let healthz = format!("{url}healthz");
    let answer = client(Some("partner")).get(&healthz).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "ok\n");
    assert!(client(None).get(&healthz).send().await.is_err());
    assert!(client(Some("client")).get(&healthz).send().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_section_nothing_listens() {
    let rig = Rig::with(Setup::default());
    rig.more_polls(1).await;
    let (code, said) = rig.command(&["status", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("\"page\"") && !rig.log().contains("status page"));
    let watched = Watched::new("").await;
    let (_, said) = watched.rig.command(&["status", "--json"]);
    assert!(
        said.contains(&format!("\"page\": \"{}\"", watched.url())),
        "{said}"
    );
}
