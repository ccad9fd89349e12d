//! `output`: what a person decides about outputs.

use std::path::Path;

use super::ask::decide;
use super::confirm::confirm;
use super::{CommandError, Exit, load_without_secrets};
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
        let config = load_without_secrets(config)?;
        if !yes {
            let what = format!("forget the output {name:?}");
            let question =
                format!("What the output {name:?} still owes will not be delivered. Forget it?");
            if let Some(exit) = confirm(&what, &question)? {
                return Ok(exit);
            }
        }
        decide(config, Request::ForgetOutput { name }).await
    }
}
