//! Who polls a collection when a person asks for it.

use std::collections::BTreeMap;

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use super::{Asked, Poller};

/// To the poller of a collection.
///
/// Unbounded, since a channel of tokio has room for many messages from the beginning, and thousands of
/// pollers wait for one that may never come. Whoever asks waits for the answer before he asks again.
pub type Asking = UnboundedSender<Asked>;

/// What a poller is asked.
pub type Questions = UnboundedReceiver<Asked>;

/// Who polls which collection, by service and collection.
#[derive(Debug, Clone, Default)]
pub struct Askable {
    services: BTreeMap<String, BTreeMap<String, Asking>>,
}

impl Askable {
    /// From now on this poller can be asked for its collections, in place of whoever could before.
    pub fn add(&mut self, poller: &Poller) -> Questions {
        let (ask, asked) = unbounded();
        let service = poller.service();
        let pollers = self.services.entry(service.name.clone()).or_default();
        for collection in &poller.collections {
            pollers.insert(collection.key.collection.clone(), ask.clone());
        }
        asked
    }

    /// The pollers of a service can no longer be asked.
    pub fn forget(&mut self, service: &str) {
        self.services.remove(service);
    }

    /// The poller of a collection of a service.
    #[must_use]
    pub fn of(&self, service: &str, collection: &str) -> Option<&Asking> {
        self.services.get(service)?.get(collection)
    }
}
