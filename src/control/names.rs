//! Whether what a person names is there at all: a slip of the keyboard is no empty answer.

use std::collections::BTreeSet;

use super::{Control, Request};
use crate::config::Config;
use crate::letters;
use crate::state::CollectionKey;

impl Control {
    /// Refuses a collection that nobody knows: not the configuration, not the state, and not what is
    /// kept of others.
    pub(super) fn check_collection(&self, request: &Request) -> Result<(), String> {
        let (service, collection) = match request {
            Request::ListLetters { choice }
            | Request::ExportLetters { choice }
            | Request::RetryLetters { choice, .. }
            | Request::DropLetters { choice } => (None, &choice.collection),
            Request::PlanReplay { choice } | Request::Replay { choice } => {
                (choice.service.as_ref(), &choice.collection)
            }
            _ => return Ok(()),
        };
        if service.is_none() && collection.is_none() {
            return Ok(());
        }
        let is_it = |known: &CollectionKey| {
            collection
                .as_ref()
                .is_none_or(|name| known.collection == *name)
                && service.is_none_or(|name| known.service == *name)
        };
        let mut known = configured(&self.current().config);
        self.house.state.look(|picture| {
            let keys = picture.collections.keys();
            let keys = keys.filter_map(|name| name.split_once('/'));
            known.extend(keys.map(|(service, collection)| key(service, collection)));
        });
        if known.iter().any(is_it) {
            return Ok(());
        }
        self.add_kept(&mut known)?;
        if known.iter().any(is_it) {
            return Ok(());
        }
        let of_service = |name: &String| format!("of the service {name:?}");
        let asked = match (collection, service.map(of_service)) {
            (Some(collection), Some(of_service)) => format!("{collection:?} {of_service}"),
            (Some(collection), None) => format!("{collection:?}"),
            (None, of_service) => of_service.unwrap_or_default(),
        };
        let known: Vec<String> = known.iter().map(CollectionKey::to_string).collect();
        Err(format!(
            "there is no collection {asked}; there are: {}",
            known.join(", ")
        ))
    }

    /// Those of dead letters and of the archive: they stay when a state is made anew.
    fn add_kept(&self, known: &mut BTreeSet<CollectionKey>) -> Result<(), String> {
        tokio::task::block_in_place(|| {
            for head in self.house.spool.newest_archived(|_| true) {
                known.insert(key(&head.service, &head.collection));
            }
            let each = letters::each(&self.house, |letter, _| {
                known.insert(key(&letter.service, &letter.collection));
            });
            each.map(drop).map_err(|error| error.to_string())
        })
    }
}

fn configured(config: &Config) -> BTreeSet<CollectionKey> {
    let polled = config.services.iter().flat_map(|service| {
        let collections = service.collections.iter();
        collections.map(|collection| key(&service.name, collection))
    });
    let pushed = config.inbox.iter().flat_map(|inbox| {
        let collections = inbox.collections.iter();
        collections.map(|collection| key(&inbox.name, collection))
    });
    polled.chain(pushed).collect()
}

fn key(service: &str, collection: &str) -> CollectionKey {
    CollectionKey {
        service: service.to_owned(),
        collection: collection.to_owned(),
    }
}
