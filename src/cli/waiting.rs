//! A start that waits for the disk: what it says, and for how long it waits for what cannot be read.

use std::time::{Duration, Instant};

use crate::agent::StartError;
use crate::storage::Storage;

/// So long a start waits for what the disk cannot read, where something else can take its place.
pub(super) const UNREADABLE_PATIENCE: Duration = Duration::from_secs(2 * 60);

/// How long a start has waited, and what it has said.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The last reason that was told.
    told: Option<String>,
    unreadable_since: Option<Instant>,
}

impl Waiting {
    /// Where the next try keeps things.
    pub(super) fn storage(&self, now: Instant) -> Storage {
        let machine = Storage::machine();
        if !self.gives_up(now) {
            return machine;
        }
        Storage {
            disk: machine.disk.giving_up_unreadable(),
            ..machine
        }
    }

    fn gives_up(&self, now: Instant) -> bool {
        let waited = |since| now.duration_since(since) >= UNREADABLE_PATIENCE;
        self.unreadable_since.is_some_and(waited)
    }

    /// The disk has refused a try. Each reason is told once.
    pub(super) fn refused(&mut self, error: &StartError, now: Instant) {
        let is_unreadable = error.is_unreadable();
        if is_unreadable {
            self.unreadable_since.get_or_insert(now);
        } else {
            self.unreadable_since = None;
        }
        let reason = error.to_string();
        if self.told.as_ref() == Some(&reason) {
            return;
        }
        if is_unreadable && !self.gives_up(now) {
            tracing::error!(
                reason,
                mend = "mend the disk of the state folder",
                patience_s = UNREADABLE_PATIENCE.as_secs(),
                "the start waits until this can be read; it is tried again by itself. Where something \
                 else can take its place, it goes to quarantine/ after a while"
            );
        } else {
            tracing::error!(
                reason,
                mend = "free space or mend the disk of the state folder",
                "the start waits until this is mended; it is tried again by itself, nothing is lost"
            );
        }
        self.told = Some(reason);
    }

    /// A try went well.
    pub(super) fn is_over(&self) {
        if self.told.is_some() {
            tracing::info!("the disk takes what it is given again: the start goes on");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::spool::SpoolError;

    fn error(code: i32) -> StartError {
        StartError::Spool(SpoolError::Io {
            action: "reading",
            path: "dead-letters".into(),
            source: io::Error::from_raw_os_error(code),
        })
    }

    #[test]
    fn what_cannot_be_read_is_given_up_after_a_while_and_nothing_else_is() {
        const EIO: i32 = 5;
        const ENOSPC: i32 = 28;
        let start = Instant::now();
        let short = UNREADABLE_PATIENCE / 2;
        let mut waiting = Waiting::default();
        waiting.refused(&error(EIO), start);
        assert!(!waiting.gives_up(start + short));
        waiting.refused(&error(EIO), start + short);
        assert!(waiting.gives_up(start + UNREADABLE_PATIENCE));
        let storage = waiting.storage(start + UNREADABLE_PATIENCE);
        assert!(storage.disk.gives_up_unreadable());
        assert!(!waiting.storage(start).disk.gives_up_unreadable());
        // The disk has come so far as to be full: it can be read again.
        waiting.refused(&error(ENOSPC), start + UNREADABLE_PATIENCE);
        assert!(!waiting.gives_up(start + UNREADABLE_PATIENCE * 9));
    }
}
