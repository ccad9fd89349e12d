//! One agent's life, from its first start to a state in which nothing waits any more.

mod damage;
mod judging;
mod machine;
mod person;
mod pusher;
mod surroundings;
mod turns;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::action::{Action, Target};
use super::known::Known;
use super::store::StoppingTables;
use super::tally::Tally;
use crate::agent::Agent;
use crate::clock::{Clock, SimulatedClock};
use crate::config::Config;
use crate::disk::Disk;
use crate::disk::model::ModelDisk;
use crate::event::EventId;
use crate::letters::{self, Choice};
use crate::simulator::ArmedFault;
use crate::simulator::content::{ContentGenerator, PackageSize};
use crate::simulator::cta::{BadBlock, CtaFault, CtaFaultOn, CtaRules, CtaService};
use crate::simulator::hec::{AckPolicy, HecRules, HecServer};
use crate::state::MemoryTables;
use crate::storage::Storage;
use pusher::Message;
use surroundings::config;
use turns::TICK;

/// The outputs; the second one acknowledges.
pub(super) const OUTPUTS: [&str; 2] = ["plain", "acked"];
/// Events of one request, of which one is in flight at an output.
const IN_FLIGHT: usize = 7;
/// After this long nothing waits any more.
const DRAINED: Duration = Duration::from_secs(3 * 3600);

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
    /// With when the service says that it was.
    published: Vec<(EventId, DateTime<Utc>)>,
    /// Packages that the service has dated back: a window that is polled again is another one.
    late: u64,
    /// Events that a service was told SUCCESS of.
    pushed: BTreeSet<EventId>,
    /// What it has pushed last, if it was not.
    unanswered: Option<Message>,
    /// What is damaged as soon as there is such a thing.
    doomed: Option<Target>,
    /// Things still happen: from its last action on nothing goes wrong any more.
    is_restless: bool,
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
            late: 0,
            pushed: BTreeSet::new(),
            unanswered: None,
            doomed: None,
            is_restless: true,
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
        self.doomed = None;
        self.is_restless = false;
        self.disk.leave_out(None);
        self.disk.stop_after(None);
        self.disk.allow();
        self.disk.set_capacity(None);
        if self.unanswered.is_some() {
            self.push()?;
        }
        self.run_for(DRAINED).await?;
        self.look()?;
        // What a refused step has left in the way goes at the next start.
        self.agent = None;
        self.disk.kill();
        self.start(false)?;
        if !self.agent().house().spool.numbers().is_empty() {
            // One was in place, and the ledger could not be told.
            self.run_for(DRAINED).await?;
        }
        self.judge_the_end()?;
        self.tally.steps = self.disk.steps();
        self.tally.events = self
            .splunk
            .iter()
            .map(|hec| hec.events_taken() as u64)
            .sum();
        self.tally.polls = self.cta.requests().len() as u64;
        self.tally.repairs = self.known.repairs() as u64;
        self.tally.doubts = self.known.doubts as u64;
        Ok(self.tally.clone())
    }

    async fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Publish => {
                let publication = self.generator.publication(self.cta.now());
                let published = publication.events.iter();
                let published = published.map(|id| (*id, publication.published));
                self.published.extend(published);
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
                    let (id, _) = self.published[self.random.usize(..self.published.len())];
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
            Action::SetCheckpoint(to) => self.set_checkpoint(to)?,
            Action::Damage(target) => self.doomed = Some(target),
            Action::PublishLate(seconds) => {
                let dated = self.cta.now() - TimeDelta::seconds(seconds);
                self.publish_late(dated);
            }
            Action::Push => self.push()?,
        }
        Ok(())
    }

    fn agent(&mut self) -> &mut Agent {
        self.agent.as_mut().unwrap()
    }
}
