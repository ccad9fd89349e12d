//! Room for what is pushed: what a message has not got is wanted for a while, so that outputs that may
//! release make it. A sender that never comes again must not cost them events for ever.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::RETRY_WAIT;
use crate::spool::Spool;

/// As often as this a sender may come again before what it needs is wanted no more.
const TRIES: u32 = 3;

/// What is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Who wants it.
    inbox: String,
    /// How many bytes, and when a message last needed room.
    most: Mutex<Option<(u64, Duration)>>,
}

impl Wanted {
    pub(super) fn by(inbox: &str) -> Self {
        Self {
            inbox: inbox.to_owned(),
            most: Mutex::default(),
        }
    }

    /// A message needs so many bytes and has not got them.
    pub(super) fn add(&self, spool: &Spool, bytes: u64, now: Duration) {
        let mut most = self.most.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = most.map_or(bytes, |(before, _)| before.max(bytes));
        *most = Some((bytes, now));
        spool.want(&self.inbox, bytes);
    }

    /// Nothing is wanted any more.
    pub(super) fn end(&self, spool: &Spool) {
        let mut most = self.most.lock().unwrap_or_else(PoisonError::into_inner);
        if most.take().is_some() {
            spool.want(&self.inbox, 0);
        }
    }

    /// Takes it back when no message has needed room for a while.
    pub(super) fn expire(&self, spool: &Spool, now: Duration) {
        let mut most = self.most.lock().unwrap_or_else(PoisonError::into_inner);
        if most.is_some_and(|(_, at)| now.saturating_sub(at) >= TRIES * RETRY_WAIT) {
            *most = None;
            spool.want(&self.inbox, 0);
        }
    }
}
