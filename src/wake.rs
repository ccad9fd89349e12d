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
    /// This long, or until damage to the spool was found: there may be thousands that wait so, and batches
    /// come and go all the time.
    Damage(Duration),
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
            Self::After(wait) | Self::SpoolChange(wait) | Self::Damage(wait) => Some(wait),
            Self::Asked => None,
        }
    }
}

/// Done when the agent stops.
pub async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error says that the agent is gone already.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
