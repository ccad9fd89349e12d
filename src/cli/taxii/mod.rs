//! `taxii`: what a TAXII service offers, subscriptions, and single messages by hand.

mod collections;
mod connection;
mod discover;
mod poll;
mod push;
mod subscription;

use std::path::Path;

use super::{CommandError, Exit};
use crate::taxii::fault::Fault;
use crate::taxii::mend::Configured;
use crate::taxii::message::SubscriptionAction;
use connection::At;
use poll::PollArguments;
use push::PushArguments;
use subscription::SubscriptionArguments;

/// Speak to any TAXII 1.0 or 1.1 service: look at what it offers, subscribe, poll, push
///
/// URL is a discovery service, or the service that is meant itself. What authenticates comes from the
/// configuration with --service, or from the options.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cta-forwarder taxii discover https://taxii.example.com/discovery
  cta-forwarder taxii collections --service feeds --json | jq -r '.collections[].name'
  cta-forwarder taxii subscribe indicators --url https://taxii.example.com/discovery \\
      --push-to https://forwarder.example.com:9443/inbox
  cta-forwarder taxii poll indicators --url https://taxii.example.com/poll --count-only
  cta-forwarder taxii push package.xml --to indicators --url https://taxii.example.com/inbox")]
pub(super) struct TaxiiCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show which services there are
    Discover {
        #[command(flatten)]
        at: At,
        /// Write one JSON object, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Show which collections there are (TAXII 1.0: feeds)
    Collections {
        #[command(flatten)]
        at: At,
        /// Write one JSON object, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Subscribe to a collection, to be pushed to or to poll
    Subscribe(SubscriptionArguments),
    /// End a subscription
    Unsubscribe(SubscriptionArguments),
    /// Let a subscription rest; TAXII 1.1
    Pause(SubscriptionArguments),
    /// Let a subscription that rests go on; TAXII 1.1
    Resume(SubscriptionArguments),
    /// Show the subscriptions to a collection
    SubscriptionStatus(SubscriptionArguments),
    Poll(PollArguments),
    Push(PushArguments),
}

impl TaxiiCommand {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        use SubscriptionAction as Do;
        match self.action {
            Action::Discover { at, json } => discover::run(config, at, json).await,
            Action::Collections { at, json } => collections::run(config, at, json).await,
            Action::Subscribe(asked) => asked.run(config, Do::Subscribe).await,
            Action::Unsubscribe(asked) => asked.run(config, Do::Unsubscribe).await,
            Action::Pause(asked) => asked.run(config, Do::Pause).await,
            Action::Resume(asked) => asked.run(config, Do::Resume).await,
            Action::SubscriptionStatus(asked) => asked.run(config, Do::Status).await,
            Action::Poll(asked) => asked.run(config).await,
            Action::Push(asked) => asked.run(config).await,
        }
    }
}

impl From<Fault> for CommandError {
    /// What went wrong, and what to do.
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.with_mend(&Configured::by_hand()))
    }
}
