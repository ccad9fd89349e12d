//! What a peer is asked for a person who wants to know whether it is well: step by step, and without an
//! event.

use std::time::{Duration, Instant};

use super::Problem;

/// One thing that was asked of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What, in a word.
    pub name: &'static str,
    /// How long the answer took.
    pub took: Duration,
    /// Whether the peer is well, as far as this can tell.
    pub result: Result<(), Problem>,
}

impl Step {
    /// Waits for the answer.
    pub(super) async fn taken(
        name: &'static str,
        asking: impl Future<Output = Result<(), Problem>>,
    ) -> Self {
        let since = Instant::now();
        let result = asking.await;
        Self {
            name,
            took: since.elapsed(),
            result,
        }
    }
}
