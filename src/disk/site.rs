//! Who asked for the sync that comes next: a test can leave out those of one place in the code.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;

/// A place in the code that syncs something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Site {
    file: &'static str,
    line: u32,
    /// What is synced: one call may sync several things.
    what: &'static str,
}

impl Site {
    /// Where it is, for a list that does not know of lines.
    pub(crate) fn file(&self) -> &'static str {
        self.file
    }

    pub(crate) fn line(&self) -> u32 {
        self.line
    }

    pub(crate) fn what(&self) -> &'static str {
        self.what
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} ({})", self.file, self.line, self.what)
    }
}

thread_local! {
    static LAST: Cell<Option<Site>> = const { Cell::new(None) };
}

/// The caller is about to sync this, on this thread.
#[track_caller]
pub(super) fn note(what: &'static str) {
    let caller = Location::caller();
    let site = Site {
        file: caller.file(),
        line: caller.line(),
        what,
    };
    LAST.set(Some(site));
}

/// Takes the place of the sync that is being done on this thread.
pub(crate) fn take() -> Option<Site> {
    LAST.take()
}
