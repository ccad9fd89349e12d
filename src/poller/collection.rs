//! One collection in the eyes of its poller: what does not survive a restart.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::pending::Pending;
use crate::clock::Now;
use crate::observe::board::Hold;
use crate::state::CollectionKey;
use crate::taxii::exchange::WarningKind;

/// A collection that is polled.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) key: CollectionKey,
    /// The schedule, a backlog or a failure asks for a poll.
    pub(super) is_due: bool,
    /// The service asked to wait until then, on the monotonic clock.
    pub(super) wait_until: Option<Duration>,
    /// A window whose answer the service will have later.
    pub(super) pending: Option<Box<Pending>>,
    /// When it last had its turn, counted over the collections behind its gate.
    last_turn: u64,
    /// Whether that turn came to nothing.
    has_failed: bool,
    hold: Option<Hold>,
    alarmed: bool,
    warned: HashSet<WarningKind>,
}

/// A collection that may be polled now, for the choice among several.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) index: usize,
    /// Up to where it is here; one that is nowhere comes first.
    pub(super) checkpoint: Option<DateTime<Utc>>,
    last_turn: u64,
    has_failed: bool,
}

impl Collection {
    /// A collection is due at the start: what came meanwhile is fetched.
    pub(super) fn new(key: CollectionKey) -> Self {
        Self {
            key,
            is_due: true,
            wait_until: None,
            pending: None,
            last_turn: 0,
            has_failed: false,
            hold: None,
            alarmed: false,
            warned: HashSet::new(),
        }
    }

    pub(super) fn candidate(&self, index: usize, checkpoint: Option<DateTime<Utc>>) -> Candidate {
        Candidate {
            index,
            checkpoint,
            last_turn: self.last_turn,
            has_failed: self.has_failed,
        }
    }

    /// How long the service has asked to wait from now on.
    pub(super) fn waits_for(&self, now: Now) -> Duration {
        self.wait_until
            .map_or(Duration::ZERO, |until| until.saturating_sub(now.monotonic))
    }

    /// It has its turn; until it succeeds it counts as failed.
    pub(super) fn begin_turn(&mut self, turn: u64) {
        self.last_turn = turn;
        self.has_failed = true;
    }

    /// Why it is held, and since when.
    pub(super) fn held(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// Holds, and tells whether there is something new to mend.
    pub(super) fn hold(&mut self, reason: String, mend: &str, now: DateTime<Utc>) -> bool {
        let before = self.hold.take().filter(|hold| hold.mend == mend);
        let is_new = before.is_none();
        self.hold = Some(Hold {
            reason,
            mend: mend.to_owned(),
            since: before.map_or(now, |hold| hold.since),
        });
        is_new
    }

    /// Tells whether the alarm is still to be raised.
    pub(super) fn alarm(&mut self) -> bool {
        !std::mem::replace(&mut self.alarmed, true)
    }

    /// Tells whether a warning of this kind is still to be written.
    pub(super) fn warn_once(&mut self, kind: WarningKind) -> bool {
        self.warned.insert(kind)
    }

    /// A poll went well.
    pub(super) fn succeeded(&mut self) {
        self.wait_until = None;
        self.has_failed = false;
        self.hold = None;
        self.alarmed = false;
    }
}

/// The one whose turn it is: the most behind, but one that failed the last time lets every other
/// have a turn first, so that none starves behind it.
pub(super) fn choose(candidates: &[Candidate]) -> Option<usize> {
    let yields = |one: &Candidate| {
        one.has_failed
            && candidates
                .iter()
                .any(|other| other.last_turn < one.last_turn)
    };
    let ready = candidates.iter().filter(|candidate| !yields(candidate));
    let first = ready.min_by_key(|candidate| (candidate.checkpoint, candidate.last_turn));
    first.map(|candidate| candidate.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(turn: u64, has_failed: bool) -> Collection {
        let mut collection = Collection::new(CollectionKey {
            service: "s".into(),
            collection: "c".into(),
        });
        collection.begin_turn(turn);
        if !has_failed {
            collection.succeeded();
        }
        collection
    }

    /// Of collections, each with its checkpoint, the turn that it last had and whether that failed.
    #[track_caller]
    fn check(collections: &[(Option<i64>, u64, bool)], expect: Option<usize>) {
        let all = collections.iter().enumerate();
        let candidates: Vec<Candidate> = all
            .map(|(index, &(checkpoint, turn, has_failed))| {
                let checkpoint = checkpoint.map(|s| DateTime::from_timestamp(s, 0).unwrap());
                collection(turn, has_failed).candidate(index, checkpoint)
            })
            .collect();
        assert_eq!(choose(&candidates), expect);
    }

    #[test]
    fn the_most_behind_comes_first_and_one_that_fails_lets_the_others_pass() {
        check(&[], None);
        check(&[(Some(5), 1, false), (Some(3), 2, false)], Some(1));
        check(&[(Some(5), 1, false), (None, 2, false)], Some(1));
        // The first has failed after the other had its turn.
        check(&[(Some(1), 2, true), (Some(9), 1, false)], Some(1));
        // The other has had its turn.
        check(&[(Some(1), 2, true), (Some(9), 3, false)], Some(0));
        // Both fail: in turn.
        check(&[(Some(1), 2, true), (Some(9), 1, true)], Some(1));
        check(&[(Some(1), 2, true), (Some(9), 3, true)], Some(0));
        check(&[(Some(1), 2, true)], Some(0));
    }

    #[test]
    fn a_hold_keeps_its_beginning_while_there_is_the_same_to_mend() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let mut collection = collection(1, false);
        assert!(collection.hold("full by 5".into(), "room", at(1)));
        assert!(!collection.hold("full by 6".into(), "room", at(2)));
        let hold = collection.held().unwrap();
        assert_eq!((hold.since, hold.reason.as_str()), (at(1), "full by 6"));
        assert!(collection.hold("locked".into(), "password", at(3)));
        assert_eq!(collection.held().unwrap().since, at(3));
        collection.succeeded();
        assert!(collection.hold("locked".into(), "password", at(4)));
    }
}
