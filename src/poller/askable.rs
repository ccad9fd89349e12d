//! Who polls a collection when a person asks for it.

use std::collections::BTreeMap;

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_util::StreamExt as _;

use super::{Asked, Poller};

/// So many polls by hand may wait for one poller, those included whose person has gone meanwhile.
const MAX_WAITING: usize = 16;

/// Who polls which collection, by service and collection.
#[derive(Debug, Clone, Default)]
pub struct Askable {
    services: BTreeMap<String, BTreeMap<String, Asking>>,
}

/// To the poller of a collection.
///
/// The channel has no bound of its own, since one of tokio has room for many messages from the beginning,
/// and thousands of pollers wait for one that may never come. Boxed for the same reason: it has room for one.
#[derive(Debug, Clone)]
pub struct Asking(UnboundedSender<Box<Asked>>);

/// What a poller is asked.
#[derive(Debug)]
pub struct Questions(UnboundedReceiver<Box<Asked>>);

/// A poller does not get a question.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAsked {
    /// It polls no more.
    #[error("the agent is stopping, or has just read another configuration: ask again")]
    Gone,
    /// Others have asked.
    #[error("{MAX_WAITING} polls by hand of this collection wait already: ask again later")]
    TooMany,
}

impl Askable {
    /// From now on this poller can be asked for its collections, in place of whoever could before.
    pub fn add(&mut self, poller: &Poller) -> Questions {
        let (ask, asked) = unbounded();
        let service = poller.service();
        let pollers = self.services.entry(service.name.clone()).or_default();
        for collection in &poller.collections {
            pollers.insert(collection.key.collection.clone(), Asking(ask.clone()));
        }
        Questions(asked)
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

impl Asking {
    /// Asks for a poll.
    pub fn ask(&self, asked: Asked) -> Result<(), NotAsked> {
        if self.0.len() >= MAX_WAITING {
            return Err(NotAsked::TooMany);
        }
        let asked = self.0.unbounded_send(Box::new(asked));
        asked.map_err(|_| NotAsked::Gone)
    }
}

impl Questions {
    /// The next one whose person still waits for the answer; none when nobody can ask any more.
    pub async fn next(&mut self) -> Option<Box<Asked>> {
        loop {
            let asked = self.0.next().await?;
            if !asked.answer.is_closed() {
                return Some(asked);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::super::{Destination, ManualPoll, ManualPollError, ManualResult};
    use super::*;
    use crate::taxii::window::PollWindow;
    use crate::world::{Setup, World};

    type Answer = oneshot::Receiver<Result<ManualResult, ManualPollError>>;

    fn question(collection: &str) -> (Asked, Answer) {
        let (answer, answered) = oneshot::channel();
        let poll = ManualPoll {
            collection: collection.to_owned(),
            window: PollWindow {
                exclusive_begin: None,
                inclusive_end: None,
            },
            destination: Destination::Person,
        };
        let asked = Asked {
            poll,
            may_wait: false,
            answer,
        };
        (asked, answered)
    }

    /// What is asked for next, if anything.
    fn next(questions: &mut Questions) -> Option<String> {
        let asked = questions.next().now_or_never()??;
        Some(asked.poll.collection)
    }

    #[tokio::test]
    async fn the_poller_that_came_last_is_asked() {
        let mut world = World::new(Setup::default());
        let poller = &world.agent.pollers()[0];
        let service = poller.service().name.clone();
        let collection = poller.service().collections[0].clone();
        let mut askable = Askable::default();
        assert!(askable.of(&service, &collection).is_none());
        let mut first = askable.add(poller);
        let of_first = askable.of(&service, &collection).unwrap().clone();
        let mut second = askable.add(poller);
        let of_second = askable.of(&service, &collection).unwrap().clone();
        let (asked, _answered) = question("by the first");
        of_first.ask(asked).unwrap();
        let (asked, _answered) = question("by the second");
        of_second.ask(asked).unwrap();
        assert_eq!(next(&mut first).as_deref(), Some("by the first"));
        assert_eq!(next(&mut second).as_deref(), Some("by the second"));

        askable.forget("another");
        assert!(askable.of(&service, &collection).is_some());
        assert!(askable.of(&service, "another").is_none());
        askable.forget(&service);
        assert!(askable.of(&service, &collection).is_none());
        drop(second);
        assert_eq!(of_second.ask(question("late").0), Err(NotAsked::Gone));
    }

    #[test]
    fn who_has_gone_is_not_polled_for_and_no_more_than_so_many_wait() {
        let (ask, asked) = unbounded();
        let (asking, mut questions) = (Asking(ask), Questions(asked));
        let mut answers = Vec::new();
        for number in 0..MAX_WAITING {
            let (asked, answered) = question(&number.to_string());
            asking.ask(asked).unwrap();
            answers.push(answered);
        }
        assert_eq!(asking.ask(question("more").0), Err(NotAsked::TooMany));
        answers.truncate(MAX_WAITING - 1);
        answers.drain(..MAX_WAITING - 2);
        let last = (MAX_WAITING - 2).to_string();
        assert_eq!(next(&mut questions), Some(last));
        assert_eq!(next(&mut questions), None);
        asking.ask(question("gone").0).unwrap();
        drop(asking);
        assert!(
            questions.next().now_or_never().unwrap().is_none(),
            "nobody can ask any more"
        );
    }
}
