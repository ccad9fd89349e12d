//! An output of the type `syslog` beside the rig's Splunk.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cta_forwarder::event::EventId;
use cta_forwarder::simulator::ServerTls;
use cta_forwarder::simulator::content::{ContentGenerator, PackageSize};
use cta_forwarder::simulator::syslog::{
    SyslogFraming, SyslogReceiver, SyslogRules, SyslogTransport,
};
use futures_util::future::select_all;

use super::{IN_REQUEST, Rig, Setup};

/// The requests that can be under way at once at one address.
pub(crate) const UNDER_WAY: usize = 4 * IN_REQUEST;
/// Few, so that it is seen whether more come twice.
pub(crate) const WINDOW: usize = 5;

/// An agent with Splunk and syslog receivers.
pub(crate) struct SyslogRig {
    pub(crate) rig: Rig,
    /// One after the other at the same address, or one for each address.
    pub(crate) receivers: Vec<SyslogReceiver>,
}

/// RELP with our window.
pub(crate) fn relp() -> SyslogTransport {
    SyslogTransport::Relp {
        window: WINDOW,
        tls: None,
    }
}

/// The same over TLS.
pub(crate) fn relp_tls(server: ServerTls) -> SyslogTransport {
    SyslogTransport::Relp {
        window: WINDOW,
        tls: Some(server),
    }
}

/// A stream over TLS.
pub(crate) fn tls(server: ServerTls) -> SyslogTransport {
    SyslogTransport::Tcp {
        framing: SyslogFraming::OctetCounting,
        tls: Some(server),
    }
}

/// A server with this one of the test certificates, which lets everyone in.
pub(crate) fn server(name: &str) -> ServerTls {
    ServerTls {
        certificate_pem: fs::read_to_string(certificate(&format!("{name}.pem"))).unwrap(),
        key_pem: fs::read_to_string(certificate(&format!("{name}.key"))).unwrap(),
        client_ca_pem: None,
        offers_http2: false,
    }
}

/// The same, which lets only those in whom our authority knows.
pub(crate) fn server_for_known_clients() -> ServerTls {
    let authority = fs::read_to_string(certificate("ca.pem")).unwrap();
    ServerTls {
        client_ca_pem: Some(authority),
        ..server("server")
    }
}

pub(crate) fn certificate(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    folder.join(name)
}

pub(crate) fn receiver(transport: &SyslogTransport) -> SyslogReceiver {
    SyslogReceiver::start(SyslogRules::over(transport.clone())).unwrap()
}

/// Keys that TLS needs: whom to trust.
pub(crate) fn trust() -> String {
    let authority = certificate("ca.pem");
    format!("tls = {{ ca_file = \"{}\" }}\n", authority.display())
}

/// The event of a dead letter.
pub(crate) fn id_of(letter: &serde_json::Value) -> EventId {
    let id = letter["event"]["eventId"].as_str().unwrap();
    id.parse().unwrap()
}

/// The keys of a transport.
fn keys_of(transport: &SyslogTransport) -> String {
    let (name, tls, more) = match transport {
        SyslogTransport::Udp => ("udp", None, String::new()),
        SyslogTransport::Tcp { framing, tls } => {
            let is_lf = *framing == SyslogFraming::LineFeed;
            let framing = if is_lf { "lf" } else { "octet_counting" };
            let name = if tls.is_some() { "tls" } else { "tcp" };
            (name, tls.as_ref(), format!("framing = {framing:?}\n"))
        }
        SyslogTransport::Relp { window, tls } => {
            let name = if tls.is_some() { "relp_tls" } else { "relp" };
            (name, tls.as_ref(), format!("window = {window}\n"))
        }
    };
    let tls = tls.map(|_| trust()).unwrap_or_default();
    format!("transport = {name:?}\n{more}{tls}")
}

impl SyslogRig {
    /// One receiver of this transport.
    pub(crate) fn new(seed: u64, transport: &SyslogTransport) -> Self {
        Self::with(seed, transport, "")
    }

    /// The same with more keys of the output.
    pub(crate) fn with(seed: u64, transport: &SyslogTransport, keys: &str) -> Self {
        let keys = format!("{}{keys}", keys_of(transport));
        Self::of(seed, vec![receiver(transport)], &[], &keys)
    }

    /// These receivers behind these `addresses`, all keys as given.
    pub(crate) fn of(
        seed: u64,
        receivers: Vec<SyslogReceiver>,
        addresses: &[&str],
        keys: &str,
    ) -> Self {
        let addresses = addresses.iter().map(|&address| address.to_owned());
        let theirs = receivers.iter().map(|one| one.address().to_string());
        let addresses: Vec<String> = addresses.chain(theirs).collect();
        let syslog = format!(
            "[[output]]\nname = \"siem\"\ntype = \"syslog\"\naddresses = {addresses:?}\n\
             retry = {{ initial = \"10ms\", max = \"50ms\" }}\n\
             batch = {{ max_events = {IN_REQUEST}, max_wait = \"10ms\" }}\n{keys}"
        );
        let rig = Rig::with(Setup {
            seed,
            outputs: syslog,
            ..Setup::default()
        });
        Self { rig, receivers }
    }

    pub(crate) fn publish(&mut self) {
        self.rig.publish();
    }

    /// Publishes a package of exactly so many events, a multiple of four.
    pub(crate) fn publish_events(&mut self, events: usize) {
        let size = PackageSize {
            incidents: events / 4,
            indicators: 1,
            flows: 4,
            exact: true,
        };
        // Ids do not repeat within a seed.
        let seed = 1_000_000 + self.rig.cta.published_ids().len() as u64;
        let mut generator = ContentGenerator::new(seed).with_size(size);
        let publication = generator.publication(self.rig.cta.now());
        assert_eq!(publication.events.len(), events);
        self.rig.cta.publish(publication);
    }

    /// The receiver that came last.
    pub(crate) fn receiver(&self) -> &SyslogReceiver {
        self.receivers.last().unwrap()
    }

    /// The receiver goes and another one takes its place, at the same port.
    pub(crate) async fn replace_receiver(&mut self, transport: SyslogTransport) {
        let gone = self.receivers.pop().unwrap();
        let port = gone.address().port();
        gone.refuse_connections().await.unwrap();
        assert_eq!((gone.messages_taken(), gone.violations()), (0, vec![]));
        drop(gone);
        let mut rules = SyslogRules::over(transport);
        rules.port = port;
        self.receivers.push(SyslogReceiver::start(rules).unwrap());
    }

    fn published(&self) -> BTreeSet<EventId> {
        self.rig.cta.published_ids().into_iter().collect()
    }

    fn taken(&self) -> Vec<EventId> {
        let receivers = self.receivers.iter();
        receivers.flat_map(SyslogReceiver::event_ids).collect()
    }

    /// What was published and has not come.
    pub(crate) fn missing(&self) -> BTreeSet<EventId> {
        let mut missing = self.published();
        for id in self.taken() {
            missing.remove(&id);
        }
        missing
    }

    /// How many messages came again; nothing came that nobody published.
    pub(crate) fn duplicates(&self) -> usize {
        let taken = self.taken();
        let ids: BTreeSet<EventId> = taken.iter().copied().collect();
        assert!(ids.is_subset(&self.published()), "nobody published that");
        taken.len() - ids.len()
    }

    /// Waits until everything that was published has come, but for these.
    pub(crate) async fn arrived_but(&self, missing: &BTreeSet<EventId>) {
        let arrived = async {
            loop {
                let totals: Vec<usize> = self.totals();
                if self.missing().is_subset(missing) {
                    return;
                }
                let receivers = self.receivers.iter().zip(totals);
                let more = receivers.map(|(one, total)| Box::pin(one.wait_for_messages(total + 1)));
                select_all(more).await;
            }
        };
        self.rig.within_limit(arrived).await;
    }

    /// Waits until everything that was published has come.
    pub(crate) async fn arrived(&self) {
        self.arrived_but(&BTreeSet::new()).await;
    }

    fn totals(&self) -> Vec<usize> {
        let receivers = self.receivers.iter();
        receivers.map(SyslogReceiver::messages_taken).collect()
    }

    /// Waits until so many connections more have ended.
    pub(crate) async fn more_endings(&self, count: usize) {
        let ended = self.receiver().endings().len();
        let more = self.receiver().wait_for_endings(ended + count);
        self.rig.within_limit(more).await;
    }

    /// Waits until so many messages more were taken.
    pub(crate) async fn more_messages(&self, count: usize) {
        let taken = self.receiver().messages_taken();
        let more = self.receiver().wait_for_messages(taken + count);
        self.rig.within_limit(more).await;
    }

    /// Waits until the agent's log has these words.
    pub(crate) async fn logged(&self, words: &str) {
        self.logged_behind(0, words).await;
    }

    /// The same behind the first bytes of the log.
    pub(crate) async fn logged_behind(&self, bytes: usize, words: &str) {
        self.polled_until(|| self.rig.log()[bytes..].contains(words))
            .await;
    }

    /// The receiver is away while events come in, and comes back.
    pub(crate) async fn outage(&mut self) {
        let told = self.rig.log().len();
        self.receiver().refuse_connections().await.unwrap();
        self.publish_events(80);
        self.logged_behind(told, "Connection refused").await;
        self.comes_back().await;
    }

    /// The receiver is there again, on its old port.
    async fn comes_back(&self) {
        while let Err(error) = self.receiver().accept_connections().await {
            // Whoever took the port of a datagram receiver meanwhile gives it back soon.
            assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Our output is held, for this reason and with this mend, and one line of the log says so.
    pub(crate) fn held(&self, reason: &str, mend: &str) {
        let hold = &self.status()["hold"];
        let [told, to_do] = ["reason", "mend"].map(|key| hold[key].as_str().unwrap_or_default());
        assert!(told.contains(reason) && to_do.contains(mend), "{hold}");
        let log = self.rig.log();
        let errors = log.lines().filter(|line| line.contains("ERROR"));
        assert_eq!(errors.filter(|line| line.contains(reason)).count(), 1);
    }

    /// Waits until our output is held no more.
    pub(crate) async fn goes_on(&self) {
        self.polled_until(|| self.status()["hold"].is_null()).await;
    }

    /// Waits until our output owes nothing any more.
    pub(crate) async fn caught_up(&self) {
        self.polled_until(|| self.status()["pending_events"] == 0)
            .await;
    }

    /// The agent goes on polling meanwhile, which is what we can wait for.
    async fn polled_until(&self, is_so: impl Fn() -> bool) {
        let polled = async {
            while !is_so() {
                self.rig.more_polls(1).await;
            }
        };
        self.rig.within_limit(polled).await;
    }

    /// What the status says of our output.
    pub(crate) fn status(&self) -> serde_json::Value {
        let (code, said) = self.rig.command(&["status", "--json"]);
        assert_eq!(code, Some(0), "{said}");
        let mut status: serde_json::Value = serde_json::from_str(&said).unwrap();
        let outputs = status["outputs"].as_array_mut().unwrap();
        outputs.retain(|output| output["name"] == "siem");
        outputs.remove(0)
    }

    /// The end of a test in which nothing was lost: everything is everywhere, so many messages came
    /// twice at most, the receivers have nothing to complain of, and the audit holds.
    pub(crate) async fn check(&mut self, may_come_twice: usize) {
        self.check_but(&BTreeSet::new(), may_come_twice).await;
    }

    /// The same where these may be missing.
    pub(crate) async fn check_but(&mut self, missing: &BTreeSet<EventId>, may_come_twice: usize) {
        // Whatever has happened, delivery goes on.
        self.publish();
        self.arrived_but(missing).await;
        self.rig.arrived().await;
        self.rig.stop_and_audit();
        let twice = self.duplicates();
        assert!(
            twice <= may_come_twice,
            "{twice} came twice, {may_come_twice} may: {}",
            self.rig.log()
        );
        for receiver in &self.receivers {
            assert_eq!(receiver.violations(), []);
        }
    }
}
