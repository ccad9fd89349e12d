//! A simulated world: service, Splunk and agent in one process, under a clock that the test moves.
//!
//! Nothing sleeps: the world jumps to the next moment at which somebody wants a turn.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test crate compiles this file and uses a part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a world that cannot be set up has failed the test"
)]

pub(crate) mod logs;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cta_forwarder::agent::Agent;
use cta_forwarder::audit::{Audit, audit};
use cta_forwarder::clock::{Clock, SimulatedClock};
use cta_forwarder::config::{Config, Environment};
use cta_forwarder::event::EventId;
use cta_forwarder::observe::status::Status;
use cta_forwarder::repair;
use cta_forwarder::schedule;
use cta_forwarder::simulator::content::ContentGenerator;
use cta_forwarder::simulator::cta::{CtaRequest, CtaRequestKind, CtaRules, CtaService};
use cta_forwarder::simulator::hec::{HecRules, HecServer};
use cta_forwarder::state::{CollectionKey, CollectionPicture};
use cta_forwarder::taxii::Timestamp;
use cta_forwarder::wake::Wake;
use tokio::sync::watch::Receiver;

/// How often the schedule of these tests ticks.
const TICK: Duration = Duration::from_secs(600);
/// What the content is made from.
pub(crate) const SEED: u64 = 7;
/// More turns than this in one moment, and somebody turns in circles.
const MAX_TURNS_IN_A_MOMENT: u32 = 10_000;

pub(crate) struct World {
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) cta: Arc<CtaService>,
    pub(crate) hec: Arc<HecServer>,
    pub(crate) generator: ContentGenerator,
    /// When something was published, by the service's clock.
    pub(crate) stamps: Vec<DateTime<Utc>>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) agent: Agent,
    toml: String,
    config: Config,
    /// When each poller and each forwarder wants its next turn; none waits to be asked.
    pollers: Vec<Option<Duration>>,
    forwarders: Vec<Option<Duration>>,
    waits_for: Vec<Wake>,
    /// What was done to the spool between two turns.
    spool: Receiver<u64>,
    news: Receiver<u64>,
    next_tick: Duration,
    /// The checkpoints that were seen, to see that none goes back.
    checkpoints: BTreeMap<String, Timestamp>,
}

/// What is particular to a test.
pub(crate) struct Setup {
    pub(crate) rules: CtaRules,
    /// Keys of the service beyond the address and the account.
    pub(crate) service: String,
    /// Keys of `[state]` beyond the directory.
    pub(crate) state: String,
    /// Keys of the file output beyond its path.
    pub(crate) file: String,
    /// Whole sections beyond these; `{hec}` and `{folder}` are filled in.
    pub(crate) outputs: String,
    /// Our clock less the true one.
    pub(crate) clock_error: TimeDelta,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            rules: CtaRules::default(),
            service: String::new(),
            state: String::new(),
            file: String::new(),
            outputs: String::new(),
            clock_error: TimeDelta::zero(),
        }
    }
}

/// When these worlds begin.
pub(crate) fn beginning() -> DateTime<Utc> {
    DateTime::from_timestamp(1_420_070_400, 0).unwrap()
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let clock = Arc::new(SimulatedClock::at(beginning() + setup.clock_error));
        let mut rules = setup.rules;
        // The service's clock is the true one.
        rules.clock_skew -= setup.clock_error;
        let collections = rules.accounts[0].collections.clone();
        let cta = CtaService::start(rules, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let hec = HecServer::start(HecRules::default()).unwrap();
        let folder = folder();
        let mut toml = String::new();
        let path = folder.path().display();
        write!(
            toml,
            "[state]\ndirectory = \"{path}/state\"\nmin_free_disk = \"1MiB\"\n{}\n[[service]]\nname = \"cta\"\n\
             poll_url = \"{}\"\nusername = \"user\"\npassword = {{ file = \"{path}/password\" }}\n\
             collections = {collections:?}\n{}\n[[output]]\nname = \"file\"\ntype = \"file\"\n\
             path = \"{path}/events.jsonl\"\nrotate_bytes = \"1GiB\"\n{}\n{}\n",
            setup.state,
            cta.poll_url(),
            setup.service,
            setup.file,
            setup.outputs,
        )
        .unwrap();
        let toml = toml
            .replace("{hec}", &hec.url())
            .replace("{folder}", &path.to_string());
        std::fs::write(folder.path().join("password"), "pass\n").unwrap();
        std::fs::write(folder.path().join("token"), HecRules::default().token).unwrap();
        let config = load(&folder.path().join("cta-forwarder.toml"), &toml);
        let agent = Agent::build(config.clone(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let mut world = Self {
            clock,
            cta: Arc::new(cta),
            hec: Arc::new(hec),
            generator: ContentGenerator::new(SEED),
            stamps: Vec::new(),
            folder,
            toml,
            config,
            pollers: Vec::new(),
            forwarders: Vec::new(),
            waits_for: Vec::new(),
            spool: agent.house().spool.changes(),
            news: agent.house().spool.news(),
            agent,
            next_tick: TICK,
            checkpoints: BTreeMap::new(),
        };
        world.wake_all();
        world
    }

    /// Ends the agent as it is and starts it anew on the same state.
    pub(crate) fn restart(&mut self) {
        self.restart_after(|_| {});
    }

    /// The same with something done to the state folder while no agent runs.
    pub(crate) fn restart_after(&mut self, meanwhile: impl FnOnce(&Path)) {
        let elsewhere = folder();
        let mut config = self.config.clone();
        config.state.directory = elsewhere.path().join("state");
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        // The old one must be gone before the new one can have its state.
        let parked = Agent::build(config, Arc::clone(&clock)).unwrap();
        drop(std::mem::replace(&mut self.agent, parked));
        meanwhile(&self.config.state.directory);
        self.agent = Agent::build(self.config.clone(), clock).unwrap();
        // As one does that runs.
        let numbers = self.agent.house().spool.numbers();
        repair::check_heads(self.agent.house(), &numbers).unwrap();
        self.wake_all();
    }

    /// The same with another configuration.
    pub(crate) fn restart_with(&mut self, change: impl FnOnce(&str) -> String) {
        self.toml = change(&self.toml);
        self.config = load(&self.folder.path().join("cta-forwarder.toml"), &self.toml);
        self.restart();
    }

    /// Lets time pass until something happens, and drops the agent in the middle of what it is
    /// doing; then starts it anew.
    pub(crate) async fn kill_when(&mut self, time: Duration, moment: impl Future<Output = ()>) {
        let has_come = self.drop_when(time, moment).await;
        assert!(has_come, "the moment has not come");
        self.restart();
    }

    /// Lets time pass, but no further than to a moment in the middle of something; tells whether it
    /// has come. The agent must be started anew after it.
    pub(crate) async fn drop_when(
        &mut self,
        time: Duration,
        moment: impl Future<Output = ()>,
    ) -> bool {
        tokio::select! {
            biased;
            () = moment => true,
            () = self.run_for(time) => false,
        }
    }

    /// Lets time pass, with every turn that somebody wants meanwhile.
    pub(crate) async fn run_for(&mut self, time: Duration) {
        let end = self.clock.now().monotonic + time;
        loop {
            self.turn_all().await;
            let now = self.clock.now().monotonic;
            let wanted = self.pollers.iter().chain(&self.forwarders).flatten().min();
            let next = wanted.map_or(self.next_tick, |wanted| (*wanted).min(self.next_tick));
            if next >= end {
                self.clock.advance(end.saturating_sub(now));
                return;
            }
            self.clock.advance(next.saturating_sub(now));
            if self.next_tick <= next {
                self.next_tick += TICK;
                for (poller, due) in self.agent.pollers().iter_mut().zip(&mut self.pollers) {
                    poller.tick();
                    *due = Some(next);
                }
            }
        }
    }

    /// Publishes a package now, by the service's clock.
    pub(crate) fn publish(&mut self) {
        let stamp = self.cta.now();
        self.stamps.push(stamp);
        self.cta.publish(self.generator.publication(stamp));
    }

    pub(crate) fn publish_to(&mut self, collection: &str) {
        let stamp = self.cta.now();
        self.stamps.push(stamp);
        self.cta
            .publish_to(collection, self.generator.publication(stamp));
    }

    /// A person has set a checkpoint: it may have gone back.
    pub(crate) fn forget_checkpoints(&mut self) {
        self.checkpoints.clear();
    }

    /// The ids in the `file` output, in order.
    pub(crate) fn ids_in_file(&self) -> Vec<EventId> {
        ids_in(&self.folder.path().join("events.jsonl"))
    }

    pub(crate) fn events_in_file(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join("events.jsonl"));
        let text = text.unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn state_folder(&self) -> PathBuf {
        self.config.state.directory.clone()
    }

    /// Everything that was published is in the file, once.
    #[track_caller]
    pub(crate) fn assert_exactly_once(&self) {
        assert_same("the file", &self.cta.published_ids(), &self.ids_in_file());
        self.assert_gate_was_kept();
        self.assert_adds_up();
    }

    /// Everything that was published is at Splunk, once.
    #[track_caller]
    pub(crate) fn assert_exactly_once_at_splunk(&self) {
        assert_same("Splunk", &self.cta.published_ids(), &self.hec.event_ids());
        self.assert_adds_up();
    }

    pub(crate) fn audit(&self) -> Audit {
        audit(self.agent.house()).unwrap()
    }

    /// Every event is where it should be, as far as it is here.
    #[track_caller]
    pub(crate) fn assert_adds_up(&self) {
        let audit = self.audit();
        assert!(audit.ok, "{audit:#?}");
        assert_eq!(audit.differences, Vec::<String>::new());
    }

    /// The service never had to say that a poll came too early.
    #[track_caller]
    pub(crate) fn assert_gate_was_kept(&self) {
        let requests = self.cta.requests();
        let early = requests
            .iter()
            .filter(|request| request.answer.contains("Only one poll"));
        let early: Vec<_> = early.map(|request| request.at).collect();
        assert!(early.is_empty(), "polls that came too early: {early:?}");
    }

    /// The polls that reached the service, in order.
    pub(crate) fn polls(&self) -> Vec<CtaRequest> {
        let mut requests = self.cta.requests();
        requests.retain(|request| request.kind == CtaRequestKind::Poll);
        requests
    }

    /// What the ledger holds, oldest first, without the snapshots.
    pub(crate) fn ledger(&self) -> Vec<serde_json::Value> {
        let folder = self.state_folder().join("ledger");
        let mut segments: Vec<PathBuf> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        segments.sort();
        let texts = segments.iter().map(std::fs::read_to_string);
        let text: String = texts.map(Result::unwrap).collect();
        let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
        records
            .filter(|record: &serde_json::Value| record["type"] != "snapshot")
            .collect()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What is known of a collection.
    pub(crate) fn collection(&self, name: &str) -> CollectionPicture {
        let key = CollectionKey {
            service: "cta".to_owned(),
            collection: name.to_owned(),
        };
        let state = &self.agent.house().state;
        let known = state.look(|picture| picture.collection(&key).cloned());
        known.unwrap_or_default()
    }

    pub(crate) fn checkpoint(&self) -> Option<String> {
        let known = self.collection(CtaRules::COLLECTION);
        known.checkpoint.map(|stamp| stamp.text().to_owned())
    }

    pub(crate) fn status(&self) -> Status {
        Status::take(self.agent.house(), &self.config, true)
    }

    /// The wall clock, as the agent reads it.
    pub(crate) fn utc(&self) -> DateTime<Utc> {
        self.clock.now().utc
    }

    fn wake_all(&mut self) {
        let now = self.clock.now().monotonic;
        self.spool = self.agent.house().spool.changes();
        self.news = self.agent.house().spool.news();
        self.pollers = vec![Some(now); self.agent.pollers().len()];
        self.forwarders = vec![Some(now); self.agent.forwarders().len()];
        self.waits_for = vec![Wake::NOW; self.pollers.len()];
    }

    async fn turn_all(&mut self) {
        let mut turns = 0;
        loop {
            let now = self.clock.now().monotonic;
            let mut turned = false;
            for (index, due) in self.pollers.iter_mut().enumerate() {
                if due.is_some_and(|due| due <= now) {
                    let wake = self.agent.pollers()[index].turn().await;
                    *due = wake.after().map(|wait| now.saturating_add(wait));
                    self.waits_for[index] = wake;
                    turned = true;
                }
            }
            for (index, due) in self.forwarders.iter_mut().enumerate() {
                if due.is_some_and(|due| due <= now) {
                    let forwarder = &mut self.agent.forwarders()[index];
                    let mut wake = forwarder.turn();
                    // However long it takes, the clock stands still meanwhile.
                    while forwarder.is_under_way() {
                        forwarder.landing().await;
                        wake = forwarder.turn();
                    }
                    *due = wake.after().map(|wait| now.saturating_add(wait));
                    turned = true;
                }
            }
            self.look_at_checkpoints();
            if self.spool.has_changed().unwrap() {
                self.spool.mark_unchanged();
                for due in &mut self.forwarders {
                    *due = Some(now);
                }
                self.wake_pollers(|wake| matches!(wake, Wake::SpoolChange(_)));
                turned = true;
            }
            if self.news.has_changed().unwrap() {
                self.news.mark_unchanged();
                self.wake_pollers(|wake| matches!(wake, Wake::News(_)));
                turned = true;
            }
            if !turned {
                assert_eq!(self.agent.house().watchdog.stuck(), None);
                return;
            }
            turns += 1;
            assert!(turns < MAX_TURNS_IN_A_MOMENT, "somebody turns in circles");
        }
    }

    fn wake_pollers(&mut self, is_meant: impl Fn(&Wake) -> bool) {
        let now = self.clock.now().monotonic;
        for (due, wake) in self.pollers.iter_mut().zip(&self.waits_for) {
            if is_meant(wake) {
                *due = Some(now);
            }
        }
    }

    fn look_at_checkpoints(&mut self) {
        let seen = self.agent.house().state.look(|picture| {
            let collections = picture.collections.iter();
            let checkpoint = |(key, known): (&String, &CollectionPicture)| {
                Some((key.clone(), known.checkpoint.clone()?))
            };
            collections.filter_map(checkpoint).collect::<Vec<_>>()
        });
        for (key, checkpoint) in seen {
            let time = checkpoint.time();
            if let Some(before) = self.checkpoints.insert(key, checkpoint) {
                assert!(
                    time >= before.time(),
                    "the checkpoint went back from {before}"
                );
            }
        }
    }
}

/// A folder in memory where there is such a thing: what these tests look at is the order of things,
/// not whether the disk keeps its word.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

#[track_caller]
pub(crate) fn assert_same(place: &str, published: &[EventId], delivered: &[EventId]) {
    let (mut published, mut delivered) = (published.to_vec(), delivered.to_vec());
    published.sort_unstable();
    delivered.sort_unstable();
    let lost = published
        .iter()
        .filter(|id| delivered.binary_search(id).is_err());
    let lost: Vec<_> = lost.collect();
    assert!(
        lost.is_empty(),
        "{} of {} are not at {place}",
        lost.len(),
        published.len()
    );
    assert_eq!(
        delivered.len(),
        published.len(),
        "some came twice to {place}"
    );
    assert_eq!(delivered, published);
}

fn load(path: &Path, toml: &str) -> Config {
    std::fs::write(path, toml).unwrap();
    let environment = Environment::new("forwarder.example");
    match Config::load(path, &environment, schedule::check) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}\n{toml}"),
    }
}

pub(crate) fn ids_in(path: &Path) -> Vec<EventId> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["eventId"].as_str().unwrap().parse().unwrap()
        })
        .collect()
}
