//! The service's clock, as its `Date` headers tell it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Now;

/// Our clock plus what was learnt of the service's, shared by all pollers of the service.
///
/// Once learnt it runs on monotonic time, so that setting our clock does not set it.
#[derive(Debug)]
pub struct ServerClock {
    known: Mutex<Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    learnt: Option<Learnt>,
    /// The service's clock minus ours, from before the start.
    offset: TimeDelta,
}

#[derive(Debug, Clone, Copy)]
struct Learnt {
    server: DateTime<Utc>,
    at: Duration,
}

impl ServerClock {
    /// The clock as the state remembers it.
    #[must_use]
    pub fn restore(offset_ms: Option<i64>) -> Self {
        Self {
            known: Mutex::new(Known {
                learnt: None,
                offset: TimeDelta::milliseconds(offset_ms.unwrap_or(0)),
            }),
        }
    }

    /// Whether the service has told its time since the start.
    #[must_use]
    pub fn is_learnt(&self) -> bool {
        self.lock().learnt.is_some()
    }

    /// The head of an answer told the time.
    pub fn learn(&self, date: DateTime<Utc>, now: Now) {
        self.lock().learnt = Some(Learnt {
            server: date,
            at: now.monotonic,
        });
    }

    /// What the service's clock shows.
    #[must_use]
    pub fn now(&self, now: Now) -> DateTime<Utc> {
        let known = *self.lock();
        match known.learnt {
            Some(learnt) => {
                let since = now.monotonic.saturating_sub(learnt.at);
                learnt.server + TimeDelta::from_std(since).unwrap_or_default()
            }
            None => now.utc + known.offset,
        }
    }

    /// The service's clock minus ours.
    #[must_use]
    pub fn offset_ms(&self, now: Now) -> i64 {
        (self.now(now) - now.utc).num_milliseconds()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(utc: i64, monotonic: u64) -> Now {
        Now {
            utc: DateTime::from_timestamp(utc, 0).unwrap(),
            monotonic: Duration::from_secs(monotonic),
        }
    }

    #[test]
    fn it_runs_on_when_our_clock_is_set() {
        let clock = ServerClock::restore(Some(-5000));
        assert_eq!(clock.now(now(1000, 0)), now(995, 0).utc);
        clock.learn(now(400, 0).utc, now(1000, 10));
        assert_eq!(clock.now(now(1005, 15)), now(405, 0).utc);
        assert_eq!(clock.now(now(9_000_000, 20)), now(410, 0).utc);
        assert_eq!(clock.offset_ms(now(1005, 15)), -600_000);
    }
}
