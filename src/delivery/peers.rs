//! Who gets the next flight: which of an output's peers are well, how much each may have at once,
//! and when one that failed is tried again.
//!
//! Every peer has a circuit of its own. After a failure it is left alone for a while, then tried
//! with a probe (which costs no event its time) and then with one flight; only a delivery makes it
//! well again.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Backoff, Concurrency};
use crate::clock::Now;
use crate::observe::board::{Hold, PeerActivity, PeerState};
use crate::output::PeerOrder;

/// How long a held peer waits before it is probed again, at most.
const MAX_PROBE_WAIT: Duration = Duration::from_secs(60);

/// The peers of one output.
#[derive(Debug)]
pub struct Peers {
    order: PeerOrder,
    all: Vec<Peer>,
    /// Where the search for the next one begins, so that equals take turns.
    turn: usize,
}

#[derive(Debug)]
struct Peer {
    name: String,
    state: State,
    backoff: Backoff,
    concurrency: Concurrency,
    in_flight: usize,
    /// Nothing was delivered since its last failure: one flight must show that it is well.
    is_on_trial: bool,
    trouble: Option<Trouble>,
}

/// Why nothing is delivered to a peer; it stays until something is.
#[derive(Debug)]
struct Trouble {
    reason: String,
    /// What a person must do, if waiting does not help.
    mend: Option<String>,
    since: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Flights may go there.
    Ready,
    /// It is left alone until then.
    Waiting { until: Duration, wants_probe: bool },
    /// It is being asked whether it is well.
    Probing,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Launch a flight to this peer.
    Launch(usize),
    /// Probe this peer.
    Probe(usize),
    /// Nothing before that moment, or before something lands.
    Nothing {
        /// On the monotonic clock.
        until: Option<Duration>,
    },
}

/// A failure as its peer's history makes it look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// How many in a row.
    pub failures: u32,
    /// How long the peer is left alone.
    pub wait: Duration,
    /// Whether something else must be done about it than before.
    pub is_new: bool,
}

impl Peers {
    /// Peers that nothing is known of. `is_probed_first` asks each before its first flight.
    #[must_use]
    pub fn new(
        names: Vec<String>,
        order: PeerOrder,
        max_in_flight: u32,
        backoff: &Backoff,
        is_probed_first: bool,
    ) -> Self {
        let state = if is_probed_first {
            State::Waiting {
                until: Duration::ZERO,
                wants_probe: true,
            }
        } else {
            State::Ready
        };
        let peer = |name| Peer {
            name,
            state,
            backoff: backoff.clone(),
            concurrency: Concurrency::new(max_in_flight),
            in_flight: 0,
            is_on_trial: false,
            trouble: None,
        };
        Self {
            order,
            all: names.into_iter().map(peer).collect(),
            turn: 0,
        }
    }

    /// The name of a peer.
    #[must_use]
    pub fn name(&self, peer: usize) -> &str {
        self.all.get(peer).map_or("", |peer| &peer.name)
    }

    /// The peer of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.all.iter().position(|peer| peer.name == name)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none, which does not happen in a checked configuration.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether there is more than one.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// What to do for events that wait. `may_have` says of each peer whether it may have one flight
    /// more as far as others are concerned.
    pub fn choose(&mut self, now: Duration, may_have: impl Fn(usize) -> bool) -> Choice {
        for (index, peer) in self.all.iter_mut().enumerate() {
            if let State::Waiting { until, wants_probe } = peer.state
                && until <= now
            {
                if wants_probe {
                    peer.state = State::Probing;
                    return Choice::Probe(index);
                }
                peer.state = State::Ready;
            }
        }
        let is_free = |index: &usize| {
            let peer = self.all.get(*index);
            peer.is_some_and(|peer| peer.in_flight < peer.limit()) && may_have(*index)
        };
        let is_ready = |index: &usize| {
            let peer = self.all.get(*index);
            peer.is_some_and(|peer| peer.state == State::Ready)
        };
        let count = self.all.len();
        let chosen = match self.order {
            PeerOrder::Preferred => (0..count).find(is_ready).filter(is_free),
            PeerOrder::Spread => (0..count)
                .map(|offset| (self.turn + offset) % count)
                .filter(is_ready)
                .filter(is_free)
                .min_by_key(|index| self.all.get(*index).map(|peer| peer.in_flight)),
        };
        if let Some(index) = chosen {
            return Choice::Launch(index);
        }
        let waits = self.all.iter().filter_map(|peer| match peer.state {
            State::Waiting { until, .. } => Some(until),
            State::Ready | State::Probing => None,
        });
        Choice::Nothing { until: waits.min() }
    }

    /// A flight goes to this peer.
    pub fn launched(&mut self, peer: usize) {
        self.turn = peer + 1;
        if let Some(peer) = self.all.get_mut(peer) {
            peer.in_flight += 1;
        }
    }

    /// A flight has landed, whatever became of it; tells whether it was one of as many as the peer
    /// may have.
    pub fn landed(&mut self, peer: usize) -> bool {
        let Some(peer) = self.all.get_mut(peer) else {
            return false;
        };
        let was_full = peer.in_flight >= peer.limit();
        peer.in_flight = peer.in_flight.saturating_sub(1);
        was_full
    }

    /// Something was delivered; tells since when it had been held, if it was. `may_grow` is whether
    /// the answer says anything about more flights at once.
    pub fn delivered(
        &mut self,
        peer: usize,
        took: Duration,
        may_grow: bool,
    ) -> Option<DateTime<Utc>> {
        let peer = self.all.get_mut(peer)?;
        peer.concurrency.delivered(took, may_grow);
        if peer.state != State::Ready {
            // It has failed since this was launched.
            return None;
        }
        peer.backoff.reset();
        peer.is_on_trial = false;
        let trouble = peer.trouble.take()?;
        trouble.mend.map(|_| trouble.since)
    }

    /// It takes what it gets, but asks for less; tells whether one flight at once is all that it
    /// gets already.
    pub fn slow_down(&mut self, peer: usize) -> bool {
        let Some(peer) = self.all.get_mut(peer) else {
            return false;
        };
        let is_least = peer.concurrency.limit() == 1;
        peer.concurrency.congested();
        is_least
    }

    /// A flight or a probe failed and may be tried again; none where that is told already, since it
    /// was under way when another one failed. `asked` is how long the peer wants to be left alone.
    pub fn failed(
        &mut self,
        peer: usize,
        now: Now,
        reason: &str,
        asked: Option<Duration>,
        random: &mut fastrand::Rng,
    ) -> Option<Failure> {
        let are_several = self.are_several();
        let peer = self.all.get_mut(peer)?;
        peer.fails(now, reason, None, asked, Duration::MAX, are_several, random)
    }

    /// A person must mend something first; otherwise like [`failed`](Self::failed).
    pub fn held(
        &mut self,
        peer: usize,
        now: Now,
        reason: &str,
        mend: &str,
        random: &mut fastrand::Rng,
    ) -> Option<Failure> {
        let peer = self.all.get_mut(peer)?;
        let mend = Some(mend.to_owned());
        peer.fails(now, reason, mend, None, MAX_PROBE_WAIT, false, random)
    }

    /// A probe went well: a flight may show whether all is.
    pub fn probed(&mut self, peer: usize) {
        if let Some(peer) = self.all.get_mut(peer)
            && peer.state == State::Probing
        {
            peer.state = State::Ready;
        }
    }

    /// Flights under way to a peer.
    #[must_use]
    pub fn in_flight(&self, peer: usize) -> usize {
        self.all.get(peer).map_or(0, |peer| peer.in_flight)
    }

    /// Whether another peer than this one is taking events.
    #[must_use]
    pub fn is_another_well(&self, than: usize) -> bool {
        let mut peers = self.all.iter().enumerate();
        peers.any(|(index, peer)| index != than && peer.is_well())
    }

    /// Why nothing is delivered to any of them, where a person must do something about it.
    #[must_use]
    pub fn hold(&self) -> Option<Hold> {
        if self.all.iter().any(Peer::is_well) {
            return None;
        }
        let mut troubles = self.all.iter().filter_map(|peer| peer.trouble.as_ref());
        troubles.find_map(|trouble| {
            Some(Hold {
                reason: trouble.reason.clone(),
                mend: trouble.mend.clone()?,
                since: trouble.since,
            })
        })
    }

    /// Failures in a row of the peer that has the fewest.
    #[must_use]
    pub fn failures(&self) -> u32 {
        let failures = self.all.iter().map(|peer| peer.backoff.failures());
        failures.min().unwrap_or(0)
    }

    /// All of them, for the status.
    #[must_use]
    pub fn activities(&self) -> Vec<PeerActivity> {
        self.all.iter().map(Peer::activity).collect()
    }
}

impl Peer {
    fn limit(&self) -> usize {
        if self.is_on_trial {
            1
        } else {
            self.concurrency.limit()
        }
    }

    fn is_well(&self) -> bool {
        self.trouble.is_none()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "two kinds of failure differ in all of these"
    )]
    fn fails(
        &mut self,
        now: Now,
        reason: &str,
        mend: Option<String>,
        asked: Option<Duration>,
        max_wait: Duration,
        wants_probe: bool,
        random: &mut fastrand::Rng,
    ) -> Option<Failure> {
        if matches!(self.state, State::Waiting { .. }) {
            return None;
        }
        self.concurrency.congested();
        self.is_on_trial = true;
        let wait = self.backoff.wait(asked, random).min(max_wait);
        let before = self.trouble.take();
        // What it says may hold a time or a number: another mend is what is new.
        let is_new = before.as_ref().is_none_or(|before| before.mend != mend);
        let since = before.as_ref().map_or(now.utc, |before| before.since);
        let trouble = match before {
            // A hold that is probed in vain, for whatever reason, is still the same hold.
            Some(before) if before.mend.is_some() && mend.is_none() => before,
            _ => Trouble {
                reason: reason.to_owned(),
                mend,
                since,
            },
        };
        self.state = State::Waiting {
            until: now.monotonic + wait,
            wants_probe: wants_probe || trouble.mend.is_some(),
        };
        self.trouble = Some(trouble);
        Some(Failure {
            failures: self.backoff.failures(),
            wait,
            is_new,
        })
    }

    fn activity(&self) -> PeerActivity {
        let mend = self
            .trouble
            .as_ref()
            .and_then(|trouble| trouble.mend.clone());
        PeerActivity {
            name: self.name.clone(),
            state: match (&self.trouble, &mend) {
                (None, _) => PeerState::Ready,
                (Some(_), None) => PeerState::Failing,
                (Some(_), Some(_)) => PeerState::Held,
            },
            in_flight: self.in_flight,
            limit: self.limit(),
            failures: self.backoff.failures(),
            reason: self.trouble.as_ref().map(|trouble| trouble.reason.clone()),
            mend,
            since: self.trouble.as_ref().map(|trouble| trouble.since),
        }
    }
}

#[cfg(test)]
mod tests;
