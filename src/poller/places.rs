//! How many polls of one service are under way at once, where each collection has a gate of its own.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Each takes a connection, and a thread while its answer is read: ten thousand collections that are due
/// at one moment would take as many. The others wait for a place.
pub(super) const MAX_POLLS_AT_ONCE: usize = 8;

/// The places at a service, which its pollers share.
#[derive(Debug, Clone)]
pub struct Places(Arc<Semaphore>);

/// A place among the polls of a service; it is free again when dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_POLLS_AT_ONCE)))
    }
}

impl Places {
    /// A place, if one is free.
    pub fn take_now(&self) -> Option<Place> {
        let place = Arc::clone(&self.0).try_acquire_owned();
        place.ok().map(Place)
    }

    /// A place as soon as one is free.
    pub async fn take(self) -> Place {
        match self.0.acquire_owned().await {
            Ok(place) => Place(place),
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::FuturesUnordered;
    use futures_util::{FutureExt as _, StreamExt as _};

    use super::*;
    use crate::poller::Poller;
    use crate::simulator::ArmedFault;
    use crate::simulator::cta::{CtaFault, CtaFaultOn, CtaRequestKind, CtaRules, GateScope};
    use crate::wake::Wake;
    use crate::world::{Setup, World};

    /// A service that does not answer has no more polls than that.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn so_many_at_once_and_the_others_wait() {
        let names: Vec<String> = (0..3 * MAX_POLLS_AT_ONCE)
            .map(|place| format!("collection_{place}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut world = World::new(Setup {
            rules: CtaRules {
                gate_scope: GateScope::Collection,
                ..CtaRules::for_collections(&names)
            },
            service: "initial_lookback = \"1h\"\npoll_limit_scope = \"collection\"\n".to_owned(),
            ..Setup::default()
        });
        let never = ArmedFault::until_cleared(CtaFault::BlackHole).on(CtaFaultOn::Poll);
        world.cta.set_fault(never);
        let cta = Arc::clone(&world.cta);
        let polls = || {
            let requests = cta.requests().into_iter();
            requests
                .filter(|request| request.kind == CtaRequestKind::Poll)
                .count()
        };

        let pollers = world.agent.pollers();
        let places = pollers[0].places.clone();
        // That of one ends the polls of all.
        let interrupt = pollers[0].interrupt();
        let mut under_way: FuturesUnordered<_> = pollers.iter_mut().map(Poller::turn).collect();
        for _ in MAX_POLLS_AT_ONCE..names.len() {
            assert_eq!(under_way.next().await, Some(Wake::Place));
        }
        let mut seen = 0;
        while polls() < MAX_POLLS_AT_ONCE {
            seen += 1;
            tokio::select! {
                wake = under_way.next() => panic!("a poll without an answer has ended: {wake:?}"),
                () = cta.wait_for_requests(seen) => {}
            }
        }
        assert!(places.take_now().is_none());
        assert!(places.clone().take().now_or_never().is_none());

        interrupt.cancel();
        while under_way.next().await.is_some() {}
        drop(under_way);
        assert_eq!(polls(), MAX_POLLS_AT_ONCE);
        assert!(places.take_now().is_some());
    }

    /// Who has waited has the place that became free, and gives it back behind its poll.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_waits_is_next() {
        let mut world = World::new(Setup::default());
        let places = world.agent.pollers()[0].places.clone();
        let all: Vec<_> = std::iter::from_fn(|| places.take_now()).collect();
        assert_eq!(all.len(), MAX_POLLS_AT_ONCE);
        let poller = &mut world.agent.pollers()[0];
        assert_eq!(poller.turn().await, Wake::Place);
        let mut waits = Box::pin(poller.places().take());
        assert!(waits.as_mut().now_or_never().is_none());
        drop(all);
        let place = waits.await;
        poller.has_place(place);
        assert_ne!(poller.turn().await, Wake::Place);
        let free: Vec<_> = std::iter::from_fn(|| places.take_now()).collect();
        assert_eq!(free.len(), MAX_POLLS_AT_ONCE);
        assert!(world.collection(CtaRules::COLLECTION).checkpoint.is_some());
    }
}
