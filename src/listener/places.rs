//! The places for connections: when all are taken and somebody waits, the connection that has been quiet
//! for longest gives its place up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Who has a place. Its clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    /// Those on which nothing is being answered, by when that began: the longest comes first.
    quiet: BTreeMap<u64, Arc<Notify>>,
    /// How often a connection became quiet so far.
    turns: u64,
    /// Somebody waits, and nobody was told to go for him yet.
    is_wanted: bool,
}

/// The place of a connection, which is quiet until something is asked.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    leave: Arc<Notify>,
    /// Since which turn it is quiet; none while something is being answered.
    quiet_since: Mutex<Option<u64>>,
}

impl Places {
    /// Takes one.
    pub(super) fn take(&self) -> Place {
        let place = Place {
            places: self.clone(),
            leave: Arc::default(),
            quiet_since: Mutex::new(None),
        };
        place.is_idle();
        place
    }

    /// Somebody waits for a place: who is quiet for longest is told to go, or the first who becomes so.
    /// Tells whether one was.
    pub(super) fn want(&self) -> bool {
        let mut taken = self.lock();
        taken.is_wanted = true;
        taken.tell_one()
    }

    /// Who waited has a place.
    pub(super) fn is_given(&self) {
        self.lock().is_wanted = false;
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Tells the one that is quiet for longest to go, if somebody waits for it.
    fn tell_one(&mut self) -> bool {
        if !self.is_wanted {
            return false;
        }
        let told = self.quiet.pop_first();
        if let Some((_, leave)) = &told {
            leave.notify_one();
            self.is_wanted = false;
        }
        told.is_some()
    }
}

impl Place {
    /// Something is asked on it.
    pub(super) fn is_busy(&self) {
        let since = self.quiet_since().take();
        if let Some(since) = since {
            self.places.lock().quiet.remove(&since);
        }
    }

    /// Nothing is being answered on it.
    pub(super) fn is_idle(&self) {
        let mut taken = self.places.lock();
        taken.turns += 1;
        let turn = taken.turns;
        taken.quiet.insert(turn, Arc::clone(&self.leave));
        *self.quiet_since() = Some(turn);
        taken.tell_one();
    }

    /// Done when it is to be given up.
    pub(super) async fn is_wanted(&self) {
        self.leave.notified().await;
        // It stays so for whoever asks next.
        self.leave.notify_one();
    }

    fn quiet_since(&self) -> MutexGuard<'_, Option<u64>> {
        let since = self.quiet_since.lock();
        since.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.is_busy();
    }
}
