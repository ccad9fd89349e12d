//! The command line: arguments, one file a command, exit codes.
//!
//! A command gives an [`Exit`] or a [`CommandError`]; only `main` ends the process.

mod account;
mod ask;
mod audit;
mod check;
mod checkpoint;
mod confirm;
mod dead_letters;
mod demo;
mod example;
mod exit;
mod flatten;
mod import_config;
mod moment;
mod output;
mod packaged;
mod poll;
mod reload;
mod replay;
mod run;
mod send_test;
mod signals;
mod simulate;
mod spool;
mod status;
mod table;
mod taxii;
mod terminal;
mod waiting;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::agent::StartError;
use crate::config::{Config, Environment, LoadError, Loaded};
use crate::control::CallError;
use crate::schedule;
pub use exit::Exit;

const EXAMPLES: &str = "\
Examples:
  cta-forwarder demo                      see it work, without any set-up
  cta-forwarder check                     is the configuration right?
  cta-forwarder run                       what the systemd service does
  cta-forwarder status                    what is polled, delivered, held
  cta-forwarder flatten answer.xml | jq   what a poll response becomes";

/// Polls TAXII collections, flattens STIX incidents into JSON events, keeps them safe on disk and
/// delivers them to Splunk HEC or syslog.
#[derive(Debug, Parser)]
#[command(
    name = "cta-forwarder",
    version,
    after_help = [EXAMPLES, exit::HELP].join("\n\n"),
    max_term_width = 100
)]
pub struct Cli {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = packaged::CONFIG)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent: what the systemd service does
    ///
    /// It polls, keeps and delivers until SIGTERM or Ctrl-C. Then it finishes what is in flight, for
    /// at most `shutdown_timeout`; a second signal stops it at once. Whatever is not finished goes
    /// on with the next start.
    Run,
    /// Have the running agent read its configuration again
    ///
    /// What differs is changed, and all else goes on: services, outputs, the inbox, the log level, and
    /// the secrets and certificates in files. A poll or a delivery that is under way is finished first.
    /// A configuration with a mistake is refused as a whole, and the old one goes on (exit code 78);
    /// what takes a restart, such as the state folder, is named. SIGHUP does the same without an answer.
    Reload,
    Demo(demo::Demo),
    Flatten(flatten::Flatten),
    Check(check::Check),
    Status(status::StatusCommand),
    Poll(poll::Poll),
    Taxii(Box<taxii::TaxiiCommand>),
    DeadLetters(dead_letters::DeadLetters),
    Audit(audit::AuditCommand),
    Spool(spool::SpoolCommand),
    Checkpoint(checkpoint::CheckpointCommand),
    Replay(replay::Replay),
    SendTest(send_test::SendTest),
    Output(output::OutputCommand),
    ImportConfig(import_config::ImportConfig),
    Simulate(simulate::Simulate),
}

/// A command did not succeed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Configuration(#[from] LoadError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("standard output cannot be written: {0}")]
    Print(#[source] io::Error),
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    Misconfigured(String),
}

impl Cli {
    /// Does what is asked. Must be called within a tokio runtime of several threads.
    pub async fn run(self) -> Exit {
        let config = self.config.as_path();
        let done = match self.command {
            Command::Run => run::run(config).await,
            Command::Reload => reload::run(config).await,
            Command::Demo(command) => command.run().await,
            Command::Flatten(command) => command.run(),
            Command::Check(command) => command.run(config).await,
            Command::Status(command) => command.run(config).await,
            Command::Poll(command) => command.run(config).await,
            Command::Taxii(command) => command.run(config).await,
            Command::DeadLetters(command) => command.run(config).await,
            Command::Audit(command) => command.run(config).await,
            Command::Spool(command) => command.run(config).await,
            Command::Checkpoint(command) => command.run(config).await,
            Command::Replay(command) => command.run(config).await,
            Command::SendTest(command) => command.run(config).await,
            Command::Output(command) => command.run(config).await,
            Command::ImportConfig(command) => command.run().await,
            Command::Simulate(command) => command.run().await,
        };
        done.unwrap_or_else(|error| error.tell())
    }
}

impl CommandError {
    /// For what the operating system refuses.
    fn failed(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Failed(format!("{what}: {error}"))
    }

    /// Says on standard error what is wrong, if anything is.
    fn tell(&self) -> Exit {
        match self {
            // Who closes the pipe has seen enough.
            Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
            Self::Configuration(_) | Self::Misconfigured(_) => {
                complain(self);
                Exit::Configuration
            }
            _ => {
                // What a service or a receiver wrote may stand in it.
                for line in self.to_string().lines() {
                    complain(terminal::printable(line));
                }
                Exit::Failure
            }
        }
    }
}

/// A line on standard output.
fn print_line(what: impl std::fmt::Display) -> Result<(), CommandError> {
    writeln!(io::stdout(), "{what}").map_err(CommandError::Print)
}

/// A line on standard error. Where nobody reads that, there is nobody to tell.
fn complain(what: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{what}");
}

fn load(path: &Path) -> Result<Loaded, LoadError> {
    Config::load(path, &Environment::of_process(), schedule::check)
}

/// For a command that the agent answers, or that needs its state alone: whoever runs it may have no
/// secret of the agent.
fn load_without_secrets(path: &Path) -> Result<Config, LoadError> {
    let environment = Environment::of_process().without_secrets();
    Config::load(path, &environment, schedule::check).map(|loaded| loaded.config)
}
