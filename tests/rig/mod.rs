//! The real binary against simulated services over loopback, with everything compressed in time.

#![allow(
    dead_code,
    reason = "each test crate compiles this file and uses a part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod disk;
pub(crate) mod leftovers;
pub(crate) mod syslog;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use cta_forwarder::clock::SystemClock;
use cta_forwarder::event::EventId;
use cta_forwarder::simulator::content::{ContentGenerator, Publication};
use cta_forwarder::simulator::cta::{CtaRequest, CtaRequestKind, CtaRules, CtaService};
use cta_forwarder::simulator::hec::{HecRules, HecServer};
use rustix::process::{Pid, Signal, kill_process};

pub(crate) use disk::SmallDisk;

/// The service's limit, compressed.
pub(crate) const INTERVAL: Duration = Duration::from_millis(150);
/// Events of one request to Splunk.
pub(crate) const IN_REQUEST: usize = 20;
/// All that a kill may send twice: the requests that can be under way at once.
pub(crate) const IN_FLIGHT: usize = 2 * IN_REQUEST;
/// How long anything may take: only a failure waits for it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// An agent, and all that it needs.
pub(crate) struct Rig {
    pub(crate) cta: CtaService,
    pub(crate) hec: HecServer,
    pub(crate) generator: ContentGenerator,
    pub(crate) folder: tempfile::TempDir,
    disk: Option<SmallDisk>,
    through: &'static [&'static str],
    agent: Option<Child>,
    /// Events that no poll brings.
    pub(crate) pushed: BTreeSet<EventId>,
    interval: Duration,
    kills: usize,
    /// Where an agent that is started dies.
    pub(crate) dies_at: Option<String>,
}

/// What is particular to a test.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) rules: HecRules,
    /// Keys of `[state]` beyond the directory.
    pub(crate) state: String,
    /// Keys of the service beyond those that all tests share.
    pub(crate) service: String,
    /// Where the state lies, if it has a file system of its own.
    pub(crate) disk: Option<SmallDisk>,
    /// What lies there instead of the state, if anything does.
    pub(crate) on_disk: Option<&'static str>,
    /// Keys of the output `splunk` instead of `max_in_flight`, beyond endpoint, token and waits.
    pub(crate) splunk: Option<String>,
    /// The endpoints, if they are not the one of this rig.
    pub(crate) endpoints: Option<Vec<String>>,
    /// Whole sections beyond these; `{folder}` is filled in.
    pub(crate) outputs: String,
    /// The service's limit, if it is not [`INTERVAL`].
    pub(crate) interval: Option<Duration>,
    /// The test starts the agent itself.
    pub(crate) is_stopped: bool,
    /// What the agent is started by, such as a shell with another umask: its words follow these.
    pub(crate) through: &'static [&'static str],
}

impl Rig {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(Setup {
            seed,
            ..Setup::default()
        })
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let interval = setup.interval.unwrap_or(INTERVAL);
        let rules = CtaRules {
            min_poll_interval: interval,
            publications_per_part: 3,
            ..CtaRules::default()
        };
        let cta = CtaService::start(rules, Arc::new(SystemClock::new())).unwrap();
        let hec = HecServer::start(setup.rules).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        fs::write(folder.path().join("password"), "pass\n").unwrap();
        fs::write(folder.path().join("token"), HecRules::default().token).unwrap();
        let splunk = setup.splunk.unwrap_or_else(|| {
            format!(
                "max_in_flight = 2\n\
                 batch = {{ max_events = {IN_REQUEST}, max_wait = \"10ms\" }}"
            )
        });
        let toml = format!(
            r#"
            [state]
            directory = "{path}/state"
            min_free_disk = "1MiB"
            {}
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
            {}
            [[output]]
            name = "splunk"
            type = "splunk_hec"
            endpoints = {:?}
            token = {{ file = "{path}/token" }}
            retry = {{ initial = "10ms", max = "50ms" }}
            {splunk}
            {}
            "#,
            setup.state,
            cta.poll_url(),
            CtaRules::COLLECTION,
            interval.as_millis(),
            setup.service,
            setup.endpoints.unwrap_or_else(|| vec![hec.url()]),
            setup.outputs.replace("{folder}", &path.to_string()),
        );
        fs::write(folder.path().join("cta-forwarder.toml"), toml).unwrap();
        let mut rig = Self {
            cta,
            hec,
            generator: ContentGenerator::new(setup.seed),
            folder,
            disk: setup.disk,
            through: setup.through,
            agent: None,
            pushed: BTreeSet::new(),
            interval,
            kills: 0,
            dies_at: None,
        };
        if let Some(disk) = &mut rig.disk {
            let place = setup.on_disk.unwrap_or("state");
            disk.mount(&rig.folder.path().join(place));
        }
        if !setup.is_stopped {
            rig.start();
        }
        rig
    }

    /// Runs a script in the folder, where the agent runs.
    #[track_caller]
    pub(crate) fn script(&self, script: &str) {
        let mut shell = self.place("sh");
        let shell = shell.args([
            "-ec",
            &format!("cd '{}'; {script}", self.folder.path().display()),
        ]);
        let done = shell.output().unwrap();
        assert!(done.status.success(), "{script}: {done:?}");
    }

    /// The agent's process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(self.agent.as_ref().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn start(&mut self) {
        let binary = env!("CARGO_BIN_EXE_cta-forwarder");
        let mut command = match self.through {
            [] => self.program(),
            [first, rest @ ..] => {
                let mut command = self.place(first);
                command.args(rest).arg(binary);
                command
            }
        };
        let child = command
            .args(["run", "--config"])
            .arg(self.path("cta-forwarder.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log_file())
            .envs(self.dies_at.iter().map(|at| ("CTA_FORWARDER_CRASH_AT", at)))
            .spawn();
        self.agent = Some(child.unwrap());
    }

    /// How the agent has ended by itself; none while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let ended = self.agent.as_mut()?.try_wait().unwrap();
        if ended.is_some() {
            self.agent = None;
        }
        ended
    }

    /// SIGTERM; its end is for [`Self::ended`] to tell.
    pub(crate) fn tell_to_stop(&self) {
        let pid = Pid::from_child(self.agent.as_ref().unwrap());
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// The binary, where the agent runs.
    fn program(&self) -> Command {
        self.place(env!("CARGO_BIN_EXE_cta-forwarder"))
    }

    /// A program, where the agent runs.
    pub(crate) fn place(&self, program: &str) -> Command {
        match &self.disk {
            Some(disk) => disk.command(program),
            None => Command::new(program),
        }
    }

    /// kill -9, and a new start.
    pub(crate) fn kill_and_start(&mut self) {
        self.kill_and_start_after(|_| {});
    }

    /// The same with something done to the state folder in between.
    pub(crate) fn kill_and_start_after(&mut self, meanwhile: impl FnOnce(&Path)) {
        self.kill();
        meanwhile(&self.path("state"));
        self.start();
    }

    /// kill -9 of an agent that runs.
    pub(crate) fn kill(&mut self) {
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
    }

    /// The most memory that the agent has had, in bytes; none if it has just gone.
    pub(crate) fn peak_memory_bytes(&self) -> Option<u64> {
        let pid = self.agent.as_ref()?.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024)
    }

    /// Starts a command that goes on beside the test; what it says on its standard error goes
    /// behind the agent's log.
    pub(crate) fn start_command(&self, arguments: &[&str]) -> Child {
        let child = self
            .program()
            .args(arguments)
            .arg("--config")
            .arg(self.path("cta-forwarder.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log_file())
            .spawn();
        child.unwrap()
    }

    /// Changes the configuration; for the next start.
    pub(crate) fn change_config(&self, change: impl FnOnce(&str) -> String) {
        let path = self.path("cta-forwarder.toml");
        let toml = fs::read_to_string(&path).unwrap();
        let changed = change(&toml);
        assert_ne!(changed, toml, "nothing was changed");
        fs::write(path, changed).unwrap();
    }

    /// Waits until the log holds this.
    pub(crate) async fn told(&self, text: &str) {
        let told = async {
            while !self.log().contains(text) {
                // A file tells nobody that it grows; every poll of the agent is a sign of life.
                self.cta
                    .wait_for_requests(self.cta.requests().len() + 1)
                    .await;
            }
        };
        self.within_limit(told).await;
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let mut agent = self.agent.take().unwrap();
        let pid = Pid::from_child(&agent);
        kill_process(pid, Signal::TERM).unwrap();
        agent.wait().unwrap()
    }

    /// Publishes what is made for a stamp that lies ahead: no poll can have covered it before all of it is
    /// there, however slow the machine.
    pub(crate) fn publish_ahead(
        &self,
        mut make: impl FnMut(DateTime<Utc>) -> Vec<Publication>,
    ) -> Vec<Publication> {
        let mut ahead = Duration::from_millis(400);
        loop {
            let stamp = self.cta.now() + ahead;
            let publications = make(stamp);
            if self.cta.now() + ahead / 2 < stamp {
                for publication in &publications {
                    self.cta.publish(publication.clone());
                }
                assert!(self.cta.now() < stamp, "this machine stands still");
                return publications;
            }
            ahead *= 2;
        }
    }

    /// Publishes a package that has events.
    pub(crate) fn publish(&mut self) {
        let before = self.cta.published_ids().len();
        while self.cta.published_ids().len() == before {
            let publication = self.generator.publication(self.cta.now());
            self.cta.publish(publication);
        }
    }

    /// Waits for so many requests more at the service.
    pub(crate) async fn more_polls(&self, count: usize) {
        let wanted = self.cta.requests().len() + count;
        self.within_limit(self.cta.wait_for_requests(wanted)).await;
    }

    /// Waits for one request more at the service, or for a word in the log.
    pub(crate) async fn more_polls_or(&self, sign: &str) {
        let wanted = self.cta.requests().len() + 1;
        let polled = self.cta.wait_for_requests(wanted);
        let told = async {
            // A file tells nobody that it grows.
            let mut ticks = tokio::time::interval(INTERVAL);
            while !self.log().contains(sign) {
                ticks.tick().await;
            }
        };
        let either = async {
            tokio::select! {
                () = polled => {}
                () = told => {}
            }
        };
        self.within_limit(either).await;
    }

    /// Waits for so many requests more at Splunk.
    pub(crate) async fn more_deliveries(&self, count: usize) {
        let wanted = self.hec.requests().len() + count;
        self.within_limit(self.hec.wait_for_requests(wanted)).await;
    }

    pub(crate) async fn within_limit(&self, waiting: impl Future<Output = ()>) {
        let waited = tokio::time::timeout(LIMIT, waiting).await;
        assert!(
            waited.is_ok(),
            "nothing happened for {LIMIT:?}: {}",
            self.log()
        );
    }

    /// Waits until everything that was published is at Splunk, and looks at what is there.
    pub(crate) async fn check(&self) {
        self.arrived().await;
        let duplicates = self.duplicates();
        let allowed = self.kills * IN_FLIGHT;
        assert!(
            duplicates <= allowed,
            "{duplicates} duplicates, {allowed} allowed"
        );
        self.check_gate();
    }

    /// Waits until everything that was published is at Splunk.
    pub(crate) async fn arrived(&self) {
        self.arrived_but(&BTreeSet::new()).await;
    }

    /// The same, but for these.
    pub(crate) async fn arrived_but(&self, missing: &BTreeSet<EventId>) {
        let mut published: BTreeSet<EventId> = self.cta.published_ids().into_iter().collect();
        published.retain(|id| !missing.contains(id));
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
    }

    /// Waits until the agent owes nothing any more.
    pub(crate) async fn drained(&self) {
        let drained = async {
            let mut ticks = tokio::time::interval(INTERVAL);
            loop {
                let (code, said) = self.command(&["status", "--json"]);
                // Just started, it may have its state and not yet its socket.
                if code == Some(0) {
                    let status: serde_json::Value = serde_json::from_str(&said).unwrap();
                    let outputs = status["outputs"].as_array().unwrap();
                    if outputs.iter().all(|output| output["pending_events"] == 0) {
                        return;
                    }
                }
                // What it makes of the last answer is told by nothing but its status.
                ticks.tick().await;
            }
        };
        self.within_limit(drained).await;
    }

    /// Stops the agent in order, and audits what it leaves: the sum of every batch holds.
    pub(crate) fn stop_and_audit(&mut self) {
        let ended = self.stop();
        assert!(ended.success(), "{ended}: {}", self.log());
        let (code, said) = self.command(&["audit"]);
        assert_eq!(code, Some(0), "{said}\n{}", self.log());
    }

    /// All that was set aside.
    pub(crate) fn letters(&self) -> Vec<serde_json::Value> {
        let (code, said) = self.command(&["dead-letters", "export", "--all"]);
        assert_eq!(code, Some(0), "{said}");
        // Where there are none, it says so.
        let lines = said.lines().filter(|line| line.starts_with('{'));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Runs a command with the agent's configuration; gives its exit code and what it said: its
    /// standard output, or what is wrong.
    pub(crate) fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self
            .program()
            .args(arguments)
            .arg("--config")
            .arg(self.path("cta-forwarder.toml"))
            .output()
            .unwrap();
        let said = if output.stdout.is_empty() {
            output.stderr
        } else {
            output.stdout
        };
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    /// How many events are at Splunk more than once; nothing is there that nobody published.
    pub(crate) fn duplicates(&self) -> usize {
        let mut published: BTreeSet<EventId> = self.cta.published_ids().into_iter().collect();
        published.extend(&self.pushed);
        let delivered = self.hec.event_ids();
        let ids: BTreeSet<EventId> = delivered.iter().copied().collect();
        assert!(
            ids.is_subset(&published),
            "something came that nobody published"
        );
        delivered.len() - ids.len()
    }

    /// Whatever was killed and restarted: no poll came too early.
    pub(crate) fn check_gate(&self) {
        let requests = self.cta.requests();
        let is_poll = |request: &&CtaRequest| request.kind == CtaRequestKind::Poll;
        let polls: Vec<&CtaRequest> = requests.iter().filter(is_poll).collect();
        for pair in polls.windows(2) {
            let opens = pair[0].monotonic + self.interval;
            assert!(pair[1].monotonic >= opens, "a poll came too early");
        }
    }

    fn log_file(&self) -> fs::File {
        let mut options = fs::OpenOptions::new();
        let log = options.create(true).append(true);
        log.open(self.path("log")).unwrap()
    }

    pub(crate) fn log(&self) -> String {
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
