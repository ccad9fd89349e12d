//! `demo`: the agent at work, without any set-up and without a network.
//!
//! A simulated CTA service and Splunk run in this process; the agent is a process of its own, with
//! a configuration file and a state folder, as users run it.

mod agent_process;
mod log_line;
mod show;
mod stage;
mod verdict;

use self::show::Show;
use self::stage::Stage;
use super::signals::Signals;
use super::terminal::Style;
use super::{CommandError, Exit};

/// Show the agent at work: no set-up, no network, less than a minute
///
/// Starts a simulated CTA service with thirty days of content and a simulated Splunk on this
/// machine, runs the agent between them, takes Splunk away for a while, refuses a poll, kills the
/// agent and starts it again. At the end it compares what was published with what Splunk has; the
/// exit code is 0 only if that is the same.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Write the result as one JSON object to standard output, everything else to standard error
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) async fn run(self) -> Result<Exit, CommandError> {
        let show = if self.json {
            Show::beside_result()
        } else {
            Show::on_stdout()
        };
        let paint = show.paint();
        let mut signals = Signals::listen()?;
        let mut stage = Stage::set(show)?;
        let verdict = tokio::select! {
            verdict = stage.play() => verdict?,
            name = signals.next() => return Err(CommandError::Failed(format!("ended by {name}"))),
        };
        let is_good = verdict.is_good();
        if self.json {
            let json = serde_json::to_string(&verdict)
                .map_err(|error| CommandError::Failed(error.to_string()))?;
            super::print_line(json)?;
        } else {
            let end = if is_good {
                paint.paint(
                    Style::Good,
                    "Everything that was published is in Splunk, and nothing else.",
                )
            } else {
                paint.paint(Style::Bad, "What is in Splunk is not what was published.")
            };
            super::print_line(format_args!("\n{}\n{end}", verdict.text(paint)))?;
        }
        Ok(if is_good {
            Exit::Success
        } else {
            Exit::Failure
        })
    }
}
