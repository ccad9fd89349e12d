//! A life of an agent: what happens in it, its death, and how it goes on.

mod damage;
mod pushed;
mod story;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound as _, Utc};
use cta_forwarder::crash::Point;
use cta_forwarder::event::EventId;
use cta_forwarder::simulator::content::{ContentGenerator, PackageSize, Publication};
use cta_forwarder::simulator::hec::{AckPolicy, HecRules};
use rustix::process::Signal;

use super::deaths::{self, Death};
use super::rig::syslog::id_of;
use super::rig::{IN_REQUEST, LIMIT, Rig, Setup, leftovers};
pub(crate) use story::Story;

/// How often it is looked at what tells nobody of itself.
const TICK: Duration = Duration::from_millis(10);
/// Longer than a death and its recovery: a poll after that comes too early, if the agent has forgotten
/// the last one.
const LONG_INTERVAL: Duration = Duration::from_secs(3);
/// Packages of one window: a second part, and several requests.
const PACKAGES: usize = 5;

pub(crate) struct Life {
    rig: Rig,
    death: Death,
    published: BTreeSet<EventId>,
    /// What Splunk takes from nobody.
    refused: BTreeMap<EventId, u8>,
    /// What a person or the damage itself has given up.
    given_up: BTreeSet<EventId>,
    /// Events that must come once more.
    comes_again: usize,
    /// A message that was pushed and not answered.
    unanswered: Option<String>,
    has_died: bool,
}

impl Life {
    /// Everything is ready; the agent was never started.
    pub(crate) fn begin(seed: u64, death: &Death) -> Self {
        let acknowledges = death.acknowledges;
        let acknowledgement = if acknowledges {
            "acknowledge = true\nack_timeout = \"1s\"\nack_interval = \"20ms\"\n\
             max_outstanding_acks = 2\n"
        } else {
            ""
        };
        let splunk = format!(
            "{acknowledgement}max_in_flight = 1\n\
             batch = {{ max_events = {IN_REQUEST}, max_wait = \"10ms\" }}"
        );
        // What is done goes at once, or later.
        let keep = match death.point {
            Point::Trashed => "0s",
            _ => death.story.archive_keeps(),
        };
        let rig = Rig::with(Setup {
            seed,
            rules: HecRules {
                acknowledgement: acknowledges.then_some(AckPolicy::AtOnce),
                ..HecRules::default()
            },
            state: format!("archive = {{ keep = \"{keep}\" }}"),
            splunk: Some(splunk),
            interval: is_polling(death.point).then_some(LONG_INTERVAL),
            is_stopped: true,
            outputs: death.story.sections().to_owned(),
            ..Setup::default()
        });
        // So that the first window is the one with content.
        rig.change_config(|toml| toml.replace("\"6d\"", "\"2d\""));
        let generator = ContentGenerator::new(seed).with_size(PackageSize {
            incidents: 2,
            indicators: 2,
            flows: 3,
            exact: true,
        });
        let mut life = Self {
            rig,
            death: *death,
            published: BTreeSet::new(),
            refused: BTreeMap::new(),
            given_up: BTreeSet::new(),
            comes_again: 0,
            unanswered: None,
            has_died: false,
        };
        life.rig.generator = generator;
        life
    }

    /// Works until the agent has died where it should; everything else is a failure.
    pub(crate) async fn until_it_dies(&mut self) {
        let lived = match self.death.story {
            Story::Work => self.work().await,
            story => self.meets_damage(story).await,
        };
        assert!(
            lived.is_err(),
            "{} was not reached: {}",
            self.named(),
            self.rig.log()
        );
        self.rig.cta.clear_faults();
        self.rig.hec.clear_faults();
        self.rig.cta.accept_connections().await.unwrap();
        self.has_died = true;
    }

    /// Starts the agent that will die.
    fn start_to_die(&mut self) {
        let Death { point, time, .. } = self.death;
        self.rig.dies_at = Some(format!("{}:{time}", point.name()));
        self.rig.start();
    }

    /// An orderly stop, or a death in the midst of it.
    async fn stops(&mut self) -> Result<(), Died> {
        self.rig.tell_to_stop();
        loop {
            match self.rig.ended() {
                Some(ended) if ended.success() => return Ok(()),
                Some(ended) => return self.died(ended),
                None => tokio::time::sleep(TICK).await,
            }
        }
    }

    /// The last record is torn.
    pub(crate) fn tear_the_ledger(&self) {
        let path = self.last_segment();
        let mut text = fs::read(&path).unwrap();
        text.extend(b"{\"number\":");
        fs::write(path, text).unwrap();
    }

    /// The last record is damaged, and there is no store that knows what it told.
    pub(crate) fn damage_the_ledger(&self) {
        let path = self.last_segment();
        let mut text = fs::read(&path).unwrap();
        let end = text.len() - 1;
        let line = text[..end].iter().rposition(|&byte| byte == b'\n').unwrap();
        text[line + 20] ^= 1;
        fs::write(path, text).unwrap();
        fs::remove_dir_all(self.rig.path("state/state.sled")).unwrap();
    }

    fn last_segment(&self) -> PathBuf {
        self.files("ledger").pop().unwrap()
    }

    /// A start that ends at this point, or behind it.
    pub(crate) async fn dies_while_it_starts(&mut self, point: Point) {
        self.rig.dies_at = Some(point.name().to_owned());
        let log = self.rig.log().len();
        self.rig.start();
        let deadline = Instant::now() + LIMIT;
        while self.lives() {
            let is_up = self.rig.log()[log..].contains(" started version=");
            let may_be_up = deaths::BEHIND_A_START.contains(&point);
            assert!(
                (!is_up || may_be_up) && Instant::now() < deadline,
                "after {}: {} was not reached at the start: {}",
                self.named(),
                point.name(),
                &self.rig.log()[log..]
            );
            tokio::time::sleep(TICK).await;
        }
    }

    /// Nothing dies any more; everything arrives, and the books are right.
    pub(crate) async fn ends_well(&mut self) {
        self.rig.dies_at = None;
        self.rig.start();
        self.push_again().await;
        self.publish_ahead();
        let deadline = Instant::now() + LIMIT;
        while !self.missing().is_empty() || !self.owes_nothing() || !self.has_come_again() {
            assert!(
                self.lives(),
                "{} broke it: {}",
                self.named(),
                self.rig.log()
            );
            let missing = self.missing();
            assert!(
                Instant::now() < deadline,
                "{} has lost {missing:?}: {}",
                self.named(),
                self.rig.log()
            );
            tokio::time::sleep(TICK).await;
        }
        let letters = self.rig.letters();
        let mut places = BTreeSet::new();
        for letter in letters.iter().filter(|letter| letter["output"] == "splunk") {
            assert!(
                places.insert(id_of(letter)),
                "{} has made two letters of one event",
                self.named()
            );
        }
        self.rig.stop_and_audit();
        let twice = self.rig.duplicates();
        let may = self.death.twice.saturating_add(self.comes_again);
        assert!(
            twice <= may,
            "{}: {twice} came twice, {may} may: {}",
            self.named(),
            self.rig.log()
        );
        println!("{}: {twice} of {may} came twice", self.named());
        self.rig.check_gate();
        let log = self.rig.log();
        assert!(!log.contains("panicked"), "{}: {log}", self.named());
        let is_damaged = self.death.twice == usize::MAX || self.death.story.costs_records();
        assert!(
            is_damaged || !log.contains("records are missing"),
            "{} has cost records: {log}",
            self.named()
        );
        if self.death.point != Point::AnswerQuarantined {
            let kept = self.death.story.quarantines();
            let left = leftovers::look_beside(&self.rig.path("state"), kept);
            assert!(left.is_ok(), "{}: {left:?}", self.named());
        }
    }

    fn publish_ahead(&mut self) {
        let mut generator = self.rig.generator.clone();
        let made = self
            .rig
            .publish_ahead(|stamp| packages(&mut generator, stamp));
        self.rig.generator = generator;
        self.note(&made);
    }

    /// Publishes what the first poll brings.
    fn publish(&mut self) {
        // Its clock is known to the second: a first window that ends with that has it all.
        let now = self.rig.cta.now().trunc_subsecs(0);
        let made = packages(&mut self.rig.generator, now);
        for publication in &made {
            self.rig.cta.publish(publication.clone());
        }
        self.note(&made);
    }

    /// What one poll brings: of one event Splunk will say that it is wrong.
    fn note(&mut self, made: &[Publication]) {
        let events = made.iter().flat_map(|publication| &publication.events);
        self.published.extend(events);
        if !self.has_died && self.death.story.has_refusals() {
            self.refused.insert(made[1].events[3], 6);
        }
        let refused = self.refused.clone();
        self.rig.hec.change_rules(|rules| rules.refused = refused);
    }

    /// Waits until everything that was published is polled, delivered or set aside, and done with.
    async fn all_is_done(&mut self) -> Result<(), Died> {
        self.until(|life| life.missing_at_work().is_empty() && life.is_all_finished())
            .await
    }

    /// Waits for something that tells nobody of itself.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) -> Result<(), Died> {
        let deadline = Instant::now() + LIMIT;
        while !is_so(self) {
            assert!(
                Instant::now() < deadline,
                "{} waits in vain: {}",
                self.named(),
                self.rig.log()
            );
            self.tick().await?;
        }
        Ok(())
    }

    fn missing_at_work(&self) -> BTreeSet<EventId> {
        let mut missing = self.published.clone();
        for id in self.rig.hec.event_ids() {
            missing.remove(&id);
        }
        for id in self.refused.keys() {
            missing.remove(id);
        }
        &missing - &self.given_up
    }

    /// Read from the files themselves: a command would take the place of an agent that has just died.
    fn is_all_finished(&self) -> bool {
        let ready = fs::read_dir(self.rig.path("state/spool/ready"));
        if ready.is_ok_and(|mut batches| batches.next().is_some()) {
            return false;
        }
        let mut open = BTreeSet::new();
        for line in self.lines("ledger") {
            let Some(seq) = line["seq"].as_u64() else {
                continue;
            };
            if line["type"] == "output_finished" {
                open.remove(&seq);
            } else {
                open.insert(seq);
            }
        }
        open.is_empty()
    }

    /// The dead letters that are there, with whether each is a content block.
    fn letters(&self) -> Vec<(String, bool)> {
        let letters = self.lines("spool/dead-letters");
        let letters = letters.iter().filter(|line| line["type"] != "removed");
        letters
            .map(|line| {
                let id = line["id"].as_str().unwrap().to_owned();
                (id, line["file"].is_string())
            })
            .collect()
    }

    /// The segments of a log, in order.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.rig.path("state").join(folder))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
            .collect();
        files.sort();
        files
    }

    fn lines(&self, folder: &str) -> Vec<serde_json::Value> {
        let files = self.files(folder);
        let texts = files.iter().map(|path| fs::read_to_string(path).unwrap());
        let mut lines = Vec::new();
        for text in texts {
            // The last may be on its way.
            lines.extend(
                text.lines()
                    .filter_map(|line| serde_json::from_str(line).ok()),
            );
        }
        lines
    }

    /// A command, to its end or the agent's.
    async fn command(&mut self, arguments: &[&str]) -> Result<(), Died> {
        let mut command = self.rig.start_command(arguments);
        loop {
            if let Some(ended) = command.try_wait().unwrap() {
                self.tick().await?;
                if ended.success() {
                    return Ok(());
                }
                // An agent that dies leaves it without an answer, and may take a moment to be gone.
                let deadline = Instant::now() + LIMIT;
                while Instant::now() < deadline {
                    self.tick().await?;
                }
                panic!("{arguments:?} has failed: {}", self.rig.log());
            }
            let ticked = self.tick().await;
            if ticked.is_err() {
                command.wait().unwrap();
                return ticked;
            }
        }
    }

    async fn tick(&mut self) -> Result<(), Died> {
        tokio::time::sleep(TICK).await;
        self.rig.ended().map_or(Ok(()), |ended| self.died(ended))
    }

    fn lives(&mut self) -> bool {
        self.rig
            .ended()
            .is_none_or(|ended| self.died(ended).is_ok())
    }

    /// Any other end than by the point is a failure.
    fn died(&self, ended: ExitStatus) -> Result<(), Died> {
        assert_eq!(
            ended.signal(),
            Some(Signal::KILL.as_raw()),
            "{} ended by itself: {}",
            self.named(),
            self.rig.log()
        );
        Err(Died)
    }

    /// What is neither at Splunk nor among the dead letters, and not given up.
    fn missing(&self) -> BTreeSet<EventId> {
        let mut missing = &self.published - &self.given_up;
        for id in self.rig.hec.event_ids() {
            missing.remove(&id);
        }
        if missing.len() <= self.refused.len() {
            for letter in self.rig.letters() {
                if letter["output"] == "splunk" {
                    missing.remove(&id_of(&letter));
                }
            }
        }
        missing
    }

    fn has_come_again(&self) -> bool {
        self.comes_again == 0 || self.rig.duplicates() >= self.comes_again
    }

    fn owes_nothing(&self) -> bool {
        let (code, said) = self.rig.command(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        code == Some(0) && status["outputs"][0]["pending_events"] == 0
    }

    fn named(&self) -> String {
        let Death {
            point,
            time,
            acknowledges,
            story,
            ..
        } = self.death;
        let story = match story {
            Story::Work => String::new(),
            story => format!(" ({story:?})"),
        };
        let plain = if acknowledges {
            ""
        } else {
            ", no acknowledgement"
        };
        format!("{}:{time}{story}{plain}", point.name())
    }
}

fn packages(generator: &mut ContentGenerator, stamp: DateTime<Utc>) -> Vec<Publication> {
    let packages = (0..PACKAGES).map(|_| generator.publication(stamp));
    packages.collect()
}

/// Whether it is a moment of a poll whose window is not kept yet.
fn is_polling(point: Point) -> bool {
    matches!(
        point,
        Point::HeadCame | Point::HeadRecorded | Point::PartStaged
    )
}

/// The agent has died where it should.
#[derive(Debug)]
struct Died;
