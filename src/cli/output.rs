//! `output`: what a person decides about outputs.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use super::ask::ask;
use super::{CommandError, Exit, complain, load, print_line};
use crate::control::Request;

/// Decide about outputs
#[derive(Debug, clap::Args)]
pub(super) struct OutputCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Give up what an output owes that is no longer configured
    ///
    /// What is taken out of the configuration stays owed: nothing is lost by a mistake in the
    /// file. This ends that. Its events stay in the archive as long as that keeps them.
    Forget {
        /// The output's name
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl OutputCommand {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        let Action::Forget { name, yes } = self.action;
        let config = load(config)?.config;
        if !yes {
            if !io::stdin().is_terminal() {
                complain(format_args!(
                    "nobody can be asked here: say --yes to forget the output {name:?}"
                ));
                return Ok(Exit::Usage);
            }
            if !confirm(&name)? {
                complain("nothing was changed");
                return Ok(Exit::Failure);
            }
        }
        let message = ask(config, Request::ForgetOutput { name }, |_| Ok(())).await?;
        print_line(message)?;
        Ok(Exit::Success)
    }
}

fn confirm(name: &str) -> Result<bool, CommandError> {
    let mut terminal = io::stderr();
    write!(
        terminal,
        "What the output {name:?} still owes will not be delivered. Forget it? [y/N] "
    )
    .and_then(|()| terminal.flush())
    .map_err(CommandError::failed("nobody can be asked"))?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(CommandError::failed("the answer cannot be read"))?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}
