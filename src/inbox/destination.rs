//! Which collections a message is for, and whether it may be for them. Pure.

use crate::config::InboxConfig;
use crate::taxii::message::StatusReply;
use crate::taxii::response::InboxMessage;
use crate::taxii::status::StatusType;

/// The collections that a message is for, or why it is for none of ours.
pub(super) fn destinations(
    config: &InboxConfig,
    message: &InboxMessage,
) -> Result<Vec<String>, StatusReply> {
    let named = if message.destinations.is_empty() {
        vec![implied(config, message).ok_or_else(|| nowhere(config))?]
    } else {
        message.destinations.clone()
    };
    for collection in &named {
        if !config.collections.contains(collection) {
            let what = format!("there is no collection {collection:?} here");
            let reply = StatusReply::new(StatusType::NotFound, what);
            return Err(reply.detail("ITEM", collection));
        }
        let agreed = config.subscriptions.get(collection);
        let pushed_for = message
            .source
            .as_ref()
            .and_then(|source| source.id.as_ref());
        if agreed.is_some() && agreed != pushed_for {
            let what = format!(
                "the collection {collection:?} takes what is pushed for its subscription, and this \
                 is {}",
                pushed_for.map_or_else(
                    || "pushed for none".to_owned(),
                    |id| format!("pushed for {id:?}"),
                )
            );
            return Err(StatusReply::new(StatusType::Denied, what));
        }
    }
    Ok(named)
}

/// Where a message goes that names no destination, as none of TAXII 1.0 can: to the collection that
/// its subscription is to, or where all others go.
fn implied(config: &InboxConfig, message: &InboxMessage) -> Option<String> {
    let of_source = message.source.as_ref().and_then(|source| {
        let id = source.id.as_ref();
        let mut agreed = config.subscriptions.iter();
        let by_id = agreed.find(|(_, known)| Some(*known) == id);
        let by_id = by_id.map(|(collection, _)| collection);
        let by_name = source.collection.as_ref();
        by_id.or(by_name.filter(|name| config.collections.contains(name)))
    });
    of_source.or(config.default_collection.as_ref()).cloned()
}

fn nowhere(config: &InboxConfig) -> StatusReply {
    let what = format!(
        "name the collection that this is for: {}",
        config.collections.join(", ")
    );
    let reply = StatusReply::new(StatusType::DestinationCollectionError, what);
    let names = config.collections.iter();
    names.fold(reply, |reply, name| {
        reply.detail("ACCEPTABLE_DESTINATION", name)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Limits;
    use crate::taxii::response::SourceSubscription;

    fn config(default: Option<&str>, subscriptions: &[(&str, &str)]) -> InboxConfig {
        let pair = |(name, id): &(&str, &str)| ((*name).to_owned(), (*id).to_owned());
        InboxConfig {
            name: "inbox".to_owned(),
            listen: "127.0.0.1:0".parse().unwrap(),
            path: "/".to_owned(),
            collections: vec!["gold".to_owned(), "tin".to_owned()],
            default_collection: default.map(str::to_owned),
            subscriptions: subscriptions.iter().map(pair).collect(),
            credentials: None,
            tls: None,
            request_timeout: Duration::from_secs(1),
            max_connections: 1,
            max_messages_per_minute: 1,
            limits: Limits::default(),
        }
    }

    /// A message to these, pushed for a collection's subscription.
    fn message(to: &[&str], source: Option<(&str, &str)>) -> InboxMessage {
        InboxMessage {
            destinations: to.iter().map(|&name| name.to_owned()).collect(),
            source: source.map(|(collection, id)| SourceSubscription {
                collection: Some(collection.to_owned()),
                id: Some(id.to_owned()),
            }),
            ..InboxMessage::default()
        }
    }

    #[track_caller]
    fn check(config: &InboxConfig, message: &InboxMessage, expect: &[&str]) {
        assert_eq!(destinations(config, message).unwrap(), expect);
    }

    #[track_caller]
    fn refused(config: &InboxConfig, message: &InboxMessage, status: StatusType, why: &str) {
        let reply = destinations(config, message).unwrap_err();
        assert_eq!(reply.status, status, "{reply:?}");
        assert!(reply.message.as_ref().unwrap().contains(why), "{reply:?}");
    }

    #[test]
    fn a_message_goes_where_it_is_sent_to() {
        let config = config(Some("tin"), &[]);
        check(&config, &message(&["gold"], None), &["gold"]);
        check(&config, &message(&["tin", "gold"], None), &["tin", "gold"]);
        let lead = message(&["gold", "lead"], None);
        refused(&config, &lead, StatusType::NotFound, "\"lead\"");
    }

    #[test]
    fn one_that_names_nothing_goes_where_it_comes_from() {
        let known = config(None, &[("gold", "s1")]);
        check(&known, &message(&[], Some(("theirs", "s1"))), &["gold"]);
        check(&known, &message(&[], Some(("tin", "s9"))), &["tin"]);
        let nowhere = StatusType::DestinationCollectionError;
        let unknown = message(&[], Some(("theirs", "s9")));
        refused(&known, &unknown, nowhere, "gold, tin");
        refused(&known, &message(&[], None), nowhere, "gold, tin");
        check(&config(Some("tin"), &[]), &message(&[], None), &["tin"]);
        check(&config(Some("tin"), &[]), &unknown, &["tin"]);
    }

    #[test]
    fn where_a_subscription_is_agreed_on_nothing_else_gets_in() {
        let config = config(Some("gold"), &[("gold", "s1")]);
        check(&config, &message(&["gold"], Some(("g", "s1"))), &["gold"]);
        check(&config, &message(&["tin"], None), &["tin"]);
        let denied = StatusType::Denied;
        for (message, why) in [
            (message(&["gold"], None), "for none"),
            (message(&[], None), "for none"),
            (message(&["gold"], Some(("gold", "s2"))), "for \"s2\""),
            (message(&["tin", "gold"], Some(("tin", "s2"))), "for \"s2\""),
        ] {
            refused(&config, &message, denied, why);
        }
    }
}
