//! A vendor with paid feeds, a customer with certificates and an agent, and the customer's Splunk.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cta_forwarder::clock::SystemClock;
use cta_forwarder::event::EventId;
use cta_forwarder::simulator::ServerTls;
use cta_forwarder::simulator::content::{ContentGenerator, Publication};
use cta_forwarder::simulator::hec::{HecRules, HecServer};
use cta_forwarder::simulator::vendor::{
    PusherTls, TaxiiVersion, VendorPush, VendorRequest, VendorRules, VendorService,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::net::TcpSocket;

/// How long anything may take: only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    pub(crate) vendor: VendorService,
    pub(crate) splunk: HecServer,
    pub(crate) generator: ContentGenerator,
    folder: tempfile::TempDir,
    /// Bound and not listening: the port is nobody else's, whether or not the agent listens on it.
    inbox: TcpSocket,
    agent: Option<Child>,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What it has said, which must be one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn assert_refused(&self, why: &str) {
        assert_eq!(self.code, Some(1), "{}", self.stdout);
        assert!(self.stderr.contains(why), "{}", self.stderr);
    }
}

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    folder.join(name)
}

fn pem(name: &str) -> String {
    fs::read_to_string(fixture(name)).unwrap()
}

impl Scene {
    /// With a vendor that speaks this version alone, and pushes again what was not taken when it is
    /// told to.
    pub(crate) fn new(version: TaxiiVersion) -> Self {
        Self::pushing_again_after(version, Duration::from_secs(3600))
    }

    /// The same with a vendor that waits so long.
    pub(crate) fn pushing_again_after(version: TaxiiVersion, wait: Duration) -> Self {
        let tls = ServerTls {
            certificate_pem: pem("vendor.pem"),
            key_pem: pem("vendor.key"),
            client_ca_pem: Some(pem("ca.pem")),
            offers_http2: false,
        };
        let pushes_as = PusherTls {
            ca_pem: pem("ca.pem"),
            certificate_pem: pem("vendor.pem"),
            key_pem: pem("vendor.key"),
        };
        let rules = VendorRules {
            versions: vec![version],
            push_again_after: wait,
            ..VendorRules::new(tls, pushes_as)
        };
        let vendor = VendorService::start(&rules, Arc::new(SystemClock::new())).unwrap();
        let splunk = HecServer::start(HecRules::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), HecRules::default().token).unwrap();
        let inbox = TcpSocket::new_v4().unwrap();
        inbox.set_reuseaddr(true).unwrap();
        inbox.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self {
            vendor,
            splunk,
            generator: ContentGenerator::new(46),
            folder,
            inbox,
            agent: None,
        }
    }

    /// The customer buys feeds, outside of TAXII.
    pub(crate) fn buy(&self, feeds: &[&str]) {
        let certificate = pem("client.pem");
        let signed = self
            .vendor
            .sign_contract("customer.com", &certificate, feeds);
        signed.unwrap();
    }

    /// Publishes packages that have events, in one message.
    pub(crate) fn publish(&mut self, feed: &str, packages: usize) {
        let mut publications: Vec<Publication> = Vec::new();
        while publications.len() < packages {
            let publication = self.generator.publication(self.vendor.now());
            if !publication.events.is_empty() {
                publications.push(publication);
            }
        }
        self.vendor.publish(feed, publications);
    }

    /// Where the customer's inbox is.
    pub(crate) fn inbox_url(&self) -> String {
        format!("https://{}/taxii/inbox", self.inbox_address())
    }

    fn inbox_address(&self) -> SocketAddr {
        self.inbox.local_addr().unwrap()
    }

    /// `cta-forwarder taxii`, with the customer's certificate.
    pub(crate) fn taxii(&self, arguments: &[&str]) -> Ended {
        self.run(with_certificate(taxii_command(arguments)))
    }

    /// The same of somebody who has none.
    pub(crate) fn taxii_of_a_stranger(&self, arguments: &[&str]) -> Ended {
        self.run(taxii_command(arguments))
    }

    /// The customer buys Gold and subscribes to it; gives the id of the subscription.
    pub(crate) fn subscribed(&self) -> String {
        self.buy(&["Gold"]);
        let (discovery, inbox) = (self.vendor.discovery_url(), self.inbox_url());
        let at = ["--url", discovery.as_str(), "--push-to", &inbox, "--json"];
        let told = self
            .taxii(&[&["subscribe", "Gold"], &at[..]].concat())
            .json();
        told["subscriptions"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The configuration of an agent that polls one subscription and is pushed to for another, which
    /// should be the same.
    pub(crate) fn configure(&self, polled: &str, pushed: &str) {
        let folder = self.folder.path().display();
        let tls = fixture("");
        let tls = tls.display();
        let toml = format!(
            r#"
            [state]
            directory = "{folder}/state"
            min_free_disk = "1MiB"

            [[service]]
            name = "vendor"
            discovery_url = "{discovery}"
            tls = {{ ca_file = "{tls}vendor-ca.pem", client_cert_file = "{tls}client.pem", client_key_file = "{tls}client.key" }}
            collections = ["Gold"]
            subscriptions = {{ Gold = "{polled}" }}
            schedule = "* * * * * *"
            # What is pushed is not polled as well.
            min_poll_interval = "1d"
            initial_lookback = "all"
            settle = "0s"

            [inbox]
            name = "vendor-push"
            listen = "{inbox}"
            path = "/taxii/inbox"
            collections = ["Gold"]
            subscriptions = {{ Gold = "{pushed}" }}
            tls = {{ cert_file = "{tls}server.pem", key_file = "{tls}server.key", client_ca_file = "{tls}vendor-ca.pem", client_names = ["vendor.example.com"] }}

            [[output]]
            name = "splunk"
            type = "splunk_hec"
            endpoints = ["{splunk}"]
            token = {{ file = "{folder}/token" }}
            retry = {{ initial = "10ms", max = "50ms" }}
            "#,
            discovery = self.vendor.discovery_url(),
            inbox = self.inbox_address(),
            splunk = self.splunk.url(),
        );
        fs::write(self.config(), toml).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("cta-forwarder.toml")
    }

    pub(crate) fn start_agent(&mut self) {
        let mut options = fs::OpenOptions::new();
        let log = options.create(true).append(true);
        let child = program()
            .args(["run", "--config"])
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.open(self.folder.path().join("log")).unwrap())
            .spawn();
        self.agent = Some(child.unwrap());
    }

    /// kill -9
    pub(crate) fn kill_agent(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// SIGTERM, and its end in good order.
    pub(crate) fn stop_agent(&mut self) {
        let mut agent = self.agent.take().unwrap();
        kill_process(Pid::from_child(&agent), Signal::TERM).unwrap();
        let ended = agent.wait().unwrap();
        assert!(ended.success(), "{ended}: {}", self.log());
    }

    /// The sum of every batch holds.
    pub(crate) fn assert_adds_up(&self) {
        let mut command = program();
        command.args(["audit", "--config"]).arg(self.config());
        let audit = self.run(command);
        assert_eq!(audit.code, Some(0), "{}\n{}", audit.stdout, self.log());
    }

    fn run(&self, mut command: Command) -> Ended {
        let output = command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The requests of this name that the vendor has had.
    pub(crate) fn asked(&self, message: &str) -> Vec<VendorRequest> {
        let requests = self.vendor.requests().into_iter();
        requests
            .filter(|request| request.message == message)
            .collect()
    }

    /// Waits until everything that was published to Gold is at Splunk, and nothing else; gives how
    /// much of it is there more than once.
    pub(crate) async fn arrived(&self) -> usize {
        let set = |ids: &[EventId]| ids.iter().copied().collect::<BTreeSet<_>>();
        let published = set(&self.vendor.published_ids("Gold"));
        let arrived = async {
            loop {
                let delivered = self.splunk.event_ids();
                if set(&delivered).is_superset(&published) {
                    return;
                }
                self.splunk.wait_for_events(delivered.len() + 1).await;
            }
        };
        self.within_limit(arrived).await;
        let delivered = self.splunk.event_ids();
        assert_eq!(set(&delivered), published, "{}", self.log());
        delivered.len() - published.len()
    }

    /// The same, and nothing is there more than once.
    pub(crate) async fn delivered(&self) {
        assert_eq!(
            self.arrived().await,
            0,
            "something came twice: {}",
            self.log()
        );
    }

    /// Waits until there ever were so many pushes, and gives the last.
    pub(crate) async fn push(&self, number: usize) -> VendorPush {
        self.within_limit(self.vendor.wait_for_pushes(number)).await;
        self.vendor.pushes().remove(number - 1)
    }

    pub(crate) async fn within_limit(&self, waiting: impl Future<Output = ()>) {
        let waited = tokio::time::timeout(LIMIT, waiting).await;
        assert!(
            waited.is_ok(),
            "nothing happened for {LIMIT:?}: {}\n{:#?}",
            self.log(),
            self.vendor.pushes()
        );
    }

    /// Waits until the agent has polled: what is published from now on is pushed alone.
    pub(crate) async fn polled(&self) {
        let polled = async {
            loop {
                let known = self.vendor.requests().len();
                if !self.asked("Poll_Request").is_empty() {
                    return;
                }
                self.vendor.wait_for_requests(known + 1).await;
            }
        };
        self.within_limit(polled).await;
    }

    /// Waits until the inbox has listened so many times; the log says so.
    pub(crate) async fn listens(&self, times: usize) {
        let listens = async {
            // A file tells nobody that it grows.
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            while self.log().matches("inbox listens").count() < times {
                ticks.tick().await;
            }
        };
        self.within_limit(listens).await;
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            // It may have ended; then there is nothing to kill.
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

/// The binary, without what in the surroundings would change what it does.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cta-forwarder"));
    command
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("CTA_FORWARDER_LOG");
    command
}

/// A command that trusts the vendor.
fn taxii_command(arguments: &[&str]) -> Command {
    let mut command = program();
    command
        .arg("taxii")
        .args(arguments)
        .arg("--ca-file")
        .arg(fixture("vendor-ca.pem"));
    command
}

fn with_certificate(mut command: Command) -> Command {
    command
        .arg("--client-cert-file")
        .arg(fixture("client.pem"))
        .arg("--client-key-file")
        .arg(fixture("client.key"));
    command
}
