//! Answers that a service will have later: PENDING, then Poll_Fulfillment. No poll is spent on
//! asking for them.
//!
//! They wait in memory: after a restart the window is polled anew.

use std::time::Duration;

use super::endpoint::Endpoint;
use super::failure::FAILURES_AT_FLOOR;
use super::{PollError, Poller};
use crate::state::CollectionPicture;
use crate::taxii::exchange::{Exchange, Later};
use crate::taxii::fault::{Fault, Reaction};
use crate::taxii::window::PollWindow;
use crate::wake::Wake;

/// How long an answer is waited for before its window is polled anew.
const MAX_PENDING: Duration = Duration::from_secs(24 * 60 * 60);
/// How long to wait after the service could not be reached for it.
const UNREACHED_WAIT: Duration = Duration::from_secs(60);

/// A window whose answer the service will have later.
#[derive(Debug)]
pub(super) struct Pending {
    exchange: Exchange,
    endpoint: Endpoint,
    window: PollWindow,
    /// What was known of the collection when the poll began.
    known: CollectionPicture,
    /// When the service said so first, on the monotonic clock.
    since: Duration,
}

impl Pending {
    pub(super) fn new(
        exchange: Exchange,
        endpoint: Endpoint,
        window: PollWindow,
        known: CollectionPicture,
        since: Duration,
    ) -> Self {
        Self {
            exchange,
            endpoint,
            window,
            known,
            since,
        }
    }
}

/// The service may still have the answer: after which time it is asked for it again.
pub(super) fn asks_again_after(fault: &Fault) -> Option<Duration> {
    match fault {
        Fault::Connect { .. } | Fault::Connection { .. } | Fault::TimedOut { .. } => {
            Some(UNREACHED_WAIT)
        }
        fault => match fault.reaction() {
            Reaction::Wait(wait) => Some(wait.max(UNREACHED_WAIT)),
            _ => None,
        },
    }
}

impl Poller {
    /// The service will have the answer later.
    pub(super) fn wait_for_answer(&mut self, index: usize, pending: Pending, later: Later) -> Wake {
        let now = self.house.clock.now().monotonic;
        let Some(collection) = self.collections.get_mut(index) else {
            return Wake::Asked;
        };
        collection.is_due = true;
        let key = &collection.key;
        if now.saturating_sub(pending.since) >= MAX_PENDING {
            tracing::warn!(
                collection = %key,
                waited_h = MAX_PENDING.as_secs() / 3600,
                "the service still does not have the answer that it promised: the window is polled anew"
            );
            return Wake::NOW;
        }
        let wait = later.wait;
        tracing::info!(collection = %key, wait_s = wait.as_secs(), "the service will have the answer later");
        collection.wait_until = Some(now.saturating_add(wait));
        collection.pending = Some(Box::new(pending));
        let what = format!(
            "the answer comes later (PENDING), asked for in {}s",
            wait.as_secs()
        );
        self.tell(index, what);
        Wake::NOW
    }

    /// A collection whose answer may be there by now.
    pub(super) fn pending(&self) -> Option<usize> {
        let now = self.house.clock.now();
        self.collections
            .iter()
            .position(|known| known.pending.is_some() && known.waits_for(now).is_zero())
    }

    /// How long until the next answer may be there.
    pub(super) fn pending_waits_for(&self) -> Option<Duration> {
        let now = self.house.clock.now();
        let pending = self
            .collections
            .iter()
            .filter(|known| known.pending.is_some());
        pending.map(|known| known.waits_for(now)).min()
    }

    /// Asks for the answer.
    pub(super) async fn fetch_pending(&mut self, index: usize) -> Wake {
        let Some(collection) = self.collections.get_mut(index) else {
            return Wake::Asked;
        };
        let key = collection.key.clone();
        let Some(mut pending) = collection.pending.take() else {
            return Wake::NOW;
        };
        let started = self.house.clock.now();
        let server_now = self.server_clock.now(started);
        let turn = self.disk_turn(self.house.disk_turns.to_begin()).await;
        let mut staging = match self.stage(&key.to_string()) {
            Ok(staging) => staging,
            Err(error) => {
                self.put_back(index, pending, UNREACHED_WAIT);
                return self.no_room(index, &error, server_now);
            }
        };
        if let Err(error) = self.stage_only_new(&key, &mut staging) {
            self.put_back(index, pending, UNREACHED_WAIT);
            return self.not_kept(index, &error, server_now);
        }
        drop(turn);
        if pending.known.failures + 1 >= FAILURES_AT_FLOOR {
            staging.keep_raw();
        }
        let url = pending.endpoint.url.clone();
        let fetched = self
            .parts(&key, &url, &mut pending.exchange, &mut staging)
            .await;
        match fetched {
            Err(PollError::Later(later)) => self.wait_for_answer(index, *pending, later),
            Err(PollError::Fault(fault))
                if pending.exchange.part() == 1
                    && started.monotonic.saturating_sub(pending.since) < MAX_PENDING
                    && let Some(wait) = asks_again_after(&fault) =>
            {
                tracing::warn!(collection = %key, %fault, wait_s = wait.as_secs(), "the answer that the service promised could not be had; asking for it again");
                self.put_back(index, pending, wait);
                Wake::NOW
            }
            fetched => {
                self.count(&key, &fetched);
                let Pending { window, known, .. } = *pending;
                let _turn = self.disk_turn(self.house.disk_turns.to_commit()).await;
                self.fetched(index, &window, known, fetched, staging, started)
            }
        }
    }

    fn put_back(&mut self, index: usize, pending: Box<Pending>, wait: Duration) {
        let now = self.house.clock.now().monotonic;
        if let Some(collection) = self.collections.get_mut(index) {
            collection.wait_until = Some(now.saturating_add(wait));
            collection.pending = Some(pending);
        }
    }
}
