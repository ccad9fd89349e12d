//! The real binary against simulated services over loopback: a score of compressed polls, outages
//! on both sides, and kill -9 between any two steps. What was published is what arrives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cta_forwarder::clock::SystemClock;
use cta_forwarder::event::EventId;
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::content::{ContentGenerator, PackageSize};
use cta_forwarder::simulator::cta::{
    CtaFault, CtaFaultOn, CtaRequest, CtaRequestKind, CtaRules, CtaService,
};
use cta_forwarder::simulator::hec::{HecFault, HecRules, HecServer};

/// The service's limit, compressed.
const INTERVAL: Duration = Duration::from_millis(150);
/// Events of one request to Splunk.
const IN_REQUEST: usize = 20;
/// All that a kill may send twice: the requests that can be under way at once.
const IN_FLIGHT: usize = 2 * IN_REQUEST;
/// How long anything may take: only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(60);

struct Rig {
    cta: CtaService,
    hec: HecServer,
    generator: ContentGenerator,
    folder: tempfile::TempDir,
    agent: Option<Child>,
    kills: usize,
}

impl Rig {
    fn new(seed: u64) -> Self {
        let rules = CtaRules {
            min_poll_interval: INTERVAL,
            publications_per_part: 3,
            ..CtaRules::default()
        };
        let cta = CtaService::start(rules, Arc::new(SystemClock::new())).unwrap();
        let hec = HecServer::start(HecRules::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        fs::write(folder.path().join("password"), "pass\n").unwrap();
        fs::write(folder.path().join("token"), HecRules::default().token).unwrap();
        let toml = format!(
            r#"
            [state]
            directory = "{path}/state"
            min_free_disk = "1MiB"
            [[service]]
            name = "cta"
            poll_url = "{}"
            username = "user"
            password = {{ file = "{path}/password" }}
            collections = ["{}"]
            schedule = "* * * * * *"
            min_poll_interval = "{}ms"
            initial_lookback = "6d"
            settle = "0s"
            [[output]]
            name = "splunk"
            type = "splunk_hec"
            endpoints = ["{}"]
            token = {{ file = "{path}/token" }}
            max_in_flight = 2
            batch = {{ max_events = {IN_REQUEST}, max_wait = "10ms" }}
            retry = {{ initial = "10ms", max = "50ms" }}
            "#,
            cta.poll_url(),
            CtaRules::COLLECTION,
            INTERVAL.as_millis(),
            hec.url(),
        );
        fs::write(folder.path().join("cta-forwarder.toml"), toml).unwrap();
        let mut rig = Self {
            cta,
            hec,
            generator: ContentGenerator::new(seed),
            folder,
            agent: None,
            kills: 0,
        };
        rig.start();
        rig
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&mut self) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cta-forwarder"))
            .args(["run", "--config"])
            .arg(self.path("cta-forwarder.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.agent = Some(child.unwrap());
    }

    /// kill -9, and a new start.
    fn kill_and_start(&mut self) {
        let mut agent = self.agent.take().unwrap();
        assert_eq!(
            agent.try_wait().unwrap(),
            None,
            "it ended by itself: {}",
            self.log()
        );
        agent.kill().unwrap();
        agent.wait().unwrap();
        self.kills += 1;
        self.start();
    }

    fn publish(&mut self) {
        let publication = self.generator.publication(self.cta.now());
        self.cta.publish(publication);
    }

    /// Waits for so many requests more at the service.
    async fn more_polls(&self, count: usize) {
        let wanted = self.cta.requests().len() + count;
        self.within_limit(self.cta.wait_for_requests(wanted)).await;
    }

    /// Waits for so many requests more at Splunk.
    async fn more_deliveries(&self, count: usize) {
        let wanted = self.hec.requests().len() + count;
        self.within_limit(self.hec.wait_for_requests(wanted)).await;
    }

    async fn within_limit(&self, waiting: impl Future<Output = ()>) {
        let waited = tokio::time::timeout(LIMIT, waiting).await;
        assert!(
            waited.is_ok(),
            "nothing happened for {LIMIT:?}: {}",
            self.log()
        );
    }

    /// Waits until everything that was published is at Splunk, and looks at what is there.
    async fn check(&self) {
        let published: BTreeSet<EventId> = self.cta.published_ids().into_iter().collect();
        let arrived = async {
            loop {
                let delivered = self.hec.event_ids();
                let ids: BTreeSet<EventId> = delivered.iter().copied().collect();
                if ids.is_superset(&published) {
                    return;
                }
                self.hec.wait_for_events(delivered.len() + 1).await;
            }
        };
        self.within_limit(arrived).await;
        let delivered = self.hec.event_ids();
        let ids: BTreeSet<EventId> = delivered.iter().copied().collect();
        assert_eq!(ids, published, "something came that nobody published");
        let duplicates = delivered.len() - ids.len();
        let allowed = self.kills * IN_FLIGHT;
        assert!(
            duplicates <= allowed,
            "{duplicates} duplicates, {allowed} allowed"
        );
        self.check_gate();
    }

    /// Whatever was killed and restarted: no poll came too early.
    fn check_gate(&self) {
        let requests = self.cta.requests();
        let is_poll = |request: &&CtaRequest| request.kind == CtaRequestKind::Poll;
        let polls: Vec<&CtaRequest> = requests.iter().filter(is_poll).collect();
        for pair in polls.windows(2) {
            let opens = pair[0].monotonic + INTERVAL;
            assert!(pair[1].monotonic >= opens, "a poll came too early");
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            // It may have ended; then there is nothing to kill.
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_every_poll() {
    let mut rig = Rig::new(1);
    for _ in 0..20 {
        rig.publish();
        rig.more_polls(1).await;
        rig.kill_and_start();
    }
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_every_delivery() {
    let mut rig = Rig::new(2);
    for _ in 0..20 {
        rig.publish();
        rig.more_deliveries(1).await;
        rig.kill_and_start();
    }
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_a_large_batch() {
    let mut rig = Rig::new(5);
    let generator = rig.generator.clone();
    rig.generator = generator.with_size(PackageSize {
        incidents: 10,
        indicators: 5,
        flows: 10,
        exact: true,
    });
    rig.publish();
    // Each start goes on where the last one was, not at the beginning of the batch.
    for _ in 0..6 {
        rig.more_deliveries(3).await;
        rig.kill_and_start();
    }
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_as_soon_as_something_lies_in_the_spool() {
    let mut rig = Rig::new(3);
    // Splunk is away, so that what is committed stays.
    rig.hec.refuse_connections().await.unwrap();
    for round in 0..10 {
        rig.publish();
        rig.more_polls(1 + round % 3).await;
        rig.kill_and_start();
    }
    rig.hec.accept_connections().await.unwrap();
    rig.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_score_of_polls_with_outages() {
    let mut rig = Rig::new(4);
    for round in 0..20 {
        rig.publish();
        rig.publish();
        match round {
            2 => rig
                .cta
                .set_fault(ArmedFault::times(2, CtaFault::CutAnswer).on(CtaFaultOn::Poll)),
            4 => rig.hec.set_fault(ArmedFault::times(5, HecFault::Reset)),
            6 => rig.cta.refuse_connections().await.unwrap(),
            7 => rig.cta.accept_connections().await.unwrap(),
            9 => rig.hec.set_fault(ArmedFault::times(
                3,
                HecFault::HttpStatus {
                    status: 503,
                    retry_after: None,
                },
            )),
            11 => rig.hec.refuse_connections().await.unwrap(),
            13 => rig.hec.accept_connections().await.unwrap(),
            15 => rig.kill_and_start(),
            17 => rig
                .cta
                .set_fault(ArmedFault::times(2, CtaFault::HangUp).on(CtaFaultOn::Fulfillment)),
            _ => {}
        }
        if round != 6 {
            rig.more_polls(1).await;
        }
    }
    // Nothing that was taken is sent again, but by the kill.
    rig.check().await;
}
