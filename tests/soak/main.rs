//! A random soak of the real binary: kill -9 at random moments, while the service, Splunk and a
//! syslog receiver fail at random and a person gives commands. At the end what the service has
//! published is what has arrived at each output, what came twice is what `docs/delivery.md` allows,
//! and nothing is left behind on the disk.
//!
//! A short run by default. For a long one: `CTA_FORWARDER_SOAK_KILLS=300 cargo test --test soak`.
//! A run that fails prints its seed: `CTA_FORWARDER_SOAK_SEED` makes the same choices again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![allow(clippy::print_stdout, reason = "the figures of a run are worth a look")]

mod books;
mod commands;
mod faults;
#[path = "../rig/mod.rs"]
mod rig;

use std::env;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cta_forwarder::simulator::content::{ContentGenerator, PackageSize};
use cta_forwarder::simulator::hec::{AckPolicy, HecRules};
use cta_forwarder::simulator::syslog::{SyslogReceiver, SyslogRules};
use rig::syslog::relp;
use rig::{IN_REQUEST, INTERVAL, LIMIT, Rig, Setup};

use books::Books;
use commands::Commands;
use faults::Faults;

const KILLS_VARIABLE: &str = "CTA_FORWARDER_SOAK_KILLS";
const SEED_VARIABLE: &str = "CTA_FORWARDER_SOAK_SEED";

const SHORT_KILLS: usize = 15;
/// Requests that may wait for their acknowledgement.
const MAX_OUTSTANDING: usize = 3;
/// Short enough for a test, long enough for an acknowledgement that only takes its time.
const ACK_TIMEOUT: &str = "2s";
/// How long is waited for work in one life.
const PATIENCE: Duration = Duration::from_millis(1500);
/// The same where nothing shall be left to do.
const LONG_PATIENCE: Duration = Duration::from_secs(5);
/// What an agent may take that holds a few batches.
const MAX_MEMORY_BYTES: u64 = 256 << 20;

/// Everything that takes part.
struct Soak {
    rig: Rig,
    siem: SyslogReceiver,
    random: fastrand::Rng,
    generators: [ContentGenerator; 2],
    books: Books,
    faults: Faults,
    commands: Commands,
    peak_memory_bytes: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_while_everything_fails_at_random() {
    let kills =
        variable(KILLS_VARIABLE).map_or(SHORT_KILLS, |kills| usize::try_from(kills).unwrap());
    let seed = variable(SEED_VARIABLE).unwrap_or_else(|| fastrand::u64(..));
    println!("to make the same choices again: {SEED_VARIABLE}={seed} {KILLS_VARIABLE}={kills}");
    let started = Instant::now();
    let mut soak = Soak::new(seed);
    for _ in 0..kills {
        soak.round().await;
    }
    soak.settle().await;
    println!("{kills} kills in {:?}, seed {seed}", started.elapsed());
}

fn variable(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text:?} is no number")),
    )
}

impl Soak {
    fn new(seed: u64) -> Self {
        let siem = SyslogReceiver::start(SyslogRules::over(relp())).unwrap();
        let small = "batch = { max_events = 20, max_wait = \"10ms\" }";
        assert!(small.contains(&IN_REQUEST.to_string()));
        let impatient = "connect_timeout = \"1s\"\nrequest_timeout = \"1s\"";
        // An answer is read within its time-out, and this machine may be busy.
        let patient = "connect_timeout = \"1s\"\nrequest_timeout = \"6s\"";
        let splunk = format!(
            "acknowledge = true\nack_timeout = \"{ACK_TIMEOUT}\"\nack_interval = \"40ms\"\n\
             max_outstanding_acks = {MAX_OUTSTANDING}\nmax_in_flight = 2\n{impatient}\n{small}"
        );
        let outputs = format!(
            "[[output]]\nname = \"siem\"\ntype = \"syslog\"\ntransport = \"relp\"\n\
             addresses = [\"{}\"]\nwindow = {}\nconnect_timeout = \"1s\"\n\
             write_timeout = \"1s\"\nretry = {{ initial = \"10ms\", max = \"50ms\" }}\n{small}\n\
             [[output]]\nname = \"local\"\ntype = \"file\"\n\
             path = \"{{folder}}/local.jsonl\"\n{small}\n",
            siem.address(),
            rig::syslog::WINDOW,
        );
        let rig = Rig::with(Setup {
            seed,
            rules: HecRules {
                acknowledgement: Some(AckPolicy::AtOnce),
                loses_unacknowledged: true,
                ..HecRules::default()
            },
            state: "archive = { keep = \"1h\", max_bytes = \"100KiB\" }".to_owned(),
            service: patient.to_owned(),
            splunk: Some(splunk),
            outputs,
            ..Setup::default()
        });
        let large = PackageSize {
            incidents: 6,
            indicators: 2,
            flows: 10,
            exact: true,
        };
        Self {
            rig,
            siem,
            random: fastrand::Rng::with_seed(seed),
            // Ids do not repeat within a seed.
            generators: [
                ContentGenerator::new(seed),
                ContentGenerator::new(seed.wrapping_add(1)).with_size(large),
            ],
            books: Books::default(),
            faults: Faults::default(),
            commands: Commands::default(),
            peak_memory_bytes: 0,
        }
    }

    /// Something is published, something fails, somebody gives a command, and the agent is killed.
    async fn round(&mut self) {
        for _ in 0..self.random.usize(1..=3) {
            self.publish();
        }
        self.fail_at_random().await;
        self.command_at_random();
        self.some_moment().await;
        let peak = self.rig.peak_memory_bytes().unwrap_or(0);
        self.peak_memory_bytes = self.peak_memory_bytes.max(peak);
        self.commands.kill_one_at_random(&mut self.random);
        self.rig.kill();
        self.books.killed();
        // Now and then a command finds no agent, and is there before the next one.
        if self.random.u8(..) < 40 {
            self.command_at_random();
        }
        self.rig.start();
    }

    /// A moment of the start, or one shortly after some more of its work, wherever that is by then. What
    /// fails at present may stop all of it.
    async fn some_moment(&mut self) {
        let polls = self.rig.cta.requests().len() + self.random.usize(1..6);
        let requests = self.rig.hec.requests().len() + self.random.usize(1..10);
        let messages = self.siem.messages_taken() + self.random.usize(1..100);
        let kind = self.random.u8(..8);
        let patience = if kind == 7 { LONG_PATIENCE } else { PATIENCE };
        let work = async {
            match kind {
                0 => {}
                1 | 2 => self.rig.cta.wait_for_requests(polls).await,
                3 | 4 => self.rig.hec.wait_for_requests(requests).await,
                5 | 6 => self.siem.wait_for_messages(messages).await,
                _ => self.caught_up().await,
            }
        };
        // The time is up, and it is killed as it is.
        let _ = tokio::time::timeout(patience, work).await;
        let most_us = *self.random.choice(&[1_000, 20_000, 200_000]).unwrap();
        tokio::time::sleep(Duration::from_micros(self.random.u64(0..most_us))).await;
    }

    /// Everything has come as far as the file.
    async fn caught_up(&self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        while !self.is_in_the_file(self.books.last()) {
            ticks.tick().await;
        }
    }

    fn publish(&mut self) {
        // One large package in eight: several requests for each output.
        let generator = &mut self.generators[usize::from(self.random.u8(..8) == 0)];
        let make = |stamp| vec![generator.publication(stamp)];
        for publication in self.rig.publish_ahead(make) {
            self.books
                .published(publication.published, &publication.events);
        }
    }

    /// Everything is mended and delivered; then the books are compared.
    async fn settle(&mut self) {
        self.mend_all().await;
        self.publish();
        self.commands.wait_for_all();
        let mut deadline = Instant::now() + LIMIT;
        let mut progress = 0;
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            // What it makes of the last answer is told by nothing but its status.
            ticks.tick().await;
            let missing = self.missing();
            if missing.is_none() && self.owes_nothing() {
                break;
            }
            let taken = self.rig.hec.events_taken() + self.siem.messages_taken();
            if taken > progress {
                progress = taken;
                deadline = Instant::now() + LIMIT;
            }
            if Instant::now() > deadline {
                let kept = self.keep_evidence();
                panic!(
                    "after {LIMIT:?}: {missing:?}; state and log: {}",
                    kept.display()
                );
            }
        }
        let may_come_twice = self.may_come_twice();
        let twice = self.twice();
        println!(
            "published {}, came twice: {twice:?} of {may_come_twice:?} that may, peak memory {} MiB",
            self.books.count(),
            self.peak_memory_bytes >> 20
        );
        let result = self.judge(&twice, &may_come_twice);
        if let Err(what) = result {
            let kept = self.keep_evidence();
            panic!("{what}; state and log: {}", kept.display());
        }
    }

    fn judge(&mut self, twice: &[usize; 3], may: &[usize; 3]) -> Result<(), String> {
        if twice.iter().zip(may).any(|(twice, may)| twice > may) {
            return Err(format!("{twice:?} came twice, {may:?} may"));
        }
        self.rig.check_gate();
        let letters = self.rig.letters().len();
        self.rig.stop_and_audit();
        let log = self.rig.log();
        if let Some(line) = log.lines().find(|line| line.contains("panicked")) {
            return Err(line.to_owned());
        }
        if !self.siem.violations().is_empty() {
            return Err(format!("{:?}", self.siem.violations()));
        }
        if self.peak_memory_bytes > MAX_MEMORY_BYTES {
            return Err(format!("{} bytes of memory", self.peak_memory_bytes));
        }
        let found = rig::leftovers::look(&self.rig.path("state"))?;
        let refused = log.matches("an event is refused for good").count();
        let blocks = log.matches("a content block cannot be read").count();
        println!(
            "set aside: {refused} events and {blocks} content blocks, {letters} are left; {} starts \
             came up, commands: {:?}; {found}",
            log.matches(" started version=").count(),
            self.commands.given
        );
        Ok(())
    }

    fn owes_nothing(&self) -> bool {
        let (code, said) = self.rig.command(&["status", "--json"]);
        if code != Some(0) {
            return false;
        }
        let status: serde_json::Value = serde_json::from_str(&said).unwrap();
        let outputs = status["outputs"].as_array().unwrap();
        outputs.iter().all(|output| output["pending_events"] == 0)
    }

    /// For a person to look at.
    fn keep_evidence(&mut self) -> PathBuf {
        self.rig.folder.disable_cleanup(true);
        self.rig.folder.path().to_owned()
    }
}
