//! One collection in the eyes of its poller: what does not survive a restart.

use std::collections::HashSet;
use std::time::Duration;

use crate::clock::Now;
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
    /// Why it is held: each reason is told once.
    hold: Option<String>,
    alarmed: bool,
    warned: HashSet<WarningKind>,
}

impl Collection {
    /// A collection is due at the start: what came meanwhile is fetched.
    pub(super) fn new(key: CollectionKey) -> Self {
        Self {
            key,
            is_due: true,
            wait_until: None,
            hold: None,
            alarmed: false,
            warned: HashSet::new(),
        }
    }

    /// Whether the service has asked to wait longer.
    pub(super) fn waits(&self, now: Now) -> bool {
        self.wait_until.is_some_and(|until| until > now.monotonic)
    }

    pub(super) fn is_held(&self) -> bool {
        self.hold.is_some()
    }

    /// Holds, and tells whether the reason is a new one.
    pub(super) fn hold(&mut self, reason: &str) -> bool {
        let is_new = self.hold.is_none();
        self.hold = Some(reason.to_owned());
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
        self.hold = None;
        self.alarmed = false;
    }
}
