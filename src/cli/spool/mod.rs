//! `spool`: what waits on disk and what was archived, for a person to look at.

mod check;
mod export;
mod list;
mod show;

use std::path::{Path, PathBuf};

use super::ask::decide;
use super::confirm::confirm;
use super::{CommandError, Exit, complain, load_without_secrets};
use crate::batches::ExportChoice;
use crate::config::Config;
use crate::control::Request;
use crate::spool::Place;

/// Look at the batches that wait for delivery, and at those in the archive
///
/// What a poll brings is one batch. It lies in the spool until every output that owes it has done
/// with it, and in the archive after that. These commands work beside the running agent, and without
/// one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cta-forwarder spool list
  cta-forwarder spool list --archive --json | jq .seq
  cta-forwarder spool show 17
  cta-forwarder spool check --repair
  cta-forwarder spool export 17 --pending splunk > pending.jsonl")]
pub(super) struct SpoolCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show which batches there are, and how far each output is in them
    List {
        /// Those that are archived
        #[arg(long)]
        archive: bool,
        /// Write one JSON object a line, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Show everything about one batch
    ///
    /// Its files are read to their ends and compared with what they were.
    Show {
        /// The batch's number
        #[arg(value_name = "SEQ")]
        seq: u64,
        /// Write one JSON object, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Check that every file is whole
    ///
    /// Every file of every batch in the spool is read to its end and compared with what it was, and
    /// so are the heads of the batches, the ledger and the dead letters. The exit code is 1 if
    /// anything is damaged; what it is, is named, and what becomes of it.
    Check {
        /// Check the archive as well
        #[arg(long)]
        archive: bool,
        /// Move damaged files to quarantine/, whose windows the agent polls again, write damaged heads
        /// again, tell again what damaged lines of the ledger told, and set aside damaged dead letters
        #[arg(long)]
        repair: bool,
        /// Write one JSON object a line, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Give up what damaged files of a batch held
    ///
    /// The agent polls the window of a damaged batch again by itself. Where that cannot be, since the
    /// service is gone for good or the collection is no longer configured, this ends the waiting: what
    /// the damaged files held, as far as an output has not got it, is counted as lost.
    GiveUp {
        /// The batch's number
        #[arg(value_name = "SEQ")]
        seq: u64,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Write the events of a batch, one JSON object a line
    ///
    /// The batch is read to its end first: of a damaged one nothing is written without --damaged.
    Export {
        /// The batch's number
        #[arg(value_name = "SEQ")]
        seq: u64,
        /// Write to this file, which only its owner may read, instead of standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Write over a file that is there
        #[arg(long, requires = "output")]
        force: bool,
        /// Only the events that this output still owes
        #[arg(long, value_name = "OUTPUT")]
        pending: Option<String>,
        /// Of a damaged batch what can be read
        #[arg(long)]
        damaged: bool,
    },
}

impl SpoolCommand {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        let config = load_without_secrets(config)?;
        if !config.state.directory.exists() {
            complain(format_args!(
                "there is no state in {} yet, and so there are no batches",
                config.state.directory.display()
            ));
            let is_for_one = !matches!(self.action, Action::List { .. } | Action::Check { .. });
            return Ok(if is_for_one {
                Exit::Failure
            } else {
                Exit::Success
            });
        }
        match self.action {
            Action::List { archive, json } => {
                let place = if archive {
                    Place::Archive
                } else {
                    Place::Spool
                };
                list::run(config, place, json).await
            }
            Action::Show { seq, json } => show::run(config, seq, json).await,
            Action::Check {
                archive,
                repair,
                json,
            } => check::run(config, archive, repair, json).await,
            Action::GiveUp { seq, yes } => give_up(config, seq, yes).await,
            Action::Export {
                seq,
                output,
                force,
                pending,
                damaged,
            } => {
                let choice = ExportChoice { pending, damaged };
                let to = output.map(|path| export::Target { path, force });
                export::run(config, seq, choice, to).await
            }
        }
    }
}

async fn give_up(config: Config, seq: u64, yes: bool) -> Result<Exit, CommandError> {
    if !yes {
        let what = format!("give up what is damaged of batch {seq}");
        let question =
            format!("What damaged files of batch {seq} held will not be delivered. Give it up?");
        if let Some(exit) = confirm(&what, &question)? {
            return Ok(exit);
        }
    }
    decide(config, Request::AbandonDamage { seq }).await
}
