//! When a part of the agent wants its next turn.
//!
//! Pollers and forwarders never sleep: each turn ends with the time of the next. The agent drives
//! them by the machine's clock, a test by its own.

use std::time::Duration;

use tokio::sync::watch;

/// What to wait for before the next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// This long, or until something is asked of it.
    After(Duration),
    /// This long, or until a batch comes or goes.
    SpoolChange(Duration),
    /// This long, or until there is news for pollers: damage to the spool, or a checkpoint that a person has
    /// set. Thousands may wait so, and batches come and go all the time.
    News(Duration),
    /// Until few enough polls of its service are under way, or something is asked of it.
    Place,
    /// Until something is asked of it.
    Asked,
}

impl Wake {
    /// At once.
    pub const NOW: Self = Self::After(Duration::ZERO);

    /// How long to wait at most.
    #[must_use]
    pub fn after(self) -> Option<Duration> {
        match self {
            Self::After(wait) | Self::SpoolChange(wait) | Self::News(wait) => Some(wait),
            Self::Place | Self::Asked => None,
        }
    }
}

/// Done when the agent stops.
pub async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error says that the agent is gone already.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
