//! Turns of pollers at the disk.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many pollers stage or commit at once.
const DISK_TURNS: usize = 4;
/// So many pollers have a record of an answer that comes written at once.
const ANSWERS_AT_ONCE: usize = 4;

/// Turns at the disk, which are waited for without a thread: of thousands that poll at one moment each
/// would take one to wait for the disk. A window that the schedule or a promised answer brings is staged
/// and committed in one; what is rare is not.
#[derive(Debug, Clone)]
pub struct DiskTurns {
    turns: Arc<Semaphore>,
    /// Who begins a poll waits here first, so that one of them alone is in the line for `turns`: what
    /// has begun holds a connection, and what was read of it.
    beginning: Arc<Semaphore>,
    /// Who has the head of an answer waits for nobody's commit: its body is on the way.
    answers: Arc<Semaphore>,
}

/// A turn at the disk, until it is dropped.
#[derive(Debug)]
pub struct DiskTurn {
    _turn: Option<OwnedSemaphorePermit>,
    _beginning: Option<OwnedSemaphorePermit>,
}

impl DiskTurns {
    /// A turn for what has come.
    pub async fn to_commit(&self) -> DiskTurn {
        DiskTurn {
            _turn: permit(&self.turns).await,
            _beginning: None,
        }
    }

    /// A turn with which a poll begins.
    pub async fn to_begin(&self) -> DiskTurn {
        DiskTurn {
            _beginning: permit(&self.beginning).await,
            _turn: permit(&self.turns).await,
        }
    }

    /// A turn to record that an answer comes.
    pub async fn to_record_answer(&self) -> DiskTurn {
        DiskTurn {
            _turn: permit(&self.answers).await,
            _beginning: None,
        }
    }
}

/// None is closed.
async fn permit(of: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(of).acquire_owned().await.ok()
}

impl Default for DiskTurns {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(DISK_TURNS)),
            beginning: Arc::new(Semaphore::new(1)),
            answers: Arc::new(Semaphore::new(ANSWERS_AT_ONCE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn of_those_that_begin_to_poll_one_alone_stands_in_line() {
        let turns = DiskTurns::default();
        let mut held = Vec::new();
        for _ in 0..DISK_TURNS {
            held.push(turns.to_commit().await);
        }
        let mut first = pin!(turns.to_begin());
        let mut second = pin!(turns.to_begin());
        let mut answered = pin!(turns.to_commit());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(answered.as_mut().now_or_never().is_none());
        assert!(turns.to_record_answer().now_or_never().is_some());
        held.pop();
        let first = first.now_or_never().unwrap();
        held.pop();
        assert!(second.as_mut().now_or_never().is_none());
        let _answered = answered.now_or_never().unwrap();
        held.clear();
        assert!(second.as_mut().now_or_never().is_none(), "one begins");
        drop(first);
        assert!(second.now_or_never().is_some());
    }
}
