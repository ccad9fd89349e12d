//! How many polls of one service are under way at once, where each collection has a gate of its own.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Each takes a connection, and a thread while its answer is read: ten thousand collections that are due
/// at one moment would take as many. The others wait for a place.
pub(super) const MAX_POLLS_AT_ONCE: usize = 8;

/// The places at a service, which its pollers share.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Semaphore>);

/// A place; it is free again when dropped.
#[derive(Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Places {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_POLLS_AT_ONCE)))
    }

    /// A place, if one is free.
    pub(super) fn take_now(&self) -> Option<Place> {
        let place = Arc::clone(&self.0).try_acquire_owned();
        place.ok().map(Place)
    }

    /// A place as soon as one is free; none once it is interrupted.
    pub(super) async fn take(&self, interrupt: &CancellationToken) -> Option<Place> {
        let place = Arc::clone(&self.0).acquire_owned();
        let place = interrupt.run_until_cancelled(place).await?;
        // Who is interrupted makes one free.
        place.ok().filter(|_| !interrupt.is_cancelled()).map(Place)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use futures_util::stream::FuturesUnordered;

    use super::*;
    use crate::simulator::ArmedFault;
    use crate::simulator::cta::{CtaFault, CtaFaultOn, CtaRequestKind, CtaRules, GateScope};
    use crate::wake::Wake;
    use crate::world::{Setup, World};

    /// A service that does not answer has no more polls than that, and who waits for a place waits for
    /// nothing when the agent stops.
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
        let interrupts: Vec<_> = pollers.iter().map(|poller| poller.interrupt()).collect();
        let mut under_way: FuturesUnordered<_> =
            pollers.iter_mut().map(super::super::Poller::turn).collect();
        let mut seen = 0;
        while polls() < MAX_POLLS_AT_ONCE {
            seen += 1;
            tokio::select! {
                wake = under_way.next() => panic!("a poll without an answer has ended: {wake:?}"),
                () = cta.wait_for_requests(seen) => {}
            }
        }
        assert!(places.take_now().is_none());
        assert_eq!(polls(), MAX_POLLS_AT_ONCE);

        interrupts.iter().for_each(CancellationToken::cancel);
        let mut waited = 0;
        while let Some(wake) = under_way.next().await {
            waited += usize::from(wake == Wake::Asked);
        }
        assert_eq!(waited, names.len() - MAX_POLLS_AT_ONCE);
        assert_eq!(polls(), MAX_POLLS_AT_ONCE);
        assert!(places.take_now().is_some());
    }
}
