//! Secrets go where they belong and nowhere else: not to another host by a redirect, not through a
//! proxy, and into no byte that the real binary writes, whatever fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE};
use cta_forwarder::clock::SystemClock;
use cta_forwarder::simulator::ServerTls;
use cta_forwarder::simulator::content::ContentGenerator;
use cta_forwarder::simulator::cta::{Account, CtaRules, CtaService};
use cta_forwarder::simulator::hec::{HecRules, HecServer};
use rustix::process::{Pid, Signal, kill_process};

const USER: &str = "reader";
const PASSWORD: &str = "swordfish-9c41e7";
const TOKEN: &str = "7b1d9f20-token-4c1c-a9d2-55e0c3d2ab17";
const PROXY_USER: &str = "mole";
const PROXY_PASSWORD: &str = "badger-0d52aa";
/// All that is told of the agent over HTTP.
const ADMIN_PATHS: [&str; 5] = ["/", "/status", "/metrics", "/readyz", "/healthz"];
/// How long anything may take: only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(60);

/// A server that answers each request with what is made of its head, and remembers the heads.
struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::serving(move |head, _, stream| {
            let _ = stream.write_all(answer(head).as_bytes());
        })
    }

    /// What looks like TLS to nobody.
    fn without_tls() -> Self {
        Self::start(|_| "this is no TLS\r\n\r\n".to_owned())
    }

    /// A proxy that carries every CONNECT through, and every request that is without TLS.
    fn proxy() -> Self {
        Self::serving(|head, body, stream| {
            let target = head.split(' ').nth(1).unwrap_or_default();
            if let Some(target) = target.strip_prefix("http://") {
                let (host, path) = target.split_once('/').unwrap();
                let mut there = TcpStream::connect(host).unwrap();
                let (_, rest) = head.split_once("\r\n").unwrap();
                let own = |line: &&str| line.to_ascii_lowercase().starts_with("proxy-");
                let rest: Vec<&str> = rest.split("\r\n").filter(|line| !own(line)).collect();
                let rest = rest.join("\r\n");
                let head = format!("POST /{path} HTTP/1.1\r\nConnection: close\r\n{rest}");
                there.write_all(&[head.as_bytes(), body].concat()).unwrap();
                let _ = io::copy(&mut there, stream);
                return;
            }
            let Ok(mut there) = TcpStream::connect(target) else {
                return;
            };
            let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
            let (mut from, mut to) = (stream.try_clone().unwrap(), there.try_clone().unwrap());
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Write);
            });
            let _ = io::copy(&mut there, stream);
        })
    }

    fn serving(serve: impl Fn(&str, &[u8], &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, serve) = (Arc::clone(&heads), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let (seen, serve) = (Arc::clone(&seen), Arc::clone(&serve));
                thread::spawn(move || {
                    let (head, body) = read_request(&mut stream);
                    seen.lock().unwrap().push(head.clone());
                    serve(&head, &body, &mut stream);
                });
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// The head of a request, and its body; of what is no HTTP, what comes at once.
fn read_request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.first() != Some(&0x16) {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
    (head, body)
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// An agent's folder: its configuration, its secrets, its state, and all that it has said.
struct Place {
    folder: tempfile::TempDir,
    /// Beside what is in the folder: standard output and standard error of everything that was run.
    said: Mutex<Vec<u8>>,
}

/// Where its service and its collector are, and what else stands in its configuration.
struct Ends<'a> {
    poll_url: &'a str,
    hec: &'a str,
    keys: &'a str,
}

impl Place {
    fn new(ends: &Ends<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        fs::write(folder.path().join("password"), PASSWORD).unwrap();
        fs::write(folder.path().join("token"), TOKEN).unwrap();
        fs::write(folder.path().join("proxy-password"), PROXY_PASSWORD).unwrap();
        let Ends {
            poll_url,
            hec,
            keys,
        } = ends;
        let keys = keys.replace("{folder}", &path.to_string());
        let collection = CtaRules::COLLECTION;
        let toml = format!(
            r#"
            [state]
            directory = "{path}/state"
            min_free_disk = "1MiB"
            archive = {{ keep_raw = true }}
            [admin]
            listen = "127.0.0.1:0"
            [log.file]
            directory = "{path}/logs"
            [[service]]
            name = "cta"
            poll_url = "{poll_url}"
            username = "{USER}"
            password = {{ file = "{path}/password" }}
            collections = ["{collection}"]
            schedule = "* * * * * *"
            min_poll_interval = "100ms"
            initial_lookback = "6d"
            settle = "0s"
            {keys}
            [[output]]
            name = "splunk"
            type = "splunk_hec"
            endpoints = ["{hec}"]
            token = {{ file = "{path}/token" }}
            retry = {{ initial = "10ms", max = "50ms" }}
            {keys}
            "#
        );
        fs::write(folder.path().join("cta-forwarder.toml"), toml).unwrap();
        Self {
            folder,
            said: Mutex::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary, telling all that it and its libraries can tell.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cta-forwarder"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("cta-forwarder.toml"))
            .env("CTA_FORWARDER_LOG", "trace,cta_forwarder=trace")
            .env("RUST_BACKTRACE", "full")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in ["NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let mut said = self.said.lock().unwrap();
        said.extend_from_slice(&output.stdout);
        said.extend_from_slice(&output.stderr);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What somebody gets who watches the agent.
    fn look_at(&self, path: &str) -> String {
        let said = String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned();
        let (_, url) = said.rsplit_once("status page url=\"http://").unwrap();
        let (address, _) = url.split_once("/\"").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let accept = "Accept: application/openmetrics-text";
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\n{accept}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        self.said.lock().unwrap().extend_from_slice(&answer);
        String::from_utf8(answer).unwrap()
    }

    fn start(&self, environment: &[(&str, String)]) -> Agent<'_> {
        let mut command = self.command(&["run"]);
        command.envs(environment.iter().cloned());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = child.stderr.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Agent {
            place: self,
            child,
            lines,
        }
    }

    /// Looks at every byte that was said or written, but for the secrets' own files.
    #[track_caller]
    fn check_nothing_is_shown(&self, secrets: &[Vec<u8>]) {
        let mut shown = vec![(
            PathBuf::from("what was said"),
            self.said.lock().unwrap().clone(),
        )];
        read_all(self.folder.path(), &mut shown);
        let own = ["password", "token", "proxy-password"].map(|name| self.path(name));
        shown.retain(|(path, _)| !own.contains(path));
        assert!(shown.iter().any(|(path, _)| path.ends_with("lock")));
        assert!(
            shown
                .iter()
                .any(|(path, _)| path.starts_with(self.path("logs")))
        );
        for (path, bytes) in &shown {
            for secret in secrets {
                let at = bytes.windows(secret.len()).position(|part| part == secret);
                if let Some(at) = at {
                    let around = &bytes[at.saturating_sub(300)..(at + 200).min(bytes.len())];
                    panic!(
                        "{} holds a secret: …{}…",
                        path.display(),
                        String::from_utf8_lossy(around)
                    );
                }
            }
        }
    }
}

fn read_all(folder: &Path, shown: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, shown);
        } else if path.extension().is_some_and(|end| end == "zst") {
            let packed = fs::File::open(&path).unwrap();
            shown.push((path, zstd::decode_all(packed).unwrap()));
        } else if let Ok(bytes) = fs::read(&path) {
            shown.push((path, bytes));
        }
    }
}

/// One that runs; what it says is kept.
struct Agent<'a> {
    place: &'a Place,
    child: Child,
    lines: Receiver<String>,
}

impl Agent<'_> {
    /// Waits until it has said this.
    #[track_caller]
    fn wait_for(&self, sign: &str) {
        loop {
            let line = self.lines.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| {
                let said = self.place.said.lock().unwrap();
                panic!("no {sign:?} in {}", String::from_utf8_lossy(&said))
            });
            self.keep(&line);
            if line.contains(sign) {
                return;
            }
        }
    }

    /// Asks everything that can be asked, and stops it.
    fn ask_and_stop(mut self) -> String {
        let mut said = String::new();
        for question in [
            &["status"][..],
            &["status", "--json"],
            &["audit"],
            &["dead-letters", "list"],
            &["dead-letters", "export", "--all"],
            &["check"],
        ] {
            said.push_str(&self.place.run(question));
        }
        for path in ADMIN_PATHS {
            let answer = self.place.look_at(path);
            let is_an_answer = ["HTTP/1.1 200", "HTTP/1.1 503"].contains(&&answer[..12]);
            assert!(is_an_answer, "{answer}");
            said.push_str(&answer);
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap();
        while let Ok(line) = self.lines.recv_timeout(LIMIT) {
            self.keep(&line);
        }
        said
    }

    fn keep(&self, line: &str) {
        let mut said = self.place.said.lock().unwrap();
        said.extend_from_slice(line.as_bytes());
        said.push(b'\n');
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every secret, as it is and as it travels.
fn secrets() -> Vec<Vec<u8>> {
    let mut secrets = vec![PASSWORD.into(), TOKEN.into(), PROXY_PASSWORD.into()];
    for (user, password) in [(USER, PASSWORD), (PROXY_USER, PROXY_PASSWORD)] {
        let basic = format!("{user}:{password}");
        for alphabet in [BASE64_STANDARD, BASE64_URL_SAFE, BASE64_STANDARD_NO_PAD] {
            secrets.push(alphabet.encode(&basic).into());
        }
    }
    secrets
}

fn basic(user: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{user}:{password}"))
    )
}

/// Whoever answers what, the agent's words show no secret.
#[track_caller]
fn check_hidden(answer: impl Fn(&str) -> String + Clone + Send + Sync + 'static, signs: &[&str]) {
    let service = Server::start(answer.clone());
    let collector = Server::start(answer);
    let place = Place::new(&Ends {
        poll_url: &format!("http://{}/poll", service.address),
        hec: &format!("http://{}", collector.address),
        keys: "",
    });
    let agent = place.start(&[]);
    for sign in signs {
        agent.wait_for(sign);
    }
    agent.ask_and_stop();
    place.check_nothing_is_shown(&secrets());
    // It was asked for something, with the secret.
    let heads = service.heads();
    let expected = basic(USER, PASSWORD);
    assert!(
        heads.iter().any(|head| head.contains(&expected)),
        "{heads:#?}"
    );
}

const XML: &str = "Content-Type: application/xml\r\nX-TAXII-Content-Type: urn:taxii.mitre.org:message:xml:1.1\r\n";

#[test]
fn refused_credentials_are_not_told() {
    for status in [
        "401 Unauthorized",
        "403 Forbidden",
        "407 Proxy Authentication Required",
    ] {
        check_hidden(
            move |_| http(status, "WWW-Authenticate: Basic realm=\"x\"\r\n", "no"),
            &["polling is held"],
        );
    }
}

#[test]
fn a_service_that_repeats_what_it_was_sent_is_not_repeated() {
    let authorization = |head: &str| {
        let mut lines = head.lines();
        let line = lines.find(|line| line.to_ascii_lowercase().starts_with("authorization: "));
        line.unwrap_or_default().to_owned()
    };
    let status_message = move |head: &str| {
        format!(
            "<taxii_11:Status_Message xmlns:taxii_11=\"http://taxii.mitre.org/messages/taxii_xml_binding-1.1\" \
             message_id=\"1\" in_response_to=\"1\" status_type=\"DENIED\"><taxii_11:Message>{}</taxii_11:Message>\
             </taxii_11:Status_Message>",
            authorization(head)
        )
    };
    check_hidden(
        move |head| http("200 OK", XML, &status_message(head)),
        &["polling is held"],
    );
    check_hidden(
        move |head| http("403 Forbidden", XML, &status_message(head)),
        &["polling is held"],
    );
    check_hidden(|head| http("500 Oh", "", head), &["the same window again"]);
    check_hidden(|head| http("200 OK", "", head), &["the answer is useless"]);
    check_hidden(|head| format!("{head}\r\n\r\n"), &["the same window again"]);
}

#[test]
fn a_redirect_carries_nothing_to_another_host() {
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let elsewhere = Server::start(|_| http("200 OK", "", ""));
        let location = format!("Location: http://{}/poll\r\n", elsewhere.address);
        check_hidden(
            move |_| http(status, &location, ""),
            &["poll_url has moved"],
        );
        assert_eq!(elsewhere.heads(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_one_of_the_collector() {
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let elsewhere = Server::start(|_| http("200 OK", "", ""));
        let location = format!("Location: http://{}/\r\n", elsewhere.address);
        check_collector_hidden(
            move |_| http(status, &location, ""),
            "the endpoint redirects",
        );
        assert_eq!(elsewhere.heads(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_repeats_what_it_was_sent_is_not_repeated() {
    let json = |head: &str, code: u8| {
        let text = serde_json::to_string(head).unwrap();
        format!("{{\"text\":{text},\"code\":{code}}}")
    };
    for (status, code, sign) in [
        ("403 Forbidden", 4, "is held"),
        ("401 Unauthorized", 2, "is held"),
        ("400 Bad Request", 6, "set aside"),
        ("400 Bad Request", 99, "is held"),
        ("503 Service Unavailable", 9, "tried again"),
    ] {
        check_collector_hidden(move |head| http(status, "", &json(head, code)), sign);
    }
    for (status, sign) in [
        ("403 Forbidden", "is held"),
        ("500 Oh", "tried again"),
        ("200 OK", "tried again"),
    ] {
        check_collector_hidden(move |head| http(status, "", head), sign);
    }
}

#[test]
fn what_is_wrong_with_tls_shows_nothing() {
    let no_tls = Server::without_tls();
    let key = fs::read_to_string(fixture("client.key")).unwrap();
    let tls = format!(
        "tls = {{ ca_file = {:?}, client_cert_file = {:?}, client_key_file = {:?} }}",
        fixture("ca.pem"),
        fixture("client.pem"),
        fixture("client.key")
    );
    let place = Place::new(&Ends {
        poll_url: &format!("https://{}/poll", no_tls.address),
        hec: &format!("https://{}", no_tls.address),
        keys: &tls,
    });
    let agent = place.start(&[]);
    agent.wait_for("the same window again");
    agent.ask_and_stop();
    let lines = key.lines().filter(|line| !line.starts_with("---"));
    let mut hidden = secrets();
    hidden.extend(lines.map(|line| line.as_bytes().to_vec()));
    place.check_nothing_is_shown(&hidden);
    // Nothing was sent in the clear.
    for head in no_tls.heads() {
        assert_eq!(head.as_bytes()[0], 0x16, "{head:?}");
    }
}

/// How the agent learns of its proxy.
#[derive(Debug, Clone, Copy)]
enum ProxyFrom {
    Environment,
    Configuration,
}

impl ProxyFrom {
    const BOTH: [Self; 2] = [Self::Environment, Self::Configuration];

    fn environment(self, proxy: &Server) -> Vec<(&'static str, String)> {
        let address = proxy.address;
        let url = format!("http://{PROXY_USER}:{PROXY_PASSWORD}@{address}");
        match self {
            Self::Environment => vec![("HTTPS_PROXY", url)],
            Self::Configuration => Vec::new(),
        }
    }

    fn keys(self, proxy: &Server) -> String {
        let address = proxy.address;
        match self {
            Self::Environment => String::new(),
            Self::Configuration => format!(
                "proxy = \"http://{address}\"\nproxy_username = \"{PROXY_USER}\"\n\
                 proxy_password = {{ file = \"{{folder}}/proxy-password\" }}\n"
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_learns_nothing_of_the_target_and_the_target_nothing_of_the_proxy() {
    for from in ProxyFrom::BOTH {
        check_proxy_and_target(from);
    }
}

fn check_proxy_and_target(from: ProxyFrom) {
    let proxy = Server::proxy();
    let service = service_with_events();
    let collector = HecServer::start(HecRules {
        token: TOKEN.to_owned(),
        tls: Some(ServerTls {
            certificate_pem: fs::read_to_string(fixture("server.pem")).unwrap(),
            key_pem: fs::read_to_string(fixture("server.key")).unwrap(),
            client_ca_pem: None,
            offers_http2: false,
        }),
        ..HecRules::default()
    })
    .unwrap();
    let place = Place::new(&Ends {
        poll_url: &service.poll_url(),
        hec: &collector.url(),
        keys: &format!(
            "tls = {{ ca_file = \"{}\" }}\n{}",
            fixture("ca.pem").display(),
            from.keys(&proxy)
        ),
    });
    let agent = place.start(&from.environment(&proxy));
    agent.wait_for("delivered");
    agent.ask_and_stop();
    place.check_nothing_is_shown(&secrets());

    let heads = proxy.heads();
    assert!(heads.iter().any(|head| head.starts_with("CONNECT ")));
    for head in heads {
        // What is without TLS is for the proxy to read, unless only HTTPS goes through it.
        let is_poll =
            head.starts_with("POST http://127.0.0.1:") && matches!(from, ProxyFrom::Configuration);
        assert!(is_poll || head.starts_with("CONNECT 127.0.0.1:"), "{head}");
        assert!(head.contains(&basic(PROXY_USER, PROXY_PASSWORD)), "{head}");
        assert!(!head.contains(TOKEN) && !head.contains("Splunk"), "{head}");
    }
    let requests = collector.requests();
    assert!(requests.iter().any(|request| request.taken > 0));
    for request in requests {
        let values = request.headers.iter().map(|(_, value)| value.as_str());
        let about_proxy = basic(PROXY_USER, PROXY_PASSWORD);
        assert!(values.clone().all(|value| value != about_proxy));
        let names = request.headers.iter().map(|(name, _)| name.as_str());
        assert!(
            names.clone().all(|name| !name.starts_with("proxy-")),
            "{request:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_refuses_is_told_without_its_password() {
    for from in ProxyFrom::BOTH {
        check_proxy_refuses(from);
    }
}

fn check_proxy_refuses(from: ProxyFrom) {
    let proxy = Server::start(|_| http("407 Proxy Authentication Required", "", "no"));
    let service = service_with_events();
    let place = Place::new(&Ends {
        poll_url: &service.poll_url(),
        hec: "https://127.0.0.1:9",
        keys: &from.keys(&proxy),
    });
    let agent = place.start(&from.environment(&proxy));
    match from {
        ProxyFrom::Environment => agent.wait_for("POST to https://127.0.0.1:9"),
        // The poll is the first that it refuses.
        ProxyFrom::Configuration => agent.wait_for("polling is held"),
    }
    let said = agent.ask_and_stop();
    assert!(said.contains("proxy_password"), "{said}");
    place.check_nothing_is_shown(&secrets());
    assert!(proxy.heads().iter().all(|head| !head.contains(TOKEN)));
}

/// A service that gives events to whoever has the password.
fn service_with_events() -> CtaService {
    let collection = CtaRules::COLLECTION.to_owned();
    let rules = CtaRules {
        accounts: vec![Account {
            username: USER.to_owned(),
            password: PASSWORD.to_owned(),
            collections: vec![collection],
        }],
        min_poll_interval: Duration::from_millis(50),
        ..CtaRules::default()
    };
    let service = CtaService::start(rules, Arc::new(SystemClock::new())).unwrap();
    let mut generator = ContentGenerator::new(5);
    while service.published_ids().is_empty() {
        service.publish(generator.publication(service.now()));
    }
    service
}

/// Whatever the collector answers, the agent's words show no secret.
#[track_caller]
fn check_collector_hidden(answer: impl Fn(&str) -> String + Send + Sync + 'static, sign: &str) {
    let service = service_with_events();
    let collector = Server::start(answer);
    let place = Place::new(&Ends {
        poll_url: &service.poll_url(),
        hec: &format!("http://{}", collector.address),
        keys: "",
    });
    let agent = place.start(&[]);
    agent.wait_for(sign);
    agent.ask_and_stop();
    place.check_nothing_is_shown(&secrets());
    let heads = collector.heads();
    assert!(heads.iter().any(|head| head.contains(TOKEN)), "{heads:#?}");
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tls")
        .join(name)
}
