//! `taxii subscribe`, `unsubscribe`, `pause`, `resume`, `subscription-status`.

use std::path::Path;

use super::connection::{AtUrl, Peer};
use super::discover::formats;
use crate::cli::table::Table;
use crate::cli::terminal::printable;
use crate::cli::{CommandError, Exit, complain, print_line};
use crate::taxii::directory::unexpected;
use crate::taxii::inquiry::{inquire, named_address};
use crate::taxii::message::{
    Ask, ContentBinding, PushParameters, ResponseType, SubscriptionAction, SubscriptionAsk,
};
use crate::taxii::response::{Answer, ServiceKind, Subscription, Subscriptions};
use crate::taxii::version::protocol_of;

/// Which subscription, of whom.
#[derive(Debug, clap::Args)]
pub(super) struct SubscriptionArguments {
    /// The collection
    collection: String,
    /// The subscription, not with `subscribe`: as `subscribe` and `subscription-status` show it
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// With `subscribe`: the address of an inbox that content is pushed to; without it, it is polled
    #[arg(long, value_name = "URL")]
    push_to: Option<String>,
    /// With `subscribe`: content in this format alone, such as urn:stix.mitre.org:xml:1.1.1; may be
    /// repeated
    #[arg(long, value_name = "BINDING")]
    binding: Vec<String>,
    #[command(flatten)]
    at: AtUrl,
    /// Write one JSON object, for scripts
    #[arg(long)]
    json: bool,
}

impl SubscriptionArguments {
    pub(super) async fn run(
        self,
        config: &Path,
        action: SubscriptionAction,
    ) -> Result<Exit, CommandError> {
        let is_new = action == SubscriptionAction::Subscribe;
        let needs_id = !is_new && action != SubscriptionAction::Status;
        if needs_id && self.id.is_none() {
            complain("which one? --id; `cta-forwarder taxii subscription-status` shows them");
            return Ok(Exit::Usage);
        }
        if is_new && self.id.is_some() {
            complain("the service gives a new subscription its id: leave --id out");
            return Ok(Exit::Usage);
        }
        if !is_new && (self.push_to.is_some() || !self.binding.is_empty()) {
            complain("--push-to and --binding belong to `subscribe`");
            return Ok(Exit::Usage);
        }
        let peer = self.at.open(config).await?;
        let url = service(&peer, &self.collection).await?;
        let ask = SubscriptionAsk {
            action,
            collection: self.collection,
            subscription_id: self.id,
            response_type: ResponseType::Full,
            bindings: self
                .binding
                .iter()
                .map(|id| ContentBinding::from(id.as_str()))
                .collect(),
            push: self.push_to.map(|address| PushParameters {
                protocol: protocol_of(&address).to_owned(),
                message_binding: peer.version.message_binding().to_owned(),
                address,
            }),
        };
        let asked = Ask::Subscription(&ask);
        let inquired = inquire(&peer.client, &url, asked, peer.version).await?;
        let told = match inquired.answer {
            Answer::Subscriptions(told) => told,
            answer => return Err(unexpected(inquired.http, answer).into()),
        };
        if self.json {
            print_line(serde_json::json!(told))?;
        } else {
            print(&told)?;
        }
        Ok(Exit::Success)
    }
}

/// Where a collection is subscribed to: what its list says, else the service that has the list.
async fn service(peer: &Peer, collection: &str) -> Result<String, CommandError> {
    let manager = peer.address(&ServiceKind::CollectionManagement)?;
    if !peer.is_discovery() {
        return Ok(manager);
    }
    let known = peer.directory().collections_at(&manager).await?.collections;
    let known = known.iter().find(|known| known.name == collection);
    match known.and_then(|known| known.subscribed_at(peer.version)) {
        Some(contact) => Ok(named_address(&manager, &contact.address)?),
        None => Ok(manager),
    }
}

fn print(told: &Subscriptions) -> Result<(), CommandError> {
    if told.subscriptions.is_empty() {
        print_line("there is no subscription")?;
    } else {
        let rows: Vec<_> = told.subscriptions.iter().map(row).collect();
        let head = [
            "SUBSCRIPTION",
            "STATUS",
            "CONTENT",
            "PUSHED TO",
            "POLLED AT",
        ];
        Table::new(&head, &rows).print()?;
    }
    match &told.message {
        Some(message) => print_line(printable(message)),
        None => Ok(()),
    }
}

fn row(subscription: &Subscription) -> [String; 5] {
    let polled: Vec<String> = subscription
        .polling
        .iter()
        .map(|contact| printable(&contact.address))
        .collect();
    let push = subscription.push.as_ref();
    [
        printable(&subscription.id),
        printable(subscription.status.as_deref().unwrap_or("-")),
        formats(&subscription.content_bindings),
        push.map_or_else(|| "-".to_owned(), |push| printable(&push.address)),
        polled.join(", "),
    ]
}
