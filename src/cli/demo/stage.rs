//! What the demo plays: who takes part, what happens to them, and how it ends.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tempfile::TempDir;
use tokio::time::Instant;

use super::agent_process::AgentProcess;
use super::show::{Actor, Show};
use super::verdict::{Evidence, Verdict};
use crate::cli::CommandError;
use crate::cli::example::{self, Example, ExampleSecret};
use crate::cli::terminal::Style;
use crate::clock::SystemClock;
use crate::control::{Client, Reply, Request};
use crate::disk::Disk;
use crate::event::EventId;
use crate::simulator::content::ContentGenerator;
use crate::simulator::cta::{Account, CtaFault, CtaFaultOn, CtaRequestKind, CtaRules, CtaService};
use crate::simulator::hec::{HecRules, HecServer};
use crate::simulator::{ArmedFault, Publisher, publish_backlog};

/// The whole demo takes at most this long.
const LIMIT: Duration = Duration::from_secs(55);
/// What the service has when the agent starts.
const BACKLOG_DAYS: u16 = 30;
const BACKLOG_PER_DAY: u16 = 8;
/// The service keeps its content a day longer than the backlog goes back: none of it expires while
/// the demo runs.
const RETENTION_DAYS: u16 = BACKLOG_DAYS + 1;
/// The provider's ten minutes, compressed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);
const OUTAGE: Duration = Duration::from_secs(4);
/// How often to look whether something has come about of which nobody tells.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The state folder within the demo's own.
const STATE: &str = "state";
/// Packages that are published while the agent runs, at least.
const LIVE_PACKAGES: usize = 15;

/// Everything that takes part.
pub(super) struct Stage {
    cta: Arc<CtaService>,
    hec: HecServer,
    publisher: Option<Publisher>,
    agent: AgentProcess,
    config: PathBuf,
    show: Show,
    /// What of Splunk's events has been shown.
    shown_events: usize,
    deadline: Instant,
    /// The state, the configuration and the secrets; gone at the end.
    folder: TempDir,
}

impl Stage {
    pub(super) fn set(mut show: Show) -> Result<Self, CommandError> {
        let cta = start_cta().map_err(CommandError::failed("the service cannot be started"))?;
        let mut generator = ContentGenerator::new(1);
        publish_backlog(
            &cta,
            CtaRules::COLLECTION,
            &mut generator,
            BACKLOG_DAYS,
            BACKLOG_PER_DAY,
        );
        let backlog = cta.published_ids().len();
        let hec = HecServer::start(HecRules::default())
            .map_err(CommandError::failed("Splunk cannot be started"))?;
        let folder = tempfile::Builder::new()
            .prefix("cta-forwarder-demo-")
            .tempdir()
            .map_err(CommandError::failed("a temporary folder cannot be made"))?;
        let config = write_config(folder.path(), &cta, &hec)
            .map_err(CommandError::failed("the configuration cannot be written"))?;
        let bold = |text| show.paint().paint(Style::Bold, text);
        let introduction = format!(
            "{}\n\n  CTA service  {}\n               {backlog} events of {BACKLOG_DAYS} days, and a \
             new package every second\n  Splunk HEC   {}\n  agent        cta-forwarder run --config \
             {}\n",
            bold("A simulated CTA service, a simulated Splunk, and the agent between them"),
            cta.poll_url(),
            hec.url(),
            config.display()
        );
        show.text(introduction).map_err(CommandError::Print)?;
        let publisher = Publisher::start(
            Arc::clone(&cta),
            CtaRules::COLLECTION,
            generator,
            PUBLISH_INTERVAL,
        );
        let agent = AgentProcess::start(&config)
            .map_err(CommandError::failed("the agent cannot be started"))?;
        Ok(Self {
            cta,
            hec,
            publisher: Some(publisher),
            agent,
            config,
            show,
            shown_events: 0,
            deadline: Instant::now() + LIMIT,
            folder,
        })
    }

    /// The play, from the first poll to the verdict.
    pub(super) async fn play(&mut self) -> Result<Verdict, CommandError> {
        self.reach("the first events in Splunk", |stage| {
            stage.hec.events_taken() > 0 && stage.polls() >= 2
        })
        .await?;
        self.take_splunk_away().await?;
        self.refuse_a_poll().await?;
        self.kill_the_agent().await?;
        let packages = self.stop_publishing().await?;
        let published = self.cta.published_ids();
        // If the time is up before that, the verdict says what is missing.
        self.until(|stage| stage.has_all(&published)).await?;
        self.stop_the_agent().await?;
        let arrived = self.hec.event_ids();
        Ok(Verdict::of(Evidence {
            packages,
            arrived_nameless: self.hec.events_taken() - arrived.len(),
            published,
            arrived,
            polls: self.polls(),
            seconds: self.show.seconds(),
        }))
    }

    async fn take_splunk_away(&mut self) -> Result<(), CommandError> {
        let refusing = self.hec.refuse_connections().await;
        refusing.map_err(CommandError::failed("Splunk cannot be taken away"))?;
        self.tell("Splunk goes down: connections are refused")?;
        let end = Instant::now() + OUTAGE;
        self.reach("the end of the outage", |_| Instant::now() >= end)
            .await?;
        let waiting = self.pending_events().await?;
        let accepting = self.hec.accept_connections().await;
        accepting.map_err(CommandError::failed("Splunk cannot come back"))?;
        self.tell(format_args!(
            "Splunk is back; {waiting} events wait in the agent's spool"
        ))?;
        let taken = self.hec.events_taken();
        self.reach("events after the outage", |stage| {
            stage.hec.events_taken() > taken
        })
        .await
    }

    async fn refuse_a_poll(&mut self) -> Result<(), CommandError> {
        let too_early = CtaFault::StatusMessage {
            status_type: "FAILURE".to_owned(),
            message: "Only one poll request from a client is allowed within 10 minutes.".to_owned(),
            details: Vec::new(),
        };
        self.cta
            .set_fault(ArmedFault::once(too_early).on(CtaFaultOn::Poll));
        self.tell("the service refuses the next poll: too early")?;
        let polls = self.polls();
        self.reach("a poll after the one that was refused", |stage| {
            stage.cta.faults().is_empty() && stage.polls() > polls
        })
        .await
    }

    /// In the very moment in which Splunk has taken something.
    async fn kill_the_agent(&mut self) -> Result<(), CommandError> {
        let taken = self.hec.events_taken();
        self.reach("more events", |stage| stage.hec.events_taken() > taken)
            .await?;
        let killed = self.agent.kill();
        killed.map_err(CommandError::failed("the agent cannot be killed"))?;
        self.tell("kill -9: the agent is gone; it is started again")?;
        self.agent = AgentProcess::start(&self.config)
            .map_err(CommandError::failed("the agent cannot be started again"))?;
        Ok(())
    }

    /// Gives the number of packages.
    async fn stop_publishing(&mut self) -> Result<usize, CommandError> {
        self.reach("new packages", |stage| {
            let publisher = stage.publisher.as_ref();
            publisher.is_none_or(|publisher| publisher.published() >= LIVE_PACKAGES)
        })
        .await?;
        let live = match self.publisher.take() {
            Some(publisher) => publisher.stop().await,
            None => 0,
        };
        self.tell("no more packages; now everything must arrive")?;
        Ok(usize::from(BACKLOG_DAYS * BACKLOG_PER_DAY) + live)
    }

    async fn stop_the_agent(&mut self) -> Result<(), CommandError> {
        let asked = self.agent.terminate();
        asked.map_err(CommandError::failed("the agent cannot be stopped"))?;
        while let Some(line) = self.agent.next_line().await {
            self.show.log(&line).map_err(CommandError::Print)?;
        }
        self.agent_ended(|status| status.success())
    }

    /// Shows what happens until `done`, or until the time is up: then it is an error.
    async fn reach(
        &mut self,
        what: &str,
        done: impl Fn(&Self) -> bool,
    ) -> Result<(), CommandError> {
        if self.until(done).await? {
            return Ok(());
        }
        let limit = LIMIT.as_secs();
        let message = format!("the demo has not come to {what} within {limit} s");
        Err(CommandError::Failed(message))
    }

    /// Shows what happens until `done`, or until the time is up: then it is false.
    async fn until(&mut self, done: impl Fn(&Self) -> bool) -> Result<bool, CommandError> {
        while !done(self) {
            let seen = self.hec.events_taken();
            tokio::select! {
                line = self.agent.next_line() => match line {
                    Some(line) => self.show.log(&line).map_err(CommandError::Print)?,
                    None => self.agent_ended(|_| false)?,
                },
                () = self.hec.wait_for_events(seen + 1) => self.show_deliveries()?,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = tokio::time::sleep_until(self.deadline) => return Ok(false),
            }
        }
        Ok(true)
    }

    fn show_deliveries(&mut self) -> Result<(), CommandError> {
        let taken = self.hec.events_taken();
        let new = taken - self.shown_events;
        self.shown_events = taken;
        let what = format!("has taken {new} events, {taken} in all");
        self.show
            .line(Actor::Splunk, Style::Good, what)
            .map_err(CommandError::Print)
    }

    fn tell(&mut self, what: impl fmt::Display) -> Result<(), CommandError> {
        self.show
            .line(Actor::Demo, Style::Bold, what)
            .map_err(CommandError::Print)
    }

    /// The agent has closed its log.
    fn agent_ended(&mut self, is_right: impl Fn(ExitStatus) -> bool) -> Result<(), CommandError> {
        let ended = self.agent.wait();
        let status = ended.map_err(CommandError::failed("the agent cannot be waited for"))?;
        if is_right(status) {
            return Ok(());
        }
        Err(CommandError::Failed(format!("the agent ended: {status}")))
    }

    /// Polls that the service accepted.
    fn polls(&self) -> usize {
        let requests = self.cta.requests();
        let polls = requests
            .iter()
            .filter(|request| request.kind == CtaRequestKind::Poll && request.accepted);
        polls.count()
    }

    fn has_all(&self, published: &[EventId]) -> bool {
        if self.hec.events_taken() < published.len() {
            return false;
        }
        let arrived: HashSet<EventId> = self.hec.event_ids().into_iter().collect();
        published.iter().all(|id| arrived.contains(id))
    }

    /// What the agent has and Splunk has not, by the agent's own word.
    async fn pending_events(&self) -> Result<u64, CommandError> {
        let state = self.folder.path().join(STATE);
        let Some(client) = Client::connect(&state).await? else {
            return Err(CommandError::Failed("the agent does not answer".to_owned()));
        };
        let mut call = client.call(&Request::Status).await?;
        let mut pending = 0;
        while let Some(reply) = call.next().await? {
            if let Reply::Status(status) = reply {
                pending = status
                    .outputs
                    .iter()
                    .map(|output| output.pending_events)
                    .sum();
            }
        }
        Ok(pending)
    }
}

fn start_cta() -> io::Result<Arc<CtaService>> {
    let rules = CtaRules {
        accounts: vec![example::account()],
        min_poll_interval: POLL_INTERVAL,
        retention: TimeDelta::days(RETENTION_DAYS.into()),
        ..CtaRules::default()
    };
    CtaService::start(rules, Arc::new(SystemClock::new())).map(Arc::new)
}

/// Writes the configuration and its secrets; gives the configuration's path.
fn write_config(folder: &Path, cta: &CtaService, hec: &HecServer) -> io::Result<PathBuf> {
    let secret = |name: &str, value: &str| {
        let path = folder.join(name);
        Disk::machine()
            .write_file(&path, value.as_bytes())
            .map(|()| ExampleSecret::File(path))
    };
    let Account {
        username,
        password,
        collections,
    } = example::account();
    let example = Example {
        state: folder.join(STATE),
        poll_url: cta.poll_url(),
        username,
        password: secret("taxii-password", &password)?,
        collections,
        min_poll_interval: POLL_INTERVAL,
        lookback_days: RETENTION_DAYS,
        retention_days: RETENTION_DAYS,
        hec_url: hec.url(),
        token: secret("hec-token", &HecRules::default().token)?,
    };
    let path = folder.join("cta-forwarder.toml");
    Disk::machine().write_file(&path, example.to_string().as_bytes())?;
    Ok(path)
}
