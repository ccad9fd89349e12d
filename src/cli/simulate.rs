//! `simulate`: the simulated CTA service and Splunk, for trying things out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::example::{self, Example, ExampleSecret};
use super::signals::Signals;
use super::terminal::{Paint, Style};
use super::{CommandError, Exit, complain, print_line};
use crate::clock::SystemClock;
use crate::disk::Disk;
use crate::simulator::content::ContentGenerator;
use crate::simulator::cta::{Account, CtaRules, CtaService};
use crate::simulator::hec::{HecRules, HecServer};
use crate::simulator::{Publisher, SimulatorControl, publish_backlog};

const PACKAGES_PER_DAY: u16 = 8;
/// As the real service has it.
const RETENTION_DAYS: u16 = 30;
/// The first line of a configuration that may be written over.
const MARK: &str = "# Written by `cta-forwarder simulate`.\n";

/// Serve a simulated CTA service and Splunk on this machine
///
/// Both behave as the real ones are documented, their limits included, and listen on 127.0.0.1
/// alone. Faults and outages are switched over HTTP: GET on the control URL tells which. Ends with
/// Ctrl-C or SIGTERM.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cta-forwarder simulate --write-config try.toml --min-poll-interval 10s
  cta-forwarder run --config try.toml          (in another terminal)
  cta-forwarder status --config try.toml")]
pub(super) struct Simulate {
    /// The first of three ports, for the service, Splunk and the control; 0 lets the system choose
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Days of content that the service has from the start
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    backlog: u16,
    /// How often a new package is published
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    publish_every: Duration,
    /// The time that must lie between two polls
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    min_poll_interval: Duration,
    /// Write a configuration for `run` to FILE, or to standard output for `-`
    ///
    /// The secrets and the state folder of that configuration lie beside FILE.
    #[arg(long, value_name = "FILE")]
    write_config: Option<PathBuf>,
    /// Tell the URLs and secrets as one JSON object, on the first line of standard output
    #[arg(long)]
    json: bool,
}

impl Simulate {
    pub(super) async fn run(self) -> Result<Exit, CommandError> {
        let mut signals = Signals::listen()?;
        let simulated = Simulated::start(&self).map_err(CommandError::failed(
            "a simulated service cannot be started",
        ))?;
        let stdout = Path::new("-");
        let to_stdout = self.write_config.as_deref() == Some(stdout);
        match &self.write_config {
            Some(file) if file != stdout => self.write_config(&simulated, file)?,
            _ => {}
        }
        if self.json {
            print_line(simulated.json())?;
        } else if to_stdout {
            complain(self.text(&simulated, Paint::of(&io::stderr())));
        } else {
            print_line(self.text(&simulated, Paint::of(&io::stdout())))?;
        }
        if to_stdout {
            let state = std::env::temp_dir().join("cta-forwarder-simulated");
            let secret = |_: &str, secret: String| Ok(ExampleSecret::Plain(secret));
            let example = self.example(&simulated, state, secret);
            let example = example.map_err(CommandError::failed("no configuration"))?;
            print_line(format_args!("{MARK}{example}"))?;
        }
        signals.next().await;
        Ok(Exit::Success)
    }

    fn example(
        &self,
        simulated: &Simulated,
        state: PathBuf,
        secret: impl Fn(&str, String) -> io::Result<ExampleSecret>,
    ) -> io::Result<Example> {
        let Account {
            username,
            password,
            collections,
        } = example::account();
        Ok(Example {
            state,
            poll_url: simulated.cta.poll_url(),
            username,
            password: secret("taxii-password", password)?,
            collections,
            min_poll_interval: self.min_poll_interval,
            // The oldest is as old as the backlog, and older when it is asked for.
            lookback_days: self.backlog.saturating_add(1).min(RETENTION_DAYS),
            retention_days: RETENTION_DAYS,
            hec_url: simulated.hec.url(),
            token: secret("hec-token", HecRules::default().token)?,
        })
    }

    fn write_config(&self, simulated: &Simulated, file: &Path) -> Result<(), CommandError> {
        let write = || -> io::Result<()> {
            let file = std::path::absolute(file)?;
            let beside = |what: &str| {
                let mut path = file.clone().into_os_string();
                path.push(".");
                path.push(what);
                PathBuf::from(path)
            };
            if !may_write_over(&file)? {
                return Err(io::Error::other(
                    "it is there already and not of this command",
                ));
            }
            let secret = |what: &str, secret: String| {
                let path = beside(what);
                replace(&path, secret.as_bytes())?;
                Ok(ExampleSecret::File(path))
            };
            let example = self.example(simulated, beside("state"), secret)?;
            replace(&file, format!("{MARK}{example}").as_bytes())
        };
        write().map_err(|error| {
            CommandError::Failed(format!("{} cannot be written: {error}", file.display()))
        })
    }

    fn text(&self, simulated: &Simulated, paint: Paint) -> String {
        let Simulated {
            cta, hec, control, ..
        } = simulated;
        let bold = |text| paint.paint(Style::Bold, text);
        let control = control.url();
        let Account {
            username, password, ..
        } = example::account();
        let next = match &self.write_config {
            Some(file) if file != Path::new("-") => {
                format!("cta-forwarder run --config {}", file.display())
            }
            _ => "cta-forwarder run --config FILE   (--write-config FILE writes one)".to_owned(),
        };
        format!(
            "\
{cta_title}     {poll_url}
  collection    {collection}
  account       {username}, password {password}
  content       {days} days, a new package every {every}
  limit         one poll every {interval}
{hec_title}      {hec_url}
  token         {token}
{control_title}         {control}

{switch_title}
  curl {control}                       all that can be switched and asked
  curl -X PUT {control}hec/outage      Splunk refuses connections
  curl -X DELETE {control}hec/outage   and is back
  curl -X PUT {control}cta/fault -d '{{\"fault\": \"http_status\", \"status\": 503, \"times\": 3}}'
  curl {control}hec/events             the events that Splunk has

{run_title}
  {next}

Ctrl-C ends it.",
            cta_title = bold("CTA service"),
            poll_url = cta.poll_url(),
            collection = CtaRules::COLLECTION,
            days = self.backlog,
            every = humantime::format_duration(self.publish_every),
            interval = humantime::format_duration(self.min_poll_interval),
            hec_title = bold("Splunk HEC"),
            hec_url = hec.url(),
            token = HecRules::default().token,
            control_title = bold("Control"),
            switch_title = bold("Faults and outages"),
            run_title = bold("The agent"),
        )
    }
}

/// What is served; it ends when dropped.
struct Simulated {
    cta: Arc<CtaService>,
    hec: Arc<HecServer>,
    control: SimulatorControl,
    _publisher: Publisher,
}

impl Simulated {
    fn start(options: &Simulate) -> io::Result<Self> {
        let port = |number: u16| match options.port {
            0 => 0,
            first => first.saturating_add(number),
        };
        let rules = CtaRules {
            port: port(0),
            accounts: vec![example::account()],
            min_poll_interval: options.min_poll_interval,
            ..CtaRules::default()
        };
        let cta = Arc::new(CtaService::start(rules, Arc::new(SystemClock::new()))?);
        let rules = HecRules {
            port: port(1),
            ..HecRules::default()
        };
        let hec = Arc::new(HecServer::start(rules)?);
        let control = SimulatorControl::start(port(2), Arc::clone(&cta), Arc::clone(&hec))?;
        let mut generator = ContentGenerator::new(1);
        let collection = CtaRules::COLLECTION;
        publish_backlog(
            &cta,
            collection,
            &mut generator,
            options.backlog,
            PACKAGES_PER_DAY,
        );
        let every = options.publish_every;
        let publisher = Publisher::start(Arc::clone(&cta), collection, generator, every);
        Ok(Self {
            cta,
            hec,
            control,
            _publisher: publisher,
        })
    }

    fn json(&self) -> serde_json::Value {
        let account = example::account();
        json!({
            "cta": {
                "poll_url": self.cta.poll_url(),
                "collection": CtaRules::COLLECTION,
                "username": account.username,
                "password": account.password,
            },
            "hec": { "url": self.hec.url(), "token": HecRules::default().token },
            "control": { "url": self.control.url() },
        })
    }
}

/// Whether there is no such file, or one that this command has written.
fn may_write_over(path: &Path) -> io::Result<bool> {
    match fs::read(path) {
        Ok(content) => Ok(content.starts_with(MARK.as_bytes())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    Disk::machine().write_file(path, content)
}
