//! One agent's life, from its first start to a state in which nothing waits any more.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};

use super::action::Action;
use super::known::{self, Counts, Known};
use super::store::StoppingTables;
use crate::agent::Agent;
use crate::audit::audit;
use crate::clock::{Clock, SimulatedClock};
use crate::config::{Config, Environment};
use crate::disk::Disk;
use crate::disk::model::ModelDisk;
use crate::event::EventId;
use crate::flatten::{EventSink, FlatEvent};
use crate::letters::{self, Choice};
use crate::poller::{Destination, ManualPoll};
use crate::schedule;
use crate::simulator::ArmedFault;
use crate::simulator::content::{ContentGenerator, PackageSize};
use crate::simulator::cta::{BadBlock, CtaFault, CtaFaultOn, CtaRules, CtaService};
use crate::simulator::hec::{AckPolicy, HecRules, HecServer};
use crate::state::MemoryTables;
use crate::storage::Storage;
use crate::taxii::Timestamp;
use crate::taxii::response::ResponseSink;
use crate::wake::Wake;

/// The outputs; the second one acknowledges.
pub(super) const OUTPUTS: [&str; 2] = ["plain", "acked"];
/// Events of one request, of which one is in flight at an output.
const IN_FLIGHT: usize = 7;
/// How often the schedule ticks.
const TICK: Duration = Duration::from_secs(600);
/// Between two polls, with the gate's margin.
const INTERVAL: Duration = Duration::from_secs(602);
/// After this long nothing waits any more.
const DRAINED: Duration = Duration::from_secs(3 * 3600);
/// More turns than this in one moment, and somebody turns in circles.
const MAX_TURNS_IN_A_MOMENT: u32 = 2000;
/// More starts than this in a row, and it never comes up.
const MAX_STARTS: u32 = 20;

/// An agent, the service that it polls, the receivers, and the machine under it.
pub(super) struct Life {
    pub(super) random: fastrand::Rng,
    pub(super) disk: ModelDisk,
    storage: Storage,
    tables: MemoryTables,
    clock: Arc<SimulatedClock>,
    cta: CtaService,
    splunk: Vec<HecServer>,
    generator: ContentGenerator,
    published: Vec<EventId>,
    _folder: tempfile::TempDir,
    state: PathBuf,
    config: Config,
    agent: Option<Agent>,
    /// When each poller and each forwarder wants its next turn.
    pollers: Vec<Option<Duration>>,
    forwarders: Vec<Option<Duration>>,
    next_tick: Duration,
    known: Known,
    tally: Tally,
    story: String,
    /// What is waited for, in case it never comes.
    under_way: &'static str,
}

/// What has happened, to see that enough does.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    actions: u64,
    crashes: u64,
    kills: u64,
    rolled_back: u64,
    failed_starts: u64,
    doubts: u64,
    polls: u64,
    events: u64,
    steps: u64,
    again: u64,
    letters: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.actions += other.actions;
        self.crashes += other.crashes;
        self.kills += other.kills;
        self.rolled_back += other.rolled_back;
        self.failed_starts += other.failed_starts;
        self.doubts += other.doubts;
        self.polls += other.polls;
        self.events += other.events;
        self.steps += other.steps;
        self.again += other.again;
        self.letters += other.letters;
    }

    /// Whether everything that can happen has.
    pub(super) fn is_rich(&self) -> bool {
        [
            self.crashes,
            self.kills,
            self.rolled_back,
            self.failed_starts,
            self.events,
            self.again,
            self.letters,
        ]
        .iter()
        .all(|count| *count > 0)
    }
}

impl Life {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let beginning = DateTime::from_timestamp(1_420_070_400, 0).unwrap();
        let clock = Arc::new(SimulatedClock::at(beginning));
        let rules = CtaRules {
            publications_per_part: 2,
            gzip: false,
            ..CtaRules::default()
        };
        let cta = CtaService::start(rules, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        let acknowledged = HecRules {
            acknowledgement: Some(AckPolicy::AfterAsked(random.u32(..2))),
            ..HecRules::default()
        };
        let splunk: Vec<HecServer> = [HecRules::default(), acknowledged]
            .into_iter()
            .map(|rules| HecServer::start(rules).unwrap())
            .collect();
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.unwrap();
        let state = folder.path().join("state");
        let disk = ModelDisk::new(Arc::clone(&clock) as Arc<dyn Clock>, random.u64(..))
            .with_folder(folder.path());
        let tables = MemoryTables::default();
        let config = config(&mut random, folder.path(), &cta, &splunk);
        let size = PackageSize {
            incidents: 2,
            indicators: 2,
            flows: 3,
            exact: false,
        };
        Self {
            storage: Storage {
                disk: Disk::on(disk.clone()),
                tables: Arc::new(StoppingTables {
                    disk: disk.clone(),
                    tables: tables.clone(),
                }),
            },
            tables,
            disk,
            clock,
            cta,
            splunk,
            generator: ContentGenerator::new(seed).with_size(size),
            published: Vec::new(),
            _folder: folder,
            state,
            config,
            agent: None,
            pollers: Vec::new(),
            forwarders: Vec::new(),
            next_tick: TICK,
            known: Known::default(),
            tally: Tally::default(),
            story: String::new(),
            under_way: "",
            random,
        }
    }

    /// What happened so far.
    pub(super) fn story(&self) -> &str {
        &self.story
    }

    /// What it waits for now.
    pub(super) fn under_way(&self) -> String {
        format!(
            "{}, {:?} after the start",
            self.under_way,
            self.clock.now().monotonic
        )
    }

    /// Lives through so many actions, and then until nothing waits any more.
    pub(super) async fn live(&mut self, actions: usize) -> Result<Tally, String> {
        self.start(false)?;
        for _ in 0..actions {
            let action = Action::draw(&mut self.random, OUTPUTS.len());
            let steps = self.disk.steps();
            let _ = writeln!(
                self.story,
                "{} at step {steps}: {action:?}",
                self.clock.now().utc
            );
            self.tally.actions += 1;
            self.act(action).await?;
            if self.disk.is_stopped() {
                self.stopped().await?;
            }
        }
        self.disk.leave_out(None);
        self.disk.stop_after(None);
        self.disk.allow();
        self.disk.set_capacity(None);
        self.run_for(DRAINED).await?;
        self.look()?;
        // What a refused step has left in the way goes at the next start.
        self.agent = None;
        self.disk.kill();
        self.start(false)?;
        self.judge_the_end()?;
        self.tally.steps = self.disk.steps();
        self.tally.events = self
            .splunk
            .iter()
            .map(|hec| hec.events_taken() as u64)
            .sum();
        self.tally.polls = self.cta.requests().len() as u64;
        self.tally.doubts = self.known.doubts as u64;
        Ok(self.tally.clone())
    }

    async fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Publish => {
                let publication = self.generator.publication(self.cta.now());
                self.published.extend(&publication.events);
                self.cta.publish(publication);
            }
            Action::Pass(time) => self.run_for(time).await?,
            Action::PollByHand { output } => self.poll_by_hand(output).await?,
            Action::StageAndDrop { is_finished } => self.stage_and_drop(is_finished),
            Action::SpoilABlock => {
                let block = BadBlock::NotStix;
                let fault = ArmedFault::once(CtaFault::BadBlock { block });
                self.cta.set_fault(fault.on(CtaFaultOn::Poll));
            }
            Action::RefuseAnEvent { output } => {
                if !self.published.is_empty() {
                    let id = self.published[self.random.usize(..self.published.len())];
                    self.splunk[output].change_rules(|rules| {
                        rules.refused.insert(id, 6);
                    });
                }
            }
            Action::TakeAll => {
                for splunk in &self.splunk {
                    splunk.change_rules(|rules| rules.refused.clear());
                }
            }
            Action::RetryLetters => {
                let services = self.config.services.clone();
                let house = self.agent().house().clone();
                let _ = letters::retry(&house, &services, &Choice::default(), None, drop);
                self.look()?;
            }
            Action::DropLetters { output } => self.drop_letters(output)?,
            Action::SetClock(seconds) => self.set_clock(seconds).await?,
            Action::WriteBack => self.disk.write_back(&mut self.random),
            Action::StopAt { steps } => self.disk.stop(steps),
            Action::Restart => {
                for forwarder in self.agent().forwarders() {
                    forwarder.close().await;
                }
                self.look()?;
                if !self.disk.is_stopped() {
                    self.agent = None;
                    self.disk.kill();
                    self.start(false)?;
                }
            }
            Action::FillDisk { left } => {
                self.disk.set_capacity(Some(self.disk.used() + left));
            }
            Action::EmptyDisk => self.disk.set_capacity(None),
            Action::Refuse { steps, code } => self.disk.refuse(steps, code),
        }
        Ok(())
    }

    fn agent(&mut self) -> &mut Agent {
        self.agent.as_mut().unwrap()
    }

    /// The machine has stopped: the agent is no more, and what is left is what the disk keeps.
    async fn stopped(&mut self) -> Result<(), String> {
        self.agent = None;
        self.cut_off().await;
        let is_rolled_back = self.lose();
        // From a moment later on, so that the service can tell two starts apart.
        self.clock
            .advance(Duration::from_millis(self.random.u64(1..3000)));
        self.start(is_rolled_back)
    }

    /// Requests of an agent that is no more have come by now, or never come: none comes at a later
    /// time, which would not be the one at which it was sent.
    async fn cut_off(&self) {
        self.cta.refuse_connections().await.unwrap();
        self.cta.accept_connections().await.unwrap();
        for splunk in &self.splunk {
            splunk.refuse_connections().await.unwrap();
            splunk.accept_connections().await.unwrap();
        }
    }

    /// Tells whether the store was lost too.
    fn lose(&mut self) -> bool {
        if self.random.u8(..3) == 0 {
            let _ = writeln!(self.story, "  the process is killed");
            self.tally.kills += 1;
            self.disk.kill();
            return false;
        }
        self.tally.crashes += 1;
        self.disk.crash(&mut self.random);
        let is_rolled_back = self.random.u8(..4) == 0;
        let _ = writeln!(
            self.story,
            "  the machine crashes, store lost: {is_rolled_back}"
        );
        if is_rolled_back {
            self.tally.rolled_back += 1;
            let random = &mut self.random;
            self.tables.crash(|states| random.usize(..states));
        }
        is_rolled_back
    }

    /// Starts until it is up, as systemd does.
    fn start(&mut self, mut is_rolled_back: bool) -> Result<(), String> {
        for _ in 0..MAX_STARTS {
            let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
            let built = Agent::build_on(self.config.clone(), clock, &self.storage);
            let problem = match built {
                Ok(agent) if !self.disk.is_stopped() => {
                    self.agent = Some(agent);
                    return self.started(is_rolled_back);
                }
                Ok(agent) => {
                    drop(agent);
                    "it stopped".to_owned()
                }
                Err(error) => error.to_string(),
            };
            let _ = writeln!(self.story, "  no start: {problem}");
            self.tally.failed_starts += 1;
            if self.disk.is_stopped() {
                is_rolled_back |= self.lose();
            } else {
                // The next start finds what this one has left, and has room.
                self.disk.kill();
                self.disk.set_capacity(None);
            }
        }
        Err("the agent never comes up".to_owned())
    }

    /// What must hold after each start.
    fn started(&mut self, is_rolled_back: bool) -> Result<(), String> {
        let now = self.clock.now().monotonic;
        let agent = self.agent.as_mut().unwrap();
        self.pollers = vec![Some(now); agent.pollers().len()];
        self.forwarders = vec![Some(now); agent.forwarders().len()];
        let house = agent.house().clone();
        let mut doubts = 0;
        let read = house.state.history(|line| {
            if let crate::state::ledger::HistoryLine::Record { record, .. } = line
                && matches!(*record, crate::state::Record::Recovered { .. })
            {
                doubts += 1;
            }
        });
        read.map_err(|error| format!("the ledger cannot be read: {error}"))?;
        let is_doubtful = doubts > self.known.doubts;
        self.known.doubts = self.known.doubts.max(doubts);
        self.look()?;
        self.judge_the_disk()?;
        let delivered: Vec<Counts> = self.splunk.iter().map(counts).collect();
        let again = self.known.note_what_may_come_again(&house, &delivered);
        self.tally.again += again as u64;
        // What a store that was rolled back has forgotten may not have been sent again yet.
        let was_rolled_back = is_rolled_back || self.tally.rolled_back > 0;
        if again > IN_FLIGHT && !was_rolled_back && !is_doubtful {
            return Err(format!("{again} events at one output may come again"));
        }
        Ok(())
    }

    /// What was acknowledged by now; of a machine that has stopped nobody has heard anything.
    fn look(&mut self) -> Result<(), String> {
        if self.disk.is_stopped() {
            return Ok(());
        }
        let agent = self.agent.as_ref().unwrap();
        self.known.look(agent.house())
    }

    fn judge_the_disk(&self) -> Result<(), String> {
        let house = self.agent.as_ref().unwrap().house();
        let found = audit(house).map_err(|error| format!("no audit: {error}"))?;
        if !found.ok {
            return Err(format!("the audit: {:?}", found.differences));
        }
        for folder in ["spool/staging", "quarantine"] {
            let names = self.storage.disk.names(&self.state.join(folder));
            let names = names.map_err(|error| format!("{folder}: {error}"))?;
            if !names.is_empty() {
                return Err(format!("{folder} holds {names:?}"));
            }
        }
        Ok(())
    }

    fn judge_the_end(&mut self) -> Result<(), String> {
        let requests = self.cta.requests();
        let early = requests
            .iter()
            .find(|request| request.answer.contains("Only one poll"));
        if let Some(early) = early {
            return Err(format!("a poll came too early, at {}", early.at));
        }
        let house = self.agent.as_ref().unwrap().house();
        let waiting = house.spool.batches();
        if !waiting.is_empty() {
            return Err(format!("{} batches still wait", waiting.len()));
        }
        let published: BTreeSet<EventId> = self.published.iter().copied().collect();
        for (number, splunk) in self.splunk.iter().enumerate() {
            self.known
                .judge(house, number, &counts(splunk), &published)?;
            let letters = known::letters(house, OUTPUTS[number])?;
            self.tally.letters += letters.len() as u64;
        }
        Ok(())
    }

    async fn poll_by_hand(&mut self, output: Option<usize>) -> Result<(), String> {
        let end = self.cta.now() - TimeDelta::seconds(90);
        let poll = ManualPoll {
            collection: CtaRules::COLLECTION.to_owned(),
            begin: Timestamp::from(end - TimeDelta::hours(1)),
            end: Timestamp::from(end),
            destination: match output {
                Some(number) => Destination::Output(OUTPUTS[number].to_owned()),
                None => Destination::Person,
            },
        };
        let stopped = self.disk.clone();
        let poller = &mut self.agent().pollers()[0];
        tokio::select! {
            biased;
            () = stopped.stopped() => {}
            _ = poller.poll_by_hand(&poll) => {}
        }
        let now = self.clock.now().monotonic;
        self.pollers.fill(Some(now));
        self.forwarders.fill(Some(now));
        self.look()
    }

    fn stage_and_drop(&mut self, is_finished: bool) {
        let now = self.clock.now().utc;
        let spool = Arc::clone(&self.agent().house().spool);
        let Ok(mut staging) = spool.stage("somebody") else {
            return;
        };
        let event = FlatEvent {
            id: EventId::from_bytes([1; 16]),
            record_type: crate::event::RecordType::Flow,
            json: b"{}",
        };
        let _ = staging.event(event).and_then(|()| staging.block_read());
        if is_finished {
            let _ = spool.finish(&mut staging, now, "cta", CtaRules::COLLECTION);
        }
    }

    fn drop_letters(&mut self, output: usize) -> Result<(), String> {
        let house = self.agent().house().clone();
        let name = OUTPUTS[output];
        let there = known::letters(&house, name).unwrap_or_default();
        self.known.dropped[output].extend(there);
        let choice = Choice {
            output: Some(name.to_owned()),
            ..Choice::default()
        };
        let _ = letters::drop(&house, &choice);
        self.look()
    }

    /// Our clock alone. One that is set ahead makes a gate that a start finds look older than it
    /// is, so that an interval passes before anything else happens.
    async fn set_clock(&mut self, seconds: i64) -> Result<(), String> {
        let by = TimeDelta::seconds(seconds);
        self.clock.set_wall_clock(self.clock.now().utc + by);
        self.cta.change_rules(|rules| rules.clock_skew -= by);
        if seconds > 0 {
            self.disk.allow();
            self.run_for(INTERVAL).await?;
        }
        Ok(())
    }

    /// Lets time pass, with every turn that somebody wants meanwhile, until the machine stops.
    async fn run_for(&mut self, time: Duration) -> Result<(), String> {
        let stopped = self.disk.clone();
        let now = self.clock.now().monotonic;
        self.pollers.fill(Some(now));
        self.forwarders.fill(Some(now));
        tokio::select! {
            biased;
            () = stopped.stopped() => Ok(()),
            ran = self.run(time) => ran,
        }
    }

    async fn run(&mut self, time: Duration) -> Result<(), String> {
        let end = self.clock.now().monotonic + time;
        loop {
            self.turn_all().await?;
            let now = self.clock.now().monotonic;
            let wanted = self.pollers.iter().chain(&self.forwarders).flatten().min();
            let next = wanted.map_or(self.next_tick, |wanted| (*wanted).min(self.next_tick));
            if next >= end {
                self.clock.advance(end.saturating_sub(now));
                return Ok(());
            }
            self.clock.advance(next.saturating_sub(now));
            if self.next_tick <= next {
                self.next_tick += TICK;
                self.agent()
                    .pollers()
                    .iter_mut()
                    .for_each(crate::poller::Poller::tick);
                self.pollers.fill(Some(next));
            }
        }
    }

    async fn turn_all(&mut self) -> Result<(), String> {
        let mut spool = self.agent().house().spool.changes();
        for _ in 0..MAX_TURNS_IN_A_MOMENT {
            let now = self.clock.now().monotonic;
            let mut turned = false;
            for index in 0..self.pollers.len() {
                if self.pollers[index].is_some_and(|due| due <= now) {
                    self.under_way = "a poll";
                    let wake = self.agent().pollers()[index].turn().await;
                    self.under_way = "";
                    self.stop_here().await;
                    self.pollers[index] = wake.after().map(|wait| now.saturating_add(wait));
                    self.look()?;
                    turned = true;
                }
            }
            for index in 0..self.forwarders.len() {
                if self.forwarders[index].is_some_and(|due| due <= now) {
                    let wake = self.deliver(index).await;
                    self.forwarders[index] = wake.after().map(|wait| now.saturating_add(wait));
                    turned = true;
                }
            }
            if spool.has_changed().unwrap_or_default() {
                spool.mark_unchanged();
                self.pollers.fill(Some(now));
                self.forwarders.fill(Some(now));
                turned = true;
            }
            if !turned {
                return Ok(());
            }
        }
        Err("somebody turns in circles".to_owned())
    }

    async fn deliver(&mut self, index: usize) -> Wake {
        loop {
            let forwarder = &mut self.agent().forwarders()[index];
            let wake = forwarder.turn();
            self.stop_here().await;
            let forwarder = &mut self.agent().forwarders()[index];
            if !forwarder.is_under_way() {
                return wake;
            }
            self.under_way = "a landing";
            self.agent().forwarders()[index].landing().await;
            self.under_way = "";
        }
    }

    /// A machine that has stopped does nothing more: whoever waits for that is told here.
    ///
    /// It has to ask for that: an answer is read in a `block_on` of its own on this thread, which
    /// takes the wake-ups that come meanwhile for itself.
    async fn stop_here(&mut self) {
        while self.disk.is_stopped() {
            self.under_way = "nothing: the machine has stopped";
            tokio::task::yield_now().await;
        }
    }
}

fn counts(splunk: &HecServer) -> Counts {
    let mut counts = Counts::new();
    for id in splunk.event_ids() {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

fn config(
    random: &mut fastrand::Rng,
    folder: &std::path::Path,
    cta: &CtaService,
    splunk: &[HecServer],
) -> Config {
    let path = folder.display();
    let keep = ["0s", "30d"][random.usize(..2)];
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/ca.pem");
    let mut toml = format!(
        "[state]\ndirectory = \"{path}/state\"\nmin_free_disk = \"1KiB\"\n\
         archive = {{ keep = \"{keep}\" }}\n\
         [[service]]\nname = \"cta\"\npoll_url = \"{}\"\nusername = \"user\"\n\
         password = {{ file = \"{path}/password\" }}\ntls = {{ ca_file = \"{authority}\" }}\n\
         collections = [\"{}\"]\ninitial_lookback = \"12h\"\n",
        cta.poll_url(),
        CtaRules::COLLECTION,
    );
    for (name, splunk) in OUTPUTS.iter().zip(splunk) {
        let acknowledge = *name == "acked";
        let _ = write!(
            toml,
            "[[output]]\nname = \"{name}\"\ntype = \"splunk_hec\"\nendpoints = [\"{}\"]\n\
             token = {{ file = \"{path}/token\" }}\ntls = {{ ca_file = \"{authority}\" }}\n\
             acknowledge = {acknowledge}\nmax_in_flight = 1\n\
             batch = {{ max_events = {IN_FLIGHT}, max_wait = \"1s\" }}\n",
            splunk.url(),
        );
    }
    std::fs::write(folder.join("password"), "pass\n").unwrap();
    std::fs::write(folder.join("token"), HecRules::default().token).unwrap();
    let file = folder.join("cta-forwarder.toml");
    std::fs::write(&file, &toml).unwrap();
    let environment = Environment::new("forwarder.example");
    match Config::load(&file, &environment, schedule::check) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}\n{toml}"),
    }
}
